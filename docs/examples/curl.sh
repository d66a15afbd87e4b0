#!/bin/sh
# Sends a picture to facegate and prints the answer.
#
#   FACEGATE_USER=ann FACEGATE_PASSWORD=… ./curl.sh portrait.jpg
set -eu
: "${FACEGATE_USER:?is not set}" "${FACEGATE_PASSWORD:?is not set}"
[ -r "$1" ] || { echo "$1 cannot be read" >&2; exit 2; }
url=${FACEGATE_URL:-http://127.0.0.1:8080}
# With --retry curl waits as Retry-After asks after 429 and 503, and also tries again after 408, 500, 502 and 504: in vain,
# but nothing is stored, so it does no harm. It prints the bodies of the tries before as well; a file has that of the last alone.
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

# The picture goes through a pipe: as an argument it would be too long for the command line. The password goes through a
# file descriptor: arguments can be read by other users of the machine.
{ printf '{"sessionId":"%s","faceImageBase":"' "curl-$$"; base64 <"$1" | tr -d '\n'; printf '"}'; } |
    curl --silent --show-error --max-time 60 --retry 3 --output "$answer" --data-binary @- \
        --header 'Content-Type: application/json' \
        --config /dev/fd/3 "$url/api/v1/face/detect" 3<<CONFIG
user = "$(printf %s "$FACEGATE_USER:$FACEGATE_PASSWORD" | sed 's/[\\"]/\\&/g')"
CONFIG
cat "$answer"
echo
