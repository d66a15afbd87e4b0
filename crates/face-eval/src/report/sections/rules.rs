//! Rules: expected and given words.

use crate::rules::Rules;

use super::super::html::{Table, Unit, share_cells, stacked};
use super::super::plots::{Anchored, PlotText, interval_plot};
use super::{confusion, share_row};

pub(super) fn section(figures: &Rules) -> String {
    let words: Vec<&str> = figures.words.iter().map(|word| word.as_str()).collect();
    let [rate, interval, counts] = share_cells(Some(figures.agreement));
    let mut html = format!(
        "<p>The service gave the expected word to {counts} pictures: {rate} (95 % CI {interval}). A picture that breaks \
         several rules is given the first word in the contract's order.</p><h3>Expected and given words</h3>"
    );
    html += &confusion("Expected word (rows) and given word (columns), in pictures", &words, &words, &figures.counts);
    html += "<h3>Word by word</h3>";
    let mut table = Table::new(
        "Recall: given, of the pictures that expect the word. Precision: expected, of the pictures that were given it",
        &["", "Recall", "95 % CI", "Pictures", "Precision", "95 % CI", "Pictures"],
    );
    let mut rows = Vec::new();
    for figure in &figures.by_word {
        table.row(figure.word.as_str(), share_cells(figure.recall).into_iter().chain(share_cells(figure.precision)));
        rows.push(share_row(figure.word.as_str(), figure.recall, 0));
    }
    let plot = interval_plot(
        PlotText {
            id: "word-recall",
            title: "Recall of each word with 95 % confidence intervals",
            description: String::new(),
            caption: "Dot: share of the pictures that expect the word and were given it. Line: Wilson 95 % confidence \
                      interval.",
        },
        "Recall (%)",
        Unit::Percent,
        Anchored::AtOne,
        &rows,
    );
    html += &stacked(&plot, &table.html());
    html
}
