//! Converts one file: `convert CONVERTER INPUT… OUTPUT`, for work on the converters
//! (`training/check_conversion.py` compares the results with the originals).

use face_models::convert;
use std::{env, error::Error, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [converter, inputs @ .., output] = arguments.as_slice() else {
        return Err("usage: convert CONVERTER INPUT… OUTPUT".into());
    };
    let inputs: Vec<Vec<u8>> = inputs.iter().map(fs::read).collect::<Result<_, _>>()?;
    let converted = match (converter.as_str(), inputs.as_slice()) {
        ("yunet", [onnx]) => convert::yunet::make_dynamic(onnx)?,
        ("minifasnet", [pth]) => convert::torch::minifasnet(pth)?,
        ("onnx-minifasnet", [onnx]) => convert::onnx_minifasnet::minifasnet(onnx)?,
        ("age", [onnx]) => convert::dlib::age(onnx)?,
        ("gender", [onnx]) => convert::dlib::gender(onnx)?,
        ("age-gender", [bin, manifest]) => convert::faceapi::age_gender(bin, manifest)?,
        ("landmarks", [task]) => convert::tflite::face_landmarks(task)?,
        ("geometry", [task]) => convert::geometry::canonical_face(task)?,
        _ => return Err(format!("no converter `{converter}` with {} inputs", inputs.len()).into()),
    };
    fs::write(output, converted)?;
    Ok(())
}
