//! Writes a report of made-up outcomes, to look at its layout: `cargo run -p face-eval --example sample_report FOLDER`.
//! Its figures describe no detector.

use std::error::Error;
use std::fmt::Write;
use std::path::PathBuf;

use face_eval::{
    DetectedFace, Evaluation, Labels, LivenessReasons, Meta, ModelUsed, Options, Outcome, Pose, Unreadable, Word,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// About normal with standard deviation 1: the sum of twelve uniform numbers.
fn normal(generator: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| f64::from(generator.next_u32()) / f64::from(u32::MAX)).sum::<f64>() - 6.0
}

/// Two networks that say about what the score says, the second less surely.
fn reasons(score: f64, generator: &mut ChaCha8Rng) -> LivenessReasons {
    let mut about = |spread: f64| (score + spread * normal(generator)).clamp(0.0, 1.0);
    let networks = [("broad".to_owned(), about(0.1)), ("narrow".to_owned(), about(0.25))].into();
    let surrounding = 2.0 + normal(generator).abs();
    LivenessReasons { networks, surrounding, reliability: (surrounding / 3.0).min(1.0) }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("name a folder to write to")?);
    let mut generator = ChaCha8Rng::seed_from_u64(1);
    let mut csv = String::from("path,liveness,age,gender,expected,x,y,w,h,yaw,pitch,roll\n");
    let mut outcomes = Vec::new();
    for index in 0..900_u32 {
        let path = format!("pictures/{index:04}.jpg");
        let (liveness, centre) = match index % 9 {
            0..=3 => ("live", 1.9),
            4 | 5 => ("print", -1.6),
            6 | 7 => ("replay", -0.9),
            _ => ("silicone mask", -0.2),
        };
        let age = 8 + (index * 7) % 72;
        let (gender, sign) = if index % 2 == 0 { ("female", 1.0) } else { ("male", -1.0) };
        let yaw = 18.0 * normal(&mut generator);
        let rejected = normal(&mut generator) > 1.9;
        let expected = match index % 45 {
            7 => Word::FaceTooSmall,
            14 => Word::FaceIsOccluded,
            21 => Word::FaceAngleTooLarge,
            _ => Word::Ok,
        };
        writeln!(csv, "{path},{liveness},{age},{gender},{expected},100,80,200,260,{yaw:.1},0,0")?;
        if index % 300 == 17 {
            let why = Unreadable::Picture("the bytes are of no image format that is decoded".to_owned());
            outcomes.push(Outcome::unreadable(path, why));
            continue;
        }
        let word = match (expected, rejected) {
            (Word::Ok, true) => Word::FaceTooClose,
            (Word::FaceIsOccluded, true) => Word::Ok,
            (expected, _) => expected,
        };
        let shift = 30.0 * normal(&mut generator);
        let mut faces = vec![DetectedFace { x: 100.0 + shift, y: 85.0, w: 205.0, h: 250.0, score: 0.9 }];
        faces[0].score = (0.9 + 0.04 * normal(&mut generator) - 0.002 * shift.abs()).clamp(0.5, 1.0);
        if index % 40 == 3 {
            faces.push(DetectedFace { x: 400.0, y: 300.0, w: 60.0, h: 70.0, score: 0.62 });
        }
        let score = 1.0 / (1.0 + (-(centre + 1.1 * normal(&mut generator))).exp());
        let estimate = 0.9 * f64::from(age) + 3.0 + 6.0 * normal(&mut generator);
        let female = (10_000.0 * (sign * 1.6 + normal(&mut generator)).tanh()).round() as i32;
        outcomes.push(Outcome {
            faces: Some(faces),
            liveness_score: (word == Word::Ok).then_some(score),
            liveness_reasons: (word == Word::Ok).then(|| reasons(score, &mut generator)),
            age: (word == Word::Ok).then_some(estimate.clamp(0.0, 100.0).round()),
            gender: (word == Word::Ok).then_some(female),
            pose: Some(Pose {
                yaw: (0.95 * yaw + 2.5 * normal(&mut generator)).clamp(-180.0, 180.0),
                pitch: 1.5 + 3.5 * normal(&mut generator),
                roll: 1.2 * normal(&mut generator),
            }),
            ..Outcome::new(path, word)
        });
    }
    csv.push_str("pictures/landscape.jpg,,,,FACE_NOT_FOUND,0,0,0,0,,,\npictures/gone.jpg,live,30,f,OK,,,,,,,\n");
    outcomes.push(Outcome { faces: Some(Vec::new()), ..Outcome::new("pictures/landscape.jpg", Word::FaceNotFound) });
    outcomes.push(Outcome::unreadable("pictures/gone.jpg", Unreadable::File("no such file".to_owned())));

    let evaluation = Evaluation::compute(&Labels::from_reader(csv.as_bytes(), "")?, &outcomes, &Options::default())?;
    let meta = Meta {
        title: "Sample report of made-up answers".to_owned(),
        program: "face-eval's example sample_report".to_owned(),
        command: "cargo run -p face-eval --example sample_report".to_owned(),
        labels_file: "made up in memory".to_owned(),
        settings: vec![("Rules".to_owned(), "default".to_owned())],
        models: vec![ModelUsed { job: "liveness".to_owned(), name: "none".to_owned(), version: String::new() }],
        ..Meta::default()
    };
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("figures.json"), evaluation.to_json(&meta)?)?;
    std::fs::write(folder.join("report.html"), evaluation.to_html(&meta))?;
    Ok(())
}
