//! The strips and tiles of a TIFF: where they lie, and their samples, decompressed and brought to 8 bits.

use std::borrow::Cow;

use flate2::{Decompress, FlushDecompress, Status};
use weezl::BitOrder;
use weezl::decode::Configuration;

use crate::limits::DecodeLimits;
use crate::picture::PictureError;

/// What the format is called in answers.
pub(super) const NAME: &str = "tiff";

pub(super) fn malformed(reason: impl Into<Cow<'static, str>>) -> PictureError {
    PictureError::malformed(NAME, reason)
}

/// What is said of packed data that are none.
const UNPACKABLE: &str = "its packed data cannot be unpacked";

/// Bytes of a pixel of 16-bit ink with transparency: no chunk needs more for the part of it that is shown.
const LARGEST_PIXEL: u64 = 10;

/// How the bytes of a chunk are packed.
#[derive(Clone, Copy)]
pub(super) enum Compression {
    None,
    Lzw,
    Deflate,
    PackBits,
}

impl Compression {
    /// By the number in the file; the kind's name when it is not read. JPEG's are refused before.
    pub(super) fn read(number: usize) -> Result<Self, String> {
        Ok(match number {
            1 => Self::None,
            5 => Self::Lzw,
            8 | 32_946 => Self::Deflate,
            32_773 => Self::PackBits,
            2..=4 => return Err("fax-compressed TIFF".into()),
            33_003 | 33_005 | 34_712 => return Err("TIFF with JPEG 2000".into()),
            34_925 => return Err("TIFF with LZMA compression".into()),
            50_000 => return Err("TIFF with Zstandard compression".into()),
            50_001 => return Err("TIFF with WebP compression".into()),
            other => return Err(format!("TIFF with compression {other}")),
        })
    }

    /// Fills `out` from `packed`; how many bytes came.
    fn unpack(self, packed: &[u8], out: &mut [u8]) -> Result<usize, PictureError> {
        match self {
            Self::None => {
                let length = packed.len().min(out.len());
                out[..length].copy_from_slice(&packed[..length]);
                Ok(length)
            }
            Self::Lzw => lzw(packed, out),
            Self::Deflate => deflate(packed, out),
            Self::PackBits => Ok(pack_bits(packed, out)),
        }
    }
}

fn lzw(mut packed: &[u8], out: &mut [u8]) -> Result<usize, PictureError> {
    if matches!(packed, [0, second, ..] if second & 1 == 1) {
        return Err(PictureError::UnsupportedFormat("TIFF with LZW of before 1992".into()));
    }
    let mut decoder = Configuration::with_tiff_size_switch(BitOrder::Msb, 8).build();
    let mut filled = 0;
    // The end code may be missing: what counts is that the samples came.
    while filled < out.len() {
        let step = decoder.decode_bytes(packed, &mut out[filled..]);
        packed = &packed[step.consumed_in..];
        filled += step.consumed_out;
        match step.status {
            Ok(weezl::LzwStatus::Ok) if step.consumed_in + step.consumed_out > 0 => {}
            Ok(_) => break,
            Err(_) => return Err(malformed(UNPACKABLE)),
        }
    }
    Ok(filled)
}

fn deflate(packed: &[u8], out: &mut [u8]) -> Result<usize, PictureError> {
    let mut stream = Decompress::new(true);
    let filled = |stream: &Decompress| usize::try_from(stream.total_out()).unwrap_or(usize::MAX);
    loop {
        let (read, written) = (stream.total_in(), stream.total_out());
        let rest = usize::try_from(read).ok().and_then(|read| packed.get(read..)).unwrap_or_default();
        let status = stream
            .decompress(rest, &mut out[filled(&stream)..], FlushDecompress::None)
            .map_err(|_| malformed(UNPACKABLE))?;
        let stuck = (stream.total_in(), stream.total_out()) == (read, written);
        if status == Status::StreamEnd || stuck || filled(&stream) == out.len() {
            return Ok(filled(&stream));
        }
    }
}

/// TIFF 6.0, section 9: a count, then that many bytes, or one byte to repeat.
fn pack_bits(mut packed: &[u8], out: &mut [u8]) -> usize {
    let mut filled = 0;
    while let [count, rest @ ..] = packed {
        let room = &mut out[filled..];
        if room.is_empty() {
            break;
        }
        match (*count, rest) {
            (128, _) => packed = rest,
            (count @ 0..=127, _) => {
                let length = (usize::from(count) + 1).min(rest.len());
                let shown = length.min(room.len());
                room[..shown].copy_from_slice(&rest[..shown]);
                filled += shown;
                packed = &rest[length..];
            }
            (count, [value, rest @ ..]) => {
                let shown = (257 - usize::from(count)).min(room.len());
                room[..shown].fill(*value);
                filled += shown;
                packed = rest;
            }
            (_, []) => break,
        }
    }
    filled
}

/// Where the strips or tiles lie, and how their samples are stored.
pub(super) struct Chunks {
    /// Width and height of the picture and of a chunk.
    pub(super) picture: (usize, usize),
    pub(super) size: (usize, usize),
    /// Tiles are padded to their size, the last strip is not.
    pub(super) tiled: bool,
    /// 1 when the samples of a pixel lie together, otherwise as many as samples.
    pub(super) planes: usize,
    pub(super) samples: usize,
    pub(super) bits: usize,
    pub(super) compression: Compression,
    /// Whether the first pixel lies in the lowest bits of a byte.
    pub(super) reversed: bool,
    /// Whether samples are stored as differences from the pixel to the left.
    pub(super) differences: bool,
    pub(super) offsets: Vec<usize>,
    pub(super) lengths: Vec<usize>,
    /// Whether samples are kept as stored instead of being brought to 8 bits.
    pub(super) raw: bool,
}

