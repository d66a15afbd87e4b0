//! What the service answered for each picture, and the log that lets an interrupted run go on.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::word::Word;

/// Version of the log's lines.
const FORMAT: u32 = 3;

/// What became of one picture. One JSON line in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The picture, as [`LabelledPicture::path`](crate::LabelledPicture::path) has it.
    pub path: String,
    /// What tells the picture's bytes from others under the same path, such as their hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// `OK`, or the word that the service rejects the picture with.
    pub word: Word,
    /// Why the picture could not be analysed at all. Such pictures are listed and left out of the figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<Unreadable>,
    /// Every face at or above the detector's threshold; empty when there is none, absent when it did not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faces: Option<Vec<DetectedFace>>,
    /// 0 to 1, higher is more alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness_score: Option<f64>,
    /// What the score is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness_reasons: Option<LivenessReasons>,
    /// Estimated age in years, 0 to 150.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<f64>,
    /// -10000 (certainly male) to 10000 (certainly female), 0 undecided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gender: Option<i32>,
    /// Rotation of the head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pose: Option<Pose>,
}

/// What a liveness score is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LivenessReasons {
    /// Each network's own probability of a live face, 0 to 1, by the network's name.
    pub networks: BTreeMap<String, f64>,
    /// The smaller of picture width / face width and picture height / face height, above 0.
    pub surrounding: f64,
    /// 0 (with so little surrounding the score says nothing) to 1 (as sure as it gets).
    pub reliability: f64,
}

/// Why a picture could not be analysed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", content = "reason", rename_all = "snake_case")]
pub enum Unreadable {
    /// The file could not be read, so the service has not seen it: left out of every figure.
    File(String),
    /// The bytes are no picture that the service decodes. It answers with a word, so the picture stands in the
    /// table of expected and given words, and nowhere else.
    Picture(String),
}

impl Unreadable {
    /// The reason as a sentence.
    pub fn reason(&self) -> &str {
        match self {
            Self::File(reason) | Self::Picture(reason) => reason,
        }
    }
}

/// A detection: a box in pixels of the picture as a person sees it, which may reach beyond the picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectedFace {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width, above 0.
    pub w: f64,
    /// Height, above 0.
    pub h: f64,
    /// Detection score, 0 to 1, higher is surer.
    pub score: f64,
}

/// Rotation of the head in degrees, -180 to 180; 0, 0, 0 looks straight into the camera.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pose {
    /// Positive when the person turns to their left (the nose points to the right side of the picture).
    pub yaw: f64,
    /// Positive when the person looks up.
    pub pitch: f64,
    /// Positive when the head leans clockwise in the picture.
    pub roll: f64,
}

/// A value that an outcome cannot have.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("outcome of `{path}`: `{field}` is {value}, which is not {range}")]
pub struct InvalidOutcome {
    /// The picture.
    pub path: String,
    /// The field.
    pub field: &'static str,
    /// What it holds.
    pub value: String,
    /// What it may hold.
    pub range: &'static str,
}

impl Outcome {
    /// An outcome without measurements.
    pub fn new(path: impl Into<String>, word: Word) -> Self {
        Self {
            path: path.into(),
            digest: None,
            word,
            unreadable: None,
            faces: None,
            liveness_score: None,
            liveness_reasons: None,
            age: None,
            gender: None,
            pose: None,
        }
    }

    /// The outcome of a picture that could not be analysed.
    pub fn unreadable(path: impl Into<String>, why: Unreadable) -> Self {
        Self { unreadable: Some(why), ..Self::new(path, Word::InternalError) }
    }

