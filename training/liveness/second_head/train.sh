#!/bin/sh
# Everything in one command: sources, pairs drawn as fr_liveness sees them, the head.
# Usage: train.sh DATA MODELS [CACHE]     (DATA holds the sets; MODELS is facegate's model folder; packages: requirements.txt)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=$1 models=$2 cache=${3:-$(mktemp -d)}
python=${PYTHON:-python3}
export OMP_NUM_THREADS=1
"$python" "$here/../network/draw.py" --data "$data" --detector "$models/detector.onnx" --cache "$cache" --pairs 12000 --widest 2.0 --side 128
"$python" "$here/fit.py" --cache "$cache" --network "$models/liveness_fr.onnx" --out "$here/../../../crates/face-analysis/src/liveness/simulated_fr.bin"
