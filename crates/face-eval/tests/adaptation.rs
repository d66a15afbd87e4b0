//! Adaptation on drawn features, where the truth is known.

use face_eval::Presentation;
use face_eval::adaptation::{AdaptError, AdaptOptions, Adaptation, Observation, adapt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

const WIDTH: usize = 40;

/// The feature that tells live from attack.
const TELLING: usize = 3;

/// About normal: the sum of twelve even numbers (Irwin and Hall).
fn normal(generator: &mut ChaCha8Rng) -> f32 {
    (0..12).map(|_| generator.next_u32() as f32 / u32::MAX as f32).sum::<f32>() - 6.0
}

/// People (groups) whose pictures differ by person, of which `separation` along one direction tells live from attack.
fn collection(separation: f32, people: usize, each: usize) -> Vec<Observation> {
    let mut generator = ChaCha8Rng::seed_from_u64(7);
    let mut all = Vec::new();
    for person in 0..people {
        let own: Vec<f32> = (0..WIDTH).map(|_| normal(&mut generator)).collect();
        for number in 0..each {
            let kind = ["live", "print", "live", "replay"][number % 4];
            let live = kind == "live";
            let features: Vec<f32> = own
                .iter()
                .enumerate()
                .map(|(i, o)| {
                    let told = if i == TELLING { separation * if live { 1.0 } else { -1.0 } } else { 0.0 };
                    0.5 * o + normal(&mut generator) + told
                })
                .collect();
            let pair = f64::from(normal(&mut generator)) + 2.0;
            all.push(Observation {
                path: format!("{person}-{number}.jpg"),
                presentation: if live { Presentation::BonaFide } else { Presentation::Attack(kind.into()) },
                group: Some(format!("person {person}")),
                mirrored: mirrored(&features),
                features,
                parts: vec![WIDTH],
                pair,
                general: pair,
                surrounding: 2.0,
            });
        }
    }
    all
}

/// The mirror image turns all round but what tells live from attack.
fn mirrored(features: &[f32]) -> Vec<f32> {
    (0..WIDTH).map(|i| features[if i == TELLING { i } else { WIDTH - 1 - i }]).collect()
}

fn run(observations: &[Observation]) -> Adaptation {
    adapt(observations, &AdaptOptions::default(), &mut |_, _| {}).expect("enough pictures")
}

#[test]
fn what_the_features_tell_is_found_and_measured_out_of_fold() {
    let adaptation = run(&collection(3.0, 12, 16));
    assert!(adaptation.better, "{:?}", adaptation.reduction);
    let before = adaptation.rates.kinds.iter().map(|k| k.apcer_before.map_or(0.0, |p| p.ratio)).sum::<f64>();
    let after = adaptation.rates.kinds.iter().map(|k| k.apcer.map_or(1.0, |p| p.ratio)).sum::<f64>();
    assert!(before > 1.8 && after < 0.3, "{before} {after}");
    assert!(adaptation.rates.bpcer.is_some_and(|p| p.ratio < 0.1));
    assert_eq!((adaptation.groups, adaptation.folds), (12, 5));
    // The direction is the one that was drawn.
    let weights = &adaptation.fitted.linear.weights;
    let strongest = (0..WIDTH).max_by(|&a, &b| weights[a].abs().total_cmp(&weights[b].abs()));
    assert_eq!(strongest, Some(TELLING));
    assert!(weights[TELLING] > 0.0);
    let first = adaptation.learning_curve.first().expect("a curve").mean_apcer;
    assert!(adaptation.learning_curve.last().expect("a curve").mean_apcer <= first);
}

/// What tells lies in a part of its own, among many features that tell nothing: it counts as much as all of those.
#[test]
fn a_part_counts_as_much_as_another() {
    let telling = |parts: &[usize]| {
        let mut observations = collection(1.0, 12, 16);
        for observation in &mut observations {
            for seen in [&mut observation.features, &mut observation.mirrored] {
                seen.swap(TELLING, WIDTH - 1);
            }
            observation.parts = parts.to_vec();
        }
        let weights = run(&observations).fitted.linear.weights;
        weights[WIDTH - 1].abs() / weights.iter().map(|w| w.abs()).sum::<f64>()
    };
    let (alone, among) = (telling(&[WIDTH - 1, 1]), telling(&[WIDTH]));
    assert!(alone > 1.3 * among, "{alone} {among}");
}

#[test]
fn near_copies_are_found_by_the_first_part_alone() {
    let warned = |parts: &[usize]| {
        let mut observations = collection(3.0, 12, 16);
        let mut copy = observations[0].clone();
        copy.group = Some("another".into());
        copy.features[WIDTH - 1] = 1e3;
        copy.mirrored[WIDTH - 1] = 1e3;
        observations.push(copy);
        observations.iter_mut().for_each(|o| o.parts = parts.to_vec());
        run(&observations).warnings.iter().any(|warning| warning.contains("near-copies"))
    };
    assert!(warned(&[WIDTH - 1, 1]));
    assert!(!warned(&[WIDTH]));
}

#[test]
fn parts_that_do_not_add_up_or_differ_are_refused() {
    let refused = |change: &dyn Fn(&mut Vec<Observation>)| {
        let mut observations = collection(3.0, 4, 16);
        change(&mut observations);
        matches!(adapt(&observations, &AdaptOptions::default(), &mut |_, _| {}), Err(AdaptError::Features))
    };
    assert!(!refused(&|_| {}));
    assert!(refused(&|all| all.iter_mut().for_each(|o| o.parts = vec![WIDTH - 1])));
    assert!(refused(&|all| all[3].parts = vec![1, WIDTH - 1]));
}

/// All live people were taken with the window on their left, all attacks with it on their right.
#[test]
fn what_turns_round_with_the_picture_is_not_learned() {
    const SIDE: usize = 8;
    let mut observations = collection(3.0, 12, 16);
    for observation in &mut observations {
        let left = if observation.presentation == Presentation::BonaFide { 6.0 } else { -6.0 };
        observation.features[SIDE] = left;
        observation.mirrored[SIDE] = -left;
    }
    let weights = run(&observations).fitted.linear.weights;
    assert!(weights[SIDE].abs() < 0.1 * weights[TELLING], "{} {}", weights[SIDE], weights[TELLING]);
}

#[test]
fn features_that_tell_nothing_give_no_better_head() {
    // What tells people apart must not count: the same labels on features without a difference.
    for people in [4, 12] {
        let adaptation = run(&collection(0.0, people, 16));
        let after =
            adaptation.rates.kinds.iter().map(|k| k.apcer_at_bpcer_5.map_or(0.0, |p| p.ratio)).sum::<f64>() / 2.0;
        assert!(after > 0.7, "{after}");
        assert!(!adaptation.better, "{:?}", adaptation.reduction);
    }
}

#[test]
fn what_the_networks_see_through_stays_seen_through() {
    // Replays are told by the networks alone; what the features show of them is what they show of live people, and more of it.
    let mut observations = collection(2.0, 12, 16);
    for observation in &mut observations {
        if observation.presentation == Presentation::Attack("replay".into()) {
            observation.features[TELLING] += 6.0;
            observation.mirrored[TELLING] += 6.0;
            observation.pair -= 8.0;
            observation.general = observation.pair;
        }
    }
    let rates = run(&observations).rates;
    let passing = |kind: &str| rates.kinds.iter().find(|k| k.name == kind).and_then(|k| k.apcer_at_bpcer_5);
    assert!(passing("replay").is_some_and(|p| p.count == 0), "{:?}", passing("replay"));
    // Without the head 95 of 100 would pass: the pair says nothing of prints.
    assert!(passing("print").is_some_and(|p| p.ratio < 0.5), "{:?}", passing("print"));
}

#[test]
fn tight_pictures_are_counted_as_the_service_will_judge_them() {
    // The features tell every picture; without a head six live ones would be refused, on which the face is too large for the head.
    let mut observations = collection(6.0, 12, 16);
    for person in 0..6 {
        let live = &mut observations[person * 16];
        assert_eq!(live.presentation, Presentation::BonaFide);
        (live.surrounding, live.general) = (1.2, -9.0);
    }
    let adaptation = run(&observations);
    assert!(adaptation.fitted.trust.none > 1.2, "{:?}", adaptation.fitted.trust);
    let refused = adaptation.rates.bpcer.expect("live pictures").count;
    assert!((6..12).contains(&refused), "{refused}");
}

#[test]
fn the_same_pictures_give_the_same_head() {
    let observations = collection(1.0, 5, 12);
    assert_eq!(run(&observations), run(&observations));
}

#[test]
fn too_few_pictures_and_a_single_group_are_refused() {
    let few = adapt(&collection(3.0, 2, 8), &AdaptOptions::default(), &mut |_, _| {});
    assert_eq!(few, Err(AdaptError::TooFew { live: 8, attacks: 8 }));
    let one = adapt(&collection(3.0, 1, 40), &AdaptOptions::default(), &mut |_, _| {});
    assert_eq!(one, Err(AdaptError::OneGroup("live")));
}

#[test]
fn missing_groups_single_sources_near_copies_and_tight_faces_are_told() {
    let mut observations = collection(3.0, 6, 12);
    let mut copy = observations[0].clone();
    copy.features.iter_mut().for_each(|f| *f += 0.001);
    copy.group = Some("another".into());
    observations.push(copy);
    let mut mirrored = observations[13].clone();
    (mirrored.features, mirrored.mirrored) = (mirrored.mirrored, mirrored.features);
    mirrored.group = Some("yet another".into());
    observations.push(mirrored);
    for observation in &mut observations[60..63] {
        observation.group = None;
    }
    observations[1].surrounding = 1.01;
    for (i, observation) in observations.iter_mut().enumerate() {
        if observation.presentation == Presentation::Attack("replay".into()) && i < 12 {
            observation.presentation = Presentation::Attack("doll".into());
        }
    }
    let warnings = run(&observations).warnings.join("\n");
    for told in [
        "3 of 74 pictures have no group",
        "2 pairs of pictures in different groups are near-copies",
        "kind doll come from one group",
        "On 1 pictures",
    ] {
        assert!(warnings.contains(told), "{told} is missing:\n{warnings}");
    }
}

#[test]
fn the_report_is_self_contained_and_holds_no_features() {
    let adaptation = run(&collection(3.0, 6, 12));
    let meta = face_eval::Meta { program: "facegate 1".into(), ..face_eval::Meta::default() };
    let page = adaptation.to_html(&meta);
    for outside in ["http:", "https:", "//", "<script", "<link", "<img", "url(", " src="] {
        assert!(!page.contains(outside), "the page has `{outside}`");
    }
    for section in ["warnings", "errors", "operating-points", "learning-curve", "method"] {
        assert!(page.contains(&format!("<section id=\"{section}\"")), "{section}");
    }
    let json: serde_json::Value = serde_json::from_str(&adaptation.to_json(&meta).expect("JSON")).expect("JSON");
    assert!(json["rates"]["kinds"][0]["apcer"]["ci95"]["upper"].is_number());
    assert!(json.get("fitted").is_none() && !json.to_string().contains("weights"));
    assert!(adaptation.to_text().contains("print passed (APCER)"));
    let harmed = Adaptation { better: false, harmed: vec!["print".into()], ..adaptation };
    assert!(harmed.to_html(&meta).contains("lets more attacks of the kind print pass"));
}
