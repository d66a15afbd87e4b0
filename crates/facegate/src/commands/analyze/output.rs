//! Where answers go, and how they are written.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use face_bulk::names::{recorded_path, shown};
use face_bulk::results::{ResultsError, ResultsFile, RowFormat, csv_line};
use face_bulk::row::{self, Answer, columns};

use super::super::CommandError;
use super::AnalyzeArgs;
use super::table::{table_head, table_line};
use crate::config::Config;
use crate::record;

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// What the service answers, one JSON object a line.
    Jsonl,
    /// The same objects in one JSON array.
    Json,
    /// Comma-separated values with a header.
    Csv,
    /// Columns for people.
    Table,
}

/// Where answers go, and how.
pub(super) struct Output {
    format: Format,
    pub(super) destination: Destination,
    details: bool,
    /// Answers written by this run.
    written: usize,
    /// Letters in the table's first column.
    width: usize,
}

pub(super) enum Destination {
    Stdout,
    File(ResultsFile),
}

impl Output {
    pub(super) fn new(args: &AnalyzeArgs, config: &Config, pictures: &[PathBuf]) -> Result<Self, CommandError> {
        let ending = args.out.as_deref().and_then(Path::extension).and_then(|ending| ending.to_str());
        let by_ending = ending.and_then(|ending| Format::from_str(ending, true).ok());
        let format = match (args.format.or(by_ending), &args.out) {
            (Some(format), _) => format,
            (None, None) => Format::Jsonl,
            (None, Some(out)) => {
                return Err(CommandError::new(format!(
                    "--out: {} ends neither in .jsonl nor in .csv: name such a file, or add --format jsonl or --format csv",
                    out.display()
                )));
            }
        };
        if args.face_image && matches!(format, Format::Csv | Format::Table) {
            return Err(CommandError::new(
                "--face-image needs --format jsonl or json, since csv and table have no place for a picture: leave it out, \
                 or choose one of these",
            ));
        }
        let destination = match &args.out {
            None => Destination::Stdout,
            Some(out) => {
                let rows = match format {
                    Format::Jsonl => RowFormat::Jsonl,
                    Format::Csv => RowFormat::Csv,
                    Format::Json | Format::Table => {
                        return Err(CommandError::new(
                            "--out takes --format jsonl or csv, which a later run can go on with: redirect the output \
                             of the other formats",
                        ));
                    }
                };
                let name = if rows == RowFormat::Csv { "csv" } else { "jsonl" };
                let record = record::record(config, name, args.details, args.face_image)?;
                // From another folder the same names lead to other pictures.
                let is_relative = args.pictures.iter().any(|picture| picture.is_relative());
                let folder = is_relative.then(std::env::current_dir).transpose()?;
                let folder = folder.map(|folder| recorded_path(&folder));
                Destination::File(ResultsFile::resume(out, rows, args.details, &record, folder.as_deref())?)
            }
        };
        let longest = pictures.iter().map(|picture| console::measure_text_width(&shown(&recorded_path(picture)))).max();
        let width = longest.unwrap_or_default().clamp(7, 60);
        Ok(Self { format, destination, details: args.details, written: 0, width })
    }

    pub(super) fn write(&mut self, answer: &Answer) -> Result<(), CommandError> {
        let mut line = Vec::new();
        match self.format {
            Format::Jsonl => {
                line.extend_from_slice(&answer.json);
                line.push(b'\n');
            }
            Format::Json => {
                line.extend_from_slice(if self.written == 0 { b"[\n" } else { b",\n" });
                line.extend_from_slice(&answer.json);
            }
            Format::Csv => {
                if self.written == 0 && matches!(self.destination, Destination::Stdout) {
                    line.extend(csv_line(columns(self.details).map(|column| column.name)));
                }
                line.extend(csv_line(row::record(&answer.row, self.details)));
            }
            Format::Table => {
                if self.written == 0 {
                    line.extend(table_head(self.width).into_bytes());
                }
                line.extend(table_line(&answer.row, self.width).into_bytes());
            }
        }
        self.written += 1;
        match &mut self.destination {
            // Colours are taken out unless it is a terminal.
            Destination::Stdout => anstream::stdout().lock().write_all(&line)?,
            Destination::File(results) => results.append(&line)?,
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), ResultsError> {
        if self.format == Format::Json {
            let end: &[u8] = if self.written == 0 { b"[]\n" } else { b"\n]\n" };
            let written = std::io::stdout().lock().write_all(end);
            return written.map_err(|source| ResultsError::Io { path: "standard output".into(), source });
        }
        Ok(())
    }
}
