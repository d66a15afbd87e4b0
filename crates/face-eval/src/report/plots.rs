//! The plots, as SVG with a title and a text alternative. Colours and fonts come from the page's style sheet, so that
//! the plots follow its light and dark schemes.

use std::fmt::Write;

use crate::statistics::{Interval, normal_deviate};

use super::html::{Unit, escape};

/// Width of every plot in SVG units; the page scales it to the column.
const WIDTH: f64 = 560.0;

/// Room for names at the left of an interval plot.
const NAME_WIDTHS: (f64, f64) = (70.0, 220.0);

/// Number of colours in the style sheet.
const COLOURS: usize = 6;

/// Number of dash patterns, a full line among them.
const DASHES: usize = 4;

/// One drawing.
struct Svg {
    height: f64,
    body: String,
}

#[derive(Clone, Copy)]
enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    fn new(height: f64) -> Self {
        Self { height, body: String::new() }
    }

    fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let _ = write!(
            self.body,
            "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    fn rectangle(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        let _ = write!(
            self.body,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        );
    }

    fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        let _ = write!(self.body, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"/>");
    }

    fn curve(&mut self, class: &str, points: impl Iterator<Item = (f64, f64)>) {
        let points: Vec<String> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(self.body, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
    }

    fn text(&mut self, class: &str, anchor: Anchor, (x, y): (f64, f64), text: &str) {
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

    fn text_upwards(&mut self, (x, y): (f64, f64), text: &str) {
        let _ = write!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 {x:.1} {y:.1})\">{}</text>",
            escape(text)
        );
    }

    /// Draws within a rectangle and cuts off what leaves it, in the coordinates of the whole.
    fn clipped(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), draw: impl FnOnce(&mut Self)) {
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

    fn finish(self, text: &PlotText<'_>, legend: &str) -> String {
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
pub(super) struct PlotText<'a> {
    /// Unique on the page; a plain word.
    pub(super) id: &'a str,
    /// A few words.
    pub(super) title: &'a str,
    /// What a reader sees in the plot, in words.
    pub(super) description: String,
    /// What stands beneath it.
    pub(super) caption: &'a str,
}

/// From data to drawing, along one direction.
#[derive(Clone, Copy)]
struct Scale {
    data: (f64, f64),
    drawing: (f64, f64),
}

impl Scale {
    fn map(&self, value: f64) -> f64 {
        let span = self.data.1 - self.data.0;
        let share = if span == 0.0 { 0.5 } else { (value - self.data.0) / span };
        self.drawing.0 + share * (self.drawing.1 - self.drawing.0)
    }
}

/// Round numbers within a range, about `wanted` of them: steps of 1, 2 or 5 times a power of ten.
fn round_ticks((low, high): (f64, f64), wanted: f64) -> Vec<f64> {
    if high <= low {
        return vec![low];
    }
    let rough = (high - low) / wanted;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|&step| step >= rough);
    let step = step.unwrap_or(10.0 * power);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|multiple| multiple as f64 * step).collect()
}

/// A tick's number, with as many decimals as its step asks for.
fn tick_text(unit: Unit, value: f64, step: f64) -> String {
    let (value, step) = if unit == Unit::Percent { (100.0 * value, 100.0 * step) } else { (value, step) };
    let decimals = (-(step.max(1e-6)).log10()).ceil().max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    text.strip_prefix('-').map_or(text.clone(), |digits| format!("\u{2212}{digits}"))
}

fn tick_texts(unit: Unit, ticks: &[f64]) -> Vec<String> {
    let step = ticks.windows(2).map(|pair| pair[1] - pair[0]).next().unwrap_or(1.0);
    ticks.iter().map(|&tick| tick_text(unit, tick, step)).collect()
}

/// One row of an interval plot.
pub(super) struct IntervalRow {
    /// What it is.
    pub(super) name: String,
    /// The figure; a row without one stays empty.
    pub(super) value: Option<f64>,
    /// Its 95 % confidence interval.
    pub(super) ci95: Option<Interval>,
    /// Which colour.
    pub(super) colour: usize,
}

/// Which part of the axis an interval plot always shows.
#[derive(Clone, Copy)]
pub(super) enum Anchored {
    /// 0: error rates.
    AtZero,
    /// 1: shares of right answers.
    AtOne,
    /// 0 in the middle: signed errors.
    AroundZero,
}

