//! `facegate evaluate LABELS.csv`: error rates on labelled pictures.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use face_analysis::report::{Details, MODELS, ModelInfo};
use face_analysis::{Analysis, FEATURES_REVISION, FaceAnalyzer, HeadName, Verdict, Wanted};
use face_bulk::names::{recorded_path, shown};
use face_bulk::pictures::read;
use face_eval::{
    DetectedFace, Evaluation, LabelledPicture, Labels, LivenessReasons, Meta, ModelUsed, Options, Outcome, OutcomeLog,
    Pose, Unreadable, Word, answered_score,
};
use face_models::Group;
use face_service::contract::outcome;
use sha2::{Digest as _, Sha256};

use super::models::fetch_with_progress;
use super::{CommandError, ConfigArgs, Told, command_line, plural, progress};
use crate::answer::{TOO_LARGE, too_large_message};
use crate::config::Config;
use crate::models;
use crate::parallel::{in_order, threads};
use crate::sources::Sources;

/// Arguments of `facegate evaluate`.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// What is known about the pictures: a CSV with the column `path` and any of liveness (live, print, replay, mask,
    /// …), age, gender, expected (OK or an error word), x,y,w,h and yaw,pitch,roll. Paths are relative to its folder.
    labels: PathBuf,
    /// Folder for figures.json, report.html and the outcomes that an interrupted run resumes from.
    #[arg(long, value_name = "DIR", default_value = "evaluation")]
    out: PathBuf,
    /// Headline of the report.
    #[arg(long, default_value = "")]
    title: String,
    /// Pictures analysed at the same time; 0 is one per core.
    #[arg(long, default_value_t = 0)]
    parallel: usize,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Analyses every labelled picture that an earlier run has not, then writes the figures.
pub fn run(args: &EvaluateArgs) -> Result<(), CommandError> {
    let config = args.config.load()?.config;
    let labels = Labels::from_path(&args.labels)?;
    std::fs::create_dir_all(&args.out)
        .map_err(|error| CommandError::new(format!("--out: {} cannot be made: {error}", args.out.display())))?;
    let (figures, report) = (args.out.join("figures.json"), args.out.join("report.html"));
    let log = args.out.join("outcomes.jsonl");
    let sources = Sources::new(labels.pictures().iter().map(|p| labels.file(p)).chain([args.labels.clone()]).collect());
    [&figures, &report, &log].into_iter().try_for_each(|file| sources.check_output("--out", file))?;
    let store = models::store(config.models.dir.as_ref())?;
    fetch_with_progress(&store, Group::Models)?;
    let head = config.analysis.liveness.head.as_deref().map(HeadName::of_file).transpose()?;
    let settings = settings_digest(&config, head.as_ref())?;
    let (mut log, earlier) = OutcomeLog::resume(log, &settings, &folder(&labels, &args.labels)?)?;
    let (threads, max_bytes) = (threads(args.parallel), config.server.max_image_bytes);
    let listed: HashMap<&str, &LabelledPicture> = labels.pictures().iter().map(|p| (p.path.as_str(), p)).collect();
    let mut outcomes = Vec::new();
    // Another picture may have taken the place of the one that was analysed. One that is gone was not replaced.
    let unchanged = |outcome: Outcome| match read(&labels.file(listed.get(outcome.path.as_str())?), max_bytes) {
        Ok(bytes) => (bytes.as_deref().map(digest) == outcome.digest).then_some(outcome),
        Err(_) => Some(outcome),
    };
    in_order(earlier.into_iter(), threads, unchanged, |outcome| -> Result<(), CommandError> {
        outcomes.extend(outcome);
        Ok(())
    })?;
    let done: HashSet<&str> = outcomes.iter().map(|outcome| outcome.path.as_str()).collect();
    let open: Vec<&LabelledPicture> = labels.pictures().iter().filter(|p| !done.contains(p.path.as_str())).collect();
    if !outcomes.is_empty() {
        let (earlier, all) = (outcomes.len(), labels.pictures().len());
        progress::say(&format!("analysed by an earlier run: {earlier} of {}", plural(all, "picture")));
    }
    if !open.is_empty() {
        let analyzer = models::analyzer(&models::files(&store)?, &config, threads)?;
        let bar = progress::bar(open.len() as u64)?;
        let analyse = |picture: &LabelledPicture| judge(&analyzer, &labels, picture, max_bytes);
        in_order(open.into_iter(), threads, analyse, |outcome| -> Result<(), CommandError> {
            let outcome = outcome?;
            if !is_unread(&outcome) {
                log.append(&outcome)?;
            }
            outcomes.push(outcome);
            bar.inc(1);
            Ok(())
        })?;
        bar.finish_and_clear();
    }
    let evaluation = Evaluation::compute(&labels, &outcomes, &Options::default())?;
    let meta = meta(args, &config, head.as_ref())?;
    std::fs::write(&figures, evaluation.to_json(&meta)?)?;
    std::fs::write(&report, evaluation.to_html(&meta))?;
    let mut told = Told::default();
    told.tell(&format!("{} pictures analysed\n", evaluation.sample.pictures_analysed));
    for picture in &evaluation.unreadable {
        told.tell(&format!("not analysed: {}: {}\n", shown(&picture.path), shown(&picture.reason)));
    }
    told.tell(&format!("{}\n{}\n", figures.display(), report.display()));
    match outcomes.iter().filter(|outcome| is_unread(outcome)).count() {
        0 => told.end(),
        unread => Err(CommandError::new(format!(
            "{unread} of {} could not be read and are missing in the figures; the same command goes on with them",
            plural(labels.pictures().len(), "picture")
        ))),
    }
}

