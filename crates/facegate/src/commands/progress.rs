//! How far a long run is, for who watches it.

use std::io::{IsTerminal as _, Write as _, stderr};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::CommandError;

/// On a terminal a bar with the rate and the time that is left; elsewhere nothing.
pub fn bar(length: u64) -> Result<ProgressBar, CommandError> {
    if !stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // Fails only when the terminal's line cannot be written, which nobody would see.
        let _ = write!(out, "{:.1}/s", state.per_sec());
    };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len}  {rate}  {eta} left")?.with_key("rate", rate);
    Ok(ProgressBar::new(length).with_style(style))
}

/// A line for who watches. That nobody does any more (`2>&1 | head`) is no reason to end.
pub fn say(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}
