//! One face too many: seen beside the main one however the picture lies and whatever else is in it.

use face_analysis::report::Details;
use image::imageops::{FilterType, replace, resize, rotate90, rotate180, rotate270};
use image::{Rgb, RgbImage};
use testkit::{analyze, cropped, drawn_face, leaning, on_canvas, picture, png, portrait, word};

fn details(scene: &RgbImage) -> Details {
    *analyze(&png(scene)).details.expect("details were asked for")
}

/// The man in the middle of the group picture, his head `width` by `height` pixels.
fn man(width: u32, height: u32) -> RgbImage {
    let group = image::load_from_memory(&picture("t1.jpg")).expect("a picture").to_rgb8();
    resize(&cropped(&group, 420, 200, 190, 240), width, height, FilterType::CatmullRom)
}

/// With a mask of cloth over mouth and nose, which leaves the detector in doubt.
fn masked(mut head: RgbImage) -> RgbImage {
    let (width, height) = head.dimensions();
    for (x, y, pixel) in head.enumerate_pixels_mut() {
        let (across, down) = (x as f32 / width as f32 - 0.45, y as f32 / height as f32);
        if (0.56..0.95).contains(&down) && across.abs() < 0.30 - 0.25 * (down - 0.56) {
            let fold = if (y / 4) % 4 == 0 { 10 } else { 0 };
            *pixel = Rgb([150 - fold, 175 - fold, 190 - fold]);
        }
    }
    head
}

/// The portrait on a wide canvas with room at its right.
fn scene() -> RgbImage {
    let mut canvas = RgbImage::from_pixel(1280, 720, Rgb([150, 152, 155]));
    replace(&mut canvas, &resize(&portrait(1.0), 720, 720, FilterType::CatmullRom), 0, 0);
    canvas
}

/// Rotated by pixels, without a word about it in the file.
#[test]
fn a_second_face_is_seen_as_well_in_a_picture_on_its_side() {
    let mut seen = [0, 0];
    for height in [80, 96, 112, 128, 144] {
        let mut scene = scene();
        replace(&mut scene, &masked(man(height * 19 / 24, height)), 960, 300);
        for (seen, scene) in seen.iter_mut().zip([scene.clone(), rotate90(&scene)]) {
            *seen += usize::from(details(&scene).faces.len() == 2);
        }
    }
    let [upright, turned] = seen;
    assert!(upright >= 3 && turned >= upright - 1, "{upright} of 5 upright, {turned} of 5 on their side");
}

#[test]
fn drawings_do_not_hide_a_second_person() {
    for drawings in [0_i64, 4, 6] {
        let mut scene = scene();
        replace(&mut scene, &masked(man(110, 140)), 960, 500);
        for number in 0..drawings {
            let drawn = resize(&drawn_face(600), 150, 150, FilterType::Triangle);
            replace(&mut scene, &drawn, 750 + 160 * (number % 3), 20 + 170 * (number / 3));
        }
        let analysis = analyze(&png(&scene));
        assert_eq!(word(&analysis), "TOO_MANY_FACES", "{drawings} drawings");
        let faces = analysis.details.expect("details were asked for").faces;
        let [_, other] = &faces[..] else { panic!("{drawings} drawings: {faces:?}") };
        let (x, y) = (other.extent.left + other.extent.width / 2.0, other.extent.top + other.extent.height / 2.0);
        assert!((960.0..1070.0).contains(&x) && (500.0..640.0).contains(&y), "{other:?}");
    }
}

/// The head of the first leans so far that it is judged lying; a small one beside it holds nothing against that.
#[test]
fn somebody_small_beside_does_not_say_how_the_main_head_is_held() {
    let alone = on_canvas(&leaning(&portrait(2.0), 50.0), 1900, 1449, 0, 0);
    let mut both = alone.clone();
    replace(&mut both, &man(88, 111), 1600, 600);
    let (alone, both) = (details(&alone), details(&both));
    assert_eq!((alone.faces.len(), both.faces.len()), (1, 2), "{:?}", both.faces);
    assert_ne!(alone.image.upright_rotation, 0);
    assert_eq!(both.image.upright_rotation, alone.image.upright_rotation, "{:?}", both.faces);
    let score = |details: &Details| details.liveness.as_ref().expect("judged").score;
    assert!((score(&both) - score(&alone)).abs() < 0.01, "{} and {}", score(&both), score(&alone));
}

#[test]
fn somebody_who_sits_beside_somebody_who_lies_counts() {
    let scene_with = |main: &RgbImage| {
        let mut scene = scene();
        replace(&mut scene, main, 0, 0);
        replace(&mut scene, &man(150, 190), 960, 300);
        scene
    };
    let main = resize(&portrait(1.0), 720, 720, FilterType::CatmullRom);
    let share = |details: &Details| {
        let rule = details.rules.iter().find(|rule| rule.rule == "max_second_face").expect("a rule");
        rule.measured.expect("a second face")
    };
    let upright = details(&scene_with(&main));
    for lying in [rotate90(&main), rotate180(&main), rotate270(&main)] {
        let found = details(&scene_with(&lying));
        let turned = found.image.upright_rotation;
        assert_ne!(turned, 0);
        assert_eq!(found.faces.len(), 2, "{turned}: {:?}", found.faces);
        assert!((share(&found) / share(&upright) - 1.0).abs() < 0.1, "{turned}: {}", share(&found));
        let (seen, expected) = (found.faces[1].extent, upright.faces[1].extent);
        assert!(
            (seen.left - expected.left).abs() < 10.0 && (seen.top - expected.top).abs() < 10.0,
            "{turned}: {seen:?}"
        );
    }
}

/// The wider of two others has the larger box, the narrower one is higher than is allowed.
#[test]
fn the_highest_of_the_others_counts_not_the_largest() {
    let mut scene = scene();
    replace(&mut scene, &man(120, 96), 760, 420);
    replace(&mut scene, &man(90, 130), 1060, 420);
    let found = details(&scene);
    let [main, others @ ..] = &found.faces[..] else { panic!("no face") };
    let heights: Vec<_> = others.iter().map(|other| other.extent.height / main.extent.height).collect();
    assert_eq!(heights.len(), 2, "{:?}", found.faces);
    assert!(heights[1] > heights[0], "the second one of these is the narrower and higher: {heights:?}");
    let rule = found.rules.iter().find(|rule| rule.rule == "max_second_face").expect("a rule");
    assert_eq!(rule.measured, Some(heights[1]));
}
