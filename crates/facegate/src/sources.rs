//! The files that a run reads: none of them is written over, and where its results go is looked at before any work.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where results cannot go.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// They would take the place of what the run reads.
    #[error("{option}: {path} is read by this run and is not overwritten: name another file")]
    Source {
        /// What named it.
        option: &'static str,
        /// Where to.
        path: PathBuf,
    },
    /// It is a folder.
    #[error("{option}: {path} is a folder: name a file in it")]
    Folder {
        /// What named it.
        option: &'static str,
        /// Where to.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("{option}: {path} cannot be written: {source}; its folder must be there and be yours to write to")]
    Write {
        /// What named it.
        option: &'static str,
        /// Where to.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The files that a run reads.
#[derive(Debug)]
pub struct Sources {
    paths: Vec<PathBuf>,
    /// What identifies them, by whatever names; read when it is first needed.
    files: OnceLock<HashSet<Identity>>,
}

/// Device and inode.
#[cfg(unix)]
type Identity = (u64, u64);

/// The path without links.
#[cfg(not(unix))]
type Identity = PathBuf;

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<Identity> {
    fs::canonicalize(path).ok()
}

impl Sources {
    /// Of a run that reads these.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, files: OnceLock::new() }
    }

    /// Whether a path leads to one of them.
    pub fn hold(&self, path: &Path) -> bool {
        let Some(file) = identity(path) else { return false };
        self.files.get_or_init(|| self.paths.iter().filter_map(|path| identity(path)).collect()).contains(&file)
    }

    /// Whether a file of results, which `option` names, can be written: it is better said before hours of work than after.
    pub fn check_output(&self, option: &'static str, path: &Path) -> Result<(), OutputError> {
        let path = path.to_owned();
        if self.hold(&path) {
            return Err(OutputError::Source { option, path });
        }
        if path.is_dir() || path.file_name().is_none() {
            return Err(OutputError::Folder { option, path });
        }
        // What the system lets be done is told by doing it; an empty file beside does no harm, and goes again.
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}.try", std::process::id()));
        let beside = path.with_file_name(name);
        let tried =
            OpenOptions::new().write(true).create_new(true).open(&beside).and_then(|_| fs::remove_file(&beside));
        tried.map_err(|source| OutputError::Write { option, path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_go_where_they_can_be_written_and_nothing_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let within = |name: &str| folder.path().join(name);
        fs::write(within("labels.csv"), "path,liveness\n").expect("writes");
        fs::create_dir(within("sub")).expect("a folder");
        let sources = Sources::new(vec![within("labels.csv"), within("gone.jpg")]);
        let check = |name: &str| sources.check_output("--out", &within(name));
        check("a.head").expect("a new file");
        for same in ["labels.csv", "sub/../labels.csv"] {
            assert!(matches!(check(same), Err(OutputError::Source { .. })), "{same}");
        }
        for directory in ["sub", "sub/..", ""] {
            assert!(matches!(check(directory), Err(OutputError::Folder { .. })), "{directory}");
        }
        for nowhere in ["nowhere/a.head", "labels.csv/a.head"] {
            let said = check(nowhere).expect_err(nowhere).to_string();
            assert!(said.contains("--out") && said.contains(nowhere) && said.contains("cannot be written"), "{said}");
        }
        let mut left: Vec<_> =
            fs::read_dir(folder.path()).expect("a folder").map(|e| e.expect("one").file_name()).collect();
        left.sort();
        assert_eq!(left, ["labels.csv", "sub"], "something was left behind");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_what_is_read_is_the_same_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let within = |name: &str| folder.path().join(name);
        fs::write(within("a.jpg"), "x").expect("writes");
        fs::hard_link(within("a.jpg"), within("hard")).expect("links");
        std::os::unix::fs::symlink(within("a.jpg"), within("soft")).expect("links");
        let sources = Sources::new(vec![within("a.jpg")]);
        assert!(["a.jpg", "hard", "soft"].iter().all(|name| sources.hold(&within(name))));
        assert!(!sources.hold(&within("another")));
    }
}
