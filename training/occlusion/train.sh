#!/bin/sh
# Everything in one command: faces, split, coverings, training, export, measurement.
# Usage: train.sh DATA DETECTOR.onnx [CACHE]     (DATA holds masks/, live-hagrid/ and the others; packages: requirements.txt)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=$1 detector=$2 cache=${3:-$(mktemp -d)}
python=${PYTHON:-python3}
mkdir -p "$cache"
OMP_NUM_THREADS=1 "$python" "$here/train.py" --data "$data" --detector "$detector" --cache "$cache" --out "$here"
"$python" "$here/evaluate.py" --data "$data" --detector "$detector" --cache "$cache" --model "$here/occlusion.onnx" --drawn
