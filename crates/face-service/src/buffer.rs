//! Bytes from strangers, or for them, in one buffer, whose memory is set aside as they arrive.

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use memmap2::{MmapMut, MmapOptions};

use super::contract::{Problem, overloaded};
use super::shares::{NoMore, Part, Shares};
use super::turns::User;

/// The first piece of memory that is set aside; each further one doubles the buffer until it is large.
const FIRST: usize = 16 << 10;

/// From here on a buffer has pages of its own. The allocator keeps what was freed on another thread than took it until that
/// thread asks for as much again, which may be never; pages that are unmapped are gone at once. What mapping costs is paid
/// with fewer copies: bodies of half a megabyte take as long either way.
const LARGE: usize = 128 << 10;

/// Steps in which the memory of a large buffer is set aside: its pages are taken as they are written.
const STEP: usize = 64 << 10;

/// A buffer. What arrives in however small pieces is copied into it, so that a byte costs a byte, and at most two while it
/// is small and grows.
#[derive(Debug)]
pub struct Buffer {
    memory: Memory,
    length: usize,
    part: Part<User>,
    set_aside: usize,
    share: usize,
    most: usize,
}

/// Where the bytes are.
#[derive(Debug)]
enum Memory {
    /// In the allocator's memory.
    Small(Vec<u8>),
    /// In a mapping of as many bytes as there may be, of which only the written pages exist.
    Large(MmapMut),
}

/// Why bytes were not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Overflow {
    /// They are more than may be.
    #[error("more bytes than may be")]
    TooLarge,
    /// There is no memory for them.
    #[error("no memory for more bytes")]
    NoMemory(NoMore),
}

impl Buffer {
    /// For at most `most` bytes; their memory belongs to `part`, whose holder may have `share` of it.
    pub fn new(part: Part<User>, share: usize, most: usize) -> Self {
        Self { memory: Memory::Small(Vec::new()), length: 0, part, set_aside: 0, share, most }
    }

    /// For at most `most` bytes of memory that is shared with nobody.
    pub fn alone(most: usize) -> Self {
        let part = Shares::new(usize::MAX).part(Arc::from(""));
        Self::new(part, usize::MAX, most)
    }

    /// How many bytes it may hold.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Who holds its memory.
    pub(crate) fn holder(&self) -> User {
        Arc::clone(self.part.holder())
    }

    /// Appends what has arrived.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), Overflow> {
        let length = self.length + piece.len();
        if length > self.most {
            return Err(Overflow::TooLarge);
        }
        if length > self.set_aside {
            self.grow(length)?;
        }
        match &mut self.memory {
            Memory::Small(bytes) => bytes.extend_from_slice(piece),
            Memory::Large(pages) => pages[self.length..length].copy_from_slice(piece),
        }
        self.length = length;
        Ok(())
    }

    /// Sets memory for `length` bytes aside.
    fn grow(&mut self, length: usize) -> Result<(), Overflow> {
        let double = length.max(2 * self.set_aside).max(FIRST).min(self.most);
        let target = if double < LARGE { double } else { length.next_multiple_of(STEP).min(self.most) };
        self.part.grow(target - self.set_aside, self.share).map_err(Overflow::NoMemory)?;
        self.set_aside = target;
        // The system may have less than we thought.
        self.take(target).map_err(|_| Overflow::NoMemory(NoMore::Whole))
    }

    /// Takes what is set aside from the allocator or from the system.
    fn take(&mut self, target: usize) -> io::Result<()> {
        let Memory::Small(bytes) = &mut self.memory else { return Ok(()) };
        if target < LARGE {
            return bytes.try_reserve_exact(target - bytes.len()).map_err(io::Error::other);
        }
        let mut pages = MmapOptions::new().len(self.most).no_reserve_swap().map_anon()?;
        pages[..bytes.len()].copy_from_slice(bytes);
        self.memory = Memory::Large(pages);
        Ok(())
    }
}

/// Fails with an [`Overflow`].
impl io::Write for Buffer {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.push(piece).map_err(io::Error::other)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// For [`bytes::Bytes::from_owner`]: an answer is sent out of it.
impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.memory {
            Memory::Small(bytes) => bytes,
            Memory::Large(pages) => &pages[..self.length],
        }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::Small(bytes) => bytes,
            Memory::Large(pages) => &mut pages[..self.length],
        }
    }
}

/// The answer to what would need memory that there is not.
pub(crate) fn no_memory(no_more: NoMore) -> Problem {
    overloaded(
        "memory_exhausted",
        match no_more {
            NoMore::Whole => "the service holds as many pictures as it may: try again in a moment",
            NoMore::Share => "the service holds as many of your pictures as it may: try again in a moment",
        },
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn single_bytes_cost_what_they_are() {
        let memory = Shares::new(1 << 20);
        let mut buffer = Buffer::new(memory.part("ann".into()), 1 << 20, 1 << 20);
        assert_eq!(memory.used(), 0);
        for byte in 0..200_000_u32 {
            buffer.push(&[byte as u8]).expect("fits");
            assert!(buffer.len() <= memory.used() && memory.used() <= FIRST.max(2 * buffer.len()));
        }
        assert!(buffer.iter().zip(0_u32..).all(|(&byte, number)| byte == number as u8));
        drop(buffer);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn what_is_written_fails_with_why_it_is_not_taken() {
        let memory = Shares::new(100_000);
        let mut buffer = Buffer::new(memory.part("ann".into()), 50_000, 80_000);
        assert!(buffer.write_all(&[7; 50_000]).is_ok());
        for (more, why) in [(1, Overflow::NoMemory(NoMore::Share)), (30_001, Overflow::TooLarge)] {
            let error = buffer.write_all(&vec![7; more]).expect_err("too much");
            assert_eq!(error.downcast::<Overflow>().ok(), Some(why));
        }
        let bytes = bytes::Bytes::from_owner(buffer);
        assert_eq!((bytes.len(), memory.used()), (50_000, 50_000));
        drop(bytes);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn what_is_too_large_or_has_no_memory_is_not_taken() {
        let memory = Shares::new(100_000);
        let mut buffer = Buffer::new(memory.part("ann".into()), 50_000, 80_000);
        assert_eq!(buffer.push(&[0; 80_001]), Err(Overflow::TooLarge));
        assert_eq!(buffer.push(&[0; 50_001]), Err(Overflow::NoMemory(NoMore::Share)));
        assert_eq!(buffer.push(&[0; 50_000]), Ok(()));
        assert_eq!(memory.used(), 50_000);
    }

    #[test]
    fn a_large_buffer_has_no_more_than_what_has_arrived_and_gives_it_back_when_it_is_dropped() {
        let memory = Shares::new(usize::MAX);
        let mut buffer = Buffer::new(memory.part("ann".into()), usize::MAX, 256 << 20);
        let piece: Vec<u8> = (0..50_000_u32).map(|number| (number % 251) as u8).collect();
        for _ in 0..20 {
            buffer.push(&piece).expect("fits");
            assert!(memory.used() < buffer.len() + LARGE);
        }
        assert!(matches!(buffer.memory, Memory::Large(_)), "else it is the allocator's to give back");
        assert_eq!(*buffer, piece.repeat(20));
        buffer[999_999] = 7;
        assert_eq!(buffer.last(), Some(&7));
        drop(buffer);
        assert_eq!(memory.used(), 0);
    }
}
