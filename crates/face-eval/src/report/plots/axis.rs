//! From data to drawing: scales, round ticks, and axes of the normal deviate.

use super::super::html::Unit;
use crate::statistics::normal_deviate;

/// From data to drawing, along one direction.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    pub(super) data: (f64, f64),
    pub(super) drawing: (f64, f64),
}

impl Scale {
    pub(super) fn map(&self, value: f64) -> f64 {
        let span = self.data.1 - self.data.0;
        let share = if span == 0.0 { 0.5 } else { (value - self.data.0) / span };
        self.drawing.0 + share * (self.drawing.1 - self.drawing.0)
    }
}

/// Round numbers within a range, about `wanted` of them: steps of 1, 2 or 5 times a power of ten.
pub(super) fn round_ticks((low, high): (f64, f64), wanted: f64) -> Vec<f64> {
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

pub(super) fn tick_texts(unit: Unit, ticks: &[f64]) -> Vec<String> {
    let step = ticks.windows(2).map(|pair| pair[1] - pair[0]).next().unwrap_or(1.0);
    ticks.iter().map(|&tick| tick_text(unit, tick, step)).collect()
}

/// The next round number at or above a positive one: 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8 or 10 times a power of ten.
pub(super) fn ceiling(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|&round| round >= value * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

/// One axis of a curve plot.
pub(in crate::report) struct Axis<'a> {
    /// What is measured, with its unit.
    pub(in crate::report) name: &'a str,
    /// How numbers at the ticks are shown.
    pub(in crate::report) unit: Unit,
    /// First and last value.
    pub(in crate::report) range: (f64, f64),
    /// Whether distances are those of the normal deviate, as in a DET plot; the range is then within 0 and 1.
    pub(in crate::report) normal_deviate: bool,
}

impl Axis<'_> {
    /// Rates that DET plots usually mark.
    const RATES: [f64; 17] =
        [0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99];

    /// Position on the axis, before scaling. Rates outside of a deviate axis are moved to its lower end, or beyond its
    /// upper one, where they are cut off.
    pub(super) fn position(&self, value: f64) -> f64 {
        if !self.normal_deviate {
            return value;
        }
        let end = 0.5 * (1.0 + self.range.1);
        normal_deviate(value.clamp(self.range.0, end)).unwrap_or(0.0)
    }

    pub(super) fn scale(&self, drawing: (f64, f64)) -> Scale {
        Scale { data: (self.position(self.range.0), self.position(self.range.1)), drawing }
    }

    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
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
}
