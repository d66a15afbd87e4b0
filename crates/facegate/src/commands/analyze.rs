//! `facegate analyze PICTURE…`: what the service would answer, for one picture or a hundred thousand.

mod annotations;
mod output;
mod summary;
mod table;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, ValueHint};
use face_analysis::{FaceAnalyzer, Wanted};
use face_bulk::names::{recorded_path, shown};
use face_bulk::pictures::{find, read};
use face_bulk::row::Answer;
use face_models::Group;
use image::RgbImage;

use self::annotations::Annotations;
use self::output::{Destination, Format, Output};
use self::summary::Summary;
use super::models::fetch_with_progress;
use super::{CommandError, ConfigArgs, plural, progress};
use crate::annotate::{ContactSheet, Original, tile_without_picture};
use crate::config::Config;
use crate::drawings::Drawings;
use crate::parallel::{in_order, threads};
use crate::{answer, models};

/// Arguments of `facegate analyze`.
#[derive(Debug, Args)]
pub struct AnalyzeArgs {
    /// Pictures, folders (with all that is below them) and patterns such as 'photos/**/*.jpg'.
    #[arg(required = true, value_hint = ValueHint::AnyPath)]
    pictures: Vec<PathBuf>,
    /// How answers are written [default: by the ending of --out, else jsonl].
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write the answers into this file (.jsonl or .csv; of another name with --format). When it is there already, the run goes on with what is
    /// missing in it.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Also every measured value.
    #[arg(long)]
    details: bool,
    /// Also the cropped face as Base64 (jsonl and json only).
    #[arg(long)]
    face_image: bool,
    /// Draw box, landmarks and verdict on each picture. For one picture a file (PNG or JPEG by its name), for several a
    /// folder.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    annotate: Option<PathBuf>,
    /// Draw all pictures of this run small on one sheet (PNG or JPEG by its name); after each 48 another sheet begins,
    /// FILE-2 and so on. A run that goes on leaves the sheets that are there.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    contact_sheet: Option<PathBuf>,
    /// Pictures analysed at the same time; 0 is one per core.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    parallel: usize,
    /// Neither progress nor summary.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Analyses every picture. One that cannot be used is an answer; one that cannot be read is a fault, told at the end
/// with a failing exit code.
pub fn run(args: &AnalyzeArgs) -> Result<(), CommandError> {
    let config = args.config.load()?.config;
    let found = find(&args.pictures)?;
    if found.pictures.is_empty() && found.faults.is_empty() {
        return Err(nothing_found(&args.pictures, found.left_aside));
    }
    let mut summary = Summary::default();
    found.faults.iter().for_each(|fault| summary.fault(fault));
    let mut output = Output::new(args, &config, &found.pictures)?;
    let session = Session::new(args, &config, &found.pictures)?;
    let mut open = found.pictures;
    let named = open.len();
    let mut goes_on = false;
    if let Destination::File(results) = &output.destination {
        open.retain(|picture| !results.done().contains(&recorded_path(picture)));
        goes_on = !results.done().is_empty();
    }
    let sheet = |file| ContactSheet::new(file, Arc::clone(&session.drawings), goes_on);
    let mut sheet = args.contact_sheet.clone().map(sheet).transpose()?;
    let bar =
        if args.quiet || named < 2 { indicatif::ProgressBar::hidden() } else { progress::bar(open.len() as u64)? };
    let begin = Instant::now();
    if !open.is_empty() {
        let store = models::store(config.models.dir.as_ref())?;
        fetch_with_progress(&store, Group::Models)?;
        let threads = threads(args.parallel).min(open.len());
        let analyzer = models::analyzer(&models::files(&store)?, &config, threads)?;
        bar.reset();
        let work = |picture: &PathBuf| {
            session.answer(&analyzer, picture).map_err(|error| format!("{}: {error}", picture.display()))
        };
        in_order(open.iter(), threads, work, |answer| -> Result<(), CommandError> {
            bar.inc(1);
            match answer {
                Ok((answer, tile)) => {
                    summary.count(&answer.row);
                    bar.suspend(|| output.write(&answer))?;
                    if let (Some(sheet), Some(tile)) = (&mut sheet, tile) {
                        sheet.push(tile)?;
                    }
                }
                Err(message) => bar.suspend(|| summary.fault(&message)),
            }
            Ok(())
        })?;
    }
    bar.finish_and_clear();
    output.finish()?;
    let sheets = sheet.map(ContactSheet::finish).transpose()?.unwrap_or_default();
    if !args.quiet && (named > 1 || args.out.is_some()) {
        summary.print(args, begin.elapsed(), named - open.len(), found.left_aside, &sheets)?;
    }
    match summary.faults {
        0 => Ok(()),
        faults => {
            let all = plural(named + found.faults.len(), "picture");
            Err(CommandError::new(format!("{faults} of {all} could not be analysed")))
        }
    }
}

/// A folder without pictures is probably another than was meant.
fn nothing_found(arguments: &[PathBuf], left_aside: usize) -> CommandError {
    let names: Vec<_> = arguments.iter().map(|path| path.to_string_lossy()).collect();
    let aside = match left_aside {
        0 => String::new(),
        files => format!(", but {} not named like one, which can be named one by one", plural(files, "file")),
    };
    CommandError::new(format!("there is no picture in {}{aside}", shown(&names.join(", "))))
}

/// What all pictures of a run share.
struct Session<'a> {
    args: &'a AnalyzeArgs,
    config: &'a Config,
    annotations: Option<Annotations>,
    drawings: Arc<Drawings>,
}

