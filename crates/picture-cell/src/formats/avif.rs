//! AVIF: single pictures and grids, turned and mirrored as the container says, 8 to 12 bits.

use std::borrow::Cow;

use re_rav1d::dav1d;

use super::common::WRONG;
use super::heif_boxes::Container;
use super::planes16::{Colour, Planes};
use super::{Format, Found};
use crate::canvas::Canvas;
use crate::limits::DecodeLimits;
use crate::picture::PictureError;
use crate::pixels::Orientation;
use crate::sniff::Brands;

pub(super) const FORMAT: Format = Format {
    name: "avif",
    recognises: |bytes| Brands::read(bytes).is_some_and(|brands| brands.is(&AVIF, &OTHERS, b"av01")),
    decode,
};

const AVIF: [&[u8; 4]; 2] = [b"avif", b"avis"];
/// Codings of the same container that are named before.
const OTHERS: [&[u8; 4]; 8] = [b"heic", b"heix", b"hevc", b"hevx", b"avci", b"vvic", b"jpeg", b"j2ki"];

fn malformed(reason: impl Into<Cow<'static, str>>) -> PictureError {
    PictureError::malformed(FORMAT.name, reason)
}

fn decode(bytes: &[u8], limits: &DecodeLimits, canvas: &mut dyn Canvas) -> Result<Found, PictureError> {
    let container = Container::read(bytes).ok_or_else(|| malformed("its boxes are cut off"))?;
    let (width, height) = container.size(container.primary).ok_or_else(|| malformed("it has no size"))?;
    limits.check(FORMAT.name, width, height)?;
    let picture = Mosaic::read(&container, container.primary, (width, height), limits)?;
    let colour = Colour::read(&container);
    let seen = canvas.zeros(width as usize * height as usize * 3);
    picture.each(&container, limits, |place, planes| {
        let unread = |matrix| PictureError::UnsupportedFormat(format!("AVIF with colour matrix {matrix}").into());
        planes.draw(place, width, seen, &colour).map_err(unread)
    })?;
    if let Some(alpha) = alpha(&container) {
        let premultiplied = container.referred(container.primary, b"prem").contains(&alpha);
        let mask = Mosaic::read(&container, alpha, (width, height), limits)?;
        mask.each(&container, limits, |place, planes| {
            planes.fade(place, width, seen, premultiplied);
            Ok(())
        })?;
    }
    Ok(Found { width, height, exif_orientation: orientation(&container)? })
}

