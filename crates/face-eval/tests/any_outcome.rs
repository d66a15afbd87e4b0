//! Whatever the outcomes, figures stay within their ranges and the report can be written.

use std::fmt::Write;

use face_eval::statistics::{Bootstrap, Estimate, Interval};
use face_eval::{DetectedFace, Evaluation, Labels, LivenessReasons, Meta, Options, Outcome, Pose, Unreadable, Word};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

/// A row's labels after the path, and its outcome. Few distinct scores, so that ties are common.
fn picture() -> impl Strategy<Value = (String, Outcome)> {
    let labels = (
        select(vec!["", "live", "print", "replay", "<b>\"mask\""]),
        of(0_u8..=120),
        select(vec!["", "m", "f"]),
        of(select(Word::ALL.to_vec())),
        select(vec![",,,", "0,0,0,0", "10,10,50,60", "-5,0,30.5,30"]),
        of(-180_i16..=180),
    )
        .prop_map(|(liveness, age, gender, expected, face, yaw)| {
            let age = age.map_or(String::new(), |age| age.to_string());
            let expected = expected.map_or("", Word::as_str);
            let yaw = yaw.map_or(String::new(), |yaw| yaw.to_string());
            let mut row = String::new();
            let liveness = liveness.replace('"', "\"\"");
            let _ = write!(row, "\"{liveness}\",{age},{gender},{expected},{face},{yaw},{yaw},{yaw}");
            row
        });
    let score = prop_oneof![(0_u8..=10).prop_map(|tenths| f64::from(tenths) / 10.0), 0.0..=1.0];
    let face = (-50.0..100.0_f64, -50.0..100.0_f64, 0.1..90.0_f64, 0.1..90.0_f64, score.clone())
        .prop_map(|(x, y, w, h, score)| DetectedFace { x, y, w, h, score });
    let angle = || -180.0..=180.0_f64;
    let pose = (angle(), angle(), angle()).prop_map(|(yaw, pitch, roll)| Pose { yaw, pitch, roll });
    let reasons = (
        prop::collection::btree_map(select(vec!["a".to_owned(), "<b>".to_owned()]), score.clone(), 0..3),
        0.1..50.0_f64,
        score.clone(),
    )
        .prop_map(|(networks, surrounding, reliability)| LivenessReasons { networks, surrounding, reliability });
    let outcome = (
        select(Word::ALL.to_vec()),
        of(prop::collection::vec(face, 0..4)),
        (of(score), of(reasons)),
        of(0.0..=150.0_f64),
        of(-10_000..=10_000_i32),
        of(pose),
        of(prop_oneof![Just(Unreadable::File("<i>".into())), Just(Unreadable::Picture("&".into()))]),
    )
        .prop_map(|(word, faces, (liveness_score, liveness_reasons), age, gender, pose, unreadable)| {
            match unreadable {
                Some(why) => Outcome::unreadable("", why),
                None => {
                    Outcome { faces, liveness_score, liveness_reasons, age, gender, pose, ..Outcome::new("", word) }
                }
            }
        });
    (labels, outcome)
}

fn assert_within(interval: Interval, range: std::ops::RangeInclusive<f64>) {
    assert!(interval.lower <= interval.upper, "{interval:?}");
    assert!(range.contains(&interval.lower) && range.contains(&interval.upper), "{interval:?} is not in {range:?}");
}

fn assert_ratio(estimate: Estimate) {
    assert!((0.0..=1.0).contains(&estimate.value), "{estimate:?}");
    if let Some(interval) = estimate.ci95 {
        assert_within(interval, 0.0..=1.0);
    }
}

