//! A memory file and its mapping in this process.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::{self, NonNull};

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, fstat, ftruncate, memfd_create};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use rustix::process::{Resource, getrlimit};

/// A memory file that is mapped, readable and writable. Pages are taken when they are first written.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    length: usize,
    file: Option<OwnedFd>,
}

// SAFETY: a mapping belongs to the process and not to a thread; access through `&self` and `&mut self` follows Rust's
// rules as it does for a `Box<[u8]>`.
unsafe impl Send for Mapping {}
// SAFETY: as above; what `&self` allows is reading.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// A new memory file of `length` zeros, whose length nobody can change: a mapping whose file were cut off would end
    /// the process that reads it.
    pub fn create(length: usize) -> io::Result<Self> {
        // Beyond this limit the system would not refuse but end the process (SIGXFSZ).
        if getrlimit(Resource::Fsize).current.is_some_and(|most| most < length as u64) {
            let reason = format!("files of {length} bytes are over this process's limit (RLIMIT_FSIZE, `ulimit -f`)");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
        }
        let file = memfd_create(c"picture", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&file, length as u64)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let start = map(&file, length)?;
        Ok(Self { start, length, file: Some(file) })
    }

    /// Maps the file that a parent made with [`Mapping::create`]. In the parent, a [`Peer`](crate::Peer) has to own it:
    /// it then reads and writes only by its rules.
    pub fn open(file: impl AsFd) -> io::Result<Self> {
        let length = usize::try_from(fstat(&file)?.st_size).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Self { start: map(&file, length)?, length, file: None })
    }

    /// Length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a mapping of no bytes cannot be made")]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Another descriptor of the file, for a child.
    pub(crate) fn file(&self) -> io::Result<File> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        Ok(File::from(file.try_clone()?))
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `start` is mapped for `length` bytes until `self` is dropped, and the file cannot shrink. This process
        // writes only through `&mut self`. The other process: in the child, the parent writes only between a child's
        // answer and its next request; in the parent, `Peer` lets nobody call this but while the child stands still.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    /// All bytes, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `bytes`, and `&mut self` is the only access of this process.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }

    /// Gives the pages of a part back to the system; they are zeros afterwards.
    pub(crate) fn forget(&mut self, part: Range<usize>) -> io::Result<()> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(fallocate(file, flags, part.start as u64, part.len() as u64)?)
    }
}

fn map(file: impl AsFd, length: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: the system chooses the place, so that no memory of this process is replaced.
    let start =
        unsafe { mmap(ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, 0)? };
    NonNull::new(start.cast()).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is what `map` mapped, and no slice of it outlives `self`. A failure leaves it mapped.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// The largest page that any system of ours has. Asking for its own takes a system call that a confined child lacks.
const PAGE: usize = 64 << 10;

/// Takes the pages that lie wholly in `bytes` from the system, all at once but for some at both ends: each alone
/// costs a fault when it is first written.
/// Does nothing on a system that cannot (before Linux 5.14); what is written there then faults as ever.
pub fn populate(bytes: &mut [u8]) {
    let skipped = bytes.as_ptr().align_offset(PAGE);
    let length = bytes.len().saturating_sub(skipped) / PAGE * PAGE;
    let Some(part) = bytes.get_mut(skipped..skipped + length) else { return };
    // SAFETY: whole pages inside a slice that is borrowed for writing, and this advice changes none of their bytes.
    let _ = unsafe { madvise(part.as_mut_ptr().cast(), length, Advice::LinuxPopulateWrite) };
}

/// Closes every descriptor but standard input, output and error: what a library in the parent opened without
/// `O_CLOEXEC`. To be called before anything in this process owns a descriptor.
pub fn close_inherited() -> io::Result<()> {
    // SAFETY: the call takes three numbers and touches no memory. Nothing owns the descriptors yet, as the caller
    // promises; a value that did would get EBADF from then on, which is an error and no undefined behaviour here.
    match unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) } {
        0 => Ok(()),
        // Linux before 5.9, and sandboxes that do not know the call.
        _ => close_listed(),
    }
}

fn close_listed() -> io::Result<()> {
    let listed = std::fs::read_dir("/proc/self/fd")?.map(|entry| entry.map(|entry| entry.file_name()));
    let names = listed.collect::<io::Result<Vec<_>>>()?;
    for descriptor in names.iter().filter_map(|name| name.to_str()?.parse::<i32>().ok()).filter(|number| *number > 2) {
        // SAFETY: as for `close_range` above. That of the list itself is closed by now, which is an error and no harm.
        unsafe { libc::close(descriptor) };
    }
    Ok(())
}
