//! Presentation attack detection: error rates per species, the trade-off, scores and non-responses.

use crate::presentation_attack::{DetCurve, PresentationAttackDetection};
use crate::statistics::Estimate;

use super::super::html::{Table, Unit, count, estimate_cells, share_cells, side_by_side, stacked};
use super::super::plots::{Anchored, Axis, HistogramRow, PlotText, Series, curve_plot, histogram_plot, interval_plot};
use super::{liveness_reasons, share_row};

pub(super) fn section(figures: &PresentationAttackDetection) -> String {
    let threshold = figures.liveness_threshold;
    let mut html = format!(
        "<p>Terms of ISO/IEC 30107-3. A picture is classified as bona fide when its liveness score is at least \
         {threshold}. Classification rates are taken over the pictures that the service answered with a score; pictures \
         that a rule rejected are non-responses and stand in rates of their own.</p>\
         <h3>Classification errors</h3>"
    );
    let mut rows = vec![share_row("live (BPCER)", figures.bona_fide.bpcer, 0)];
    let mut table =
        Table::new("Share of wrongly classified pictures, of those that responded", &["", "Rate", "95 % CI", "Wrong"]);
    table.row("live (BPCER)", share_cells(figures.bona_fide.bpcer));
    for (index, species) in figures.species.iter().enumerate() {
        rows.push(share_row(&format!("{} (APCER)", species.name), species.apcer, index + 1));
        table.row(format!("{} (APCER)", species.name), share_cells(species.apcer));
    }
    let plot = interval_plot(
        PlotText {
            id: "classification",
            title: "Classification error rates with 95 % confidence intervals",
            description: String::new(),
            caption: "Dot: error rate on this sample. Line: Wilson 95 % confidence interval.",
        },
        "Error rate (%)",
        Unit::Percent,
        Anchored::AtZero,
        &rows,
    );
    html += &side_by_side(&plot, &table.html());

    html += "<h3>Trade-off</h3>";
    let curves = det_series(figures);
    let plot = det_plot(figures, &curves);
    let mut table = Table::new("Figures of the trade-off", &["", "Value", "95 % CI", "Threshold"]);
    if let Some(worst) = &figures.apcer_max {
        let [rate, interval, _] = share_cells(Some(worst.apcer));
        table.row(format!("Highest APCER ({})", worst.name), [rate, interval, threshold.to_string()]);
    }
    if figures.bona_fide.bpcer.is_some() {
        let [rate, interval, _] = share_cells(figures.bona_fide.bpcer);
        table.row("BPCER", [rate, interval, threshold.to_string()]);
    }
    let mut estimate = |name: &str, figure: Option<Estimate>, unit, threshold: String| {
        if figure.is_some() {
            table.row(name, estimate_cells(figure, unit).into_iter().chain([threshold]));
        }
    };
    estimate("ACER", figures.acer, Unit::Percent, threshold.to_string());
    if let Some(eer) = figures.eer {
        estimate(
            "EER, all attacks pooled",
            Some(eer.ratio),
            Unit::Percent,
            Unit::Threshold.number(eer.nearest_threshold),
        );
    }
    estimate("AUC, all attacks pooled", figures.auc, Unit::Plain, "–".to_owned());
    for species in &figures.species {
        estimate(&format!("EER, {}", species.name), species.eer, Unit::Percent, "–".to_owned());
        estimate(&format!("AUC, {}", species.name), species.auc, Unit::Plain, "–".to_owned());
    }
    for figure in &figures.bpcer_at_apcer {
        let star = if figure.sample_resolves_limit { "" } else { " *" };
        let name = format!("BPCER at APCER ≤ {:.0} %{star}", 100.0 * figure.apcer_limit);
        let threshold = figure.threshold.map_or("above all".to_owned(), |threshold| Unit::Threshold.number(threshold));
        estimate(&name, Some(figure.bpcer), Unit::Percent, threshold);
    }
    let mut right = table.html();
    if figures.bpcer_at_apcer.iter().any(|figure| !figure.sample_resolves_limit) {
        right += "<p class=\"muted\">* Some species has too few pictures for this limit: a single attack that passes \
                  exceeds it, so the figure is that of no attack passing at all.</p>";
    }
    right += "<p class=\"muted\">The limit of APCER holds for every species. ACER is the mean of the highest APCER and \
              BPCER; edition 2023 of the standard no longer has it. EER and AUC pool all attacks and so depend on how \
              many of each species the sample has; the standard does not use them.</p>";
    if curves.is_empty() {
        html += &right;
    } else {
        html += &side_by_side(&plot, &right);
    }

    html += "<h3>Scores</h3>";
    html += &histogram(figures);
    html += &liveness_reasons::networks(figures);
    html += &liveness_reasons::misclassified(figures);

    html += "<h3>Non-responses</h3>";
    let mut rows = vec![share_row("live (BPNRR)", figures.bona_fide.bpnrr, 0)];
    let mut table = Table::new(
        "Pictures without a score, of all presentations, and attacks that got through altogether",
        &["", "Rate", "95 % CI", "Pictures", "Got through", "95 % CI"],
    );
    table.row("live (BPNRR)", share_cells(figures.bona_fide.bpnrr).into_iter().chain(["–".to_owned(), "–".to_owned()]));
    for (index, species) in figures.species.iter().enumerate() {
        rows.push(share_row(&format!("{} (APNRR)", species.name), species.apnrr, index + 1));
        let [passed, interval, _] = share_cells(species.passed);
        table
            .row(format!("{} (APNRR)", species.name), share_cells(species.apnrr).into_iter().chain([passed, interval]));
    }
    let plot = interval_plot(
        PlotText {
            id: "non-response",
            title: "Non-response rates with 95 % confidence intervals",
            description: String::new(),
            caption: "A live person who gets no response is turned away; an attack that gets none is stopped. An attack \
                      got through when it was neither rejected by a rule nor classified as an attack.",
        },
        "Non-response rate (%)",
        Unit::Percent,
        Anchored::AtZero,
        &rows,
    );
    html += &stacked(&plot, &table.html());
    html
}

