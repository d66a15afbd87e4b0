//! Which pictures belong together, and the folds that they are dealt into.

use std::collections::{BTreeMap, BTreeSet};

use super::Observation;

/// Folds that groups are dealt into, as far as there are groups.
pub(super) const FOLDS: usize = 5;

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
    groups: usize,
    /// The group of each picture.
    group: Vec<usize>,
    folds: Folds,
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
        let all: Vec<usize> = (0..observations.len()).collect();
        let folds = deal(observations, &all, &group);
        let unnamed = observations.iter().filter(|o| o.group.is_none()).count();
        Self { groups: numbers.len(), group, folds, copies_across, unnamed }
    }

    pub(super) fn count(&self) -> usize {
        self.groups
    }

    /// The folds of all pictures.
    pub(super) fn folds(&self) -> &Folds {
        &self.folds
    }

    /// Some pictures dealt anew: by group, or one by one where all live ones, or all attacks, are of one group.
    pub(super) fn folds_of(&self, observations: &[Observation], members: &[usize]) -> Folds {
        let several = |live: bool| {
            let of_class = members.iter().filter(|&&i| observations[i].live() == live);
            of_class.map(|&i| self.group[i]).collect::<BTreeSet<_>>().len() > 1
        };
        if several(true) && several(false) {
            deal(observations, members, &self.group)
        } else {
            deal(observations, members, &(0..observations.len()).collect::<Vec<_>>())
        }
    }

    /// The group of a picture.
    pub(super) fn group(&self, picture: usize) -> usize {
        self.group[picture]
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

/// Pictures by fold. No fold has all live pictures or all attacks, where these are of two groups or more.
#[derive(Debug)]
pub(super) struct Folds {
    /// The fold of each picture that was dealt.
    fold: Vec<usize>,
    count: usize,
}

impl Folds {
    /// At least two.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The fold of a picture.
    pub(super) fn of(&self, picture: usize) -> usize {
        self.fold[picture]
    }
}

/// Deals the groups of some pictures into folds: live pictures and attacks into two of them each, and then the largest first, each
/// to the fold that has least of what it holds.
fn deal(observations: &[Observation], members: &[usize], group: &[usize]) -> Folds {
    let kinds = super::kinds(observations);
    let class = |o: &Observation| o.kind().and_then(|k| kinds.binary_search(&k).ok()).map_or(0, |k| k + 1);
    // How many pictures of each class a group holds.
    let mut content: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &i in members {
        content.entry(group[i]).or_insert_with(|| vec![0; kinds.len() + 1])[class(&observations[i])] += 1;
    }
    let total = |c: usize| content.values().map(|held| held[c]).sum::<usize>().max(1) as f64;
    let totals: Vec<f64> = (0..=kinds.len()).map(total).collect();
    let share = |counts: &[usize]| counts.iter().zip(&totals).map(|(&n, t)| n as f64 / t).sum::<f64>();
    let mut order: Vec<usize> = content.keys().copied().collect();
    order.sort_by(|a, b| share(&content[b]).total_cmp(&share(&content[a])).then(a.cmp(b)));
    let holds = |g: usize, live: bool| if live { content[&g][0] > 0 } else { content[&g][1..].iter().any(|&n| n > 0) };
    let holders = |live: bool| order.iter().filter(|&&g| holds(g, live)).count();
    let count = FOLDS.min(holders(true)).min(holders(false)).max(2);

    let mut fold_of: BTreeMap<usize, usize> = BTreeMap::new();
    for (live, fold) in [(true, 0), (true, 1), (false, 0), (false, 1)] {
        let there = fold_of.iter().any(|(&g, &f)| f == fold && holds(g, live));
        let next = order.iter().find(|&&g| !fold_of.contains_key(&g) && holds(g, live));
        if let Some(&g) = next.filter(|_| !there) {
            fold_of.insert(g, fold);
        }
    }
    let mut filled = vec![vec![0_usize; kinds.len() + 1]; count];
    let put = |filled: &mut Vec<Vec<usize>>, g: usize, fold: usize| {
        filled[fold].iter_mut().zip(&content[&g]).for_each(|(have, more)| *have += more);
    };
    fold_of.iter().for_each(|(&g, &fold)| put(&mut filled, g, fold));
    for g in order {
        if fold_of.contains_key(&g) {
            continue;
        }
        let load = |f: usize| {
            let held = filled[f].iter().zip(&content[&g]).zip(&totals);
            let alike: f64 = held.map(|((&have, &more), t)| have as f64 * more as f64 / (t * t)).sum();
            (alike, share(&filled[f]))
        };
        let loads: Vec<(f64, f64)> = (0..count).map(load).collect();
        let least =
            (0..count).min_by(|&a, &b| loads[a].0.total_cmp(&loads[b].0).then(loads[a].1.total_cmp(&loads[b].1)));
        let fold = least.unwrap_or(0);
        put(&mut filled, g, fold);
        fold_of.insert(g, fold);
    }
    let mut fold = vec![0; observations.len()];
    members.iter().for_each(|&i| fold[i] = fold_of[&group[i]]);
    Folds { fold, count }
}

/// Pairs of pictures whose features, or those of the one and of the mirror image of the other, point the same way. The first part of them
/// tells: texture changes with size and compression.
fn near_copies(observations: &[Observation]) -> Vec<(usize, usize)> {
    let width = observations.first().and_then(|o| o.parts.first().copied()).unwrap_or(0);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Presentation;

    /// Pictures by group: live ones and two kinds of attack in each, all unlike each other.
    fn pictures(groups: &[[usize; 3]]) -> Vec<Observation> {
        let of_group = |(group, counts): (usize, &[usize; 3])| {
            let of_class = |(class, &n): (usize, &usize)| vec![(group, class); n];
            counts.iter().enumerate().flat_map(of_class).collect::<Vec<_>>()
        };
        let all: Vec<(usize, usize)> = groups.iter().enumerate().flat_map(of_group).collect();
        let only = |place: usize| (0..2 * all.len()).map(|i| f32::from(u8::from(i == place))).collect::<Vec<_>>();
        let picture = |(n, &(group, class)): (usize, &(usize, usize))| Observation {
            path: format!("{n}.jpg"),
            presentation: match class {
                0 => Presentation::BonaFide,
                1 => Presentation::Attack("print".into()),
                _ => Presentation::Attack("replay".into()),
            },
            group: Some(group.to_string()),
            features: only(n),
            mirrored: only(all.len() + n),
            parts: vec![2 * all.len()],
            pair: 0.0,
            general: 0.0,
            surrounding: 2.0,
        };
        all.iter().enumerate().map(picture).collect()
    }

    #[test]
    fn no_fold_has_all_live_pictures_or_all_attacks() {
        for groups in [
            &[[2, 12, 0], [8, 0, 0], [0, 0, 4], [0, 9, 11]][..],
            &[[9, 9, 0], [9, 0, 9]],
            &[[5, 0, 0], [5, 0, 0], [0, 7, 0], [0, 0, 7]],
            &[[5, 1, 0], [5, 0, 0], [0, 7, 0]],
            &[[5, 0, 0], [5, 3, 0], [0, 7, 0]],
            &[[20, 0, 0], [1, 0, 0], [0, 20, 20], [0, 1, 0], [0, 2, 2], [0, 0, 9]],
        ] {
            let observations = pictures(groups);
            let grouping = Grouping::of(&observations);
            assert_eq!(grouping.count(), groups.len(), "no near-copies");
            for fold in 0..grouping.folds().count() {
                let others: Vec<usize> = (0..observations.len()).filter(|&i| grouping.folds().of(i) != fold).collect();
                for live in [true, false] {
                    assert!(others.iter().any(|&i| observations[i].live() == live), "{groups:?}: fold {fold}");
                    let within = grouping.folds_of(&observations, &others);
                    let split = (0..within.count())
                        .all(|f| others.iter().any(|&i| within.of(i) != f && observations[i].live() == live));
                    let only = others.iter().filter(|&&i| observations[i].live() == live).count() == 1;
                    assert!(split || only, "{groups:?}: within fold {fold}");
                }
            }
            for (i, a) in observations.iter().enumerate() {
                for (j, b) in observations.iter().enumerate() {
                    assert!(a.group != b.group || grouping.folds().of(i) == grouping.folds().of(j));
                }
            }
        }
    }
}
