//! Whether what is about to be loaded is what was fetched, and nobody else's to change.

use std::path::{Path, PathBuf};

use face_models::{Condition, Group, ModelStore, StoreError};

/// The networks and the library are not what was fetched, or anybody may change them.
#[derive(Debug, thiserror::Error)]
pub enum UntrustedModels {
    /// The folder cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file is another than was fetched.
    #[error("{0} is not what was fetched: run `facegate models fetch`, and find out who changed it")]
    Changed(PathBuf),
    /// Whoever may write there decides what this process runs.
    #[error(
        "everybody on this machine may write {0}, and a library is loaded from there or below it: take that right away \
         (chmod o-w)"
    )]
    Writable(PathBuf),
}

/// Hashes every file that is about to be loaded, and refuses what everybody may write.
pub fn check(store: &ModelStore) -> Result<(), UntrustedModels> {
    let files = store.verify(Group::Models)?;
    #[cfg(unix)]
    {
        let inside = files.iter().flat_map(|file| [Some(&*file.path), file.path.parent()]).flatten();
        let anybodys = std::iter::once(store.dir()).chain(inside).find(|path| mode(path) & OTHERS_WRITE != 0);
        if let Some(path) = anybodys.map(ToOwned::to_owned).or_else(|| replaceable(store.dir())) {
            return Err(UntrustedModels::Writable(path));
        }
    }
    match files.into_iter().find(|file| file.condition != Condition::Intact) {
        Some(file) => Err(UntrustedModels::Changed(file.path)),
        None => Ok(()),
    }
}

/// Whoever may write the head decides what passes for alive.
#[derive(Debug, thiserror::Error)]
#[error("everybody on this machine may write the liveness head {0}: take that right away (chmod o-w)")]
pub struct WritableHead(PathBuf);

/// Refuses a liveness head that everybody may write. One that is not there is told by reading it.
pub fn check_head(path: &Path) -> Result<(), WritableHead> {
    #[cfg(unix)]
    if mode(path) & OTHERS_WRITE != 0 {
        return Err(WritableHead(path.to_owned()));
    }
    let _ = path;
    Ok(())
}

#[cfg(unix)]
const OTHERS_WRITE: u32 = 0o002;

/// In a folder with this, as /tmp has it, nobody renames what is another's.
#[cfg(unix)]
const STICKY: u32 = 0o1000;

/// 0 for what cannot be read, which is found by reading it.
#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).map_or(0, |meta| meta.permissions().mode())
}

/// The folder above `folder` in which everybody may put another one in its place.
#[cfg(unix)]
fn replaceable(folder: &Path) -> Option<PathBuf> {
    let whole = std::fs::canonicalize(folder).ok()?;
    let mut above = whole.ancestors().skip(1);
    above.find(|path| mode(path) & (OTHERS_WRITE | STICKY) == OTHERS_WRITE).map(ToOwned::to_owned)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{Permissions, create_dir_all, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_head_that_anybody_may_write_is_refused_and_one_of_a_group_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let head = folder.path().join("office.head");
        check_head(&head).expect("what is not there is told by reading it");
        std::fs::write(&head, "a head").expect("writes");
        for (mode, refused) in [(0o600, false), (0o664, false), (0o666, true), (0o602, true)] {
            set_permissions(&head, Permissions::from_mode(mode)).expect("sets");
            assert_eq!(check_head(&head).is_err(), refused, "{mode:o}");
        }
    }

    #[test]
    fn a_folder_that_anybody_could_exchange_is_found() {
        let top = tempfile::tempdir().expect("a folder");
        let models = top.path().join("shared/facegate/models");
        create_dir_all(&models).expect("folders");
        let shared = std::fs::canonicalize(top.path()).expect("a folder").join("shared");
        for (mode, found) in
            [(0o755, None), (0o777, Some(&shared)), (0o1777, None), (0o775, None), (0o733, Some(&shared))]
        {
            set_permissions(&shared, Permissions::from_mode(mode)).expect("sets");
            assert_eq!(replaceable(&models).as_ref(), found, "{mode:o}");
        }
        // Its own mode is looked at elsewhere.
        set_permissions(&models, Permissions::from_mode(0o777)).expect("sets");
        set_permissions(&shared, Permissions::from_mode(0o755)).expect("sets");
        assert_eq!(replaceable(&models), None);
    }
}
