#!/usr/bin/env bash
# Loads the HTML page of a real run in headless Chromium: no console message, no request, charts drawn, and a tool with a hostile
# name stays text. Spoilt copies of the page must be found out.
#
#   .ci/check-page.sh target/debug/mcpace
#
# Needs a Debian machine; Chromium is installed by apt where it is missing. A browser that cannot be had is a failure.
set -euo pipefail

fail() { echo "check-page: $*" >&2; exit 1; }

[ $# -eq 1 ] || fail "give the path of a built mcpace binary"
mcpace=$(realpath "$1")
[ -x "$mcpace" ] || fail "$1 is not a program: build it first"
cd "$(dirname "$0")/.."
work=$(mktemp -d)
server=

cleanup() {
    exec 9>&- || true
    [ -z "$server" ] || { kill "$server" 2> /dev/null || true; wait "$server" 2> /dev/null || true; }
    rm -rf "$work"
}
trap cleanup EXIT

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }
if ! command -v chromium > /dev/null; then
    as_root apt-get update -q >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium >&2
fi
for tool in chromium python3; do command -v "$tool" > /dev/null || fail "there is no $tool"; done

name="\"'><img src=x onerror=alert(1)></title><script>alert(2)</script>&lt;"

# The server lives as long as descriptor 9 is open.
mkfifo "$work/lifeline"
python3 tests/page/server.py "$name" < "$work/lifeline" > "$work/url" &
server=$!
exec 9> "$work/lifeline"
for _ in $(seq 150); do [ -s "$work/url" ] && break; sleep 0.1; done
[ -s "$work/url" ] || fail "the server with the hostile tool did not start"

code=0
"$mcpace" run "$(cat "$work/url")" --tool "$name" --rate 50 --warmup 2s --duration 12s --seed 7 --objective 'p95 < 150ms' \
    --objective 'error_rate < 1%' --metrics off --html "$work/page.html" --markdown "$work/page.md" --junit "$work/page.xml" \
    9>&- > "$work/run.out" 2> "$work/run.err" || code=$?
# An error rate of a seventh is a FAIL, or INVALID where this machine is busy.
[ "$code" -eq 1 ] || [ "$code" -eq 3 ] || { cat "$work/run.out" "$work/run.err" >&2; fail "the run ended with exit code $code"; }

python3 - "$work/page.xml" "$name" << 'PYTHON' || fail "the JUnit file is not as it should be"
import sys, xml.etree.ElementTree as tree
suite = tree.parse(sys.argv[1]).getroot().find("testsuite")
assert suite.get("name") == sys.argv[2], suite.get("name")
assert len(suite.findall("testcase")) == int(suite.get("tests")) == 3
PYTHON
if grep -qE '<(img|script)' "$work/page.md"; then fail "the hostile name is markup in the Markdown"; fi
python3 tests/page/check.py "$work/page.html" "$name"
