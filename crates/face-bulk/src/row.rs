//! One picture's answer: what the service would send, and a row of a table for CSV, for Parquet and for people.

use face_analysis::report::Details;
use face_analysis::{Analysis, Verdict};

/// What is written of one picture.
#[derive(Debug)]
pub struct Answer {
    /// As cells of a table.
    pub row: Row,
    /// As the service answers, the picture's name for `sessionId`.
    pub json: Vec<u8>,
}

/// The answer for one picture. Absent values are empty cells.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// The picture's path or name.
    pub picture: String,
    /// `OK`, or the word of the API contract.
    pub outcome: &'static str,
    /// The finer reason, as in `errorDetail`.
    pub error: Option<(String, String)>,
    /// Whole years.
    pub age: Option<u8>,
    /// -10000 (certainly male) to 10000 (certainly female).
    pub gender: Option<i32>,
    /// 0 to 1, higher is more alive.
    pub passive_liveness_score: Option<f32>,
    /// Top, left, width, height in pixels.
    pub rectangle: Option<[u32; 4]>,
    /// What was measured, when details were asked for.
    pub details: Option<Box<Details>>,
}

impl Row {
    /// The row of a finished analysis; takes its details. `outcome` is `OK` or the word of the API contract.
    pub fn new(picture: String, outcome: &'static str, analysis: &mut Analysis) -> Self {
        let row = Self { picture, outcome, details: analysis.details.take(), ..Self::default() };
        match &analysis.verdict {
            Verdict::Accepted(face) => Self {
                age: Some(face.age),
                gender: Some(face.gender),
                passive_liveness_score: Some(face.passive_liveness_score),
                rectangle: Some([face.rectangle.top, face.rectangle.left, face.rectangle.width, face.rectangle.height]),
                ..row
            },
            Verdict::Rejected(rejection) => {
                Self { error: Some((rejection.code.to_owned(), rejection.message.clone())), ..row }
            }
        }
    }
    /// The row of what could not be analysed.
    pub fn unreadable(picture: String, code: &str, message: &str) -> Self {
        let error = Some((code.to_owned(), message.to_owned()));
        Self { picture, outcome: "INTERNAL_ERROR", error, ..Self::default() }
    }
}

/// What a cell holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'r> {
    /// Text.
    Text(Option<&'r str>),
    /// A whole number.
    Integer(Option<i32>),
    /// A number in single precision.
    Number(Option<f32>),
}

/// One column. The kind of cell is the same in every row.
#[derive(Debug)]
pub struct Column {
    /// Its name, in snake_case.
    pub name: &'static str,
    /// The cell of a row.
    pub cell: for<'r> fn(&'r Row) -> Cell<'r>,
}

/// The columns of every table.
pub static COLUMNS: [Column; 11] = [
    Column { name: "picture", cell: |row| Cell::Text(Some(&row.picture)) },
    Column { name: "outcome", cell: |row| Cell::Text(Some(row.outcome)) },
    Column { name: "error_code", cell: |row| Cell::Text(row.error.as_ref().map(|(code, _)| code.as_str())) },
    Column { name: "error_message", cell: |row| Cell::Text(row.error.as_ref().map(|(_, message)| message.as_str())) },
    Column { name: "age", cell: |row| Cell::Integer(row.age.map(i32::from)) },
    Column { name: "gender", cell: |row| Cell::Integer(row.gender) },
    Column {
        name: "passive_liveness_score",
        // As many digits as the service sends.
        cell: |row| {
            Cell::Number(row.passive_liveness_score.map(|score| ((f64::from(score) * 1e4).round() / 1e4) as f32))
        },
    },
    Column { name: "top", cell: |row| pixels(row.rectangle.map(|[top, ..]| top)) },
    Column { name: "left", cell: |row| pixels(row.rectangle.map(|[_, left, ..]| left)) },
    Column { name: "width", cell: |row| pixels(row.rectangle.map(|[_, _, width, _]| width)) },
    Column { name: "height", cell: |row| pixels(row.rectangle.map(|[.., height]| height)) },
];

