//! One cell as its parent sees it: started, asked, stopped while its pixels are read and while it waits, ended.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use shared_memory::{Frozen, Peer};

use super::child::{KEPT, NO_ORDERS, Orders};
use super::place::Together;
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

/// Bytes of pixels and of encoded pictures that a cell keeps the pages of while it rests: a picture of a megapixel. They cost
/// 1 ms when they are taken anew.
const KEPT_PIXELS: usize = 3 << 20;
const KEPT_INPUT: usize = 1 << 20;

/// What a picture that fits into them takes at most, also on a busy machine. What takes longer may have left more behind.
const QUICK: Duration = Duration::from_millis(50);

/// How long a cell decodes where its caller waits. Longer, and it might wait there for others while a processor is idle.
const TOGETHER: Duration = Duration::from_millis(20);

/// After so long without a large picture what those took goes back to the system.
pub(super) const REST: Duration = Duration::from_secs(2);

/// The least share of the time that a cell works while it waits for nothing but a processor, however many others want it.
const BUSY: u32 = 16;

/// How long after one look at what a cell has worked the next one is at the earliest, lest looking become work itself.
const LOOK: Duration = Duration::from_millis(20);

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

/// A cell that runs: it starts, or decodes.
#[derive(Debug)]
pub(super) struct Cell {
    peer: Peer,
    socket: OwnedFd,
    past: Past,
    /// When it was started or asked.
    since: Instant,
    /// Processor time that it had used by then; `None` where the system does not tell.
    worked: Option<Duration>,
}

/// What a cell's pictures have done to it.
#[derive(Debug, Clone, Copy, Default)]
struct Past {
    /// Bytes of pixels whose pages are certainly there.
    present: usize,
    /// When the last picture came that may have left more behind than a cell keeps, if that was not given back since.
    large: Option<Instant>,
    /// How many pictures there were, and whether one came since it last rested.
    decoded: u32,
    used: bool,
    /// A picture was costly, or a decoder in it panicked: it decodes no other picture.
    spent: bool,
}

/// A cell that stands still: its pixels are being read, or it waits for a picture. Whatever somebody has made of it, it does
/// nothing meanwhile.
#[derive(Debug)]
pub(super) struct Stopped {
    pub(super) memory: Frozen,
    socket: OwnedFd,
    past: Past,
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
        Ok(Self { peer, socket, past: Past::default(), since: Instant::now(), worked: None })
    }

    /// Waits until it is confined.
    pub(super) fn ready(mut self, orders: &Orders) -> Result<Self, CellError> {
        let why = match self.wait(self.since + START).then(|| self.hear(orders)) {
            Some(Ok(Answer::Ready)) => return Ok(self),
            Some(Ok(Answer::Unconfined(why))) => format!("it cannot be confined: {why}"),
            // It may live on.
            Some(Ok(_) | Err(Ending::Nonsense)) => "it is another program".to_owned(),
            Some(Err(_)) => match self.peer.wait().map(|status| (status.code(), status)) {
                Ok((Some(code), _)) if code == i32::from(NO_ORDERS) => "it was given no orders".to_owned(),
                Ok((_, status)) => format!("it ended at once ({status})"),
                Err(error) => error.to_string(),
            },
            None => format!("it was not ready within {} s", START.as_secs()),
        };
        Err(CellError::Start(why))
    }

    /// What it answers to a picture of `length` bytes.
    pub(super) fn answer(
        &mut self,
        length: usize,
        orders: &Orders,
        together: &mut Option<Together>,
    ) -> Result<Answer, Ending> {
        let begin = self.since;
        let limit = Duration::from_millis(orders.limits.max_decode_ms);
        let longest = orders.limits.longest();
        let soon = self.wait(begin + limit.min(TOGETHER));
        if !soon && let Some(together) = together.take() {
            together.part();
        }
        if !soon && !self.wait_for_work(limit, longest) {
            let _ = self.peer.kill();
            return Err(Ending::Time);
        }
        let took = begin.elapsed();
        self.past.spent |= took > COSTLY;
        let answer = self.hear(orders)?;
        let pixels = match &answer {
            Answer::Picture(_, found) => {
                let pixels = found.width as usize * found.height as usize * 3;
                self.past.present = self.past.present.max(pixels);
                pixels
            }
            // How much was written before it was refused is not known.
            _ => usize::MAX,
        };
        self.past.spent |= matches!(answer, Answer::Panicked);
        if pixels > KEPT_PIXELS || length > KEPT_INPUT || took > QUICK {
            self.past.large = Some(Instant::now());
        }
        Ok(answer)
    }

    /// Stops it, so that its pixels hold still.
    pub(super) fn freeze(self) -> io::Result<Stopped> {
        let Self { peer, socket, past, .. } = self;
        Ok(Stopped { memory: peer.freeze()?, socket, past })
    }

    /// Whether there is something to hear before it has worked for `limit` since it was asked, has taken `longest` by the clock
    /// or, from `limit` on, does not even work.
    fn wait_for_work(&self, limit: Duration, longest: Duration) -> bool {
        let latest = self.since + longest;
        let mut deadline = self.since + limit;
        let mut last = (self.since, Duration::ZERO);
        while !self.wait(deadline) {
            let now = Instant::now();
            let worked = self.worked.zip(self.peer.processor_time().ok());
            let worked = worked.map(|(before, in_all)| in_all.saturating_sub(before));
            let Some(worked) = worked.filter(|&worked| worked < limit && deadline < latest) else { return false };
            let since_last = now - last.0;
            if since_last >= limit / 8 {
                if worked.saturating_sub(last.1) * BUSY < since_last {
                    return false;
                }
                last = (now, worked);
            }
            // It cannot have worked for what is left any sooner.
            deadline = latest.min(now + (limit - worked).max(LOOK));
        }
        true
    }

    /// Whether there is something to hear, waiting until `deadline`.
    fn wait(&self, deadline: Instant) -> bool {
        is_heard(&self.socket, deadline)
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

/// Whether there is something to read, waiting until `deadline`.
fn is_heard(socket: &OwnedFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&left)) {
            Ok(0) => return false,
            Err(rustix::io::Errno::INTR) => {}
            // An error is found by reading.
            _ => return true,
        }
    }
}

