//! One cell as its parent sees it: started, asked, stopped while its pixels are read, ended.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use shared_memory::{Frozen, Peer};

use super::child::{NO_ORDERS, NOT_CONFINED, Orders};
use super::protocol::{Answer, Request};
use crate::failure::CellError;

/// How long a cell may take to start; about 10 ms where nothing else runs.
const START: Duration = Duration::from_secs(20);

/// What an honest picture takes at most, but for the largest. What takes longer costs its cell, and with it all memory
/// that the decoder has taken goes back to the system.
const COSTLY: Duration = Duration::from_millis(500);

/// Bytes that a cell may keep to itself while it rests. What its decoders took beyond goes back to the system by the end of
/// the process, which alone gives back all of it.
const SWOLLEN: usize = 8 << 20;

/// Bytes that a decode must be allowed for a cell's allocator to keep a place for it.
const KEPT: u64 = 64 << 20;

/// How long a cell that has closed its end may take to be gone. It takes milliseconds, unless the machine is very busy.
const FAREWELL: Duration = Duration::from_secs(2);

/// Pictures in the life of a cell: what somebody may have made of it ends with it.
const LIFE: u32 = 1_000;

/// The program that becomes a cell by calling [`run`](super::run) first thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its file.
    pub path: PathBuf,
    /// Words that tell it to.
    pub words: Vec<String>,
}

/// A cell that runs and waits for a picture.
#[derive(Debug)]
pub(super) struct Cell {
    peer: Peer,
    socket: OwnedFd,
    /// How far the shared memory was written since it was last given back.
    pub(super) written: usize,
    decoded: u32,
    /// A picture was costly, or a decoder in it panicked: it decodes no other picture.
    spent: bool,
}

/// A cell whose pixels are being read.
#[derive(Debug)]
pub(super) struct Stopped {
    pub(super) memory: Frozen,
    socket: OwnedFd,
    written: usize,
    decoded: u32,
    spent: bool,
}

/// Why a cell had to be ended while it decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It took too long.
    Time,
    /// It was refused memory, or was killed for it.
    Memory,
    /// It did what it may not, or its decoder failed in a way that nothing catches.
    Crash,
    /// It gave an answer that our program does not give.
    Nonsense,
}

impl Ending {
    fn of(status: ExitStatus) -> Self {
        match status.signal() {
            // Rust aborts when memory is refused. A panic is caught and comes as an answer.
            Some(libc::SIGABRT | libc::SIGKILL) => Self::Memory,
            Some(libc::SIGXCPU) => Self::Time,
            _ => Self::Crash,
        }
    }
}

impl Cell {
    /// Starts a process that will be a cell; [`Cell::ready`] waits for it.
    pub(super) fn start(program: &Program, orders: &Orders, memory: usize) -> Result<Self, CellError> {
        let start = |error: io::Error| CellError::Start(error.to_string());
        let (socket, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|error| start(error.into()))?;
        let mut command = Command::new(&program.path);
        command.args(&program.words).args(orders.words());
        // Nothing of ours goes in: the environment may hold a password. mimalloc, when it is the program's allocator, gets
        // a place for the planes of 25 megapixels, which it keeps from picture to picture: taking them anew costs 8 ms at
        // 12 megapixels. What lies free in it for a second goes back. It would look for NUMA nodes among files that a
        // cell cannot read.
        let place = if orders.limits.max_decode_bytes < KEPT { "0" } else { "64M" };
        let allocator =
            [("MIMALLOC_ARENA_RESERVE", place), ("MIMALLOC_PURGE_DELAY", "100"), ("MIMALLOC_USE_NUMA_NODES", "1")];
        command.env_clear().envs(allocator);
        // A group of its own: what a terminal sends to ours must not let a stopped cell run.
        command.current_dir("/").process_group(0).stdin(theirs).stderr(Stdio::null());
        let peer = Peer::spawn(&mut command, memory).map_err(start)?;
        Ok(Self { peer, socket, written: 0, decoded: 0, spent: false })
    }

