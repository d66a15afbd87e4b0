"""Fits the linear head on MiniFASNetV2's features of drawn pairs, and writes its numbers.

A head of 512 weights, strongly regularised, is all that carries over from drawn attacks to real ones: see MODEL_CARD.md.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from attacks import KINDS
from draw import read

SIDE = 80
# Inverse strength of the penalty on weights of standardised features. Chosen once, from 1e-5, 1e-4 and 1e-3.
PENALTY = 1e-4


def network(path):
    """MiniFASNetV2 of the model folder; what goes into its last matrix is its features."""
    graph = onnx.load(str(path))
    name = [n for n in graph.graph.node if n.op_type == "Gemm"][-1].input[0]
    if name not in [o.name for o in graph.graph.output]:
        graph.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", 512]))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"]), name


def features(network, pictures):
    session, name = network
    small = np.stack([cv2.resize(p, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for p in pictures]).astype(np.float32)
    parts = [small[i:i + 20].transpose(0, 3, 1, 2) for i in range(0, len(small), 20)]
    return np.concatenate([session.run([name], {"input": np.ascontiguousarray(p)})[0].reshape(len(p), -1) for p in parts])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True, help="folder of draw.py")
    parser.add_argument("--seed", type=int, default=3, help="seed of draw.py")
    parser.add_argument("--network", type=Path, required=True, help="liveness_v2.onnx of the model folder")
    parser.add_argument("--out", type=Path, required=True, help="512 weights and what is added, 32-bit floats, little endian")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    pictures, kinds, held, _ = read(options.cache, options.seed)
    seen = features(network(options.network), pictures.reshape(-1, *pictures.shape[2:]))
    live, held, kinds = np.tile([1, 0], len(kinds)), np.repeat(held, 2), np.repeat(kinds, 2)
    scale = StandardScaler().fit(seen[~held])
    model = LogisticRegression(C=PENALTY, max_iter=1000).fit(scale.transform(seen[~held]), live[~held])
    # In units of its own spread over the drawn pictures, the standardisation inside.
    spread = model.decision_function(scale.transform(seen[~held])).std()
    weights = (model.coef_[0] / scale.scale_ / spread).astype(np.float32)
    added = np.float32((model.intercept_[0] - (model.coef_[0] * scale.mean_ / scale.scale_).sum()) / spread)
    np.r_[weights, added].astype("<f4").tofile(options.out)
    score = seen @ weights + added
    for k, name in enumerate(KINDS):
        chosen = held & (kinds == k)
        print(f"{name}: AUC {roc_auc_score(live[chosen], score[chosen]):.3f} on {chosen.sum() // 2} withheld pairs")
    print(f"{(~held).sum() // 2} pairs, {options.out.name} {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
