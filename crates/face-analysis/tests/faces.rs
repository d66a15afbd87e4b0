//! What is a face, and which of several is the main one: real networks on real, derived and drawn pictures.

use face_analysis::report::{Details, Extent};
use face_analysis::{DetectionSettings, FaceAnalyzer, Settings, Wanted};
use image::Rgb;
use image::imageops::{FilterType, blur, replace, resize};
use testkit::{analyze, drawn_face, jpeg, marked, models, on_canvas, overlap, picture, png, portrait, word};

fn details(bytes: &[u8]) -> Details {
    *analyze(bytes).details.expect("details were asked for")
}

#[test]
fn a_drawn_face_is_none_though_both_networks_are_sure_of_it() {
    let drawing = on_canvas(&drawn_face(600), 900, 900, 150, 150);
    let any = Settings {
        detection: DetectionSettings { min_certainty: 0.0, ..DetectionSettings::default() },
        ..Settings::default()
    };
    let lenient = FaceAnalyzer::load(&models(), any, 1).expect("networks");
    let seen = lenient.analyze(&png(&drawing), Wanted { details: true, face_image: false }).expect("a picture");
    let faces = seen.details.expect("asked for").faces;
    assert!(faces[0].score > 0.6 && faces[0].landmark_confidence > 0.9, "{faces:?}");
    assert_eq!(word(&analyze(&png(&drawing))), "FACE_NOT_FOUND");
    assert_eq!(word(&analyze(&jpeg(&drawing, 85))), "FACE_NOT_FOUND");
}

#[test]
fn a_drawn_face_beside_a_person_is_not_one_face_too_many() {
    let mut scene = portrait(2.0);
    replace(&mut scene, &resize(&drawn_face(600), 300, 300, FilterType::Triangle), 10, 100);
    assert_eq!((word(&analyze(&png(&scene))), details(&png(&scene)).faces.len()), ("OK", 1));
}

/// The rocket beside the portrait looks like a face to the detector when the picture is toned.
#[test]
fn a_rocket_beside_a_toned_portrait_is_no_face() {
    let mut toned = portrait(2.0);
    for Rgb([red, green, blue]) in toned.pixels_mut() {
        let grey = 0.299 * f32::from(*red) + 0.587 * f32::from(*green) + 0.114 * f32::from(*blue);
        (*red, *green, *blue) = ((grey * 1.07).min(255.0) as u8, (grey * 0.87) as u8, (grey * 0.66) as u8);
    }
    let found = details(&jpeg(&toned, 90));
    assert_eq!(found.faces.len(), 1, "{:?}", found.faces);
    assert!(overlap(found.faces[0].extent, marked(2.0, 0.0, 0.0)) > 0.75);
}

/// As stories show landscape pictures: over an enlarged, blurred copy of themselves.
#[test]
fn a_sharp_face_is_the_main_one_before_a_larger_blurred_copy() {
    let large = resize(&portrait(1.0), 2048, 2048, FilterType::Triangle);
    let mut scene = on_canvas(&blur(&large, 24.0), 1024, 2048, -512, 0);
    replace(&mut scene, &portrait(2.0), 0, 512);
    let found = details(&jpeg(&scene, 90));
    assert!(overlap(found.faces[0].extent, marked(2.0, 0.0, 512.0)) > 0.75, "{:?}", found.faces);
}

#[test]
fn things_and_patterns_are_no_faces() {
    for name in ["coffee.png", "chelsea.png"] {
        assert_eq!(details(&picture(name)).faces.len(), 0, "{name}");
    }
    // The portrait without its head: a space suit, a helmet, a flag.
    let body = image::imageops::crop_imm(&portrait(2.0), 0, 420, 1024, 604).to_image();
    assert_eq!(word(&analyze(&png(&body))), "FACE_NOT_FOUND");
}

/// Moved by a pixel, compressed anew: the box stays within 1 % of its size. The detector's own moves by two to three.
#[test]
fn the_box_hardly_moves_when_the_picture_does() {
    let scene = on_canvas(&portrait(2.0), 1100, 1100, 40, 40);
    let first = details(&png(&scene)).faces[0].extent;
    let size = (first.width * first.height).sqrt();
    let moved = [(1, 0), (0, 1), (1, 1), (2, 3)].map(|(x, y)| {
        let shifted = on_canvas(&portrait(2.0), 1100, 1100, 40 + x, 40 + y);
        let e = details(&png(&shifted)).faces[0].extent;
        Extent { left: e.left - x as f32, top: e.top - y as f32, ..e }
    });
    let packed = [95, 80, 60].map(|quality| details(&jpeg(&scene, quality)).faces[0].extent);
    for e in moved.into_iter().chain(packed) {
        let off = apart(e, first);
        assert!(off.iter().all(|edge| edge.abs() < 0.01 * size), "{off:?} of {size}");
    }
}

/// How far the left, upper, right and lower edge are apart.
fn apart(a: Extent, b: Extent) -> [f32; 4] {
    [a.left - b.left, a.top - b.top, a.left + a.width - b.left - b.width, a.top + a.height - b.top - b.height]
}

/// A fifth of the face cut off on one side: the box goes on beyond the picture, to where the whole picture shows that edge, within
/// 3 % of its height. The detector's ends near the border, up to 11 % short.
#[test]
fn a_face_that_the_picture_cuts_keeps_its_true_extent() {
    let whole = details(&png(&portrait(2.0))).faces[0].extent;
    let fifth = (0.2 * whole.width) as u32;
    let (left, right) = (whole.left as u32 + fifth, (whole.left + whole.width) as u32 - fifth);
    let (top, bottom) = (whole.top as u32 + fifth, (whole.top + whole.height) as u32 - fifth);
    for [x, y, width, height] in
        [[left, 0, 1024 - left, 1024], [0, top, 1024, 1024 - top], [0, 0, right, 1024], [0, 0, 1024, bottom]]
    {
        let part = png(&image::imageops::crop_imm(&portrait(2.0), x, y, width, height).to_image());
        let e = details(&part).faces[0].extent;
        let off = apart(Extent { left: e.left + x as f32, top: e.top + y as f32, ..e }, whole);
        assert!(
            off.iter().all(|edge| edge.abs() < 0.03 * whole.height),
            "{width} x {height}: {off:?} of {}",
            whole.height
        );
        assert_eq!(word(&analyze(&part)), "FACE_CROPPED");
    }
}

#[test]
fn a_plain_portrait_gets_one_look_and_a_doubtful_face_a_closer_one() {
    let plain = details(&png(&portrait(2.0)));
    assert!(plain.faces[0].closer_score.is_none() && plain.faces[0].certainty > 0.9, "{:?}", plain.faces[0]);
    // Nearly half of it is outside the picture.
    let cut = details(&png(&image::imageops::crop_imm(&portrait(2.0), 441, 0, 583, 1024).to_image()));
    assert!(cut.faces[0].closer_score.is_some(), "{:?}", cut.faces[0]);
}
