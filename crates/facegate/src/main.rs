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

/// How long freed memory stays with the process, in milliseconds: an analysis finds what the one before left, also where it waits
/// for a processor (docs/performance.md). What all of them leave a service gives back when there have been none for a while.
const KEPT_MS: u16 = 30;

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
    heap::keep_free_memory(KEPT_MS);
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
