//! HEIF containers that a script describes: what fuzzing makes of HEIC and AVIF.

use super::Script;
use super::heif::{Coding, HEIC, Heif, alpha, boxed, grid_of, hevc_of, size};

/// Some bytes changed.
fn damaged(mut bytes: Vec<u8>, script: &mut Script<'_>, times: u8) -> Vec<u8> {
    for _ in 0..times {
        let at = usize::from(script.word()) % bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = script.pick(&[0, 1, 0xff, 0x80, *byte ^ 1, *byte ^ 0x10, *byte ^ 0x80]);
        }
    }
    bytes
}

const SIDES: [u32; 12] = [50, 37, 64, 1, 0, 16, 255, 511, 4_000, 65_535, 1 << 31, u32::MAX];

/// A file that a script describes.
pub(super) fn made(coding: Coding, script: &mut Script<'_>) -> Vec<u8> {
    let mut file = match script.byte() % 3 {
        0 => Heif::single(coding),
        _ => {
            let (rows, columns) = (script.pick(&[1_u8, 2, 3, 16, 255]), script.pick(&[1_u8, 2, 4, 16, 255]));
            let covered = |tiles: u8, side: u32| (u32::from(tiles) * side).min(500);
            Heif::grid(coding, rows, columns, covered(columns, coding.coded.0), covered(rows, coding.coded.1))
        }
    };
    if script.once_in(3) {
        let times = script.byte() % 8;
        file.data = damaged(file.data, script, times);
    }
    if script.once_in(6) {
        file.data.truncate(usize::from(script.word()));
    }
    if coding.item == HEIC.item && script.once_in(3) {
        let (width, height) = (script.pick(&SIDES), script.pick(&SIDES));
        let blocks = [script.byte() % 4, script.byte() % 4, script.byte() % 4, script.byte() % 4].map(u32::from);
        let (chroma, depth) = (script.pick(&[1, 0, 2, 3]), script.pick(&[8, 10, 12, 16]));
        file.properties[0] =
            hevc_of(width.min(1 << 20), height.min(1 << 20), chroma, depth, script.pick(&[[0, 3, 0, 3], blocks]));
    }
    for _ in 0..script.pick(&[0_u8, 0, 1, 2, 5, 40]) {
        let property = match script.byte() % 8 {
            0 | 1 => size(script.pick(&SIDES), script.pick(&SIDES)),
            2 => boxed(*b"irot", &[script.byte()]),
            3 => boxed(*b"imir", &[script.byte()]),
            4 => boxed(
                *b"clap",
                &[50_u32, 1, 37, 1, 0, 1, 0, 1]
                    .map(|number| number ^ u32::from(script.byte() / 128))
                    .map(u32::to_be_bytes)
                    .concat(),
            ),
            5 => alpha(),
            6 => boxed(*b"colr", &[&b"nclx"[..], &[0, 1, 0, 13, 0, script.byte() % 16, script.byte()]].concat()),
            _ => boxed(file.coding.configuration, &script.take(200)),
        };
        let number = file.property(property);
        let at = usize::from(script.byte()) % file.items.len();
        file.items[at].properties.push(number);
    }
    for _ in 0..script.pick(&[0_u8, 0, 1, 2, 5, 255]) {
        let id = script.pick(&[3_u32, 4, 5, 1, 2, 0, u32::MAX]);
        let kind = script.pick(&[coding.item, *b"grid", *b"iden", *b"iovl", *b"Exif", *b"mime", *b"tmap"]);
        let bytes = if script.once_in(2) { grid_of(2, 2, 64, 64) } else { script.take(100) };
        let properties = [script.byte() % 8, script.byte() % 8].map(u16::from);
        file.add(id, kind, &bytes, &properties);
    }
    for _ in 0..script.pick(&[0_u8, 0, 1, 3, 20]) {
        let kind = script.pick(&[*b"dimg", *b"auxl", *b"prem", *b"cdsc", *b"pred", *b"thmb"]);
        let to = vec![u32::from(script.byte() % 6); usize::from(script.pick(&[1_u16, 2, 4, 0, 4_000]))];
        file.references.push((kind, u32::from(script.byte() % 6), to));
    }
    if script.once_in(4) {
        let at = usize::from(script.byte()) % file.items.len();
        let places = [0, 8, Heif::DATA_AT, 600, 1 << 20, 1 << 31, u64::MAX, u64::MAX - 20];
        let piece = (script.pick(&places), script.pick(&[0_u64, 1, 30, 500, 1 << 20, u64::MAX, u64::MAX / 2 + 1]));
        file.items[at].pieces.resize(usize::from(script.pick(&[1_u16, 2, 50, 65_535])), piece);
        file.items[at].method = script.pick(&[0_u16, 0, 1, 2, 3]);
    }
    if script.once_in(8) {
        file.primary = u32::from(script.byte() % 6);
    }
    if script.once_in(8) {
        let depth = usize::from(script.byte());
        file.more = (0..depth)
            .fold(script.take(100), |inner, _| boxed(script.pick(&[*b"meta", *b"iprp", *b"ipco", *b"iinf"]), &inner));
    }
    let times = script.pick(&[0_u8, 0, 0, 1, 4, 30]);
    damaged(file.file(), script, times)
}
