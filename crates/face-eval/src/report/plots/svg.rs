//! One drawing: lines, dots and words as SVG.

use std::fmt::Write as _;

use super::super::html::escape;

/// Width of every plot in SVG units; the page scales it to the column.
pub(super) const WIDTH: f64 = 560.0;

/// Number of colours in the style sheet.
pub(super) const COLOURS: usize = 6;

/// One drawing.
pub(super) struct Svg {
    height: f64,
    body: String,
}

#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub(super) fn new(height: f64) -> Self {
        Self { height, body: String::new() }
    }

    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let _ = write!(
            self.body,
            "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    pub(super) fn rectangle(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        let _ = write!(
            self.body,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        );
    }

    pub(super) fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        let _ = write!(self.body, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"/>");
    }

    pub(super) fn curve(&mut self, class: &str, points: impl Iterator<Item = (f64, f64)>) {
        let points: Vec<String> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(self.body, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
    }

    pub(super) fn text(&mut self, class: &str, anchor: Anchor, (x, y): (f64, f64), text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let _ = write!(
            self.body,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
            escape(text)
        );
    }

    pub(super) fn text_upwards(&mut self, (x, y): (f64, f64), text: &str) {
        let _ = write!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 {x:.1} {y:.1})\">{}</text>",
            escape(text)
        );
    }

    /// Draws within a rectangle and cuts off what leaves it, in the coordinates of the whole.
    pub(super) fn clipped(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), draw: impl FnOnce(&mut Self)) {
        // Room for half a line's width at the frame.
        let (x, y, width, height) = (x - 1.0, y - 1.0, width + 2.0, height + 2.0);
        let _ = write!(
            self.body,
            "<svg x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             viewBox=\"{x:.1} {y:.1} {width:.1} {height:.1}\" overflow=\"hidden\">"
        );
        draw(self);
        self.body.push_str("</svg>");
    }

    pub(super) fn finish(self, text: &PlotText<'_>, legend: &str) -> String {
        let PlotText { id, title, description, caption } = text;
        format!(
            "<figure><svg viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" aria-labelledby=\"{id}-title {id}-text\">\
             <title id=\"{id}-title\">{}</title><desc id=\"{id}-text\">{}</desc>{}</svg>{legend}\
             <figcaption>{}</figcaption></figure>",
            self.height,
            escape(title),
            escape(description),
            self.body,
            escape(caption),
        )
    }
}

/// The words that go with a plot.
pub(in crate::report) struct PlotText<'a> {
    /// Unique on the page; a plain word.
    pub(in crate::report) id: &'a str,
    /// A few words.
    pub(in crate::report) title: &'a str,
    /// What a reader sees in the plot, in words.
    pub(in crate::report) description: String,
    /// What stands beneath it.
    pub(in crate::report) caption: &'a str,
}
