//! Curves over two axes, with a legend.

use std::fmt::Write as _;

use super::super::html::escape;
use super::axis::Axis;
use super::svg::{Anchor, COLOURS, PlotText, Svg, WIDTH};

/// Number of dash patterns, a full line among them.
const DASHES: usize = 4;

/// One curve.
pub(in crate::report) struct Series {
    /// Its name in the legend.
    pub(in crate::report) name: String,
    /// Points in the order in which they are joined.
    pub(in crate::report) points: Vec<(f64, f64)>,
    /// A point to mark.
    pub(in crate::report) mark: Option<(f64, f64)>,
    /// Which colour and dash pattern.
    pub(in crate::report) colour: usize,
}

/// Curves over two axes.
pub(in crate::report) fn curve_plot(
    text: &PlotText<'_>,
    horizontal: &Axis<'_>,
    vertical: &Axis<'_>,
    diagonal: bool,
    series: &[Series],
) -> String {
    const LEFT: f64 = 66.0;
    const TOP: f64 = 12.0;
    let height = if horizontal.normal_deviate { WIDTH - LEFT - 24.0 } else { 300.0 };
    let (right, bottom) = (WIDTH - 24.0, TOP + height);
    let mut svg = Svg::new(bottom + 50.0);
    let (x, y) = (horizontal.scale((LEFT, right)), vertical.scale((bottom, TOP)));
    let place = |(h, v): (f64, f64)| (x.map(horizontal.position(h)), y.map(vertical.position(v)));

    for (tick, label) in horizontal.ticks() {
        let at = x.map(horizontal.position(tick));
        svg.line("grid", (at, TOP), (at, bottom));
        svg.text("tick", Anchor::Middle, (at, bottom + 18.0), &label);
    }
    for (tick, label) in vertical.ticks() {
        let at = y.map(vertical.position(tick));
        svg.line("grid", (LEFT, at), (right, at));
        svg.text("tick", Anchor::End, (LEFT - 8.0, at + 4.0), &label);
    }
    svg.rectangle("frame", (LEFT, TOP), (right - LEFT, height));
    svg.text("", Anchor::Middle, (0.5 * (LEFT + right), bottom + 41.0), horizontal.name);
    svg.text_upwards((18.0, 0.5 * (TOP + bottom)), vertical.name);
    if diagonal {
        svg.line("reference", (LEFT, bottom), (right, TOP));
    }
    svg.clipped((LEFT, TOP), (right - LEFT, height), |svg| {
        for series in series {
            svg.curve(&line_class(series.colour), series.points.iter().map(|&point| place(point)));
        }
    });
    let marks = series.iter().filter_map(|series| Some((series.colour % COLOURS, series.mark?)));
    for (colour, mark) in marks.filter(|&(_, (h, v))| h <= horizontal.range.1 && v <= vertical.range.1) {
        svg.dot(&format!("f{colour}"), place(mark), 4.5);
    }
    let legend = if series.len() > 1 { legend(series) } else { String::new() };
    svg.finish(text, &legend)
}

fn line_class(colour: usize) -> String {
    format!("curve k{} dash{}", colour % COLOURS, colour % DASHES)
}

fn legend(series: &[Series]) -> String {
    let mut html = String::from("<ul class=\"legend\">");
    for series in series {
        let _ = write!(
            html,
            "<li><svg viewBox=\"0 0 30 10\" aria-hidden=\"true\"><polyline class=\"{}\" points=\"0,5 30,5\"/></svg>{}</li>",
            line_class(series.colour),
            escape(&series.name)
        );
    }
    html.push_str("</ul>");
    html
}
