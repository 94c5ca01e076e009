# What the checks against Prometheus share. Sourced; $work is a folder of their own, $started the processes to end.

check=$(basename "$0" .sh)
fail() { echo "$check: $*" >&2; exit 1; }

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

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

# Unpacks a package of a Debian suite into $work/SUITE/PACKAGE, with package lists of its own: the system is left as it is.
fetch() {
    local suite=$1 package=$2 apt=$work/apt-$1 mirror options
    # Which mirror this machine uses is known only after its lists were fetched once.
    [ -e "$work/updated" ] || { as_root apt-get update -q >&2; touch "$work/updated"; }
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sed -n 1p)
    [ -n "$mirror" ] || fail "apt knows no Debian mirror: $package cannot be had"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$work/$suite/$package"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" > "$apt/sources.list"
    options=(-q -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=-
        -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
    [ -e "$apt/updated" ] || { apt-get "${options[@]}" update >&2; touch "$apt/updated"; }
    (cd "$work/$suite/$package" && apt-get "${options[@]}" download "$package" >&2 && dpkg -x ./*.deb .)
}

# Installs packages whose program of the same name is not there.
install_missing() {
    local tool missing=()
    for tool in "$@"; do command -v "$tool" > /dev/null || missing+=("$tool"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    as_root apt-get update -q >&2
    touch "$work/updated"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >&2
}
