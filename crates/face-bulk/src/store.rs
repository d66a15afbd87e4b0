//! Where a path or an address leads: the file system, or an object store.

use std::io::Write as _;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};

use super::error::{StoreError, chain};
use super::names::shown;

/// Attempts at what fails for a reason that may pass.
const ATTEMPTS: u32 = 4;

/// Pause before the second attempt; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// A folder or a prefix in an object store.
#[derive(Debug, Clone)]
pub struct Location {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    shown: String,
}

/// Whether an address is that of an object store rather than a path.
pub fn is_remote(address: &str) -> bool {
    address.contains("://") && !address.starts_with("file://")
}

/// The path that an address without a store means.
pub fn local_path(address: &str) -> &FilePath {
    FilePath::new(address.strip_prefix("file://").unwrap_or(address))
}

/// What the addresses of stores begin with: those that the documents name, and what else their own tools write.
const SCHEMES: [&str; 8] = ["s3", "gs", "az", "s3a", "azure", "adl", "abfs", "abfss"];

/// Where the clouds' own addresses lead, which begin with `https`.
const HOSTS: [&str; 5] = [
    ".amazonaws.com",
    ".cloudflarestorage.com",
    "storage.googleapis.com",
    ".core.windows.net",
    ".fabric.microsoft.com",
];

/// Refuses an address that is that of no store, whether this build has stores or not.
fn check_scheme(address: &str) -> Result<(), StoreError> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let scheme = scheme.to_ascii_lowercase();
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if SCHEMES.contains(&scheme.as_str()) || scheme == "https" && HOSTS.iter().any(|known| host.ends_with(known)) {
        return Ok(());
    }
    Err(StoreError::Address(format!(
        "{address} is no store: give a folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"
    )))
}

impl Location {
    /// A folder to write to, made when it is missing, or a prefix.
    pub fn destination(address: &str, instance_credentials: bool) -> Result<Self, StoreError> {
        if is_remote(address) {
            return Self::remote(address, instance_credentials);
        }
        let failed = |error: &dyn std::error::Error| StoreError::Address(format!("cannot write to {address}: {error}"));
        let path = local_path(address);
        std::fs::create_dir_all(path).map_err(|error| failed(&error))?;
        // A part that is there must still be there after a power cut: its pictures are not analysed again.
        let store = LocalFileSystem::new_with_prefix(path).map_err(|error| failed(&error))?.with_fsync(true);
        Ok(Self { store: Arc::new(store), prefix: Path::default(), shown: address.to_owned() })
    }

    /// A prefix in an object store.
    #[cfg(feature = "cloud")]
    pub fn remote(address: &str, instance_credentials: bool) -> Result<Self, StoreError> {
        check_scheme(address)?;
        let (store, prefix) = super::cloud::open(address, instance_credentials)?;
        Ok(Self { store, prefix, shown: address.trim_end_matches('/').to_owned() })
    }

    /// A prefix in an object store.
    #[cfg(not(feature = "cloud"))]
    pub fn remote(address: &str, _instance_credentials: bool) -> Result<Self, StoreError> {
        check_scheme(address)?;
        Err(StoreError::Address(format!(
            "{address}: this facegate was built without object stores; build it with `cargo build --release --features \
             cloud`, or use the container image"
        )))
    }

