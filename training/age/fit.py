#!/usr/bin/env python3
"""Fits how the ages of both families become one, and tells how that carries over to sets that it was not fitted on.

    python3 fit.py --estimates FOLDER --out age.json

A line in both ages, and a second one in what face-api's says beyond 40 years: four numbers. What is minimised over all looks:
the squared error, plus twice the square of the mean error of each decade in each set, plus a ridge towards the plain mean of
the families. Each set and each five years of age weigh the same. The sets hardly know anybody under 28 (7 of the parliaments, and
a group of fairface-200 from 20 to 29): there, the networks' own answer for the unlabelled sets is a target too, the plain
mean over a face and its mirror image.
"""

import argparse
import json
from pathlib import Path

import numpy as np

UK, US, WILD = "age-uk-parliament", "age-us-congress", "fairface-200"
LABELLED, UNLABELLED = (UK, US, WILD), ("masks", "live-hagrid")
OLD = 40.0
SHARE = 0.44  # of dlib's age in the plain mean: in inverse proportion to the squared errors of the families
RIDGE, DECADES = 0.1, 2.0
YOUNG = 28.0
DLIB, SECOND = 0, 2


def terms(ages):
    """dlib's and face-api's, [..., 2], to [..., 3]."""
    return np.concatenate([ages, np.maximum(ages[..., 1:] - OLD, 0)], -1)


def mean(ages):
    return ages @ np.array([SHARE, 1 - SHARE])


def predict(model, ages):
    return np.clip(terms(ages) @ model[:3] + model[3], 0, 100)


class Set:
    def __init__(self, folder, name):
        data = np.load(folder / f"{name}.npz")
        self.name, self.person, self.gender = name, data["person"], data["gender"]
        self.ages = data["looks"][:, :, [DLIB, SECOND]].astype(float)
        self.looks, self.answered = data["looks"], data["answered"]
        if name in LABELLED:
            self.target, self.sure = data["age"], np.where(name == WILD, 1.0, 1 / (1 + (data["error"] / 4) ** 2))
            self.used = ~np.isnan(self.target)
            self.judged = self.used & ~(data["error"] > 3)
        else:
            own = mean(self.ages[:, :2].mean(1))
            self.target, self.sure, self.used = own, np.ones(len(own)), own < YOUNG


def fit(sets, left_out=frozenset()):
    """The four numbers; persons in `left_out` are not used."""
    ages, targets, weights, groups = [], [], [], []
    for s in sets:
        used = s.used & ~np.isin(s.person, list(left_out))
        target = s.target[used]
        bins = np.clip(target // 5, 2, 17).astype(int)
        # A five-year class of fewer than twelve does not weigh as much as the others.
        weight = s.sure[used] * np.minimum(1 / np.bincount(bins, minlength=18)[bins], 1 / 12)
        looks = s.ages.shape[1]
        for look in range(looks):
            ages.append(s.ages[used, look])
            targets.append(target)
            weights.append(weight / weight.sum() / looks)
            groups += [(s.name, int(d)) for d in np.clip(target // 10, 1, 8)]
    ages, target, weight = (np.concatenate(v) for v in (ages, targets, weights))
    weight = weight / weight.sum()
    x, rest = terms(ages), target - mean(ages)
    center, spread = x.mean(0), x.std(0)
    z = np.hstack([(x - center) / spread, np.ones((len(x), 1))])
    left, right = (z * weight[:, None]).T @ z, (z * weight[:, None]).T @ rest
    names = np.array([f"{name} {decade}" for name, decade in groups])
    for name in np.unique(names):
        own = names == name
        total = weight[own].sum()
        off, error = (z[own] * weight[own, None]).sum(0) / total, (rest[own] * weight[own]).sum() / total
        left += DECADES * total * np.outer(off, off)
        right += DECADES * total * off * error
    solved = np.linalg.solve(left + np.diag([RIDGE] * 3 + [0.0]), right)
    slopes = solved[:3] / spread
    return np.r_[slopes + [SHARE, 1 - SHARE, 0], solved[3] - slopes @ center]


def interval(values, persons, rng):
    """95 % bootstrap interval of the mean, drawn by person."""
    names, index = np.unique(persons, return_inverse=True)
    sums, counts = np.bincount(index, values), np.bincount(index)
    draws = rng.integers(0, len(names), (2000, len(names)))
    return np.percentile(sums[draws].sum(1) / counts[draws].sum(1), [2.5, 97.5])


def report(name, estimate, s, judged, rng):
    error = estimate - s.target[judged]
    low, high = interval(np.abs(error), s.person[judged], rng)
    decades = np.clip(s.target[judged] // 10, 2, 8).astype(int)
    biases = " ".join("%d0s %+.1f (%d)" % (d, error[decades == d].mean(), (decades == d).sum()) for d in np.unique(decades))
    print("  %-28s %.2f years (95 %% interval %.2f to %.2f), mean %+.2f; %s" % (
        name, np.abs(error).mean(), low, high, error.mean(), biases))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--estimates", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    labelled = [Set(options.estimates, name) for name in LABELLED]
    unlabelled = [Set(options.estimates, name) for name in UNLABELLED]
    for s in labelled:
        print("%s, fitted on the other sets:" % s.name)
        model = fit([o for o in labelled if o is not s] + unlabelled)
        judged = s.judged
        one, both = s.ages[judged, 0], s.ages[judged, :2].mean(1)
        report("plain mean, one look", mean(one), s, judged, rng)
        report("plain mean, two looks", mean(both), s, judged, rng)
        report("fitted, one look", predict(model, one), s, judged, rng)
        report("fitted, two looks", predict(model, both), s, judged, rng)
    print("fitted on all sets, each fifth of the persons left out once:")
    for s in labelled:
        judged, names = s.judged, np.unique(s.person)
        part = dict(zip(names, rng.permutation(len(names)) % 5))
        parts = np.array([part[p] for p in s.person])
        estimate = np.empty(len(s.person))
        for k in range(5):
            model = fit(labelled + unlabelled, frozenset(names[np.array([part[n] == k for n in names])]))
            estimate[parts == k] = predict(model, s.ages[parts == k, 0])
        report(s.name, estimate[judged], s, judged, rng)
    model = fit(labelled + unlabelled)
    model = np.round(model, 3)
    reference = np.array([[8, 6], [20, 26], [33, 41], [52, 47], [60, 71], [75, 80], [80, 95], [2, -9]], float)
    text = {"dlib": model[0], "second": model[1], "beyond": model[2], "offset": model[3],
            "reference": [[*pair, round(float(age), 4)] for pair, age in zip(reference.tolist(), predict(model, reference))]}
    options.out.write_text(json.dumps(text, indent=1) + "\n")
    print(json.dumps(text))


if __name__ == "__main__":
    main()
