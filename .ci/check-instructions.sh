#!/usr/bin/env bash
# Counts the instructions that a call takes in the pure parts of the hot path, and holds them against a reference loop counted in
# the same run: bench/tests/instructions.rs.
#
#   .ci/check-instructions.sh
#
# Needs a Debian machine; valgrind is installed by apt where it is missing. One that cannot be had is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }
if ! command -v valgrind > /dev/null; then
    as_root apt-get update -q >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends valgrind >&2
fi
cargo test --release -p mcpace-bench --test instructions -- --ignored --nocapture
