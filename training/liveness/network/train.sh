#!/bin/sh
# Everything in one command: sources, drawn pairs, the network, its whole numbers.
# Usage: train.sh DATA MODELS [CACHE]     (DATA holds the sets; MODELS is facegate's model folder; packages: requirements.txt)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=$1 models=$2 cache=${3:-$(mktemp -d)}
python=${PYTHON:-python3}
OMP_NUM_THREADS=1 "$python" "$here/draw.py" --data "$data" --detector "$models/detector.onnx" --cache "$cache"
"$python" "$here/train.py" --cache "$cache" --out "$here/../../../crates/face-models/weights/liveness.onnx"
