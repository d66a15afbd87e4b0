//! Any bytes as weights or manifest: a network, or an error. The first byte chooses the reader.
#![no_main]

use face_models::Manifest;
use face_models::convert::{dlib, faceapi, geometry, tflite, torch, yunet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, file)) = bytes.split_first() else { return };
    match choice % 8 {
        0 => drop(torch::minifasnet(file)),
        1 => drop(dlib::age(file)),
        2 => drop(dlib::gender(file)),
        3 => drop(yunet::make_dynamic(file)),
        4 => drop(tflite::face_landmarks(file)),
        5 => drop(geometry::canonical_face(file)),
        6 => {
            let half = file.len() / 2;
            drop(faceapi::age_gender(&file[..half], &file[half..]));
        }
        _ => drop(std::str::from_utf8(file).map(Manifest::parse)),
    }
});
