#!/usr/bin/env bash
# Drives real MCP servers, in each of their session and reply modes and on each wire that they speak: the bundled one,
# the Python SDK 2.x and 1.x, server-everything on the TypeScript SDK 1.x, and that SDK's 2.x. What is checked stands in
# tests/interop/check.py.
#
#   .ci/check-interop.sh target/debug/mcpace [--only WORD] [--at-once N]
set -euo pipefail

fail() { echo "check-interop: $*" >&2; exit 1; }

[ $# -ge 1 ] || fail "give the path of a built mcpace binary"
mcpace=$(realpath "$1")
[ -x "$mcpace" ] || fail "$1 is not a program: build it first"
shift
cd "$(dirname "$0")/.."
. .ci/interop-tools.sh

node=$(node22)
everything=$(npm_package @modelcontextprotocol/server-everything 2026.8.31)
typescript=$(npm_package @modelcontextprotocol/server 2.4.0 @modelcontextprotocol/node@2.1.2)
python1=$(python_with mcp==1.30.0)
python2=$(python_with mcp==2.3.0)
python3 tests/interop/check.py "$mcpace" --node "$node" --everything "$everything" \
    --typescript "$typescript" --python1 "$python1" --python2 "$python2" "$@"
