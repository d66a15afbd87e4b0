//! `facegate analyze FILE…`: what the service would answer, one JSON object a line.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use face_analysis::{FaceAnalyzer, Wanted};
use face_models::Group;

use super::models::fetch_with_progress;
use super::{CommandError, ConfigArgs};
use crate::annotate::annotate;
use crate::config::Config;
use crate::models;
use crate::server::contract::{analysis_json, picture_problem_json};

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
    /// Draw box, landmarks and verdict on the picture and write it here (PNG or JPEG by its name); for several
    /// pictures a folder.
    #[arg(long, value_name = "OUT")]
    annotate: Option<PathBuf>,
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
    let annotations = args.annotate.as_deref().map(|out| Annotations::new(out, args.files.len())).transpose()?;
    let mut faults = 0;
    for file in &args.files {
        match answer(&analyzer, file, args, &config, annotations.as_ref()) {
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
    args: &AnalyzeArgs,
    config: &Config,
    annotations: Option<&Annotations>,
) -> Result<Vec<u8>, CommandError> {
    let bytes = std::fs::read(file)?;
    let session_id = file.to_string_lossy();
    // The landmarks that are drawn are part of the details.
    let wanted = Wanted { face_image: args.face_image, details: args.details || annotations.is_some() };
    match analyzer.analyze(&bytes, wanted) {
        Ok(mut analysis) => {
            if let Some(annotations) = annotations {
                annotate(&bytes, &config.analysis.limits, &analysis, &annotations.path_for(file))?;
            }
            if !args.details {
                analysis.details = None;
            }
            Ok(analysis_json(&session_id, &analysis, config.response.face_image))
        }
        Err(error) if error.is_fault() => Err(error.into()),
        Err(error) => Ok(picture_problem_json(&session_id, error.code(), &error.to_string())),
    }
}

/// Where annotated pictures go.
enum Annotations {
    File(PathBuf),
    Folder(PathBuf),
}

impl Annotations {
    /// A folder when it is one already or when there are several pictures, else a file.
    fn new(out: &Path, pictures: usize) -> Result<Self, CommandError> {
        if pictures > 1 || out.is_dir() {
            std::fs::create_dir_all(out)?;
            return Ok(Self::Folder(out.to_owned()));
        }
        Ok(Self::File(out.to_owned()))
    }

    fn path_for(&self, picture: &Path) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Folder(folder) => {
                let mut name = picture.file_name().unwrap_or_default().to_owned();
                name.push(".png");
                folder.join(name)
            }
        }
    }
}
