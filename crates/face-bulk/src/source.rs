//! Where the pictures come from: a folder, a tar file, or a prefix in an object store.

mod archive;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectMeta;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use walkdir::WalkDir;

use super::error::StoreError;
use super::names::{recorded, recorded_path};
use super::parts::Done;
use super::pictures::is_picture;
use super::shard::Shard;
use super::store::{Location, is_remote, local_path};

/// Objects that are fetched from a store at the same time. Each holds at most `server.max_image_bytes`.
const FETCHES: usize = 8;

/// A fault of the source, which is none of a picture.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// An object store has failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is nothing that pictures can be read from.
    #[error(
        "cannot read {address}: {reason}; a source is a folder, a tar file (also .tar.gz) or a prefix in an object store \
         (s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX)"
    )]
    NoSource {
        /// As it was given.
        address: String,
        /// What it is instead.
        reason: String,
    },
    /// A file or folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A picture that is to be analysed.
#[derive(Debug)]
pub struct Picture {
    /// Relative to the source, with `/` between its parts.
    pub name: String,
    /// Its bytes, or where they are.
    pub content: Content,
}

/// Where a picture's bytes are.
#[derive(Debug)]
pub enum Content {
    /// Here.
    Bytes(Bytes),
    /// In a file, which the analysing thread reads.
    File(PathBuf),
    /// They are more than a picture may have, and were left where they are.
    TooLarge,
    /// Not under this name, although it is in the source: why, and what to do.
    Absent(String),
}

/// Which of the source's pictures are wanted.
#[derive(Debug)]
pub struct Wanted {
    /// Those of this shard.
    pub shard: Shard,
    /// But not those.
    pub done: Done,
    /// Also what is not named like a picture.
    pub any_name: bool,
    /// Larger ones are not fetched.
    pub max_bytes: usize,
    /// Set from outside to have no more.
    pub stop: Arc<AtomicBool>,
    /// Counts what the source has.
    pub names: Arc<Names>,
}

impl Wanted {
    fn wants(&self, name: &str) -> bool {
        let is_taken = self.any_name || is_picture(Path::new(name));
        let counted = if is_taken { &self.names.pictures } else { &self.names.left_aside };
        counted.fetch_add(1, Ordering::Relaxed);
        is_taken && self.shard.holds(name) && !self.done.holds(name)
    }
}

/// Files or objects that were met in a source, of whatever shard, done or not.
#[derive(Debug, Default)]
pub struct Names {
    pictures: AtomicU64,
    left_aside: AtomicU64,
}

impl Names {
    /// Those that are taken for pictures.
    pub fn pictures(&self) -> u64 {
        self.pictures.load(Ordering::Relaxed)
    }

    /// Those whose names do not end like those of pictures.
    pub fn left_aside(&self) -> u64 {
        self.left_aside.load(Ordering::Relaxed)
    }
}

/// Pictures as they are found; after an error there are no more.
pub type Pictures = Box<dyn Iterator<Item = Result<Picture, SourceError>> + Send>;

/// What a run records of its source: the path without links and from the root, or the address without what may be secret
/// in it. Answers of two sources in one destination would pass for each other's.
///
/// # Errors
///
/// When it is no source, which is better known before anything is written.
pub fn identity(address: &str, instance_credentials: bool) -> Result<String, SourceError> {
    if is_remote(address) {
        Location::remote(address, instance_credentials)?;
        return Ok(without_secrets(address));
    }
    let no_source = |reason: String| SourceError::NoSource { address: address.to_owned(), reason };
    let path = local_path(address).canonicalize().map_err(|error| no_source(error.to_string()))?;
    let kind = std::fs::metadata(&path).map_err(|error| no_source(error.to_string()))?;
    if kind.is_file() {
        if !archive::is_tar(&path).map_err(|error| no_source(error.to_string()))? {
            return Err(no_source("it is no tar file".to_owned()));
        }
    } else if !kind.is_dir() {
        return Err(no_source("it is neither a folder nor a file".to_owned()));
    }
    Ok(recorded_path(&path))
}

/// An address without user, password, query and fragment.
fn without_secrets(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{}", path.trim_end_matches('/'))
}

