#!/bin/sh
# Everything in one command: faces, split, drawn occlusions, training, export, measurement. Took 16 minutes here, on little more than one core.
# Usage: train.sh DATA DETECTOR.onnx [CACHE]     (DATA holds bare/ and masked/; packages: requirements.txt)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=$1 detector=$2 cache=${3:-$(mktemp -d)}
python=${PYTHON:-python3}
"$python" "$here/train.py" --data "$data" --detector "$detector" --cache "$cache" --out "$here"
"$python" "$here/evaluate.py" --data "$data" --detector "$detector" --cache "$cache" --model "$here/occlusion.onnx" --drawn
