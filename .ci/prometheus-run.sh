#!/usr/bin/env bash
# A run with faults under one real Prometheus: every expression of every dashboard and rule returns data, what they say is
# what the report says, and the final counters are the saved run's. Called by check-prometheus.sh.
#
#   prometheus-run.sh NUMBER MCPACE PROMETHEUS PROMTOOL SERVER_URL SERVER_PID WORK
set -euo pipefail
port_block=$1 mcpace=$2 prometheus=$3 promtool=$4 url=$5 server_pid=$6 work=$7
started=()
. "$(dirname "$0")/prometheus-tools.sh"
trap cleanup EXIT
cd "$(dirname "$0")/.."
root=$PWD
version=$("$prometheus" --version 2>&1 | sed -n 's/^prometheus, version \([^ ]*\).*/\1/p')
mkdir -p "$work"

# --- the run, and who scrapes it ----------------------------------------------------------------------------------------

cat > "$work/plan.toml" <<'TOML'
name = "checked"
objectives = [
    "p95(create_payment) < 150ms",
    "p50 < 80ms",
    "mean < 2s",
    "max < 1500ms",
    "error_rate < 40%",
    "dropped < 1%",
    "rate >= 100/s",
]

[run]
warmup = "2s"
timeout = "1s"
concurrent = 30

[truth]
probe_idempotency = "5%"

[[flow]]
operations = { create_payment = 1, verify_payment = 1, get_wallet_balance = 1 }
load = "200/s for 26s"
TOML
"$mcpace" rules "$work/plan.toml" --scrape-interval 1s > "$work/rules.yml"
"$promtool" check rules "$work/rules.yml"

metrics=127.0.0.1:$(free_port)
prometheus_at=127.0.0.1:$(free_port)
cat > "$work/prometheus.yml" <<YAML
global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
rule_files: ["$work/rules.yml", "$root/prometheus/alerts.yml"]
scrape_configs:
  - job_name: mcpace
    static_configs: [{ targets: ["$metrics"] }]
YAML
"$prometheus" --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" \
    --web.listen-address="$prometheus_at" > "$work/prometheus.log" 2>&1 &
started+=($!)
eventually "Prometheus' start" curl -fsS "http://$prometheus_at/-/ready"

# Asks the Prometheus at $asked, of the instant $at.
asked=$prometheus_at at=
query() { curl -sS --fail-with-body "http://$asked/api/v1/query" --data-urlencode "query=$1" ${at:+--data-urlencode "time=$at"}; }

# Prometheus looks for targets only every five seconds at first: the run must not begin before it looks at ours.
is_looking() { query up | jq -e '.data.result | length == 1'; }
eventually "the first attempt to scrape" is_looking

# The server freezes now and then; just after that it will answer for a while, and hands are shaken.
answers_at_once() { curl -fsS -m 0.2 "${url%/mcp}/health"; }
stands_still() { ! answers_at_once; }
eventually "a freeze" stands_still
eventually "its end" answers_at_once
"$mcpace" run --url "$url" --plan "$work/plan.toml" --seed 7 --server-pid "$server_pid" --metrics "$metrics" \
    --linger 30s --out "$work/run.json" > "$work/run.out" 2> "$work/run.err" &
run=$!
started+=("$run")

eventually "the run's metrics" curl -fsS "http://$metrics/healthz"
# Late enough that the target has stood still, a call has timed out, and every window has been filled once.
is_late() { query "time() - mcpace_run_state_begin_timestamp_seconds{state=\"measure\"} > 15" | jq -e '.data.result | length == 1'; }
eventually "the run's fifteenth second" is_late
middle=$(date +%s)
curl -fsS "http://$metrics/metrics" > "$work/page.txt"
lint=$("$promtool" check metrics < "$work/page.txt" 2>&1) || fail "promtool check metrics: $lint"
[ -z "$lint" ] || fail "promtool check metrics: $lint"

