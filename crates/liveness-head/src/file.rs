//! The file of a head: a first line with format, version and checksum, then JSON.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::head::{Head, InvalidHead};

/// What the first line begins with in every version of the format.
const ANY_FORMAT: &str = "facegate liveness head ";

/// What it begins with in this one; the number is the version.
const FORMAT: &str = "facegate liveness head 3 sha256:";

/// The largest file that is read: twenty times a usual one.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// A head's file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HeadFileError {
    /// The system.
    #[error("cannot {action} the liveness head {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No such file, or of another version.
    #[error("{path} is no liveness head of this version: {reason}")]
    Format {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It has been changed or cut off.
    #[error("the liveness head {path} is damaged: its checksum does not match")]
    Checksum {
        /// Where.
        path: PathBuf,
    },
    /// Its content cannot be used.
    #[error("the liveness head {path} cannot be used: {source}")]
    Invalid {
        /// Where.
        path: PathBuf,
        /// Why.
        source: InvalidHead,
    },
}

impl Head {
    /// Reads a file; also gives its checksum, which names it.
    ///
    /// # Errors
    ///
    /// When there is no such file, when it is larger than [`MAX_FILE_BYTES`], damaged or of another version.
    pub fn read(path: &Path) -> Result<(Self, String), HeadFileError> {
        let failed = |source| HeadFileError::Io { action: "read", path: path.to_owned(), source };
        let format = |reason: &str| HeadFileError::Format { path: path.to_owned(), reason: reason.to_owned() };
        let mut text = String::new();
        let file = File::open(path).map_err(failed)?;
        match file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(format("it is no text")),
            other => other.map_err(failed)?,
        };
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(format("it is too large"));
        }
        let (first, body) = text.split_once('\n').ok_or_else(|| format("it has one line only"))?;
        let checksum = first.strip_prefix(FORMAT).ok_or_else(|| {
            format(&if first.starts_with(ANY_FORMAT) {
                "another release wrote it; fit it again with `facegate adapt`".to_owned()
            } else {
                format!("its first line does not begin with `{FORMAT}`")
            })
        })?;
        if checksum != digest(body) {
            return Err(HeadFileError::Checksum { path: path.to_owned() });
        }
        let head: Self = serde_json::from_str(body).map_err(|error| format(&error.to_string()))?;
        head.validate().map_err(|source| HeadFileError::Invalid { path: path.to_owned(), source })?;
        Ok((head, checksum.to_owned()))
    }

    /// Writes the file as a whole or not at all, and gives its checksum.
    ///
    /// # Errors
    ///
    /// When the head cannot be used, or the folder not be written to.
    pub fn write(&self, path: &Path) -> Result<String, HeadFileError> {
        self.validate().map_err(|source| HeadFileError::Invalid { path: path.to_owned(), source })?;
        let failed = |source| HeadFileError::Io { action: "write", path: path.to_owned(), source };
        let body = serde_json::to_string_pretty(self).map_err(|error| failed(io::Error::other(error)))? + "\n";
        let checksum = digest(&body);
        let beside = path.with_extension(format!("tmp{}", std::process::id()));
        let written = File::create(&beside).and_then(|mut file| {
            file.write_all(format!("{FORMAT}{checksum}\n{body}").as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&beside, path)
        });
        written.map_err(|error| {
            // What could be left of it is of no use to anybody.
            let _ = std::fs::remove_file(&beside);
            failed(error)
        })?;
        Ok(checksum)
    }
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::head;

    #[test]
    fn a_head_reads_back_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("office.head");
        let written = head().write(&path).expect("written");
        let (read, checksum) = Head::read(&path).expect("read");
        assert_eq!((read, checksum), (head(), written));
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "something is left beside it");
    }

    #[test]
    fn a_changed_a_cut_and_a_foreign_file_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("office.head");
        head().write(&path).expect("written");
        let text = std::fs::read_to_string(&path).expect("text");
        let put = |text: &[u8]| {
            std::fs::write(&path, text).expect("written");
            Head::read(&path).expect_err("refused")
        };
        assert!(matches!(put(text.replace("0.5", "0.6").as_bytes()), HeadFileError::Checksum { .. }));
        assert!(matches!(put(&text.as_bytes()[..text.len() - 9]), HeadFileError::Checksum { .. }));
        let earlier = put(text.replace("head 3 ", "head 2 ").as_bytes());
        assert!(matches!(&earlier, HeadFileError::Format { reason, .. } if reason.contains("adapt")), "{earlier}");
        assert!(matches!(put(b"\xff\xfe\n\n"), HeadFileError::Format { .. }));
        assert!(matches!(put(&vec![b' '; MAX_FILE_BYTES as usize + 1]), HeadFileError::Format { .. }));
        std::fs::remove_file(&path).expect("removed");
        assert!(matches!(Head::read(&path), Err(HeadFileError::Io { .. })));
    }
}
