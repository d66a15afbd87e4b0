//! Bytes from strangers in one buffer, whose memory is set aside as they arrive.

use std::ops::Deref;
use std::sync::Arc;

use super::contract::{Problem, overloaded};
use super::shares::{NoMore, Part, Shares};
use super::turns::User;

/// The first piece of memory that is set aside; each further one doubles the buffer.
const FIRST: usize = 16 << 10;

/// A buffer. What arrives in however small pieces is copied into it, so that a byte costs a byte, and at most two while it
/// grows.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    part: Part<User>,
    share: usize,
    most: usize,
}

/// Why bytes were not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// They are more than may be.
    TooLarge,
    /// There is no memory for them.
    NoMemory(NoMore),
}

impl Buffer {
    /// For at most `most` bytes; their memory belongs to `part`, whose holder may have `share` of it.
    pub fn new(part: Part<User>, share: usize, most: usize) -> Self {
        Self { bytes: Vec::new(), part, share, most }
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
        let length = self.bytes.len() + piece.len();
        if length > self.most {
            return Err(Overflow::TooLarge);
        }
        if length > self.bytes.capacity() {
            let capacity = length.max(2 * self.bytes.capacity()).max(FIRST).min(self.most);
            self.part.grow(capacity - self.bytes.capacity(), self.share).map_err(Overflow::NoMemory)?;
            let more = capacity - self.bytes.len();
            // The system may have less than we thought.
            self.bytes.try_reserve_exact(more).map_err(|_| Overflow::NoMemory(NoMore::Whole))?;
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// The bytes, and the memory that stays set aside for them until it is dropped.
    pub fn into_parts(self) -> (Vec<u8>, Part<User>) {
        (self.bytes, self.part)
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
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
        assert_eq!(buffer.bytes.capacity(), memory.used());
        drop(buffer);
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
}
