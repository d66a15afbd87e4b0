//! The plots, as SVG with a title and a text alternative. Colours and fonts come from the page's style sheet, so that
//! the plots follow its light and dark schemes.

mod axis;
mod curves;
mod histograms;
mod intervals;
mod svg;

pub(super) use self::axis::Axis;
pub(super) use self::curves::{Series, curve_plot};
pub(super) use self::histograms::{HistogramRow, histogram_plot};
pub(super) use self::intervals::{Anchored, IntervalRow, interval_plot};
pub(super) use self::svg::PlotText;
