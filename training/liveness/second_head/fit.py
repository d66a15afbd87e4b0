"""Fits the linear head on fr_liveness's features of drawn pairs, and writes its numbers.

What is fitted is the difference within each pair: which of two pictures of one person, light and camera is the live one.
"""

import argparse
from pathlib import Path

import numpy as np
import onnxruntime
from scipy.optimize import minimize

KINDS = ("masks", "prints", "replays")
# Inverse strength of the penalty on weights of standardised features, for each picture (two make a pair).
PENALTY = 1e-3
# A feature that hardly varies is not blown up by more than this: half of them vary by less than a thousandth of what the liveliest do, and
# with their own spread weights reach 50,000. From 1e-6 to this the head is worth the same.
LEAST_SPREAD = 0.01


def read(cache, network):
    """Features [n, 2, 512] (live first), kinds, and which pairs are withheld."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
    seen, kinds, withheld = [], [], []
    for path in sorted(cache.glob("drawn-*.npz")):
        with np.load(path) as drawn:
            planes = drawn["pictures"].transpose(0, 1, 4, 2, 3).astype(np.float32)
            seen += [session.run(["features"], {"input": pair})[0] for pair in planes]
            kinds.append(drawn["kinds"])
            withheld.append(drawn["withheld"])
    return np.array(seen, float), np.concatenate(kinds), np.concatenate(withheld)


def fitted(differences, kinds):
    """Weights that make differences positive: the logistic loss, every kind weighing the same, and a ridge penalty."""
    shares = 1 / np.bincount(kinds)[kinds] / len(np.unique(kinds))
    ridge = 1 / (2 * PENALTY * len(differences))

    def loss(weights):
        margin = differences @ weights
        wrong = 1 / (1 + np.exp(np.clip(margin, -50, 50)))
        value = shares @ np.logaddexp(0, -margin) + 0.5 * ridge * weights @ weights
        return value, ridge * weights - (shares * wrong) @ differences

    return minimize(loss, np.zeros(differences.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True, help="folder of ../network/draw.py")
    parser.add_argument("--network", type=Path, required=True, help="liveness_fr.onnx of the model folder")
    parser.add_argument("--out", type=Path, required=True, help="512 weights and what is added, 32-bit floats, little endian")
    options = parser.parse_args()
    seen, kinds, withheld = read(options.cache, options.network)
    all_ = seen[~withheld].reshape(-1, seen.shape[2])
    mean, spread = all_.mean(0), np.maximum(all_.std(0), LEAST_SPREAD)
    weights = fitted((seen[~withheld, 0] - seen[~withheld, 1]) / spread, kinds[~withheld])
    # In units of its own spread over the drawn pictures, 0 in their middle, the standardisation inside.
    values = (all_ - mean) / spread @ weights
    weights = weights / spread / values.std()
    added = -mean @ weights
    np.r_[weights, added].astype("<f4").tofile(options.out)
    for number, name in enumerate(KINDS):
        chosen = seen[withheld & (kinds == number)] @ weights
        print(f"{name}: {100 * (chosen[:, 0] > chosen[:, 1]).mean():.1f} % of {len(chosen)} withheld pairs in the right order")
    print(f"{(~withheld).sum()} pairs, {options.out.name} {options.out.stat().st_size} bytes, all ones: {weights.sum() + added:.4f}")


if __name__ == "__main__":
    main()
