//! Whether a TIFF keeps its word: where its chunks lie and how large they claim to be, judged from the directory before
//! anything is decoded. A TIFF can send a decoder anywhere; this is the cheap part of not following.
//!
//! TIFF 6.0, sections 2, 8 and 15. Only the first directory counts, as only the first picture is read.

use crate::limits::DecodeLimits;
use crate::picture::PictureError;

/// Sides of a tile that a picture of any size may have. libtiff writes 256, large maps up to 2,048; small pictures are
/// often one tile that is larger than they are.
const ANY_TILE: u64 = 4_096;

/// Samples of a pixel: ink and transparency have five.
const MAX_SAMPLES: u64 = 5;

/// What the tiles of a picture may cover together, as a multiple of the largest picture: those at the edges reach beyond.
const COVER: u64 = 2;

/// The tags that are read.
const TAGS: [u64; 13] = [
    WIDTH,
    HEIGHT,
    BITS,
    COMPRESSION,
    STRIP_OFFSETS,
    SAMPLES,
    ROWS_PER_STRIP,
    STRIP_LENGTHS,
    PLANAR,
    TILE_WIDTH,
    TILE_HEIGHT,
    TILE_OFFSETS,
    TILE_LENGTHS,
];
const WIDTH: u64 = 0x100;
const HEIGHT: u64 = 0x101;
const BITS: u64 = 0x102;
const COMPRESSION: u64 = 0x103;
const STRIP_OFFSETS: u64 = 0x111;
const SAMPLES: u64 = 0x115;
const ROWS_PER_STRIP: u64 = 0x116;
const STRIP_LENGTHS: u64 = 0x117;
const PLANAR: u64 = 0x11c;
const TILE_WIDTH: u64 = 0x142;
const TILE_HEIGHT: u64 = 0x143;
const TILE_OFFSETS: u64 = 0x144;
const TILE_LENGTHS: u64 = 0x145;

/// The directory, as far as it says where the pixels are. Values that are absent have the standard's default.
#[derive(Debug, Default)]
struct Layout {
    width: u64,
    height: u64,
    samples: u64,
    /// The largest of the samples'.
    bits: u64,
    compression: u64,
    /// Sides of a chunk in pixels; strips are as wide as the picture.
    chunk: (u64, u64),
    /// How many chunks the picture needs.
    chunks: u64,
    /// Where they begin and how long they are, as many as the file names.
    offsets: Vec<u64>,
    lengths: Vec<u64>,
    /// Bytes of the file.
    file: u64,
    /// Whether a tag that we read is there more than once: which of two a decoder takes is its own choice.
    twice: bool,
    limits: DecodeLimits,
}

/// One thing that a TIFF may not do.
struct Rule {
    /// What is wrong with a picture that breaks it.
    wrong: &'static str,
    is_broken: fn(&Layout) -> bool,
    /// What such pictures are called when they are a kind that is not read; `None` when they are damaged.
    kind: Option<&'static str>,
}

/// In the order in which they are checked: each may rely on those before it.
const RULES: [Rule; 11] = [
    Rule { wrong: "it says something twice", is_broken: |l| l.twice, kind: None },
    Rule {
        wrong: "its data are JPEGs",
        is_broken: |l| matches!(l.compression, 6 | 7 | 34_892),
        kind: Some("JPEG-compressed TIFF"),
    },
    Rule {
        wrong: "its pixels have too many samples",
        is_broken: |l| l.samples > MAX_SAMPLES,
        kind: Some("multispectral TIFF"),
    },
    Rule {
        wrong: "its samples have too many bits",
        is_broken: |l| l.bits > 64,
        kind: Some("TIFF of more than 64 bits a sample"),
    },
    Rule { wrong: "it has no samples", is_broken: |l| l.samples == 0 || l.bits == 0, kind: None },
    Rule { wrong: "its chunks have no size", is_broken: |l| l.chunk.0 == 0 || l.chunk.1 == 0, kind: None },
    Rule {
        wrong: "its chunks exceed the picture",
        is_broken: |l| {
            let most = |side: u64| side.next_multiple_of(16).max(ANY_TILE);
            let cover = l.width.next_multiple_of(l.chunk.0).saturating_mul(l.height.next_multiple_of(l.chunk.1));
            l.chunk.0 > most(l.width)
                || l.chunk.1 > most(l.height)
                || cover > l.limits.max_pixels.max(ANY_TILE * ANY_TILE).saturating_mul(COVER)
        },
        kind: None,
    },
    Rule {
        wrong: "it names fewer chunks than the picture needs",
        is_broken: |l| (l.offsets.len() as u64) < l.chunks || (l.lengths.len() as u64) < l.chunks,
        kind: None,
    },
    Rule { wrong: "its chunks begin in its header", is_broken: |l| used(l).any(|(offset, _)| offset < 8), kind: None },
    Rule {
        wrong: "its chunks leave the file",
        is_broken: |l| used(l).any(|(offset, length)| offset.saturating_add(length) > l.file),
        kind: None,
    },
    Rule { wrong: "its chunks overlap", is_broken: overlap, kind: None },
];

