#!/usr/bin/env bash
# Checks the alert rules, and when they fire, with Prometheus' own promtool. Uses the one on the PATH; without it, takes it
# out of Debian's package into a temporary folder: installing that would start a server.
set -euo pipefail
cd "$(dirname "$0")"

retry=$(realpath ../../scripts/retry)
tool=$(command -v promtool || true)
if [ -z "$tool" ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    # Debian's downloader drops its rights and must be able to write here.
    chmod 755 "$folder"
    (cd "$folder" && "$retry" sh -c \
        '{ apt-get download prometheus || { apt-get update && apt-get download prometheus; }; } >/dev/null 2>&1')
    dpkg-deb --extract "$folder"/prometheus_*.deb "$folder"
    tool=$folder/usr/bin/promtool
fi

"$tool" check rules alerts.yaml
"$tool" test rules alerts.test.yaml
