//! Age: error, bias and the cumulative share.

use crate::age::{Age, AgeErrors};
use crate::labels::Gender;
use crate::statistics::Estimate;

use super::super::html::{Table, Unit, count, share_cells, side_by_side, stacked};
use super::super::plots::{Anchored, Axis, IntervalRow, PlotText, Series, curve_plot, interval_plot};
use super::{decade_name, estimate_row, left_out};

fn gender_name(gender: Gender) -> &'static str {
    match gender {
        Gender::Female => "female",
        Gender::Male => "male",
    }
}

pub(super) fn section(figures: &Age) -> String {
    let overall = figures.overall;
    let mut html = format!(
        "<p>Errors in years, estimate minus label, of {} pictures. {}</p>",
        count(overall.pictures),
        left_out(figures.pictures_without_estimate, "no estimate")
    );
    let groups: Vec<(String, AgeErrors, usize)> = [("all".to_owned(), overall, 0)]
        .into_iter()
        .chain(figures.by_gender.iter().map(|group| (gender_name(group.gender).to_owned(), group.errors, 1)))
        .chain(figures.by_decade.iter().map(|decade| (decade_name(decade.from_years), decade.errors, 2)))
        .collect();

    let mut errors = Table::new(
        "Mean absolute error by labelled gender and age, in years",
        &["", "Pictures", "MAE", "95 % CI", "RMSE", "95 % CI", "Within 5 years", "95 % CI"],
    );
    let mut bias =
        Table::new("Mean error in years; above 0, ages are overestimated", &["", "Pictures", "Bias", "95 % CI"]);
    for (name, group, _) in &groups {
        let number =
            |estimate: Estimate| [Unit::Years.number(estimate.value), Unit::Years.optional_interval(estimate.ci95)];
        let [mae, mae_interval] = number(group.mean_absolute_error_years);
        let [rmse, rmse_interval] = number(group.root_mean_square_error_years);
        let [within, within_interval, _] = share_cells(Some(group.share_within_5_years));
        let pictures = count(group.pictures);
        errors.row(name, [pictures.clone(), mae, mae_interval, rmse, rmse_interval, within, within_interval]);
        bias.row(name, [pictures].into_iter().chain(number(group.bias_years)));
    }
    let plot = |id, title, axis, anchored, figure: fn(&AgeErrors) -> Estimate| {
        let rows: Vec<IntervalRow> =
            groups.iter().map(|(name, group, colour)| estimate_row(name, Some(figure(group)), *colour)).collect();
        interval_plot(
            PlotText {
                id,
                title,
                description: String::new(),
                caption: "Dot: figure of the group. Line: bootstrap 95 % confidence interval.",
            },
            axis,
            Unit::Years,
            anchored,
            &rows,
        )
    };
    let mae_plot =
        plot("age-error", "Mean absolute error of age", "Mean absolute error (years)", Anchored::AtZero, |group| {
            group.mean_absolute_error_years
        });
    let bias_plot = plot("age-bias", "Bias of age", "Bias (years)", Anchored::AroundZero, |group| group.bias_years);
    html += "<h3>Error</h3>";
    html += &stacked(&mae_plot, &errors.html());
    html += "<h3>Bias</h3>";
    html += &side_by_side(&bias_plot, &bias.html());

    html += "<h3>Share within so many years</h3>";
    let mut table = Table::new(
        "Pictures whose absolute error is at most so many years",
        &["Years", "Share", "95 % CI", "Pictures"],
    );
    let mut points = vec![];
    for within in &figures.cumulative {
        table.row(within.years.to_string(), share_cells(Some(within.share)));
        points.push((f64::from(within.years), within.share.ratio));
    }
    let spoken: Vec<String> =
        points.iter().map(|&(years, share)| format!("{} within {years} years", Unit::Percent.text(share))).collect();
    let last = points.last().map_or(1.0, |&(years, _)| years);
    let plot = curve_plot(
        &PlotText {
            id: "age-cumulative",
            title: "Share of pictures by absolute error of age",
            description: format!("A rising curve: {}.", spoken.join(", ")),
            caption: "Straight lines join the values of the table.",
        },
        &Axis { name: "Absolute error (years)", unit: Unit::Years, range: (0.0, last), normal_deviate: false },
        &Axis { name: "Share of pictures (%)", unit: Unit::Percent, range: (0.0, 1.0), normal_deviate: false },
        false,
        &[Series { name: String::new(), points, mark: None, colour: 0 }],
    );
    html += &side_by_side(&plot, &table.html());
    html
}
