//! Text, numbers and tables of the page.

use std::fmt::Write;

use crate::basis::answered_threshold;
use crate::statistics::{Estimate, Interval, Proportion};

/// No-break space between a number and its unit.
const NBSP: char = '\u{a0}';

/// Text with the characters escaped that mean something in HTML and SVG, in content and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Not allowed in HTML at all, and a file name may hold them.
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The unit that a number is shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// A ratio, shown as percentage.
    Percent,
    /// Years.
    Years,
    /// Degrees.
    Degrees,
    /// A liveness score to compare others with, in the service's decimals.
    Threshold,
    /// A plain number, with three decimals.
    Plain,
}

impl Unit {
    /// The number without its unit.
    pub(super) fn number(self, value: f64) -> String {
        let text = match self {
            Self::Percent => {
                let percent = 100.0 * value;
                // Two decimals within 1 % of both ends: 99.96 % must not read as 100.0 %.
                let near_an_end = (percent > 0.0 && percent < 1.0) || (percent > 99.0 && percent < 100.0);
                let decimals = usize::from(near_an_end) + 1;
                format!("{percent:.decimals$}")
            }
            Self::Years | Self::Degrees => format!("{value:.2}"),
            Self::Threshold => format!("{:.4}", answered_threshold(value)),
            Self::Plain => format!("{value:.3}"),
        };
        // A true minus sign, and none before a zero.
        match text.strip_prefix('-') {
            Some(digits) if digits.chars().all(|digit| matches!(digit, '0' | '.')) => digits.to_owned(),
            Some(digits) => format!("\u{2212}{digits}"),
            None => text,
        }
    }

    /// The number with its unit.
    pub(super) fn text(self, value: f64) -> String {
        let number = self.number(value);
        match self {
            Self::Percent => format!("{number}{NBSP}%"),
            Self::Years => format!("{number}{NBSP}years"),
            Self::Degrees => format!("{number}°"),
            Self::Threshold | Self::Plain => number,
        }
    }

    /// Both ends of an interval, without unit.
    pub(super) fn interval(self, interval: Interval) -> String {
        format!("{} to {}", self.number(interval.lower), self.number(interval.upper))
    }

    /// Both ends, or why there are none.
    pub(super) fn optional_interval(self, interval: Option<Interval>) -> String {
        interval.map_or_else(|| "none".to_owned(), |interval| self.interval(interval))
    }
}

/// A whole number with thin spaces between thousands.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Rate, interval and counts of a share: three cells.
pub(super) fn share_cells(share: Option<Proportion>) -> [String; 3] {
    match share {
        None => ["not measured".to_owned(), String::new(), String::new()],
        Some(share) => [
            Unit::Percent.text(share.ratio),
            Unit::Percent.interval(share.ci95),
            format!("{} of {}", count(share.count), count(share.total)),
        ],
    }
}

/// Value and interval of an estimate: two cells.
pub(super) fn estimate_cells(estimate: Option<Estimate>, unit: Unit) -> [String; 2] {
    match estimate {
        None => ["not measured".to_owned(), String::new()],
        Some(estimate) => [unit.text(estimate.value), unit.optional_interval(estimate.ci95)],
    }
}

/// A table whose first cells are row headings. Every cell is plain text.
pub(super) struct Table {
    class: &'static str,
    caption: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(caption: impl Into<String>, head: &[&str]) -> Self {
        let head = head.iter().map(|&cell| cell.to_owned()).collect();
        Self { class: "", caption: caption.into(), head, rows: Vec::new() }
    }

    pub(super) fn class(self, class: &'static str) -> Self {
        Self { class, ..self }
    }

    pub(super) fn row(&mut self, heading: impl Into<String>, cells: impl IntoIterator<Item = String>) {
        self.rows.push([heading.into()].into_iter().chain(cells).collect());
    }

    pub(super) fn html(&self) -> String {
        let mut html = String::new();
        let caption = escape(&self.caption);
        // A region that scrolls sideways must be reachable by keyboard, and have a name.
        let _ = write!(
            html,
            "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{caption}\"><table class=\"{}\">\
             <caption>{caption}</caption><thead><tr>",
            self.class
        );
        for cell in &self.head {
            let _ = write!(html, "<th scope=\"col\">{}</th>", escape(cell));
        }
        html.push_str("</tr></thead><tbody>");
        for row in &self.rows {
            html.push_str("<tr>");
            for (index, cell) in row.iter().enumerate() {
                let cell = escape(cell);
                let _ = match index {
                    0 => write!(html, "<th scope=\"row\">{cell}</th>"),
                    _ => write!(html, "<td>{cell}</td>"),
                };
            }
            html.push_str("</tr>");
        }
        html.push_str("</tbody></table></div>\n");
        html
    }
}

/// A plot and the table with its numbers, side by side where there is room.
pub(super) fn side_by_side(left: &str, right: &str) -> String {
    format!("<div class=\"pair\">{left}<div>{right}</div></div>\n")
}

/// A plot and a table too wide to stand beside it.
pub(super) fn stacked(above: &str, below: &str) -> String {
    format!("<div class=\"stack\">{above}{below}</div>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_names_stays_text() {
        assert_eq!(escape("<b a=\"1\">&'\u{7}"), "&lt;b a=&quot;1&quot;&gt;&amp;&#39;\u{fffd}");
    }

    #[test]
    fn numbers_are_shown_in_their_unit() {
        assert_eq!(Unit::Percent.text(0.123_4), "12.3\u{a0}%");
        assert_eq!(Unit::Percent.number(0.001_23), "0.12");
        assert_eq!(Unit::Percent.number(0.999_6), "99.96");
        assert_eq!(Unit::Percent.number(0.0), "0.0");
        assert_eq!(Unit::Years.number(-0.5), "\u{2212}0.50");
        assert_eq!(Unit::Degrees.number(-0.001), "0.00");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
    }
}
