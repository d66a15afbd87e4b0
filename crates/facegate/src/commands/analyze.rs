//! `facegate analyze PICTURE…`: what the service would answer, for one picture or a hundred thousand.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use clap::{Args, ValueEnum, ValueHint};
use face_analysis::{FaceAnalyzer, Wanted};
use face_bulk::pictures::{common_folder, find, read};
use face_bulk::results::{ResultsError, ResultsFile, RowFormat, csv_line};
use face_bulk::row::{self, Answer, Row, columns};
use face_models::Group;
use image::RgbImage;

use super::models::fetch_with_progress;
use super::{CommandError, ConfigArgs, progress};
use crate::annotate::{ContactSheet, Original, tile_without_picture};
use crate::config::Config;
use crate::drawings::Drawings;
use crate::parallel::{in_order, threads};
use crate::{answer, models, record};

/// Arguments of `facegate analyze`.
#[derive(Debug, Args)]
pub struct AnalyzeArgs {
    /// Pictures, folders (with all that is below them) and patterns such as 'photos/**/*.jpg'.
    #[arg(required = true, value_hint = ValueHint::AnyPath)]
    pictures: Vec<PathBuf>,
    /// How answers are written [default: by the ending of --out, else jsonl].
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write the answers into this file (.jsonl or .csv). When it is there already, the run goes on with what is
    /// missing in it.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Also every measured value.
    #[arg(long)]
    details: bool,
    /// Also the cropped face as Base64 (JSON only).
    #[arg(long)]
    face_image: bool,
    /// Draw box, landmarks and verdict on each picture. For one picture a file (PNG or JPEG by its name), for several a
    /// folder.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    annotate: Option<PathBuf>,
    /// Draw all pictures of this run small on one sheet (PNG or JPEG by its name); after each 48 another sheet begins,
    /// FILE-2 and so on.
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

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// What the service answers, one JSON object a line.
    Jsonl,
    /// The same objects in one JSON array.
    Json,
    /// Comma-separated values with a header.
    Csv,
    /// Columns for people.
    Table,
}