fn is_unread(outcome: &Outcome) -> bool {
    matches!(outcome.unreadable, Some(Unreadable::File(_)))
}

/// What the service says of one picture. Only a fault of ours is an error.
fn judge(
    analyzer: &FaceAnalyzer,
    labels: &Labels,
    picture: &LabelledPicture,
    max_bytes: usize,
) -> Result<Outcome, CommandError> {
    let unusable = |code: &str, message: &str| {
        Outcome::unreadable(&picture.path, Unreadable::Picture(format!("{code}: {message}")))
    };
    let bytes = match read(&labels.file(picture), max_bytes) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(unusable(TOO_LARGE, &too_large_message(max_bytes))),
        Err(error) => return Ok(Outcome::unreadable(&picture.path, Unreadable::File(error.to_string()))),
    };
    let outcome = match analyzer.analyze(&bytes, Wanted { details: true, face_image: false }) {
        Ok(analysis) => measured(&picture.path, &analysis)?,
        Err(error) if error.is_fault() => return Err(CommandError::new(format!("{}: {error}", picture.path))),
        Err(error) => unusable(error.code(), &error.to_string()),
    };
    Ok(Outcome { digest: Some(digest(&bytes)), ..outcome })
}

fn measured(path: &str, analysis: &Analysis) -> Result<Outcome, CommandError> {
    let word: Word = outcome(analysis).parse()?;
    let mut outcome = Outcome::new(path, word);
    if let Verdict::Accepted(face) = &analysis.verdict {
        outcome.gender = Some(face.gender);
    }
    let Some(details) = &analysis.details else { return Ok(outcome) };
    outcome.faces = Some(faces(details));
    outcome.liveness_score = details.liveness.as_ref().map(|l| answered_score(l.score.into()));
    outcome.liveness_reasons = details.liveness.as_ref().map(|l| LivenessReasons {
        networks: l.models.iter().map(|network| (network.model.to_owned(), network.live.into())).collect(),
        surrounding: l.surrounding.into(),
        reliability: l.reliability.into(),
    });
    outcome.age = details.age.map(f64::from);
    // Labels tell how the head leans in the picture as it is, which was turned upright first.
    let in_picture = |roll: f64| (roll - f64::from(details.image.upright_rotation) + 180.0).rem_euclid(360.0) - 180.0;
    outcome.pose =
        details.pose.map(|p| Pose { yaw: p.yaw.into(), pitch: p.pitch.into(), roll: in_picture(p.roll.into()) });
    Ok(outcome)
}

fn faces(details: &Details) -> Vec<DetectedFace> {
    let face = |face: &face_analysis::report::DetectedFace| {
        let e = face.extent;
        let [x, y, w, h, score] = [e.left, e.top, e.width, e.height, face.score].map(f64::from);
        DetectedFace { x, y, w, h, score: score.min(1.0) }
    };
    details.faces.iter().map(face).collect()
}

/// Differs whenever outcomes would: program, networks and everything that the analysis is configured with.
fn settings_digest(config: &Config, head: Option<&HeadName>) -> Result<String, CommandError> {
    let analysis = serde_json::to_string(&config.analysis)?;
    let (version, max_bytes) = (env!("CARGO_PKG_VERSION"), config.server.max_image_bytes);
    let text = format!("{version} {FEATURES_REVISION} {MODELS:?} {analysis} {head:?} {max_bytes}");
    Ok(digest(text.as_bytes()))
}

/// Enough of a SHA-256 to tell what is compared with one other.
fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The folder that the list's paths are relative to, by its one name; empty where none of them is.
fn folder(labels: &Labels, list: &Path) -> Result<String, CommandError> {
    if labels.pictures().iter().all(|picture| Path::new(&picture.path).is_absolute()) {
        return Ok(String::new());
    }
    let list = std::path::absolute(list)?;
    Ok(recorded_path(&list.parent().unwrap_or(&list).canonicalize()?))
}

fn meta(args: &EvaluateArgs, config: &Config, head: Option<&HeadName>) -> Result<Meta, CommandError> {
    let serde_json::Value::Object(analysis) = serde_json::to_value(&config.analysis)? else {
        return Err(CommandError::new("the settings are no table"));
    };
    Ok(Meta {
        title: args.title.clone(),
        program: format!("facegate {}", env!("CARGO_PKG_VERSION")),
        command: command_line(),
        created: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        labels_file: args.labels.display().to_string(),
        settings: analysis.into_iter().map(|(name, value)| (format!("analysis.{name}"), value.to_string())).collect(),
        models: MODELS
            .into_iter()
            .chain(head.map(ModelInfo::head))
            .map(|m| ModelUsed { job: m.job.into(), name: m.name.into_owned(), version: m.version.into_owned() })
            .collect(),
    })
}