    /// Refuses values that no analysis can give, NaN among them, so that the metrics need not expect them.
    pub fn validate(&self) -> Result<(), InvalidOutcome> {
        let refuse = |field, value: &dyn ToString, range| {
            Err(InvalidOutcome { path: self.path.clone(), field, value: value.to_string(), range })
        };
        if self.path.is_empty() {
            return refuse("path", &"empty", "the path of a labelled picture");
        }
        if self.unreadable.is_some() && self.word != Word::InternalError {
            return refuse("word", &self.word, "INTERNAL_ERROR, the only word for an unreadable picture");
        }
        for face in self.faces.iter().flatten() {
            for (field, value) in [("x", face.x), ("y", face.y)] {
                if !value.is_finite() {
                    return refuse(field, &value, "a finite number of pixels");
                }
            }
            for (field, value) in [("w", face.w), ("h", face.h)] {
                if !(value.is_finite() && value > 0.0) {
                    return refuse(field, &value, "a finite number of pixels above 0");
                }
            }
            if !(0.0..=1.0).contains(&face.score) {
                return refuse("score", &face.score, "between 0 and 1");
            }
        }
        match (self.liveness_score, self.age, self.gender) {
            (Some(score), _, _) if !(0.0..=1.0).contains(&score) => {
                return refuse("liveness_score", &score, "between 0 and 1");
            }
            (_, Some(age), _) if !(0.0..=150.0).contains(&age) => {
                return refuse("age", &age, "between 0 and 150 years");
            }
            (_, _, Some(gender)) if !(-10_000..=10_000).contains(&gender) => {
                return refuse("gender", &gender, "between -10000 and 10000");
            }
            _ => {}
        }
        if let Some(reasons) = &self.liveness_reasons {
            for (network, score) in &reasons.networks {
                if !(0.0..=1.0).contains(score) {
                    return refuse("networks", &format!("{network}: {score}"), "between 0 and 1");
                }
            }
            if !(reasons.surrounding.is_finite() && reasons.surrounding > 0.0) {
                return refuse("surrounding", &reasons.surrounding, "a finite number above 0");
            }
            if !(0.0..=1.0).contains(&reasons.reliability) {
                return refuse("reliability", &reasons.reliability, "between 0 and 1");
            }
        }
        if let Some(pose) = self.pose {
            for (field, value) in [("yaw", pose.yaw), ("pitch", pose.pitch), ("roll", pose.roll)] {
                if !(-180.0..=180.0).contains(&value) {
                    return refuse(field, &value, "between -180 and 180 degrees");
                }
            }
        }
        Ok(())
    }
}

/// The log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum OutcomesError {
    /// The file cannot be opened, read, shortened or written.
    #[error("cannot use `{path}`: {source}")]
    Io {
        /// The log.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another run writes to the log.
    #[error("another evaluation is writing `{path}`; give this one another output folder, or let that one finish")]
    InUse {
        /// The log.
        path: PathBuf,
    },
    /// The log was begun with other settings or models, or by a release with another format.
    #[error(
        "`{path}` holds outcomes of other settings ({found}; now {wanted}): figures of both together would describe \
         neither; give another output folder or delete the file"
    )]
    OtherSettings {
        /// The log.
        path: PathBuf,
        /// Settings that the log was begun with.
        found: String,
        /// Settings of this run.
        wanted: String,
    },
    /// The log is of pictures in another folder.
    #[error(
        "`{path}` holds outcomes of pictures in `{found}`, and these are in `{wanted}`: give another output folder; if \
         it is the same folder under another name, write that into the file's first line"
    )]
    OtherFolder {
        /// The log.
        path: PathBuf,
        /// Folder that the log was begun with.
        found: String,
        /// Folder of this run.
        wanted: String,
    },
    /// The file does not begin like a log.
    #[error("`{path}` is no log of outcomes, and is left as it is: give another output folder or move the file")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A line before the last is damaged.
    #[error("`{path}`, line {line}: {source}")]
    Line {
        /// The log.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A line holds an impossible value.
    #[error("`{path}`, line {line}: {source}")]
    Value {
        /// The log.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
        /// The value.
        source: InvalidOutcome,
    },
    /// An outcome that was to be written holds an impossible value.
    #[error(transparent)]
    Invalid(#[from] InvalidOutcome),
}

/// First line of the log.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    #[serde(default)]
    folder: String,
    settings: String,
}

/// A file with one JSON line per analysed picture, to which a run appends and from which the next one resumes.
#[derive(Debug)]
pub struct OutcomeLog {
    path: PathBuf,
    file: File,
}

