//! `facegate bulk SOURCE --out DEST`: millions of pictures, in shards, in runs that may be killed.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum, ValueHint};
use face_analysis::{AnalysisError, FaceAnalyzer};
use face_bulk::names::shown;
use face_bulk::parts::{PartFormat, Parts};
use face_bulk::pictures;
use face_bulk::row::Answer;
use face_bulk::shard::Shard;
use face_bulk::source::{self, Content, Names, Picture, SourceError, Wanted};
use face_bulk::store::{Location, is_remote, local_path};
use face_models::Group;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::runtime::Runtime;

use super::models::fetch_with_progress;
use super::progress::say;
use super::serve::stop_signal;
use super::{CommandError, ConfigArgs, from_1_to, plural};
use crate::config::Config;
use crate::parallel::{in_order, threads};
use crate::{answer, models, record};

/// How often a run says how far it is when nobody watches a terminal.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// Attempts at what fails for a reason that may pass, and the pause before the second, which doubles with each.
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The code of what has no bytes under its name.
const ABSENT: &str = "image_absent";

/// Faults that another attempt would meet too: not there, not allowed, no file.
const LASTING: [io::ErrorKind; 3] =
    [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied, io::ErrorKind::InvalidInput];

/// What a file cannot be read for that none of the others can be read for either: a share that is not mounted any more.
const SOURCE_IS_GONE: [io::ErrorKind; 6] = [
    io::ErrorKind::NotConnected,
    io::ErrorKind::TimedOut,
    io::ErrorKind::HostUnreachable,
    io::ErrorKind::NetworkUnreachable,
    io::ErrorKind::NetworkDown,
    io::ErrorKind::StaleNetworkFileHandle,
];

/// Arguments of `facegate bulk`.
#[derive(Debug, Args)]
pub struct BulkArgs {
    /// A folder, a tar file (.tar, .tar.gz), or a prefix: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX.
    #[arg(value_hint = ValueHint::AnyPath)]
    source: String,
    /// Folder or prefix for the answers. A run that was killed goes on with what is missing in it.
    #[arg(long, value_name = "DEST", value_hint = ValueHint::DirPath)]
    out: String,
    /// Which share of the pictures, from 0: 0/16 to 15/16.
    #[arg(long, value_name = "INDEX/COUNT", default_value = "0/1")]
    shard: Shard,
    /// What the part files hold.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// Answers in a part file, 1 to 1000000: what is lost at most when the process is killed.
    #[arg(long, value_name = "ROWS", default_value_t = 1000, value_parser = from_1_to(1_000_000))]
    part_rows: usize,
    /// Also every measured value.
    #[arg(long)]
    details: bool,
    /// Take every file or object, also those whose names do not end like those of pictures.
    #[arg(long)]
    any_name: bool,
    /// Pictures analysed at the same time; 0 is one per core.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    parallel: usize,
    /// Ask the cloud's metadata service for credentials (169.254.169.254, metadata.google.internal) when there are none
    /// in the environment.
    #[arg(long)]
    instance_credentials: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// What the part files hold.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// What the service answers, one JSON object a line.
    Jsonl,
    /// The columns of `facegate analyze --format csv`, typed.
    Parquet,
}

impl From<Format> for PartFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Jsonl => Self::Jsonl,
            Format::Parquet => Self::Parquet,
        }
    }
}

