# What the checks against Prometheus share. Sourced; $work is a folder of their own, $started the processes to end.

fail() { echo "check-prometheus: $*" >&2; exit 1; }

cleanup() {
    local pid
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
}

# A port below the ephemeral range that nobody listens on, from the part of the range that is this process's own.
free_port() {
    local port
    for _ in $(seq 100); do
        port=$((20000 + ${port_block:-0} * 2500 + RANDOM % 2500))
        if ! (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then echo "$port"; return; fi
    done
    fail "no free port was found"
}

# Waits up to 30 s until a command succeeds.
eventually() {
    local what=$1
    shift
    for _ in $(seq 300); do
        if "$@" > /dev/null 2>&1; then return; fi
        sleep 0.1
    done
    fail "$what did not happen within 30 s"
}
