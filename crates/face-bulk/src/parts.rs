//! The part files of one shard.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use parquet::errors::ParquetError;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::error::StoreError;
use super::results::difference;
use super::row::{Answer, Row};
use super::shard::Shard;
use super::store::Location;
use super::table;

/// The record of what all shards of a destination are made with.
const RUN: &str = "run.json";

/// What a part file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartFormat {
    /// What the service answers, one JSON object a line.
    Jsonl,
    /// The columns of `facegate analyze --format csv`, typed.
    Parquet,
}

impl PartFormat {
    /// The ending of a part's name.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
        }
    }
}

/// Parts cannot be written or gone on with.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// The store has failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The destination was begun with other settings, networks, shards, or another version.
    #[error("the destination was begun with another {0}: results of both would not compare; give another --out")]
    OtherRun(String),
    /// A part is no file of its format.
    #[error("the part {name} is damaged: {reason}; delete it, and its pictures are analysed again")]
    Damaged {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A part cannot be made.
    #[error("a part cannot be made: {0}")]
    Parquet(#[from] ParquetError),
    /// There is no random number for the names of the parts.
    #[error("the system gives no random number")]
    Random,
}

/// A picture's name in 16 bytes, so that what is done of millions fits into memory: two of a thousand million names
/// share these bytes with a probability below 10^-20.
type Digest = [u8; 16];

fn digest(name: &str) -> Digest {
    let mut short = Digest::default();
    short.copy_from_slice(&Sha256::digest(name.as_bytes())[..16]);
    short
}

/// What one shard has answered, and what it is about to write.
#[derive(Debug)]
pub struct Parts {
    destination: Location,
    shard: Shard,
    format: PartFormat,
    details: bool,
    record: Value,
    /// Tells the parts of this process from those of others, one of which may still run.
    process: String,
    written: u32,
    max_rows: usize,
    done: HashSet<Digest>,
    outcomes: BTreeMap<String, u64>,
    rows: Vec<Row>,
    lines: Vec<u8>,
    in_part: usize,
}

impl Parts {
    /// Compares the destination's record with `record`, if there is one, and reads what the shard has done already. Nothing is
    /// written before [`begin`](Self::begin).
    pub async fn resume(
        destination: Location,
        shard: Shard,
        format: PartFormat,
        details: bool,
        mut record: Value,
        max_rows: usize,
    ) -> Result<Self, PartsError> {
        record["shards"] = shard.count.into();
        if let Some(begun) = destination.get(RUN).await? {
            compare(&begun, &record)?;
        }
        let random = getrandom::u32().map_err(|_| PartsError::Random)?;
        let mut parts = Self {
            destination,
            shard,
            format,
            details,
            record,
            process: format!("{random:08x}"),
            written: 0,
            max_rows: max_rows.max(1),
            done: HashSet::new(),
            outcomes: BTreeMap::new(),
            rows: Vec::new(),
            lines: Vec::new(),
            in_part: 0,
        };
        parts.read_done().await?;
        Ok(parts)
    }

    /// Writes the record of the run, if the destination has none.
    pub async fn begin(&self) -> Result<(), PartsError> {
        // Another shard may begin with other settings at the same time.
        self.destination.create(RUN, format!("{:#}\n", self.record).into()).await?;
        compare(&self.destination.get(RUN).await?.unwrap_or_default(), &self.record)
    }

    async fn read_done(&mut self) -> Result<(), PartsError> {
        let (begin, end) = (format!("{}-", self.beginning("part")), format!(".{}", self.format.ending()));
        let mut objects = std::pin::pin!(self.destination.list());
        while let Some((name, meta)) = objects.try_next().await? {
            if !(name.starts_with(&begin) && name.ends_with(&end)) {
                continue;
            }
            let Some(bytes) = self.destination.get_at(&meta.location).await? else { continue };
            let damaged = |reason: String| PartsError::Damaged { name: name.clone(), reason };
            let pairs = match self.format {
                PartFormat::Jsonl => pairs_in_jsonl(&bytes).map_err(|error| damaged(error.to_string()))?,
                PartFormat::Parquet => table::names_and_outcomes(bytes).map_err(|error| damaged(error.to_string()))?,
            };
            for (picture, outcome) in pairs {
                if self.done.insert(digest(&picture)) {
                    *self.outcomes.entry(outcome).or_default() += 1;
                }
            }
        }
        Ok(())
    }

    /// What the names of the shard's files begin with.
    fn beginning(&self, what: &str) -> String {
        format!("{what}-{:05}-of-{:05}", self.shard.index, self.shard.count)
    }

    /// The pictures that the shard's parts held at the start; told once, to hold them once.
    pub fn take_done(&mut self) -> Done {
        Done(std::mem::take(&mut self.done))
    }

    /// Answers in the parts that are written, by outcome.
    pub fn outcomes(&self) -> &BTreeMap<String, u64> {
        &self.outcomes
    }

    /// Adds an answer; true when the part is full.
    #[must_use]
    pub fn push(&mut self, answer: Answer) -> bool {
        *self.outcomes.entry(answer.row.outcome.to_owned()).or_default() += 1;
        match self.format {
            PartFormat::Jsonl => {
                self.lines.extend_from_slice(&answer.json);
                self.lines.push(b'\n');
            }
            PartFormat::Parquet => self.rows.push(answer.row),
        }
        self.in_part += 1;
        self.in_part >= self.max_rows
    }

    /// Writes the part, if it has any row. What cannot be written stays, and is written under the same name next time.
    pub async fn flush(&mut self) -> Result<(), PartsError> {
        if self.in_part == 0 {
            return Ok(());
        }
        let bytes: Bytes = match self.format {
            PartFormat::Jsonl => Bytes::copy_from_slice(&self.lines),
            PartFormat::Parquet => table::write(&self.rows, self.details, &self.record.to_string())?,
        };
        let name = format!("{}-{}-{:06}.{}", self.beginning("part"), self.process, self.written, self.format.ending());
        self.destination.put(&name, bytes).await?;
        self.written += 1;
        self.lines.clear();
        self.rows.clear();
        self.in_part = 0;
        Ok(())
    }

    /// Writes the last part, and the file that says that the shard is complete.
    pub async fn finish(&mut self) -> Result<(), PartsError> {
        self.flush().await?;
        let pictures: u64 = self.outcomes.values().sum();
        let done = json!({ "pictures": pictures, "outcomes": self.outcomes });
        self.destination.put(&format!("{}.json", self.beginning("done")), format!("{done:#}\n").into()).await?;
        Ok(())
    }
}

/// Refuses to go on with a run that was begun with another record.
fn compare(begun: &[u8], record: &Value) -> Result<(), PartsError> {
    let begun: Value = serde_json::from_slice(begun).unwrap_or_default();
    difference(&begun, record).map_or(Ok(()), |what| Err(PartsError::OtherRun(what)))
}

/// The pictures that need not be analysed again.
#[derive(Debug, Clone, Default)]
pub struct Done(HashSet<Digest>);

impl Done {
    /// Whether a picture is among them.
    pub fn holds(&self, name: &str) -> bool {
        self.0.contains(&digest(name))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Names and outcomes of the lines of a part, which are all complete.
fn pairs_in_jsonl(bytes: &[u8]) -> Result<Vec<(String, String)>, serde_json::Error> {
    /// All that is looked at.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Line {
        session_id: String,
        error: Option<String>,
    }
    serde_json::Deserializer::from_slice(bytes)
        .into_iter::<Line>()
        .map(|line| line.map(|line| (line.session_id, line.error.unwrap_or_else(|| "OK".into()))))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use futures_util::future::join;

    use super::*;

    async fn begin(out: &Path, format: PartFormat) -> Parts {
        let destination = Location::destination(&out.to_string_lossy(), false).expect("a folder");
        let shard = Shard { index: 0, count: 1 };
        let parts = Parts::resume(destination, shard, format, false, json!({}), 2).await.expect("nobody has begun it");
        parts.begin().await.expect("nobody else has begun it");
        parts
    }

    fn answer(name: &str) -> Answer {
        let json = json!({ "sessionId": name, "hasError": true, "error": "INTERNAL_ERROR" }).to_string().into_bytes();
        Answer { row: Row::unreadable(name.into(), "image_malformed", "cut off"), json }
    }

    async fn check_that_nothing_is_lost(format: PartFormat) {
        let folder = tempfile::tempdir().expect("a folder");
        let (out, moved) = (folder.path().join("out"), folder.path().join("moved"));
        let mut parts = begin(&out, format).await;
        assert!(!parts.push(answer("a")) && parts.push(answer("b")));
        // A file where the folder was: nobody can write below it, not even root.
        std::fs::rename(&out, &moved).expect("moves it");
        std::fs::write(&out, b"").expect("a file");
        assert!(matches!(parts.flush().await, Err(PartsError::Store(_))), "{format:?}");
        std::fs::remove_file(&out).expect("removes it");
        std::fs::rename(&moved, &out).expect("moves it back");
        parts.flush().await.expect("the destination is there again");
        assert!(!parts.push(answer("c")));
        parts.flush().await.expect("it is still there");
        let mut again = begin(&out, format).await;
        assert_eq!(again.outcomes(), &BTreeMap::from([("INTERNAL_ERROR".to_owned(), 3)]), "{format:?}");
        let done = again.take_done();
        assert!(done.len() == 3 && ["a", "b", "c"].iter().all(|name| done.holds(name)), "{format:?}");
        assert_eq!(std::fs::read_dir(&out).expect("reads").count(), 3, "{format:?}: the record and two parts");
    }

    #[test]
    fn of_two_shards_that_begin_at_once_with_other_settings_one_is_refused() {
        for round in 0..50 {
            let folder = tempfile::tempdir().expect("a folder");
            let together = std::sync::Barrier::new(2);
            let begin = |index: u32| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
                let destination = Location::destination(&folder.path().to_string_lossy(), false).expect("a folder");
                let (shard, format) = (Shard { index, count: 2 }, PartFormat::Jsonl);
                together.wait();
                let parts = Parts::resume(destination, shard, format, false, json!({ "a": index }), 2);
                runtime.block_on(async { parts.await?.begin().await }).is_ok()
            };
            let begun =
                std::thread::scope(|scope| [0, 1].map(|index| scope.spawn(move || begin(index))).map(|t| t.join()));
            let begun = begun.into_iter().filter(|begun| *begun.as_ref().expect("no panic")).count();
            assert_eq!(begun, 1, "round {round}");
        }
    }

    #[test]
    fn a_part_that_could_not_be_written_is_written_whole_next_time() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let [jsonl, parquet] = [PartFormat::Jsonl, PartFormat::Parquet].map(check_that_nothing_is_lost);
        runtime.block_on(join(jsonl, parquet));
    }
}
