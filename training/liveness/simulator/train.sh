#!/bin/sh
# Everything in one command: sources, drawn pairs, the check that they do not give themselves away, the head.
# Usage: train.sh DATA MODELS [CACHE]     (DATA holds the sets; MODELS is facegate's model folder; packages: requirements.txt)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=$1 models=$2 cache=${3:-$(mktemp -d)}
python=${PYTHON:-python3}
weights=$here/../../../crates/face-analysis/src/liveness/simulated.bin
export OMP_NUM_THREADS=1
"$python" "$here/draw.py" --data "$data" --detector "$models/detector.onnx" --cache "$cache"
"$python" "$here/shallow.py" --cache "$cache"
"$python" "$here/head.py" --cache "$cache" --network "$models/liveness_v2.onnx" --out "$weights"
