//! Huffman tables of a JPEG, arranged for being walked over: lengths count, values do not.

/// Bits of a code that a look-up covers. Longer codes are rare.
pub(super) const QUICK: u32 = 12;

/// The tables that the standard prints (K.3 to K.6), which webcams leave out: luminance and chrominance.
pub(super) const STANDARD_DC: [&[u8]; 2] = [
    &[0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    &[0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
];
pub(super) const STANDARD_AC: [&[u8]; 2] = [
    &[
        0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d, 0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31,
        0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1,
        0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26,
        0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
        0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73,
        0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94,
        0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4,
        0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4,
        0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2,
        0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
    ],
    &[
        0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77, 0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06,
        0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09,
        0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19,
        0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
        0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a,
        0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92,
        0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2,
        0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2,
        0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2,
        0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
    ],
];

/// One Huffman table.
pub(super) struct Codes {
    /// By the next [`QUICK`] bits: length of the code and its symbol; a length of 0 says that the code is longer.
    quick: Box<[(u8, u8); 1 << QUICK]>,
    /// By length: one past the largest code, left-aligned in 16 bits, and what to add to a code for its symbol's place.
    longer: [(u32, i32); 17],
    symbols: Vec<u8>,
}

impl Codes {
    /// From 16 counts and the symbols; `None` when there are more codes than fit.
    pub(super) fn new(table: &[u8]) -> Option<Self> {
        let (counts, symbols) = table.split_at_checked(16)?;
        let mut codes = Self { quick: Box::new([(0, 0); 1 << QUICK]), longer: [(0, 0); 17], symbols: symbols.to_vec() };
        let (mut code, mut place) = (0_u32, 0_usize);
        for (length, &count) in (1_u32..).zip(counts) {
            let first = code;
            for _ in 0..count {
                if code >> length != 0 {
                    return None;
                }
                if length <= QUICK {
                    let start = (code as usize) << (QUICK - length);
                    let entry = (length as u8, *symbols.get(place)?);
                    codes.quick[start..start + (1 << (QUICK - length))].fill(entry);
                }
                (code, place) = (code + 1, place + 1);
            }
            codes.longer[length as usize] = (code << (16 - length), place as i32 - code as i32);
            debug_assert!(first <= code);
            code <<= 1;
        }
        Some(codes)
    }

    /// Length and symbol of the code that the topmost bits of `window` begin with; `None` when there is no such code.
    #[inline]
    pub(super) fn find(&self, window: u64) -> Option<(u32, u8)> {
        let (length, symbol) = self.quick[(window >> (64 - QUICK)) as usize];
        if length > 0 { Some((length.into(), symbol)) } else { self.find_longer(window) }
    }

    #[cold]
    fn find_longer(&self, window: u64) -> Option<(u32, u8)> {
        let next = (window >> 48) as u32;
        let length = (QUICK + 1..=16).find(|&length| next < self.longer[length as usize].0)?;
        let place = (next >> (16 - length)) as i32 + self.longer[length as usize].1;
        Some((length, *self.symbols.get(usize::try_from(place).ok()?)?))
    }
}

/// What whole coefficients of a sequential block the next bits hold.
#[derive(Clone, Copy, Default)]
pub(super) struct Step {
    /// Bits of their codes and values; 0 when there is not one whole coefficient in the look-up's reach.
    pub(super) bits: u8,
    /// Places in the block that they fill, runs of zeros with them; [`Step::END`] more where the block ends after them.
    pub(super) places: u8,
}

impl Step {
    /// More than a block has places.
    pub(super) const END: u8 = 128;
}

/// By the next [`QUICK`] bits: as many coefficients as lie in them.
pub(super) struct Steps(Box<[Step; 1 << QUICK]>);

impl Steps {
    pub(super) fn new(codes: &Codes) -> Self {
        let mut steps = Box::new([Step::default(); 1 << QUICK]);
        for (window, step) in (0_u64..).zip(steps.iter_mut()) {
            *step = Self::within(codes, window << (64 - QUICK));
        }
        Self(steps)
    }

    fn within(codes: &Codes, window: u64) -> Step {
        let mut step = Step::default();
        while let Some((length, symbol)) = codes.find(window << step.bits) {
            let coefficient = Coefficient::new(symbol);
            let bits = u32::from(step.bits) + length + coefficient.bits;
            if bits > QUICK || u32::from(step.places) + coefficient.places > 63 {
                break;
            }
            step = Step { bits: bits as u8, places: step.places + coefficient.places as u8 };
            if coefficient.ends {
                step.places += Step::END;
                break;
            }
        }
        step
    }

    #[inline]
    pub(super) fn find(&self, window: u64) -> Step {
        self.0[(window >> (64 - QUICK)) as usize]
    }
}

/// What a symbol of a sequential block's AC table stands for.
pub(super) struct Coefficient {
    /// Bits of the value after the code.
    pub(super) bits: u32,
    pub(super) places: u32,
    pub(super) ends: bool,
}

impl Coefficient {
    #[inline]
    pub(super) fn new(symbol: u8) -> Self {
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        if size > 0 || run == 15 {
            Self { bits: size, places: run + 1, ends: false }
        } else {
            Self { bits: 0, places: 0, ends: true }
        }
    }
}
