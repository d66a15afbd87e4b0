#!/usr/bin/env bash
# Has systemd verify the units beside this file and judge how exposed they leave the service, without starting anything.
#
#   deploy/check-units.sh PROGRAM      the built facegate
set -euo pipefail
program=$(realpath "$1")
cd "$(dirname "$0")"

folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
# systemd looks for the program where the unit says that it is.
for unit in *.service; do
    sed "s|/usr/local/bin/facegate|$program|" "$unit" >"$folder/$unit"
done
cd "$folder"
# Unknown keys are warnings for systemd; here they are errors.
systemd-analyze verify ./*.service 2>&1 | tee said
if grep -q facegate said; then exit 1; fi
for unit in *.service; do
    # Of 100, which is a service without any restriction; above 20 fails.
    systemd-analyze security --offline=true --no-pager --threshold=20 "./$unit" >report || { cat report; exit 1; }
    tail -n 1 report
done
