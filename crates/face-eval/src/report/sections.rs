//! The sections of the page: what was found, in words, plots and tables.

mod age;
mod detection;
mod gender;
mod liveness_reasons;
mod pose;
mod presentation_attack;
mod rules;

use std::fmt::Write;

use crate::evaluation::Evaluation;
use crate::presentation_attack::PresentationAttackDetection;
use crate::statistics::{Estimate, Proportion};

use super::Meta;
use super::html::{Table, Unit, count, escape};
use super::plots::IntervalRow;

/// Most rows of the list of unreadable files; `figures.json` has them all.
const MAX_LISTED_FILES: usize = 500;

/// One section.
pub(super) struct Section {
    /// Its anchor.
    pub(super) id: &'static str,
    /// Its heading, without characters to escape.
    pub(super) title: &'static str,
    /// HTML.
    pub(super) body: String,
}

/// Every section that there are figures for, then the ones that every report has.
pub(super) fn all(evaluation: &Evaluation, meta: &Meta) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut add = |id, title, body: Option<String>| {
        sections.extend(body.map(|body| Section { id, title, body }));
    };
    add(
        "presentation-attacks",
        "Presentation attack detection",
        evaluation.presentation_attack_detection.as_ref().map(presentation_attack::section),
    );
    add("age", "Age", evaluation.age.as_ref().map(age::section));
    add("gender", "Gender", evaluation.gender.as_ref().map(gender::section));
    add("detection", "Face detection", evaluation.detection.as_ref().map(detection::section));
    add("rules", "Rules", evaluation.rules.as_ref().map(rules::section));
    add("pose", "Head pose", evaluation.pose.as_ref().map(pose::section));
    add("not-measured", "What was not measured", Some(not_measured(evaluation)));
    add("unreadable", "Unreadable files", Some(unreadable(evaluation)));
    add("method", "Method", Some(method(evaluation, meta)));
    sections
}

/// One headline figure.
fn tile(html: &mut String, name: &str, value: &str, interval: &str, sample: &str) {
    let _ = write!(
        html,
        "<div class=\"tile\"><dt>{}</dt><dd><div class=\"value\">{}</div><div class=\"small\">{}</div>\
         <div class=\"small\">{}</div></dd></div>",
        escape(name),
        escape(value),
        escape(interval),
        escape(sample)
    );
}

fn share_tile(html: &mut String, name: &str, share: Option<Proportion>, of: &str) {
    if let Some(share) = share {
        let interval = format!("95 % CI {}", Unit::Percent.interval(share.ci95));
        let sample = format!("{} of {} {of}", count(share.count), count(share.total));
        tile(html, name, &Unit::Percent.text(share.ratio), &interval, &sample);
    }
}

fn estimate_tile(html: &mut String, name: &str, estimate: Option<Estimate>, unit: Unit, sample: &str) {
    if let Some(estimate) = estimate {
        let interval = match estimate.ci95 {
            Some(interval) => format!("95 % CI {}", unit.interval(interval)),
            None => "no interval".to_owned(),
        };
        tile(html, name, &unit.text(estimate.value), &interval, sample);
    }
}

/// Sample sizes and headline figures.
pub(super) fn summary(evaluation: &Evaluation, meta: &Meta) -> String {
    let sample = evaluation.sample;
    let mut html = format!(
        "<p>{} of {} labelled pictures were analysed.",
        count(sample.pictures_analysed),
        count(sample.pictures_labelled)
    );
    if sample.pictures_unreadable > 0 {
        let _ = write!(html, " {} could not be read or decoded.", count(sample.pictures_unreadable));
    }
    if sample.pictures_without_outcome > 0 {
        let _ = write!(html, " {} have no answer yet.", count(sample.pictures_without_outcome));
    }
    if !meta.created.is_empty() {
        let _ = write!(html, " <span class=\"muted\">{}</span>", escape(&meta.created));
    }
    html.push_str("</p><dl class=\"tiles\">");
    if let Some(figures) = &evaluation.presentation_attack_detection {
        if let Some(worst) = &figures.apcer_max {
            let name = format!("Highest APCER ({})", worst.name);
            share_tile(&mut html, &name, Some(worst.apcer), "attacks passed");
        }
        share_tile(&mut html, "BPCER", figures.bona_fide.bpcer, "live pictures refused");
        let responses = responses(figures);
        estimate_tile(&mut html, "EER, all attacks", figures.eer.map(|eer| eer.ratio), Unit::Percent, &responses);
    }
    if let Some(figures) = &evaluation.age {
        let sample = format!("{} pictures", count(figures.overall.pictures));
        let error = Some(figures.overall.mean_absolute_error_years);
        estimate_tile(&mut html, "Age, mean absolute error", error, Unit::Years, &sample);
    }
    share_tile(&mut html, "Gender, accuracy", evaluation.gender.as_ref().map(|figures| figures.accuracy), "right");
    if let Some(figures) = &evaluation.detection {
        let sample = format!("{} faces, {} pictures", count(figures.faces), count(figures.pictures));
        let name = format!("Average precision at IoU {}", figures.iou_threshold);
        estimate_tile(&mut html, &name, figures.average_precision, Unit::Percent, &sample);
        share_tile(&mut html, "Faces found", figures.recall, "faces");
    }
    share_tile(&mut html, "Rules, expected word", evaluation.rules.as_ref().map(|rules| rules.agreement), "pictures");
    if let Some(figures) = &evaluation.pose {
        for (name, axis) in [("Yaw", figures.yaw), ("Pitch", figures.pitch), ("Roll", figures.roll)] {
            if let Some(axis) = axis {
                let sample = format!("{} pictures", count(axis.pictures));
                let error = Some(axis.mean_absolute_error_degrees);
                estimate_tile(&mut html, &format!("{name}, mean absolute error"), error, Unit::Degrees, &sample);
            }
        }
    }
    html.push_str("</dl>");
    html
}