impl OutcomeLog {
    /// Opens or begins the log and returns the outcomes that it already holds.
    ///
    /// `settings` is any text that differs when outcomes would (a digest of settings, models and version); a log
    /// that was begun with another is refused, and so is one of pictures in another `folder`, where the same paths lead
    /// to other pictures. An unterminated last line, left by a run that was killed while it wrote, is cut off, so that its
    /// picture is analysed anew. The file stays locked until the log is dropped.
    pub fn resume(
        path: impl Into<PathBuf>,
        settings: &str,
        folder: &str,
    ) -> Result<(Self, Vec<Outcome>), OutcomesError> {
        let path = path.into();
        let failed = |source| OutcomesError::Io { path: path.clone(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OutcomesError::InUse { path }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let wanted = Header { format: FORMAT, folder: folder.to_owned(), settings: settings.to_owned() };
        let header = line(&wanted).map_err(failed)?;
        // Nothing is cut off before it is known to be ours.
        let outcomes = match whole {
            0 if header.starts_with(&bytes) => Vec::new(),
            0 => return Err(OutcomesError::Foreign { path }),
            _ => parse(&path, &bytes[..whole], &wanted)?,
        };
        file.set_len(whole as u64).map_err(failed)?;
        file.seek(SeekFrom::Start(whole as u64)).map_err(failed)?;
        if whole == 0 {
            file.write_all(&header).map_err(failed)?;
        }
        Ok((Self { path, file }, outcomes))
    }

    /// Appends one outcome.
    pub fn append(&mut self, outcome: &Outcome) -> Result<(), OutcomesError> {
        outcome.validate()?;
        line(outcome)
            .and_then(|line| self.file.write_all(&line))
            .map_err(|source| OutcomesError::Io { path: self.path.clone(), source })
    }
}

/// A line, to be written in a single call, so that a killed run leaves whole lines and at most one torn one.
fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

fn parse(path: &Path, bytes: &[u8], wanted: &Header) -> Result<Vec<Outcome>, OutcomesError> {
    let damaged = |line, source| OutcomesError::Line { path: path.to_owned(), line, source };
    let mut lines = (1..).zip(bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()));
    let found: Option<Header> = lines.next().and_then(|(_, header)| serde_json::from_slice(header).ok());
    let Some(found) = found else { return Err(OutcomesError::Foreign { path: path.to_owned() }) };
    if (found.format, &found.settings) != (wanted.format, &wanted.settings) {
        return Err(OutcomesError::OtherSettings {
            path: path.to_owned(),
            found: format!("format {}, {}", found.format, found.settings),
            wanted: format!("format {}, {}", wanted.format, wanted.settings),
        });
    }
    if found.folder != wanted.folder {
        let (found, wanted) = (found.folder, wanted.folder.clone());
        return Err(OutcomesError::OtherFolder { path: path.to_owned(), found, wanted });
    }
    lines
        .map(|(line, bytes)| {
            let outcome: Outcome = serde_json::from_slice(bytes).map_err(|source| damaged(line, source))?;
            match outcome.validate() {
                Ok(()) => Ok(outcome),
                Err(source) => Err(OutcomesError::Value { path: path.to_owned(), line, source }),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons() -> LivenessReasons {
        LivenessReasons { networks: [("first".to_owned(), 0.25)].into(), surrounding: 2.5, reliability: 1.0 }
    }

    fn full_outcome() -> Outcome {
        Outcome {
            faces: Some(vec![DetectedFace { x: -3.5, y: 2.0, w: 100.0, h: 120.25, score: 0.875 }]),
            digest: Some("5f3a9c21".to_owned()),
            liveness_score: Some(0.5),
            liveness_reasons: Some(reasons()),
            age: Some(31.0),
            gender: Some(-9874),
            pose: Some(Pose { yaw: 1.5, pitch: -2.0, roll: 0.0 }),
            ..Outcome::new("a.jpg", Word::Ok)
        }
    }

    #[test]
    fn a_log_that_was_closed_gives_back_what_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("outcomes.jsonl");
        let gone = Outcome::unreadable("b.jpg", Unreadable::File("no such file".into()));
        {
            let (mut log, before) = OutcomeLog::resume(&path, "v1", "/a").expect("a new log");
            assert!(before.is_empty());
            log.append(&full_outcome()).expect("written");
            log.append(&gone).expect("written");
        }
        let (_, outcomes) = OutcomeLog::resume(&path, "v1", "/a").expect("the same log");
        assert_eq!(outcomes, [full_outcome(), gone]);
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_the_log_goes_on_after_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("outcomes.jsonl");
        let line = r#"{"path":"a.jpg","word":"OK"}"#;
        // Longer than the line that is appended next, which must not leave a part of it standing.
        let torn = r#"{"path":"b.jpg","word":"FACE_TOO_CLOSE","age":31.0,"gender":-9874,"pose":{"yaw":1.5,"pit"#;
        std::fs::write(&path, format!("{{\"format\":3,\"folder\":\"/a\",\"settings\":\"v1\"}}\n{line}\n{torn}"))
            .expect("written");
        {
            let (mut log, outcomes) = OutcomeLog::resume(&path, "v1", "/a").expect("the log");
            assert_eq!(outcomes, [Outcome::new("a.jpg", Word::Ok)]);
            log.append(&Outcome::new("b.jpg", Word::FaceCropped)).expect("written");
        }
        let (_, outcomes) = OutcomeLog::resume(&path, "v1", "/a").expect("the log");
        assert_eq!(outcomes, [Outcome::new("a.jpg", Word::Ok), Outcome::new("b.jpg", Word::FaceCropped)]);
    }

    #[test]
    fn a_header_torn_by_a_kill_begins_the_log_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("outcomes.jsonl");
        std::fs::write(&path, "{\"form").expect("written");
        let (_, outcomes) = OutcomeLog::resume(&path, "v1", "/a").expect("a new log");
        assert!(outcomes.is_empty());
        assert_eq!(
            std::fs::read_to_string(&path).expect("text"),
            "{\"format\":3,\"folder\":\"/a\",\"settings\":\"v1\"}\n"
        );
    }

    #[test]
    fn outcomes_of_other_settings_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("outcomes.jsonl");
        drop(OutcomeLog::resume(&path, "v1", "/a").expect("a new log"));
        assert!(matches!(OutcomeLog::resume(&path, "v2", "/a"), Err(OutcomesError::OtherSettings { .. })));
        std::fs::write(&path, "{\"format\":2,\"settings\":\"v1\"}\n").expect("written");
        assert!(matches!(OutcomeLog::resume(&path, "v1", "/a"), Err(OutcomesError::OtherSettings { .. })));
    }

    #[test]
    fn outcomes_of_the_same_names_in_another_folder_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("outcomes.jsonl");
        drop(OutcomeLog::resume(&path, "v1", "/a").expect("a new log"));
        let refused = OutcomeLog::resume(&path, "v1", "/b").expect_err("other pictures").to_string();
        assert!(refused.contains("`/a`") && refused.contains("`/b`"), "{refused}");
    }

