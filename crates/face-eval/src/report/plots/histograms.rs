//! Histograms of scores, one above the other.

use super::super::html::Unit;
use super::axis::{Scale, round_ticks, tick_texts};
use super::svg::{Anchor, COLOURS, PlotText, Svg, WIDTH};

/// One row of a histogram plot.
pub(in crate::report) struct HistogramRow {
    /// What is counted.
    pub(in crate::report) name: String,
    /// Counts per bin.
    pub(in crate::report) counts: Vec<u64>,
    /// Which colour.
    pub(in crate::report) colour: usize,
}

/// Histograms of scores from 0 to 1, one above the other, each scaled to its own highest bin.
pub(in crate::report) fn histogram_plot(
    text: &PlotText<'_>,
    axis: &str,
    threshold: f64,
    rows: &[HistogramRow],
) -> String {
    const BARS: f64 = 62.0;
    const ROW: f64 = BARS + 30.0;
    const LEFT: f64 = 14.0;
    let bottom = ROW * rows.len() as f64 + 4.0;
    let mut svg = Svg::new(bottom + 48.0);
    let x = Scale { data: (0.0, 1.0), drawing: (LEFT, WIDTH - 14.0) };
    let ticks = round_ticks((0.0, 1.0), 5.0);
    for (&tick, label) in ticks.iter().zip(tick_texts(Unit::Plain, &ticks)) {
        svg.text("tick", Anchor::Middle, (x.map(tick), bottom + 18.0), &label);
    }
    for (index, row) in rows.iter().enumerate() {
        let base = ROW * (index + 1) as f64;
        let highest = row.counts.iter().copied().max().unwrap_or(0).max(1);
        let width = 1.0 / row.counts.len() as f64;
        svg.text("", Anchor::Start, (LEFT, base - BARS - 10.0), &row.name);
        svg.line("grid", (LEFT, base), (WIDTH - 14.0, base));
        for (bin, &count) in row.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            // A bin with a single picture must be seen beside one with thousands.
            let height = (BARS * count as f64 / highest as f64).max(1.5);
            let (from, to) = (x.map(bin as f64 * width), x.map((bin + 1) as f64 * width));
            svg.rectangle(
                &format!("f{}", row.colour % COLOURS),
                (from + 0.75, base - height),
                (to - from - 1.5, height),
            );
        }
    }
    svg.line("reference", (x.map(threshold), 24.0), (x.map(threshold), bottom));
    svg.text("", Anchor::Middle, (0.5 * WIDTH, bottom + 41.0), axis);
    svg.finish(text, "")
}