/// The item that holds how much of the picture is seen.
fn alpha(container: &Container<'_>) -> Option<u32> {
    let is_alpha = |id: &u32| {
        let kind = container.property(*id, b"auxC").and_then(|body| body.get(4..));
        kind.is_some_and(|urn| {
            urn.starts_with(b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha")
                || urn.starts_with(b"urn:mpeg:hevc:2015:auxid:1")
        })
    };
    container.referring(container.primary, b"auxl").find(is_alpha)
}

/// How the container turns and mirrors the picture, as an EXIF orientation. An EXIF block that repeats it does not count.
fn orientation(container: &Container<'_>) -> Result<u8, PictureError> {
    let mut turn = Orientation::UPRIGHT;
    for (kind, body) in container.properties(container.primary) {
        let first = body.first().copied().unwrap_or(0);
        turn = turn.then(match kind {
            // Quarter turns against the clock.
            b"irot" => [Orientation::UPRIGHT, Orientation::THREE_QUARTERS, Orientation::HALF, Orientation::QUARTER]
                [usize::from(first & 3)],
            // 0 exchanges top and bottom, 1 left and right: orientations 4 and 2.
            b"imir" => Orientation::from_exif(if first & 1 == 0 { 4 } else { 2 }),
            b"clap" => return Err(PictureError::UnsupportedFormat("AVIF with a clean aperture".into())),
            _ => continue,
        });
    }
    Ok((1..=8).find(|&number| Orientation::from_exif(number) == turn).unwrap_or(1))
}

impl Colour {
    fn read(container: &Container<'_>) -> Self {
        let bodies = container.properties(container.primary).filter(|(kind, _)| kind == b"colr").map(|(_, body)| *body);
        let named = bodies.filter_map(|body| body.strip_prefix(b"nclx")).find_map(|body| {
            let &[_, _, _, _, _, matrix, range, ..] = body else { return None };
            Some((matrix, range & 0x80 != 0))
        });
        Self { named }
    }
}

/// The coded pictures that make one picture, and where each lies in it.
struct Mosaic {
    tiles: Vec<u32>,
    columns: usize,
    /// Of the whole.
    size: (u32, u32),
}

impl Mosaic {
    fn read(container: &Container<'_>, id: u32, size: (u32, u32), limits: &DecodeLimits) -> Result<Self, PictureError> {
        let kind = container.kind(id).ok_or_else(|| malformed("it names no picture"))?;
        if &kind == b"av01" {
            return Ok(Self { tiles: vec![id], columns: 1, size });
        }
        if &kind != b"grid" {
            let kind = String::from_utf8_lossy(&kind).escape_debug().to_string();
            return Err(PictureError::UnsupportedFormat(format!("AVIF made of \"{kind}\"").into()));
        }
        let data = container.data(id).ok_or_else(|| malformed("its grid is cut off"))?;
        let &[_, flags, rows, columns, ref sides @ ..] = &data[..] else {
            return Err(malformed("its grid is cut off"));
        };
        let (rows, columns) = (usize::from(rows) + 1, usize::from(columns) + 1);
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number: u32, &byte| number << 8 | u32::from(byte));
        let side = if flags & 1 == 0 { 2 } else { 4 };
        let stated = sides.get(..side * 2).map(|both| (number(&both[..side]), number(&both[side..])));
        if stated != Some(size) {
            return Err(malformed("its grid has another size than it"));
        }
        let tiles = container.referred(id, b"dimg").to_vec();
        if tiles.len() != rows * columns || tiles.len() as u64 > limits.max_pixels {
            return Err(malformed(format!("{} of its {} tiles are there", tiles.len(), rows * columns)));
        }
        Ok(Self { tiles, columns, size })
    }

    /// Calls `draw` with each tile and its place. Tiles are of one size but for what the picture's edges cut off.
    fn each(
        &self,
        container: &Container<'_>,
        limits: &DecodeLimits,
        mut draw: impl FnMut((usize, usize), &Planes) -> Result<(), PictureError>,
    ) -> Result<(), PictureError> {
        let mut tile = None;
        for (index, &id) in self.tiles.iter().enumerate() {
            if container.kind(id) != Some(*b"av01") {
                return Err(PictureError::UnsupportedFormat("AVIF with a grid of grids".into()));
            }
            let data = container.data(id).ok_or_else(|| malformed("its data lie outside the file"))?;
            let planes = frame(data.into_owned(), limits)?;
            let (width, height) = *tile.get_or_insert((planes.width(), planes.height()));
            if (planes.width(), planes.height()) != (width, height) {
                return Err(malformed("its tiles differ in size"));
            }
            let rows = self.tiles.len() / self.columns;
            if width * self.columns < self.size.0 as usize || height * rows < self.size.1 as usize {
                return Err(malformed("its coded pictures are smaller than it"));
            }
            // ISO/IEC 23008-12, 6.6.2.3.1. Each would be decoded, and none be seen.
            if width * (self.columns - 1) >= self.size.0 as usize || height * (rows - 1) >= self.size.1 as usize {
                return Err(malformed("some of its tiles lie outside of it"));
            }
            draw((index % self.columns * width, index / self.columns * height), &planes)?;
        }
        Ok(())
    }
}

/// The first picture of an AV1 stream.
fn frame(data: Vec<u8>, limits: &DecodeLimits) -> Result<Planes, PictureError> {
    let mut settings = dav1d::Settings::new();
    // In this thread alone, and a picture at once.
    settings.set_n_threads(1);
    settings.set_max_frame_delay(1);
    settings.set_frame_size_limit(u32::try_from(limits.max_pixels).unwrap_or(u32::MAX));
    settings.set_all_layers(false);
    let mut decoder = dav1d::Decoder::with_settings(&settings).map_err(|_| malformed("its decoder could not begin"))?;
    let mut sent = decoder.send_data(data, None, None, None);
    loop {
        match decoder.get_picture() {
            Ok(picture) => return Planes::of(&picture).ok_or_else(|| malformed("its planes are too short")),
            Err(dav1d::Error::Again) if matches!(sent, Err(dav1d::Error::Again)) => sent = decoder.send_pending_data(),
            Err(dav1d::Error::Again) => {
                sent.map_err(|_| malformed(WRONG))?;
                return Err(malformed("it holds no whole picture"));
            }
            // What it says itself is for programmers.
            Err(_) => return Err(malformed(WRONG)),
        }
    }
}