/// Further columns when details are asked for.
pub static DETAIL_COLUMNS: [Column; 14] = [
    Column { name: "image_width", cell: |row| pixels(details(row).map(|d| d.image.width)) },
    Column { name: "image_height", cell: |row| pixels(details(row).map(|d| d.image.height)) },
    Column { name: "image_format", cell: |row| Cell::Text(details(row).map(|d| d.image.format)) },
    Column { name: "faces", cell: |row| pixels(details(row).and_then(|d| u32::try_from(d.faces.len()).ok())) },
    Column {
        name: "detection_score",
        cell: |row| Cell::Number(details(row).and_then(|d| d.faces.first()).map(|face| face.score)),
    },
    Column {
        name: "interpupillary_distance",
        cell: |row| Cell::Number(details(row).and_then(|d| d.interpupillary_distance)),
    },
    Column { name: "yaw", cell: |row| Cell::Number(details(row).and_then(|d| d.pose).map(|pose| pose.yaw)) },
    Column { name: "pitch", cell: |row| Cell::Number(details(row).and_then(|d| d.pose).map(|pose| pose.pitch)) },
    Column { name: "roll", cell: |row| Cell::Number(details(row).and_then(|d| d.pose).map(|pose| pose.roll)) },
    Column {
        name: "occlusion_probability",
        cell: |row| Cell::Number(details(row).and_then(|d| d.occlusion_probability)),
    },
    Column {
        name: "liveness_score",
        cell: |row| Cell::Number(details(row).and_then(|d| d.liveness.as_ref()).map(|liveness| liveness.score)),
    },
    Column {
        name: "liveness_reliability",
        cell: |row| Cell::Number(details(row).and_then(|d| d.liveness.as_ref()).map(|liveness| liveness.reliability)),
    },
    Column { name: "estimated_age", cell: |row| Cell::Number(details(row).and_then(|d| d.age)) },
    Column { name: "female_probability", cell: |row| Cell::Number(details(row).and_then(|d| d.female_probability)) },
];

/// The columns of a table with or without details.
pub fn columns(with_details: bool) -> impl Iterator<Item = &'static Column> + Clone {
    let more: &[Column] = if with_details { &DETAIL_COLUMNS } else { &[] };
    COLUMNS.iter().chain(more)
}

fn details(row: &Row) -> Option<&Details> {
    row.details.as_deref()
}

/// Pixels and counts are far from the limit of the type.
fn pixels(number: Option<u32>) -> Cell<'static> {
    Cell::Integer(number.and_then(|number| i32::try_from(number).ok()))
}

/// Text as a cell of CSV. Spreadsheets take what begins with one of these signs for a formula and run it, and a picture's
/// name is a stranger's word: an apostrophe before it makes it text. (OWASP, CSV Injection; also the wide signs, which
/// spreadsheets in East Asian languages take for the same.)
fn guarded(text: &str) -> String {
    if text.starts_with(GUARDED) { format!("{GUARD}{text}") } else { text.to_owned() }
}

const GUARD: char = '\'';
/// The guard itself too, so that it can be told from a name's own.
const GUARDED: [char; 12] =
    ['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}', GUARD];

/// The text of a cell that [`record`] has written.
pub(crate) fn without_guard(cell: &str) -> &str {
    cell.strip_prefix(GUARD).filter(|rest| rest.starts_with(GUARDED)).unwrap_or(cell)
}

/// The cells as CSV has them.
pub fn record<'r>(row: &'r Row, with_details: bool) -> impl Iterator<Item = String> + use<'r> {
    columns(with_details).map(|column| match (column.cell)(row) {
        Cell::Text(text) => guarded(text.unwrap_or_default()),
        Cell::Integer(number) => number.map(|number| number.to_string()).unwrap_or_default(),
        Cell::Number(number) => number.map(|number| number.to_string()).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the service answers it: rounded in double precision. Half a digit decides between 0.9869 and 0.9870 here.
    #[test]
    fn a_score_has_the_very_digits_that_are_answered() {
        let row = Row { passive_liveness_score: Some(0.98695), ..Row::unreadable("a".into(), "none", "none") };
        assert_eq!(record(&row, false).nth(6).as_deref(), Some("0.9869"));
    }

    #[test]
    fn no_cell_of_text_is_a_formula_and_every_name_can_be_read_back() {
        for name in
            ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\u{ff1d}1", "'=1", "'", "a.jpg", "", "x=1"]
        {
            let row = Row { gender: Some(-9874), ..Row::unreadable(name.into(), "image_malformed", "=why") };
            let cells: Vec<String> = record(&row, false).collect();
            assert!(!cells[0].starts_with(['=', '+', '-', '@', '\t', '\r', '\u{ff1d}']), "{:?}", cells[0]);
            assert_eq!(without_guard(&cells[0]), name);
            assert_eq!((&*cells[3], &*cells[5]), ("'=why", "-9874"), "numbers stay numbers");
        }
        assert_eq!(without_guard("'a.jpg"), "'a.jpg");
    }
}
