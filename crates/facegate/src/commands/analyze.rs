//! `facegate analyze FILE…`: what the service would answer, one JSON object a line.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use face_analysis::{FaceAnalyzer, Wanted};
use face_models::Group;

use super::models::fetch_with_progress;
use super::{CommandError, ConfigArgs};
use crate::models;
use crate::server::contract::{FaceImagePlace, analysis_json, picture_problem_json};

/// Arguments of `facegate analyze`.
#[derive(Debug, Args)]
pub struct AnalyzeArgs {
    /// Pictures.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Also print every measured value.
    #[arg(long)]
    details: bool,
    /// Also print the cropped face as Base64.
    #[arg(long)]
    face_image: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Analyses each file. A picture that cannot be used is an answer; a file that cannot be read is a fault, told at the
/// end with a failing exit code.
pub fn run(args: &AnalyzeArgs) -> Result<(), CommandError> {
    let config = args.config.load()?.config;
    let store = models::store(config.models.dir.as_ref())?;
    fetch_with_progress(&store, Group::Models)?;
    let analyzer = FaceAnalyzer::load(&models::files(&store)?, config.analysis.clone(), 1)?;
    let wanted = Wanted { face_image: args.face_image, details: args.details };
    let mut faults = 0;
    for file in &args.files {
        match answer(&analyzer, file, wanted, config.response.face_image) {
            Ok(mut json) => {
                json.push(b'\n');
                std::io::stdout().lock().write_all(&json)?;
            }
            Err(error) => {
                eprintln!("facegate: {}: {error}", file.display());
                faults += 1;
            }
        }
    }
    if faults > 0 {
        return Err(CommandError::new(format!("{faults} of {} files could not be analysed", args.files.len())));
    }
    Ok(())
}

fn answer(
    analyzer: &FaceAnalyzer,
    file: &Path,
    wanted: Wanted,
    place: FaceImagePlace,
) -> Result<Vec<u8>, CommandError> {
    let bytes = std::fs::read(file)?;
    let session_id = file.to_string_lossy();
    match analyzer.analyze(&bytes, wanted) {
        Ok(analysis) => Ok(analysis_json(&session_id, &analysis, place)),
        Err(error) if error.is_fault() => Err(error.into()),
        Err(error) => Ok(picture_problem_json(&session_id, error.code(), &error.to_string())),
    }
}
