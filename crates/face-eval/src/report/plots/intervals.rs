//! Figures with their confidence intervals, one row each.

use super::super::html::Unit;
use super::axis::{Scale, ceiling, round_ticks, tick_texts};
use super::svg::{Anchor, COLOURS, PlotText, Svg, WIDTH};
use crate::statistics::Interval;

/// Room for names at the left of an interval plot.
const NAME_WIDTHS: (f64, f64) = (70.0, 220.0);

/// One row of an interval plot.
pub(in crate::report) struct IntervalRow {
    /// What it is.
    pub(in crate::report) name: String,
    /// The figure; a row without one stays empty.
    pub(in crate::report) value: Option<f64>,
    /// Its 95 % confidence interval.
    pub(in crate::report) ci95: Option<Interval>,
    /// Which colour.
    pub(in crate::report) colour: usize,
}

/// Which part of the axis an interval plot always shows.
#[derive(Clone, Copy)]
pub(in crate::report) enum Anchored {
    /// 0: error rates.
    AtZero,
    /// 1: shares of right answers.
    AtOne,
    /// 0 in the middle: signed errors.
    AroundZero,
}

/// Figures with their confidence intervals, one row each.
pub(in crate::report) fn interval_plot(
    mut text: PlotText<'_>,
    axis: &str,
    unit: Unit,
    anchored: Anchored,
    rows: &[IntervalRow],
) -> String {
    const ROW: f64 = 30.0;
    const TOP: f64 = 10.0;
    const RIGHT: f64 = 24.0;
    let longest = rows.iter().map(|row| text_width(&row.name)).fold(0.0, f64::max);
    let left = (longest + 18.0).clamp(NAME_WIDTHS.0, NAME_WIDTHS.1);
    let bottom = TOP + ROW * rows.len() as f64;
    let mut svg = Svg::new(bottom + 48.0);

    let ends = rows.iter().flat_map(|row| {
        row.value.into_iter().chain(row.ci95.iter().flat_map(|interval| [interval.lower, interval.upper]))
    });
    let (lowest, highest) =
        ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), end| (low.min(end), high.max(end)));
    let (lowest, highest) = if lowest <= highest { (lowest, highest) } else { (0.0, 1.0) };
    // Axes end at a tick beyond the data, or where the unit ends.
    let smallest = if unit == Unit::Percent { 0.01 } else { 1.0 };
    let data = match anchored {
        Anchored::AtZero => (0.0, ceiling((highest * 1.02).max(smallest))),
        Anchored::AtOne => (1.0 - ceiling((1.0 - lowest).clamp(smallest, 1.0)), 1.0),
        Anchored::AroundZero => {
            let end = ceiling(lowest.abs().max(highest.abs()).max(smallest));
            (-end, end)
        }
    };
    let data = if unit == Unit::Percent { (data.0.max(0.0), data.1.min(1.0)) } else { data };
    let x = Scale { data, drawing: (left, WIDTH - RIGHT) };

    let ticks = round_ticks(data, 5.0);
    for (&tick, label) in ticks.iter().zip(tick_texts(unit, &ticks)) {
        let reference = matches!(anchored, Anchored::AroundZero) && tick == 0.0;
        let class = if reference { "reference" } else { "grid" };
        svg.line(class, (x.map(tick), TOP), (x.map(tick), bottom));
        svg.text("tick", Anchor::Middle, (x.map(tick), bottom + 18.0), &label);
    }
    svg.text("", Anchor::Middle, (0.5 * (left + WIDTH - RIGHT), bottom + 40.0), axis);

    let mut spoken = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let y = TOP + ROW * (index as f64 + 0.5);
        let colour = row.colour % COLOURS;
        svg.text("", Anchor::End, (left - 10.0, y + 4.0), &shortened(&row.name, left - 14.0));
        if let Some(interval) = row.ci95 {
            let (from, to) = (x.map(interval.lower), x.map(interval.upper));
            let class = format!("whisker k{colour}");
            svg.line(&class, (from, y), (to, y));
            svg.line(&class, (from, y - 5.0), (from, y + 5.0));
            svg.line(&class, (to, y - 5.0), (to, y + 5.0));
        }
        match row.value {
            Some(value) => {
                svg.dot(&format!("f{colour}"), (x.map(value), y), 5.0);
                let interval =
                    row.ci95.map(|interval| format!(" (95 % confidence interval {})", unit.interval(interval)));
                spoken.push(format!("{}: {}{}", row.name, unit.text(value), interval.unwrap_or_default()));
            }
            None => {
                svg.text("tick", Anchor::Start, (left + 8.0, y + 4.0), "not measured");
                spoken.push(format!("{}: not measured", row.name));
            }
        }
    }
    text.description = format!("{}{}.", text.description, spoken.join("; "));
    svg.finish(&text, "")
}

/// Estimated width of a text, on the safe side for the usual sans-serif fonts at the plots' size.
fn text_width(text: &str) -> f64 {
    text.chars().map(|character| if character.is_uppercase() || character == '_' { 9.4 } else { 7.2 }).sum()
}

/// As much of the text as fits.
fn shortened(text: &str, room: f64) -> String {
    let mut short = text.to_owned();
    while text_width(&short) > room && short.chars().count() > 2 {
        short = short.chars().take(short.chars().count() - 2).chain(['…']).collect();
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_shortened() {
        assert_eq!(shortened("silicone mask", 65.0), "silicone…");
        assert_eq!(shortened("mask", 65.0), "mask");
    }
}
