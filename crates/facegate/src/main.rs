//! facegate: a self-hosted face check service. Arguments in, exit code out.

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::Parser as _;
use facegate::commands::{self, Arguments, CommandError};

/// For the whole process, ONNX Runtime included: the C library's allocator keeps what the analyses of one thread freed
/// from those of another (docs/performance.md has the figures).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FAULT: Style = AnsiColor::Red.on_default().bold();

fn main() -> ExitCode {
    match commands::run(&Arguments::parse().command) {
        Ok(()) | Err(CommandError::OutputClosed) => ExitCode::SUCCESS,
        Err(CommandError::Message(message)) => {
            anstream::eprintln!("{FAULT}facegate:{FAULT:#} {message}");
            ExitCode::FAILURE
        }
    }
}
