//! Head pose: error per axis.

use crate::pose::{AxisErrors, PoseFigures};
use crate::statistics::Estimate;

use super::super::html::{Table, Unit, count, share_cells, stacked};
use super::super::plots::{Anchored, PlotText, interval_plot};
use super::{estimate_row, left_out};

pub(super) fn section(figures: &PoseFigures) -> String {
    let mut html = format!(
        "<p>Errors in degrees, estimate minus label, the short way round. {}</p>",
        left_out(figures.pictures_without_estimate, "no estimate")
    );
    let axes: Vec<(&str, AxisErrors)> = [("yaw", figures.yaw), ("pitch", figures.pitch), ("roll", figures.roll)]
        .into_iter()
        .filter_map(|(name, axis)| Some((name, axis?)))
        .collect();
    let mut table = Table::new(
        "Errors per axis, in degrees",
        &["", "Pictures", "MAE", "95 % CI", "Bias", "95 % CI", "Within 5°", "95 % CI"],
    );
    let mut rows = Vec::new();
    for (colour, (name, axis)) in axes.iter().enumerate() {
        let number =
            |figure: Estimate| [Unit::Degrees.number(figure.value), Unit::Degrees.optional_interval(figure.ci95)];
        let [within, interval, _] = share_cells(Some(axis.share_within_5_degrees));
        let cells = [count(axis.pictures)]
            .into_iter()
            .chain(number(axis.mean_absolute_error_degrees))
            .chain(number(axis.bias_degrees))
            .chain([within, interval]);
        table.row(*name, cells);
        rows.push(estimate_row(name, Some(axis.mean_absolute_error_degrees), colour));
    }
    let plot = interval_plot(
        PlotText {
            id: "pose-error",
            title: "Mean absolute error of the head's rotation",
            description: String::new(),
            caption: "Dot: mean absolute error. Line: bootstrap 95 % confidence interval.",
        },
        "Mean absolute error (degrees)",
        Unit::Degrees,
        Anchored::AtZero,
        &rows,
    );
    html += &stacked(&plot, &table.html());
    html
}
