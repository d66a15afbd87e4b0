//! Whether a TIFF keeps its word: where its chunks lie and how large they claim to be, judged from the directory before
//! anything is decoded. A TIFF can send a decoder anywhere; this is the cheap part of not following.
//!
//! TIFF 6.0, sections 2, 8 and 15. Only the first directory counts, as only the first picture is read.

use super::tiff_directory::{Directory, tag};
use crate::limits::DecodeLimits;
use crate::picture::PictureError;

/// Sides of a tile that a picture of any size may have. libtiff writes 256, large maps up to 2,048; small pictures are
/// often one tile that is larger than they are.
const ANY_TILE: u64 = 4_096;

/// Samples of a pixel: ink and transparency have five.
const MAX_SAMPLES: u64 = 5;

/// What the tiles of a picture may cover together, as a multiple of the largest picture: those at the edges reach beyond.
const COVER: u64 = 2;

/// The tags that say where the pixels are.
const TAGS: [u16; 13] = [
    tag::WIDTH,
    tag::HEIGHT,
    tag::BITS,
    tag::COMPRESSION,
    tag::STRIPS,
    tag::SAMPLES,
    tag::STRIP_ROWS,
    tag::STRIP_LENGTHS,
    tag::PLANES,
    tag::TILE_WIDTH,
    tag::TILE_HEIGHT,
    tag::TILES,
    tag::TILE_LENGTHS,
];

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
    /// Where they begin and how long they are, as many as the file names. What is not compressed is no longer than its samples,
    /// whatever the file says of it.
    offsets: Vec<u64>,
    lengths: Vec<u64>,
    /// Bytes of the file.
    file: u64,
    /// Whether one of these tags is there more than once and not the same.
    contradiction: bool,
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
    Rule { wrong: "it contradicts itself", is_broken: |l| l.contradiction, kind: None },
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

/// Refuses a TIFF whose directory breaks a rule or is over the limits.
pub(super) fn check(directory: &Directory<'_>, limits: &DecodeLimits) -> Result<(), PictureError> {
    const FORMAT: &str = "tiff";
    let layout = Layout::read(directory, limits);
    let side = |length: u64| u32::try_from(length).unwrap_or(u32::MAX);
    limits.check(FORMAT, side(layout.width), side(layout.height))?;
    match RULES.iter().find(|rule| (rule.is_broken)(&layout)) {
        None => Ok(()),
        Some(Rule { kind: Some(kind), .. }) => Err(PictureError::UnsupportedFormat((*kind).into())),
        Some(rule) => Err(PictureError::malformed(FORMAT, rule.wrong)),
    }
}

