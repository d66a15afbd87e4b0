//! Pictures out of a tar file, which may be compressed with gzip.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::{Content, Picture, Pictures, SourceError, Wanted};
use crate::names::recorded;

/// Bytes of a tar file's unit, which begins with a header.
const BLOCK: usize = 512;

/// Where a header has the sum of its bytes, which count as spaces there.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// Letters of a link's target that are told; it may have as many as the tar file has bytes.
pub(super) const LONGEST_TARGET: usize = 200;

/// Bytes that long names, extensions and maps before a member may have. The reader of tar files holds them in memory, and
/// compressed a few of them say millions. Maps of large disk images take a megabyte.
const LARGEST_HEADERS: u64 = 16 << 20;

/// Every file in a tar file, in its order. Read on a thread of its own.
pub(super) fn pictures(path: &Path, wanted: Wanted, runtime: &Handle) -> Result<Pictures, SourceError> {
    let (mut archive, path) = (open(path).map_err(|source| fault(path, source))?, path.to_owned());
    let (sender, mut receiver) = mpsc::channel(1);
    #[expect(clippy::disallowed_methods, reason = "one for a run, which lasts as long as it")]
    runtime.spawn_blocking(move || {
        let mut send = |picture| sender.blocking_send(picture).is_ok();
        if let Err(source) = read(&mut archive, &wanted, &mut send) {
            send(Err(fault(&path, source)));
        }
    });
    Ok(Box::new(std::iter::from_fn(move || receiver.blocking_recv())))
}

/// Whether a file begins like a tar file: with a header, or with the emptiness at the end of one that holds nothing.
pub(super) fn is_tar(path: &Path) -> io::Result<bool> {
    let mut block = Vec::with_capacity(BLOCK);
    let read = open(path)?.tar.into_inner().take(BLOCK as u64).read_to_end(&mut block);
    // What is no gzip after all is no tar file either.
    if read.is_err() || block.len() < BLOCK {
        return Ok(false);
    }
    let byte = |(at, byte): (usize, &u8)| u32::from(if CHECKSUM.contains(&at) { b' ' } else { *byte });
    let sum: u32 = block.iter().enumerate().map(byte).sum();
    let told = tar::Header::from_byte_slice(&block).cksum();
    Ok(block.iter().all(|byte| *byte == 0) || told.is_ok_and(|told| told == sum))
}

fn fault(path: &Path, source: io::Error) -> SourceError {
    SourceError::Io { path: path.to_owned(), source }
}

/// A tar file, and how many of its bytes may be read until this is set anew.
struct Archive {
    tar: tar::Archive<Metered>,
    allowance: Arc<AtomicU64>,
}