/// Opens a source.
pub fn open(
    address: &str,
    wanted: Wanted,
    instance_credentials: bool,
    runtime: &Handle,
) -> Result<Pictures, SourceError> {
    let stop = Arc::clone(&wanted.stop);
    let pictures: Pictures = if is_remote(address) {
        objects(Location::remote(address, instance_credentials)?, wanted, runtime)
    } else {
        let path = local_path(address);
        let kind = std::fs::metadata(path).map_err(|source| SourceError::Io { path: path.to_owned(), source })?;
        if kind.is_dir() { folder(path, wanted) } else { archive::pictures(path, wanted, runtime)? }
    };
    Ok(Box::new(pictures.take_while(move |_| !stop.load(Ordering::Relaxed))))
}

/// Every file below a folder, in the order of the names, and what is named like one.
fn folder(folder: &Path, wanted: Wanted) -> Pictures {
    let top = folder.to_owned();
    let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
    Box::new(walk.filter_map(move |entry| {
        let (path, absent) = match entry {
            Ok(entry) if entry.file_type().is_dir() => return None,
            Ok(entry) if entry.file_type().is_file() => (entry.into_path(), None),
            // Who opens a pipe waits for somebody to write to it.
            Ok(entry) => (entry.into_path(), Some(NO_FILE.to_owned())),
            // A link to a folder above: what is below it is read already.
            Err(error) if error.loop_ancestor().is_some() => return None,
            Err(error) => {
                let path = error.path().unwrap_or(&top).to_owned();
                let source = io::Error::from(error);
                match std::fs::read_link(&path) {
                    Ok(target) if source.kind() != io::ErrorKind::PermissionDenied => {
                        (path, Some(leads_nowhere(&target)))
                    }
                    // A file may go while the folder is read.
                    _ if source.kind() == io::ErrorKind::NotFound => return None,
                    _ => return Some(Err(SourceError::Io { path, source })),
                }
            }
        };
        let parts = path.strip_prefix(&top).unwrap_or(&path).components();
        let name = parts.map(|part| recorded(part.as_os_str().as_encoded_bytes())).collect::<Vec<_>>().join("/");
        if !wanted.wants(&name) {
            return None;
        }
        let large = || std::fs::metadata(&path).is_ok_and(|meta| meta.len() > wanted.max_bytes as u64);
        let content = match absent {
            Some(reason) => Content::Absent(reason),
            None if large() => Content::TooLarge,
            None => Content::File(path),
        };
        Some(Ok(Picture { name, content }))
    }))
}

/// What is said of what is no file.
const NO_FILE: &str =
    "the folder has a pipe, a device or a socket here and not the picture: put a file here, or take it away";

fn leads_nowhere(target: &Path) -> String {
    let target: String = recorded_path(target).chars().take(archive::LONGEST_TARGET).collect();
    format!(
        "the folder has a symbolic link to {target} here, which leads to no file: put the picture there, or take the link away"
    )
}

/// Every object below a prefix, several fetched ahead.
fn objects(location: Location, wanted: Wanted, runtime: &Handle) -> Pictures {
    let (sender, mut receiver) = mpsc::channel(1);
    runtime.spawn(async move {
        let is_wanted =
            |(name, meta): (String, ObjectMeta)| std::future::ready(Ok(wanted.wants(&name).then_some((name, meta))));
        let fetched = location
            .list()
            .try_filter_map(is_wanted)
            .map_ok(|(name, meta)| fetch(&location, name, meta, wanted.max_bytes))
            .try_buffered(FETCHES);
        let mut fetched = std::pin::pin!(fetched);
        while let Some(picture) = fetched.next().await {
            let picture = picture.map_err(SourceError::Store).transpose();
            if let Some(picture) = picture
                && sender.send(picture).await.is_err()
            {
                break;
            }
        }
    });
    Box::new(std::iter::from_fn(move || receiver.blocking_recv()))
}

