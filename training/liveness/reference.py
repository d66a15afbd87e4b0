#!/usr/bin/env python3
"""Liveness answers for a given face box, computed without facegate's code: OpenCV averages the crops, ONNX Runtime judges.

The networks are those of facegate's model folder; training/check_conversion.py compares them with their sources. Crops end
between pixels, which OpenCV's INTER_AREA cannot do by itself: every pixel is repeated FINE times along both axes first, so that
crops end on whole ones (to 1 / FINE of a pixel). The expectations of the unit test `a_given_box_gives_the_reference_scores` in
crates/face-analysis/src/liveness.rs were printed by:

    python3 reference.py MODELS MODELS/pictures/astronaut.png 178.8 63.3 89.3 112.8

Printed are the probabilities of a flat attack, a live face and a shaped attack, and the log-odds of a live face; of the network of our
own those of live, mask, print and replay (it answers with logits).
Of the two published ones the texture as well: its first four numbers, and the mean of all.
Needs numpy, opencv-python-headless, onnx and onnxruntime.
"""

import sys

import cv2
import numpy as np
import onnx
import onnxruntime

# The network, its crop and its input.
JUDGES = (("liveness_v2.onnx", 2.7, 80), ("liveness_fr.onnx", 2.0, 128), ("liveness_own.onnx", 2.7, 112))
FINE = 8


def crop(picture, box, scale, side):
    """The box grown about its centre, at most to the picture, shifted inside where it would leave it; each value a mean."""
    height, width = picture.shape[:2]
    x, y, w, h = box
    scale = min(height / h, width / w, scale)
    new_w, new_h = w * scale, h * scale
    left = min(max(x + w / 2 - new_w / 2, 0), width - new_w)
    top = min(max(y + h / 2 - new_h / 2, 0), height - new_h)
    fine = picture.astype(np.float32).repeat(FINE, 0).repeat(FINE, 1)
    rows = slice(round(top * FINE), round((top + new_h) * FINE))
    columns = slice(round(left * FINE), round((left + new_w) * FINE))
    if min(new_w, new_h) < side:
        raise SystemExit("the crop would have to be enlarged, which this reference does not do")
    return cv2.resize(fine[rows, columns], (side, side), interpolation=cv2.INTER_AREA)


def texture(path, seen):
    """The spread over the map of what is squared in the converted network: the sum after its first residual stage."""
    model = onnx.load(path)
    squared = [n.input[0] for n in model.graph.node if n.op_type == "Mul" and n.input[0] == n.input[1]]
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(squared[0]))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run([squared[0]], {"input": seen})[0][0].std((1, 2))


def main():
    models, path, *box = sys.argv[1:]
    picture = cv2.imread(path)
    for name, scale, side in JUDGES:
        session = onnxruntime.InferenceSession(f"{models}/{name}")
        seen = crop(picture, [float(v) for v in box], scale, side).transpose(2, 0, 1)[None]
        answer = session.run(None, {session.get_inputs()[0].name: seen})[0].ravel().astype(float)
        if len(answer) == 4:
            answer, live = np.exp(answer) / np.exp(answer).sum(), 0
        else:
            live = 1
            spread = texture(f"{models}/{name}", seen)
            print(name, "texture", spread[:4], spread.mean())
        print(name, np.round(answer, 4), np.round(np.log(answer[live] / (answer.sum() - answer[live])), 3))


if __name__ == "__main__":
    main()