    #[test]
    fn a_file_that_is_no_log_is_left_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("outcomes.jsonl");
        for text in ["notes", "{\"format\":2,\"sett", "notes\nand more", "{\"a\":1}\n{\"a\":"] {
            std::fs::write(&path, text).expect("written");
            assert!(matches!(OutcomeLog::resume(&path, "v1", "/a"), Err(OutcomesError::Foreign { .. })), "{text}");
            assert_eq!(std::fs::read_to_string(&path).expect("text"), text);
        }
    }

    #[test]
    fn two_runs_cannot_write_one_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("outcomes.jsonl");
        let _first = OutcomeLog::resume(&path, "v1", "/a").expect("a new log");
        assert!(matches!(OutcomeLog::resume(&path, "v1", "/a"), Err(OutcomesError::InUse { .. })));
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("outcomes.jsonl");
        std::fs::write(
            &path,
            "{\"format\":3,\"folder\":\"/a\",\"settings\":\"v1\"}\nnot json\n{\"path\":\"a\",\"word\":\"OK\"}\n",
        )
        .expect("written");
        assert!(matches!(OutcomeLog::resume(&path, "v1", "/a"), Err(OutcomesError::Line { line: 2, .. })));
    }

    #[test]
    fn impossible_values_are_refused() {
        let good = full_outcome();
        assert_eq!(good.validate(), Ok(()));
        let face = |face: DetectedFace| Outcome { faces: Some(vec![face]), ..full_outcome() };
        let reasoned = |reasons| Outcome { liveness_reasons: Some(reasons), ..full_outcome() };
        let found = good.faces.as_ref().expect("a face")[0];
        let pose = good.pose.expect("a pose");
        for (field, bad) in [
            ("path", Outcome { path: String::new(), ..full_outcome() }),
            ("liveness_score", Outcome { liveness_score: Some(f64::NAN), ..full_outcome() }),
            ("liveness_score", Outcome { liveness_score: Some(1.01), ..full_outcome() }),
            ("networks", reasoned(LivenessReasons { networks: [("first".to_owned(), f64::NAN)].into(), ..reasons() })),
            ("surrounding", reasoned(LivenessReasons { surrounding: 0.0, ..reasons() })),
            ("reliability", reasoned(LivenessReasons { reliability: -0.1, ..reasons() })),
            ("age", Outcome { age: Some(f64::INFINITY), ..full_outcome() }),
            ("gender", Outcome { gender: Some(10_001), ..full_outcome() }),
            ("pitch", Outcome { pose: Some(Pose { pitch: f64::NAN, ..pose }), ..full_outcome() }),
            ("x", face(DetectedFace { x: f64::NEG_INFINITY, ..found })),
            ("h", face(DetectedFace { h: 0.0, ..found })),
            ("score", face(DetectedFace { score: f64::NAN, ..found })),
            ("word", Outcome { unreadable: Some(Unreadable::File("gone".into())), ..full_outcome() }),
        ] {
            assert_eq!(bad.validate().expect_err(field).field, field);
        }
    }
}
