#!/usr/bin/env bash
# Proves against a real Prometheus what dashboards and alerts rest on: a run is scraped each second, and the final
# counters equal the saved run's. Also checks prometheus.yml, the rules, their tests, the dashboards' expressions and
# docker-compose.yml.
#
#   .ci/check-prometheus.sh target/release/mcpace
#
# Needs a Debian machine; what is missing there is fetched by apt. Nothing is started as a service and nothing is left
# running. A tool that cannot be had is a failure.
set -euo pipefail

fail() { echo "check-prometheus: $*" >&2; exit 1; }

[ $# -eq 1 ] || fail "give the path of a built mcpace binary"
mcpace=$(realpath "$1")
[ -x "$mcpace" ] || fail "$1 is not a program: build it first"
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
started=()

cleanup() {
    local pid
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT

# --- tools ------------------------------------------------------------------------------------------------------------

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

# Unpacks a package of a Debian suite into $work/PACKAGE, with package lists of its own: the system is left as it is.
fetch() {
    local suite=$1 package=$2 apt=$work/apt-$1 mirror options
    # Which mirror this machine uses is known only after its lists were fetched once.
    [ -e "$work/updated" ] || { as_root apt-get update -q >&2; touch "$work/updated"; }
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sed -n 1p)
    [ -n "$mirror" ] || fail "apt knows no Debian mirror: $package cannot be had"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$work/$package"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" > "$apt/sources.list"
    options=(-q -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=-
        -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update >&2
    (cd "$work/$package" && apt-get "${options[@]}" download "$package" >&2 && dpkg -x ./*.deb .)
}

missing=()
for tool in curl jq; do command -v "$tool" > /dev/null || missing+=("$tool"); done
if [ ${#missing[@]} -gt 0 ]; then
    as_root apt-get update -q >&2
    touch "$work/updated"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >&2
fi
if ! command -v prometheus > /dev/null || ! command -v promtool > /dev/null; then
    fetch bookworm prometheus
    PATH=$work/prometheus/usr/bin:$PATH
fi
compose() { docker compose "$@"; }
if ! docker compose version > /dev/null 2>&1; then
    # Bookworm's own docker-compose is v1. The plugin is a program that needs no engine to check a file.
    fetch trixie docker-compose
    plugin=$work/docker-compose/usr/libexec/docker/cli-plugins/docker-compose
    compose() { "$plugin" "$@"; }
fi
for tool in curl jq prometheus promtool; do command -v "$tool" > /dev/null || fail "there is no $tool"; done
compose version || fail "there is no docker compose"

# --- files ------------------------------------------------------------------------------------------------------------

promtool check config prometheus.yml
promtool check rules prometheus/alerts.yml
promtool test rules prometheus/alerts.test.yml
compose -f docker-compose.yml --env-file /dev/null config --quiet
compose -f docker-compose.yml --env-file env.example config --format json > "$work/compose.json"
jq -e '[.services[].ports[]? | select(.host_ip != "127.0.0.1")] == []' "$work/compose.json" > /dev/null ||
    fail "docker-compose.yml publishes something beyond the loopback address"

# --- a run under a real Prometheus --------------------------------------------------------------------------------------

# A port below the ephemeral range that nobody listens on.
free_port() {
    local port
    for _ in $(seq 100); do
        port=$((20000 + RANDOM % 10000))
        if ! (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then echo "$port"; return; fi
    done
    fail "no free port was found"
}

# Waits up to 15 s until a command succeeds.
eventually() {
    local what=$1
    shift
    for _ in $(seq 150); do
        if "$@" > /dev/null 2>&1; then return; fi
        sleep 0.1
    done
    fail "$what did not happen within 15 s"
}

# The server lives as long as descriptor 9 is open.
mkfifo "$work/lifeline"
"$mcpace" serve --port 0 --exit-with-stdin < "$work/lifeline" > "$work/serve.out" 2> "$work/serve.err" &
started+=($!)
exec 9> "$work/lifeline"
eventually "the server's start" grep -q 'http://' "$work/serve.out"
url=$(grep -o 'http://[^ ]*' "$work/serve.out" | head -n 1)

metrics=127.0.0.1:$(free_port)
prometheus_at=127.0.0.1:$(free_port)
cat > "$work/prometheus.yml" <<YAML
global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
rule_files: ["$root/prometheus/alerts.yml"]
scrape_configs:
  - job_name: mcpace
    static_configs: [{ targets: ["$metrics"] }]
YAML
prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" --web.listen-address="$prometheus_at" \
    9>&- > "$work/prometheus.log" 2>&1 &
started+=($!)
eventually "Prometheus' start" curl -fsS "http://$prometheus_at/-/ready"

"$mcpace" run --url "$url" --mixed --rate 200 --warmup 2s --duration 20s --seed 7 --objective 'p95 < 150ms' \
    --objective 'error_rate < 5%' --metrics "$metrics" --linger 30s --out "$work/run.json" \
    9>&- > "$work/run.out" 2> "$work/run.err" &
run=$!
started+=("$run")

eventually "the run's metrics" curl -fsS "http://$metrics/healthz"
query() { curl -fsS "http://$prometheus_at/api/v1/query" --data-urlencode "query=$1"; }
scraped_often() { query 'count_over_time(mcpace_run_info[1m]) > 4' | jq -e '.data.result | length == 1'; }
# Prometheus looks for new targets only every five seconds at first.
eventually "the fifth scrape" scraped_often
curl -fsS "http://$metrics/metrics" > "$work/page.txt"
lint=$(promtool check metrics < "$work/page.txt" 2>&1) || fail "promtool check metrics: $lint"
[ -z "$lint" ] || fail "promtool check metrics: $lint"

# Every expression of every dashboard is understood and, but for failures that did not happen, answered.
jq -r '.panels[].targets[]?.expr' grafana/dashboards/*.json | sort -u |
    sed -E 's/\$__rate_interval/5s/g; s/"\$[a-z]+"/".+"/g' > "$work/expressions"
while IFS= read -r expression; do
    answer=$(query "$expression" 9>&-) || fail "Prometheus does not understand: $expression"
    case $expression in
        *'> 0') continue ;;
    esac
    jq -e '.data.result | length > 0' <<< "$answer" > /dev/null || fail "no data: $expression"
done < "$work/expressions"

code=0
wait "$run" || code=$?
[ "$code" -le 1 ] || [ "$code" -eq 3 ] || [ "$code" -eq 4 ] || { cat "$work/run.err" >&2; fail "the run ended with exit code $code"; }
[ -s "$work/run.json" ] || fail "the run saved nothing"

# --- the final counters are the saved run's -----------------------------------------------------------------------------

# The last scraped values of the judged part, of a metric without its prefix, added up by a label.
scraped() { query "sum by ($2) (last_over_time(mcpace_$1{phase=\"measure\"}[10m]))" | jq '.data.result'; }
number() { jq '.[0].value[1] // "0" | tonumber' <<< "$(scraped "$1" '')"; }

{
    echo '{'
    for name in scheduled sent dropped abandoned substituted; do
        echo "\"$name\": $(number "arrivals_${name}_total"),"
    done
    echo "\"ended\": $(number response_time_seconds_count),"
    echo "\"replies\": $(number service_time_seconds_count),"
    echo "\"picked_up\": $(number pacing_lag_seconds_count),"
    echo "\"response_time\": $(number response_time_seconds_sum),"
    echo "\"service_time\": $(number service_time_seconds_sum),"
    echo "\"outcomes\": $(scraped calls_total outcome |
        jq 'map({key: .metric.outcome, value: (.value[1] | tonumber)}) | map(select(.value > 0)) | from_entries')"
    echo '}'
} > "$work/scraped.json"

jq '
    def seconds: if type == "object" then .secs + .nanos / 1e9 else 0 end;
    # Counts of a histogram are not saved as a number; what ended in which way says how many there must be.
    def incomplete: ["timeout_no_byte", "timeout_headers_only", "timeout_truncated", "disconnected", "unreachable",
        "no_local_resource"];
    [.summary.series[].measure] as $all
    | def total(f): [$all[] | f] | add // 0;
    ([$all[].outcomes | to_entries[]] | group_by(.key) | map({key: .[0].key, value: (map(.value) | add)})
        | from_entries) as $outcomes
    | {
        scheduled: total(.scheduled),
        dropped: total(.dropped),
        abandoned: total(.abandoned),
        substituted: total(.substituted),
        ended: (total(.dropped) + total(.abandoned) + ([$outcomes[]] | add // 0)),
        replies: ([$outcomes | to_entries[] | select(.key as $key | incomplete | index($key) | not) | .value] | add // 0),
        picked_up: total(.scheduled),
        response_time: (total(.response_time.sum | seconds) + total(.given_up | seconds)),
        service_time: total(.service_time.sum | seconds),
        outcomes: $outcomes
    }' "$work/run.json" > "$work/saved.json"

# How many were sent is not saved; where every call was answered, it is how many were.
jq -n --slurpfile scraped "$work/scraped.json" --slurpfile saved "$work/saved.json" '
    $scraped[0] as $scraped | $saved[0] as $saved
    | def near($key): ($scraped[$key] - $saved[$key]) | fabs < 1e-6 * ($saved[$key] + 1);
    {
        differ: ([$saved | keys[] | select(. != "response_time" and . != "service_time")
            | select($scraped[.] != $saved[.])] + [("response_time", "service_time") | select(near(.) | not)]),
        empty: ($saved.scheduled == 0 or ($saved.outcomes.ok // 0) == 0),
        unsent: ($scraped.sent < $saved.replies or $scraped.sent > $saved.scheduled)
    }' > "$work/differences.json"
jq -e '.differ == [] and (.empty or .unsent | not)' "$work/differences.json" > /dev/null || {
    jq -n --slurpfile scraped "$work/scraped.json" --slurpfile saved "$work/saved.json" \
        --slurpfile difference "$work/differences.json" \
        '{difference: $difference[0], scraped: $scraped[0], saved: $saved[0]}' >&2
    fail "the final scraped counters are not the saved run's"
}
query 'last_over_time(mcpace_run_state{state="ended"}[10m])' | jq -e '.data.result[0].value[1] == "1"' > /dev/null ||
    fail "the last scrape was before the run's end"

echo "check-prometheus: the final counters are the saved run's: $(jq -c . "$work/scraped.json")"