/// Analyses what the shard's parts do not hold yet. A picture that cannot be used or read is an answer; a fault of the
/// source, the destination or the machine ends the run with a failing exit code, after what is done has been written.
pub fn run(args: &BulkArgs) -> Result<(), CommandError> {
    let config = args.config.load()?.config;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let format = PartFormat::from(args.format);
    let mut record = record::record(&config, format.ending(), args.details, false)?;
    // Before the destination is touched: what is no source leaves nothing behind.
    record["source"] = source::identity(&args.source, args.instance_credentials)?.into();
    let is_new = !is_remote(&args.out) && !local_path(&args.out).exists();
    let destination = Location::destination(&args.out, args.instance_credentials)?;
    let parts = Parts::resume(destination, args.shard, format, args.details, record, args.part_rows);
    let mut parts = runtime.block_on(parts)?;
    let (stop, names) = (Arc::new(AtomicBool::new(false)), Arc::new(Names::default()));
    let wanted = Wanted {
        shard: args.shard,
        done: parts.take_done(),
        any_name: args.any_name,
        max_bytes: config.server.max_image_bytes,
        stop: Arc::clone(&stop),
        names: Arc::clone(&names),
    };
    let earlier = wanted.done.len();
    let signalled = Arc::clone(&stop);
    runtime.spawn(async move {
        stop_signal().await;
        signalled.store(true, Ordering::Relaxed);
        // Whoever asks twice does not want to wait.
        stop_signal().await;
        std::process::exit(1);
    });
    let mut pictures = source::open(&args.source, wanted, args.instance_credentials, runtime.handle())?;
    // Nothing is written before there is a picture: another source could not have the same destination.
    let first = pictures.next().transpose()?;
    if first.is_none() && names.pictures() == 0 && !stop.load(Ordering::Relaxed) {
        if is_new {
            // Whatever else is in it by now stays.
            let _ = std::fs::remove_dir(local_path(&args.out));
        }
        return Err(nothing_found(&args.source, names.left_aside()));
    }
    if names.pictures() > 0 {
        runtime.block_on(parts.begin())?;
    }
    let pictures = Box::new(first.map(Ok).into_iter().chain(pictures));
    let store = models::store(config.models.dir.as_ref())?;
    fetch_with_progress(&store, Group::Models)?;
    let threads = threads(args.parallel);
    let analyzer = models::analyzer(&models::files(&store)?, &config, threads)?;
    analyzer.warm_up()?;
    let progress = Progress::new(args.shard, earlier)?;
    let result = analyse(args, &config, &analyzer, threads, pictures, &runtime, &mut parts, &progress);
    progress.finish();
    // Set in any case, so that nothing goes on reading a source.
    let stopped = stop.swap(true, Ordering::Relaxed);
    if result.is_err() || stopped {
        // What is done need not be done again.
        runtime.block_on(parts.flush())?;
        result?;
        return Err(CommandError::new(format!(
            "stopped after {} of shard {}; run the same command again to go on",
            plural(progress.done(), "picture"),
            args.shard
        )));
    }
    if progress.unread() > 0 {
        runtime.block_on(parts.flush())?;
        return Err(CommandError::new(format!(
            "{} of shard {} could not be read and have no answer: mend that, and run the same command again to go on",
            plural(progress.unread(), "picture"),
            args.shard
        )));
    }
    runtime.block_on(parts.finish())?;
    progress.summary(parts.outcomes(), names.left_aside())?;
    Ok(())
}

/// A source without pictures is probably another than was meant.
fn nothing_found(source: &str, left_aside: u64) -> CommandError {
    CommandError::new(match left_aside {
        0 => format!("there is nothing in {source}: name a folder, a tar file or a prefix that has pictures"),
        names => format!("there is no picture in {source}, but {names} not named like one: --any-name takes them"),
    })
}

#[expect(clippy::too_many_arguments, reason = "all that a run consists of")]
fn analyse(
    args: &BulkArgs,
    config: &Config,
    analyzer: &FaceAnalyzer,
    threads: usize,
    pictures: source::Pictures,
    runtime: &Runtime,
    parts: &mut Parts,
    progress: &Progress,
) -> Result<(), CommandError> {
    let work = |picture: Result<Picture, SourceError>| answer(analyzer, picture?, args.details, config);
    in_order(pictures, threads, work, |answer| {
        match answer? {
            Outcome::Gone => {}
            Outcome::Unread(reason) => progress.leave_open(&reason),
            Outcome::Answered(answer) => {
                progress.count(&answer);
                if parts.push(answer) {
                    runtime.block_on(parts.flush())?;
                }
            }
        }
        Ok(())
    })
}

