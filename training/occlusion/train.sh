#!/bin/sh
# Everything in one command: faces, split, pack, training from nothing, export, measurement.
# Usage: train.sh DATA DETECTOR.onnx [CACHE]     (DATA holds masks/, live-hagrid/ and the others; packages: requirements.txt)
# MINUTES (60) is what the training takes, DRAWERS (2) the processes that draw; a graphics card is used if there is one.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=$1 detector=$2 cache=${3:-$(mktemp -d)}
python=${PYTHON:-python3}
mkdir -p "$cache"
[ -f "$cache/faces.npz" ] || "$python" "$here/prepare.py" --data "$data/masks" --detector "$detector" --cache "$cache"
[ -f "$cache/others.npz" ] || "$python" "$here/sources.py" --data "$data" --detector "$detector" --cache "$cache"
"$python" "$here/pack.py" --data "$data" --cache "$cache" --out "$cache/sources.npz"
OMP_NUM_THREADS=1 "$python" "$here/train.py" --pack "$cache/sources.npz" --out "$cache" --minutes "${MINUTES:-60}" --drawers "${DRAWERS:-2}"
cp "$cache/occlusion.onnx" "$here/occlusion.onnx"
"$python" "$here/evaluate.py" --data "$data" --detector "$detector" --cache "$cache" --model "$here/occlusion.onnx" --drawn
