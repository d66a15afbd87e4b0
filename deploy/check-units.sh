#!/usr/bin/env bash
# Has systemd verify the units beside this file and judge how exposed they leave the service, without starting them. Where
# this is root and may mount, a picture is then decoded and analysed under the service's restrictions (under-unit.py): the
# processes that decode confine themselves further, which no option of the unit may hinder.
#
#   deploy/check-units.sh PROGRAM [MODELS]      the built facegate, and a folder with its networks and pictures
set -euo pipefail
program=$(realpath "$1")
models=$(realpath "${2:-$("$program" models path)}")
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

[ "$(uname)" = Linux ] && unshare --mount true 2>/dev/null || exit 0
here=$OLDPWD
# Where any user may read and run it.
chmod 755 "$folder"
install -m 755 "$program" facegate
install -d models && install -m 644 "$models"/*.onnx "$models"/*.json "$models"/*.so models/
install -m 644 "$models/pictures/demo-portrait.jpg" .
# As it is, and as a kernel of 2018 or a sandbox of its time has it: without Landlock and close_range.
sed '/^SystemCallErrorNumber/i SystemCallFilter=~close_range landlock_create_ruleset' "$here/facegate.service" >old
for unit in "$here/facegate.service" old; do
    said=$(FACEGATE_MODELS_DIR=$folder/models python3 "$here/under-unit.py" "$unit" --exec "$folder/facegate" \
        --exec "$folder/models" "$folder/facegate" analyze "$folder/demo-portrait.jpg")
    grep -q '"hasError":false' <<<"$said" || { echo "under $unit: $said" >&2; exit 1; }
done
echo "under the unit's restrictions: decoded in a cell and analysed"
