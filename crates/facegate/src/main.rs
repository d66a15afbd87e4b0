//! facegate: a self-hosted face check service. Arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use facegate::commands::{self, Command, CommandError};

/// Is there exactly one usable face, where, how old, which gender, and is it alive?
#[derive(Debug, Parser)]
#[command(name = "facegate", version, about, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let result: Result<(), CommandError> = commands::run(&Arguments::parse().command);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("facegate: {error}");
            ExitCode::FAILURE
        }
    }
}
