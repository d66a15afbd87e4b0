//! `facegate adapt LABELS.csv --out FILE`: a liveness head fitted on labelled pictures of one's own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, ValueHint};
use face_analysis::{FEATURE_PARTS, FEATURES_REVISION, FaceAnalyzer, LivenessObservation, RejectionWord};
use face_bulk::names::{shown, shown_text};
use face_bulk::pictures::read;
use face_eval::adaptation::{AdaptOptions, Adaptation, Observation, adapt};
use face_eval::{LabelledPicture, Labels, Meta, ModelUsed, Presentation};
use face_models::Group;
use liveness_head::{Figures, Head, KindFigures, MAX_KINDS};

use super::models::fetch_with_progress;
use super::{CommandError, ConfigArgs, Told, command_line, plural, progress};
use crate::answer::{TOO_LARGE, too_large_message};
use crate::config::Config;
use crate::models;
use crate::parallel::{in_order, threads};
use crate::sources::Sources;

/// Arguments of `facegate adapt`.
#[derive(Debug, Args)]
pub struct AdaptArgs {
    /// What is known about the pictures: the CSV that `evaluate` reads, with the columns `path` and `liveness` (live, or the
    /// kind of attack) and better also `group` (person or session). Paths are relative to its folder.
    #[arg(value_hint = ValueHint::FilePath)]
    labels: PathBuf,
    /// Where the head is written, for `analysis.liveness.head`. It holds no picture and nothing of a person.
    #[arg(long, value_name = "FILE", default_value = "liveness.head", value_hint = ValueHint::FilePath)]
    out: PathBuf,
    /// Folder for the report (report.html) and its figures (figures.json).
    #[arg(long, value_name = "DIR", default_value = "adaptation", value_hint = ValueHint::DirPath)]
    report: PathBuf,
    /// Share of live pictures that may be refused at a score of 0.5, above 0 and up to 0.2.
    #[arg(long, value_name = "SHARE", default_value_t = AdaptOptions::default().bpcer)]
    bpcer: f64,
    /// Headline of the report.
    #[arg(long, default_value = "")]
    title: String,
    /// Pictures analysed at the same time; 0 is one per core.
    #[arg(long, default_value_t = 0)]
    parallel: usize,
    #[command(flatten)]
    config: ConfigArgs,
}

/// What came of one picture.
enum Seen {
    Face(Box<Observation>),
    /// Why it has no part in the head.
    Nothing(String),
    /// Why its file could not be read.
    Unread(String),
}

/// Analyses the pictures, fits, reports, and writes the head if it is better than the score without one.
pub fn run(args: &AdaptArgs) -> Result<(), CommandError> {
    if !(args.bpcer > 0.0 && args.bpcer <= 0.2) {
        return Err(CommandError::new("--bpcer takes a share above 0 and up to 0.2"));
    }
    let mut config = args.config.load()?.config;
    // A head in use may have been fitted on these very pictures, and may be of networks that are no more.
    let in_use = config.analysis.liveness.head.take();
    let labels = Labels::from_path(&args.labels)?;
    let labelled: Vec<&LabelledPicture> = labels.pictures().iter().filter(|p| p.liveness.is_some()).collect();
    if labelled.is_empty() {
        return Err(CommandError::new("no picture has a label in the column `liveness`"));
    }
    check_kinds(&labelled)?;
    let (figures, report) = (args.report.join("figures.json"), args.report.join("report.html"));
    check_outputs(args, &labels, [&figures, &report])?;
    let store = models::store(config.models.dir.as_ref())?;
    fetch_with_progress(&store, Group::Models)?;
    let threads = threads(args.parallel);
    let analyzer = models::analyzer(&models::files(&store)?, &config, threads)?;
    let looking = Looking { analyzer: &analyzer, labels: &labels, max_bytes: config.server.max_image_bytes };
    let pictures = labelled.len();
    let Looks { observations, left_out, unread } = observe(&looking, labelled, threads)?;
    let mut told = Told::default();
    for reason in &left_out {
        told.tell(&format!("left out: {}\n", shown(reason)));
    }
    let options = AdaptOptions { bpcer: args.bpcer, ..AdaptOptions::default() };
    let mut adaptation = fit(&observations, &options)?;
    if !left_out.is_empty() {
        adaptation.warnings.push(format!(
            "{} of {pictures} labelled pictures have no part in this: the program names them and says why.",
            left_out.len()
        ));
    }
    if let Some(head) = in_use {
        adaptation.warnings.push(format!(
            "Before is the score without a head, and not that of {}, the head in use: it may have been fitted on these \
             pictures.",
            head.display()
        ));
    }
    let meta = meta(args, &config, &analyzer)?;
    std::fs::write(&figures, adaptation.to_json(&meta)?)?;
    std::fs::write(&report, adaptation.to_html(&meta))?;
    // It has the list's names of attacks and groups.
    told.tell(&shown_text(&adaptation.to_text()));
    told.tell(&format!("{}\n{}\n", figures.display(), report.display()));
    if !adaptation.better {
        return Err(CommandError::new(match adaptation.harmed.join(", ") {
            harmed if harmed.is_empty() => {
                "no head was written: out of fold it is not better than the score without one, beyond chance; the report \
                 says more"
                    .to_owned()
            }
            harmed => format!(
                "no head was written: out of fold it lets more attacks of the kind {harmed} pass than the score without one, \
                 beyond chance; the report says more"
            ),
        }));
    }
    let head = head(&adaptation, &analyzer, &meta);
    let checksum = head.write(&args.out)?;
    told.tell(&format!(
        "{} ({})\nuse it with --set analysis.liveness.head={}\n",
        args.out.display(),
        &checksum[..12],
        absolute(&args.out)
    ));
    match unread {
        0 => told.end(),
        _ => Err(CommandError::new(format!(
            "{unread} of {} could not be read and have no part in the head",
            plural(pictures, "picture")
        ))),
    }
}

