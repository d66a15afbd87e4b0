//! The data of an interval of a scan, bit by bit, and the blocks of progressive scans in it.

use super::codes::Codes;

/// Bits that a look at the data brings at least, and the most that one coefficient takes: its code and its value.
pub(super) const WINDOW: u32 = 57;
pub(super) const LONGEST: u32 = 16 + 15;

/// Bits that a block of 64 coefficients can take at most, codes (16) and values (15) together, in bytes and rounded up:
/// so far a block may read past the end before that is noticed.
const LARGEST_BLOCK: usize = 64 * (16 + 15) / 8 + 8;

/// The bits from `at` on, topmost first: at least [`WINDOW`] of them.
#[inline(always)]
pub(super) fn window(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes.get(at / 8..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |&bytes| u64::from_be_bytes(bytes) << (at % 8))
}

/// The largest size of a DC difference that libjpeg takes.
pub(super) const LARGEST_DC: u8 = 15;
pub(super) const ENDS: &str = "the data ends";
pub(super) const NO_CODE: &str = "bits that are no code";
pub(super) const TOO_MANY: &str = "a block of more than 64 coefficients";

/// The data of one interval without stuffing, and a place in it.
#[derive(Default)]
pub(super) struct Bits {
    pub(super) bytes: Vec<u8>,
    /// Length of the data; zeros follow.
    pub(super) length: usize,
    pub(super) at: usize,
    /// Blocks from here on in which nothing is new (progressive).
    empty_blocks: u32,
}

impl Bits {
    /// Takes the data up to the next restart marker, whose number (0 to 7) it returns, and moves `data` past it.
    pub(super) fn fill(&mut self, data: &mut &[u8]) -> Option<u8> {
        self.bytes.clear();
        self.bytes.reserve(data.len() + LARGEST_BLOCK);
        self.at = 0;
        self.empty_blocks = 0;
        let mut restart = None;
        while let Some(escape) = memchr::memchr(0xFF, data) {
            let run = &data[..escape];
            let after = data[escape..].iter().position(|&byte| byte != 0xFF).map_or(data.len(), |fill| escape + fill);
            self.bytes.extend_from_slice(run);
            let code = data.get(after).copied();
            *data = data.get(after + 1..).unwrap_or_default();
            match code {
                Some(0x00) => self.bytes.push(0xFF),
                Some(marker @ 0xD0..=0xD7) => {
                    restart = Some(marker & 7);
                    break;
                }
                _ => break,
            }
        }
        if restart.is_none() {
            self.bytes.extend_from_slice(data);
            *data = &[];
        }
        self.length = self.bytes.len();
        self.bytes.resize(self.length + LARGEST_BLOCK, 0);
        restart
    }

    pub(super) fn ran_out(&self) -> bool {
        self.at > self.length * 8
    }

    /// The bytes that were read, if only in part, and those that were not.
    pub(super) fn halves(&self) -> (&[u8], &[u8]) {
        self.bytes[..self.length].split_at(self.at.div_ceil(8).min(self.length))
    }

    /// The next bits, topmost first: at least 57 of them.
    pub(super) fn window(&self) -> u64 {
        window(&self.bytes, self.at)
    }

    #[inline]
    pub(super) fn skip(&mut self, bits: u32) {
        self.at += bits as usize;
    }

    /// The next `count` (at most 16) bits as a number.
    pub(super) fn take(&mut self, count: u32) -> u32 {
        let value = (self.window() >> 48) as u32 >> (16 - count);
        self.skip(count);
        value
    }

    pub(super) fn symbol(&mut self, codes: &Codes) -> Result<u8, &'static str> {
        let (length, symbol) = codes.find(self.window()).ok_or(NO_CODE)?;
        self.skip(length);
        Ok(symbol)
    }

    #[inline]
    pub(super) fn dc(&mut self, codes: &Codes) -> Result<(), &'static str> {
        let (length, size) = codes.find(self.window()).ok_or(NO_CODE)?;
        if size > LARGEST_DC {
            return Err(NO_CODE);
        }
        self.skip(length + u32::from(size));
        Ok(())
    }

    /// The first scan of a band: as a sequential block, but the end may be told for many blocks at once.
    pub(super) fn first_block(
        &mut self,
        codes: &Codes,
        (first, last): (u32, u32),
        filled: &mut u64,
    ) -> Result<(), &'static str> {
        if self.empty_blocks > 0 {
            self.empty_blocks -= 1;
            return Ok(());
        }
        let mut next = first;
        while next <= last {
            let symbol = self.symbol(codes)?;
            let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            if size == 0 && run < 15 {
                self.empty_blocks = (1 << run) - 1 + self.take(run);
                return Ok(());
            }
            next += run;
            if next > last {
                return Err(TOO_MANY);
            }
            *filled |= u64::from(size > 0) << next;
            self.skip(size);
            next += 1;
        }
        Ok(())
    }

    /// A later scan of a band: one more bit for each coefficient that is not zero, and new ones between them.
    pub(super) fn refined_block(
        &mut self,
        codes: &Codes,
        (first, last): (u32, u32),
        filled: &mut u64,
    ) -> Result<(), &'static str> {
        let before = *filled;
        let mut next = first;
        while self.empty_blocks == 0 && next <= last {
            let symbol = self.symbol(codes)?;
            let (mut zeros, new) = (u32::from(symbol >> 4), symbol & 15 > 0);
            if !new && zeros < 15 {
                self.empty_blocks = (1 << zeros) + self.take(zeros);
                break;
            }
            self.skip(u32::from(new));
            while next <= last {
                if before >> next & 1 == 1 {
                    self.skip(1);
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                next += 1;
            }
            if new {
                if next > last {
                    return Err(TOO_MANY);
                }
                *filled |= 1 << next;
            }
            next += 1;
        }
        if self.empty_blocks > 0 {
            if next <= last {
                let band = (u64::MAX << next) & (u64::MAX >> (63 - last));
                self.skip((before & band).count_ones());
            }
            self.empty_blocks -= 1;
        }
        Ok(())
    }
}
