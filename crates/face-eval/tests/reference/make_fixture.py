#!/usr/bin/env python3
"""Makes fixture.json: inputs, and what independent implementations say about them.

Development only; the Rust tests read the committed fixture. To make it anew:

    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python make_fixture.py

Every expectation comes from scikit-learn, SciPy or NumPy; nothing here imports or repeats the Rust code. Random
inputs have fixed seeds.
"""

import json
import pathlib

import numpy as np
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from scipy.stats import binomtest, bootstrap, norm
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    confusion_matrix,
    mean_absolute_error,
    precision_recall_curve,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
    root_mean_squared_error,
)

WORDS = ["OK", "FACE_NOT_FOUND", "TOO_MANY_FACES", "FACE_TOO_CLOSE", "FACE_IS_OCCLUDED"]


def wilson_cases():
    cases = [(0, 1), (1, 1), (0, 10), (10, 10), (1, 30), (7, 13), (50, 100), (999, 1000), (3, 100_000)]
    rows = []
    for count, total in cases:
        interval = binomtest(count, total).proportion_ci(confidence_level=0.95, method="wilson")
        rows.append({"count": count, "total": total, "lower": interval.low, "upper": interval.high})
    return rows


def equal_error_rate(truth, scores):
    """Root of 1 - x - ROC(x), the ROC joined by straight lines."""
    false_positive, true_positive, _ = roc_curve(truth, scores, drop_intermediate=False)
    return brentq(lambda x: 1.0 - x - interp1d(false_positive, true_positive)(x), 0.0, 1.0, xtol=1e-14)


def attack_case(name, live, species, replicates=0):
    rng = np.random.default_rng(99)
    groups = {key: np.asarray(values) for key, values in species.items()}
    attacks = np.concatenate(list(groups.values()))
    truth = np.r_[np.ones(len(live)), np.zeros(len(attacks))]
    scores = np.r_[live, attacks]
    case = {
        "name": name,
        "live": list(live),
        "species": {key: list(values) for key, values in groups.items()},
        "bpcer": 1.0 - np.mean(np.asarray(live) >= 0.5),
        "apcer": {key: float(np.mean(values >= 0.5)) for key, values in groups.items()},
        "eer": equal_error_rate(truth, scores),
        "auc": roc_auc_score(truth, scores),
        "species_eer": {},
        "species_auc": {},
        "bpcer_at": {},
    }
    case["acer"] = (max(case["apcer"].values()) + case["bpcer"]) / 2
    curves = {}
    for key, values in groups.items():
        own_truth = np.r_[np.ones(len(live)), np.zeros(len(values))]
        own_scores = np.r_[live, values]
        case["species_eer"][key] = equal_error_rate(own_truth, own_scores)
        case["species_auc"][key] = roc_auc_score(own_truth, own_scores)
        curves[key] = roc_curve(own_truth, own_scores, drop_intermediate=False)
    for limit in (0.01, 0.05, 0.10):
        # Every species must be within the limit; the highest true positive rate of a curve within it is the best that
        # this species allows, and the worst species decides.
        case["bpcer_at"][f"{limit:.2f}"] = max(
            1.0 - tpr[fpr <= limit].max() for fpr, tpr, _ in curves.values()
        )
    if replicates:
        eers, aucs = [], []
        for _ in range(replicates):
            drawn_live = rng.choice(live, len(live))
            drawn = np.concatenate([rng.choice(values, len(values)) for values in groups.values()])
            scores = np.r_[drawn_live, drawn]
            eers.append(equal_error_rate(truth, scores))
            aucs.append(roc_auc_score(truth, scores))
        case["eer_ci95"] = np.percentile(eers, [2.5, 97.5]).tolist()
        case["auc_ci95"] = np.percentile(aucs, [2.5, 97.5]).tolist()
    return case


def attack_cases():
    rng = np.random.default_rng(1)
    sigmoid = lambda x: 1.0 / (1.0 + np.exp(-x))
    smooth = attack_case(
        "overlapping scores",
        sigmoid(rng.normal(1.5, 1.2, 230)),
        {"mask": sigmoid(rng.normal(0.0, 1.0, 60)), "print": sigmoid(rng.normal(-1.8, 1.1, 140))},
        replicates=3000,
    )
    tied = attack_case(
        "scores with one decimal, many ties",
        np.round(sigmoid(rng.normal(0.8, 1.0, 90)), 1),
        {"print": np.round(sigmoid(rng.normal(-0.8, 1.0, 120)), 1), "replay": np.round(sigmoid(rng.normal(0.1, 1.0, 45)), 1)},
    )
    apart = attack_case("no overlap", rng.uniform(0.6, 1.0, 40), {"print": rng.uniform(0.0, 0.4, 30)})
    wrong = attack_case("worse than chance", rng.uniform(0.0, 0.6, 70), {"print": rng.uniform(0.3, 1.0, 50)})
    return [smooth, tied, apart, wrong]