impl Layout {
    fn read(directory: &Directory<'_>, limits: &DecodeLimits) -> Self {
        let number = |tag, default| directory.number(tag).map_or(default, |number| number as u64);
        let (width, height) = (number(tag::WIDTH, 0), number(tag::HEIGHT, 0));
        let samples = match number(tag::SAMPLES, 1) {
            0 => 0,
            samples => samples.max(directory.numbers(tag::BITS).count() as u64),
        };
        let (chunk, tags) = if directory.is_tiled() {
            ((number(tag::TILE_WIDTH, 0), number(tag::TILE_HEIGHT, 0)), [tag::TILES, tag::TILE_LENGTHS])
        } else {
            ((width, number(tag::STRIP_ROWS, height).min(height)), [tag::STRIPS, tag::STRIP_LENGTHS])
        };
        let pieces = |length: u64, piece: u64| {
            length.checked_div(piece).map_or(0, |whole| whole + u64::from(!length.is_multiple_of(piece)))
        };
        // Planes of one sample each have chunks of their own.
        let planes = if number(tag::PLANES, 1) == 2 { samples } else { 1 };
        let (columns, lines) = (pieces(width, chunk.0), pieces(height, chunk.1));
        let chunks = columns.saturating_mul(lines).saturating_mul(planes);
        let most = usize::try_from(chunks).unwrap_or(usize::MAX);
        let [offsets, mut lengths]: [Vec<u64>; 2] =
            tags.map(|tag| directory.numbers(tag).take(most).map(|number| number as u64).collect());
        let bits = directory.numbers(tag::BITS).max().map_or(1, |bits| bits as u64);
        let compression = number(tag::COMPRESSION, 1);
        // What is stated does not count where nothing is compressed: so much is read. Where there is a chunk, none of its measures
        // is 0.
        if compression == 1 && !offsets.is_empty() {
            let row = chunk.0.saturating_mul(samples / planes).saturating_mul(bits).div_ceil(8);
            lengths.resize(offsets.len(), 0);
            for (index, length) in (0..).zip(&mut lengths) {
                let rows = chunk.1.min(height - index / columns % lines * chunk.1);
                *length = row.saturating_mul(rows);
            }
        }
        Self {
            width,
            height,
            samples,
            bits,
            compression,
            chunk,
            chunks,
            offsets,
            lengths,
            file: directory.bytes.len() as u64,
            contradiction: TAGS.iter().any(|&tag| directory.is_contradicted(tag)),
            limits: limits.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory as tags and their values.
    type Entries = Vec<(u16, Vec<u32>)>;

    /// Where the data of the examples begin.
    const DATA: u32 = 1_000;

    /// 32 x 32 pixels of grey in two strips.
    fn strips() -> Entries {
        vec![
            (tag::WIDTH, vec![32]),
            (tag::HEIGHT, vec![32]),
            (tag::BITS, vec![8]),
            (tag::COMPRESSION, vec![1]),
            (tag::PHOTOMETRIC, vec![2]),
            (tag::STRIPS, vec![DATA, DATA + 1_536]),
            (tag::SAMPLES, vec![3]),
            (tag::STRIP_ROWS, vec![16]),
            (tag::STRIP_LENGTHS, vec![1_536, 1_536]),
        ]
    }

    /// The same as one tile.
    fn tile() -> Entries {
        let mut directory: Entries = strips()
            .into_iter()
            .filter(|(tag, _)| ![tag::STRIPS, tag::STRIP_ROWS, tag::STRIP_LENGTHS].contains(tag))
            .collect();
        let tile = [(tag::TILE_WIDTH, 32), (tag::TILE_HEIGHT, 32), (tag::TILES, DATA), (tag::TILE_LENGTHS, 3_072)];
        directory.extend(tile.map(|(tag, value)| (tag, vec![value])));
        directory
    }

    fn with(mut directory: Entries, tag: u16, values: &[u32]) -> Entries {
        for entry in directory.iter_mut().filter(|entry| entry.0 == tag) {
            entry.1 = values.to_vec();
        }
        directory
    }

    /// The file, big-endian, all values as LONG.
    fn file(directory: &Entries) -> Vec<u8> {
        let mut file = b"MM\0\x2a\0\0\0\x08".to_vec();
        file.extend((directory.len() as u16).to_be_bytes());
        let mut values_at = 10 + directory.len() as u32 * 12 + 4;
        let mut outside = Vec::new();
        for (tag, values) in directory {
            file.extend(tag.to_be_bytes());
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

    fn judge(file: &[u8], limits: &DecodeLimits) -> Result<(), PictureError> {
        let directory = Directory::read(file).ok_or_else(|| PictureError::malformed("tiff", "it has no directory"))?;
        check(&directory, limits)
    }

    #[test]
    fn each_rule_refuses_its_kind_of_tiff_before_it_is_decoded() {
        let twice = [strips(), vec![(tag::WIDTH, vec![32]), (tag::WIDTH, vec![16])]].concat();
        let huge = with(tile(), tag::TILE_WIDTH, &[u32::MAX]);
        let cover = with(with(with(tile(), tag::WIDTH, &[1]), tag::TILE_WIDTH, &[4_096]), tag::HEIGHT, &[10_000]);
        let cover = with(cover, tag::TILE_HEIGHT, &[4_097]);
        let planes = [strips(), vec![(tag::PLANES, vec![2])]].concat();
        let examples = [
            ("it contradicts itself", vec![twice]),
            ("its data are JPEGs", vec![with(strips(), tag::COMPRESSION, &[6]), with(tile(), tag::COMPRESSION, &[7])]),
            (
                "its pixels have too many samples",
                vec![
                    with(strips(), tag::SAMPLES, &[30_000]),
                    with(strips(), tag::SAMPLES, &[6]),
                    with(strips(), tag::BITS, &[8; 9]),
                ],
            ),
            (
                "its samples have too many bits",
                vec![with(strips(), tag::BITS, &[65]), with(strips(), tag::BITS, &[8, 8, 1 << 20])],
            ),
            ("it has no samples", vec![with(strips(), tag::SAMPLES, &[0]), with(strips(), tag::BITS, &[0])]),
            (
                "its chunks have no size",
                vec![with(strips(), tag::STRIP_ROWS, &[0]), with(tile(), tag::TILE_WIDTH, &[0])],
            ),
            ("its chunks exceed the picture", vec![huge, with(tile(), tag::TILE_HEIGHT, &[4_097]), cover]),
            (
                "it names fewer chunks than the picture needs",
                vec![
                    with(strips(), tag::STRIPS, &[DATA]),
                    with(with(strips(), tag::STRIP_LENGTHS, &[1_536]), tag::COMPRESSION, &[5]),
                    with(tile(), tag::TILE_WIDTH, &[16]),
                    planes,
                ],
            ),
            (
                "its chunks begin in its header",
                vec![
                    with(strips(), tag::STRIPS, &[0, DATA]),
                    // A strip that was never written.
                    with(with(strips(), tag::STRIPS, &[DATA, 0]), tag::STRIP_LENGTHS, &[1_536, 0]),
                ],
            ),
            (
                "its chunks leave the file",
                vec![
                    with(with(strips(), tag::STRIP_LENGTHS, &[1_536, 1_537]), tag::COMPRESSION, &[5]),
                    with(strips(), tag::STRIPS, &[DATA, DATA + 1_537]),
                    with(tile(), tag::TILES, &[u32::MAX]),
                ],
            ),
            (
                "its chunks overlap",
                vec![
                    with(strips(), tag::STRIPS, &[DATA, DATA]),
                    with(strips(), tag::STRIPS, &[DATA, DATA + 1_535]),
                    with(strips(), tag::STRIPS, &[DATA + 1_000, DATA]),
                ],
            ),
        ];
        let limits = DecodeLimits::default();
        assert_eq!(examples.each_ref().map(|(wrong, _)| *wrong), RULES.each_ref().map(|rule| rule.wrong));
        for ((wrong, files), rule) in examples.iter().zip(&RULES) {
            for (index, directory) in files.iter().enumerate() {
                let error = judge(&file(directory), &limits).expect_err(wrong);
                let message = error.to_string();
                match rule.kind {
                    Some(kind) => assert!(message.contains(kind), "{wrong}, {index}: {message}"),
                    None => assert!(message.contains(&format!(": {wrong};")), "{wrong}, {index}: {message}"),
                }
                let code = if rule.kind.is_some() { "image_format_unsupported" } else { "image_malformed" };
                assert_eq!(error.code(), code);
            }
        }
    }

    #[test]
    fn what_encoders_write_keeps_the_rules() {
        let limits = DecodeLimits::default();
        let small = with(with(with(tile(), tag::WIDTH, &[20]), tag::HEIGHT, &[9]), tag::TILE_LENGTHS, &[3_072]);
        let one_strip = with(with(strips(), tag::STRIPS, &[DATA]), tag::STRIP_LENGTHS, &[3_072]);
        let one_strip: Entries = one_strip.into_iter().filter(|(tag, _)| *tag != tag::STRIP_ROWS).collect();
        let twice = [strips(), vec![(tag::WIDTH, vec![32]), (tag::BITS, vec![8])]].concat();
        for directory in [strips(), tile(), small, one_strip, twice, with(strips(), tag::BITS, &[8, 8, 8])] {
            let file = file(&directory);
            judge(&file, &limits).expect("keeps the rules");
            crate::decode(&file, &limits).expect("decodes");
        }
    }

    #[test]
    fn lengths_of_what_is_not_compressed_may_be_missing_or_wrong() {
        let limits = DecodeLimits::default();
        let seen = |directory: &Entries| crate::decode(&file(directory), &limits).map(|picture| picture.pixels);
        let right = seen(&strips()).expect("decodes");
        let mut without = strips();
        without.retain(|(tag, _)| *tag != tag::STRIP_LENGTHS);
        let wrong = [&[1_536][..], &[0, 0], &[1, 1], &[9_999, 9_999], &[3_072, u32::MAX]];
        let wrong = wrong.map(|lengths| with(strips(), tag::STRIP_LENGTHS, lengths));
        for directory in [&wrong[..], &[without, with(tile(), tag::TILE_LENGTHS, &[9_999])]].concat() {
            assert_eq!(seen(&directory).expect("decodes"), right, "{directory:?}");
        }
    }

    #[test]
    fn of_several_values_where_there_is_one_the_first_is_judged_as_it_is_decoded() {
        let limits = DecodeLimits::default();
        let overlapping = with(strips(), tag::STRIPS, &[DATA, DATA]);
        for (wrong, directory) in [
            ("it names fewer chunks than the picture needs", with(strips(), tag::STRIP_ROWS, &[1, 10_000])),
            ("it names fewer chunks than the picture needs", with(tile(), tag::TILE_WIDTH, &[16, 32])),
            ("its chunks overlap", with(overlapping, tag::STRIP_ROWS, &[16, 10_000])),
        ] {
            let message = judge(&file(&directory), &limits).expect_err(wrong).to_string();
            assert!(message.contains(&format!(": {wrong};")), "{message}");
        }
        let file = file(&with(with(strips(), tag::WIDTH, &[32, 1_000_000]), tag::COMPRESSION, &[1, 7]));
        judge(&file, &limits).expect("32 pixels wide, and no JPEG");
        assert_eq!(crate::decode(&file, &limits).expect("decodes").pixels.width(), 32);
    }

    #[test]
    fn no_directory_of_any_bytes_is_believed_or_panics() {
        let whole = file(&strips());
        let limits = DecodeLimits::default();
        for length in 4..whole.len() {
            assert!(judge(&whole[..length], &limits).is_err());
        }
        let mut state = 1_u32;
        for _ in 0..20_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mut changed = whole.clone();
            changed[4 + (state >> 8) as usize % 150] = (state >> 24) as u8;
            let _ = judge(&changed, &limits);
        }
    }
}
