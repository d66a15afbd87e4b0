//! The blocks of a sequential scan with their values.

use libjpeg_turbo_rs::common::quant_table::ZIGZAG_ORDER;

use super::bits::{LARGEST_DC, LONGEST, NO_CODE, TOO_MANY, WINDOW, window};
use super::codes::{Codes, Coefficient};

/// Bits that a look-up covers: the tables of luminance and chrominance stay in the first cache.
const QUICK: u32 = 10;

/// More places than a block has.
const END: u8 = 128;

/// Where the last of so many coefficients lies in a block.
const ORDER: [u8; 64] = {
    let (mut order, mut place) = ([0; 64], 1);
    while place < 64 {
        order[place] = ZIGZAG_ORDER[place - 1] as u8;
        place += 1;
    }
    order
};

/// A coefficient, or the end of a block.
#[derive(Clone, Copy, Default)]
struct Value {
    /// Bits of its code and value.
    bits: u8,
    /// Places in the block, the zeros before it with it; [`END`] for the end of the block.
    places: u8,
    value: i16,
}

impl Value {
    /// The one that `window` begins with; `None` when there is no such code.
    #[inline]
    fn find(codes: &Codes, window: u64) -> Option<Self> {
        let (length, symbol) = codes.find(window)?;
        let Coefficient { bits, places, ends } = Coefficient::new(symbol);
        let places = if ends { END } else { places as u8 };
        Some(Self { bits: (length + bits) as u8, places, value: value(window << length, bits) })
    }
}

/// The tables of a component.
pub(super) struct Values {
    dc: Codes,
    ac: Codes,
    /// By the next [`QUICK`] bits: the value that lies in them whole; no bits where there is none.
    quick: Box<[Value; 1 << QUICK]>,
}

impl Values {
    /// From the two tables as [`Codes::new`] takes them.
    pub(super) fn new(dc: &[u8], ac: &[u8]) -> Option<Self> {
        let (dc, ac) = (Codes::new(dc)?, Codes::new(ac)?);
        let mut quick = Box::new([Value::default(); 1 << QUICK]);
        for (window, value) in (0_u64..).zip(quick.iter_mut()) {
            let whole = Value::find(&ac, window << (64 - QUICK)).filter(|value| u32::from(value.bits) <= QUICK);
            *value = whole.unwrap_or_default();
        }
        Some(Self { dc, ac, quick })
    }

    /// Reads the block that begins at bit `at` into `block`, which is zeros, in natural order; `dc` is the one of the block
    /// before. The bit after it.
    #[inline]
    pub(super) fn block(
        &self,
        bytes: &[u8],
        mut at: usize,
        dc: &mut i16,
        block: &mut [i16; 64],
    ) -> Result<usize, &'static str> {
        let mut window = window(bytes, at);
        let (length, size) = self.dc.find(window).ok_or(NO_CODE)?;
        if size > LARGEST_DC {
            return Err(NO_CODE);
        }
        let mut used = length + u32::from(size);
        *dc = dc.wrapping_add(value(window << length, size.into()));
        block[0] = *dc;
        window <<= used;
        let mut filled = 1;
        loop {
            while used <= WINDOW - LONGEST {
                let mut value = self.quick[(window >> (64 - QUICK)) as usize];
                if value.bits == 0 {
                    value = Value::find(&self.ac, window).ok_or(NO_CODE)?;
                }
                window <<= value.bits;
                used += u32::from(value.bits);
                filled += usize::from(value.places);
                if filled < 64 {
                    block[usize::from(ORDER[filled])] = value.value;
                } else if filled == 64 {
                    block[63] = value.value;
                    return Ok(at + used as usize);
                } else {
                    return if value.places == END { Ok(at + used as usize) } else { Err(TOO_MANY) };
                }
            }
            at += used as usize;
            used = 0;
            window = super::bits::window(bytes, at);
        }
    }
}

/// The value in the topmost `size` bits, at most 15: numbers that begin with a zero are negative.
#[inline]
fn value(window: u64, size: u32) -> i16 {
    if size == 0 {
        return 0;
    }
    let number = (window >> (64 - size)) as i32;
    let negative = i32::from(window >> 63 == 0);
    (number - negative * ((1 << size) - 1)) as i16
}