/// Tells before all the work that a head could not be written for so many kinds of attack.
fn check_kinds(labelled: &[&LabelledPicture]) -> Result<(), CommandError> {
    let kind = |picture: &&LabelledPicture| match &picture.liveness {
        Some(Presentation::Attack(kind)) => Some(kind.clone()),
        Some(Presentation::BonaFide) | None => None,
    };
    let kinds: BTreeSet<String> = labelled.iter().filter_map(kind).collect();
    if kinds.len() > MAX_KINDS {
        return Err(CommandError::new(format!(
            "the column `liveness` names {} kinds of attack, and a head has figures of {MAX_KINDS} at most: name the kind (print, \
             replay), and what it was made with in another column",
            kinds.len()
        )));
    }
    Ok(())
}

/// What came of all pictures.
#[derive(Default)]
struct Looks {
    observations: Vec<Observation>,
    /// Why pictures have no part in the head.
    left_out: Vec<String>,
    /// How many of those are files that could not be read.
    unread: usize,
}

/// Whether head and report can be written, and take the place of nothing that is read: neither the list nor a picture in it, which
/// may exist only once.
fn check_outputs(args: &AdaptArgs, labels: &Labels, report: [&Path; 2]) -> Result<(), CommandError> {
    let pictures = labels.pictures().iter().map(|picture| labels.file(picture));
    let sources = Sources::new(pictures.chain([args.labels.clone()]).collect());
    sources.check_output("--out", &args.out)?;
    std::fs::create_dir_all(&args.report)
        .map_err(|error| CommandError::new(format!("--report: {} cannot be made: {error}", args.report.display())))?;
    report.into_iter().try_for_each(|file| Ok(sources.check_output("--report", file)?))
}

/// The path as it can stand in a configuration, from whatever folder.
fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// What the networks say of each picture, and why pictures are left out. Those that the rules reject are used as far as they
/// show one face: what a rule rejects today may be let in tomorrow.
fn observe(looking: &Looking<'_>, labelled: Vec<&LabelledPicture>, threads: usize) -> Result<Looks, CommandError> {
    let bar = progress::bar(labelled.len() as u64)?;
    let mut looks = Looks::default();
    let look = |picture: &LabelledPicture| looking.at(picture);
    in_order(labelled.into_iter(), threads, look, |seen| -> Result<(), CommandError> {
        match seen? {
            Seen::Face(observation) => looks.observations.push(*observation),
            Seen::Nothing(reason) => looks.left_out.push(reason),
            Seen::Unread(reason) => {
                looks.left_out.push(reason);
                looks.unread += 1;
            }
        }
        bar.inc(1);
        Ok(())
    })?;
    bar.finish_and_clear();
    Ok(looks)
}

/// What all pictures share.
struct Looking<'a> {
    analyzer: &'a FaceAnalyzer,
    labels: &'a Labels,
    max_bytes: usize,
}

