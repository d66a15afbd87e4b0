//! The rules against measured values of every kind.

use proptest::prelude::*;

use super::*;

/// A picture that meets every rule of the default profile.
fn usable() -> Measurements {
    Measurements {
        faces: 1,
        second_face: None,
        interpupillary_distance: Some(90.0),
        face_side: Some(240.0),
        face_area: Some(0.1),
        margins: Some(Margins { left: 100.0, top: 80.0, right: 100.0, bottom: 80.0 }),
        surrounding: Some(2.0),
        pose: Some(Pose { yaw: 3.0, pitch: -4.0, roll: 20.0 }),
        light: Some(Light { contrast: 90.0, colour: 8.0 }),
        occlusion: covered(0.1),
    }
}

/// The mouth is covered with this probability, nothing else.
fn covered(probability: f32) -> Option<Occlusion> {
    Some(Occlusion { probability, right_eye: 0.0, left_eye: 0.0, nose: 0.0, mouth: probability, lower_face: 0.0 })
}

fn rejection(change: impl FnOnce(&mut Measurements)) -> Option<RejectionWord> {
    let mut measured = usable();
    change(&mut measured);
    Rules::of_profile(Profile::Default).reject(&measured).map(|r| r.word)
}

#[test]
fn accepts_a_usable_picture() {
    assert_eq!(rejection(|_| ()), None);
}

#[test]
fn rejects_at_the_limits_of_the_contract() {
    use RejectionWord::*;
    type Change = fn(&mut Measurements);
    let cases: [(Change, Option<RejectionWord>); 24] = [
        (|m| m.faces = 0, Some(FaceNotFound)),
        (|m| m.second_face = Some(0.35), Some(TooManyFaces)),
        (|m| m.second_face = Some(0.349), None),
        (|m| m.interpupillary_distance = Some(49.9), Some(FaceTooSmall)),
        (|m| m.interpupillary_distance = Some(50.0), None),
        (|m| m.face_side = Some(149.9), Some(FaceTooSmall)),
        (|m| m.face_side = Some(150.0), None),
        (|m| m.face_area = Some(0.0199), Some(FaceTooSmall)),
        (|m| m.face_area = Some(0.02), None),
        (|m| m.margins = Some(Margins { left: -0.5, top: 80.0, right: 99.0, bottom: 80.0 }), Some(FaceCropped)),
        (|m| m.surrounding = Some(1.04), Some(FaceTooClose)),
        (|m| m.surrounding = Some(1.05), None),
        (|m| m.margins = Some(Margins { left: 14.0, top: 80.0, right: 14.0, bottom: 80.0 }), Some(FaceTooClose)),
        (|m| m.margins = Some(Margins { left: 14.9, top: 80.0, right: 99.0, bottom: 80.0 }), Some(FaceCloseToBorder)),
        (|m| m.margins = Some(Margins { left: 15.0, top: 80.0, right: 99.0, bottom: 80.0 }), None),
        (|m| m.pose = Some(Pose { yaw: -30.1, pitch: 0.0, roll: 0.0 }), Some(FaceAngleTooLarge)),
        (|m| m.pose = Some(Pose { yaw: 0.0, pitch: 30.1, roll: 0.0 }), Some(FaceAngleTooLarge)),
        (|m| m.pose = Some(Pose { yaw: 30.0, pitch: -30.0, roll: 80.0 }), None),
        (|m| m.light = Some(Light { contrast: 11.9, colour: 8.0 }), Some(FaceNotFound)),
        (|m| m.light = Some(Light { contrast: 12.0, colour: 8.0 }), None),
        (|m| m.light = Some(Light { contrast: 90.0, colour: 0.0 }), None),
        (|m| m.occlusion = covered(0.5), Some(FaceIsOccluded)),
        (|m| m.occlusion = covered(0.499), None),
        (|m| m.occlusion = None, None),
    ];
    for (index, (change, expected)) in cases.into_iter().enumerate() {
        assert_eq!(rejection(change), expected, "case {index}");
    }
}

/// The numbers of the contract, and those of the commercial engine's older profile, which it names.
#[test]
fn the_profiles_have_the_limits_that_are_published() {
    let limits = |name: &str| {
        Profile::ALL
            .map(|profile| Rules::of_profile(profile).iter().find(|rule| rule.name == name).expect(name).setting.limit)
    };
    for (rule, default, strict) in [
        ("min_interpupillary_distance", 50.0, 80.0),
        ("min_face_side", 150.0, 224.0),
        ("min_face_area", 0.02, 0.02),
        ("min_opposite_margins", 15.0, 25.0),
        ("min_margin", 15.0, 25.0),
        ("max_yaw", 30.0, 30.0),
        ("max_pitch", 30.0, 30.0),
    ] {
        assert_eq!(limits(rule)[..2], [default, strict], "{rule}");
    }
    // What the default profile takes, the lenient one takes too.
    for (default, lenient) in Rules::of_profile(Profile::Default).iter().zip(Rules::of_profile(Profile::Lenient).iter())
    {
        let (name, default, lenient) = (default.name, default.setting.limit, lenient.setting.limit);
        let no_stricter = if name.starts_with("min_") { lenient <= default } else { lenient >= default };
        assert!(no_stricter, "{name}: {lenient} against {default}");
    }
}

