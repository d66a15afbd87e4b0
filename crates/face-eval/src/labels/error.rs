//! Why labels cannot be used, in words that name line and column.

use std::io;
use std::path::PathBuf;

use super::column::Column;

/// The labels cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LabelsError {
    /// The file cannot be opened.
    #[error("cannot open `{path}`: {source}")]
    Open {
        /// The CSV.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The text is no CSV, or no UTF-8, or a row has more or fewer cells than the first line.
    #[error("line {line}: {source}")]
    Csv {
        /// Line number from 1.
        line: u64,
        /// What the reader said.
        source: csv::Error,
    },
    /// The first line names a column that does not exist.
    #[error("there is no column `{column}`; {}", .meant.map_or_else(all_columns, |meant| format!("did you mean `{meant}`?")))]
    UnknownColumn {
        /// What was written.
        column: String,
        /// The column that is written alike.
        meant: Option<Column>,
    },
    /// The first line is one cell with something else than commas in it.
    #[error("the first line has no comma: columns are divided by commas, and not by {separator}")]
    Separator {
        /// What divides them instead.
        separator: &'static str,
    },
    /// The first line names a column twice.
    #[error("the column `{column}` is there twice")]
    RepeatedColumn {
        /// The column.
        column: Column,
    },
    /// A column that others need is not there.
    #[error("the column `{column}` is missing{}", if *.column == Column::Path { "" } else { ": boxes need x, y, w and h" })]
    MissingColumn {
        /// The column.
        column: Column,
    },
    /// There is only `path`.
    #[error("there is no column beside `path`, so there is nothing to compare with")]
    NoLabelColumn,
    /// There is no row.
    #[error("there is no picture in the list")]
    NoRows,
    /// A cell holds something else than its column may.
    #[error("line {line}, column `{column}`: `{value}` is not {wanted}")]
    Cell {
        /// Line number from 1.
        line: u64,
        /// The column.
        column: Column,
        /// What the cell holds.
        value: String,
        /// What it may hold.
        wanted: String,
    },
    /// Two rows of one picture contradict each other.
    #[error("line {line}, column `{column}`: an earlier row says something else about `{path}`")]
    Contradiction {
        /// Line number of the later row, from 1.
        line: u64,
        /// The column; `x` for a picture that has a box in one row and no face in another.
        column: Column,
        /// The picture.
        path: String,
    },
}

fn all_columns() -> String {
    let names = Column::ALL.map(|column| format!("`{column}`"));
    format!("the columns are {}; leave others out", names.join(", "))
}
