//! Coverings, bars, light and colour on real pictures: what hides a face is told and named, what merely looks like it is not.

use face_analysis::report::{Analysis, Details, Occlusion, Verdict};
use face_analysis::{Action, FaceAnalyzer, RuleConfig, RuleOverride, Settings, Wanted};
use image::imageops;
use image::{Rgb, RgbImage};
use testkit::{analyze, cropped, jpeg, models, picture, png, portrait, resized, word};

/// A change to a face whose points are known.
type Drawn = fn(&Marked) -> RgbImage;

/// A face in a picture, marked by hand: pupils, tip of the nose, middle of the mouth.
struct Marked {
    name: &'static str,
    picture: RgbImage,
    right_eye: [f32; 2],
    left_eye: [f32; 2],
    mouth: [f32; 2],
}

/// The portrait, and the man in the middle of the group.
fn faces() -> [Marked; 2] {
    let group = image::load_from_memory(&picture("t1.jpg")).expect("a picture").to_rgb8();
    let man = resized(&cropped(&group, 380, 190, 290, 290), 1160, 1160);
    [
        Marked {
            name: "portrait",
            picture: portrait(2.0),
            right_eye: [406.8, 202.0],
            left_eye: [493.2, 207.2],
            mouth: [448.8, 292.0],
        },
        Marked {
            name: "man",
            picture: man,
            right_eye: [445.0, 520.0],
            left_eye: [625.0, 570.0],
            mouth: [515.0, 785.0],
        },
    ]
}

impl Marked {
    /// A point in the face's own coordinates: the origin lies between the eyes, the eyes at x = -0.5 and 0.5, the mouth at
    /// y = 1.
    fn at(&self, x: f32, y: f32) -> [f32; 2] {
        let axis = |i: usize| {
            let middle = (self.right_eye[i] + self.left_eye[i]) / 2.0;
            middle + x * (self.left_eye[i] - self.right_eye[i]) + y * (self.mouth[i] - middle)
        };
        [axis(0), axis(1)]
    }

    /// Paints where `inside` says so, in the face's own coordinates.
    fn painted(&self, colour: [u8; 3], inside: impl Fn(f32, f32) -> bool) -> RgbImage {
        let ([ox, oy], [rx, ry], [dx, dy]) = (self.at(0.0, 0.0), self.at(1.0, 0.0), self.at(0.0, 1.0));
        let (rx, ry, dx, dy) = (rx - ox, ry - oy, dx - ox, dy - oy);
        let determinant = rx * dy - ry * dx;
        let mut out = self.picture.clone();
        for (px, py, pixel) in out.enumerate_pixels_mut() {
            let (x, y) = (px as f32 + 0.5 - ox, py as f32 + 0.5 - oy);
            if inside((x * dy - y * dx) / determinant, (y * rx - x * ry) / determinant) {
                *pixel = Rgb(colour);
            }
        }
        out
    }

    /// The colour of a cheek.
    fn skin(&self) -> [u8; 3] {
        let [x, y] = self.at(-0.45, 0.5);
        self.picture.get_pixel(x as u32, y as u32).0
    }
}

fn details(analysis: &Analysis) -> &Details {
    analysis.details.as_deref().expect("details were asked for")
}

fn occlusion(analysis: &Analysis) -> Occlusion {
    details(analysis).occlusion.expect("measured")
}

/// Whether the main face is covered; `None` where there is no face.
fn is_covered(analysis: &Analysis) -> Option<bool> {
    (!details(analysis).faces.is_empty()).then(|| occlusion(analysis).probability >= 0.5)
}

fn ellipse(x: f32, y: f32, [cx, cy]: [f32; 2], [rx, ry]: [f32; 2]) -> bool {
    ((x - cx) / rx).powi(2) + ((y - cy) / ry).powi(2) <= 1.0
}

