//! The report: figures as JSON, and one HTML page that needs nothing else.

mod adaptation;
mod html;
mod plots;
mod sections;

use std::fmt::Write;

use serde::Serialize;

use crate::evaluation::Evaluation;

use html::escape;

/// What a reader must know to judge or repeat an evaluation. Empty texts are left out of the page.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Meta {
    /// Headline, such as the name of the data set.
    pub title: String,
    /// Name and version of the program.
    pub program: String,
    /// The command that was run.
    pub command: String,
    /// When it was run, as it shall be shown (RFC 3339, say).
    pub created: String,
    /// The labels' file.
    pub labels_file: String,
    /// Name and value of each setting that the figures depend on.
    pub settings: Vec<(String, String)>,
    /// The networks behind the answers.
    pub models: Vec<ModelUsed>,
}

/// A network that took part in the answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelUsed {
    /// What it does, such as `detector`.
    pub job: String,
    /// Its published name.
    pub name: String,
    /// Its published version.
    pub version: String,
}

#[derive(Serialize)]
struct Figures<'a> {
    meta: &'a Meta,
    #[serde(flatten)]
    evaluation: &'a Evaluation,
}

impl Evaluation {
    /// The figures as JSON, indented. Rates and shares are ratios from 0 to 1; other units stand in the names.
    pub fn to_json(&self, meta: &Meta) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(&Figures { meta, evaluation: self })
    }

    /// The report as one HTML page with inline style and plots: no script, and no request to anywhere.
    pub fn to_html(&self, meta: &Meta) -> String {
        let title = if meta.title.is_empty() { "Evaluation of a face check" } else { &meta.title };
        let sections = sections::all(self, meta);
        let sections: Vec<(&str, &str, String)> = sections.into_iter().map(|s| (s.id, s.title, s.body)).collect();
        page(title, &sections::summary(self, meta), &sections, &meta.program)
    }
}