/// Figures with their confidence intervals, one row each.
pub(super) fn interval_plot(
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

/// The next round number at or above a positive one: 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8 or 10 times a power of ten.
fn ceiling(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|&round| round >= value * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
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

/// One axis of a curve plot.
pub(super) struct Axis<'a> {
    /// What is measured, with its unit.
    pub(super) name: &'a str,
    /// How numbers at the ticks are shown.
    pub(super) unit: Unit,
    /// First and last value.
    pub(super) range: (f64, f64),
    /// Whether distances are those of the normal deviate, as in a DET plot; the range is then within 0 and 1.
    pub(super) normal_deviate: bool,
}

impl Axis<'_> {
    /// Rates that DET plots usually mark.
    const RATES: [f64; 17] =
        [0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99];

    /// Position on the axis, before scaling. Rates outside of a deviate axis are moved to its lower end, or beyond its
    /// upper one, where they are cut off.
    fn position(&self, value: f64) -> f64 {
        if !self.normal_deviate {
            return value;
        }
        let end = 0.5 * (1.0 + self.range.1);
        normal_deviate(value.clamp(self.range.0, end)).unwrap_or(0.0)
    }

    fn scale(&self, drawing: (f64, f64)) -> Scale {
        Scale { data: (self.position(self.range.0), self.position(self.range.1)), drawing }
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        if !self.normal_deviate {
            let ticks = round_ticks(self.range, 5.0);
            let texts = tick_texts(self.unit, &ticks);
            return ticks.into_iter().zip(texts).collect();
        }
        let within = |rate: &f64| (self.range.0..=self.range.1).contains(rate);
        // Whole hundredths of a percent, so that 0.05 is shown as 5 and not as 5.000000000000001.
        let percent = |rate: f64| ((1e4 * rate).round() / 100.0).to_string();
        Self::RATES.into_iter().filter(within).map(|rate| (rate, percent(rate))).collect()
    }
}

/// One curve.
pub(super) struct Series {
    /// Its name in the legend.
    pub(super) name: String,
    /// Points in the order in which they are joined.
    pub(super) points: Vec<(f64, f64)>,
    /// A point to mark.
    pub(super) mark: Option<(f64, f64)>,
    /// Which colour and dash pattern.
    pub(super) colour: usize,
}

/// Curves over two axes.
pub(super) fn curve_plot(
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

/// One row of a histogram plot.
pub(super) struct HistogramRow {
    /// What is counted.
    pub(super) name: String,
    /// Counts per bin.
    pub(super) counts: Vec<u64>,
    /// Which colour.
    pub(super) colour: usize,
}

/// Histograms of scores from 0 to 1, one above the other, each scaled to its own highest bin.
pub(super) fn histogram_plot(text: &PlotText<'_>, axis: &str, threshold: f64, rows: &[HistogramRow]) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_range() {
        let ticks = round_ticks((0.0, 1.0), 5.0);
        assert_eq!(tick_texts(Unit::Plain, &ticks), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        let ticks = round_ticks((-3.0, 3.0), 5.0);
        assert_eq!(tick_texts(Unit::Years, &ticks), ["\u{2212}2", "0", "2"]);
        assert_eq!(tick_texts(Unit::Percent, &round_ticks((0.0, 0.03), 5.0)), ["0", "1", "2", "3"]);
    }

    #[test]
    fn axes_end_at_the_next_round_number() {
        assert_eq!(ceiling(0.07), 0.08);
        assert_eq!(ceiling(8.1), 10.0);
        assert_eq!(ceiling(2.0), 2.0);
    }

    #[test]
    fn a_deviate_axis_is_symmetric_about_one_half() {
        let axis = Axis { name: "", unit: Unit::Percent, range: (0.01, 0.99), normal_deviate: true };
        let scale = axis.scale((0.0, 100.0));
        assert!((scale.map(axis.position(0.5)) - 50.0).abs() < 1e-9);
        assert!((scale.map(axis.position(0.1)) + scale.map(axis.position(0.9)) - 100.0).abs() < 1e-9);
        assert_eq!(scale.map(axis.position(0.0)), 0.0, "a rate of 0 is drawn at the lower end");
        assert!(scale.map(axis.position(1.0)) > 100.0, "a rate of 1 is cut off");
    }

    #[test]
    fn long_names_are_shortened() {
        assert_eq!(shortened("silicone mask", 65.0), "silicone…");
        assert_eq!(shortened("mask", 65.0), "mask");
    }
}
