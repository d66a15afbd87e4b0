//! Whether what is about to be loaded is what was fetched, and nobody else's to change.

use std::path::PathBuf;

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
        "everybody on this machine may write {0}, and a library is loaded from there: take that right away (chmod o-w)"
    )]
    Writable(PathBuf),
}

/// Hashes every file that is about to be loaded, and refuses what everybody may write.
pub fn check(store: &ModelStore) -> Result<(), UntrustedModels> {
    let files = store.verify(Group::Models)?;
    #[cfg(unix)]
    for path in std::iter::once(store.dir())
        .chain(files.iter().flat_map(|file| [Some(&*file.path), file.path.parent()]).flatten())
    {
        use std::os::unix::fs::PermissionsExt as _;
        if std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o002 != 0) {
            return Err(UntrustedModels::Writable(path.to_owned()));
        }
    }
    match files.into_iter().find(|file| file.condition != Condition::Intact) {
        Some(file) => Err(UntrustedModels::Changed(file.path)),
        None => Ok(()),
    }
}
