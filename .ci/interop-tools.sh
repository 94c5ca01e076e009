# Sourced by the checks against other people's programs: fetches what they need, each version once, into
# target/interop-tools. What is missing on a Debian machine is fetched by apt. What cannot be had is a failure.

tools=$PWD/target/interop-tools
mkdir -p "$tools"

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

debian() {
    as_root apt-get update -q >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" >&2
}

# once FOLDER COMMAND…: runs the command in a fresh folder, unless it has succeeded there before.
once() {
    local folder=$1
    shift
    if [ ! -e "$folder/.complete" ]; then
        rm -rf "$folder"
        mkdir -p "$folder"
        (cd "$folder" && "$@" >&2) || fail "failed to fetch: $*"
        touch "$folder/.complete"
    fi
}

# npm_package NAME VERSION [NAME@VERSION…]: the folder of an npm package of exactly this version, with others beside it.
npm_package() {
    local folder=$tools/$(tr / - <<< "${1#@}")-$2
    command -v npm > /dev/null || debian nodejs npm
    once "$folder" npm install --silent --no-audit --no-fund --ignore-scripts --prefix . "$1@$2" "${@:3}"
    echo "$folder/node_modules/$1"
}

# node22: a Node that is new enough for all of them, whatever the machine has.
node22() {
    local machine=x64
    [ "$(uname -m)" != aarch64 ] || machine=arm64
    echo "$(npm_package "node-linux-$machine" 22.23.3)/bin/node"
}

# python_with REQUIREMENT: a Python that has this package.
python_with() {
    local folder=$tools/python-$1
    python3 -c 'import ensurepip, venv' 2> /dev/null || debian python3 python3-venv
    once "$folder" bash -c "python3 -m venv venv && venv/bin/pip install --quiet --disable-pip-version-check '$1'"
    echo "$folder/venv/bin/python"
}