    /// Every object below, with its name relative to here. Not in any order.
    pub fn list(&self) -> impl futures_util::Stream<Item = Result<(String, ObjectMeta), StoreError>> + Send + 'static {
        let prefix = (!self.prefix.as_ref().is_empty()).then(|| self.prefix.clone());
        let (what, location) = (format!("cannot list {}", self.shown), self.clone());
        self.store
            .list(prefix.as_ref())
            .map_ok(move |meta| (location.name_of(&meta.location), meta))
            .map_err(move |source| StoreError::Failed { what: what.clone(), source })
    }

    fn name_of(&self, location: &Path) -> String {
        let rest = location.as_ref().strip_prefix(self.prefix.as_ref()).unwrap_or(location.as_ref());
        rest.trim_start_matches('/').to_owned()
    }

    /// The object of that name; `None` when there is none.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        self.get_at(&self.path(name)).await
    }

    /// The object at a location that [`list`](Self::list) gave; `None` when it is gone.
    pub async fn get_at(&self, location: &Path) -> Result<Option<Bytes>, StoreError> {
        let read = || async { self.store.get(location).await?.bytes().await };
        match self.persist(&format!("cannot read {location}"), read).await {
            Err(StoreError::Failed { source: Error::NotFound { .. }, .. }) => Ok(None),
            Err(error) => Err(error),
            Ok(bytes) => Ok(Some(bytes)),
        }
    }

    /// Writes an object. Readers see all of it or none.
    pub async fn put(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.put_as(name, bytes, PutMode::Overwrite).await
    }

    /// Writes an object if there is none of that name.
    pub async fn create(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        // Some stores pass over what they do not know, and would overwrite it.
        if self.get(name).await?.is_some() {
            return Ok(());
        }
        match self.put_as(name, bytes.clone(), PutMode::Create).await {
            Err(StoreError::Failed { source: Error::AlreadyExists { .. }, .. }) => Ok(()),
            // After any other fault, such as one of the network, there may be one that somebody else has written meanwhile.
            Err(StoreError::Failed { ref source, .. }) if knows_no_condition(source) => self.put(name, bytes).await,
            done => done,
        }
    }

    async fn put_as(&self, name: &str, bytes: Bytes, mode: PutMode) -> Result<(), StoreError> {
        let location = self.path(name);
        let write =
            || self.store.put_opts(&location, PutPayload::from_bytes(bytes.clone()), PutOptions::from(mode.clone()));
        self.persist(&format!("cannot write {}/{name}", self.shown), write).await.map(|_| ())
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.parts().chain(Path::from(name).parts()).collect()
    }

    /// Tries again, with growing pauses, what fails for a reason that may pass.
    async fn persist<T, F: Future<Output = Result<T, Error>>>(
        &self,
        what: &str,
        attempt: impl Fn() -> F,
    ) -> Result<T, StoreError> {
        let mut pause = FIRST_PAUSE;
        let mut attempts = 1;
        loop {
            let source = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if attempts == ATTEMPTS || is_final(&source) {
                return Err(StoreError::Failed { what: what.to_owned(), source });
            }
            let message = format!("{what}: {}", chain(&source));
            // That nobody reads it any more is no reason to end.
            let _ = writeln!(
                std::io::stderr(),
                "facegate: {}; attempt {} of {ATTEMPTS} in {pause:?}",
                shown(&message),
                attempts + 1
            );
            tokio::time::sleep(pause).await;
            pause *= 2;
            attempts += 1;
        }
    }
}

/// Whether a store cannot write on the condition that there is nothing of that name.
fn knows_no_condition(error: &Error) -> bool {
    #[cfg(feature = "cloud")]
    if super::cloud::is_not_implemented(error) {
        return true;
    }
    // A file system without hard links fails in one of many ways; what else is wrong with it shows again.
    matches!(
        error,
        Error::NotSupported { .. } | Error::NotImplemented { .. } | Error::Generic { store: "LocalFileSystem", .. }
    )
}

/// Whether another attempt would fail in the same way.
fn is_final(error: &Error) -> bool {
    #[cfg(feature = "cloud")]
    if super::cloud::is_refused(error) || super::cloud::is_not_implemented(error) {
        return true;
    }
    matches!(
        error,
        Error::NotFound { .. }
            | Error::AlreadyExists { .. }
            | Error::InvalidPath { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::UnknownConfigurationKey { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_no_store_is_told_what_stores_there_are() {
        for address in ["http://127.0.0.1/a", "https://example.com/a", "ftp://host/a", "S4://a", "://a"] {
            let said = check_scheme(address).expect_err(address).to_string();
            assert!(said.starts_with(address) && said.contains("s3://BUCKET/PREFIX"), "{said}");
        }
        for address in ["s3://a", "S3://a/b", "gs://a", "az://a/b", "https://a.s3.eu-central-1.amazonaws.com/b"] {
            check_scheme(address).expect(address);
        }
    }
}
