//! Answers in columns for people, and the colours of the command.

use anstyle::{AnsiColor, Style};
use face_bulk::names::shown;
use face_bulk::row::Row;

pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default();
pub(super) const HEAD: Style = Style::new().bold();

pub(super) fn table_head(width: usize) -> String {
    format!(
        "{HEAD}{:width$}  {:<20}  {:>3}  {:<12}  {:>8}{HEAD:#}\n",
        "PICTURE", "OUTCOME", "AGE", "GENDER", "LIVENESS"
    )
}

pub(super) fn table_line(row: &Row, width: usize) -> String {
    let name = console::pad_str_with(&end_of(&shown(&row.picture), width), width, console::Alignment::Left, None, ' ')
        .into_owned();
    let (Some(age), Some(gender), Some(liveness)) = (row.age, row.gender, row.passive_liveness_score) else {
        let style = if row.outcome == "INTERNAL_ERROR" { BAD } else { DOUBTFUL };
        let code = row.error.as_ref().map_or("", |(code, _)| code.as_str());
        return format!("{name}  {style}{:<20}{style:#}  {code}\n", row.outcome);
    };
    let female = (f64::from(gender) / 10_000.0 + 1.0) / 2.0;
    let (gender, certainty) = if female >= 0.5 { ("female", female) } else { ("male", 1.0 - female) };
    let gender = format!("{gender} {:.0} %", certainty * 100.0);
    let live = if liveness >= 0.5 { GOOD } else { BAD };
    format!("{name}  {GOOD}{:<20}{GOOD:#}  {age:>3}  {gender:<12}  {live}{liveness:>8.2}{live:#}\n", row.outcome)
}

/// The end of a name that is too long, which tells more than its beginning.
fn end_of(name: &str, width: usize) -> String {
    let mut shown = name.to_owned();
    while console::measure_text_width(&shown) > width {
        shown = format!("…{}", shown.chars().skip(2).collect::<String>());
    }
    shown
}
