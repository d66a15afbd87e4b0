//! The report of an adaptation: error rates before and after, what operating points cost, what more pictures would bring.

use std::fmt::Write;

use serde::Serialize;

use super::html::{Table, Unit, count, escape, share_cells, side_by_side, stacked};
use super::plots::{Anchored, Axis, IntervalRow, PlotText, Series, curve_plot, interval_plot};
use super::{Meta, page};
use crate::adaptation::Adaptation;
use crate::statistics::{Estimate, Proportion};

#[derive(Serialize)]
struct Figures<'a> {
    meta: &'a Meta,
    #[serde(flatten)]
    adaptation: &'a Adaptation,
}

impl Adaptation {
    /// The figures as JSON, indented. Rates and shares are ratios from 0 to 1. No features and no weights.
    pub fn to_json(&self, meta: &Meta) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(&Figures { meta, adaptation: self })
    }

    /// The report as one HTML page like that of an evaluation.
    pub fn to_html(&self, meta: &Meta) -> String {
        let title = if meta.title.is_empty() { "Adaptation of the liveness check" } else { &meta.title };
        let sections = [
            ("warnings", "What to mind", warnings(self)),
            ("errors", "Errors before and after", errors(self)),
            ("operating-points", "Other operating points", operating_points(self)),
            ("learning-curve", "More pictures", learning_curve(self)),
            ("method", "Method", method(self, meta)),
        ];
        page(title, &summary(self, meta), &sections, &meta.program)
    }
}

fn summary(adaptation: &Adaptation, meta: &Meta) -> String {
    let verdict = match (adaptation.better, adaptation.harmed.join(", ")) {
        (true, _) => "Out of fold the head is better than the score without one.".to_owned(),
        (false, harmed) if harmed.is_empty() => {
            "Out of fold the head is not better than the score without one, beyond chance: none was written.".to_owned()
        }
        (false, harmed) => format!(
            "Out of fold the head lets more attacks of the kind {} pass than the score without one, beyond chance: none was written.",
            escape(&harmed)
        ),
    };
    let fall = Unit::Percent.number(adaptation.reduction.value);
    let interval = Unit::Percent.optional_interval(adaptation.reduction.ci95);
    format!(
        "<p><strong>{verdict}</strong> The mean of BPCER and mean APCER falls by {} percentage points (95 % CI {}). {} pictures, {} of them live, \
         in {} groups. <span class=\"muted\">{}</span></p>",
        escape(&fall),
        escape(&interval),
        count(adaptation.pictures),
        count(adaptation.live),
        count(adaptation.groups),
        escape(&meta.created)
    )
}

fn warnings(adaptation: &Adaptation) -> String {
    if adaptation.warnings.is_empty() {
        return "<p>Nothing.</p>".to_owned();
    }
    let items = adaptation.warnings.iter().fold(String::new(), |mut html, warning| {
        let _ = write!(html, "<li>{}</li>", escape(warning));
        html
    });
    format!("<ul>{items}</ul>")
}

fn row(name: String, share: Option<Proportion>, colour: usize) -> IntervalRow {
    IntervalRow { name, value: share.map(|s| s.ratio), ci95: share.map(|s| s.ci95), colour }
}

fn errors(adaptation: &Adaptation) -> String {
    let rates = &adaptation.rates;
    let mut rows = vec![row("live, before".into(), rates.bpcer_before, 0), row("live, after".into(), rates.bpcer, 0)];
    let head = ["", "Before", "95 % CI", "Wrong", "After", "95 % CI", "Wrong"];
    let mut table = Table::new("Share of pictures judged wrongly at a score of 0.5", &head);
    table.row("live (BPCER)", share_cells(rates.bpcer_before).into_iter().chain(share_cells(rates.bpcer)));
    let mut equal = Table::new("APCER where 5 % of the live pictures are refused", &head);
    for (index, kind) in rates.kinds.iter().enumerate() {
        rows.push(row(format!("{}, before", kind.name), kind.apcer_before, index + 1));
        rows.push(row(format!("{}, after", kind.name), kind.apcer, index + 1));
        let cells = |before, after| share_cells(before).into_iter().chain(share_cells(after));
        table.row(format!("{} (APCER)", kind.name), cells(kind.apcer_before, kind.apcer));
        equal.row(kind.name.clone(), cells(kind.apcer_at_bpcer_5_before, kind.apcer_at_bpcer_5));
    }
    let plot = interval_plot(
        PlotText {
            id: "before-after",
            title: "Error rates before and after, with 95 % confidence intervals",
            description: String::new(),
            caption: "Dot: error rate on these pictures, after adaptation out of fold. Line: Wilson 95 % confidence interval.",
        },
        "Error rate (%)",
        Unit::Percent,
        Anchored::AtZero,
        &rows,
    );
    format!(
        "<p>Terms of ISO/IEC 30107-3. Before: the score without a head. After: each picture judged by a head, an operating \
         point and choices that no picture of its group had a part in.</p>{}{}",
        stacked(&plot, &table.html()),
        equal.html()
    )
}

