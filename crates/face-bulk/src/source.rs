//! Where the pictures come from: a folder, a tar file, or a prefix in an object store.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectMeta;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use walkdir::WalkDir;

use super::error::StoreError;
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
}

impl Wanted {
    fn wants(&self, name: &str) -> bool {
        (self.any_name || is_picture(Path::new(name))) && self.shard.holds(name) && !self.done.holds(name)
    }
}

/// Pictures as they are found; after an error there are no more.
pub type Pictures = Box<dyn Iterator<Item = Result<Picture, SourceError>> + Send>;

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
        if kind.is_dir() { folder(path, wanted) } else { tar(path, wanted, runtime)? }
    };
    Ok(Box::new(pictures.take_while(move |_| !stop.load(Ordering::Relaxed))))
}

/// Every file below a folder, in the order of the names.
fn folder(folder: &Path, wanted: Wanted) -> Pictures {
    let top = folder.to_owned();
    let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
    Box::new(walk.filter_map(move |entry| {
        let entry = match entry {
            Ok(entry) if entry.file_type().is_file() => entry,
            Ok(_) => return None,
            // A link to a folder above: what is below it is read already.
            Err(error) if error.loop_ancestor().is_some() => return None,
            Err(error) => {
                let path = error.path().unwrap_or(&top).to_owned();
                // A link that leads nowhere is no picture, and a file may go while the folder is read.
                let source = io::Error::from(error);
                return (source.kind() != io::ErrorKind::NotFound).then_some(Err(SourceError::Io { path, source }));
            }
        };
        let parts = entry.path().strip_prefix(&top).unwrap_or(entry.path()).components();
        let name = parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
        if !wanted.wants(&name) {
            return None;
        }
        let large = entry.metadata().is_ok_and(|meta| meta.len() > wanted.max_bytes as u64);
        let content = if large { Content::TooLarge } else { Content::File(entry.into_path()) };
        Some(Ok(Picture { name, content }))
    }))
}

/// Every file in a tar file, which may be compressed with gzip, in its order. Read on a thread of its own.
fn tar(path: &Path, wanted: Wanted, runtime: &Handle) -> Result<Pictures, SourceError> {
    let fault = |path: &Path, source| SourceError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(|source| fault(path, source))?;
    let gzip = starts_with_gzip(path).map_err(|source| fault(path, source))?;
    let (sender, mut receiver) = mpsc::channel(1);
    let path = path.to_owned();
    #[expect(clippy::disallowed_methods, reason = "one for a run, which lasts as long as it")]
    runtime.spawn_blocking(move || {
        let mut send = |picture| sender.blocking_send(picture).is_ok();
        let read = if gzip {
            read_tar(&mut tar::Archive::new(MultiGzDecoder::new(BufReader::new(file))), &wanted, &mut send)
        } else {
            read_tar(&mut tar::Archive::new(BufReader::new(file)), &wanted, &mut send)
        };
        if let Err(source) = read {
            send(Err(SourceError::Io { path, source }));
        }
    });
    Ok(Box::new(std::iter::from_fn(move || receiver.blocking_recv())))
}

fn starts_with_gzip(path: &Path) -> io::Result<bool> {
    let mut magic = Vec::new();
    File::open(path)?.take(2).read_to_end(&mut magic)?;
    Ok(magic == [0x1f, 0x8b])
}

/// Sends what is wanted; ends early when nobody receives any more.
fn read_tar<R: Read>(
    archive: &mut tar::Archive<R>,
    wanted: &Wanted,
    send: &mut impl FnMut(Result<Picture, SourceError>) -> bool,
) -> io::Result<()> {
    for entry in archive.entries()? {
        if wanted.stop.load(Ordering::Relaxed) {
            break;
        }
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        if !entry.header().entry_type().is_file() || !wanted.wants(&name) {
            continue;
        }
        let content = if entry.size() > wanted.max_bytes as u64 {
            Content::TooLarge
        } else {
            let mut bytes = Vec::with_capacity(entry.size() as usize);
            entry.read_to_end(&mut bytes)?;
            if bytes.len() as u64 != entry.size() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Content::Bytes(bytes.into())
        };
        if !send(Ok(Picture { name, content })) {
            break;
        }
    }
    Ok(())
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