/// What comes of one picture.
#[derive(Debug)]
enum Outcome {
    Answered(Answer),
    /// It was deleted since it was listed.
    Gone,
    /// It cannot be read, and why. That can be mended, and an answer would be for good.
    Unread(String),
}

/// The answer for one picture. A fault of ours on it is an answer too: the same picture would
/// cause it again, and nothing after it would ever be reached. That no process can decode any picture is none.
fn answer(analyzer: &FaceAnalyzer, picture: Picture, details: bool, config: &Config) -> Result<Outcome, CommandError> {
    let max_bytes = config.server.max_image_bytes;
    let Picture { name, content } = picture;
    let bytes = match content {
        Content::Bytes(bytes) => Some(bytes),
        Content::TooLarge => None,
        Content::Absent(reason) => return Ok(Outcome::Answered(answer::unreadable(name, ABSENT, &reason))),
        Content::File(path) => match read_persistently(&path, max_bytes) {
            Ok(bytes) => bytes.map(Into::into),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Outcome::Gone),
            Err(source) if SOURCE_IS_GONE.contains(&source.kind()) => {
                return Err(SourceError::Io { path, source }.into());
            }
            // No right to it, a bad sector: what comes after it is to be reached.
            Err(error) => return Ok(Outcome::Unread(format!("{}: {error}", path.display()))),
        },
    };
    let Some(bytes) = bytes else { return Ok(Outcome::Answered(answer::too_large(name, max_bytes))) };
    let wanted = face_analysis::Wanted { details, face_image: false };
    let analysis = persistently(
        &format!("cannot analyse {name}"),
        |error: &AnalysisError| matches!(error, AnalysisError::Cell(_)),
        || survived(|| analyzer.analyze(&bytes, wanted)).transpose(),
    );
    Ok(Outcome::Answered(match analysis {
        Ok(Some(analysis)) => answer::analysed(name, analysis, config.response.face_image),
        Ok(None) => answer::unreadable(name, "analysis_crashed", "the analysis failed on this picture"),
        Err(error @ AnalysisError::Cell(_)) => return Err(CommandError::new(format!("{name}: {error}"))),
        Err(error) => answer::unreadable(name, error.code(), &error.to_string()),
    }))
}

/// What `work` gives; `None` when it panicked, which ends no run of a million pictures. Whatever it borrowed has been
/// given back.
fn survived<T>(work: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).ok()
}

/// Reads a file; what fails for a reason that may pass (a network share) is tried again.
fn read_persistently(path: &std::path::Path, max_bytes: usize) -> io::Result<Option<Vec<u8>>> {
    persistently(
        &format!("cannot read {}", path.to_string_lossy()),
        |error: &io::Error| !LASTING.contains(&error.kind()),
        || pictures::read(path, max_bytes),
    )
}

/// What `attempt` gives, several times as long as it fails for a reason that may pass.
fn persistently<T, E: std::fmt::Display>(
    what: &str,
    may_pass: impl Fn(&E) -> bool,
    attempt: impl Fn() -> Result<T, E>,
) -> Result<T, E> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..ATTEMPTS {
        match attempt() {
            Err(error) if may_pass(&error) => {
                say(&format!("facegate: {}: {error}; another attempt in {pause:?}", shown(what)));
                std::thread::sleep(pause);
                pause *= 2;
            }
            result => return result,
        }
    }
    attempt()
}

/// Says how far a shard is: a line on a terminal, else a line of the log from time to time.
struct Progress {
    bar: ProgressBar,
    begin: Instant,
    earlier: usize,
    shard: Shard,
    done: AtomicUsize,
    /// Pictures that have no bytes under their names, and the first of them.
    absent: AtomicUsize,
    first_absent: OnceLock<String>,
    /// Pictures that could not be read.
    unread: AtomicUsize,
    /// Seconds since the begin at which the next line is due.
    next: AtomicU64,
}