fn operating_points(adaptation: &Adaptation) -> String {
    let names: Vec<String> = adaptation.rates.kinds.iter().map(|kind| format!("APCER {}", kind.name)).collect();
    let counted = |share: Option<Proportion>| {
        share.map_or_else(String::new, |s| format!("{} ({} of {})", Unit::Percent.text(s.ratio), s.count, s.total))
    };
    let head: Vec<&str> =
        ["Wanted", "Score", "Live refused"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut table = Table::new("What refusing fewer or more live pictures costs, out of fold", &head);
    for point in &adaptation.operating_points {
        let apcer = point.apcer.iter().map(|(_, share)| counted(*share));
        let cells = [Unit::Threshold.number(point.score), counted(point.refused)].into_iter().chain(apcer);
        table.row(Unit::Percent.text(point.bpcer), cells);
    }
    format!(
        "<p>The head puts its score of 0.5 where it expects {} of other live pictures to be refused; of these it refused {}, each \
         fold's head with a point of its own. Compare the score with another number of this table to move the point. The table has one \
         score for the pictures of all folds, so at 0.5 it may differ a little from the errors above.</p>{}",
        Unit::Percent.text(adaptation.options.bpcer),
        escape(&counted(adaptation.rates.bpcer)),
        table.html()
    )
}

fn learning_curve(adaptation: &Adaptation) -> String {
    let mut table = Table::new(
        "APCER where 5 % of the live pictures are refused, by the number of pictures fitted on",
        &["Pictures", "Mean over kinds", "All attacks", "95 % CI", "Passed"],
    );
    for point in &adaptation.learning_curve {
        let cells = [Unit::Percent.text(point.mean_apcer)].into_iter().chain(share_cells(Some(point.apcer)));
        table.row(format!("{:.0}", point.pictures), cells);
    }
    let expected = adaptation.expectation.map_or_else(
        || "<p>These pictures do not say what more of them would bring: too few attacks still pass, or too few groups are there to fit on half of them.</p>".to_owned(),
        |expectation| {
            format!(
                "<p>With twice the pictures expect about {} (if the error goes on falling by the same factor).</p>",
                Unit::Percent.text(expectation.mean_apcer)
            )
        },
    );
    let points: Vec<(f64, f64)> = adaptation.learning_curve.iter().map(|p| (p.pictures, p.mean_apcer)).collect();
    let most = points.iter().map(|p| p.0).fold(1.0, f64::max);
    let highest = points.iter().map(|p| p.1).fold(0.05, f64::max);
    let plot = curve_plot(
        &PlotText {
            id: "learning",
            title: "Error by the number of pictures",
            description: format!(
                "APCER over all kinds by pictures fitted on: {}.",
                points
                    .iter()
                    .map(|p| format!("{:.0}: {}", p.0, Unit::Percent.text(p.1)))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            caption: "Mean APCER over the kinds where 5 % of the live pictures are refused. All heads of the curve share the \
                      choices that all pictures made, so its end may lie lower than the errors above.",
        },
        &Axis { name: "Pictures", unit: Unit::Plain, range: (0.0, most), normal_deviate: false },
        &Axis { name: "APCER (%)", unit: Unit::Percent, range: (0.0, 1.1 * highest), normal_deviate: false },
        false,
        &[Series { name: "mean APCER".into(), points, mark: None, colour: 1 }],
    );
    side_by_side(&plot, &(table.html() + &expected))
}

fn method(adaptation: &Adaptation, meta: &Meta) -> String {
    let mut html = format!(
        "<p>A linear head on what the liveness networks see before their last layers and in an early one: what the \
         score without a head lacks, by logistic regression with a ridge penalty ({}). What the networks' own log-odds lack to \
         those of live pictures is taken off, times {}. Both were chosen by cross-validation in {} folds over groups; near-copies stay in one fold. Intervals of shares are Wilson's; that of the \
         reduction resamples groups.</p><dl class=\"facts\">",
        adaptation.chosen.ridge, adaptation.chosen.pair_weight, adaptation.folds
    );
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = write!(html, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
        }
    };
    fact("Command", &meta.command);
    fact("Labels", &meta.labels_file);
    for (name, value) in &meta.settings {
        fact(name, value);
    }
    for model in &meta.models {
        fact(&format!("Network, {}", model.job), &format!("{} {}", model.name, model.version));
    }
    html + "</dl>"
}

/// What the caller prints of it.
impl Adaptation {
    /// The figures as lines of text.
    pub fn to_text(&self) -> String {
        let share = |share: Option<Proportion>| {
            share.map_or_else(
                || "-".to_owned(),
                |s| {
                    format!(
                        "{:5.1} % ({} of {}; 95 % CI {:.1} to {:.1} %)",
                        100.0 * s.ratio,
                        s.count,
                        s.total,
                        100.0 * s.ci95.lower,
                        100.0 * s.ci95.upper
                    )
                },
            )
        };
        let mut text = format!(
            "{} pictures ({} live) in {} groups, {} folds; out of fold, at a score of 0.5:\n",
            self.pictures, self.live, self.groups, self.folds
        );
        let mut line = |name: &str, before, after| {
            let _ = writeln!(text, "  {name:24} before {}\n  {:24} after  {}", share(before), "", share(after));
        };
        line("live refused (BPCER)", self.rates.bpcer_before, self.rates.bpcer);
        for kind in &self.rates.kinds {
            line(&format!("{} passed (APCER)", kind.name), kind.apcer_before, kind.apcer);
        }
        if let Some(expectation) = &self.expectation {
            let _ = writeln!(
                text,
                "  with twice the pictures expect a mean APCER of about {:.1} % where 5 % of live pictures are refused",
                100.0 * expectation.mean_apcer
            );
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "warning: {warning}");
        }
        let Estimate { value, ci95 } = self.reduction;
        let interval =
            ci95.map_or_else(String::new, |i| format!(" (95 % CI {:.1} to {:.1})", 100.0 * i.lower, 100.0 * i.upper));
        let _ = writeln!(text, "the mean of BPCER and mean APCER falls by {:.1} points{interval}", 100.0 * value);
        text
    }
}
