//! One file for each subcommand.

pub mod adapt;
pub mod analyze;
pub mod bench;
pub mod bulk;
pub mod completions;
pub mod config;
pub mod doctor;
pub mod evaluate;
pub mod hash_password;
pub mod man;
pub mod models;
pub mod progress;
pub mod serve;

use std::any::Any;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, RangedU64ValueParser};
use clap::{Args, Parser, Subcommand, ValueHint};
use face_analysis::Profile;
use face_bulk::names::recorded_path;

use crate::config::{ADDRESS_AND_PORT, Config, ConfigError, Loaded, SECRET};

/// Is there exactly one usable face, where, how old, which gender, and is it alive?
#[derive(Debug, Parser)]
#[command(name = "facegate", version, about, propagate_version = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What facegate can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the HTTP service.
    Serve(serve::ServeArgs),
    /// Analyse pictures and print what the service would answer.
    Analyze(analyze::AnalyzeArgs),
    /// Analyse millions of pictures in shards, from a folder, a tar file or an object store.
    Bulk(bulk::BulkArgs),
    /// Measure error rates on labelled pictures.
    Evaluate(evaluate::EvaluateArgs),
    /// Fit a liveness head on labelled pictures of your own.
    Adapt(adapt::AdaptArgs),
    /// Measure what a request costs on this machine.
    Bench(bench::BenchArgs),
    /// Fetch, check and list the networks.
    Models(models::ModelsArgs),
    /// Make a line for the users file.
    HashPassword(hash_password::HashPasswordArgs),
    /// Print the configuration in force and where it comes from.
    Config(config::ConfigCommandArgs),
    /// Say what is missing on this machine to run the service, and what to do.
    Doctor(doctor::DoctorArgs),
    /// Print a completion script for a shell.
    Completions(completions::CompletionsArgs),
    /// Print the manual page.
    Man(man::ManArgs),
}

/// Runs one subcommand.
pub fn run(command: &Command) -> Result<(), CommandError> {
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Analyze(args) => analyze::run(args),
        Command::Bulk(args) => bulk::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Adapt(args) => adapt::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Models(args) => models::run(args),
        Command::HashPassword(args) => hash_password::run(args),
        Command::Config(args) => config::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    }
}

/// Flags of every command that reads the configuration; they may also come after what the command is to do (`models path`).
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Configuration file (TOML).
    #[arg(long, global = true, env = "FACEGATE_CONFIG", value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Any setting by its name, such as `server.queue=4`; may be given several times.
    #[arg(long, global = true, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Which pictures are usable (`analysis.rules.profile`).
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        value_parser = PossibleValuesParser::new(Profile::ALL.map(Profile::as_str))
    )]
    profile: Option<String>,
}

impl ConfigArgs {
    /// The configuration that these flags, the environment and the file give.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        self.load_with(None)
    }

    fn load_with(&self, listen: Option<SocketAddr>) -> Result<Loaded, ConfigError> {
        let mut flags = self.set.clone();
        flags.extend(listen.map(|address| format!("server.listen={address}")));
        flags.extend(self.profile.as_ref().map(|profile| format!("analysis.rules.profile={profile}")));
        Config::load(self.config.as_deref(), std::env::vars_os(), &flags)
    }

    /// The same flags for another process.
    fn as_flags(&self) -> Vec<OsString> {
        let mut flags: Vec<OsString> = Vec::new();
        if let Some(config) = &self.config {
            flags.extend(["--config".into(), config.into()]);
        }
        flags.extend(self.set.iter().flat_map(|setting| ["--set".into(), setting.into()]));
        flags.extend(self.profile.iter().flat_map(|profile| ["--profile".into(), profile.into()]));
        flags
    }
}

/// Flags of the commands that configure the service.
#[derive(Debug, Args)]
pub struct ServiceArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Address and port to listen on (`server.listen`).
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address)]
    listen: Option<SocketAddr>,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| ADDRESS_AND_PORT.to_owned())
}

impl ServiceArgs {
    /// The configuration that these flags, the environment and the file give.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        self.config.load_with(self.listen)
    }
}

/// Takes a number of things of which there must be one.
fn from_1_to(most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=most)
}

/// A number and what there are so many of.
fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Why what an option names was not written.
fn unwritable(option: &str, path: &Path, error: &io::Error) -> CommandError {
    let advice = "its folder must be there and be yours to write to";
    CommandError::new(format!("{option}: {} cannot be written: {error}; {advice}", path.display()))
}

/// The command line, as reports quote it: whoever gets one is not to learn a password.
fn command_line() -> String {
    std::env::args_os().map(|word| without_secret(recorded_path(word.as_ref()))).collect::<Vec<_>>().join(" ")
}

/// A word of the command line, the value of `--set auth.password=…` left out.
fn without_secret(mut word: String) -> String {
    let value = word.find(SECRET).and_then(|at| word[at..].find('=').map(|sign| at + sign + 1));
    if let Some(value) = value {
        word.replace_range(value.., "…");
    }
    word
}

/// What a command tells on standard output beside the files that it writes: that nobody reads it (`facegate … | head`)
/// ends nothing before the work is done.
#[derive(Debug, Default)]
struct Told {
    failure: Option<io::Error>,
}

impl Told {
    /// Tells a text with its line feeds.
    fn tell(&mut self, text: &str) {
        if self.failure.is_none() {
            self.failure = io::stdout().lock().write_all(text.as_bytes()).err();
        }
    }

    /// Whether all of it was told.
    fn end(self) -> Result<(), CommandError> {
        self.failure.map_or(Ok(()), |failure| Err(failure.into()))
    }
}

/// Why a command failed.
#[derive(Debug)]
pub enum CommandError {
    /// A message for the person at the terminal; `main` prints it and exits with 1.
    Message(String),
    /// Who read our output has closed it (`facegate … | head`): no fault, and nobody is left to tell.
    OutputClosed,
}

impl CommandError {
    /// A message for the person at the terminal.
    pub fn new(message: impl Into<String>) -> Self {
        Self::Message(message.into())
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(message) => f.write_str(message),
            Self::OutputClosed => f.write_str("the output was closed"),
        }
    }
}

impl<E: std::error::Error + 'static> From<E> for CommandError {
    fn from(error: E) -> Self {
        match (&error as &dyn Any).downcast_ref::<io::Error>() {
            Some(io) if io.kind() == io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Message(error.to_string()),
        }
    }
}
