//! A child process and the memory that it shares, in two states: it runs, or it stands still and the memory is readable.

use std::io;
use std::ops::Range;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::clock::processor_time;
use crate::mapping::Mapping;
use crate::signals::keep_endings;

/// So often a child is told to stop before it is killed.
const MOST_STOPS: usize = 100;

/// A child that may run and write the shared memory at any time. Dropping it ends the child and waits until it is gone.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    memory: Mapping,
}

impl Peer {
    /// Starts `command` with `length` bytes of shared memory as its standard output, from where it can map them.
    pub fn spawn(command: &mut Command, length: usize) -> io::Result<Self> {
        keep_endings();
        let memory = Mapping::create(length).map_err(within("memory to share (memfd_create)"))?;
        let child = command.stdout(Stdio::from(memory.file()?)).spawn();
        let child = child.map_err(within(&command.get_program().to_string_lossy()))?;
        Ok(Self { child, memory })
    }

    /// Stops the child. When it cannot be stopped it is killed; either way it stands still.
    pub fn freeze(mut self) -> io::Result<Frozen> {
        let pid = pid(&self.child);
        // Somebody else's SIGCONT takes back a stop that has not taken effect; it is reported, as that of the last thaw may be.
        let changes = WaitIdOptions::STOPPED | WaitIdOptions::CONTINUED;
        let alive = (0..MOST_STOPS).any(|_| {
            let status =
                kill_process(pid, Signal::STOP).and_then(|()| retry_on_intr(|| waitid(WaitId::Pid(pid), changes)));
            status.is_ok_and(|status| status.is_some_and(|status| status.stopped()))
        });
        if !alive {
            self.child.kill()?;
            self.child.wait()?;
        }
        Ok(Frozen { peer: self, alive })
    }

    /// Ends the child, without waiting for it.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()
    }

    /// How the child has ended, if it has.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Processor time that the child has used since it was started.
    pub fn processor_time(&self) -> io::Result<Duration> {
        processor_time(pid(&self.child))
    }

    /// Waits for the child's end.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Neither fails but for a child that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An error that says what it was about.
fn within(what: &str) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{what}: {error}"))
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// A child that stands still. It is stopped, all of it: a stop reaches every thread, takes effect before the child's next
/// instruction, and `waitid` reports it only then. Nobody else can write the memory if the child was kept from giving it
/// away and from starting processes, which is for its confinement to see to.
#[derive(Debug)]
pub struct Frozen {
    peer: Peer,
    alive: bool,
}

impl Frozen {
    /// A part of the memory. Panics beyond its end.
    pub fn bytes(&self, part: Range<usize>) -> &[u8] {
        &self.peer.memory.bytes()[part]
    }

    /// A part of the memory, to be changed. Panics beyond its end.
    pub fn bytes_mut(&mut self, part: Range<usize>) -> &mut [u8] {
        &mut self.peer.memory.bytes_mut()[part]
    }

    /// Length of the memory in bytes.
    #[expect(clippy::len_without_is_empty, reason = "there is always some")]
    pub fn len(&self) -> usize {
        self.peer.memory.len()
    }

    /// Gives a part of the memory back to the system.
    pub fn forget(&mut self, part: Range<usize>) -> io::Result<()> {
        self.peer.memory.forget(part)
    }

