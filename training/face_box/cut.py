#!/usr/bin/env python3
"""How far the face's box lies from the true one when the picture cuts the face, with one program or several.

    python3 cut.py --data DATA --work SCRATCH NAME=FACEGATE...

Pictures of the half that fit.py does not fit on, at most 40 of each set, whose face has room on all sides: what the first program finds
there is the truth. Each is cut at one edge of that box, so that the edge lies in the border or beyond, and on all sides at once. Printed
are, for each cut, the median and mean absolute distance of that edge (above 0: further out) in % of the longer side, and the share
of boxes that reach beyond the border; for cuts on all sides the surrounding instead. Needs the packages of requirements.txt.
"""

import numpy as np
from PIL import Image, ImageOps

from fit import SETS, answers, compared, held_out

EACH = 40
# How far an edge is outside, as a share of the longer side; the room that a face has to have.
OUTSIDE, ROOM = (-0.02, 0, 0.02, 0.05, 0.1, 0.2), 0.15
OUTWARD = np.array([-1, -1, 1, 1])
SIDES = {"left or right": (0, 2), "top": (1,), "bottom": (3,)}


def surrounding(box, size):
    return min(size[0] / (box[2] - box[0]), size[1] / (box[3] - box[1]))


def cuts(box, longer, size):
    """Kind, share, edge (None for all) and window of each cut."""
    whole = np.array([0, 0, *size])
    for kind, edges in SIDES.items():
        for edge in edges:
            for outside in OUTSIDE:
                window = whole.copy()
                window[edge] = round(box[edge] - OUTWARD[edge] * outside * longer)
                yield kind, outside, edge, window
    for outside in (-0.05, -0.025, 0):
        window = np.round(box - OUTWARD * outside * longer).astype(int)
        yield "all sides", outside, None, np.array([*np.maximum(window[:2], 0), *np.minimum(window[2:], size)])


def main():
    options = compared(__doc__)
    folder = options.work / "cut"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [path for name in SETS for path in held_out(options.data, name)]
    first, made = next(iter(options.programs.values())), []
    counts = dict.fromkeys(SETS, 0)
    for path, seen in zip(paths, answers(first, paths, options.work / "cut-whole.pickle")):
        of = next(name for name in SETS if str(path).startswith(str(options.data / name)))
        if not seen or seen["turned"] or counts[of] == EACH:
            continue
        box, size = np.array(seen["box"]), seen["size"]
        longer = max(box[2] - box[0], box[3] - box[1])
        if min(*box[:2], size[0] - box[2], size[1] - box[3]) < ROOM * longer:
            continue
        counts[of] += 1
        picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        for kind, outside, edge, window in cuts(box, longer, size):
            file = folder / f"{len(made)}.png"
            part = picture.crop([int(v) for v in window])
            part.save(file, compress_level=1)
            made.append((kind, outside, edge, file, box - np.tile(window[:2], 2), longer, part.size))
    print(f"{sum(counts.values())} pictures")
    for name, program in options.programs.items():
        rows = {}
        for (kind, outside, edge, _, true, longer, size), seen in zip(made, answers(program, [m[3] for m in made], options.work / f"cut-{name}.pickle")):
            if not seen:
                continue
            box = np.array(seen["box"])
            beyond = min(*box[:2], size[0] - box[2], size[1] - box[3]) < 0
            far = surrounding(box, size) if edge is None else 100 * OUTWARD[edge] * (box - true)[edge] / longer
            rows.setdefault((kind, outside), []).append((far, beyond, surrounding(true, size)))
        for (kind, outside), each in rows.items():
            far, beyond, true = np.array(each, float).T
            what = f"surrounding {np.median(far):.3f}, true {np.median(true):.3f}" if kind == "all sides" else f"{np.median(far):5.1f}; {np.abs(far).mean():.1f}"
            print(f"{name:10} {kind:13} {100 * outside:5.1f} % outside  n {len(far):3}  {what}  beyond {100 * beyond.mean():.0f} %")


if __name__ == "__main__":
    main()
