//! Analyses a picture with the library alone: `cargo run --release -p face-analysis --example analyze MODELS PICTURE`.
//! `MODELS` is the folder that `facegate models path` prints.

use std::error::Error;
use std::io::Write as _;

use face_analysis::{FaceAnalyzer, ModelFiles, Settings, Verdict, Wanted};

fn main() -> Result<(), Box<dyn Error>> {
    let [_, models, picture] = &std::env::args().collect::<Vec<_>>()[..] else {
        return Err("usage: analyze MODELS PICTURE".into());
    };
    let analyzer = FaceAnalyzer::load(&ModelFiles::in_folder(models), Settings::default(), 1)?;
    let wanted = Wanted { details: true, face_image: false };
    let analysis = analyzer.analyze(&std::fs::read(picture)?, wanted)?;
    let mut out = std::io::stdout().lock();
    match &analysis.verdict {
        Verdict::Accepted(face) => {
            writeln!(out, "age {}, gender {}, {:?}", face.age, face.gender, face.rectangle)?;
            writeln!(out, "liveness {:.4}", face.passive_liveness_score)?;
        }
        Verdict::Rejected(rejection) => writeln!(out, "{}: {}", rejection.word.as_str(), rejection.message)?,
    }
    for network in analysis.details.iter().flat_map(|d| &d.liveness).flat_map(|l| &l.models) {
        writeln!(out, "{}: live with a probability of {:.4}", network.model, network.live)?;
    }
    Ok(())
}