/// The picture; `None` when it is gone since it was listed, and so none of this source any more.
async fn fetch(
    location: &Location,
    name: String,
    meta: ObjectMeta,
    max_bytes: usize,
) -> Result<Option<Picture>, StoreError> {
    if meta.size > max_bytes as u64 {
        return Ok(Some(Picture { name, content: Content::TooLarge }));
    }
    let bytes = location.get_at(&meta.location).await?;
    Ok(bytes.map(|bytes| Picture { name, content: Content::Bytes(bytes) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_of_an_address_holds_no_secret() {
        for (address, recorded) in [
            ("s3://bucket/photos/2026/", "s3://bucket/photos/2026"),
            ("s3://bucket", "s3://bucket"),
            ("az://key:secret@box/a@b/c?sig=secret#d", "az://box/a@b/c"),
            ("gs://b?token=secret/x", "gs://b"),
        ] {
            assert_eq!(without_secrets(address), recorded);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_named_like_a_picture_and_is_no_file_is_in_the_source_all_the_same() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().expect("a folder");
        let within = |name: &str| folder.path().join(name);
        std::fs::write(within("a.jpg"), b"x").expect("writes");
        symlink("a.jpg", within("b.jpg")).expect("links");
        symlink("nowhere", within("c.jpg")).expect("links");
        symlink("d.jpg", within("d.jpg")).expect("links");
        symlink("a.jpg/within", within("e.jpg")).expect("links");
        symlink("nowhere", within("notes")).expect("links");
        assert!(std::process::Command::new("mkfifo").arg(within("p.jpg")).status().expect("mkfifo").success());
        symlink("/dev/zero", within("z.jpg")).expect("links");
        symlink(".", within("round.jpg")).expect("links");
        let (shard, done, stop) = (Shard { index: 0, count: 1 }, Done::default(), Arc::new(AtomicBool::new(false)));
        let names = Arc::new(Names::default());
        let wanted = Wanted { shard, done, any_name: false, max_bytes: 10, stop, names: Arc::clone(&names) };
        let found: Vec<(String, String)> = super::folder(folder.path(), wanted)
            .map(|picture| picture.expect("no fault"))
            .map(|picture| match picture.content {
                Content::File(_) => (picture.name, "a file".to_owned()),
                Content::Absent(reason) => (picture.name, reason),
                other => panic!("{}: {other:?}", picture.name),
            })
            .collect();
        let expected = [
            ("a.jpg", "a file"),
            ("b.jpg", "a file"),
            ("c.jpg", "a symbolic link to nowhere"),
            ("d.jpg", "a symbolic link to d.jpg"),
            ("e.jpg", "a symbolic link to a.jpg/within"),
            ("p.jpg", "a pipe, a device or a socket"),
            ("z.jpg", "a pipe, a device or a socket"),
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for ((name, what), (expected, words)) in found.iter().zip(expected) {
            assert!(name == expected && what.contains(words), "{name}: {what}");
        }
        assert_eq!((names.pictures(), names.left_aside()), (7, 1));
    }

    #[test]
    fn a_folder_is_the_same_source_by_every_path_and_what_is_no_tar_file_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let within = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
        std::fs::create_dir(within("a")).expect("a folder");
        let identity = |name: &str| identity(&within(name), false);
        let a = identity("a").expect("a folder");
        assert!(a.starts_with('/') || cfg!(windows), "{a}");
        assert_eq!(identity("a/../a/").expect("a folder"), a);
        assert_ne!(identity("").expect("a folder"), a);
        for (name, bytes) in [("a.jpg", &b"\xff\xd8\xff"[..]), ("b.zip", &[b'P'; 2000]), ("c.tar.gz", b"\x1f\x8bno")] {
            std::fs::write(within(name), bytes).expect("writes");
            let said = identity(name).expect_err("no source").to_string();
            assert!(said.contains(name) && said.contains("no tar file") && said.contains("a folder"), "{said}");
        }
        let nothing = tar::Builder::new(Vec::new()).into_inner().expect("a tar file");
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_path_with_name(within("a.jpg"), "a.jpg").expect("appends");
        for (name, bytes) in [("nothing.tar", nothing), ("one.tar", tar.into_inner().expect("a tar file"))] {
            std::fs::write(within(name), bytes).expect("writes");
            assert!(identity(name).expect("a tar file").ends_with(name));
        }
    }
}
