//! Pictures that mean harm. Built from the formats' specifications, byte by byte, since no encoder writes them.

use image::ImageFormat;

use crate::{cropped, encoded, jpeg, portrait};

/// Pictures that must be refused, with a name each: sizes over the limits, sizes without data, bombs, absurd tags,
/// truncated and polyglot files, formats that are not read.
pub fn pictures() -> Vec<(String, Vec<u8>)> {
    let zeros = zlib_zeros(4 << 20);
    let small = cropped(&portrait(0.5), 60, 0, 110, 120);
    let whole = jpeg(&small, 85);
    let idat = |data: &[u8]| png_chunk(b"IDAT", data);
    let many_chunks: Vec<_> = (0..200_000).map(|_| png_chunk(b"tEXt", b"k\0v")).collect();
    let mut list: Vec<(String, Vec<u8>)> = [
        ("a PNG of 60000 x 60000", png(60_000, 60_000, &[idat(b"x")])),
        ("a PNG of the largest size", png(0x7fff_ffff, 0x7fff_ffff, &[idat(b"x")])),
        ("a PNG beyond the largest size", png(u32::MAX, u32::MAX, &[idat(b"x")])),
        ("a PNG a row over the limit", png(5_000, 5_001, &[idat(&zeros)])),
        ("a PNG of 10000 x 2501", png(10_000, 2_501, &[idat(b"x")])),
        ("a PNG of no width", png(0, 10, &[idat(b"x")])),
        ("a PNG of no height", png(10, 0, &[idat(b"x")])),
        ("a PNG of 25 megapixels without data", png(5_000, 5_000, &[])),
        ("a PNG of 25 megapixels with little data", png(5_000, 5_000, &[idat(&zlib_zeros(10_000))])),
        ("a PNG of 25 megapixels, 16 bits, transparent", png_of(5_000, 5_000, 16, 6, 0, &[idat(b"x")])),
        ("a PNG of 25 megapixels, interlaced", png_of(5_000, 5_000, 8, 2, 1, &[idat(&zlib_zeros(10_000))])),
        ("a PNG with a text bomb", png(16, 16, &[png_chunk(b"zTXt", &[b"k\0\0", &zeros[..]].concat())])),
        ("a PNG with a profile bomb", png(16, 16, &[png_chunk(b"iCCP", &[b"k\0\0", &zeros[..]].concat())])),
        ("a PNG of 200,000 chunks", png(16, 16, &many_chunks)),
        ("a PNG that is its signature", b"\x89PNG\r\n\x1a\n".to_vec()),
        ("a GIF of 65535 x 65535", gif(u16::MAX, u16::MAX)),
        ("a GIF of 25 megapixels without data", gif(5_000, 5_000)),
        ("a GIF of no size", gif(0, 0)),
        ("a GIF of half a million frames", gif_of_many_frames()),
        ("a BMP of 2^31 columns", bmp(i32::MAX, i32::MAX, 0)),
        ("a BMP of 25 megapixels without data", bmp(5_000, 5_000, 0)),
        ("a BMP of 25 megapixels, run-length encoded", bmp(5_000, 5_000, 1)),
        ("a BMP of the least height", bmp(1, i32::MIN, 0)),
        ("a WebP canvas of 16384 x 16384", webp(b"VP8X", &[2, 0, 0, 0, 0xff, 0x3f, 0, 0xff, 0x3f, 0])),
        ("a WebP canvas of 2^24 x 2^24", webp(b"VP8X", &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
        ("a lossless WebP of 16384 x 16384", webp(b"VP8L", &[0x2f, 0xff, 0xff, 0xff, 0x0f])),
        ("a lossy WebP of 16383 x 16383", webp(b"VP8 ", &[0, 0, 0, 0x9d, 1, 0x2a, 0xff, 0x3f, 0xff, 0x3f])),
        ("a JPEG of 65535 x 65535", jpeg_header(u16::MAX, u16::MAX)),
        ("a JPEG of no size", jpeg_header(0, 0)),
        ("a JPEG of 25 megapixels without scans", jpeg_header(5_000, 5_000)),
        ("a progressive JPEG of 5,000 scans", scans(4_000, 5_000)),
        ("a JPEG with a segment of no length", b"\xff\xd8\xff\xe1\0\0\xff\xe1\0\0".repeat(50_000)),
        ("a TIFF whose directory is itself", b"II\x2a\0\x08\0\0\0\0\0\x08\0\0\0".to_vec()),
        ("a TIFF of a width of 2^32", tiff(&[(0x100, 4, 1, u32::MAX), (0x101, 4, 1, u32::MAX)])),
        ("a TIFF of 2^32 strips", tiff(&[(0x100, 4, 1, 100), (0x101, 4, 1, 100), (0x111, 4, u32::MAX, 8)])),
        ("a TIFF of 2^32 bits a sample", tiff(&[(0x100, 4, 1, 9), (0x101, 4, 1, 9), (0x102, 3, u32::MAX, 8)])),
        (
            "a TIFF of endless strips",
            tiff(&[(0x100, 4, 1, 5_000), (0x101, 4, 1, 5_000), (0x111, 4, 1, 8), (0x116, 4, 1, 0)]),
        ),
        ("a TIFF whose tiles are 257 TB wide", tiff_of_tiles(u32::MAX, 30_000, 1, 1, &[0x80; 99])),
        ("a TIFF of 2,500 tiles in one place", tiff_of_tiles(16, 3, 5, 2_500, &[0x80; 9_999])),
        ("a TIFF whose tiles are JPEGs", tiff_of_tiles(16, 3, 7, 4, &whole)),
        ("a TIFF whose tiles are JPEGs of the old kind", tiff_of_tiles(16, 3, 6, 4, &whole)),
        ("a TIFF of a tile row of 17 GB", tiff_of_tiles(0x4000_0000, 4, 8, 1, &zeros)),
        ("a TIFF of 30,000 samples", tiff_of_tiles(16, 30_000, 8, 4, &zeros)),
        ("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec()),
        ("AVIF", b"\0\0\0\x18ftypavif\0\0\0\0mif1avif".to_vec()),
        ("SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec()),
    ]
    .into_iter()
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .collect();
    for head in ["<html>", "PK\x03\x04", "%PDF-1.7\n", "MZ", "#!/bin/sh\n"] {
        list.push((format!("{head:?} before a JPEG"), [head.as_bytes(), &whole].concat()));
    }
    let formats = [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::Tiff];
    let mut files: Vec<_> = formats.iter().map(|format| (format!("{format:?}"), encoded(&small, *format))).collect();
    files.push(("Jpeg".into(), whole));
    for (name, bytes) in files {
        for part in [1, 5, 10, 15, 19] {
            list.push((format!("{part} twentieths of a {name}"), bytes[..bytes.len() * part / 20].to_vec()));
        }
    }
    list
}

/// A chunk of a PNG, with its checksum.
pub fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let crc = kind.iter().chain(data).fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 })
    });
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    [&length[..], kind, data, &(!crc).to_be_bytes()].concat()
}