#[test]
fn sends_the_first_word_of_the_contract_when_several_apply() {
    let everything_wrong = |m: &mut Measurements| {
        *m = Measurements {
            faces: 2,
            second_face: Some(0.9),
            interpupillary_distance: Some(10.0),
            face_side: Some(10.0),
            face_area: Some(0.0),
            margins: Some(Margins { left: -5.0, top: -5.0, right: -5.0, bottom: -5.0 }),
            surrounding: Some(0.9),
            pose: Some(Pose { yaw: 80.0, pitch: 80.0, roll: 0.0 }),
            light: Some(Light { contrast: 90.0, colour: 0.0 }),
            occlusion: covered(0.99),
        }
    };
    assert_eq!(rejection(everything_wrong), Some(RejectionWord::TooManyFaces));
    // Each rule put right in turn lets the next word through.
    type Change = fn(&mut Measurements);
    let repairs: [(Change, RejectionWord); 6] = [
        (|m| m.second_face = None, RejectionWord::FaceTooSmall),
        (
            |m| (m.interpupillary_distance, m.face_side, m.face_area) = (Some(90.0), Some(240.0), Some(0.1)),
            RejectionWord::FaceCropped,
        ),
        (|m| m.margins = Some(Margins { left: 5.0, top: 5.0, right: 5.0, bottom: 5.0 }), RejectionWord::FaceTooClose),
        (
            |m| {
                m.surrounding = Some(2.0);
                m.margins = Some(Margins { left: 5.0, top: 50.0, right: 50.0, bottom: 50.0 });
            },
            RejectionWord::FaceCloseToBorder,
        ),
        (|m| m.margins = usable().margins, RejectionWord::FaceAngleTooLarge),
        (|m| m.pose = usable().pose, RejectionWord::FaceIsOccluded),
    ];
    let mut measured = usable();
    everything_wrong(&mut measured);
    for (repair, word) in repairs {
        repair(&mut measured);
        assert_eq!(Rules::of_profile(Profile::Default).reject(&measured).map(|r| r.word), Some(word));
    }
}

#[test]
fn a_covering_counts_as_a_rejection_where_its_rule_rejects() {
    let with = |action, limit| {
        let change = RuleOverride { action: Some(action), limit: Some(limit) };
        let config = RuleConfig { overrides: [("max_occlusion".to_owned(), change)].into(), ..Default::default() };
        config.resolve().expect("a known rule")
    };
    let seen = |probability| Measurements { occlusion: covered(probability), faces: 0, ..usable() };
    assert!(with(Action::Reject, 0.5).reject_as_covered(&seen(0.6)), "whatever else rejects it");
    assert!(!with(Action::Reject, 0.7).reject_as_covered(&seen(0.6)));
    assert!(!with(Action::Warn, 0.5).reject_as_covered(&seen(0.6)));
    assert!(!with(Action::Reject, 0.5).reject_as_covered(&Measurements { occlusion: None, ..usable() }));
}