/// Name, points and operating point of each curve; the pooled one last.
fn det_series(figures: &PresentationAttackDetection) -> Vec<Series> {
    let operating = |curve: &DetCurve| {
        let species = figures.species.iter().find(|species| Some(&species.name) == curve.species.as_ref())?;
        Some((species.apcer?.ratio, figures.bona_fide.bpcer?.ratio))
    };
    let colour = |curve: &DetCurve| {
        let index = figures.species.iter().position(|species| Some(&species.name) == curve.species.as_ref());
        index.map_or(0, |index| index + 1)
    };
    figures
        .det_curves
        .iter()
        .map(|curve| Series {
            name: curve.species.clone().unwrap_or_else(|| "all attacks pooled".to_owned()),
            points: curve.points.iter().map(|point| (point.apcer, point.bpcer)).collect(),
            mark: operating(curve),
            colour: colour(curve),
        })
        .collect()
}

fn det_plot(figures: &PresentationAttackDetection, curves: &[Series]) -> String {
    // The axes begin below the smallest rate that the larger class can show.
    let live = figures.bona_fide.bpcer.map_or(0, |share| share.total);
    let attacks = figures.species.iter().filter_map(|species| species.apcer).map(|share| share.total).sum::<u64>();
    let smallest = 1.0 / live.max(attacks).max(1) as f64;
    let lowest = [0.01, 0.001].into_iter().find(|&lowest| lowest < smallest).unwrap_or(0.0001);
    let poor = figures.species.iter().filter_map(|species| species.eer).any(|eer| eer.value > 0.35);
    let range = (lowest, if poor { 0.99 } else { 0.6 });
    let axis = |name| Axis { name, unit: Unit::Percent, range, normal_deviate: true };
    let eers = figures
        .species
        .iter()
        .filter_map(|species| Some(format!("{} {}", species.name, Unit::Percent.text(species.eer?.value))));
    let description = format!(
        "Detection error trade-off, APCER across and BPCER up, one curve per attack species. A curve nearer to the lower \
         left corner is better. Equal error rates: {}.",
        eers.collect::<Vec<_>>().join(", ")
    );
    curve_plot(
        &PlotText {
            id: "det",
            title: "Detection error trade-off (DET)",
            description,
            caption: "Axes in normal deviates. Dot: operating point of the configured threshold. Dashed diagonal: equal \
                      error rates. A rate of 0 is drawn at the border.",
        },
        &axis("APCER (%)"),
        &axis("BPCER (%)"),
        true,
        curves,
    )
}

fn histogram(figures: &PresentationAttackDetection) -> String {
    let histogram = &figures.score_histogram;
    let classes: Vec<(&str, &Vec<u64>)> = [("live", &histogram.bona_fide)]
        .into_iter()
        .chain(figures.species.iter().map(|species| species.name.as_str()).zip(&histogram.species))
        .collect();
    let rows: Vec<HistogramRow> = classes
        .iter()
        .enumerate()
        .map(|(colour, (name, counts))| HistogramRow {
            name: format!("{name}, {} pictures", count(counts.iter().sum())),
            counts: (*counts).clone(),
            colour,
        })
        .collect();
    let shares = [("live", figures.bona_fide.bpcer.map(|share| 1.0 - share.ratio))]
        .into_iter()
        .chain(figures.species.iter().map(|species| (species.name.as_str(), species.apcer.map(|share| share.ratio))))
        .filter_map(|(name, share)| Some(format!("{name} {}", Unit::Percent.text(share?))))
        .collect::<Vec<_>>()
        .join(", ");
    let plot = histogram_plot(
        &PlotText {
            id: "scores",
            title: "Distribution of liveness scores",
            description: format!(
                "Histograms of the liveness score, one per class. Share at or above the threshold of {}: {shares}.",
                figures.liveness_threshold
            ),
            caption: "Each class is scaled to its own highest bar. Dashed: the threshold; bars to its right are classified \
                      as bona fide.",
        },
        "Liveness score",
        figures.liveness_threshold,
        &rows,
    );
    let head: Vec<&str> = ["Score"].into_iter().chain(classes.iter().map(|(name, _)| *name)).collect();
    let mut table = Table::new("Pictures per score", &head).class("compact");
    for (bin, edges) in histogram.bin_edges.windows(2).enumerate() {
        let name = format!("{:.2} to {:.2}", edges[0], edges[1]);
        table.row(name, classes.iter().map(|(_, counts)| count(counts[bin])));
    }
    side_by_side(&plot, &table.html())
}
