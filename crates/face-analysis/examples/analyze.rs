//! Analyses pictures with the library alone: `cargo run --release -p face-analysis --example analyze MODELS PICTURE…`.
//!
//! `MODELS` is the folder that `facegate models path` prints.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

use face_analysis::{FaceAnalyzer, ModelFiles, Settings, Verdict, Wanted};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: analyze MODELS PICTURE…")?);
    let library = if cfg!(target_os = "macos") { "libonnxruntime.dylib" } else { "libonnxruntime.so" };
    let files = ModelFiles {
        onnx_runtime: folder.join(library),
        detector: folder.join("detector.onnx"),
        liveness_v2: folder.join("liveness_v2.onnx"),
        liveness_v1se: folder.join("liveness_v1se.onnx"),
        age: folder.join("age.onnx"),
        gender: folder.join("gender.onnx"),
        age_gender: folder.join("age_gender.onnx"),
        landmarks: folder.join("landmarks.onnx"),
        face_geometry: folder.join("face_geometry.json"),
        occlusion: folder.join("occlusion.onnx"),
    };
    let analyzer = FaceAnalyzer::load(&files, Settings::default(), 1)?;
    analyzer.warm_up()?;
    let mut out = std::io::stdout().lock();
    for picture in arguments {
        let bytes = std::fs::read(&picture)?;
        let analysis = analyzer.analyze(&bytes, Wanted { details: true, face_image: false })?;
        match &analysis.verdict {
            Verdict::Accepted(face) => writeln!(
                out,
                "{}: age {}, gender {}, liveness {:.4}, {:?}",
                picture.display(),
                face.age,
                face.gender,
                face.passive_liveness_score,
                face.rectangle
            )?,
            Verdict::Rejected(rejection) => {
                writeln!(out, "{}: {} ({})", picture.display(), rejection.word.as_str(), rejection.message)?;
            }
        }
        if let Some(mut details) = analysis.details {
            details.landmarks = None;
            writeln!(out, "{}", serde_json::to_string(&details)?)?;
        }
    }
    Ok(())
}
