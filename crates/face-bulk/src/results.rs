//! Files of results that an interrupted run goes on with, beside the record of what they were made with.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::row::{columns, without_guard};

/// The results cannot be written or gone on with.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The file cannot be opened, read, shortened or written.
    #[error("cannot use {path}: {source}")]
    Io {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another run writes to it.
    #[error("another run is writing {0}: give this one another file, or let that one finish")]
    InUse(PathBuf),
    /// It was not made by a run of this kind.
    #[error("{path} is there already, and {missing} beside it is not: give another file, or delete it")]
    Foreign {
        /// The results.
        path: PathBuf,
        /// Where the record of the run should be.
        missing: PathBuf,
    },
    /// It was begun with other settings, networks, or another version.
    #[error("{path} was begun with another {what}: results of both would not compare; give another file, or delete it")]
    OtherRun {
        /// The results.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// A line before the last is damaged.
    #[error("{path}, line {line}: {reason}")]
    Line {
        /// The results.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
}

/// What a row of results looks like in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFormat {
    /// One JSON object a line, whose `sessionId` is the picture's name.
    Jsonl,
    /// Comma-separated values (RFC 4180) with a header, whose first column is the picture's name.
    Csv,
}

/// The dotted names of the values in which two records differ, with commas between them; `None` when they are equal.
pub fn difference(a: &Value, b: &Value) -> Option<String> {
    if a == b {
        return None;
    }
    let names = differing(a, b);
    // One of them is no record at all.
    Some(if names.is_empty() { "record".to_owned() } else { names.join(", ") })
}

fn differing(a: &Value, b: &Value) -> Vec<String> {
    let (Value::Object(a), Value::Object(b)) = (a, b) else { return Vec::new() };
    let mut names = Vec::new();
    for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
        let (a, b) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
        match differing(a, b) {
            _ if a == b => {}
            inner if inner.is_empty() => names.push(key.clone()),
            inner => names.extend(inner.into_iter().map(|name| format!("{key}.{name}"))),
        }
    }
    names
}

/// The value of a record that says from where the relative names of its pictures lead to them.
const FOLDER: &str = "working_folder";

/// Writes a record in the place of the one that is there, if any; who reads it finds all of one of them.
fn put(path: &Path, record: &Value) -> Result<(), ResultsError> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = std::fs::write(&part, format!("{record:#}\n")).and_then(|()| std::fs::rename(&part, path));
    written.map_err(|source| ResultsError::Io { path: path.to_owned(), source })
}

/// A file of rows to which a run appends and from which the next one goes on.
#[derive(Debug)]
pub struct ResultsFile {
    path: PathBuf,
    file: File,
    done: HashSet<String>,
}

impl ResultsFile {
    /// Opens the results or begins them. A last line that a killed run has not finished is cut off, so that its picture
    /// is analysed anew. The file stays locked until this is dropped.
    ///
    /// The record of what the results were made with stands beside them in a file with `.run.json` appended. `folder` is from
    /// where relative names lead to their pictures, when this run has such names: from another one they lead to others. Those
    /// that begin at the root lead to the same from everywhere, and may come before or after.
    pub fn resume(
        path: &Path,
        format: RowFormat,
        details: bool,
        record: &Value,
        folder: Option<&str>,
    ) -> Result<Self, ResultsError> {
        let io = |source| ResultsError::Io { path: path.to_owned(), source };
        let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).map_err(io)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => ResultsError::InUse(path.to_owned()),
            TryLockError::Error(source) => io(source),
        })?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".run.json");
        let beside = PathBuf::from(beside);
        let mut record = record.clone();
        if let Some(folder) = folder {
            record[FOLDER] = folder.into();
        }
        if file.metadata().map_err(io)?.len() == 0 {
            put(&beside, &record)?;
        } else {
            let text = std::fs::read(&beside)
                .map_err(|_| ResultsError::Foreign { path: path.to_owned(), missing: beside.clone() })?;
            let mut begun: Value = serde_json::from_slice(&text).unwrap_or_default();
            // Where only one of the two has relative names, its folder is that of all of them.
            let known = begun.get(FOLDER).cloned();
            match (&known, folder) {
                (None, Some(folder)) if begun.is_object() => begun[FOLDER] = folder.into(),
                (Some(known), None) => record[FOLDER] = known.clone(),
                _ => {}
            }
            if let Some(what) = difference(&begun, &record) {
                return Err(ResultsError::OtherRun { path: path.to_owned(), what });
            }
            if known.is_none() && folder.is_some() {
                put(&beside, &record)?;
            }
        }
        let (done, end) = match format {
            RowFormat::Jsonl => names_in_jsonl(&file, path)?,
            RowFormat::Csv => names_in_csv(&file, path, details)?,
        };
        file.set_len(end).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        let mut results = Self { path: path.to_owned(), file, done };
        if end == 0 && format == RowFormat::Csv {
            results.append(&csv_line(columns(details).map(|column| column.name)))?;
        }
        Ok(results)
    }

    /// The pictures that are in the file.
    pub fn done(&self) -> &HashSet<String> {
        &self.done
    }

    /// Appends one line, which ends with a line feed.
    pub fn append(&mut self, line: &[u8]) -> Result<(), ResultsError> {
        self.file.write_all(line).map_err(|source| ResultsError::Io { path: self.path.clone(), source })
    }
}