    /// Bytes of memory that the child has to itself.
    pub fn own_memory(&self) -> io::Result<usize> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.peer.child.id()))?;
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix("kB"));
        let number = kilobytes.and_then(|number| number.trim().parse::<usize>().ok());
        number.map(|number| number << 10).ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Processor time that the child has used since it was started.
    pub fn processor_time(&self) -> io::Result<Duration> {
        self.peer.processor_time()
    }

    /// The child's number.
    pub fn id(&self) -> Pid {
        pid(&self.peer.child)
    }

    /// How the child has ended, if it has.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.peer.try_wait()
    }

    /// Lets the child run on; an error when it is dead.
    pub fn thaw(self) -> io::Result<Peer> {
        if !self.alive {
            return Err(io::ErrorKind::NotFound.into());
        }
        kill_process(pid(&self.peer.child), Signal::CONT)?;
        Ok(self.peer)
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::mapping::populate;

    /// Of the shared memory.
    const LENGTH: usize = 4096;

    #[test]
    fn memory_of_a_child_that_stands_still_does_not_change() {
        // A shell that counts for ever without starting programs: only then is all of it stopped. Opened by its name,
        // the memory is written from its beginning each time.
        let script = "i=0; while :; do i=$((i+1)); echo $i 1<>/proc/self/fd/1; done";
        let mut peer = Peer::spawn(Command::new("sh").arg("-c").arg(script), LENGTH).expect("a shell");
        let begin = Instant::now();
        let mut before = Vec::new();
        let mut moved = false;
        while !moved && begin.elapsed() < Duration::from_secs(20) {
            sleep(Duration::from_millis(2));
            let frozen = peer.freeze().expect("stops");
            let seen = frozen.bytes(0..LENGTH).to_vec();
            sleep(Duration::from_millis(5));
            assert_eq!(frozen.bytes(0..LENGTH), seen);
            moved = !before.is_empty() && before != seen;
            before = seen;
            peer = frozen.thaw().expect("is there");
        }
        assert!(moved, "the child wrote nothing");
    }

    #[test]
    fn a_child_that_has_died_stands_still_too() {
        let mut peer = Peer::spawn(Command::new("sh").arg("-c").arg("printf abc"), LENGTH).expect("a shell");
        while peer.child.try_wait().expect("a child").is_none() {
            sleep(Duration::from_millis(1));
        }
        let frozen = peer.freeze().expect("is dead");
        assert_eq!(frozen.bytes(0..4), b"abc\0");
        assert!(frozen.thaw().is_err());
    }

    #[test]
    fn a_child_s_own_memory_is_known_without_what_it_shares() {
        // Two megabytes and then nothing: some kernels count so roughly that a small program seems to have none.
        let script = "x=$(head -c 2000000 /dev/zero | tr '\\0' x); while :; do :; done";
        let peer = Peer::spawn(Command::new("sh").arg("-c").arg(script), 64 << 20).expect("a shell");
        let mut frozen = peer.freeze().expect("stops");
        frozen.bytes_mut(0..64 << 20).fill(7);
        let mut own = frozen.own_memory().expect("a process");
        let begin = Instant::now();
        while own < 1 << 20 && begin.elapsed() < Duration::from_secs(20) {
            let peer = frozen.thaw().expect("is there");
            sleep(Duration::from_millis(5));
            frozen = peer.freeze().expect("stops");
            own = frozen.own_memory().expect("a process");
        }
        assert!((1 << 20..16 << 20).contains(&own), "{own}");
    }

    #[test]
    fn only_work_counts_as_processor_time() {
        let start = |script| Peer::spawn(Command::new("sh").arg("-c").arg(script), LENGTH).expect("a shell");
        let begin = Instant::now();
        let (busy, idle) = (start("while :; do :; done"), start("exec sleep 60"));
        let enough = Duration::from_millis(300);
        while busy.processor_time().expect("it lives") < enough && begin.elapsed() < Duration::from_secs(60) {
            sleep(Duration::from_millis(20));
        }
        let frozen = busy.freeze().expect("stops");
        let used = frozen.processor_time().expect("it lives");
        assert!(used >= enough && used <= begin.elapsed(), "{used:?}");
        assert!(idle.processor_time().expect("it lives") < used);
        sleep(Duration::from_millis(50));
        assert_eq!(frozen.processor_time().expect("it lives"), used);
    }

    #[test]
    fn what_is_populated_keeps_its_bytes() {
        let length = 300 << 10;
        let mut memory = Mapping::create(length).expect("memory");
        memory.bytes_mut()[100_000] = 7;
        // From within one page to within another, and less than a page.
        populate(&mut memory.bytes_mut()[100..length - 1]);
        populate(&mut memory.bytes_mut()[3..5]);
        assert!(memory.bytes().iter().enumerate().all(|(at, &byte)| byte == if at == 100_000 { 7 } else { 0 }));
    }

    #[test]
    fn what_is_forgotten_is_zero() {
        let peer = Peer::spawn(Command::new("sleep").arg("9"), 3 * LENGTH).expect("a program");
        let mut frozen = peer.freeze().expect("stops");
        frozen.bytes_mut(0..3 * LENGTH).fill(7);
        frozen.forget(LENGTH..frozen.len()).expect("can be forgotten");
        assert_eq!(frozen.bytes(0..3 * LENGTH), [vec![7; LENGTH], vec![0; 2 * LENGTH]].concat());
    }
}
