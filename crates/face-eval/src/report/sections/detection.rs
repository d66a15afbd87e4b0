//! Face detection: precision and recall.

use crate::detection::Detection;

use super::super::html::{Table, Unit, count, estimate_cells, share_cells, side_by_side};
use super::super::plots::{Axis, PlotText, Series, curve_plot};
use super::left_out;

pub(super) fn section(figures: &Detection) -> String {
    let mut html = format!(
        "<p>{} labelled faces in {} pictures; a detection is right from an intersection over union of {}. The service reports \
         no detection below its own score threshold: the curve ends there, and the average precision is a lower bound of the \
         detector's own. {}</p>",
        count(figures.faces),
        count(figures.pictures),
        figures.iou_threshold,
        left_out(figures.pictures_without_detections, "no detection result"),
    );
    let mut table = Table::new("Figures of face detection", &["", "Value", "95 % CI", "Counts"]);
    if figures.average_precision.is_some() {
        let cells = estimate_cells(figures.average_precision, Unit::Percent);
        table.row("Average precision", cells.into_iter().chain(["–".to_owned()]));
    }
    for (name, share) in [
        ("Recall: faces found", figures.recall),
        ("Precision: detections that are faces", figures.precision),
        ("Pictures with faces, none found", figures.pictures_with_no_face_found),
        ("Faceless pictures, something found", figures.faceless_pictures_with_detection),
    ] {
        table.row(name, share_cells(share));
    }
    if figures.precision_recall_curve.is_empty() {
        html += &table.html();
        return html;
    }
    let spoken = match (figures.recall, figures.precision) {
        (Some(recall), Some(precision)) => format!(
            "Precision over recall. The curve ends at a recall of {} and a precision of {}.",
            Unit::Percent.text(recall.ratio),
            Unit::Percent.text(precision.ratio)
        ),
        _ => "Precision over recall.".to_owned(),
    };
    let plot = curve_plot(
        &PlotText {
            id: "precision-recall",
            title: "Precision and recall of face detection",
            description: spoken,
            caption: "By falling detection score, from left to right; before interpolation.",
        },
        &Axis { name: "Recall (%)", unit: Unit::Percent, range: (0.0, 1.0), normal_deviate: false },
        &Axis { name: "Precision (%)", unit: Unit::Percent, range: (0.0, 1.0), normal_deviate: false },
        false,
        &[Series {
            name: String::new(),
            points: figures.precision_recall_curve.iter().map(|point| (point.recall, point.precision)).collect(),
            mark: None,
            colour: 0,
        }],
    );
    html += &side_by_side(&plot, &table.html());
    html
}
