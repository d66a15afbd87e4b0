//! `facegate completions SHELL`: what the shell needs to complete commands, flags and their values.

use std::io::Write as _;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Arguments, CommandError};

/// Arguments of `facegate completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &CompletionsArgs) -> Result<(), CommandError> {
    // The generator panics when its output is closed; a buffer is not.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "facegate", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(())
}
