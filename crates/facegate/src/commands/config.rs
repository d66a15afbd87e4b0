//! `facegate config`: every setting, its value and where the value comes from.

use std::io::Write as _;

use clap::Args;
use toml::Value;

use super::{CommandError, ConfigArgs};
use crate::config::{self, Origin};

/// Arguments of `facegate config`.
#[derive(Debug, Args)]
pub struct ConfigCommandArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Prints one line a setting.
pub fn run(args: &ConfigCommandArgs) -> Result<(), CommandError> {
    let loaded = args.config.load()?;
    let table = Value::try_from(&loaded.config)?;
    let mut out = std::io::stdout().lock();
    for name in config::names() {
        let origin = loaded.origins.get(&name).unwrap_or(&Origin::Default);
        let value = name.split('.').try_fold(&table, |value, part| value.get(part));
        let shown = match value {
            _ if name == "auth.password" && *origin != Origin::Default => "(hidden)".to_owned(),
            Some(value) => value.to_string(),
            None if name.starts_with("analysis.rules.") => "(as in the profile)".to_owned(),
            None => "(not set)".to_owned(),
        };
        writeln!(out, "{name} = {shown}    # {origin}; {}", config::variable(&name))?;
    }
    Ok(())
}