impl Stopped {
    /// What became of it while it waited, if it cannot be asked: it has ended, or spoke without being asked.
    pub(super) fn lost_at_rest(&mut self) -> Option<Ending> {
        is_heard(&self.socket, Instant::now()).then(|| match self.memory.try_wait() {
            Ok(Some(status)) => Ending::of(status),
            _ => Ending::Nonsense,
        })
    }

    /// Moves it to where its caller is.
    pub(super) fn come_here(&self) -> Option<Together> {
        Together::new(self.memory.id())
    }

    /// Has it decode `bytes`, which fit into the memory before the pixels.
    pub(super) fn ask(mut self, bytes: &[u8]) -> Result<Cell, Ending> {
        self.memory.bytes_mut(0..bytes.len()).copy_from_slice(bytes);
        self.past.decoded += 1;
        self.past.used = true;
        let request = Request { length: bytes.len() as u64, present: self.past.present as u64 };
        // A cell that is gone is found by hearing nothing from it. One that has left so many requests unread that there is no
        // room for another gave its answers without them.
        let sent = send(&self.socket, &request.write(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        if sent == Err(rustix::io::Errno::AGAIN) {
            return Err(Ending::Nonsense);
        }
        let Self { memory, socket, past } = self;
        // It may be done before this thread is on again.
        let (since, worked) = (Instant::now(), memory.processor_time().ok());
        Ok(Cell { peer: memory.thaw().map_err(|_| Ending::Crash)?, socket, past, since, worked })
    }

    /// Whether it can be given another picture.
    pub(super) fn is_fit(&self) -> bool {
        !self.past.spent && self.past.decoded < LIFE
    }

    /// Whether it holds what pictures took that came a while ago; `since` is how long it has waited for one.
    pub(super) fn is_stale(&self, since: Duration) -> bool {
        self.past.large.is_some_and(|at| at.elapsed() >= REST) || self.past.used && since >= REST
    }

    /// Gives the memory of earlier pictures back to the system, but for a little. `false` when only its end gives back all.
    pub(super) fn forget(&mut self, orders: &Orders) -> bool {
        self.past.used = false;
        self.past.large = None;
        self.past.present = self.past.present.min(KEPT_PIXELS);
        // Where the system does not tell (a /proc that hides processes, as `ProtectProc=` of systemd has it), it may be.
        if self.memory.own_memory().map_or(true, |kept| kept > SWOLLEN) {
            return false;
        }
        let room = orders.input_room;
        let parts = [KEPT_INPUT.min(room)..room, (room + KEPT_PIXELS).min(self.memory.len())..self.memory.len()];
        // A hole of no bytes is an error; any other failure costs the cell.
        parts.into_iter().filter(|part| !part.is_empty()).all(|part| self.memory.forget(part).is_ok())
    }
}