#[test]
fn the_rules_stand_in_the_order_of_the_contract() {
    assert!(RULES.windows(2).all(|pair| pair[0].word <= pair[1].word));
    assert!(RejectionWord::ALL.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn what_is_no_number_is_rejected() {
    assert_eq!(rejection(|m| m.occlusion = covered(f32::NAN)), Some(RejectionWord::FaceIsOccluded));
    assert_eq!(rejection(|m| m.surrounding = Some(f32::NAN)), Some(RejectionWord::FaceTooClose));
}

#[test]
fn a_rule_can_warn_or_be_off() {
    for (action, verdict) in [(Action::Warn, RuleVerdict::Fail), (Action::Off, RuleVerdict::Skipped)] {
        let change = RuleOverride { action: Some(action), limit: None };
        let config = RuleConfig { overrides: [("max_yaw".to_owned(), change)].into(), ..Default::default() };
        let rules = config.resolve().expect("a known rule");
        let measured = Measurements { pose: Some(Pose { yaw: 60.0, pitch: 0.0, roll: 0.0 }), ..usable() };
        assert_eq!(rules.reject(&measured), None);
        let report = rules.judge(&measured).into_iter().find(|r| r.rule == "max_yaw").expect("reported");
        assert_eq!(report.verdict, verdict);
    }
}

#[test]
fn an_unknown_rule_and_a_limit_that_is_no_number_are_refused() {
    let with = |name: &str, limit: f32| RuleConfig {
        overrides: [(name.to_owned(), RuleOverride { limit: Some(limit), action: None })].into(),
        ..Default::default()
    };
    assert!(matches!(with("max_jaw", 1.0).resolve(), Err(RuleConfigError::UnknownRule(_))));
    assert!(matches!(with("max_yaw", f32::NAN).resolve(), Err(RuleConfigError::Limit(_))));
    assert!(matches!(with("min_faces", 0.0).resolve(), Err(RuleConfigError::MinFaces)));
}

/// Where a profile lets a face leave the picture, the margins that this takes are no reason to reject it.
#[test]
fn no_rule_of_a_profile_takes_back_what_another_allows() {
    for (profile, outside) in [(Profile::Default, 0.0), (Profile::Strict, 0.0), (Profile::Lenient, 10.0)] {
        let rules = Rules::of_profile(profile);
        let word = |left: f32| {
            let margins = Some(Margins { left, top: 80.0, right: 100.0, bottom: 80.0 });
            rules.reject(&Measurements { margins, ..usable() }).map(|rejection| rejection.word)
        };
        assert_eq!(word(-outside - 0.1), Some(RejectionWord::FaceCropped), "{profile:?}");
        assert_ne!(word(-outside), Some(RejectionWord::FaceCropped), "{profile:?}");
        assert!(outside == 0.0 || word(-outside).is_none(), "{profile:?}");
    }
}

#[test]
fn what_only_warns_matters_among_details_only() {
    let occluded = RejectionWord::FaceIsOccluded;
    for (profile, plain) in [(Profile::Default, true), (Profile::Lenient, false)] {
        let rules = Rules::of_profile(profile);
        assert_eq!((rules.wants(occluded, false), rules.wants(occluded, true)), (plain, true), "{profile:?}");
    }
}

#[test]
fn a_rejection_says_what_was_measured_and_what_is_required() {
    let measured = Measurements { interpupillary_distance: Some(31.26), ..usable() };
    let rejection = Rules::of_profile(Profile::Default).reject(&measured).expect("too small");
    assert_eq!(rejection.code, "interpupillary_distance_too_small");
    assert!(rejection.message.contains("31.3 px") && rejection.message.contains("at least 50 px"));
}

#[test]
fn a_rejection_for_a_covering_names_the_part_and_a_warning_has_the_code_of_its_rule() {
    let measured = Measurements { occlusion: covered(0.93), ..usable() };
    let rejection = Rules::of_profile(Profile::Default).reject(&measured).expect("covered");
    assert!(rejection.message.starts_with("the mouth is covered: "), "{}", rejection.message);
    let warned = |measured: &Measurements, profile| {
        Rules::of_profile(profile).warnings(measured).iter().map(|w| w.code).collect::<Vec<_>>()
    };
    assert!(warned(&usable(), Profile::Lenient).is_empty());
    assert!(warned(&measured, Profile::Default).is_empty(), "what rejects does not warn");
    let grey = Measurements { light: Some(Light { contrast: 90.0, colour: 0.1 }), ..measured };
    assert_eq!(warned(&grey, Profile::Default), ["picture_without_colour"]);
    assert_eq!(warned(&grey, Profile::Lenient), ["picture_without_colour", "face_covered"]);
}

proptest! {
    #[test]
    fn no_measured_value_makes_the_rules_panic(
        values in proptest::collection::vec(
            prop_oneof![any::<f32>(), Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY)], 13,
        ),
        faces in 0_usize..5,
    ) {
        let measured = Measurements {
            faces,
            second_face: Some(values[0]),
            interpupillary_distance: Some(values[1]),
            face_side: Some(values[2]),
            face_area: Some(values[3]),
            margins: Some(Margins { left: values[4], top: values[5], right: values[6], bottom: values[7] }),
            surrounding: Some(values[8]),
            pose: Some(Pose { yaw: values[9], pitch: values[10], roll: values[11] }),
            light: Some(Light { contrast: values[0], colour: values[1] }),
            occlusion: covered(values[12]),
        };
        for profile in Profile::ALL {
            let rules = Rules::of_profile(profile);
            let rejection = rules.reject(&measured);
            prop_assert!(faces > 0 || rejection.is_some_and(|r| r.word == RejectionWord::FaceNotFound));
            // What goes into an answer must be JSON, which has no NaN.
            prop_assert!(rules.judge(&measured).iter().all(|r| r.measured.is_none_or(f32::is_finite)));
        }
    }
}
