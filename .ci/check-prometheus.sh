#!/usr/bin/env bash
# Proves against real Prometheuses, 2 and 3, what dashboards and alerts rest on: a run with faults is scraped each second by
# each, every expression returns data, what it says is what the report says, and the final counters equal the saved run's
# (prometheus-run.sh). Also checks prometheus.yml, the rules, their tests, docker-compose.yml, and in a real Alertmanager
# that a generator in trouble silences what is said of its target.
#
#   .ci/check-prometheus.sh target/release/mcpace
#
# Needs a Debian machine; what is missing there is fetched by apt. Nothing is started as a service and nothing is left
# running. A tool that cannot be had is a failure.
set -euo pipefail

. "$(dirname "$0")/prometheus-tools.sh"

[ $# -eq 1 ] || fail "give the path of a built mcpace binary"
mcpace=$(realpath "$1")
[ -x "$mcpace" ] || fail "$1 is not a program: build it first"
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
started=()

templates=/usr/share/prometheus/alertmanager
trap 'cleanup; [ ! -e "$work/lent" ] || { as_root rm -f "$templates"; as_root rmdir --ignore-fail-on-non-empty "${templates%/*}"; }; rm -rf "$work"' EXIT

# --- tools ------------------------------------------------------------------------------------------------------------

install_missing curl jq
# Bookworm has Prometheus 2 with its promtool; forky has 3, and promtool apart.
fetch bookworm prometheus
fetch bookworm prometheus-alertmanager
fetch forky prometheus
fetch forky promtool
prometheus2=$work/bookworm/prometheus/usr/bin/prometheus promtool2=$work/bookworm/prometheus/usr/bin/promtool
prometheus3=$work/forky/prometheus/usr/bin/prometheus promtool3=$work/forky/promtool/usr/bin/promtool
alertmanager=$work/bookworm/prometheus-alertmanager/usr/bin/prometheus-alertmanager
compose() { docker compose "$@"; }
if ! docker compose version > /dev/null 2>&1; then
    # Bookworm's own docker-compose is v1. The plugin is a program that needs no engine to check a file.
    fetch trixie docker-compose
    plugin=$work/trixie/docker-compose/usr/libexec/docker/cli-plugins/docker-compose
    compose() { "$plugin" "$@"; }
fi
for tool in curl jq "$prometheus2" "$promtool2" "$prometheus3" "$promtool3" "$alertmanager"; do
    command -v "$tool" > /dev/null || fail "there is no $tool"
done
"$prometheus2" --version 2>&1 | grep -q "^prometheus, version 2\." || fail "bookworm has no Prometheus 2 any more"
"$prometheus3" --version 2>&1 | grep -q "^prometheus, version 3\." || fail "forky has no Prometheus 3"
compose version || fail "there is no docker compose"

# --- files ------------------------------------------------------------------------------------------------------------

"$promtool2" check config prometheus.yml
for promtool in "$promtool2" "$promtool3"; do
    "$promtool" check rules prometheus/alerts.yml
    "$promtool" test rules prometheus/alerts.test.yml
done
compose -f docker-compose.yml --env-file /dev/null config --quiet
compose -f docker-compose.yml --env-file env.example config --format json > "$work/compose.json"
jq -e '[.services[].ports[]? | select(.host_ip != "127.0.0.1")] == []' "$work/compose.json" > /dev/null ||
    fail "docker-compose.yml publishes something beyond the loopback address"

# --- a run under each Prometheus ----------------------------------------------------------------------------------------

# The server lives as long as descriptor 9 is open.
mkfifo "$work/lifeline"
"$mcpace" serve --port 0 --exit-with-stdin --seed 3 --response-time 'lognormal(20ms, 0.5)' --freeze 1500ms/8s \
    --error-share 2% --http-error-share 1% --reset-share 1% --wrong-amount-share 2% --double-charge-share 50% \
    < "$work/lifeline" > "$work/serve.out" 2> "$work/serve.err" &
server=$!
started+=("$server")
exec 9> "$work/lifeline"
eventually "the server's start" grep -q 'http://' "$work/serve.out"
url=$(grep -o 'http://[^ ]*' "$work/serve.out" | head -n 1)

runs=()
.ci/prometheus-run.sh 1 "$mcpace" "$prometheus2" "$promtool2" "$url" "$server" "$work/run2" 9>&- > "$work/run2.log" 2>&1 &
runs+=($!)
.ci/prometheus-run.sh 2 "$mcpace" "$prometheus3" "$promtool3" "$url" "$server" "$work/run3" 9>&- > "$work/run3.log" 2>&1 &
runs+=($!)
started+=("${runs[@]}")

# --- a generator in trouble silences what is said of its target -------------------------------------------------------------

# Debian's Alertmanager looks for its templates in this place alone: they are lent to it for as long as this takes.
if [ ! -e "$templates" ]; then
    as_root mkdir -p "${templates%/*}"
    as_root ln -s "$work/bookworm/prometheus-alertmanager$templates" "$templates"
    touch "$work/lent"
fi
alerts_at=127.0.0.1:$(free_port)
"$alertmanager" --config.file=prometheus/alertmanager.yml --storage.path="$work/alertmanager" --cluster.listen-address= \
    --web.listen-address="$alerts_at" 9>&- > "$work/alertmanager.log" 2>&1 &
started+=($!)
eventually "Alertmanager's start" curl -fsS "http://$alerts_at/-/ready"
# An alert of an instance, with more labels.
alert() { jq -n --arg instance "$1" --arg name "$2" "{labels: ({job: \"mcpace\", instance: \$instance, alertname: \$name} + $3)}"; }
{
    alert ill McpaceGeneratorSilent '{about: "generator", severity: "critical"}'
    alert ill McpaceObjectiveMissed '{about: "target", severity: "critical", objective: "p95 < 1s"}'
    alert well McpaceObjectiveMissed '{about: "target", severity: "critical", objective: "p95 < 1s"}'
    alert well McpaceObjectiveBurning '{about: "target", severity: "critical", objective: "p50 < 1s", speed: "fast"}'
    alert well McpaceObjectiveBurning '{about: "target", severity: "warning", objective: "p50 < 1s", speed: "slow"}'
    alert well McpaceObjectiveBurning '{about: "target", severity: "warning", objective: "p99 < 1s", speed: "slow"}'
} | jq -s . | curl -fsS -H 'content-type: application/json' --data @- "http://$alerts_at/api/v2/alerts"
silenced() {
    curl -fsS "http://$alerts_at/api/v2/alerts" |
        jq -ce '[.[] | select(.status.state == "suppressed") | .labels | [.instance, .alertname, .objective]] | sort' |
        grep -Fx '[["ill","McpaceObjectiveMissed","p95 < 1s"],["well","McpaceObjectiveBurning","p50 < 1s"]]'
}
eventually "that two of six alerts are silenced" silenced
echo "check-prometheus: a generator in trouble silences its target, and a fast burn the slow one"

failed=0
for which in 0 1; do
    wait "${runs[$which]}" || failed=1
    cat "$work/run$((which + 2)).log"
done
[ "$failed" -eq 0 ] || fail "a run under Prometheus did not pass"