fn responses(figures: &PresentationAttackDetection) -> String {
    let live = figures.bona_fide.bpcer.map_or(0, |share| share.total);
    let attacks: u64 = figures.species.iter().filter_map(|species| species.apcer).map(|share| share.total).sum();
    format!("{} live, {} attacks", count(live), count(attacks))
}

fn share_row(name: &str, share: Option<Proportion>, colour: usize) -> IntervalRow {
    IntervalRow {
        name: name.to_owned(),
        value: share.map(|share| share.ratio),
        ci95: share.map(|share| share.ci95),
        colour,
    }
}

fn estimate_row(name: &str, estimate: Option<Estimate>, colour: usize) -> IntervalRow {
    IntervalRow {
        name: name.to_owned(),
        value: estimate.map(|estimate| estimate.value),
        ci95: estimate.and_then(|estimate| estimate.ci95),
        colour,
    }
}

fn decade_name(from_years: u32) -> String {
    format!("{} to {}", from_years, from_years + 9)
}

/// How many labelled pictures are in no figure, for want of `what`; nothing when there are none.
fn left_out(pictures: u64, what: &str) -> String {
    match pictures {
        0 => String::new(),
        1 => format!("One labelled picture got {what} from the service and is in no figure."),
        _ => format!("{} labelled pictures got {what} from the service and are in no figure.", count(pictures)),
    }
}

/// A table whose cells are shaded by their share of the row. A row and a column of one name meet in a framed cell.
fn confusion(caption: &str, rows: &[&str], columns: &[&str], counts: &[Vec<u64>]) -> String {
    let caption = escape(caption);
    let mut html = format!(
        "<p class=\"caption\">{caption}. Shade: share of the row. Framed: agreement.</p>\
         <div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{caption}\">\
         <table class=\"confusion\" aria-label=\"{caption}\">\
         <thead><tr><td></td>"
    );
    for column in columns {
        // A word may break after its underscores.
        let _ = write!(html, "<th scope=\"col\">{}</th>", escape(column).replace('_', "_<wbr>"));
    }
    html += "</tr></thead><tbody>";
    for (row, counts) in rows.iter().zip(counts) {
        let total = counts.iter().sum::<u64>().max(1) as f64;
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>", escape(row));
        for (column, &cell) in columns.iter().zip(counts) {
            let class = if row == column { " class=\"right\"" } else { "" };
            let shade = 0.55 * cell as f64 / total;
            let _ = write!(
                html,
                "<td{class} style=\"background:rgba(var(--heat),{shade:.3})\">{}</td>",
                if cell == 0 { "·".to_owned() } else { count(cell) }
            );
        }
        html += "</tr>";
    }
    html += "</tbody></table></div>\n";
    html
}

