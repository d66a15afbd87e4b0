//! One file for each subcommand.

pub mod analyze;
pub mod bench;
pub mod config;
pub mod evaluate;
pub mod hash_password;
pub mod models;
pub mod serve;

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::{Config, ConfigError, Loaded};

/// What facegate can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the HTTP service.
    Serve(serve::ServeArgs),
    /// Analyse pictures and print what the service would answer.
    Analyze(analyze::AnalyzeArgs),
    /// Measure error rates on labelled pictures.
    Evaluate(evaluate::EvaluateArgs),
    /// Measure what a request costs on this machine.
    Bench(bench::BenchArgs),
    /// Fetch, check and list the networks.
    Models(models::ModelsArgs),
    /// Make a line for the users file.
    HashPassword(hash_password::HashPasswordArgs),
    /// Print the configuration in force and where it comes from.
    Config(config::ConfigCommandArgs),
}

/// Runs one subcommand.
pub fn run(command: &Command) -> Result<(), CommandError> {
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Analyze(args) => analyze::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Models(args) => models::run(args),
        Command::HashPassword(args) => hash_password::run(args),
        Command::Config(args) => config::run(args),
    }
}

/// Flags of every command that reads the configuration.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Configuration file (TOML).
    #[arg(long, env = "FACEGATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Any setting by its name, such as `server.queue=4`; may be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Address and port to listen on (`server.listen`).
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Which pictures are usable: default, strict or lenient (`analysis.rules.profile`).
    #[arg(long)]
    profile: Option<String>,
}

impl ConfigArgs {
    /// The configuration that these flags, the environment and the file give.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let mut flags = self.set.clone();
        flags.extend(self.listen.map(|address| format!("server.listen={address}")));
        flags.extend(self.profile.as_ref().map(|profile| format!("analysis.rules.profile={profile}")));
        Config::load(self.config.as_deref(), std::env::vars(), &flags)
    }

    /// The same flags for another process, but for the address.
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

/// Why a command failed; `main` prints it and exits with 1.
#[derive(Debug)]
pub struct CommandError(String);

impl CommandError {
    /// A message for the person at the terminal.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for CommandError {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}