impl Chunks {
    /// Refuses chunks that are larger than a picture could need. That they have a size, and that none is missing, is known from
    /// the directory.
    pub(super) fn check(&self, limits: &DecodeLimits) -> Result<(), PictureError> {
        let (across, down) = self.size;
        let rows = down.min(self.picture.1) as u64;
        let bytes = (across as u64).saturating_mul(self.samples as u64 * 2).saturating_mul(rows);
        if bytes > limits.max_pixels.saturating_mul(LARGEST_PIXEL) {
            return Err(malformed("its chunks are larger than any picture"));
        }
        Ok(())
    }

    fn count(&self) -> (usize, usize) {
        (self.picture.0.div_ceil(self.size.0), self.picture.1.div_ceil(self.size.1))
    }

    /// Calls `draw` with the place of each chunk and the samples of its rows that belong to the picture, a byte each.
    pub(super) fn each(
        &self,
        file: &[u8],
        little: bool,
        mut draw: impl FnMut((usize, usize), &[u8]),
    ) -> Result<(), PictureError> {
        let (columns, lines) = self.count();
        let together = self.samples / self.planes;
        let row_bytes = (self.size.0 * together * self.bits).div_ceil(8);
        let mut packed_rows = Vec::new();
        let mut samples = Vec::new();
        for index in 0..columns * lines {
            let place = (index % columns * self.size.0, index / columns * self.size.1);
            let rows = self.size.1.min(self.picture.1 - place.1);
            samples.clear();
            samples.resize(rows * self.size.0 * self.samples, 0);
            for plane in 0..self.planes {
                packed_rows.clear();
                packed_rows.resize(rows * row_bytes, 0);
                self.unpack(file, plane * columns * lines + index, &mut packed_rows)?;
                for (bytes, line) in
                    packed_rows.chunks_exact_mut(row_bytes).zip(samples.chunks_exact_mut(self.size.0 * self.samples))
                {
                    if self.differences {
                        self.add_up(bytes, together, little);
                    }
                    self.spread(bytes, line, plane, little);
                }
            }
            draw(place, &samples);
        }
        Ok(())
    }

    fn unpack(&self, file: &[u8], chunk: usize, out: &mut [u8]) -> Result<(), PictureError> {
        let start = self.offsets.get(chunk).copied().unwrap_or(usize::MAX);
        let rest = file.get(start..).ok_or_else(|| malformed("its data lie outside the file"))?;
        // Lengths may be missing or wrong where nothing is compressed.
        let length = match (self.compression, self.lengths.get(chunk)) {
            (Compression::None, _) | (_, None) => rest.len(),
            (_, Some(&length)) => length.min(rest.len()),
        };
        let packed = &rest[..length];
        let turned: Vec<u8>;
        let packed = if self.reversed {
            let most = packed.len().min(out.len() * 2 + 64);
            turned = packed[..most].iter().map(|byte| byte.reverse_bits()).collect();
            &turned
        } else {
            packed
        };
        let came = self.compression.unpack(packed, out)?;
        if came < out.len() {
            let kind = if self.tiled { "tile" } else { "strip" };
            let share = came * 100 / out.len().max(1);
            return Err(malformed(format!("{share} % of {kind} {} arrived", chunk + 1)));
        }
        Ok(())
    }

    /// Undoes differences in one row.
    fn add_up(&self, row: &mut [u8], together: usize, little: bool) {
        if self.bits == 8 {
            for at in together..row.len() {
                row[at] = row[at].wrapping_add(row[at - together]);
            }
            return;
        }
        let read = |pair| if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) };
        let write = |value: u16| if little { value.to_le_bytes() } else { value.to_be_bytes() };
        let row = row.as_chunks_mut().0;
        for at in together..row.len() {
            row[at] = write(read(row[at]).wrapping_add(read(row[at - together])));
        }
    }

    /// Spreads one row of a plane over the samples of its pixels, a byte each.
    fn spread(&self, row: &[u8], line: &mut [u8], plane: usize, little: bool) {
        let together = self.samples / self.planes;
        if self.bits == 8 && self.planes == 1 {
            line.copy_from_slice(row);
            return;
        }
        for (at, value) in self.values(row, little).take(self.size.0 * together).enumerate() {
            line[at / together * self.samples + plane + at % together] = value;
        }
    }

    fn values(&self, row: &[u8], little: bool) -> impl Iterator<Item = u8> {
        let (bits, raw) = (self.bits, self.raw);
        let count = row.len() * 8 / bits;
        (0..count).map(move |index| match bits {
            8 => row[index],
            16 => {
                let pair = [row[index * 2], row[index * 2 + 1]];
                let value = u32::from(if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) });
                ((value * 255 + 32_767) / 65_535) as u8
            }
            _ => {
                let (each, largest) = (8 / bits, (1_u16 << bits) - 1);
                let value = u16::from(row[index / each]) >> (8 - bits - index % each * bits) & largest;
                (if raw { value } else { value * 255 / largest }) as u8
            }
        })
    }
}
