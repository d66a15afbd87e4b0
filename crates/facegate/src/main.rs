//! facegate: a self-hosted face check service. Arguments in, exit code out.

use std::io::Write as _;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::Parser as _;
use face_bulk::names::shown_text;
use facegate::commands::{self, Arguments, CommandError};

/// For the whole process, ONNX Runtime included: the C library's allocator keeps what the analyses of one thread freed
/// from those of another (docs/performance.md has the figures).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FAULT: Style = AnsiColor::Red.on_default().bold();

fn main() -> ExitCode {
    // Before anything else is read: a cell has nothing but what it is told.
    #[cfg(target_os = "linux")]
    {
        let mut words = std::env::args_os().skip(1);
        if words.next().is_some_and(|word| word == facegate::models::CELL) {
            return picture_cell::cell::run(words.filter_map(|word| word.into_string().ok()));
        }
    }
    match commands::run(&Arguments::parse().command) {
        Ok(()) | Err(CommandError::OutputClosed) => ExitCode::SUCCESS,
        Err(CommandError::Message(message)) => {
            // It may quote a file's name or a cell of a list.
            let message = shown_text(&message);
            // Where it cannot be written the exit code says it alone.
            let _ = writeln!(anstream::stderr(), "{FAULT}facegate:{FAULT:#} {message}");
            ExitCode::FAILURE
        }
    }
}
