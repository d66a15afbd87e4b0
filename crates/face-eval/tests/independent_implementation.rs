//! Figures against scikit-learn, SciPy and NumPy: `reference/make_fixture.py` made the fixture.

use std::collections::BTreeMap;
use std::fmt::Write;

use face_eval::statistics::{Bootstrap, Interval, Proportion, normal_deviate};
use face_eval::{DetectedFace, Evaluation, Labels, Options, Outcome, Word};
use serde::Deserialize;

/// Both sides compute in `f64`; sums of a few hundred terms differ in the last digits, and SciPy's root finder stops
/// a few units of 1e-14 before the root.
const EXACT: f64 = 1e-11;

#[derive(Deserialize)]
struct Fixture {
    wilson: Vec<WilsonCase>,
    attacks: Vec<AttackCase>,
    age: AgeCase,
    gender: GenderCase,
    rules: RulesCase,
    detection: DetectionCase,
    normal_deviates: Vec<DeviateCase>,
}

#[derive(Deserialize)]
struct WilsonCase {
    count: u64,
    total: u64,
    lower: f64,
    upper: f64,
}

#[derive(Deserialize)]
struct AttackCase {
    name: String,
    live: Vec<f64>,
    species: BTreeMap<String, Vec<f64>>,
    bpcer: f64,
    apcer: BTreeMap<String, f64>,
    acer: f64,
    eer: f64,
    auc: f64,
    species_eer: BTreeMap<String, f64>,
    species_auc: BTreeMap<String, f64>,
    bpcer_at: BTreeMap<String, f64>,
    eer_ci95: Option<[f64; 2]>,
    auc_ci95: Option<[f64; 2]>,
}

#[derive(Deserialize)]
struct AgeCase {
    truth: Vec<f64>,
    estimate: Vec<f64>,
    mean_absolute_error: f64,
    root_mean_square_error: f64,
    within_5: f64,
    bias_by_decade: BTreeMap<u32, f64>,
    mean_absolute_error_ci95: [f64; 2],
}

#[derive(Deserialize)]
struct GenderCase {
    female: Vec<bool>,
    number: Vec<i32>,
    accuracy: f64,
    confusion: [[u64; 2]; 2],
    brier_score: f64,
}

#[derive(Deserialize)]
struct RulesCase {
    words: Vec<Word>,
    expected: Vec<Word>,
    given: Vec<Word>,
    confusion: Vec<Vec<u64>>,
    agreement: f64,
    precision: Vec<f64>,
    recall: Vec<f64>,
}

#[derive(Deserialize)]
struct DetectionCase {
    pictures: Vec<DetectionPicture>,
    average_precision: f64,
    recall: f64,
    precision: f64,
}

#[derive(Deserialize)]
struct DetectionPicture {
    faces: Vec<[f64; 4]>,
    found: Vec<[f64; 5]>,
}

#[derive(Deserialize)]
struct DeviateCase {
    probability: f64,
    deviate: f64,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("reference/fixture.json")).expect("a fixture of this shape")
}

fn evaluate(csv: &str, outcomes: &[Outcome], bootstrap: Bootstrap) -> Evaluation {
    let labels = Labels::from_reader(csv.as_bytes(), "").expect("usable labels");
    Evaluation::compute(&labels, outcomes, &Options { bootstrap, ..Options::default() }).expect("usable outcomes")
}

fn assert_close(what: &str, actual: f64, expected: f64, tolerance: f64) {
    assert!((actual - expected).abs() <= tolerance, "{what}: {actual} is not {expected} (within {tolerance})");
}

/// Two bootstraps with different generators: their ends differ by their own sampling error.
fn assert_similar_interval(what: &str, actual: Option<Interval>, expected: [f64; 2]) {
    let actual = actual.unwrap_or_else(|| panic!("{what} has an interval"));
    let tolerance = 0.08 * (expected[1] - expected[0]);
    assert_close(what, actual.lower, expected[0], tolerance);
    assert_close(what, actual.upper, expected[1], tolerance);
}