code=0
wait "$run" || code=$?
[ "$code" -eq 1 ] || [ "$code" -eq 3 ] || { cat "$work/run.err" >&2; fail "the run ended with exit code $code"; }
[ -s "$work/run.json" ] || fail "the run saved nothing"

# --- every expression returns data ----------------------------------------------------------------------------------------

# With the variables of dashboards filled in as they are at first.
filled() { sed -E 's/\$__rate_interval/5s/g; s/\$window/5m/g; s/\$before/1h/g; s/\$(run|flow|operation|phase)/.*/g'; }
# Every comparison answers 0 or 1, so that there is an answer where its left side has one.
compared() { sed -E 's/ (>|==) ([0-9.]+)/ \1 bool \2/g'; }
jq -r '.panels[].targets[]?.expr, .annotations.list[].expr // empty' grafana/dashboards/*.json | sort -u > "$work/shown"
curl -fsS "http://$prometheus_at/api/v1/rules" > "$work/rules.json"
jq -r '.data.groups[].rules[] | .query' "$work/rules.json" | sort -u > "$work/ruled"
bad=$(jq -r '.data.groups[].rules[] | select(.health != "ok") | .name + ": " + .lastError' "$work/rules.json")
[ -z "$bad" ] || fail "rules that cannot be evaluated: $bad"

# Every expression of a file, one a line, returns data.
answers() {
    local expression answer count=0
    while IFS= read -r expression; do
        answer=$(query "$expression") || fail "Prometheus $version does not understand: $expression"
        jq -e '.data.result | length > 0' <<< "$answer" > /dev/null || fail "Prometheus $version has no data: $expression"
        count=$((count + 1))
    done < "$1"
    [ "$count" -ge "$2" ] || fail "only $count expressions were found"
    echo "prometheus $version: $count expressions return data: $3"
}

grep -vE '\$(window|before)' "$work/shown" | sed 's/ > 0$/ > bool 0/' | filled > "$work/short"
compared < "$work/ruled" > "$work/compared"
at=$middle
answers "$work/short" 60 "panels and annotations, during the run"
answers "$work/compared" 90 "rules, of alerts without their comparisons"

# Long windows and what was hours before: the page that was scraped is what counters have come to over hours.
steps=180
awk -v end="$middle" -v steps=$steps '
    /^#/ || NF < 2 { next }
    {
        value = $NF
        series = substr($0, 1, length($0) - length(value) - 1)
        name = series
        sub(/[{].*/, "", name)
        if (series ~ /[{]/) sub(/[}]$/, ",job=\"mcpace\",instance=\"m:9464\"}", series)
        else series = series "{job=\"mcpace\",instance=\"m:9464\"}"
        all[++count] = series
        values[count] = value
        grows[count] = name ~ /_(total|bucket|count|sum)$/
    }
    END {
        for (step = 0; step <= steps; step++) for (i = 1; i <= count; i++) {
            value = grows[i] ? sprintf("%.9f", values[i] * step / steps) : values[i]
            print all[i], value, end - (steps - step) * 60
        }
        print "# EOF"
    }' "$work/page.txt" > "$work/hours.txt"
"$promtool" tsdb create-blocks-from openmetrics "$work/hours.txt" "$work/hours" > "$work/backfill.log" 2>&1 ||
    { tail -n 5 "$work/backfill.log" >&2; fail "promtool made no blocks"; }
echo 'global: {}' > "$work/hours.yml"
hours_at=127.0.0.1:$(free_port)
"$prometheus" --config.file="$work/hours.yml" --storage.tsdb.path="$work/hours" --web.listen-address="$hours_at" \
    > "$work/hours.log" 2>&1 &
started+=($!)
eventually "the start of the Prometheus with hours" curl -fsS "http://$hours_at/-/ready"
asked=$hours_at
# What rules record is not on the page of a generator: it was asked for above.
grep -E '\$(window|before)' "$work/shown" | grep -v 'objective:' | filled > "$work/long"
grep -E '\[6m\]' "$work/ruled" > "$work/long-rules"
answers "$work/long" 14 "long windows and the same time before, on hours of data"
answers "$work/long-rules" 9 "the long windows of rules, on hours of data"

