//! Why liveness scores are what they are: each network alone, and the pictures that were classified wrongly.

use crate::outcomes::LivenessReasons;
use crate::presentation_attack::{Misclassified, PresentationAttackDetection};
use crate::statistics::Estimate;

use super::super::html::{Table, Unit, count, estimate_cells, stacked};
use super::super::plots::{Anchored, IntervalRow, PlotText, interval_plot};

/// Each network beside the score that is made of all; nothing when no answer tells.
pub(super) fn networks(figures: &PresentationAttackDetection) -> String {
    if figures.networks.is_empty() {
        return String::new();
    }
    let species: Vec<String> = figures.species.iter().map(|species| format!("AUC, {}", species.name)).collect();
    let head: Vec<&str> = ["", "Pictures", "EER", "95 % CI", "AUC", "95 % CI"]
        .into_iter()
        .chain(species.iter().map(String::as_str))
        .collect();
    let mut table = Table::new("Each network's own probability of a live face, taken as the score", &head);
    let responses = |counts: &[u64]| counts.iter().sum::<u64>();
    let histogram = &figures.score_histogram;
    let all = responses(&histogram.bona_fide) + histogram.species.iter().map(|counts| responses(counts)).sum::<u64>();
    let eer = figures.eer.map(|eer| eer.ratio);
    let mut rows = Vec::new();
    let mut add = |name: &str, pictures, eer, auc, of_species: Vec<Option<Estimate>>| {
        let cells = [count(pictures)]
            .into_iter()
            .chain(estimate_cells(eer, Unit::Percent))
            .chain(estimate_cells(auc, Unit::Plain))
            .chain(of_species.into_iter().map(|auc| estimate_cells(auc, Unit::Plain)[0].clone()));
        table.row(name, cells.collect::<Vec<_>>());
        let estimate: Option<Estimate> = eer;
        rows.push(IntervalRow {
            name: name.to_owned(),
            value: estimate.map(|eer| eer.value),
            ci95: estimate.and_then(|eer| eer.ci95),
            colour: rows.len(),
        });
    };
    let of_all = figures.species.iter().map(|species| species.auc).collect();
    add("score that is answered", all, eer, figures.auc, of_all);
    for network in &figures.networks {
        add(&network.name, network.pictures, network.eer, network.auc, network.species.clone());
    }
    let plot = interval_plot(
        PlotText {
            id: "networks",
            title: "Equal error rate of each liveness network alone",
            description: String::new(),
            caption: "All attacks pooled. Line: 95 % confidence interval.",
        },
        "EER (%)",
        Unit::Percent,
        Anchored::AtZero,
        &rows,
    );
    format!("<h3>Each network</h3>{}", stacked(&plot, &table.html()))
}

/// The pictures that are furthest on the wrong side of the threshold; nothing when there are none.
pub(super) fn misclassified(figures: &PresentationAttackDetection) -> String {
    if figures.misclassified.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = figures.networks.iter().map(|network| network.name.as_str()).collect();
    let head: Vec<&str> = ["Picture", "Shown", "Score"]
        .into_iter()
        .chain(names.iter().copied())
        .chain(["Surrounding", "Reliability"])
        .collect();
    let caption = "Furthest on the wrong side of the threshold, the furthest first";
    let mut table = Table::new(caption, &head).class("compact");
    for Misclassified { path, species, score, reasons } in &figures.misclassified {
        let of = |value: fn(&LivenessReasons) -> f64| {
            reasons.as_ref().map_or("–".to_owned(), |reasons| format!("{:.2}", value(reasons)))
        };
        let by_network = names.iter().map(|name| {
            let live = reasons.as_ref().and_then(|reasons| reasons.networks.get(*name));
            live.map_or("–".to_owned(), |live| format!("{live:.2}"))
        });
        let cells = [species.as_deref().unwrap_or("live").to_owned(), format!("{score:.2}")]
            .into_iter()
            .chain(by_network)
            .chain([of(|reasons| reasons.surrounding), of(|reasons| reasons.reliability)]);
        table.row(path, cells.collect::<Vec<_>>());
    }
    format!(
        "<h3>Wrongly classified pictures</h3><p class=\"muted\">Networks: each one's own probability of a live face in the \
         crop that is centred on the face. Surrounding: picture size / face size, the smaller of both directions; with \
         little of it, the score is unreliable. Reliability: 0, the score says nothing, to 1.</p>{}",
        table.html()
    )
}
