//! Which pictures belong together, and the folds that they are dealt into.

use std::collections::{BTreeMap, BTreeSet};

use super::Observation;

/// Folds that groups are dealt into, as far as there are groups.
const FOLDS: usize = 5;

/// Cosine of two pictures' features (each centred and scaled over the collection) from which they count as near-copies.
/// Measured on 259 frames of attacks-dev, one of each series: no two different frames reach it (the nearest 0.92), and all of 44
/// frames moved by a pixel, compressed as JPEG 70 or resized to 0.7 exceed it (the least 0.989). Mirrored ones are found by the
/// features of the mirror image.
const NEAR_COPY: f64 = 0.95;

/// Fewer groups than this are too few to speak of people.
const FEW_GROUPS: usize = 5;

/// The least surrounding with which the networks can use a picture (docs/accuracy.md).
const TIGHT: f64 = 1.1;

/// Pictures by group.
#[derive(Debug)]
pub(super) struct Grouping {
    /// The group of each picture.
    group: Vec<usize>,
    /// The fold of each group.
    fold: Vec<usize>,
    folds: usize,
    /// Near-copies that carry different groups, and pictures without a group.
    copies_across: usize,
    unnamed: usize,
}

impl Grouping {
    pub(super) fn of(observations: &[Observation]) -> Self {
        let mut parent: Vec<usize> = (0..observations.len()).collect();
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        for (i, observation) in observations.iter().enumerate() {
            if let Some(name) = &observation.group {
                let earlier = *first.entry(name).or_insert(i);
                join(&mut parent, earlier, i);
            }
        }
        let mut copies_across = 0;
        for (i, j) in near_copies(observations) {
            copies_across += usize::from(root(&mut parent, i) != root(&mut parent, j));
            join(&mut parent, i, j);
        }
        let roots: Vec<usize> = (0..observations.len()).map(|i| root(&mut parent, i)).collect();
        let numbers: BTreeMap<usize, usize> = roots
            .iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .enumerate()
            .map(|(number, &root)| (root, number))
            .collect();
        let group: Vec<usize> = roots.iter().map(|root| numbers[root]).collect();
        let (fold, folds) = deal(observations, &group, numbers.len());
        let unnamed = observations.iter().filter(|o| o.group.is_none()).count();
        Self { group, fold, folds, copies_across, unnamed }
    }

    pub(super) fn count(&self) -> usize {
        self.fold.len()
    }

    pub(super) fn folds(&self) -> usize {
        self.folds
    }

    /// The group of a picture.
    pub(super) fn group(&self, picture: usize) -> usize {
        self.group[picture]
    }

    /// The fold of a picture.
    pub(super) fn fold(&self, picture: usize) -> usize {
        self.fold[self.group[picture]]
    }

    /// How many groups have a picture of a certain sort.
    pub(super) fn groups_of(&self, sort: impl Fn(usize) -> bool) -> usize {
        (0..self.group.len()).filter(|&i| sort(i)).map(|i| self.group[i]).collect::<BTreeSet<_>>().len()
    }

    /// What to mind about the collection.
    pub(super) fn warnings(&self, observations: &[Observation]) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.unnamed > 0 {
            warnings.push(format!(
                "{} of {} pictures have no group: each counts as a group of its own, and where several show one person or \
                 session the figures are better than the truth. Name person or session in the column `group`.",
                self.unnamed,
                observations.len()
            ));
        }
        if self.copies_across > 0 {
            warnings.push(format!(
                "{} pairs of pictures in different groups are near-copies of each other; they were put into one group. \
                 Near-copies add nothing: leave them out.",
                self.copies_across
            ));
        }
        let live_groups = self.groups_of(|i| observations[i].live());
        if live_groups < FEW_GROUPS {
            warnings.push(format!(
                "Live pictures come from {live_groups} groups only: the head may have learned these people or places. Take \
                 pictures of at least {FEW_GROUPS} people."
            ));
        }
        for kind in super::kinds(observations) {
            let groups = self.groups_of(|i| observations[i].kind() == Some(kind));
            if groups < 2 {
                warnings.push(format!(
                    "All pictures of the kind {kind} come from one group: what is measured of it is what a head makes of it \
                     that never saw the kind. Take them in several sessions."
                ));
            }
        }
        let tight = observations.iter().filter(|o| o.surrounding < TIGHT).count();
        if tight > 0 {
            warnings.push(format!(
                "On {tight} pictures the face fills the picture so far (less than {TIGHT} times the face) that the networks \
                 see too little round it."
            ));
        }
        warnings
    }
}