    /// Waits until it is confined.
    pub(super) fn ready(mut self, orders: &Orders) -> Result<Self, CellError> {
        let why = match self.wait(Instant::now() + START).then(|| self.hear(orders)) {
            Some(Ok(Answer::Ready)) => return Ok(self),
            Some(Ok(_)) => "it is another program".to_owned(),
            Some(Err(_)) => match self.peer.wait().map(|status| (status.code(), status)) {
                Ok((Some(code), _)) if code == i32::from(NO_ORDERS) => "it was given no orders".to_owned(),
                Ok((Some(code), _)) if code == i32::from(NOT_CONFINED) => {
                    "it cannot be confined: the system refuses a limit or the system call filter (seccomp)".to_owned()
                }
                Ok((_, status)) => format!("it ended at once ({status})"),
                Err(error) => error.to_string(),
            },
            None => format!("it was not ready within {} s", START.as_secs()),
        };
        Err(CellError::Start(why))
    }

    /// Decodes `bytes`, which fit into the memory before the pixels.
    pub(super) fn ask(&mut self, bytes: &[u8], orders: &Orders) -> Result<Answer, Ending> {
        let deadline = Instant::now() + Duration::from_millis(orders.limits.max_decode_ms);
        self.peer.write(bytes);
        self.written = self.written.max(bytes.len());
        self.decoded += 1;
        let request = Request { length: bytes.len() as u64 };
        // A cell that is gone is found by hearing nothing from it.
        let _ = send(&self.socket, &request.write(), SendFlags::NOSIGNAL);
        let begin = Instant::now();
        if !self.wait(deadline) {
            let _ = self.peer.kill();
            return Err(Ending::Time);
        }
        self.spent |= begin.elapsed() > COSTLY;
        let answer = self.hear(orders)?;
        match &answer {
            Answer::Picture(_, found) => {
                let pixels = found.width as usize * found.height as usize * 3;
                self.written = self.written.max(orders.input_room + pixels);
            }
            Answer::Panicked => self.spent = true,
            _ => {}
        }
        Ok(answer)
    }

    /// Whether it can be given another picture.
    pub(super) fn is_fit(&self) -> bool {
        !self.spent && self.decoded < LIFE
    }

    /// Whether it keeps so much that another one should take its place.
    pub(super) fn is_swollen(&self, orders: &Orders) -> bool {
        // Where the system does not tell, the pixels do: a decoder needs about as much for itself.
        let kept = self.peer.own_memory().unwrap_or_else(|_| self.written.saturating_sub(orders.input_room));
        kept > SWOLLEN
    }

    /// Gives the memory of earlier pictures back to the system.
    pub(super) fn forget(&mut self) {
        self.written = 0;
        // A failure costs memory until the cell is replaced.
        let _ = self.peer.forget(0);
    }

    /// Stops it, so that its pixels hold still.
    pub(super) fn freeze(self) -> io::Result<Stopped> {
        let Self { peer, socket, written, decoded, spent } = self;
        Ok(Stopped { memory: peer.freeze()?, socket, written, decoded, spent })
    }

    /// Whether there is something to hear, waiting until `deadline`.
    fn wait(&self, deadline: Instant) -> bool {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
            match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&left)) {
                Ok(0) => return false,
                Err(rustix::io::Errno::INTR) => {}
                // An error is found by reading.
                _ => return true,
            }
        }
    }

    /// Takes the answer that is there, or learns how the cell ended.
    fn hear(&mut self, orders: &Orders) -> Result<Answer, Ending> {
        // One more than an answer has, so that a longer packet is told from one.
        let mut bytes = [0; Answer::SIZE + 1];
        match recv(self.socket.as_fd(), &mut bytes[..], RecvFlags::DONTWAIT) {
            Ok((length, _)) if length > 0 => {
                Answer::read(&bytes[..length.min(bytes.len())], &orders.limits).map_err(|_| Ending::Nonsense)
            }
            // It has closed its end: it is dying, but might also have closed it and live on.
            _ => {
                let begin = Instant::now();
                while begin.elapsed() < FAREWELL {
                    if let Ok(Some(status)) = self.peer.try_wait() {
                        return Err(Ending::of(status));
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                let _ = self.peer.kill();
                Err(Ending::Crash)
            }
        }
    }
}

impl Stopped {
    /// Lets it run on.
    pub(super) fn thaw(self) -> io::Result<Cell> {
        let Self { memory, socket, written, decoded, spent } = self;
        Ok(Cell { peer: memory.thaw()?, socket, written, decoded, spent })
    }

    /// Whether it can be given another picture once it runs on.
    pub(super) fn is_fit(&self) -> bool {
        !self.spent && self.decoded < LIFE
    }
}
