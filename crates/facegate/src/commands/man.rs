//! `facegate man`: the manual pages.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, ValueHint};

use super::{Arguments, CommandError, unwritable};

/// Arguments of `facegate man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The page of this command, such as `analyze`; without it, facegate's own.
    command: Option<String>,
    /// Write every page into this folder instead, such as /usr/local/share/man/man1.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath, conflicts_with = "command")]
    out: Option<PathBuf>,
}

/// Prints one page (for `man -l -`) or writes all.
pub fn run(args: &ManArgs) -> Result<(), CommandError> {
    // `facegate help COMMAND` prints what its page says.
    let without_help = |command: clap::Command| command.disable_help_subcommand(true);
    let mut top = without_help(Arguments::command()).mut_subcommands(without_help);
    // Gives the subcommands their full names.
    top.build();
    if let Some(folder) = &args.out {
        std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(top, folder))
            .map_err(|error| unwritable("--out", folder, &error))?;
        return Ok(());
    }
    let command = match &args.command {
        None => top,
        Some(name) => top.find_subcommand(name).cloned().ok_or_else(|| {
            let known = top.get_subcommands().map(clap::Command::get_name);
            let hint = crate::config::nearest(name, known).map(|name| format!("; did you mean {name}?"));
            CommandError::new(format!("there is no command {name}{}", hint.unwrap_or_default()))
        })?,
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    std::io::stdout().lock().write_all(&page)?;
    Ok(())
}
