//! Gender: accuracy and confusion.

use crate::gender::{Decisions, GenderFigures};
use crate::statistics::Proportion;

use super::super::html::{Table, Unit, share_cells, side_by_side};
use super::super::plots::{Anchored, PlotText, interval_plot};
use super::{confusion, decade_name, left_out, share_row};

pub(super) fn section(figures: &GenderFigures) -> String {
    let brier = figures.brier_score;
    let mut html = format!(
        "<p>The sign of the service's number decides; an undecided 0 counts as wrong. {} Brier score of the \
         probability: {} (95 % CI {}), where 0 is best and 0.25 is what a constant one half gives.</p><h3>Accuracy</h3>",
        left_out(figures.pictures_without_estimate, "no estimate"),
        Unit::Plain.number(brier.value),
        Unit::Plain.optional_interval(brier.ci95),
    );
    let groups: Vec<(String, Option<Proportion>, usize)> = [
        ("all".to_owned(), Some(figures.accuracy), 0),
        ("labelled female".to_owned(), figures.labelled_female.accuracy, 1),
        ("labelled male".to_owned(), figures.labelled_male.accuracy, 1),
    ]
    .into_iter()
    .chain(figures.by_decade.iter().map(|group| (decade_name(group.from_years), Some(group.accuracy), 2)))
    .collect();
    let mut table =
        Table::new("Share of right decisions, by labelled gender and age", &["", "Accuracy", "95 % CI", "Right"]);
    let mut rows = Vec::new();
    for (name, share, colour) in &groups {
        table.row(name, share_cells(*share));
        rows.push(share_row(name, *share, *colour));
    }
    let plot = interval_plot(
        PlotText {
            id: "gender-accuracy",
            title: "Accuracy of gender with 95 % confidence intervals",
            description: String::new(),
            caption: "Dot: accuracy of the group. Line: Wilson 95 % confidence interval.",
        },
        "Accuracy (%)",
        Unit::Percent,
        Anchored::AtOne,
        &rows,
    );
    html += &side_by_side(&plot, &table.html());
    html += "<h3>Confusion</h3>";
    let row = |decisions: Decisions| vec![decisions.female, decisions.male, decisions.undecided];
    html += &confusion(
        "Labelled gender (rows) and decision (columns), in pictures",
        &["female", "male"],
        &["female", "male", "undecided"],
        &[row(figures.labelled_female), row(figures.labelled_male)],
    );
    html
}