def age_case():
    rng = np.random.default_rng(2)
    truth = rng.integers(5, 80, 150).astype(float)
    estimate = np.clip(np.round(0.9 * truth + 4 + rng.normal(0, 6, 150)), 0, 100)
    interval = bootstrap(
        (np.abs(estimate - truth),), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    bias = {}
    for decade in np.unique(truth // 10 * 10):
        inside = truth // 10 * 10 == decade
        bias[str(int(decade))] = float(np.mean((estimate - truth)[inside]))
    return {
        "truth": truth.tolist(),
        "estimate": estimate.tolist(),
        "mean_absolute_error": mean_absolute_error(truth, estimate),
        "root_mean_square_error": root_mean_squared_error(truth, estimate),
        "within_5": float(np.mean(np.abs(estimate - truth) <= 5)),
        "bias_by_decade": bias,
        "mean_absolute_error_ci95": [interval.low, interval.high],
    }


def gender_case():
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 2, 120)
    number = np.clip(np.round(10_000 * np.tanh(rng.normal(1.2 * (2 * truth - 1), 1.0))), -10_000, 10_000).astype(int)
    number[number == 0] = 1
    return {
        "female": truth.astype(bool).tolist(),
        "number": number.tolist(),
        "accuracy": accuracy_score(truth, number > 0),
        "confusion": confusion_matrix(truth, number > 0, labels=[1, 0]).tolist(),
        "brier_score": brier_score_loss(truth, (number / 10_000 + 1) / 2),
    }


def rules_case():
    rng = np.random.default_rng(5)
    expected = rng.choice(WORDS, 160, p=[0.5, 0.1, 0.1, 0.2, 0.1])
    given = np.where(rng.random(160) < 0.8, expected, rng.choice(WORDS, 160))
    precision, recall, _, _ = precision_recall_fscore_support(expected, given, labels=WORDS, zero_division=np.nan)
    return {
        "words": WORDS,
        "expected": expected.tolist(),
        "given": given.tolist(),
        "confusion": confusion_matrix(expected, given, labels=WORDS).tolist(),
        "agreement": accuracy_score(expected, given),
        "precision": precision.tolist(),
        "recall": recall.tolist(),
    }


def overlap(a, b):
    """Intersection over union by counting the cells of a fine grid, with integer boxes."""
    grid = np.zeros((2, 400, 400), dtype=bool)
    for layer, (x, y, w, h) in enumerate((a, b)):
        grid[layer, y : y + h, x : x + w] = True
    union = np.count_nonzero(grid.any(axis=0))
    return np.count_nonzero(grid.all(axis=0)) / union


def detection_case():
    rng = np.random.default_rng(6)
    pictures = []
    for index in range(40):
        faces = []
        for _ in range(int(rng.integers(0, 4))):
            faces.append([int(v) for v in (*rng.integers(0, 250, 2), *rng.integers(40, 110, 2))])
        found = []
        for face in faces:
            for _ in range(int(rng.choice([0, 1, 1, 1, 2]))):
                moved = np.array(face) + rng.integers(-14, 15, 4)
                x, y = np.maximum(moved[:2], 0)
                found.append([int(x), int(y), int(moved[2]), int(moved[3]), float(np.round(rng.beta(6, 2), 2))])
        if rng.random() < 0.4:
            found.append([int(v) for v in (*rng.integers(0, 250, 2), 50, 50)] + [float(np.round(rng.beta(2, 4), 2))])
        pictures.append({"faces": faces, "found": found})
    right, scores = [], []
    for picture in pictures:
        taken = set()
        for box in sorted(picture["found"], key=lambda box: -box[4]):
            overlaps = [overlap(face, box[:4]) for face in picture["faces"]]
            best = int(np.argmax(overlaps)) if overlaps else -1
            hit = best >= 0 and overlaps[best] >= 0.5 and best not in taken
            if hit:
                taken.add(best)
            right.append(hit)
            scores.append(box[4])
    total = sum(len(picture["faces"]) for picture in pictures)
    # scikit-learn's recall is relative to the faces that were found.
    precision, recall, _ = precision_recall_curve(right, scores)
    recall = recall * np.sum(right) / total
    envelope = np.maximum.accumulate(precision)  # recall falls along the array
    return {
        "pictures": pictures,
        "average_precision": float(np.sum((recall[:-1] - recall[1:]) * envelope[:-1])),
        "recall": float(np.sum(right) / total),
        "precision": float(np.mean(right)),
    }


def deviate_cases():
    return [{"probability": p, "deviate": float(norm.ppf(p))} for p in (1e-12, 1e-4, 0.01, 0.3, 0.5, 0.9, 0.999)]


def main():
    fixture = {
        "wilson": wilson_cases(),
        "attacks": attack_cases(),
        "age": age_case(),
        "gender": gender_case(),
        "rules": rules_case(),
        "detection": detection_case(),
        "normal_deviates": deviate_cases(),
    }
    target = pathlib.Path(__file__).with_name("fixture.json")
    target.write_text(json.dumps(fixture, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