impl Progress {
    fn new(shard: Shard, earlier: usize) -> Result<Self, CommandError> {
        let bar = if io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{spinner} shard {prefix}: {pos} pictures, {msg}/s, {elapsed}")?;
            ProgressBar::no_length().with_style(style).with_prefix(shard.to_string())
        } else {
            ProgressBar::hidden()
        };
        if earlier > 0 {
            say(&format!("shard {shard}: {} answered by earlier runs", plural(earlier, "picture")));
        }
        let next = AtomicU64::new(SAY_EVERY.as_secs());
        let [done, absent, unread] = [(); 3].map(|()| AtomicUsize::new(0));
        let begin = Instant::now();
        Ok(Self { bar, begin, earlier, shard, done, absent, first_absent: OnceLock::new(), unread, next })
    }

    fn count(&self, answer: &Answer) {
        if answer.row.error.as_ref().is_some_and(|(code, _)| code == ABSENT) {
            self.absent.fetch_add(1, Ordering::Relaxed);
            self.first_absent.get_or_init(|| answer.row.picture.clone());
        }
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        self.bar.set_position(done as u64);
        self.bar.set_message(format!("{:.1}", self.rate()));
        let seconds = self.begin.elapsed().as_secs();
        if self.bar.is_hidden() && seconds >= self.next.load(Ordering::Relaxed) {
            self.next.store(seconds + SAY_EVERY.as_secs(), Ordering::Relaxed);
            say(&format!("shard {}: {}, {:.1} a second", self.shard, plural(done, "picture"), self.rate()));
        }
    }

    fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    fn leave_open(&self, reason: &str) {
        self.unread.fetch_add(1, Ordering::Relaxed);
        self.bar.suspend(|| say(&format!("facegate: {}", shown(reason))));
    }

    fn unread(&self) -> usize {
        self.unread.load(Ordering::Relaxed)
    }

    fn rate(&self) -> f64 {
        self.done() as f64 / self.begin.elapsed().as_secs_f64().max(1e-3)
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn summary(&self, outcomes: &BTreeMap<String, u64>, left_aside: u64) -> io::Result<()> {
        let mut err = io::stderr().lock();
        let all = usize::try_from(outcomes.values().sum::<u64>()).unwrap_or(usize::MAX);
        writeln!(err, "shard {}: complete, {}", self.shard, plural(all, "picture"))?;
        for (outcome, count) in outcomes {
            writeln!(err, "{count:>8}  {outcome}")?;
        }
        if let Some(first) = self.first_absent.get() {
            let absent = self.absent.load(Ordering::Relaxed);
            writeln!(
                err,
                "{absent:>8}  of this run not there under their names ({ABSENT}), the first {}",
                shown(first)
            )?;
        }
        if left_aside > 0 {
            writeln!(err, "{left_aside:>8}  in the whole source not named like pictures, left aside")?;
        }
        let earlier = if self.earlier > 0 { format!(", {} by earlier runs", self.earlier) } else { String::new() };
        writeln!(err, "{} by this run, {:.1} a second{earlier}", self.done(), self.rate())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn that_no_picture_can_be_decoded_is_no_answer_of_a_picture() {
        use face_analysis::{DecodeLimits, Decoder, Settings};
        use picture_cell::cell::{Cells, Program};
        let program = Program { path: "/nonexistent".into(), words: Vec::new() };
        let cells = Cells::start(program, DecodeLimits::default(), 1, 1 << 20).expect("a thread");
        let analyzer = FaceAnalyzer::load_with(&testkit::models(), Settings::default(), 1, Decoder::in_cells(cells))
            .expect("loads");
        let content = Content::Bytes(testkit::picture("coffee.png").into());
        let picture = Picture { name: "cup.png".into(), content };
        let begin = Instant::now();
        let error = answer(&analyzer, picture, false, &Config::default()).expect_err("no answer").to_string();
        assert!(error.contains("cup.png") && error.contains("cannot be started"), "{error}");
        assert!(begin.elapsed() >= 7 * FIRST_PAUSE, "it was not tried again");
    }

    #[test]
    fn a_panic_ends_one_picture_only() {
        assert_eq!(survived(|| 7), Some(7));
        assert_eq!(survived(|| -> u8 { panic!("the network of cheeks") }), None);
    }
}
