//! What became of the pictures of a run.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use face_bulk::names::shown;
use face_bulk::row::Row;

use super::super::{CommandError, plural};
use super::AnalyzeArgs;
use super::table::{BAD, DOUBTFUL, GOOD, HEAD};

/// What became of the pictures.
#[derive(Default)]
pub(super) struct Summary {
    outcomes: BTreeMap<&'static str, usize>,
    /// Of what could not be analysed.
    reasons: BTreeMap<String, usize>,
    /// Accepted faces with a liveness score below the operating threshold.
    not_live: usize,
    pub(super) faults: usize,
}

impl Summary {
    pub(super) fn count(&mut self, row: &Row) {
        *self.outcomes.entry(row.outcome).or_default() += 1;
        self.not_live += usize::from(row.passive_liveness_score.is_some_and(|score| score < 0.5));
        if let (Some((code, _)), "INTERNAL_ERROR") = (&row.error, row.outcome) {
            *self.reasons.entry(code.clone()).or_default() += 1;
        }
    }

    pub(super) fn fault(&mut self, message: &str) {
        self.faults += 1;
        // That nobody reads it any more is no reason to end.
        let _ = writeln!(anstream::stderr(), "{BAD}facegate:{BAD:#} {}", shown(message));
    }

    pub(super) fn print(
        &self,
        args: &AnalyzeArgs,
        time: Duration,
        earlier: usize,
        left_aside: usize,
        sheets: &[PathBuf],
    ) -> Result<(), CommandError> {
        let mut err = anstream::stderr().lock();
        let done: usize = self.outcomes.values().sum();
        // Keeps the summary apart from answers on the same terminal.
        if args.out.is_none() && std::io::stdout().is_terminal() {
            writeln!(err)?;
        }
        let rate = done as f64 / time.as_secs_f64();
        writeln!(err, "{HEAD}{} in {}, {rate:.1} a second{HEAD:#}", plural(done, "picture"), short(time))?;
        let mut outcomes: Vec<_> = self.outcomes.iter().collect();
        outcomes.sort_by_key(|(outcome, count)| (**outcome != "OK", std::cmp::Reverse(**count)));
        for (outcome, count) in outcomes {
            let (style, note) = match *outcome {
                "OK" => (GOOD, format!("{} of them with a liveness score below 0.5", self.not_live)),
                "INTERNAL_ERROR" => {
                    let reasons: Vec<_> = self.reasons.iter().map(|(code, count)| format!("{code} {count}")).collect();
                    (BAD, reasons.join(", "))
                }
                _ => (DOUBTFUL, String::new()),
            };
            writeln!(err, "{}", format!("{count:>8}  {style}{outcome:<20}{style:#}  {note}").trim_end())?;
        }
        if self.faults > 0 {
            writeln!(err, "{:>8}  {BAD}{:<20}{BAD:#}  named above", self.faults, "not analysed")?;
        }
        if earlier > 0 {
            writeln!(err, "{earlier:>8}  in the file already")?;
        }
        if left_aside > 0 {
            writeln!(err, "{left_aside:>8}  not named like pictures, left aside")?;
        }
        let written = [(args.out.as_ref(), "answers"), (args.annotate.as_ref(), "annotated pictures")];
        for (path, what) in written.into_iter().filter_map(|(path, what)| Some((path?, what))) {
            writeln!(err, "{what}: {}", path.display())?;
        }
        if let [first, more @ ..] = sheets {
            let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
            writeln!(err, "contact sheet: {}{more}", first.display())?;
        }
        Ok(())
    }
}

/// A time to the second, or to the tenth when it is short.
fn short(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        return format!("{:.1} s", time.as_secs_f64());
    }
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}