const NO_BOOTSTRAP: Bootstrap = Bootstrap { replicates: 0, seed: 0 };

#[test]
fn wilson_intervals_agree_with_scipy() {
    for case in fixture().wilson {
        let interval = Proportion::new(case.count, case.total).expect("something was counted").ci95;
        assert_close("lower", interval.lower, case.lower, EXACT);
        assert_close("upper", interval.upper, case.upper, EXACT);
    }
}

#[test]
fn normal_deviates_agree_with_scipy() {
    for case in fixture().normal_deviates {
        let deviate = normal_deviate(case.probability).expect("strictly between 0 and 1");
        assert_close("deviate", deviate, case.deviate, 1e-9);
    }
}

#[test]
fn presentation_attack_figures_agree_with_scikit_learn() {
    for case in fixture().attacks {
        let mut csv = String::from("path,liveness\n");
        let mut outcomes = Vec::new();
        let live = [("live", &case.live)];
        let attacks = case.species.iter().map(|(name, scores)| (name.as_str(), scores));
        for (name, scores) in live.into_iter().chain(attacks) {
            for (index, &score) in scores.iter().enumerate() {
                writeln!(csv, "{name}{index},{name}").expect("a string");
                outcomes
                    .push(Outcome { liveness_score: Some(score), ..Outcome::new(format!("{name}{index}"), Word::Ok) });
            }
        }
        let replicates = if case.eer_ci95.is_some() { 4000 } else { 0 };
        let evaluation = evaluate(&csv, &outcomes, Bootstrap { replicates, seed: 1 });
        let figures = evaluation.presentation_attack_detection.expect("labelled");
        let within = |what: &str| format!("{}: {what}", case.name);

        assert_close(&within("BPCER"), figures.bona_fide.bpcer.expect("live").ratio, case.bpcer, EXACT);
        assert_close(&within("ACER"), figures.acer.expect("both").value, case.acer, EXACT);
        let eer = figures.eer.expect("both").ratio;
        let auc = figures.auc.expect("both");
        assert_close(&within("EER"), eer.value, case.eer, EXACT);
        assert_close(&within("AUC"), auc.value, case.auc, EXACT);
        assert_eq!(figures.species.len(), case.species.len());
        for species in &figures.species {
            let name = &species.name;
            assert_close(&within(name), species.apcer.expect("attacks").ratio, case.apcer[name], EXACT);
            assert_close(&within(name), species.eer.expect("both").value, case.species_eer[name], EXACT);
            assert_close(&within(name), species.auc.expect("both").value, case.species_auc[name], EXACT);
        }
        assert_eq!(figures.bpcer_at_apcer.len(), case.bpcer_at.len());
        for figure in &figures.bpcer_at_apcer {
            let expected = case.bpcer_at[&format!("{:.2}", figure.apcer_limit)];
            assert_close(&within("BPCER at APCER"), figure.bpcer.value, expected, EXACT);
        }
        if let Some(expected) = case.eer_ci95 {
            assert_similar_interval(&within("EER"), eer.ci95, expected);
        }
        if let Some(expected) = case.auc_ci95 {
            assert_similar_interval(&within("AUC"), auc.ci95, expected);
        }
    }
}