/// One record of CSV with its line feed.
pub fn csv_line(cells: impl Iterator<Item = impl AsRef<[u8]>>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to memory cannot fail, nor can a single record have the wrong number of cells.
    let _ = writer.write_record(cells);
    writer.into_inner().unwrap_or_default()
}

/// The names in the lines, and where the last complete line ends.
fn names_in_jsonl(file: &File, path: &Path) -> Result<(HashSet<String>, u64), ResultsError> {
    /// All that is looked at.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Line {
        session_id: String,
    }
    let mut reader = BufReader::new(file);
    let (mut names, mut end, mut number, mut line) = (HashSet::new(), 0, 0, Vec::new());
    loop {
        line.clear();
        let length =
            reader.read_until(b'\n', &mut line).map_err(|source| ResultsError::Io { path: path.to_owned(), source })?;
        if line.last() != Some(&b'\n') {
            return Ok((names, end));
        }
        number += 1;
        let read: Line = serde_json::from_slice(&line).map_err(|error| ResultsError::Line {
            path: path.to_owned(),
            line: number,
            reason: error.to_string(),
        })?;
        names.insert(read.session_id);
        end += length as u64;
    }
}

/// The names in the first column, and where the last complete record ends.
fn names_in_csv(file: &File, path: &Path, details: bool) -> Result<(HashSet<String>, u64), ResultsError> {
    let bad = |line: u64, reason: String| ResultsError::Line { path: path.to_owned(), line, reason };
    let io = |source| ResultsError::Io { path: path.to_owned(), source };
    let length = file.metadata().map_err(io)?.len();
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(BufReader::new(file));
    let expected = columns(details).count();
    let (mut names, mut end) = (HashSet::new(), 0);
    let mut record = csv::StringRecord::new();
    loop {
        let line = reader.position().line();
        let read = reader.read_record(&mut record);
        let after = reader.position().byte();
        match read {
            Ok(false) => return Ok((names, end)),
            // A killed run leaves a last record that lacks its end.
            Ok(true) if after >= length && !ends_with_line_feed(file).map_err(io)? => return Ok((names, end)),
            Ok(true) if record.len() == expected => {}
            _ if after >= length => return Ok((names, end)),
            Ok(true) => return Err(bad(line, format!("{} cells, {expected} expected", record.len()))),
            Err(error) => return Err(bad(line, error.to_string())),
        }
        if end > 0 {
            names.insert(without_guard(record.get(0).unwrap_or_default()).to_owned());
        }
        end = after;
    }
}