# --- they say what the report says ----------------------------------------------------------------------------------------

checked=0
value() {
    local answer
    answer=$(query "$1") || fail "Prometheus $version does not understand: $1: $answer"
    jq -r ".data.result[0].value[1] // \"none\"" <<< "$answer"
}
# A value is the wanted one, or as near as it must be.
same() {
    local what=$1 wanted=$2 near=$3 found
    found=$(value "$4") || exit 1
    jq -en --arg found "$found" --arg wanted "$wanted" --argjson near "$near" \
        '$found == $wanted or (try (($found | tonumber) - ($wanted | tonumber) | fabs <= $near) catch false)' > /dev/null ||
        fail "Prometheus $version: $what is $found, and $wanted in the report (within $near): $4"
    checked=$((checked + 1))
}
# The expression of a panel, by dashboard, title and query, over the window $whole.
panel() {
    jq -er --arg title "$2" --arg ref "${3:-A}" \
        '.panels[] | select(.title == $title) | .targets[] | select(.refId == $ref) | .expr' "grafana/dashboards/$1.json" |
        sed "s/\$__rate_interval/${whole}s/g" | filled
}
# A time of the report in seconds.
seconds() { awk '{ unit = $2; print $1 * (unit == "ms" ? 1e-3 : unit == "µs" ? 1e-6 : unit == "ns" ? 1e-9 : 1) }'; }

# Where nothing has changed, nothing has.
whole=300
same "change of service time on a straight line" 0 1e-6 "$(panel soak 'Change of mean service time')"
same "memory drift on a straight line" 0 1e-6 "$(panel soak 'Memory drift' B)"

asked=$prometheus_at
at=$(curl -fsS "http://$asked/api/v1/query_range" --data-urlencode 'query=mcpace_run_state{state="ended"} == 1' \
    -d "start=$middle&end=$(date +%s)&step=0.5" | jq -r '.data.result[0].values[0][0] // empty')
[ -n "$at" ] || fail "the last scrape was before the run's end"
begun=$(value 'mcpace_run_state_begin_timestamp_seconds{state="starting"}')
# From before the first arrival to the end, so that what is divided has grown in the same time.
whole=$(jq -n "($at - $begun) | ceil + 1")
judged=$(jq '[.summary.series[].measure.scheduled] | add' "$work/run.json")

same "the verdict" 1 0 "mcpace_run_verdict{verdict=\"$(sed -n 2p "$work/run.out" | awk '{ print tolower($1) }')\"}"
same "all arrivals" "$(jq .summary.due "$work/run.json")" 0 "$(panel soak Arrivals)"
same "the error rate" \
    "$(jq "1 - ([.summary.series[].measure.outcomes.ok // 0] | add) / $judged" "$work/run.json")" 1e-6 \
    "$(panel run 'Error rate' | sed 's/phase=~"\.\*"/phase="measure"/g')"
same "the achieved rate" "$(sed -n 's/.*achieved rate *\([0-9.]*\)\/s.*/\1/p' "$work/run.out")" 12 \
    "$(panel run 'Achieved rate' | sed 's/phase=~"\.\*"/phase="measure"/g') * $whole / 24"
for operation in create_payment verify_payment get_wallet_balance; do
    # Interpolated within a bucket: as near as that is wide.
    same "p50 of $operation" "$(awk -v name=$operation '$1 == name { print $(NF - 5), $(NF - 4); exit }' <(grep -A9 '^BY OPERATION' "$work/run.out" |
        sed 's/no reply/inf s/g') | seconds)" 0.025 \
        "max($(panel run 'Response time' A | sed 's/phase=~"\.\*"/phase="measure"/g; s/operation=~"\.\*"/operation="'$operation'"/g'))"