/// Bytes of a tar file, as many as are allowed.
struct Metered {
    bytes: Box<dyn Read + Send>,
    allowance: Arc<AtomicU64>,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.allowance.load(Ordering::Relaxed);
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, TOO_LONG));
        }
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.bytes.read(&mut buffer[..most])?;
        self.allowance.store(left - read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

const TOO_LONG: &str = "names, extensions and maps of over 16 MiB before one file: it is damaged, or made to do harm";

fn open(path: &Path) -> io::Result<Archive> {
    let mut magic = Vec::new();
    File::open(path)?.take(2).read_to_end(&mut magic)?;
    let file = BufReader::new(File::open(path)?);
    let bytes: Box<dyn Read + Send> =
        if magic == [0x1f, 0x8b] { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let allowance = Arc::new(AtomicU64::new(LARGEST_HEADERS));
    Ok(Archive { tar: tar::Archive::new(Metered { bytes, allowance: allowance.clone() }), allowance })
}

/// Sends what is wanted; ends early when nobody receives any more.
fn read(
    Archive { tar, allowance }: &mut Archive,
    wanted: &Wanted,
    send: &mut impl FnMut(Result<Picture, SourceError>) -> bool,
) -> io::Result<()> {
    for entry in tar.entries()? {
        if wanted.stop.load(Ordering::Relaxed) {
            break;
        }
        let mut entry = entry?;
        // All of the member, as far as it is read here or passed over, and the headers of the next one.
        let stored =
            if entry.header().entry_type().is_gnu_sparse() { entry.header().entry_size()? } else { entry.size() };
        allowance.store(stored.saturating_add(LARGEST_HEADERS), Ordering::Relaxed);
        let sparse = sparse(&mut entry)?;
        let path =
            sparse.as_ref().and_then(|sparse| sparse.name.clone()).unwrap_or_else(|| entry.path_bytes().into_owned());
        let name = recorded(&path).trim_start_matches("./").to_owned();
        let kind = entry.header().entry_type();
        let absent = absence(&entry, kind, sparse.is_some());
        if !(absent.is_some() || kind.is_file() || kind.is_contiguous()) || !wanted.wants(&name) {
            continue;
        }
        let content = if let Some(reason) = absent {
            Content::Absent(reason)
        } else if entry.size() > wanted.max_bytes as u64 {
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

/// A file of whose bytes only those are stored that are not zero, in a map of its own.
struct Sparse {
    /// The file's name where the member's is another.
    name: Option<Vec<u8>>,
}

/// What GNU tar writes with `--sparse`, in its own format and in that of POSIX.
fn sparse<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Option<Sparse>> {
    let mut sparse = entry.header().entry_type().is_gnu_sparse().then_some(Sparse { name: None });
    for extension in entry.pax_extensions()?.into_iter().flatten() {
        let extension = extension?;
        if extension.key_bytes().starts_with(b"GNU.sparse.") {
            let sparse = sparse.get_or_insert(Sparse { name: None });
            if extension.key_bytes() == b"GNU.sparse.name" {
                sparse.name = Some(extension.value_bytes().to_owned());
            }
        }
    }
    Ok(sparse)
}

/// Why the bytes of a picture are not under its name, and what to do. What a link leads to may be long past, and all that
/// was read is not kept for it.
fn absence<R: Read>(entry: &tar::Entry<'_, R>, kind: tar::EntryType, sparse: bool) -> Option<String> {
    let target = || {
        let target: String =
            recorded(&entry.link_name_bytes().unwrap_or_default()).chars().take(LONGEST_TARGET).collect();
        target.trim_start_matches("./").to_owned()
    };
    if kind.is_hard_link() {
        Some(format!(
            "the tar file has a hard link to {} here and not the picture: its answer is under that name; pack with \
             `tar --hard-dereference` to have it under both",
            target()
        ))
    } else if kind.is_symlink() {
        Some(format!(
            "the tar file has a symbolic link to {} here and not the picture: pack with `tar --dereference`",
            target()
        ))
    } else if sparse {
        Some("the tar file has a sparse file here, which is not read: pack without `tar --sparse`".to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::parts::Done;
    use crate::shard::Shard;

    /// A tar file with one member whose name has so many letters, and what reading it gives.
    fn names(letters: usize) -> io::Result<Vec<String>> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        // A name that is too long for a header is written as a member of its own before it.
        tar.append_data(&mut header, "n".repeat(letters), &b"x"[..]).expect("a member");
        let packed = tar.into_inner().and_then(GzEncoder::finish).expect("a file");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("names.tar.gz");
        std::fs::write(&path, packed).expect("written");
        let mut found = Vec::new();
        let (shard, done, stop) = (Shard { index: 0, count: 1 }, Done::default(), Arc::new(AtomicBool::new(false)));
        let wanted = Wanted { shard, done, any_name: true, max_bytes: 10, stop, names: Arc::default() };
        read(&mut open(&path)?, &wanted, &mut |picture| {
            found.extend(picture.map(|picture| picture.name));
            true
        })?;
        Ok(found)
    }

    #[test]
    fn a_name_of_millions_of_letters_is_not_read_into_memory() {
        assert_eq!(names(4000).expect("a long name"), ["n".repeat(4000)]);
        assert!(names(64 << 20).expect_err("too long").to_string().contains("over 16 MiB"));
    }
}