impl<'a> Session<'a> {
    fn new(args: &'a AnalyzeArgs, config: &'a Config, pictures: &[PathBuf]) -> Result<Self, CommandError> {
        let annotations = args.annotate.as_deref().map(|out| Annotations::new(out, pictures)).transpose()?;
        Ok(Self { args, config, annotations, drawings: Arc::new(Drawings::new(pictures)) })
    }

    /// The answer for one picture, and its tile for the contact sheet.
    fn answer(&self, analyzer: &FaceAnalyzer, picture: &Path) -> Result<(Answer, Option<RgbImage>), CommandError> {
        let name = recorded_path(picture);
        let max_bytes = self.config.server.max_image_bytes;
        let Some(bytes) = read(picture, max_bytes)? else {
            return Ok(self.undrawn(answer::too_large(name, max_bytes)));
        };
        let drawn = self.annotations.is_some() || self.args.contact_sheet.is_some();
        // What is drawn is part of the details.
        let wanted = Wanted { face_image: self.args.face_image, details: self.args.details || drawn };
        let mut analysis = match analyzer.analyze(&bytes, wanted) {
            Ok(analysis) => analysis,
            Err(error) if error.is_fault() => return Err(error.into()),
            Err(error) => return Ok(self.undrawn(answer::unreadable(name, error.code(), &error.to_string()))),
        };
        let mut tile = None;
        if drawn {
            let original = Original::of(analyzer.decode(&bytes)?);
            if let Some(annotations) = &self.annotations {
                self.drawings.save(&original.annotated(&analysis), &annotations.path_for(picture)?)?;
            }
            tile = self.args.contact_sheet.as_ref().map(|_| original.tile(&name, &analysis));
        }
        if !self.args.details {
            analysis.details = None;
        }
        Ok((answer::analysed(name, analysis, self.config.response.face_image), tile))
    }

    /// The tile of what cannot be drawn.
    fn undrawn(&self, answer: Answer) -> (Answer, Option<RgbImage>) {
        let code = answer.row.error.as_ref().map_or("", |(code, _)| code);
        let tile = self.args.contact_sheet.as_ref().map(|_| tile_without_picture(&answer.row.picture, code));
        (answer, tile)
    }
}