/// Every share in the JSON has its count, total and ratio in order, whatever it is of, and no number is null.
fn assert_shares(value: &serde_json::Value) {
    match value {
        serde_json::Value::Object(object) => {
            if let (Some(count), Some(total), Some(ratio)) =
                (object.get("count"), object.get("total"), object.get("ratio"))
            {
                let (count, total) = (count.as_u64().expect("a count"), total.as_u64().expect("a total"));
                let ratio = ratio.as_f64().expect("a number");
                assert!(total > 0 && count <= total && (ratio - count as f64 / total as f64).abs() < 1e-12);
                let end = |name: &str| object["ci95"][name].as_f64().expect("a number");
                assert!(0.0 <= end("lower") && end("lower") <= ratio && ratio <= end("upper") && end("upper") <= 1.0);
            }
            if let Some(value) = object.get("value") {
                assert!(value.is_number(), "an estimate without a number: {object:?}");
            }
            object.values().for_each(assert_shares);
        }
        serde_json::Value::Array(items) => items.iter().for_each(assert_shares),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn figures_stay_within_their_ranges(pictures in prop::collection::vec(picture(), 1..30)) {
        let mut csv = String::from("path,liveness,age,gender,expected,x,y,w,h,yaw,pitch,roll\n");
        let mut outcomes = Vec::new();
        for (index, (row, outcome)) in pictures.into_iter().enumerate() {
            let _ = writeln!(csv, "{index},{row}");
            outcomes.push(Outcome { path: index.to_string(), ..outcome });
        }
        let labels = Labels::from_reader(csv.as_bytes(), "").expect("usable labels");
        let options = Options { bootstrap: Bootstrap { replicates: 30, seed: 1 }, ..Options::default() };
        let evaluation = Evaluation::compute(&labels, &outcomes, &options).expect("valid outcomes");
        let sample = evaluation.sample;
        prop_assert_eq!(sample.pictures_analysed + sample.pictures_unreadable, outcomes.len() as u64);

        if let Some(figures) = &evaluation.presentation_attack_detection {
            let eer = figures.eer.map(|eer| eer.ratio);
            [figures.acer, figures.auc, eer].into_iter().flatten().for_each(assert_ratio);
            for species in &figures.species {
                species.eer.into_iter().chain(species.auc).for_each(assert_ratio);
            }
            let mut before = 1.0;
            for figure in &figures.bpcer_at_apcer {
                assert_ratio(figure.bpcer);
                prop_assert!(figure.bpcer.value <= before, "a higher limit of APCER cannot cost more");
                before = figure.bpcer.value;
            }
            for curve in &figures.det_curves {
                let falls = curve.points.windows(2).all(|pair| pair[0].apcer >= pair[1].apcer);
                let rises = curve.points.windows(2).all(|pair| pair[0].bpcer <= pair[1].bpcer);
                prop_assert!(falls && rises);
            }
        }
        if let Some(figures) = &evaluation.age {
            let errors = figures.overall;
            let (mae, rmse) = (errors.mean_absolute_error_years.value, errors.root_mean_square_error_years.value);
            prop_assert!(mae >= 0.0 && rmse >= mae - 1e-9 && errors.bias_years.value.abs() <= mae + 1e-9);
        }
        if let Some(figures) = &evaluation.gender {
            assert_ratio(figures.brier_score);
        }
        if let Some(figures) = &evaluation.detection
            && let Some(average_precision) = figures.average_precision
        {
            assert_ratio(average_precision);
            let recall = figures.recall.expect("there are faces").ratio;
            prop_assert!(average_precision.value <= recall + 1e-12, "precision is at most 1 up to the last recall");
        }
        if let Some(figures) = &evaluation.pose {
            for axis in [figures.yaw, figures.pitch, figures.roll].into_iter().flatten() {
                prop_assert!((0.0..=180.0).contains(&axis.mean_absolute_error_degrees.value));
            }
        }

        let json = evaluation.to_json(&Meta::default()).expect("JSON");
        assert_shares(&serde_json::from_str(&json).expect("JSON"));
        let html = evaluation.to_html(&Meta::default());
        prop_assert!(!html.contains("NaN") && !html.contains(">inf") && !html.contains("<i>") && !html.contains("<b>"));
        prop_assert_eq!(evaluation.to_html(&Meta::default()), html, "the same figures give the same page");
    }
}