/// How a covering is drawn, and the parts that it hides: right eye, left eye, mouth.
type Case = (&'static str, fn(&Marked) -> RgbImage, [bool; 3]);

/// Told on both faces.
const PLAIN: [Case; 5] = [
    ("a mask", |f| f.painted([190, 215, 235], |x, y| ellipse(x, y, [0.0, 1.15], [0.95, 0.8])), [false, false, true]),
    ("tape", |f| f.painted([60, 60, 60], |x, y| x.abs() < 0.65 && (y - 1.0).abs() < 0.25), [false, false, true]),
    ("a sheet of paper", |f| f.painted([240, 238, 230], |x, y| x.abs() < 1.6 && y > 0.35), [false, false, true]),
    (
        "sunglasses",
        |f| {
            f.painted([18, 16, 20], |x, y| {
                ellipse(x.abs(), y, [0.5, 0.03], [0.42, 0.36]) || (x.abs() < 0.2 && y.abs() < 0.06)
            })
        },
        [true, true, false],
    ),
    ("an eye patch", |f| f.painted([15; 3], |x, y| ellipse(x, y, [0.5, 0.0], [0.45, 0.4])), [false, true, false]),
];

/// Told on the portrait; on the man, who looks aside, not surely.
const HARDER: [Case; 3] = [
    ("a bar over the eyes", |f| f.painted([0; 3], |x, y| x.abs() < 1.1 && y.abs() < 0.25), [true, true, false]),
    (
        "fingers over the eyes",
        |f| {
            let skin = f.skin().map(|v| (f32::from(v) * 0.9) as u8);
            f.painted(skin, |x, y| x > -1.3 && [-0.27, 0.0, 0.27].iter().any(|at| (y - at).abs() < 0.12))
        },
        [true, true, false],
    ),
    ("a panel to the middle", |f| f.painted([70, 62, 55], |x, _| x < 0.0), [true, false, false]),
];

#[test]
fn every_kind_of_covering_is_told_and_its_part_named() {
    let [portrait, man] = faces();
    let cases = PLAIN.iter().map(|case| (&man, case)).chain(PLAIN.iter().chain(&HARDER).map(|case| (&portrait, case)));
    for (face, (name, draw, [right, left, mouth])) in cases {
        let analysis = analyze(&jpeg(&draw(face), 92));
        assert!(!details(&analysis).faces.is_empty(), "{name} on {}: no face", face.name);
        let found = occlusion(&analysis);
        assert!(found.probability >= 0.5, "{name} on {}: {found:?}", face.name);
        // The man turns away too far. On the portrait nothing else is wrong, whatever the mesh takes for the pupils.
        assert!(face.name == "man" || word(&analysis) == "FACE_IS_OCCLUDED", "{name}: {}", word(&analysis));
        for (part, hidden) in [(found.right_eye, right), (found.left_eye, left), (found.mouth, mouth)] {
            assert!(part >= 0.5 || !hidden, "{name} on {}: {found:?}", face.name);
        }
        // Eyes and mouth are told apart; one eye from the other only when the far one is quite free.
        let eyes = found.right_eye.max(found.left_eye);
        assert_eq!(eyes >= 0.5, *right || *left, "{name} on {}: {found:?}", face.name);
        // The panel hides half of the mouth, which may be told or not.
        assert!(found.mouth < 0.5 || *mouth || *right != *left, "{name} on {}: {found:?}", face.name);
    }
}

#[test]
fn a_rejection_names_the_part() {
    let [portrait, _] = faces();
    let masked = portrait.painted([190, 215, 235], |x, y| ellipse(x, y, [0.0, 1.15], [0.95, 0.8]));
    let Verdict::Rejected(rejection) = analyze(&jpeg(&masked, 92)).verdict else { panic!("accepted") };
    assert_eq!((rejection.word.as_str(), rejection.code), ("FACE_IS_OCCLUDED", "face_covered"));
    let part = rejection.message.split(':').next().expect("a beginning");
    assert!(part.contains("mouth") && part.ends_with("covered") && !part.contains("eye"), "{}", rejection.message);
}

/// With a limit that every face breaks: the same whether the mesh finds the pupils behind the covering or not.
#[test]
fn pupils_that_nobody_sees_are_not_too_near_to_each_other() {
    let [portrait, _] = faces();
    let drawn = |name: &str| PLAIN.iter().find(|case| case.0 == name).expect("a case").1(&portrait);
    let answer = |action, picture: &RgbImage, details| {
        let rules = RuleConfig {
            overrides: [
                ("min_interpupillary_distance".to_owned(), RuleOverride { limit: Some(1e4), action: None }),
                ("max_occlusion".to_owned(), RuleOverride { limit: None, action: Some(action) }),
            ]
            .into(),
            ..RuleConfig::default()
        };
        let analyzer = FaceAnalyzer::load(&models(), Settings { rules, ..Settings::default() }, 1).expect("networks");
        let analysis = analyzer.analyze(&png(picture), Wanted { details, face_image: false }).expect("a picture");
        let distance = analysis.details.as_ref().map(|details| details.interpupillary_distance.is_some());
        (word(&analysis), distance)
    };
    for name in ["sunglasses", "an eye patch"] {
        assert_eq!(answer(Action::Reject, &drawn(name), true), ("FACE_IS_OCCLUDED", Some(false)), "{name}");
        assert_eq!(answer(Action::Reject, &drawn(name), false), ("FACE_IS_OCCLUDED", None), "{name}");
        assert_eq!(answer(Action::Warn, &drawn(name), true), ("FACE_TOO_SMALL", Some(true)), "{name}");
    }
    for (name, picture) in [("a mask", drawn("a mask")), ("bare", portrait.picture.clone())] {
        assert_eq!(answer(Action::Reject, &picture, true), ("FACE_TOO_SMALL", Some(true)), "{name}");
        assert_eq!(answer(Action::Reject, &picture, false), ("FACE_TOO_SMALL", None), "{name}");
    }
}

#[test]
fn a_face_that_was_blurred_away_is_covered_or_none() {
    let [face, _] = faces();
    let ([left, top], [right, bottom]) = (face.at(-1.05, -0.6), face.at(1.05, 1.75));
    let (x, y, width, height) = (left as u32, top as u32, (right - left) as u32, (bottom - top) as u32);
    let blurred = imageops::blur(&cropped(&face.picture, x, y, width, height), width as f32 * 0.1);
    let mut out = face.picture.clone();
    imageops::replace(&mut out, &blurred, i64::from(x), i64::from(y));
    let analysis = analyze(&jpeg(&out, 92));
    assert!(is_covered(&analysis).unwrap_or(true), "{:?}", occlusion(&analysis));
}

#[test]
fn a_pixelated_face_is_covered_however_fine_the_cells_and_a_poor_picture_is_not() {
    let mut found = 0;
    for face in faces() {
        let ([left, top], [right, bottom]) = (face.at(-1.1, -0.9), face.at(1.1, 1.8));
        let (x, y, width, height) = (left as u32, top as u32, (right - left) as u32, (bottom - top) as u32);
        let plain = cropped(&face.picture, x, y, width, height);
        for cells in [9, 12, 16, 20] {
            let small = imageops::resize(&plain, cells, cells * height / width, imageops::FilterType::Triangle);
            let mut out = face.picture.clone();
            let coarse = imageops::resize(&small, width, height, imageops::FilterType::Nearest);
            imageops::replace(&mut out, &coarse, i64::from(x), i64::from(y));
            let analysis = analyze(&jpeg(&out, 92));
            let covered = is_covered(&analysis);
            assert!(covered.unwrap_or(true), "{cells} cells on {}: {:?}", face.name, occlusion(&analysis));
            found += usize::from(covered.is_some());
        }
        let poor = occlusion(&analyze(&jpeg(&face.picture, 30)));
        assert!(poor.probability < 0.5, "{}: {poor:?}", face.name);
    }
    assert!(found >= 4, "a face was found in {found} of 8 pictures, so that little was judged");
}

#[test]
fn a_face_that_is_blurred_away_is_covered_and_a_soft_one_is_not() {
    let mut found = 0;
    for face in faces() {
        let between = (face.left_eye[0] - face.right_eye[0]).hypot(face.left_eye[1] - face.right_eye[1]);
        // A box is 2.1 times as wide as the pupils are apart: blurred by 7 and by 1.5 % of that.
        let blurred = |share: f32| analyze(&jpeg(&imageops::blur(&face.picture, share * 2.1 * between), 90));
        let analysis = blurred(0.07);
        let covered = is_covered(&analysis);
        assert!(covered.unwrap_or(true), "{}: {:?}", face.name, occlusion(&analysis));
        found += usize::from(covered.is_some());
        let soft = occlusion(&blurred(0.015));
        assert!(soft.probability < 0.5, "{}: {soft:?}", face.name);
    }
    assert!(found >= 1, "no blurred face was found, so that none was judged");
}

#[test]
fn what_merely_looks_like_a_covering_is_none() {
    let cases: [(&str, Drawn); 6] = [
        ("nothing", |f| f.picture.clone()),
        ("the rims of clear glasses", |f| {
            f.painted([25, 22, 20], |x, y| {
                let lens = |r: f32| ellipse(x.abs(), y, [0.5, 0.03], [0.36 + r, 0.28 + r]);
                (lens(0.03) && !lens(0.0)) || (x.abs() < 0.14 && y.abs() < 0.03)
            })
        }),
        ("a hat", |f| f.painted([40, 35, 60], |x, y| y < -0.85 && x.abs() < 1.6)),
        ("a headscarf", |f| {
            f.painted([90, 40, 60], |x, y| !ellipse(x, y, [0.0, 0.5], [1.15, 1.5]) && x.abs() < 2.2 && y > -1.8)
        }),
        ("a hand beside the face", |f| f.painted(f.skin(), |x, y| ellipse(x, y, [1.9, 1.2], [0.5, 0.9]))),
        ("a scarf at the neck", |f| f.painted([200, 40, 40], |x, y| y > 2.1 && x.abs() < 1.5)),
    ];
    for face in faces() {
        for (name, draw) in cases {
            let found = occlusion(&analyze(&jpeg(&draw(&face), 92)));
            let largest = [found.right_eye, found.left_eye, found.nose, found.mouth, found.lower_face];
            assert!(found.probability < 0.5, "{name} on {}: {found:?}", face.name);
            assert!(largest.iter().all(|part| *part < 0.5), "{name} on {}: {found:?}", face.name);
        }
    }
}

#[test]
fn bars_change_nothing_but_the_coordinates() {
    let plain = portrait(2.0);
    let alone = analyze(&png(&plain));
    let Verdict::Accepted(expected) = &alone.verdict else { panic!("rejected") };
    for (colour, [left, top, right, bottom]) in [
        ([0; 3], [0, 130, 0, 130]),
        ([255; 3], [200, 0, 200, 0]),
        ([20, 30, 90], [0, 0, 0, 300]),
        ([250, 248, 240], [40; 4]),
    ] {
        let mut boxed = RgbImage::from_pixel(1024 + left + right, 1024 + top + bottom, Rgb(colour));
        imageops::replace(&mut boxed, &plain, i64::from(left), i64::from(top));
        let analysis = analyze(&png(&boxed));
        let Verdict::Accepted(face) = &analysis.verdict else { panic!("rejected: {colour:?}") };
        let (mine, whole) = (face.rectangle, expected.rectangle);
        assert_eq!(
            [mine.left, mine.top, mine.width, mine.height],
            [whole.left + left, whole.top + top, whole.width, whole.height]
        );
        assert_eq!(face.passive_liveness_score, expected.passive_liveness_score, "{colour:?}");
        let image = &details(&analysis).image;
        assert_eq!((image.width, image.height), boxed.dimensions());
        assert_eq!(
            [image.content.left, image.content.top, image.content.width, image.content.height],
            [left, top, 1024, 1024]
        );
        assert_eq!(details(&analysis).margins, details(&alone).margins);
        // JPEG rings within 16 pixels of the bars' ends, and the portrait's lower edge is nearly black.
        let noisy = analyze(&jpeg(&boxed, 50));
        let content = details(&noisy).image.content;
        let off = [
            content.left.abs_diff(left),
            content.top.abs_diff(top),
            content.width.abs_diff(1024),
            content.height.abs_diff(1024),
        ];
        assert!(off.iter().all(|off| *off <= 17), "{colour:?}: {content:?}");
    }
    let content = details(&alone).image.content;
    assert_eq!([content.left, content.top, content.width, content.height], [0, 0, 1024, 1024]);
}

#[test]
fn a_picture_without_colour_is_answered_with_a_warning() {
    let codes = |picture: &RgbImage| {
        let analysis = analyze(&jpeg(picture, 90));
        details(&analysis).warnings.iter().map(|warning| warning.code).collect::<Vec<_>>()
    };
    let colour = portrait(2.0);
    let tinted = |tint: [f32; 3]| {
        let mut out = colour.clone();
        for pixel in out.pixels_mut() {
            let [red, green, blue] = pixel.0.map(f32::from);
            let luma = 0.299 * red + 0.587 * green + 0.114 * blue;
            pixel.0 = tint.map(|t| (luma * t) as u8);
        }
        out
    };
    assert!(codes(&colour).is_empty());
    assert_eq!(codes(&tinted([1.0; 3])), ["picture_without_colour"]);
    assert_eq!(codes(&tinted([1.0, 0.92, 0.78])), ["picture_without_colour"]);
    let reliability =
        |picture: &RgbImage| details(&analyze(&jpeg(picture, 90))).liveness.as_ref().expect("judged").reliability;
    assert!(reliability(&colour) > 0.9);
    assert_eq!(reliability(&tinted([1.0; 3])), 0.0, "liveness is judged by colour");
}

#[test]
fn far_too_dark_and_far_too_bright_faces_are_not_found_and_never_a_phantom() {
    let exposed = |change: &dyn Fn(f32) -> f32| {
        let mut out = portrait(2.0);
        out.pixels_mut().flat_map(|p| &mut p.0).for_each(|v| *v = change(f32::from(*v)).clamp(0.0, 255.0) as u8);
        word(&analyze(&png(&out)))
    };
    for share in [0.0, 0.01, 0.02, 0.04] {
        assert_eq!(exposed(&|v| v * share), "FACE_NOT_FOUND", "{share} of the light");
        assert_eq!(exposed(&|v| 255.0 - (255.0 - v) * share), "FACE_NOT_FOUND", "all but {share} white");
    }
    assert_eq!(exposed(&|v| v * 0.5), "OK");
}