#[test]
fn age_figures_agree_with_scikit_learn_and_scipy() {
    let case = fixture().age;
    let mut csv = String::from("path,age\n");
    let mut outcomes = Vec::new();
    for (index, (truth, &estimate)) in case.truth.iter().zip(&case.estimate).enumerate() {
        writeln!(csv, "{index},{truth}").expect("a string");
        outcomes.push(Outcome { age: Some(estimate), ..Outcome::new(index.to_string(), Word::Ok) });
    }
    let age = evaluate(&csv, &outcomes, Bootstrap { replicates: 20_000, seed: 1 }).age.expect("labelled");
    let overall = age.overall;
    assert_close("MAE", overall.mean_absolute_error_years.value, case.mean_absolute_error, EXACT);
    assert_close("RMSE", overall.root_mean_square_error_years.value, case.root_mean_square_error, EXACT);
    assert_close("within 5", overall.share_within_5_years.ratio, case.within_5, EXACT);
    assert_similar_interval("MAE", overall.mean_absolute_error_years.ci95, case.mean_absolute_error_ci95);
    let biases: BTreeMap<u32, f64> =
        age.by_decade.iter().map(|decade| (decade.from_years, decade.errors.bias_years.value)).collect();
    assert_eq!(biases.len(), case.bias_by_decade.len());
    for (decade, expected) in case.bias_by_decade {
        assert_close("bias", biases[&decade], expected, EXACT);
    }
}

#[test]
fn gender_figures_agree_with_scikit_learn() {
    let case = fixture().gender;
    let mut csv = String::from("path,gender\n");
    let mut outcomes = Vec::new();
    for (index, (&female, &number)) in case.female.iter().zip(&case.number).enumerate() {
        writeln!(csv, "{index},{}", if female { "f" } else { "m" }).expect("a string");
        outcomes.push(Outcome { gender: Some(number), ..Outcome::new(index.to_string(), Word::Ok) });
    }
    let gender = evaluate(&csv, &outcomes, NO_BOOTSTRAP).gender.expect("labelled");
    assert_close("accuracy", gender.accuracy.ratio, case.accuracy, EXACT);
    assert_close("Brier score", gender.brier_score.value, case.brier_score, EXACT);
    let confusion = [gender.labelled_female, gender.labelled_male].map(|row| [row.female, row.male]);
    assert_eq!(confusion, case.confusion);
}

#[test]
fn rule_figures_agree_with_scikit_learn() {
    let case = fixture().rules;
    let mut csv = String::from("path,expected\n");
    let mut outcomes = Vec::new();
    for (index, (expected, &given)) in case.expected.iter().zip(&case.given).enumerate() {
        writeln!(csv, "{index},{expected}").expect("a string");
        outcomes.push(Outcome::new(index.to_string(), given));
    }
    let rules = evaluate(&csv, &outcomes, NO_BOOTSTRAP).rules.expect("labelled");
    assert_eq!(rules.words, case.words);
    assert_eq!(rules.counts, case.confusion);
    assert_close("agreement", rules.agreement.ratio, case.agreement, EXACT);
    for (figure, (precision, recall)) in rules.by_word.iter().zip(case.precision.iter().zip(&case.recall)) {
        assert_close("precision", figure.precision.expect("given").ratio, *precision, EXACT);
        assert_close("recall", figure.recall.expect("expected").ratio, *recall, EXACT);
    }
}

#[test]
fn detection_figures_agree_with_scikit_learn_and_a_pixel_count() {
    let case = fixture().detection;
    let mut csv = String::from("path,x,y,w,h\n");
    let mut outcomes = Vec::new();
    for (index, picture) in case.pictures.iter().enumerate() {
        for [x, y, w, h] in &picture.faces {
            writeln!(csv, "{index},{x},{y},{w},{h}").expect("a string");
        }
        if picture.faces.is_empty() {
            writeln!(csv, "{index},0,0,0,0").expect("a string");
        }
        let faces = picture.found.iter().map(|&[x, y, w, h, score]| DetectedFace { x, y, w, h, score }).collect();
        outcomes.push(Outcome { faces: Some(faces), ..Outcome::new(index.to_string(), Word::Ok) });
    }
    let detection = evaluate(&csv, &outcomes, NO_BOOTSTRAP).detection.expect("labelled");
    let average_precision = detection.average_precision.expect("faces").value;
    assert_close("average precision", average_precision, case.average_precision, EXACT);
    assert_close("recall", detection.recall.expect("faces").ratio, case.recall, EXACT);
    assert_close("precision", detection.precision.expect("detections").ratio, case.precision, EXACT);
}