/// One page with inline style: headline, summary, and sections of anchor, heading and HTML.
fn page(title: &str, summary: &str, sections: &[(&str, &str, String)], program: &str) -> String {
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title><style>\n{}</style></head>\n<body>\
         <header><h1>{title}</h1>{summary}<nav aria-label=\"Sections\"><ul>",
        include_str!("report/style.css"),
        title = escape(title),
    );
    for (id, title, _) in sections {
        let _ = write!(page, "<li><a href=\"#{id}\">{title}</a></li>");
    }
    page.push_str("</ul></nav></header>\n<main>");
    for (id, title, body) in sections {
        let _ = write!(
            page,
            "<section id=\"{id}\" aria-labelledby=\"{id}-heading\"><h2 id=\"{id}-heading\">{title}</h2>\n{body}</section>\n",
        );
    }
    let _ = writeln!(page, "</main><footer><p>{}</p></footer></body></html>", escape(program));
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Labels;
    use crate::outcomes::{LivenessReasons, Outcome, Unreadable};
    use crate::word::Word;
    use crate::{DetectedFace, Options, Pose};

    /// An evaluation with every section.
    fn complete() -> Evaluation {
        let csv = "path,liveness,age,gender,expected,x,y,w,h,yaw,pitch,roll\n\
                   a,live,30,f,OK,0,0,10,10,0,0,0\n\
                   b,print,40,m,FACE_CROPPED,0,0,10,10,5,5,5\n\
                   c,replay,40,m,OK,0,0,10,10,5,5,5\n\
                   <script>d,live,40,m,OK,0,0,10,10,5,5,5\n";
        let mut outcomes: Vec<Outcome> = ["a", "b", "c"]
            .into_iter()
            .zip([0.9, 0.2, 0.6])
            .map(|(path, score)| Outcome {
                faces: Some(vec![DetectedFace { x: 0.0, y: 0.0, w: 10.0, h: 10.0, score: 0.9 }]),
                liveness_score: Some(score),
                liveness_reasons: Some(LivenessReasons {
                    networks: [("first".to_owned(), score), ("<second>".to_owned(), 1.0 - score)].into(),
                    surrounding: 2.5,
                    reliability: 0.75,
                }),
                age: Some(33.0),
                gender: Some(5000),
                pose: Some(Pose { yaw: 1.0, pitch: 1.0, roll: 1.0 }),
                ..Outcome::new(path, Word::Ok)
            })
            .collect();
        outcomes.push(Outcome::unreadable("<script>d", Unreadable::File("no <file>".into())));
        let labels = Labels::from_reader(csv.as_bytes(), "").expect("usable labels");
        Evaluation::compute(&labels, &outcomes, &Options::default()).expect("figures")
    }

    fn occurrences(page: &str, text: &str) -> usize {
        page.matches(text).count()
    }

    #[test]
    fn the_page_is_self_contained() {
        let page = complete().to_html(&Meta::default());
        for outside in ["http:", "https:", "//", "<script", "<link", "<img", "@import", "url(", " src="] {
            assert!(!page.contains(outside), "the page has `{outside}`");
        }
    }

    #[test]
    fn every_plot_has_a_text_alternative_and_a_table() {
        let page = complete().to_html(&Meta::default());
        let plots = occurrences(&page, "role=\"img\"");
        assert_eq!(plots, 12);
        assert_eq!(occurrences(&page, "<title id="), plots);
        assert_eq!(occurrences(&page, "<desc id="), plots);
        assert!(!page.contains("></desc>"), "an alternative is empty");
        let blocks = page.split("class=\"pair\"").chain(page.split("class=\"stack\""));
        assert!(blocks.filter(|block| block.starts_with("><figure")).all(|block| block.contains("<table")));
    }

    #[test]
    fn every_heading_in_the_navigation_leads_to_a_section() {
        let page = complete().to_html(&Meta::default());
        let targets: Vec<&str> = page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(targets.len(), 9);
        for target in targets {
            assert_eq!(occurrences(&page, &format!("<section id=\"{target}\"")), 1, "{target}");
        }
    }

    #[test]
    fn a_wrongly_classified_picture_is_listed_with_what_each_network_said() {
        let page = complete().to_html(&Meta::default());
        let networks = "<th scope=\"col\">&lt;second&gt;</th><th scope=\"col\">first</th>";
        assert!(page.contains(networks), "both networks have a column");
        // The replay c scored 0.6, above the threshold of 0.5.
        let cells = ["replay", "0.60", "0.40", "0.60", "2.50", "0.75"].map(|cell| format!("<td>{cell}</td>")).concat();
        assert_eq!(occurrences(&page, &format!("<th scope=\"row\">c</th>{cells}")), 1);
    }

    #[test]
    fn a_threshold_that_is_compared_as_printed_lets_no_more_pass() {
        let labels = Labels::from_reader("path,liveness\na,live\nb,print\n".as_bytes(), "").expect("usable labels");
        let outcomes = [("a", 0.999_15), ("b", 0.999_11)]
            .map(|(path, score)| Outcome { liveness_score: Some(score), ..Outcome::new(path, Word::Ok) });
        let page =
            Evaluation::compute(&labels, &outcomes, &Options::default()).expect("figures").to_html(&Meta::default());
        assert_eq!(occurrences(&page, "<td>0.9992</td>"), 4, "EER and three limits of APCER");
    }

    #[test]
    fn unreadable_files_are_listed_with_their_reasons() {
        let page = complete().to_html(&Meta::default());
        assert!(page.contains("&lt;script&gt;d</th><td>no &lt;file&gt;</td>"));
    }

    #[test]
    fn figures_without_data_are_named_as_not_measured() {
        let labels = Labels::from_reader("path,age\na,30\n".as_bytes(), "").expect("usable labels");
        let evaluation = Evaluation::compute(&labels, &[], &Options::default()).expect("figures");
        let page = evaluation.to_html(&Meta::default());
        for column in ["liveness", "age", "gender", "expected", "yaw"] {
            assert!(page.contains(&format!("<code>{column}</code>")), "{column}");
        }
        assert_eq!(occurrences(&page, "role=\"img\""), 0);
    }

    #[test]
    fn the_json_has_what_the_page_has() {
        let meta = Meta { program: "facegate 1".into(), ..Meta::default() };
        let json = complete().to_json(&meta).expect("JSON");
        let figures: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(figures["meta"]["program"], "facegate 1");
        assert_eq!(figures["sample"]["pictures_analysed"], 3);
        // One picture is labelled 30 and two 40, all are taken for 33: (3 + 7 + 7) / 3.
        let error = figures["age"]["overall"]["mean_absolute_error_years"]["value"].as_f64().expect("a number");
        assert!((error - 17.0 / 3.0).abs() < 1e-12);
        assert_eq!(figures["unreadable"][0]["reason"], "no <file>");
    }
}
