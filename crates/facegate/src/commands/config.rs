//! `facegate config`: every setting, its value and where the value comes from, as TOML.

use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use clap::Args;

use super::{CommandError, ServiceArgs};
use crate::config::{self, ConfigError, Effective, Origin, display, reference};

/// Arguments of `facegate config`.
#[derive(Debug, Args)]
pub struct ConfigCommandArgs {
    /// Settings or groups of settings, such as `server.queue` or `analysis.rules`; without any, all.
    names: Vec<String>,
    /// Only what file, environment and flags set.
    #[arg(long)]
    changed: bool,
    /// Only the values, without where they come from.
    #[arg(long)]
    bare: bool,
    /// Print the reference of all settings (Markdown) instead.
    #[arg(long, conflicts_with_all = ["names", "changed", "bare"])]
    reference: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

/// Prints what can be read again with `--config`, but for the password.
pub fn run(args: &ConfigCommandArgs) -> Result<(), CommandError> {
    let mut out = anstream::stdout().lock();
    if args.reference {
        out.write_all(reference::page()?.as_bytes())?;
        return Ok(());
    }
    let loaded = args.service.load()?;
    if let Some(unknown) = args.names.iter().find(|wanted| !config::names().iter().any(|name| belongs(name, wanted))) {
        return Err(ConfigError::unknown(Origin::Flag, unknown).into());
    }
    let mut section = "";
    let settings = loaded.effective()?;
    for setting in settings.iter().filter(|setting| shown(setting, args)) {
        let (table, key) = split(&setting.name);
        if table != section {
            let gap = if section.is_empty() { "" } else { "\n" };
            writeln!(out, "{gap}{HEADING}[{table}]{HEADING:#}")?;
            section = table;
        }
        let line = match &setting.value {
            Some(_) if setting.name == config::SECRET => format!("# {key} is set, and hidden here"),
            Some(value) => format!("{key} = {}", display(value)),
            None if args.bare => continue,
            None => format!("# {key} is not set"),
        };
        let style = if is_own(&setting.origin) { OWN } else { Style::new() };
        match &setting.origin {
            _ if args.bare => writeln!(out, "{line}")?,
            Origin::Default if setting.value.is_none() => writeln!(out, "{DIM}{line}{DIM:#}")?,
            origin => writeln!(out, "{style}{line:<44}{style:#} {DIM}# {origin}{DIM:#}")?,
        }
    }
    Ok(())
}

const HEADING: Style = Style::new().bold();
const OWN: Style = AnsiColor::Green.on_default();
const DIM: Style = Style::new().dimmed();

/// Whether somebody has chosen the value.
fn is_own(origin: &Origin) -> bool {
    !matches!(origin, Origin::Default | Origin::Profile(_))
}

fn shown(setting: &Effective, args: &ConfigCommandArgs) -> bool {
    let named = args.names.is_empty() || args.names.iter().any(|wanted| belongs(&setting.name, wanted));
    named && (!args.changed || is_own(&setting.origin))
}

/// Whether a setting is the wanted one or stands in the wanted group.
fn belongs(name: &str, wanted: &str) -> bool {
    name.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The table and the key of a setting; a rule's limit and action are keys of one table.
fn split(name: &str) -> (&str, &str) {
    const RULES: &str = "analysis.rules";
    match name.strip_prefix(RULES).and_then(|rest| rest.strip_prefix('.')) {
        Some(key) => (RULES, key),
        None => name.rsplit_once('.').unwrap_or(("", name)),
    }
}