done
# The buckets of pacing lag are up to two and a half times as wide as their lower bound, and within one a quantile is a guess.
lag=$(awk '$1 == "p99" { print $(NF - 1), $NF; exit }' "$work/run.out" | seconds)
same "p99 of pacing lag" "$lag" "$(awk -v lag="$lag" 'BEGIN { print (lag > 0.002 ? 1.5 * lag : 0.003) }')" \
    "$(panel generator 'Pacing lag' B | sed 's/phase=~"\.\*"/phase="measure"/g')"
for kind in wrong_amount double_charge; do
    same "broken promises of $kind" "$(awk -v kind=$kind '$1 == kind && $3 == "calls:" { print $2; exit }' "$work/run.out")" 0 \
        "mcpace_violations_total{kind=\"$kind\"}"
done
same "the mean of the target's memory" \
    "$(jq '[.summary.usage.cells[].memory | select(.)] | ([.[][1]] | add) / ([.[][0]] | add)' "$work/run.json")" 1e6 \
    "avg_over_time(mcpace_target_memory_bytes[${whole}s])"
same "the most that was in flight" 30 0 "max_over_time(mcpace_calls_in_flight[${whole}s])"
# The server stands still for 1.5 s of every 8 s; that is seen twice a second.
same "how long the target stood still" 4.5 2.5 "$(panel soak 'Stood still')"

# Of each objective: how it stands, how much of what it allows was used, and how fast that burnt over the whole run.
objectives=0
while read -r standing used objective; do
    labels="objective=\"$objective\""
    case $standing in met) met=1 ;; MISSED) met=0 ;; *) met=none ;; esac
    same "how $objective stands" "$met" 0 "mcpace_objective_met{$labels}"
    left=$(jq -n "1 - $used / 100")
    same "the budget left of $objective" "$left" 0.006 "mcpace_objective_budget_left_ratio{$labels}"
    burn=$(jq -r --arg objective "$objective" '.data.groups[].rules[]
        | select(.type == "recording" and .labels.objective == $objective and .labels.window == "12s") | .query' "$work/rules.json")
    [ -n "$burn" ] || fail "no rule records the burn rate of $objective"
    case $objective in
        # Its windows are of its own, and where nothing is allowed there is no rate.
        rate* | max*) ;;
        # The report ends at twice what is allowed.
        *) same "the burn rate of $objective" "$(jq -n "$used / 100")" 0.006 "clamp_max(${burn//12s/${whole}s}, 2)" ;;
    esac
    objectives=$((objectives + 1))
done < <(sed -n '/^OBJECTIVES/,/^OVERALL/p' "$work/run.out" |
    sed -nE 's/^  (met|MISSED|open) +([a-z0-9_.]+(\([a-z_]+\))? [<>]=? [^ ]+) .* ([0-9.]+) %( or more)?$/\1 \4 \2/p')
[ "$objectives" -eq 7 ] || fail "$objectives of 7 objectives were found in the report"

at=$middle
same "the intended rate" 200 0 "$(panel run 'Intended rate')"
same "the time left" "$(jq -n "26 - ($middle - $(value 'min(mcpace_run_state_begin_timestamp_seconds{state=~"warmup|measure"})'))")" 1.5 \
    "$(panel run 'Time left')"
# The promises that are broken fired at some time; those that are kept never did.
at=
query 'max_over_time(ALERTS{alertstate="firing"}[2m])' > "$work/fired.json"
fired() { jq -e --arg name "$1" --arg objective "$2" '.data.result | any(.metric.alertname == $name and (.metric.objective // "") == $objective)' "$work/fired.json"; }
fired McpaceObjectiveBurning "p95(create_payment) < 150ms" > /dev/null || fail "a broken promise has not fired"
fired McpacePromiseBroken "" > /dev/null || fail "a broken promise about money has not fired"
for objective in "mean < 2s" "p50 < 80ms"; do
    ! fired McpaceObjectiveBurning "$objective" > /dev/null || fail "$objective has fired, and is kept"
done
echo "prometheus $version: $checked values are those of the report"
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

echo "prometheus $version: the final counters are the saved run's: $(jq -c . "$work/scraped.json")"
