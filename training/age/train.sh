#!/bin/sh
# Everything in one command: landmarks, chips, what the networks say, the fit, and how it carries over to left-out sets.
# Usage: train.sh FACEGATE DATA [WORK]     (DATA holds the five sets that MODEL_CARD.md names; packages: requirements.txt)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
facegate=$1 data=$2 work=${3:-$(mktemp -d)}
python=${PYTHON:-python3}
"$python" "$here/estimates.py" --facegate "$facegate" --data "$data" --out "$work"
"$python" "$here/fit.py" --estimates "$work" --out "$here/age.json"
