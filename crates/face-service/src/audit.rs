//! Who asked when, and what came of it: one JSON line for each detect request. No picture, no estimate, no score.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use face_analysis::report::MODELS;
use serde::Serialize;

/// The log, which is moved aside when it is full.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    max_bytes: u64,
    keep: usize,
    models: Vec<String>,
    file: Mutex<(File, u64)>,
}

/// One request.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry<'a> {
    /// The authenticated user; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a str>,
    /// The caller's `sessionId`; absent when it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<&'a str>,
    /// The HTTP status.
    pub status: u16,
    /// `OK` or the word of the contract.
    pub outcome: &'a str,
    /// The finer reason of an `INTERNAL_ERROR`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub code: &'a str,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(flatten)]
    entry: Entry<'a>,
    version: &'a str,
    models: &'a [String],
}

impl Audit {
    /// Appends to `path`. When it would grow beyond `max_bytes` it becomes `path.1`, that `path.2`, up to `keep`.
    pub fn open(path: &Path, max_bytes: u64, keep: usize) -> io::Result<Self> {
        let file = Mutex::new(append(path)?);
        let models = MODELS.iter().map(|model| format!("{} {}", model.name, model.version)).collect();
        Ok(Self { path: path.to_owned(), max_bytes, keep, models, file })
    }

    /// Writes one line.
    pub fn write(&self, entry: Entry<'_>) -> io::Result<()> {
        let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let mut line =
            serde_json::to_vec(&Line { time, entry, version: env!("CARGO_PKG_VERSION"), models: &self.models })?;
        line.push(b'\n');
        let mut open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if open.1 > 0 && open.1 + line.len() as u64 > self.max_bytes {
            self.move_aside()?;
            *open = append(&self.path)?;
        }
        // One write, so that a line is whole or not there.
        open.0.write_all(&line)?;
        open.1 += line.len() as u64;
        Ok(())
    }

    fn move_aside(&self) -> io::Result<()> {
        let numbered = |number: usize| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        if self.keep == 0 {
            return std::fs::remove_file(&self.path);
        }
        for number in (1..self.keep).rev() {
            if numbered(number).exists() {
                std::fs::rename(numbered(number), numbered(number + 1))?;
            }
        }
        std::fs::rename(&self.path, numbered(1))
    }
}

fn append(path: &Path) -> io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_files_move_aside_and_the_oldest_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.jsonl");
        let entry = Entry { user: Some("ann"), session_id: Some("s"), status: 200, outcome: "OK", code: "" };
        let audit = Audit::open(&path, 900, 2).expect("opens");
        for _ in 0..12 {
            audit.write(entry).expect("writes");
        }
        let mut names: Vec<_> =
            std::fs::read_dir(folder.path()).expect("a folder").map(|f| f.expect("a file").file_name()).collect();
        names.sort();
        assert_eq!(names, ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]);
        for name in names {
            let text = std::fs::read_to_string(folder.path().join(name)).expect("text");
            assert!(text.len() <= 900 && text.ends_with('\n'), "{}", text.len());
            for line in text.lines() {
                let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
                assert_eq!(
                    (&line["user"], &line["sessionId"], &line["outcome"]),
                    (&"ann".into(), &"s".into(), &"OK".into())
                );
                assert!(line["time"].is_string() && line["models"].as_array().is_some_and(|m| m.len() == MODELS.len()));
            }
        }
    }

    #[test]
    fn an_existing_file_is_continued() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.jsonl");
        let entry = Entry { user: None, session_id: None, status: 401, outcome: "INTERNAL_ERROR", code: "x" };
        for _ in 0..2 {
            Audit::open(&path, 1 << 20, 1).expect("opens").write(entry).expect("writes");
        }
        assert_eq!(std::fs::read_to_string(&path).expect("text").lines().count(), 2);
    }
}