/// Analyses every picture. One that cannot be used is an answer; one that cannot be read is a fault, told at the end
/// with a failing exit code.
pub fn run(args: &AnalyzeArgs) -> Result<(), CommandError> {
    let config = args.config.load()?.config;
    let found = find(&args.pictures)?;
    let mut summary = Summary::default();
    found.faults.iter().for_each(|fault| summary.fault(fault));
    let mut output = Output::new(args, &config, &found.pictures)?;
    let session = Session::new(args, &config, &found.pictures)?;
    let mut open = found.pictures;
    let all = open.len();
    if let Destination::File(results) = &output.destination {
        open.retain(|picture| !results.done().contains(&*picture.to_string_lossy()));
    }
    let mut sheet = args.contact_sheet.clone().map(|file| ContactSheet::new(file, Arc::clone(&session.drawings)));
    let bar = if args.quiet || all < 2 { indicatif::ProgressBar::hidden() } else { progress::bar(open.len() as u64)? };
    let begin = Instant::now();
    if !open.is_empty() {
        let store = models::store(config.models.dir.as_ref())?;
        fetch_with_progress(&store, Group::Models)?;
        let threads = threads(args.parallel).min(open.len());
        let analyzer = models::analyzer(&models::files(&store)?, config.analysis.clone(), threads)?;
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
    if !args.quiet && (all > 1 || args.out.is_some()) {
        summary.print(args, begin.elapsed(), all - open.len(), found.left_aside, sheets)?;
    }
    match summary.faults {
        0 => Ok(()),
        faults => Err(CommandError::new(format!("{faults} of {} could not be analysed", plural(all, "picture")))),
    }
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
        let name = picture.to_string_lossy().into_owned();
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

/// Where annotated pictures go.
enum Annotations {
    File(PathBuf),
    Folder { folder: PathBuf, common: PathBuf },
}

impl Annotations {
    /// A folder when it is one already or when there are several pictures, else a file. In the folder the pictures lie
    /// as they do below the folder that holds them all.
    fn new(out: &Path, pictures: &[PathBuf]) -> Result<Self, CommandError> {
        if pictures.len() > 1 || out.is_dir() {
            std::fs::create_dir_all(out)?;
            return Ok(Self::Folder { folder: out.to_owned(), common: common_folder(pictures) });
        }
        Ok(Self::File(out.to_owned()))
    }

    fn path_for(&self, picture: &Path) -> Result<PathBuf, CommandError> {
        let (folder, common) = match self {
            Self::File(path) => return Ok(path.clone()),
            Self::Folder { folder, common } => (folder, common),
        };
        let inside = picture.strip_prefix(common).unwrap_or(picture);
        // What leads out of the folder (`..`, `/`) is left out.
        let inside = inside.components().filter(|part| matches!(part, std::path::Component::Normal(_)));
        let mut path = folder.join(inside.collect::<PathBuf>()).into_os_string();
        path.push(".png");
        let path = PathBuf::from(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(path)
    }
}

/// Where answers go, and how.
struct Output {
    format: Format,
    destination: Destination,
    details: bool,
    /// Answers written by this run.
    written: usize,
    /// Letters in the table's first column.
    width: usize,
}

enum Destination {
    Stdout,
    File(ResultsFile),
}

impl Output {
    fn new(args: &AnalyzeArgs, config: &Config, pictures: &[PathBuf]) -> Result<Self, CommandError> {
        let ending = args.out.as_deref().and_then(Path::extension).and_then(|ending| ending.to_str());
        let by_ending = ending.and_then(|ending| Format::from_str(ending, true).ok());
        let format = args.format.or(by_ending).unwrap_or(Format::Jsonl);
        let destination = match &args.out {
            None => Destination::Stdout,
            Some(out) => {
                let rows = match format {
                    Format::Jsonl => RowFormat::Jsonl,
                    Format::Csv => RowFormat::Csv,
                    Format::Json | Format::Table => {
                        return Err(CommandError::new(
                            "--out takes --format jsonl or csv, which a later run can go on with: redirect the output \
                             of the other formats",
                        ));
                    }
                };
                let name = if rows == RowFormat::Csv { "csv" } else { "jsonl" };
                let record = record::record(config, name, args.details, args.face_image)?;
                Destination::File(ResultsFile::resume(out, rows, args.details, &record)?)
            }
        };
        let longest = pictures.iter().map(|picture| console::measure_text_width(&picture.to_string_lossy())).max();
        let width = longest.unwrap_or_default().clamp(7, 60);
        Ok(Self { format, destination, details: args.details, written: 0, width })
    }

    fn write(&mut self, answer: &Answer) -> Result<(), CommandError> {
        let mut line = Vec::new();
        match self.format {
            Format::Jsonl => {
                line.extend_from_slice(&answer.json);
                line.push(b'\n');
            }
            Format::Json => {
                line.extend_from_slice(if self.written == 0 { b"[\n" } else { b",\n" });
                line.extend_from_slice(&answer.json);
            }
            Format::Csv => {
                if self.written == 0 && matches!(self.destination, Destination::Stdout) {
                    line.extend(csv_line(columns(self.details).map(|column| column.name)));
                }
                line.extend(csv_line(row::record(&answer.row, self.details)));
            }
            Format::Table => {
                if self.written == 0 {
                    line.extend(table_head(self.width).into_bytes());
                }
                line.extend(table_line(&answer.row, self.width).into_bytes());
            }
        }
        self.written += 1;
        match &mut self.destination {
            // Colours are taken out unless it is a terminal.
            Destination::Stdout => anstream::stdout().lock().write_all(&line)?,
            Destination::File(results) => results.append(&line)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<(), ResultsError> {
        if self.format == Format::Json {
            let end: &[u8] = if self.written == 0 { b"[]\n" } else { b"\n]\n" };
            let written = std::io::stdout().lock().write_all(end);
            return written.map_err(|source| ResultsError::Io { path: "standard output".into(), source });
        }
        Ok(())
    }
}

const GOOD: Style = AnsiColor::Green.on_default();
const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const HEAD: Style = Style::new().bold();

fn table_head(width: usize) -> String {
    format!(
        "{HEAD}{:width$}  {:<20}  {:>3}  {:<12}  {:>8}{HEAD:#}\n",
        "PICTURE", "OUTCOME", "AGE", "GENDER", "LIVENESS"
    )
}

fn table_line(row: &Row, width: usize) -> String {
    let name =
        console::pad_str_with(&end_of(&row.picture, width), width, console::Alignment::Left, None, ' ').into_owned();
    let (Some(age), Some(gender), Some(liveness)) = (row.age, row.gender, row.passive_liveness_score) else {
        let style = if row.outcome == "INTERNAL_ERROR" { BAD } else { DOUBTFUL };
        let code = row.error.as_ref().map_or("", |(code, _)| code.as_str());
        return format!("{name}  {style}{:<20}{style:#}  {code}\n", row.outcome);
    };
    let female = (f64::from(gender) / 10_000.0 + 1.0) / 2.0;
    let (gender, certainty) = if female >= 0.5 { ("female", female) } else { ("male", 1.0 - female) };
    let gender = format!("{gender} {:.0} %", certainty * 100.0);
    let live = if liveness >= 0.5 { GOOD } else { BAD };
    format!("{name}  {GOOD}{:<20}{GOOD:#}  {age:>3}  {gender:<12}  {live}{liveness:>8.2}{live:#}\n", row.outcome)
}

/// The end of a name that is too long, which tells more than its beginning.
fn end_of(name: &str, width: usize) -> String {
    let mut shown = name.to_owned();
    while console::measure_text_width(&shown) > width {
        shown = format!("…{}", shown.chars().skip(2).collect::<String>());
    }
    shown
}

/// What became of the pictures.
#[derive(Default)]
struct Summary {
    outcomes: BTreeMap<&'static str, usize>,
    /// Of what could not be analysed.
    reasons: BTreeMap<String, usize>,
    /// Accepted faces with a liveness score below the operating threshold.
    not_live: usize,
    faults: usize,
}

impl Summary {
    fn count(&mut self, row: &Row) {
        *self.outcomes.entry(row.outcome).or_default() += 1;
        self.not_live += usize::from(row.passive_liveness_score.is_some_and(|score| score < 0.5));
        if let (Some((code, _)), "INTERNAL_ERROR") = (&row.error, row.outcome) {
            *self.reasons.entry(code.clone()).or_default() += 1;
        }
    }

    fn fault(&mut self, message: &str) {
        self.faults += 1;
        anstream::eprintln!("{BAD}facegate:{BAD:#} {message}");
    }

    fn print(
        &self,
        args: &AnalyzeArgs,
        time: Duration,
        earlier: usize,
        left_aside: usize,
        sheets: u32,
    ) -> Result<(), CommandError> {
        let mut err = anstream::stderr().lock();
        let done: usize = self.outcomes.values().sum();
        // Keeps the summary apart from answers on the same terminal.
        if args.out.is_none() && std::io::stdout().is_terminal() {
            writeln!(err)?;
        }
        let rate = done as f64 / time.as_secs_f64();
        writeln!(err, "{HEAD}{} in {}, {rate:.1} a second{HEAD:#}", plural(done, "picture"), short(time))?;
        let mut outcomes: Vec<_> = self.outcomes.iter().collect();
        outcomes.sort_by_key(|(outcome, count)| (**outcome != "OK", std::cmp::Reverse(**count)));
        for (outcome, count) in outcomes {
            let (style, note) = match *outcome {
                "OK" => (GOOD, format!("{} of them with a liveness score below 0.5", self.not_live)),
                "INTERNAL_ERROR" => {
                    let reasons: Vec<_> = self.reasons.iter().map(|(code, count)| format!("{code} {count}")).collect();
                    (BAD, reasons.join(", "))
                }
                _ => (DOUBTFUL, String::new()),
            };
            writeln!(err, "{}", format!("{count:>8}  {style}{outcome:<20}{style:#}  {note}").trim_end())?;
        }
        if self.faults > 0 {
            writeln!(err, "{:>8}  {BAD}{:<20}{BAD:#}  named above", self.faults, "not analysed")?;
        }
        if earlier > 0 {
            writeln!(err, "{earlier:>8}  in the file already")?;
        }
        if left_aside > 0 {
            writeln!(err, "{left_aside:>8}  not named like pictures, left aside")?;
        }
        let written =
            [(&args.out, "answers"), (&args.annotate, "annotated pictures"), (&args.contact_sheet, "contact sheet")];
        for (path, what) in written.into_iter().filter_map(|(path, what)| Some((path.as_ref()?, what))) {
            let pages =
                if what == "contact sheet" && sheets > 1 { format!(" and {} more", sheets - 1) } else { String::new() };
            writeln!(err, "{what}: {}{pages}", path.display())?;
        }
        Ok(())
    }
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A time to the second, or to the tenth when it is short.
fn short(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        return format!("{:.1} s", time.as_secs_f64());
    }
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}
