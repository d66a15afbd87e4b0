//! Files that are read again when they change.

use std::path::{Path, PathBuf};

/// Files that belong together, and what was last made of them.
pub(super) struct Watched {
    paths: Vec<PathBuf>,
    /// As they were when they could be used; `None` while they cannot.
    good: Option<Vec<Option<Stamp>>>,
    /// What was said last against them.
    fault: String,
}

impl Watched {
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        Self { good: Some(paths.iter().map(|path| stamp(path)).collect()), paths, fault: String::new() }
    }

    /// Reads them again when they have changed or `forced` says so, and until they can be used: what keeps them from it may
    /// be elsewhere, such as the rights of a folder. A fault is told once.
    pub(super) fn look<T, E: ToString>(
        &mut self,
        forced: bool,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Option<Result<T, String>> {
        let now = Some(self.paths.iter().map(|path| stamp(path)).collect());
        if self.paths.is_empty() || (!forced && self.good == now) {
            return None;
        }
        match read() {
            Ok(made) => {
                (self.good, self.fault) = (now, String::new());
                Some(Ok(made))
            }
            Err(error) => {
                self.good = None;
                let before = std::mem::replace(&mut self.fault, error.to_string());
                (forced || before != self.fault).then(|| Err(self.fault.clone()))
            }
        }
    }
}

/// What differs when a file or its rights were changed, or when another file was put in its place, also one of the same age.
#[cfg(unix)]
type Stamp = [i128; 5];
#[cfg(not(unix))]
type Stamp = (u64, std::time::SystemTime);

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let time = |seconds: i64, nanoseconds: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
        let (changed, touched) = (time(meta.mtime(), meta.mtime_nsec()), time(meta.ctime(), meta.ctime_nsec()));
        Some([meta.dev().into(), meta.ino().into(), meta.len().into(), changed, touched])
    }
    #[cfg(not(unix))]
    Some((meta.len(), meta.modified().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_when_they_change_and_after_a_fault_until_they_can_be_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("users");
        std::fs::write(&path, "old").expect("writes");
        let mut watched = Watched::new(vec![path.clone()]);
        let fine = || Ok::<_, String>(());
        let faulty = |fault: &str| Err::<(), _>(fault.to_owned());
        assert_eq!(watched.look(false, fine), None);
        assert_eq!(watched.look(true, fine), Some(Ok(())));
        // Another file of the same length and age.
        let age = std::fs::metadata(&path).and_then(|meta| meta.modified()).expect("an age");
        let fresh = folder.path().join("fresh");
        std::fs::write(&fresh, "new").expect("writes");
        std::fs::File::options().append(true).open(&fresh).and_then(|file| file.set_modified(age)).expect("sets");
        std::fs::rename(&fresh, &path).expect("moves");
        assert_eq!(watched.look(false, || faulty("rights")), Some(faulty("rights")));
        assert_eq!(watched.look(false, || faulty("rights")), None, "it was told");
        assert_eq!(watched.look(true, || faulty("rights")), Some(faulty("rights")), "somebody asks");
        assert_eq!(watched.look(false, || faulty("another")), Some(faulty("another")));
        assert_eq!(watched.look(false, fine), Some(Ok(())), "nothing has changed but the fault");
        assert_eq!(watched.look(false, fine), None);
        assert_eq!(Watched::new(Vec::new()).look(true, fine), None);
    }
}
