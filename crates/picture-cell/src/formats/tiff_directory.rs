//! The directory of a TIFF: what it says under which tag. Whoever judges a picture and whoever decodes it read it here,
//! so that what is decoded is what was judged.

/// The tags that are read (TIFF 6.0, appendix A).
pub(super) mod tag {
    pub(crate) const WIDTH: u16 = 256;
    pub(crate) const HEIGHT: u16 = 257;
    pub(crate) const BITS: u16 = 258;
    pub(crate) const COMPRESSION: u16 = 259;
    pub(crate) const PHOTOMETRIC: u16 = 262;
    pub(crate) const FILL_ORDER: u16 = 266;
    pub(crate) const STRIPS: u16 = 273;
    pub(crate) const ORIENTATION: u16 = 274;
    pub(crate) const SAMPLES: u16 = 277;
    pub(crate) const STRIP_ROWS: u16 = 278;
    pub(crate) const STRIP_LENGTHS: u16 = 279;
    pub(crate) const PLANES: u16 = 284;
    pub(crate) const PREDICTOR: u16 = 317;
    pub(crate) const COLOUR_MAP: u16 = 320;
    pub(crate) const TILE_WIDTH: u16 = 322;
    pub(crate) const TILE_HEIGHT: u16 = 323;
    pub(crate) const TILES: u16 = 324;
    pub(crate) const TILE_LENGTHS: u16 = 325;
    pub(crate) const INKS: u16 = 332;
    pub(crate) const EXTRA_SAMPLES: u16 = 338;
    pub(crate) const SAMPLE_FORMAT: u16 = 339;
}

/// The entries of the first directory.
pub(super) struct Directory<'b> {
    pub(super) bytes: &'b [u8],
    pub(super) little: bool,
    entries: &'b [[u8; 12]],
}

impl<'b> Directory<'b> {
    pub(super) fn read(bytes: &'b [u8]) -> Option<Self> {
        let little = bytes.starts_with(b"II");
        let start = join(bytes.get(4..8)?, little);
        let count = join(bytes.get(start..start.checked_add(2)?)?, little);
        let entries = bytes.get(start + 2..)?.as_chunks().0.get(..count)?;
        Some(Self { bytes, little, entries })
    }

    /// The entries under `tag`.
    fn entries_of(&self, tag: u16) -> impl Iterator<Item = &'b [u8; 12]> {
        self.entries.iter().filter(move |entry| join(&entry[..2], self.little) == usize::from(tag))
    }

    /// Whether there are two entries under `tag` that are not the same.
    pub(super) fn is_contradicted(&self, tag: u16) -> bool {
        let mut entries = self.entries_of(tag);
        entries.next().is_some_and(|first| entries.any(|other| other != first))
    }

    /// The whole numbers under `tag`, as far as the file holds them; none when the tag is absent.
    pub(super) fn numbers(&self, tag: u16) -> impl Iterator<Item = usize> {
        let values = self.entries_of(tag).next().and_then(|entry| {
            let size = [0, 1, 0, 2, 4].get(join(&entry[2..4], self.little)).copied().filter(|&size| size > 0)?;
            let length = join(&entry[4..8], self.little).checked_mul(size)?;
            let inside = entry.get(8..8 + length).filter(|_| length <= 4);
            let start = join(&entry[8..], self.little);
            let values = inside.or_else(|| self.bytes.get(start..start.checked_add(length)?))?;
            Some(values.chunks_exact(size).map(|value| join(value, self.little)))
        });
        values.into_iter().flatten()
    }

    /// The first of them: where the standard has one number, a file may have more.
    pub(super) fn number(&self, tag: u16) -> Option<usize> {
        self.numbers(tag).next()
    }

    /// Whether the picture lies in tiles and not in strips.
    pub(super) fn is_tiled(&self) -> bool {
        self.number(tag::TILE_WIDTH).is_some()
    }
}

fn join(bytes: &[u8], little: bool) -> usize {
    let step = |number: usize, byte: &u8| number << 8 | usize::from(*byte);
    if little { bytes.iter().rev().fold(0, step) } else { bytes.iter().fold(0, step) }
}
