//! HEIC, as iPhones write it: single pictures and grids, turned and mirrored as the container says, 8 to 12 bits.

use std::io;

use heic_decoder::{ColorInfo, HeifError, RgbOptions};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::common::{self, EARLY, Transparency, WRONG};
use super::heif_boxes::Container;
use super::{Format, Found};
use crate::canvas::Canvas;
use crate::limits::DecodeLimits;
use crate::picture::PictureError;
use crate::sniff::Brands;

pub(super) const FORMAT: Format = Format {
    name: "heic",
    recognises: |bytes| Brands::read(bytes).is_some_and(|brands| brands.is(&HEIC, &OTHERS, b"hvc1")),
    decode,
};

const HEIC: [&[u8; 4]; 6] = [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"];
/// Codings of the same container that are named before.
const OTHERS: [&[u8; 4]; 6] = [b"avif", b"avis", b"avci", b"vvic", b"jpeg", b"j2ki"];

/// Matrix coefficients of ITU-T H.273.
const UNSPECIFIED: u16 = 2;
const BT_601: u16 = 6;

thread_local! {
    /// The decoder works on a pool of threads. A confined process must not start any, and a picture is one request's work:
    /// its own thread is the whole pool.
    static ALONE: io::Result<ThreadPool> =
        ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().map_err(io::Error::other);
}

fn decode(bytes: &[u8], limits: &DecodeLimits, canvas: &mut dyn Canvas) -> Result<Found, PictureError> {
    // The decoder has a limit of its own, and does not say how large a picture over it is.
    if let Some((width, height)) = Container::read(bytes).and_then(|container| container.size(container.primary)) {
        limits.check(FORMAT.name, width.max(1), height.max(1))?;
    }
    let info = heic_decoder::probe(bytes).map_err(refused)?;
    let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
    limits.check(FORMAT.name, side(info.coded_width), side(info.coded_height))?;
    limits.check(FORMAT.name, side(info.width), side(info.height))?;
    let colours = |pool: &ThreadPool| pool.install(|| colours(bytes));
    let (width, height, colours) = ALONE.with(|pool| match pool {
        Ok(pool) => colours(pool),
        Err(_) => Err(PictureError::malformed(FORMAT.name, "its decoder could not begin")),
    })?;
    let seen = canvas.zeros(width * height * 3);
    match colours {
        Colours::Rgb(data) if data.len() == seen.len() => seen.copy_from_slice(&data),
        Colours::Rgba(data, transparency) if data.len() / 4 == seen.len() / 3 => {
            common::over_white(&data, transparency, seen);
        }
        _ => return Err(PictureError::malformed(FORMAT.name, "its data does not fill its size")),
    }
    // The container's turns are applied already; an EXIF block that repeats them does not count, as in viewers.
    Ok(Found { width: width as u32, height: height as u32, exif_orientation: 1 })
}

/// Interleaved samples of 8 bits.
enum Colours {
    Rgb(Vec<u8>),
    Rgba(Vec<u8>, Transparency),
}

fn colours(bytes: &[u8]) -> Result<(usize, usize, Colours), PictureError> {
    let picture = heic_decoder::decode(bytes).map_err(refused)?;
    // Colours that are described without their matrix are BT.601's, as libheif and libavif have it.
    let color = picture.color_info.filter(|info| info.matrix_coefficients == UNSPECIFIED);
    let color = color.map(|info| ColorInfo { matrix_coefficients: BT_601, ..info });
    let options = RgbOptions { color, ..RgbOptions::default() };
    let colours = if picture.alpha.is_some() {
        let seen = picture.to_rgba8_with_options(&options).map_err(refused)?;
        let transparency = if seen.premultiplied { Transparency::Premultiplied } else { Transparency::Plain };
        Colours::Rgba(seen.data, transparency)
    } else {
        Colours::Rgb(picture.to_rgb8_with_options(&options).map_err(refused)?.data)
    };
    Ok((picture.width, picture.height, colours))
}

/// What the decoder says itself is for programmers.
fn refused(error: HeifError) -> PictureError {
    let reason = match error {
        HeifError::Unsupported(_) => return PictureError::UnsupportedFormat("HEIC of an uncommon kind".into()),
        HeifError::Truncated { .. } => EARLY,
        HeifError::NotHeif(_) | HeifError::MalformedBox(_) => "its boxes contradict themselves",
        HeifError::LimitExceeded(_) => "its coded pictures are larger than it",
        HeifError::MalformedHevc(_) | HeifError::CabacDesync(_) => WRONG,
    };
    PictureError::malformed(FORMAT.name, reason)
}