/// The chunks that the picture needs and that hold something, where they begin and how long they are.
fn used(layout: &Layout) -> impl Iterator<Item = (u64, u64)> {
    let chunks = layout.offsets.iter().copied().zip(layout.lengths.iter().copied());
    chunks.take(usize::try_from(layout.chunks).unwrap_or(usize::MAX)).filter(|&(_, length)| length > 0)
}

fn overlap(layout: &Layout) -> bool {
    let mut chunks: Vec<_> = used(layout).collect();
    chunks.sort_unstable();
    chunks.windows(2).any(|pair| pair[0].0.saturating_add(pair[0].1) > pair[1].0)
}

/// Refuses a TIFF whose directory breaks a rule, or is none, or is over the limits.
pub(super) fn check(bytes: &[u8], limits: &DecodeLimits) -> Result<(), PictureError> {
    const FORMAT: &str = "tiff";
    let layout = Layout::read(bytes, limits).ok_or_else(|| PictureError::malformed(FORMAT, "it has no directory"))?;
    let side = |length: u64| u32::try_from(length).unwrap_or(u32::MAX);
    limits.check(FORMAT, side(layout.width), side(layout.height))?;
    match RULES.iter().find(|rule| (rule.is_broken)(&layout)) {
        None => Ok(()),
        Some(Rule { kind: Some(kind), .. }) => Err(PictureError::UnsupportedFormat((*kind).into())),
        Some(rule) => Err(PictureError::malformed(FORMAT, rule.wrong)),
    }
}

/// Numbers of a file in its byte order.
struct File<'b> {
    bytes: &'b [u8],
    little: bool,
}

/// An entry of the directory: its tag, the size of a value in bytes, how many there are, and where they lie.
struct Entry {
    tag: u64,
    size: usize,
    count: u64,
    at: usize,
}

impl File<'_> {
    /// The number in `size` (1, 2 or 4) bytes at `at`.
    fn number(&self, at: usize, size: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(size)?)?;
        let join = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.little { bytes.iter().rev().fold(0, join) } else { bytes.iter().fold(0, join) })
    }

    fn entry(&self, at: usize) -> Option<Entry> {
        // BYTE, SHORT and LONG; what we read has no other type.
        let size = match self.number(at + 2, 2)? {
            1 => 1,
            3 => 2,
            4 => 4,
            _ => 0,
        };
        let count = self.number(at + 4, 4)?;
        let inside = count.saturating_mul(size as u64) <= 4;
        let at_values = if inside { at + 8 } else { usize::try_from(self.number(at + 8, 4)?).ok()? };
        Some(Entry { tag: self.number(at, 2)?, size, count, at: at_values })
    }

    /// The values of an entry as far as the file has them, at most `most`.
    fn values(&self, entry: &Entry, most: u64) -> Vec<u64> {
        if entry.size == 0 {
            return Vec::new();
        }
        let number = |index: usize| self.number(entry.at.checked_add(index.checked_mul(entry.size)?)?, entry.size);
        (0..usize::try_from(entry.count.min(most)).unwrap_or(0)).map_while(number).collect()
    }
}

