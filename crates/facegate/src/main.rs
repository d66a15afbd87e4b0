//! facegate: a self-hosted face check service. Arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use facegate::commands::{self, Command, CommandError};

/// For the whole process, ONNX Runtime included: the C library's allocator keeps what the analyses of one thread freed
/// from those of another (docs/performance.md has the figures).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
