#!/usr/bin/env bash
# Has the conformance suites of MCP examine the binary: as a client on the protocol layer that drives every load, and as
# the bundled server. What is checked stands in tests/interop/conformance.py.
#
#   .ci/check-conformance.sh target/debug/mcpace [--only WORD] [--at-once N]
set -euo pipefail

fail() { echo "check-conformance: $*" >&2; exit 1; }

[ $# -ge 1 ] || fail "give the path of a built mcpace binary"
mcpace=$(realpath "$1")
[ -x "$mcpace" ] || fail "$1 is not a program: build it first"
shift
cd "$(dirname "$0")/.."
. .ci/interop-tools.sh

# The first suite knows the revisions with a handshake, the second all of them; neither contains the other.
node=$(node22)
suite=$(npm_package @modelcontextprotocol/conformance 0.2.0-alpha.12)
first=$(npm_package @modelcontextprotocol/conformance 0.1.16)
python3 tests/interop/conformance.py "$mcpace" --node "$node" --suite "$suite" --first-suite "$first" "$@"