impl Looking<'_> {
    /// Only a fault of ours is an error.
    fn at(&self, picture: &LabelledPicture) -> Result<Seen, CommandError> {
        let why = |reason: &dyn std::fmt::Display| format!("{}: {reason}", picture.path);
        let nothing = |reason: &dyn std::fmt::Display| Ok(Seen::Nothing(why(reason)));
        let bytes = match read(&self.labels.file(picture), self.max_bytes) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return nothing(&format!("{TOO_LARGE}: {}", too_large_message(self.max_bytes))),
            Err(error) => return Ok(Seen::Unread(why(&error))),
        };
        let sample = match self.analyzer.liveness_sample(&bytes) {
            Ok(sample) => sample,
            Err(error) if error.is_fault() => return Err(CommandError::new(format!("{}: {error}", picture.path))),
            Err(error) => return nothing(&format!("{}: {error}", error.code())),
        };
        if sample.rejection.as_ref().is_some_and(|rejection| rejection.word == RejectionWord::TooManyFaces) {
            return nothing(&"it shows several faces, and the label does not say which is meant");
        }
        let (Some(LivenessObservation { features, mirrored, pair, general, surrounding }), Some(presentation)) =
            (sample.liveness, picture.liveness.clone())
        else {
            return nothing(&"no face was found");
        };
        Ok(Seen::Face(Box::new(Observation {
            path: picture.path.clone(),
            presentation,
            group: picture.group.clone(),
            features,
            parts: FEATURE_PARTS.to_vec(),
            mirrored,
            pair: pair.into(),
            general: general.into(),
            surrounding: surrounding.into(),
        })))
    }
}

fn fit(observations: &[Observation], options: &AdaptOptions) -> Result<Adaptation, CommandError> {
    let mut bar = None;
    let mut failed = None;
    let adaptation = adapt(observations, options, &mut |done, of| {
        if bar.is_none() {
            match progress::bar(of as u64) {
                Ok(new) => bar = Some(new),
                Err(error) => failed = Some(error),
            }
        }
        if let Some(bar) = &bar {
            bar.set_position(done as u64);
        }
    })?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    failed.map_or(Ok(adaptation), Err)
}

fn head(adaptation: &Adaptation, analyzer: &FaceAnalyzer, meta: &Meta) -> Head {
    let fitted = &adaptation.fitted;
    let rates = &adaptation.rates;
    let ratio = |share: Option<face_eval::statistics::Proportion>| share.map_or(0.0, |s| s.ratio);
    let count = |share: Option<face_eval::statistics::Proportion>| share.map_or(0, |s| s.total);
    Head {
        created: meta.created.clone(),
        program: meta.program.clone(),
        networks: analyzer.liveness_networks().to_vec(),
        features_revision: FEATURES_REVISION,
        crops: analyzer.liveness_crops(),
        weights: fitted.linear.weights.iter().map(|&w| w as f32).collect(),
        bias: fitted.linear.bias as f32,
        general: fitted.general,
        pair: fitted.pair,
        slope: fitted.slope as f32,
        operating_point: fitted.operating_point as f32,
        trust: fitted.trust,
        figures: Figures {
            pictures: adaptation.pictures,
            groups: adaptation.groups,
            live: adaptation.live,
            bpcer_before: ratio(rates.bpcer_before),
            bpcer: ratio(rates.bpcer),
            kinds: rates
                .kinds
                .iter()
                .map(|kind| KindFigures {
                    name: kind.name.clone(),
                    pictures: count(kind.apcer),
                    apcer_before: ratio(kind.apcer_before),
                    apcer: ratio(kind.apcer),
                })
                .collect(),
        },
    }
}

fn meta(args: &AdaptArgs, config: &Config, analyzer: &FaceAnalyzer) -> Result<Meta, CommandError> {
    let networks = analyzer.liveness_networks().iter().map(|network| ModelUsed {
        job: "liveness".into(),
        name: network.name.clone(),
        version: network.sha256.chars().take(12).collect(),
    });
    Ok(Meta {
        title: args.title.clone(),
        program: format!("facegate {}", env!("CARGO_PKG_VERSION")),
        command: command_line(),
        created: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        labels_file: args.labels.display().to_string(),
        settings: vec![("analysis.liveness".into(), serde_json::to_string(&config.analysis.liveness)?)],
        models: networks.collect(),
    })
}
