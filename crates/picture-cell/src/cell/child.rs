//! The cell's side: confines itself, then decodes one picture after the other until the parent closes the socket.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use rustix::io::{read, write};
use shared_memory::{Mapping, ignore_requests_to_end, populate};

use super::confinement::{ConfinementError, bind_to_parent, confine, failed};
use super::protocol::{Answer, Request};
use crate::canvas::Canvas;
use crate::limits::DecodeLimits;
use crate::sniff::sniff;

/// What a cell is told on its command line, as the words after the program's own.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Orders {
    pub(super) limits: DecodeLimits,
    /// Bytes of the shared memory before the pixels.
    pub(super) input_room: usize,
}

impl Orders {
    pub(super) fn words(&self) -> [String; 4] {
        let DecodeLimits { max_pixels, max_side, max_decode_bytes, .. } = &self.limits;
        [max_pixels.to_string(), max_side.to_string(), max_decode_bytes.to_string(), self.input_room.to_string()]
    }

    fn read(words: impl Iterator<Item = String>) -> Option<Self> {
        let words: Vec<String> = words.collect();
        let [max_pixels, max_side, max_decode_bytes, input_room] = words.as_slice() else { return None };
        let limits = DecodeLimits {
            max_pixels: max_pixels.parse().ok()?,
            max_side: max_side.parse().ok()?,
            max_decode_bytes: max_decode_bytes.parse().ok()?,
            ..DecodeLimits::default()
        };
        Some(Self { limits, input_room: input_room.parse().ok()? })
    }
}

/// Bytes that a decode must be allowed for a cell's allocator to keep a place of as many for it.
pub(super) const KEPT: u64 = 64 << 20;

/// Exit code, for the parent's message when a cell does not start.
pub(super) const NO_ORDERS: u8 = 3;

/// Runs a cell: to be called first thing in a program that [`Cells`](super::Cells) starts with `words` behind the
/// subcommand of its choice. Returns when the parent is done with it.
pub fn run(words: impl Iterator<Item = String>) -> ExitCode {
    // Nothing may be written anywhere, least of all what quotes a picture. Decoders that ask whether there is memory, and
    // then insist, end as those do that do not ask: the parent knows what an abort means.
    std::panic::set_hook(Box::new(|panic| {
        if panic.payload_as_str().is_some_and(|words| words.contains("AllocError")) {
            std::process::abort();
        }
    }));
    let Some(orders) = Orders::read(words) else { return ExitCode::from(NO_ORDERS) };
    let served = match prepare(&orders) {
        Ok(memory) => serve(&orders, memory),
        Err(error) => say(&Answer::Unconfined(error.to_string())),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn prepare(orders: &Orders) -> Result<Mapping, ConfinementError> {
    bind_to_parent()?;
    // What is meant for the service may reach its cells too: it ends in order, with the pictures that it has begun, and they
    // end with it.
    ignore_requests_to_end();
    // When memory runs out for all, a cell is what the system ends first: one picture is lost, not the service.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    // The name is for people who look at processes; without it the program's own shows.
    let _ = rustix::thread::set_name(c"facegate-cell");
    let memory = Mapping::open(io::stdout()).map_err(failed("mapping the memory that it shares"))?;
    confine(with_allocator(orders.limits.max_decode_bytes))?;
    Ok(memory)
}

/// What a process takes for a decoder that holds `bytes`. The program's allocator sets a place aside and holds what grows
/// twice while it moves: a HEIC of 24 megapixels needs 459 MiB with glibc's allocator, which moves pages, and 640 with mimalloc.
fn with_allocator(bytes: u64) -> u64 {
    let place = if bytes < KEPT { 0 } else { KEPT };
    bytes.saturating_add(bytes / 4).saturating_add(place)
}

fn say(answer: &Answer) -> io::Result<()> {
    write(io::stdin(), &answer.write())?;
    Ok(())
}

fn serve(orders: &Orders, mut memory: Mapping) -> io::Result<()> {
    say(&Answer::Ready)?;
    loop {
        let mut request = [0; Request::SIZE];
        match read(io::stdin(), &mut request) {
            Ok(Request::SIZE) => {}
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let Request { length, present } = Request::read(request);
        let number = |wide: u64| usize::try_from(wide).unwrap_or(usize::MAX);
        let (input, pixels) = memory.bytes_mut().split_at_mut(orders.input_room);
        let Some(bytes) = input.get(..number(length)) else { return Err(io::ErrorKind::InvalidData.into()) };
        let mut room = Room { pixels, present: number(present) };
        let decoding = AssertUnwindSafe(|| decode(bytes, &orders.limits, &mut room));
        say(&catch_unwind(decoding).unwrap_or(Answer::Panicked))?;
    }
}

fn decode(bytes: &[u8], limits: &DecodeLimits, room: &mut Room) -> Answer {
    let decoded = sniff(bytes).and_then(|format| {
        let found = (format.decode)(bytes, limits, room)?;
        Ok((format.name, found))
    });
    match decoded {
        Ok((format, found)) => Answer::Picture(format, found),
        Err(error) => Answer::Refused(error),
    }
}

/// The part of the shared memory that is for pixels.
struct Room<'m> {
    pixels: &'m mut [u8],
    /// How much of it has its pages already.
    present: usize,
}

impl Canvas for Room<'_> {
    fn zeros(&mut self, length: usize) -> &mut [u8] {
        let pixels = self.room(length);
        pixels.fill(0);
        pixels
    }

    fn room(&mut self, length: usize) -> &mut [u8] {
        let pixels = &mut self.pixels[..length];
        if let Some(new) = pixels.get_mut(self.present..) {
            populate(new);
        }
        pixels
    }
}