/// An 8-bit RGB PNG that claims a size, with any chunks.
pub fn png(width: u32, height: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
    png_of(width, height, 8, 2, 0, chunks)
}

fn png_of(width: u32, height: u32, depth: u8, color: u8, interlaced: u8, chunks: &[Vec<u8>]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[depth, color, 0, 0, interlaced]].concat();
    [b"\x89PNG\r\n\x1a\n".to_vec(), png_chunk(b"IHDR", &header), chunks.concat(), png_chunk(b"IEND", b"")].concat()
}

/// A zlib stream of zeros, nearly `count` of them, 160 times shorter: one literal, then the longest match again and
/// again (RFC 1951, 3.2.6).
pub fn zlib_zeros(count: usize) -> Vec<u8> {
    let mut bits: Vec<bool> = vec![true, true, false];
    let code =
        |value: u32, length: u32, bits: &mut Vec<bool>| bits.extend((0..length).rev().map(|i| value >> i & 1 == 1));
    code(0x30, 8, &mut bits);
    for _ in 0..count / 258 {
        // Length 258 is symbol 285 (0b11000101), distance 1 is symbol 0 (five zero bits).
        code(0b1100_0101, 8, &mut bits);
        code(0, 5, &mut bits);
    }
    code(0, 7, &mut bits);
    let mut bytes = vec![0x78, 0x9c];
    bytes.extend(bits.chunks(8).map(|byte| byte.iter().enumerate().fold(0, |b, (i, bit)| b | u8::from(*bit) << i)));
    bytes
}