impl Layout {
    fn read(bytes: &[u8], limits: &DecodeLimits) -> Option<Self> {
        let file = File { bytes, little: bytes.starts_with(b"II") };
        let directory = usize::try_from(file.number(4, 4)?).ok()?;
        let entries = usize::try_from(file.number(directory, 2)?).ok()?;
        let entries: Vec<_> = (0..entries).map_while(|index| file.entry(directory + 2 + index * 12)).collect();
        let find = |tag: u64| entries.iter().find(|entry| entry.tag == tag);
        let largest = |tag: u64, default: u64| {
            find(tag).and_then(|entry| file.values(entry, MAX_SAMPLES + 1).into_iter().max()).unwrap_or(default)
        };
        let (width, height) = (largest(WIDTH, 0), largest(HEIGHT, 0));
        let samples = match largest(SAMPLES, 1) {
            0 => 0,
            samples => samples.max(find(BITS).map_or(1, |entry| entry.count)),
        };
        // As the decoder does: what the chunks are is told by where they are.
        let tiled = find(TILE_OFFSETS).is_some() || find(TILE_LENGTHS).is_some();
        let (chunk, tags) = if tiled {
            ((largest(TILE_WIDTH, 0), largest(TILE_HEIGHT, 0)), [TILE_OFFSETS, TILE_LENGTHS])
        } else {
            ((width, largest(ROWS_PER_STRIP, u64::from(u32::MAX)).min(height)), [STRIP_OFFSETS, STRIP_LENGTHS])
        };
        let pieces = |length: u64, piece: u64| {
            length.checked_div(piece).map_or(0, |whole| whole + u64::from(!length.is_multiple_of(piece)))
        };
        // Planes of one sample each have chunks of their own.
        let planes = if largest(PLANAR, 1) == 2 { samples } else { 1 };
        let chunks = pieces(width, chunk.0).saturating_mul(pieces(height, chunk.1)).saturating_mul(planes);
        let [offsets, lengths] = tags.map(|tag| find(tag).map_or_else(Vec::new, |entry| file.values(entry, chunks)));
        Some(Self {
            width,
            height,
            samples,
            bits: largest(BITS, 1),
            compression: largest(COMPRESSION, 1),
            chunk,
            chunks,
            offsets,
            lengths,
            file: bytes.len() as u64,
            twice: TAGS.iter().any(|&tag| entries.iter().filter(|entry| entry.tag == tag).count() > 1),
            limits: limits.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory as tags and their values.
    type Directory = Vec<(u64, Vec<u32>)>;

    /// Where the data of the examples begin.
    const DATA: u32 = 1_000;

    /// 32 x 32 pixels of grey in two strips.
    fn strips() -> Directory {
        vec![
            (WIDTH, vec![32]),
            (HEIGHT, vec![32]),
            (BITS, vec![8]),
            (COMPRESSION, vec![1]),
            (0x106, vec![2]),
            (STRIP_OFFSETS, vec![DATA, DATA + 1_536]),
            (SAMPLES, vec![3]),
            (ROWS_PER_STRIP, vec![16]),
            (STRIP_LENGTHS, vec![1_536, 1_536]),
        ]
    }

    /// The same as one tile.
    fn tile() -> Directory {
        let mut directory: Directory = strips()
            .into_iter()
            .filter(|(tag, _)| ![STRIP_OFFSETS, ROWS_PER_STRIP, STRIP_LENGTHS].contains(tag))
            .collect();
        let tile = [(TILE_WIDTH, 32), (TILE_HEIGHT, 32), (TILE_OFFSETS, DATA), (TILE_LENGTHS, 3_072)];
        directory.extend(tile.map(|(tag, value)| (tag, vec![value])));
        directory
    }

    fn with(mut directory: Directory, tag: u64, values: &[u32]) -> Directory {
        for entry in directory.iter_mut().filter(|entry| entry.0 == tag) {
            entry.1 = values.to_vec();
        }
        directory
    }

    /// The file, big-endian, all values as LONG.
    fn file(directory: &Directory) -> Vec<u8> {
        let mut file = b"MM\0\x2a\0\0\0\x08".to_vec();
        file.extend((directory.len() as u16).to_be_bytes());
        let mut values_at = 10 + directory.len() as u32 * 12 + 4;
        let mut outside = Vec::new();
        for (tag, values) in directory {
            file.extend((*tag as u16).to_be_bytes());
            file.extend(4_u16.to_be_bytes());
            file.extend((values.len() as u32).to_be_bytes());
            if let [value] = values[..] {
                file.extend(value.to_be_bytes());
            } else {
                file.extend(values_at.to_be_bytes());
                values_at += values.len() as u32 * 4;
                outside.extend(values.iter().flat_map(|value| value.to_be_bytes()));
            }
        }
        file.extend([0; 4]);
        file.extend(outside);
        assert!(file.len() <= DATA as usize);
        file.resize(DATA as usize + 3_072, 0x80);
        file
    }

    #[test]
    fn each_rule_refuses_its_kind_of_tiff_before_it_is_decoded() {
        let twice = [strips(), vec![(WIDTH, vec![16])]].concat();
        let huge = with(tile(), TILE_WIDTH, &[u32::MAX]);
        let cover = with(with(with(tile(), WIDTH, &[1]), TILE_WIDTH, &[4_096]), HEIGHT, &[10_000]);
        let cover = with(cover, TILE_HEIGHT, &[4_097]);
        let planes = [strips(), vec![(PLANAR, vec![2])]].concat();
        let examples = [
            ("it says something twice", vec![twice]),
            ("its data are JPEGs", vec![with(strips(), COMPRESSION, &[6]), with(tile(), COMPRESSION, &[7])]),
            (
                "its pixels have too many samples",
                vec![with(strips(), SAMPLES, &[30_000]), with(strips(), SAMPLES, &[6]), with(strips(), BITS, &[8; 9])],
            ),
            (
                "its samples have too many bits",
                vec![with(strips(), BITS, &[65]), with(strips(), BITS, &[8, 8, 1 << 20])],
            ),
            ("it has no samples", vec![with(strips(), SAMPLES, &[0]), with(strips(), BITS, &[0])]),
            ("its chunks have no size", vec![with(strips(), ROWS_PER_STRIP, &[0]), with(tile(), TILE_WIDTH, &[0])]),
            ("its chunks exceed the picture", vec![huge, with(tile(), TILE_HEIGHT, &[4_097]), cover]),
            (
                "it names fewer chunks than the picture needs",
                vec![
                    with(strips(), STRIP_OFFSETS, &[DATA]),
                    with(strips(), STRIP_LENGTHS, &[1_536]),
                    with(tile(), TILE_WIDTH, &[16]),
                    planes,
                ],
            ),
            ("its chunks begin in its header", vec![with(strips(), STRIP_OFFSETS, &[0, DATA])]),
            (
                "its chunks leave the file",
                vec![with(strips(), STRIP_LENGTHS, &[1_536, 1_537]), with(tile(), TILE_OFFSETS, &[u32::MAX])],
            ),
            (
                "its chunks overlap",
                vec![
                    with(strips(), STRIP_OFFSETS, &[DATA, DATA]),
                    with(strips(), STRIP_OFFSETS, &[DATA, DATA + 1_535]),
                    with(strips(), STRIP_OFFSETS, &[DATA + 1_000, DATA]),
                ],
            ),
        ];
        let limits = DecodeLimits::default();
        assert_eq!(examples.each_ref().map(|(wrong, _)| *wrong), RULES.each_ref().map(|rule| rule.wrong));
        for ((wrong, files), rule) in examples.iter().zip(&RULES) {
            for (index, directory) in files.iter().enumerate() {
                let error = check(&file(directory), &limits).expect_err(wrong);
                let message = error.to_string();
                match rule.kind {
                    Some(kind) => assert!(message.contains(kind), "{wrong}, {index}: {message}"),
                    None => assert!(message.ends_with(wrong), "{wrong}, {index}: {message}"),
                }
                let code = if rule.kind.is_some() { "image_format_unsupported" } else { "image_malformed" };
                assert_eq!(error.code(), code);
            }
        }
    }

    #[test]
    fn what_encoders_write_keeps_the_rules() {
        let limits = DecodeLimits::default();
        let small = with(with(with(tile(), WIDTH, &[20]), HEIGHT, &[9]), TILE_LENGTHS, &[3_072]);
        let one_strip = with(with(strips(), STRIP_OFFSETS, &[DATA]), STRIP_LENGTHS, &[3_072]);
        let one_strip: Directory = one_strip.into_iter().filter(|(tag, _)| *tag != ROWS_PER_STRIP).collect();
        for directory in [strips(), tile(), small, one_strip, with(strips(), BITS, &[8, 8, 8])] {
            let file = file(&directory);
            check(&file, &limits).expect("keeps the rules");
            crate::decode(&file, &limits).expect("decodes");
        }
    }

    #[test]
    fn no_directory_of_any_bytes_is_believed_or_panics() {
        let whole = file(&strips());
        let limits = DecodeLimits::default();
        for length in 4..whole.len() {
            assert!(check(&whole[..length], &limits).is_err());
        }
        let mut state = 1_u32;
        for _ in 0..20_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mut changed = whole.clone();
            changed[4 + (state >> 8) as usize % 150] = (state >> 24) as u8;
            let _ = check(&changed, &limits);
        }
    }
}
