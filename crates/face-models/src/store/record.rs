//! The record of what has been stored, and how a file lands in the folder.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};

use serde::{Deserialize, Serialize, Serializer};

use super::{ModelStore, StoreError};
use crate::digest::Sha256;
use crate::progress::{Event, Progress};

/// The record, inside the folder.
pub(super) const RECORD: &str = "installed.json";

/// Held locked while a process fetches into the folder.
const LOCK: &str = ".lock";

/// What is known of a stored file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) recipe: Sha256,
    pub(super) bytes: u64,
    pub(super) sha256: Sha256,
}

/// All stored files by their path in the folder.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) files: BTreeMap<String, Stored>,
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl ModelStore {
    /// The folder's record. One that is absent or cannot be understood counts as empty: everything is fetched anew.
    pub(super) fn record(&self) -> Result<Record, StoreError> {
        let path = self.dir.join(RECORD);
        match fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Record::default())
            }
            Err(error) => Err(StoreError::folder("read", path)(error)),
        }
    }

    pub(super) fn write_record(&self, record: &Record) -> Result<(), StoreError> {
        let mut text = serde_json::to_string_pretty(record)
            .map_err(|e| StoreError::folder("write", self.dir.join(RECORD))(e.into()))?;
        text.push('\n');
        self.write_atomically(RECORD, text.as_bytes())
    }

    /// Writes beside, flushes, renames: whoever looks sees the old file, no file or the whole new one.
    pub(super) fn write_atomically(&self, output: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.dir.join(output);
        let parent = path.parent().unwrap_or(&self.dir);
        let beside = self.work_dir().join(format!("{}.part", output.replace('/', "-")));
        fs::create_dir_all(self.work_dir()).map_err(StoreError::folder("create", self.work_dir()))?;
        fs::create_dir_all(parent).map_err(StoreError::folder("create", parent))?;
        let write = || {
            let mut file = File::create(&beside)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(StoreError::folder("write", &beside))?;
        fs::rename(&beside, &path).map_err(StoreError::folder("write", &path))?;
        // The rename itself must survive a power cut before the record may speak of the file.
        File::open(parent).and_then(|directory| directory.sync_all()).map_err(StoreError::folder("flush", parent))
    }

    /// Waits until no other process fetches into the folder. The lock ends with the returned file, or the process.
    pub(super) fn lock(&self, progress: &mut dyn Progress) -> Result<File, StoreError> {
        fs::create_dir_all(&self.dir).map_err(StoreError::folder("create", &self.dir))?;
        let path = self.dir.join(LOCK);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(StoreError::folder("create", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => {
                progress.event(Event::Waiting { lock: &path });
                file.lock()
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
        .map_err(StoreError::folder("lock", &path))?;
        Ok(file)
    }
}