/// A GIF of half a million frames of 4 x 4 pixels.
fn gif_of_many_frames() -> Vec<u8> {
    let mut gif = b"GIF89a\x04\0\x04\0\x80\0\0\0\0\0\xff\xff\xff".to_vec();
    gif.extend(b"\x2c\0\0\0\0\x04\0\x04\0\0\x02\x04\x84\x8f\x09\x05\0".repeat(500_000));
    gif.push(b';');
    gif
}

fn gif(width: u16, height: u16) -> Vec<u8> {
    let size = [width.to_le_bytes(), height.to_le_bytes()].concat();
    [b"GIF89a", &size[..], b"\xf0\0\0\0\0\0\xff\xff\xff\x2c\0\0\0\0", &size, b"\0\x02\0;"].concat()
}

fn bmp(width: i32, height: i32, compression: u8) -> Vec<u8> {
    let depth = if compression == 0 { 24 } else { 8 };
    let mut bmp = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    bmp.extend([width.to_le_bytes(), height.to_le_bytes()].concat());
    bmp.extend([1, 0, depth, 0, compression]);
    bmp.extend([0; 23]);
    bmp
}

fn webp(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let length = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
    let padded = data.len() + data.len() % 2;
    let mut webp = [b"RIFF", &length(padded + 12)[..], b"WEBP", kind, &length(data.len()), data].concat();
    webp.resize(padded + 20, 0);
    webp
}

/// The start of a baseline JPEG of three components, and its end.
fn jpeg_header(width: u16, height: u16) -> Vec<u8> {
    let size = [height.to_be_bytes(), width.to_be_bytes()].concat();
    [b"\xff\xd8\xff\xc0\0\x11\x08", &size[..], b"\x03\x01\x11\0\x02\x11\0\x03\x11\0\xff\xd9"].concat()
}

/// A progressive greyscale JPEG that sends its first coefficients `count` times.
pub fn scans(side: u16, count: usize) -> Vec<u8> {
    let size = [side.to_be_bytes(), side.to_be_bytes()].concat();
    let mut jpeg = [b"\xff\xd8\xff\xc2\0\x0b\x08", &size[..], b"\x01\x01\x11\0"].concat();
    jpeg.extend(b"\xff\xc4\0\x14\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    jpeg.extend(b"\xff\xda\0\x08\x01\x01\0\0\0\0\0".repeat(count));
    jpeg.extend(b"\xff\xd9");
    jpeg
}

/// A TIFF of 8-bit samples in `tiles` tiles of `width` x 16 pixels that all lie where `data` does.
fn tiff_of_tiles(width: u32, samples: u32, compression: u32, tiles: u32, data: &[u8]) -> Vec<u8> {
    let side = (f64::from(tiles).sqrt() as u32) * 16;
    let length = u32::try_from(data.len()).unwrap();
    let entry = |tag, count, value| (tag, 4, count, value);
    let plain = [
        entry(0x100, 1, side),
        entry(0x101, 1, side),
        entry(0x102, 1, 8),
        entry(0x103, 1, compression),
        entry(0x106, 1, 2),
        entry(0x115, 1, samples),
        entry(0x142, 1, width),
        entry(0x143, 1, 16),
    ];
    // After the header and the directory of ten entries come both tables, then the data.
    let tables = 8 + 2 + 10 * 12 + 4;
    let place = tables + 8 * tiles;
    let chunks = if tiles == 1 {
        [entry(0x144, 1, place), entry(0x145, 1, length)]
    } else {
        [entry(0x144, tiles, tables), entry(0x145, tiles, tables + 4 * tiles)]
    };
    let mut tiff = tiff(&[&plain[..], &chunks].concat());
    tiff.extend(place.to_le_bytes().repeat(tiles as usize));
    tiff.extend(length.to_le_bytes().repeat(tiles as usize));
    tiff.extend(data);
    tiff
}

/// A little-endian TIFF with one directory of tag, kind, count and value.
pub fn tiff(entries: &[(u16, u16, u32, u32)]) -> Vec<u8> {
    let mut tiff = b"II\x2a\0\x08\0\0\0".to_vec();
    tiff.extend(u16::try_from(entries.len()).unwrap().to_le_bytes());
    for (tag, kind, count, value) in entries {
        tiff.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        tiff.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    tiff.extend([0; 4]);
    tiff
}
