#!/usr/bin/env bash
# Proves docker-compose.yml in a real Docker engine, all but Grafana: everything becomes healthy, Prometheus scrapes the soak,
# a fault of the server becomes an alert at the webhook, which is resolved when the fault goes, and a soak that is stopped
# leaves a whole saved run.
#
#   .ci/check-stack.sh target/debug/mcpace
#
# The engine is Debian's, unpacked and started for this check alone, as root, in namespaces of its own: it has its own
# network, which leads nowhere, its own processes, and ends with all of them. The images that compose names are made of
# Debian's packages and files of this machine, as nothing is pulled from anywhere.
#
# Where no engine can be had, this says so in capital letters and ends with 77; it is the one check that may be left out.
set -euo pipefail

. "$(dirname "$0")/prometheus-tools.sh"

[ $# -eq 1 ] || fail "give the path of a built mcpace binary"
mcpace=$(realpath "$1")
[ -x "$mcpace" ] || fail "$1 is not a program: build it first"
cd "$(dirname "$0")/.."
root=$PWD

unchecked() {
    printf '\n%s\n' "!!! THE STACK OF docker-compose.yml IS NOT CHECKED HERE: NO DOCKER ENGINE CAN BE HAD." "!!! REASON: $*" >&2
    exit 77
}

[ "$(id -u)" -eq 0 ] || unchecked "an engine needs root, and this is user $(id -un)"
work=$(mktemp -d)
started=() engine= keeper=
group=mcpace-check-$$

# Whoever is the first of its processes takes all others along.
end_engine() {
    [ -z "$engine" ] || kill -KILL "$engine" 2> /dev/null || true
    [ -z "$keeper" ] || wait "$keeper" 2> /dev/null || true
    find /sys/fs/cgroup -mindepth 1 -depth -type d -path "*/$group*" -exec rmdir {} + 2> /dev/null || true
}
trap 'end_engine; rm -rf "$work"' EXIT

# --- an engine ----------------------------------------------------------------------------------------------------------

install_missing curl jq iptables || fail "curl, jq or iptables cannot be installed"
command -v ip > /dev/null && command -v ss > /dev/null || install_missing iproute2
suite=$(. /etc/os-release; echo "${VERSION_CODENAME:-}")
for package in docker.io containerd runc tini; do
    fetch "$suite" "$package" || unchecked "Debian's package $package of \"$suite\" cannot be had"
done
client=$(command -v docker || true)
if [ -z "$client" ]; then
    client=$work/$suite/docker.io/usr/bin/docker
    # Newer suites have the client in a package of its own.
    [ -x "$client" ] || { fetch "$suite" docker-cli; client=$work/$suite/docker-cli/usr/bin/docker; }
fi
fetch trixie docker-compose
fetch trixie docker-buildx
fetch forky prometheus
fetch forky promtool
fetch forky prometheus-alertmanager
plugins=$work/docker/cli-plugins
mkdir -p "$work/bin" "$plugins"
for package in docker.io containerd runc tini; do
    find "$work/$suite/$package" -type f -path '*bin/*' -exec ln -sf -t "$work/bin" {} +
done
if ldd "$work/bin/dockerd" "$work/bin/runc" | grep -q 'not found'; then
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends libdevmapper1.02.1 libseccomp2 >&2
fi
ln -sf tini-static "$work/bin/docker-init"
ln -s "$work"/trixie/docker-*/usr/libexec/docker/cli-plugins/docker-* "$plugins"
export DOCKER_HOST=unix://$work/docker.sock DOCKER_CONFIG=$work/docker
unset DOCKER_CONTEXT
docker() { "$client" "$@"; }

# Services of this machine are not looked for in /run, nor disturbed there.
cat > "$work/engine.sh" <<SH
set -e
mount -t tmpfs tmpfs /run
ip link set lo up
PATH="$work/bin:\$PATH"
exec dockerd --host "$DOCKER_HOST" --data-root "$work/data" --exec-root /run/docker --pidfile /run/docker.pid \
    --cgroup-parent "$group" --iptables=false --ip6tables=false --ip-masq=false
SH
unshare --net --mount --pid --fork --kill-child --mount-proc bash "$work/engine.sh" > "$work/engine.log" 2>&1 &
keeper=$!
for _ in $(seq 300); do
    [ -n "$engine" ] || engine=$(cat "/proc/$keeper/task/$keeper/children" 2> /dev/null | tr -d ' ' || true)
    if docker version > "$work/version" 2>&1; then break; fi
    kill -0 "$keeper" 2> /dev/null || break
    sleep 0.1
done
docker version > "$work/version" 2>&1 ||
    { tail -n 20 "$work/engine.log" >&2; unchecked "dockerd does not start: $(tail -n 1 "$work/engine.log")"; }
echo "$check: $(docker info --format 'Docker {{.ServerVersion}}, {{.Driver}}, cgroups {{.CgroupVersion}}')"
# Runs a program in the engine's network, which is not this machine's.
inside() { nsenter --target "$engine" --net -- "$@"; }

# --- images -------------------------------------------------------------------------------------------------------------

# Copies programs and what they are linked with into a folder that becomes the root of an image.
into() {
    local folder=$1 program library
    shift
    mkdir -p "$folder"/usr/{bin,lib,lib64} "$folder"/etc "$folder/tmp"
    for link in bin lib lib64; do ln -sfn "usr/$link" "$folder/$link"; done
    for program in "$@"; do
        cp -L "$program" "$folder/usr/bin/"
        for library in $(ldd "$program" | grep -o '/[^ ]*'); do
            mkdir -p "$folder/${library%/*}"
            cp -L "$library" "$folder/$library"
        done
    done
    printf 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' > "$folder/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' > "$folder/etc/group"
}
image() {
    local folder=$1 name=$2 change options=()
    shift 2
    for change in "$@"; do options+=(--change "$change"); done
    tar -C "$folder" -c . | docker import "${options[@]}" - "$name" > /dev/null
}

stack=$work/stack
mkdir -p "$stack/dist"
cp -r docker-compose.yml Dockerfile .dockerignore prometheus.yml prometheus grafana "$stack"
cp "$mcpace" "$stack/dist/mcpace"
# A generator in doubt would silence what is looked for, and whoever bounds times in seconds has none where a machine is busy.
export MCPACE_OBJECTIVE='p95 < 2s'
export BINARY_FROM=prebuilt COMPOSE_PROJECT_NAME=mcpace COMPOSE_ANSI=never COMPOSE_PROGRESS=plain
compose() { docker compose --project-directory "$stack" --env-file /dev/null "$@"; }
named() { compose config --format json | jq -r --arg service "$1" '.services[$service].image'; }

# The libraries of mcpace are those of the runtime image: a C compiler's and the C library.
into "$work/base" /bin/bash /bin/mkdir /bin/chown "$mcpace"
rm "$work/base/usr/bin/${mcpace##*/}"
ln -s bash "$work/base/usr/bin/sh"
image "$work/base" debian:bookworm-slim 'CMD ["bash"]'
forky=$work/forky
into "$work/p" "$forky/prometheus/usr/bin/prometheus" "$forky/promtool/usr/bin/promtool"
install -d -o 65534 -g 65534 "$work/p/prometheus"
image "$work/p" "$(named prometheus)" 'USER nobody' 'WORKDIR /prometheus' 'VOLUME /prometheus' \
    'ENTRYPOINT ["/bin/prometheus"]'
into "$work/a" "$forky/prometheus-alertmanager/usr/bin/"{prometheus-alertmanager,amtool}
mkdir -p "$work/a/usr/share/prometheus"
cp -r "$forky/prometheus-alertmanager/usr/share/prometheus/alertmanager" "$work/a/usr/share/prometheus/"
install -d -o 65534 -g 65534 "$work/a/alertmanager"
image "$work/a" "$(named alertmanager)" 'USER nobody' 'WORKDIR /alertmanager' 'VOLUME /alertmanager' \
    'ENTRYPOINT ["/bin/prometheus-alertmanager"]'

# --- up -----------------------------------------------------------------------------------------------------------------

# What went wrong is in the services' own words.
troubled() {
    { compose ps --all; compose logs --no-color --tail 15; tail -n 5 "$work/engine.log"; } >&2 || true
    fail "$*"
}
# Waits up to so many seconds until a command succeeds.
within() {
    local seconds=$1 what=$2 begun=$SECONDS
    shift 2
    until "$@" > /dev/null 2>&1; do
        [ $((SECONDS - begun)) -lt "$seconds" ] || troubled "$what did not happen within $seconds s"
        sleep 0.5
    done
    echo "$check: $what, after $((SECONDS - begun)) s"
}
services=(mcp-server webhook alertmanager prometheus mcpace)
compose up --detach --build --wait --wait-timeout 120 --quiet-pull "${services[@]}" > "$work/up.log" 2>&1 ||
    { tail -n 30 "$work/up.log" >&2; troubled "docker compose up"; }
echo "$check: ${#services[@]} services are healthy"

listening=$(inside ss -Hltn | awk '{ print $4 }' | sort)
echo "$check: published are" $listening
wanted=$(printf '127.0.0.1:%s\n' 8000 9090 9093 9464)
[ "$listening" = "$wanted" ] || troubled "published is what should not be, or something is missing"
user=$(docker image inspect --format '{{.Config.User}}' mcpace:latest)
[ "$user" = 10001:10001 ] || fail "the image's user is \"$user\""
for service in "${services[@]}"; do
    limit=$(docker inspect --format '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}' "$(compose ps --quiet "$service")")
    [[ $limit =~ ^[1-9][0-9]*\ 256$ ]] || fail "$service has no limit of memory or processes: $limit"
done

asks() { inside curl -fsS -m 5 "http://127.0.0.1:$1"; }
is_up() { asks '9090/api/v1/query?query=up' | jq -e '[.data.result[] | [.metric.job, .value[1]]] == [["mcpace", "1"]]'; }
has_alertmanager() { asks 9090/api/v1/alertmanagers | jq -e '.data.activeAlertmanagers | length == 1'; }
within 60 "the soak is scraped" is_up
within 60 "Alertmanager is known" has_alertmanager

# --- a fault, and its end -------------------------------------------------------------------------------------------------

# Slow calls above all: the objective on the response time of create_payment burns fast.
log() { docker logs "$(compose ps --quiet "$1")" 2> /dev/null; }
said() { log webhook | grep -E "^$1 McpaceObjectiveBurning \(critical, .*p95\(create_payment\) < 150ms"; }
window() { asks '9090/api/v1/query?query=objective:mcpace_burn:rate%7Bobjective=%22p95(create_payment)%20%3C%20150ms%22,window=%221m%22%7D'; }
quiet_window() { window | jq -e '.data.result[0].value[1] | tonumber < 6'; }
within 60 "a window without a fault" quiet_window
if said firing; then fail "an alert fires before there is a fault"; fi
compose kill --signal SIGUSR1 mcp-server > "$work/kill.log" 2>&1
within 120 "the breach is at the webhook" said firing
if said resolved; then fail "the alert is resolved before the fault is gone"; fi
compose kill --signal SIGUSR1 mcp-server > "$work/kill.log" 2>&1
within 150 "its end is at the webhook" said resolved
said 'firing|resolved'
log mcp-server | grep -Fx -e 'mcpace serve: faults on' -e 'mcpace serve: faults off'

# --- a soak that is stopped -------------------------------------------------------------------------------------------------

soak=$(compose ps --quiet mcpace)
compose stop mcpace > "$work/stop.log" 2>&1
code=$(docker inspect --format '{{.State.ExitCode}}' "$soak")
[ "$code" -eq 143 ] || troubled "the soak ended with exit code $code, not 143"
docker cp -q "$soak:/results/run.json" "$work/run.json" 2> /dev/null || docker cp "$soak:/results/run.json" "$work/run.json"
"$mcpace" report "$work/run.json" > "$work/report.txt" || [ $? -lt 5 ] || fail "the saved run cannot be read"
grep -q 'SIGTERM' "$work/report.txt" || { cat "$work/report.txt" >&2; fail "the report does not say that the run was stopped"; }
compose down --volumes --timeout 5 > "$work/down.log" 2>&1
[ -z "$(docker ps --all --quiet)" ] || fail "containers are left"
