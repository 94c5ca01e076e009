#!/usr/bin/env bash
# Proves the way to a target against a real nginx in front of the bundled server: a private authority, a required client
# certificate, HTTP/2 over TLS and by prior knowledge, and connections that the proxy gives up after 1000 requests.
#
#   .ci/check-nginx.sh target/debug/mcpace
#
# Needs a Debian machine; what is missing there is fetched by apt. Nothing is started as a service and nothing is left
# running. A tool that cannot be had is a failure.
set -euo pipefail

fail() { echo "check-nginx: $*" >&2; exit 1; }

[ $# -eq 1 ] || fail "give the path of a built mcpace binary"
mcpace=$(realpath "$1")
[ -x "$mcpace" ] || fail "$1 is not a program: build it first"
work=$(mktemp -d)
started=()

cleanup() {
    local pid
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

missing=()
PATH=$PATH:/usr/sbin
command -v nginx > /dev/null || missing+=(nginx-light)
command -v openssl > /dev/null || missing+=(openssl)
command -v jq > /dev/null || missing+=(jq)
if [ ${#missing[@]} -gt 0 ]; then
    as_root apt-get update -q >&2
    # Installed as a tool: the package's own service stays off.
    as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -q -y --no-install-recommends "${missing[@]}" >&2
fi

# --- certificates -----------------------------------------------------------------------------------------------------

cd "$work"
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout "$1.key" -out "$1.pem" \
        -subj "/CN=$1" -addext basicConstraints=critical,CA:TRUE 2> /dev/null
}
signed() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$1" 2> /dev/null
    printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n' > "$1.ext"
    openssl x509 -req -in "$1.csr" -CA ours.pem -CAkey ours.key -CAcreateserial -days 2 -extfile "$1.ext" -out "$1.pem" 2> /dev/null
}
authority ours
authority other
signed server
signed client
# The older form of a key, as `openssl ec` writes it, and all in one file.
openssl ec -in client.key -out client.sec1 2> /dev/null
cat client.pem client.key > client.both
printf 'proxy-token-%s\n' "$(openssl rand -hex 12)" > token

# --- the server and the proxy -----------------------------------------------------------------------------------------

free_port() {
    local port
    for port in $(seq $((20000 + $$ % 1000 * 10)) 31999); do
        (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null || { [ "$port" -gt "${last_port:-0}" ] && { last_port=$port; return; }; }
    done
    fail "no free port"
}

mkfifo lifeline
"$mcpace" serve --exit-with-stdin --port 0 < lifeline > serve.out 2> serve.err &
started+=($!)
exec 4> lifeline
for _ in $(seq 100); do grep -q 'listening on' serve.out && break; sleep 0.1; done
upstream=$(sed -n 's|.*http://\([^/ ]*\).*|\1|p' serve.out | head -1)
[ -n "$upstream" ] || fail "mcpace serve did not start: $(cat serve.err)"

free_port; tls_port=$last_port
free_port; clear_port=$last_port
free_port; old_port=$last_port
free_port; old_clear_port=$last_port
mkdir tmp
cat > nginx.conf << CONF
pid $work/nginx.pid;
error_log $work/error.log info;
events { worker_connections 1024; }
http {
    log_format seen '\$server_protocol verify=\$ssl_client_verify status=\$status token=\$http_authorization connection=\$connection';
    access_log $work/access.log seen;
    client_body_temp_path $work/tmp; proxy_temp_path $work/tmp; fastcgi_temp_path $work/tmp;
    uwsgi_temp_path $work/tmp; scgi_temp_path $work/tmp;
    keepalive_requests 1000;
    upstream payments { server $upstream; keepalive 64; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host localhost;
    proxy_buffering off;
    ssl_certificate $work/server.pem;
    ssl_certificate_key $work/server.key;
    ssl_client_certificate $work/ours.pem;
    server {
        listen 127.0.0.1:$tls_port ssl http2;
        ssl_verify_client on;
        location / { proxy_pass http://payments; }
    }
    server {
        listen 127.0.0.1:$clear_port http2;
        location / { proxy_pass http://payments; }
    }
    server {
        listen 127.0.0.1:$old_port ssl;
        location / { proxy_pass http://payments; }
    }
    server {
        listen 127.0.0.1:$old_clear_port;
        location / { proxy_pass http://payments; }
    }
}
CONF
nginx -p "$work" -c nginx.conf -e "$work/error.log" -g 'daemon off;' 2> nginx.err &
started+=($!)
for _ in $(seq 100); do (exec 3<> "/dev/tcp/127.0.0.1/$tls_port") 2> /dev/null && break; sleep 0.1; done
(exec 3<> "/dev/tcp/127.0.0.1/$tls_port") 2> /dev/null || fail "nginx did not start: $(cat nginx.err error.log)"

# --- what must be well ------------------------------------------------------------------------------------------------

tls=https://localhost:$tls_port clear=http://127.0.0.1:$clear_port old=https://localhost:$old_port
known=(--ca-cert ours.pem --client-cert client.pem --client-key client.key)

# name, lines of the access log that must hold this, then the arguments of `mcpace run`
passes() {
    local name=$1 seen=$2 calls
    shift 2
    : > access.log
    timeout 120 "$mcpace" run --mixed --metrics off "$@" --out run.json \
        --objective 'error_rate <= 0%' > out 2> err || fail "$name: exit $?: $(cat out err)"
    grep -q PASS out || fail "$name: no PASS: $(cat out)"
    calls=$(jq '[.. | objects | select(has("total")) | .total] | first // empty' run.json)
    [ "$(grep -c "$seen" access.log)" -ge "${calls:-1}" ] || fail "$name: not all calls came as '$seen': $(head -3 access.log)"
    [ "$(grep -cv "$seen" access.log)" -eq 0 ] || fail "$name: some came otherwise: $(grep -v "$seen" access.log | head -3)"
    echo "$name: $(wc -l < access.log) requests over $(sed 's/.*connection=//' access.log | sort -u | wc -l) connections"
}

# With one call at a time, none is on its way when nginx gives the connection up: not one may be lost, over three of them.
load=(--rate 200 --total 2400 --concurrent 1)
passes 'HTTP/1.1 over TLS, client certificate' 'HTTP/1.1 verify=SUCCESS' "$tls" "${known[@]}" "${load[@]}"
passes 'HTTP/2 over TLS, client certificate' 'HTTP/2.0 verify=SUCCESS' "$tls" "${known[@]}" --http2 "${load[@]}"
passes 'HTTP/2 by prior knowledge' 'HTTP/2.0 verify=- ' "$clear" --http2 "${load[@]}"
# Many at a time, on a connection that lasts.
passes 'HTTP/2 over TLS, calls side by side' 'HTTP/2.0 verify=SUCCESS' "$tls" "${known[@]}" --http2 --rate 300 --total 800 --arrivals poisson
passes 'a connection for each call over HTTP/2' 'HTTP/2.0 verify=SUCCESS' "$tls" "${known[@]}" --http2 --connect-per-call \
    --rate 50 --total 100
passes 'an older key' 'HTTP/2.0 verify=SUCCESS' "$tls" --ca-cert ours.pem --client-cert client.pem --client-key client.sec1 \
    --http2 --rate 100 --total 50
passes 'certificate and key in one file, a token' "verify=SUCCESS status=20. token=Bearer $(cat token)" "$tls" \
    --ca-cert ours.pem --client-cert client.both --http2 --rate 100 --total 50 --bearer-token-file token
! grep -q "$(cat token)" out err run.json || fail "the token is in the output"
passes 'any certificate' 'HTTP/1.1' "$old" --insecure --rate 100 --total 50
grep -q -- '--insecure' out || fail "the report does not say that no certificate was checked: $(cat out)"

# --- what must be refused ---------------------------------------------------------------------------------------------

refused() {
    local name=$1 code=$2 words=$3 exit=0
    shift 3
    timeout 60 "$mcpace" run "$@" --metrics off > out 2> err || exit=$?
    [ $exit -eq "$code" ] || fail "$name: exit $exit, not $code: $(cat out err)"
    tr -s '\n ' ' ' < err | grep -q -- "$words" || fail "$name: no '$words' in: $(cat err)"
    echo "$name: refused"
}

refused 'another authority' 5 'UnknownIssuer' "$tls" --ca-cert other.pem --client-cert client.pem --client-key client.key
refused 'no client certificate' 5 'No required SSL certificate was sent' "$tls" --ca-cert ours.pem
refused 'a client certificate that is not known' 5 'failed to' "$tls" --ca-cert ours.pem --client-cert other.pem --client-key other.key
refused 'a key of another certificate' 2 'other.key\|client.pem' "$tls" --ca-cert ours.pem --client-cert client.pem --client-key other.key
refused 'no authority' 2 'BEGIN CERTIFICATE' "$tls" --ca-cert token
refused 'HTTP/2 over TLS where it is not offered' 5 'leave out --http2' "$old" --insecure --http2
refused 'HTTP/2 by prior knowledge where it is not spoken' 5 'leave out --http2' "http://127.0.0.1:$old_clear_port" --http2
echo 'nginx: all well'