fn ends_with_line_feed(mut file: &File) -> io::Result<bool> {
    let here = file.stream_position()?;
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    io::Read::read_exact(&mut file, &mut last)?;
    file.seek(SeekFrom::Start(here))?;
    Ok(last == [b'\n'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use crate::row::{Row, record as cells};

    fn line(format: RowFormat, name: &str) -> Vec<u8> {
        let message = "the \"picture\" is\nno picture, is it";
        match format {
            RowFormat::Csv => csv_line(cells(&Row::unreadable(name.into(), "image_malformed", message), false)),
            RowFormat::Jsonl => {
                let detail = json!({ "code": "image_malformed", "message": message });
                format!("{}\n", json!({ "sessionId": name, "hasError": true, "errorDetail": detail })).into_bytes()
            }
        }
    }

    fn record(format: &str, min_score: f64) -> Value {
        json!({ "format": format, "analysis": { "detection": { "min_score": min_score } } })
    }

    const NAMES: [&str; 7] = ["a.jpg", "b, \"c\".jpg", "d\ne.jpg", "ü.jpg", "=1+1.jpg", "'=1.jpg", "-a.jpg"];

    #[test]
    fn a_run_that_was_cut_off_anywhere_goes_on_without_losing_or_repeating_a_row() {
        let settings = record("x", 0.5);
        for format in [RowFormat::Csv, RowFormat::Jsonl] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("results");
            let mut results = ResultsFile::resume(&path, format, false, &settings, None).expect("begins");
            NAMES.iter().for_each(|name| results.append(&line(format, name)).expect("appends"));
            drop(results);
            let whole = std::fs::read(&path).expect("reads");
            for length in 1..=whole.len() {
                std::fs::write(&path, &whole[..length]).expect("writes");
                let mut results = ResultsFile::resume(&path, format, false, &settings, None).expect("goes on");
                let open: Vec<_> = NAMES.iter().filter(|name| !results.done().contains(**name)).collect();
                open.iter().for_each(|name| results.append(&line(format, name)).expect("appends"));
                drop(results);
                assert_eq!(std::fs::read(&path).expect("reads"), whole, "{format:?} cut after {length} bytes");
            }
        }
    }

    #[test]
    fn what_another_run_has_made_or_is_making_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("results.jsonl");
        let settings = record("jsonl", 0.5);
        let resume = |settings: &Value| ResultsFile::resume(&path, RowFormat::Jsonl, false, settings, None);
        let mut first = resume(&settings).expect("begins");
        assert!(matches!(resume(&settings), Err(ResultsError::InUse(_))));
        first.append(&line(RowFormat::Jsonl, "a")).expect("appends");
        drop(first);
        let error = resume(&record("csv", 0.7)).expect_err("other settings").to_string();
        assert!(error.contains("another format, analysis.detection.min_score:"), "{error}");
        std::fs::remove_file(folder.path().join("results.jsonl.run.json")).expect("removes");
        assert!(matches!(resume(&settings), Err(ResultsError::Foreign { .. })));
        assert_eq!(std::fs::read(&path).expect("reads"), line(RowFormat::Jsonl, "a"));
    }

    #[test]
    fn names_that_begin_at_the_root_come_before_and_after_relative_ones_of_one_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("results.jsonl");
        let settings = record("jsonl", 0.5);
        let run = |name: &str, from: Option<&str>| {
            let mut results = ResultsFile::resume(&path, RowFormat::Jsonl, false, &settings, from)?;
            results.append(&line(RowFormat::Jsonl, name))
        };
        run("/one/a", None).expect("begins");
        run("b", Some("/one")).expect("the first relative name");
        let refused = run("b", Some("/two")).expect_err("another picture").to_string();
        assert!(refused.contains("another working_folder:"), "{refused}");
        run("/two/b", None).expect("the same from everywhere");
        run("c", Some("/one")).expect("goes on");
        assert!(run("c", Some("/two")).is_err(), "the folder is still known");
        let other = ResultsFile::resume(&path, RowFormat::Jsonl, false, &record("jsonl", 0.7), Some("/two"));
        let refused = other.expect_err("other settings").to_string();
        assert!(refused.contains("another analysis.detection.min_score, working_folder:"), "{refused}");
    }

    #[test]
    fn a_damaged_line_before_the_last_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        for (format, text) in [
            (RowFormat::Jsonl, "{\"sessionId\":\"a\"}\nnonsense\n{\"sessionId\":\"b\"}\n"),
            (RowFormat::Csv, "picture\na,b\nc\n"),
        ] {
            let path = folder.path().join(format!("{format:?}"));
            let settings = record("x", 0.5);
            drop(ResultsFile::resume(&path, format, false, &settings, None).expect("begins"));
            std::fs::write(&path, text).expect("writes");
            let error = ResultsFile::resume(&path, format, false, &settings, None).expect_err("damaged");
            assert!(matches!(error, ResultsError::Line { .. }), "{error}");
        }
    }
}