/// Deals groups into folds, the largest first, each to the fold that has least of what it holds.
fn deal(observations: &[Observation], group: &[usize], groups: usize) -> (Vec<usize>, usize) {
    let kinds = super::kinds(observations);
    let class = |o: &Observation| o.kind().and_then(|k| kinds.binary_search(&k).ok()).map_or(0, |k| k + 1);
    let mut content = vec![vec![0_usize; kinds.len() + 1]; groups];
    for (observation, &group) in observations.iter().zip(group) {
        content[group][class(observation)] += 1;
    }
    let total = |c: usize| content.iter().map(|g| g[c]).sum::<usize>().max(1) as f64;
    let totals: Vec<f64> = (0..=kinds.len()).map(total).collect();
    let share = |counts: &[usize]| counts.iter().zip(&totals).map(|(&n, t)| n as f64 / t).sum::<f64>();
    let mut order: Vec<usize> = (0..groups).collect();
    order.sort_by(|&a, &b| share(&content[b]).total_cmp(&share(&content[a])).then(a.cmp(&b)));
    let live_groups = content.iter().filter(|c| c[0] > 0).count();
    let attack_groups = content.iter().filter(|c| c[1..].iter().any(|&n| n > 0)).count();
    let folds = FOLDS.min(live_groups).min(attack_groups).max(2);
    let mut filled = vec![vec![0_usize; kinds.len() + 1]; folds];
    let mut fold = vec![0; groups];
    for g in order {
        let load = |f: usize| {
            let held = filled[f].iter().zip(&content[g]).zip(&totals);
            let alike: f64 = held.map(|((&have, &more), t)| have as f64 * more as f64 / (t * t)).sum();
            (alike, share(&filled[f]))
        };
        let loads: Vec<(f64, f64)> = (0..folds).map(load).collect();
        let least =
            (0..folds).min_by(|&a, &b| loads[a].0.total_cmp(&loads[b].0).then(loads[a].1.total_cmp(&loads[b].1)));
        fold[g] = least.unwrap_or(0);
        filled[fold[g]].iter_mut().zip(&content[g]).for_each(|(have, more)| *have += more);
    }
    (fold, folds)
}

/// Pairs of pictures whose features, or those of the one and of the mirror image of the other, point the same way.
fn near_copies(observations: &[Observation]) -> Vec<(usize, usize)> {
    let width = observations.first().map_or(0, |o| o.features.len());
    let n = observations.len() as f32;
    let mut mean = vec![0.0_f32; width];
    observations.iter().for_each(|o| mean.iter_mut().zip(&o.features).for_each(|(m, f)| *m += f / n));
    let mut spread = vec![0.0_f32; width];
    for o in observations {
        spread.iter_mut().zip(&o.features).zip(&mean).for_each(|((s, f), m)| *s += (f - m) * (f - m) / n);
    }
    let unit = |features: &[f32]| -> Vec<f32> {
        let scaled: Vec<f32> =
            features.iter().zip(&mean).zip(&spread).map(|((f, m), s)| (f - m) / s.sqrt().max(1e-3)).collect();
        let length = scaled.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-6);
        scaled.iter().map(|v| v / length).collect()
    };
    let units: Vec<Vec<f32>> = observations.iter().map(|o| unit(&o.features)).collect();
    let mirrored: Vec<Vec<f32>> = observations.iter().map(|o| unit(&o.mirrored)).collect();
    let cosine = |a: &[f32], b: &[f32]| f64::from(a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>());
    let mut pairs = Vec::new();
    for i in 0..units.len() {
        for j in i + 1..units.len() {
            if cosine(&units[i], &units[j]) >= NEAR_COPY || cosine(&mirrored[i], &units[j]) >= NEAR_COPY {
                pairs.push((i, j));
            }
        }
    }
    pairs
}

fn root(parent: &mut [usize], mut i: usize) -> usize {
    while parent[i] != i {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    i
}

fn join(parent: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(parent, a), root(parent, b));
    parent[a.max(b)] = a.min(b);
}
