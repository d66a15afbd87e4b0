#!/usr/bin/env bash
# Starts nginx and Caddy with the examples beside this file, changed only in names, ports and certificates, in front of a
# running service, and calls it through them.
#
#   scripts/with-service deploy/check-proxies.sh
#
# Needs nginx, caddy, curl, openssl and python3; takes the service from the environment.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
upstream=${FACEGATE_URL#http://}
name=face.example.com

folder=$(mktemp -d)
running=()
clean() {
    [ ${#running[@]} = 0 ] || kill "${running[@]}" 2>/dev/null || true
    wait
    rm -r "$folder"
}
trap clean EXIT
chmod 755 "$folder"

read -r plain nginx_port caddy_port < <(python3 -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*[s.getsockname()[1] for s in sockets])')
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj "/CN=$name" \
    -addext "subjectAltName=DNS:$name" -keyout "$folder/key" -out "$folder/certificate" 2>/dev/null

# adapt SOURCE TARGET FROM TO...: replaces texts, each of which must be there.
adapt() {
    python3 - "$@" <<'PYTHON'
import sys

source, target, *pairs = sys.argv[1:]
text = open(source).read()
for old, new in zip(pairs[::2], pairs[1::2]):
    assert old in text, f"{source}: no {old!r}"
    text = text.replace(old, new)
open(target, "w").write(text)
PYTHON
}

fail() {
    echo "$1" >&2
    tail -n 5 "$folder"/*.log >&2
    exit 1
}

# through PROXY PORT: one picture is analysed, one file is too large, everything else stays inside.
through() {
    local proxy=$1 port=$2 base=https://$name:$2
    local call=(curl --silent --show-error --max-time 60 --cacert "$folder/certificate" --resolve "$name:$port:127.0.0.1")
    local status=("${call[@]}" --output /dev/null --write-out '%{http_code}')
    for _ in $(seq 300); do
        [ "$("${status[@]}" "$base/readyz" 2>/dev/null)" != 200 ] || break
        sleep 0.1
    done
    [ "$("${call[@]}" "$base/readyz")" = ready ] || fail "$proxy: not ready"
    { printf '{"sessionId":"%s","faceImageBase":"' "$proxy"; base64 <"$FACEGATE_PICTURE" | tr -d '\n'; printf '"}'; } >"$folder/body"
    "${call[@]}" --user "$FACEGATE_USER:$FACEGATE_PASSWORD" --header 'Content-Type: application/json' \
        --header 'X-Request-Id: forged by the caller' --dump-header "$folder/headers" \
        --data-binary "@$folder/body" "$base/api/v1/face/detect" >"$folder/answer"
    grep -q "\"sessionId\":\"$proxy\",\"hasError\":false" "$folder/answer" || fail "$proxy: $(cat "$folder/answer")"
    grep -qi '^strict-transport-security: max-age' "$folder/headers" || fail "$proxy: no Strict-Transport-Security"
    grep -Eqi '^x-request-id: [0-9a-f-]{32,36}' "$folder/headers" || fail "$proxy: its request id did not arrive"
    [ "$("${status[@]}" "$base/")" = 404 ] || fail "$proxy: the playground is outside"
    truncate --size 17M "$folder/large"
    [ "$("${status[@]}" --user "$FACEGATE_USER:$FACEGATE_PASSWORD" --header 'Content-Type: application/json' \
        --data-binary "@$folder/large" "$base/api/v1/face/detect")" = 413 ] || fail "$proxy: takes a body that is too large"
    echo "$proxy: passes calls on"
}

adapt "$here/nginx.conf" "$folder/nginx.conf" \
    'listen 80;' "listen 127.0.0.1:$plain;" 'listen [::]:80;' '' \
    'listen 443 ssl http2;' "listen 127.0.0.1:$nginx_port ssl http2;" 'listen [::]:443 ssl http2;' '' \
    127.0.0.1:8080 "$upstream" /etc/nginx/facegate.crt "$folder/certificate" /etc/nginx/facegate.key "$folder/key" \
    /run/nginx.pid "$folder/nginx.pid" /var/log/nginx/facegate.log "$folder/nginx-access.log"
nginx -q -t -c "$folder/nginx.conf" -g "error_log $folder/nginx.log;"
nginx -c "$folder/nginx.conf" -g "daemon off; error_log $folder/nginx.log;" &
running+=($!)
through nginx "$nginx_port"
[ "$(curl --silent --output /dev/null --write-out '%{redirect_url}' --header "Host: $name" "http://127.0.0.1:$plain/readyz")" = "https://$name/readyz" ] ||
    fail "nginx: does not lead to TLS"
curl --silent --insecure --output /dev/null --write-out '%{http_code}\n' --resolve "$name:$nginx_port:127.0.0.1" \
    "https://$name:$nginx_port/api/v1/face/detect?[1-40]" | sort | uniq -c >"$folder/statuses.log"
grep -q ' 429$' "$folder/statuses.log" || fail "nginx: does not limit the rate"
if grep -q "$FACEGATE_USER" "$folder/nginx-access.log"; then fail "nginx: logs user names"; fi

adapt "$here/Caddyfile" "$folder/Caddyfile" 127.0.0.1:8080 "$upstream" \
    "$name {" "{
	admin off
	auto_https disable_redirects
}
$name:$caddy_port {
	bind 127.0.0.1
	tls $folder/certificate $folder/key"
export HOME=$folder XDG_DATA_HOME=$folder XDG_CONFIG_HOME=$folder
caddy validate --config "$folder/Caddyfile" --adapter caddyfile >"$folder/caddy-validate.log" 2>&1 || fail "caddy: invalid"
caddy run --config "$folder/Caddyfile" --adapter caddyfile >"$folder/caddy.log" 2>&1 &
running+=($!)
through caddy "$caddy_port"
