"""What the measurements of this folder share: running facegate, choosing pictures, reporting.

Needs numpy and opencv-python-headless.
"""

import json
import subprocess
from pathlib import Path

import cv2
import numpy as np

# The lenient profile judges the small pictures of the development set; the attributes have no part in liveness.
OPTIONS = ("--profile", "lenient", "--set", "analysis.attributes.effort=fast")
BATCH = 200


def arguments(parser):
    parser.add_argument("--facegate", default="facegate", help="the program")
    parser.add_argument("--bare", type=Path, required=True, help="folder of pictures of uncovered faces (data/masks/bare)")
    parser.add_argument("--samples", type=Path, required=True, help="folder of T1.jpg (live), F1.jpg and F2.jpg (spoof)")
    parser.add_argument("--work", type=Path, required=True, help="scratch folder, kept; outside the project")


def analyze(facegate, paths, *options):
    """The answer for each picture, with details."""
    answers = []
    for start in range(0, len(paths), BATCH):
        command = [facegate, "analyze", "--details", *OPTIONS, *options, *map(str, paths[start : start + BATCH])]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        for line in lines:
            answer = json.loads(line)
            answer.get("details", {}).pop("landmarks", None)
            answers.append(answer)
    if len(answers) != len(paths):
        raise SystemExit(f"{len(answers)} answers for {len(paths)} pictures")
    return answers


def liveness(answer):
    return (answer.get("details") or {}).get("liveness") or {}


def score(answer):
    """The passive liveness score, NaN when no face was found."""
    return liveness(answer).get("score", float("nan"))


def surrounding(answer):
    return liveness(answer).get("surrounding", float("nan"))


def word(answer):
    return answer.get("error", "OK")


def scan(options, crops, folder=None):
    """Picture and answer for each picture of a folder (the bare one), copies left out; kept in the scratch folder."""
    folder = folder or options.bare
    options.work.mkdir(parents=True, exist_ok=True)
    kept = options.work / f"{folder.name}-crops{crops}.jsonl"
    paths = sorted(p for p in folder.iterdir() if p.is_file())
    if not kept.exists():
        answers = analyze(options.facegate, paths, "--set", f"analysis.liveness.crops={crops}")
        kept.write_text("".join(json.dumps(a) + "\n" for a in answers))
    answers = [json.loads(line) for line in kept.read_text().splitlines()]
    if len(answers) != len(paths):
        raise SystemExit(f"{kept} belongs to another folder: remove it")
    # The folders hold copies under other names: same size, same box, same score.
    first = {}
    for path, answer in zip(paths, answers):
        face = answer["details"]["faces"][0]["extent"] if answer["details"].get("faces") else {}
        first.setdefault((tuple(face.values()), score(answer)) if face else path, (path, answer))
    return list(first.values())


def astronaut(facegate):
    """The packaged portrait, twice as large."""
    models = subprocess.run([facegate, "models", "path"], check=True, capture_output=True, text=True).stdout.strip()
    picture = cv2.imread(str(Path(models) / "pictures" / "astronaut.png"))
    return cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)


def named(options):
    """The pictures whose origin is known: name to pixels."""
    pictures = {"astronaut 2x": astronaut(options.facegate)}
    for name in ("T1", "F1", "F2"):
        pictures[name] = cv2.imread(str(options.samples / f"{name}.jpg"))
    return pictures


def save(path, picture, *parameters):
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture, list(parameters)):
        raise SystemExit(f"{path} could not be written")
    return path


def wilson(hits, n, z=1.959964):
    """The share and its 95 % interval (Wilson 1927)."""
    p, q = hits / n, z * z / n
    middle, half = (p + q / 2) / (1 + q), z * np.sqrt(p * (1 - p) / n + q / n / 4) / (1 + q)
    return p, middle - half, middle + half


def bootstrap(values, rounds=2000):
    """Mean and 95 % percentile interval over pictures; the seed is fixed."""
    values = np.asarray(values, float)
    draws = np.random.default_rng(1).integers(0, len(values), (rounds, len(values)))
    low, high = np.percentile(values[draws].mean(1), [2.5, 97.5])
    return values.mean(), low, high


def percent(hits, n):
    if n == 0:
        return "none"
    return "%.1f %% (%d of %d; 95 %% interval %.1f to %.1f %%)" % (
        100 * hits / n, hits, n, *(100 * v for v in wilson(hits, n)[1:]))