fn not_measured(evaluation: &Evaluation) -> String {
    let mut html = String::from("<ul class=\"plain\">");
    let pad = evaluation.presentation_attack_detection.as_ref();
    for (missing, what) in [
        (
            pad.is_none(),
            "Presentation attack detection: no analysed picture has a label in the column <code>liveness</code>.",
        ),
        (
            pad.is_some_and(|figures| figures.bona_fide.bpcer.is_none()),
            "BPCER, EER and AUC: no live picture got a score.",
        ),
        (pad.is_some_and(|figures| figures.apcer_max.is_none()), "APCER, EER and AUC: no attack got a score."),
        (
            evaluation.age.is_none(),
            "Age: no analysed picture has both a label in the column <code>age</code> and an estimate.",
        ),
        (
            evaluation.gender.is_none(),
            "Gender: no analysed picture has both a label in the column <code>gender</code> and an estimate.",
        ),
        (
            evaluation.detection.is_none(),
            "Face detection: no analysed picture has boxes in the columns <code>x</code>, <code>y</code>, <code>w</code>, \
             <code>h</code>.",
        ),
        (
            evaluation.detection.as_ref().is_some_and(|figures| figures.faceless_pictures_with_detection.is_none()),
            "False detections on pictures without a face: no picture is labelled <code>0,0,0,0</code>.",
        ),
        (evaluation.rules.is_none(), "Rules: no analysed picture has a label in the column <code>expected</code>."),
        (
            evaluation.pose.is_none(),
            "Head pose: no analysed picture has both a label in the columns <code>yaw</code>, <code>pitch</code>, \
             <code>roll</code> and an estimate.",
        ),
    ] {
        if missing {
            let _ = write!(html, "<li>{what}</li>");
        }
    }
    if let Some(figures) = pad {
        let species: Vec<String> = figures.species.iter().map(|species| escape(&species.name)).collect();
        let measured = if species.is_empty() { "none".to_owned() } else { species.join(", ") };
        let _ = write!(
            html,
            "<li>Attacks of other species than those in this sample ({measured}), and other instruments, cameras and light \
             within a species: their error rates may be far higher.</li>\
             <li>Conformity: this is a measurement on the user's own pictures with terms of ISO/IEC 30107-3, and no test by an \
             accredited laboratory. Attacks on the way between camera and service (injection) are outside that standard.</li>"
        );
    }
    html += "<li>Fairness: error rates by skin tone, origin or disability. Figures by age and gender are given only where the \
             labels hold them.</li>\
             <li>Labels: they are taken as the truth. A wrong label counts as an error of the service, and labelled ages are \
             often estimates themselves.</li>\
             <li>Dependence: the intervals treat every picture as independent. Several pictures of one person, session or \
             attack instrument make the true intervals wider than shown.</li>\
             <li>Recognition: the service compares no faces, so rates such as IAPAR, FMR and FNMR do not apply.</li></ul>";
    html
}

fn unreadable(evaluation: &Evaluation) -> String {
    if evaluation.unreadable.is_empty() {
        return "<p>Every file could be read and decoded.</p>".to_owned();
    }
    let mut table = Table::new("Files that are in no figure", &["File", "Reason"]).class("paths");
    for picture in evaluation.unreadable.iter().take(MAX_LISTED_FILES) {
        table.row(&picture.path, [picture.reason.clone()]);
    }
    let mut html = String::new();
    if evaluation.rules.is_some() {
        html += "<p>A file that was read and is no picture still stands in the table of words, as the service answers it with \
                 INTERNAL_ERROR.</p>";
    }
    html += &table.html();
    if evaluation.unreadable.len() > MAX_LISTED_FILES {
        let more = evaluation.unreadable.len() - MAX_LISTED_FILES;
        let _ = write!(html, "<p>And {} more, which the JSON lists.</p>", count(more as u64));
    }
    html
}

fn method(evaluation: &Evaluation, meta: &Meta) -> String {
    let options = evaluation.options;
    let mut html = format!(
        "<p>Intervals of shares are Wilson score intervals. Intervals of other figures are percentile bootstrap intervals from \
         {} resampled sets with seed {}; presentation attacks are resampled within live pictures and each species, faces by \
         picture. “None” stands where a bootstrap shows no spread (all right, say): that is no proof of certainty. No interval \
         is adjusted for looking at many groups at once.</p><dl class=\"facts\">",
        count(u64::from(options.bootstrap.replicates)),
        options.bootstrap.seed,
    );
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = write!(html, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
        }
    };
    fact("Program", &meta.program);
    fact("Command", &meta.command);
    fact("Run", &meta.created);
    fact("Labels", &meta.labels_file);
    fact("Liveness threshold", &options.liveness_threshold.to_string());
    fact("Overlap for detection", &format!("intersection over union of {}", options.iou_threshold));
    for (name, value) in &meta.settings {
        fact(name, value);
    }
    for model in &meta.models {
        fact(&format!("Network, {}", model.job), &format!("{} {}", model.name, model.version));
    }
    html += "</dl>";
    html
}
