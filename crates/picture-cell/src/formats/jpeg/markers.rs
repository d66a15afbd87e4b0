//! The marker segments of a JPEG: its frame, its scans with the tables in force, where their data lies, and its EXIF.

use memchr::memchr;

use super::codes::{STANDARD_AC, STANDARD_DC};

/// What went wrong before any block was looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Damaged or cut off: what is wrong.
    Malformed(String),
    /// A valid kind of JPEG that is not read: which.
    Unsupported(&'static str),
}

/// Everything that the segments say, up to the end of the picture or of the bytes.
#[derive(Debug)]
pub(super) struct Layout<'b> {
    pub(super) frame: Frame,
    pub(super) scans: Vec<Scan<'b>>,
    /// The first EXIF block, from its TIFF header on. Later ones do not count, as in browsers.
    pub(super) exif: Option<&'b [u8]>,
    /// Whether an end marker follows.
    pub(super) has_end: bool,
}

/// The frame header.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) progressive: bool,
    pub(super) arithmetic: bool,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) components: Vec<Component>,
}

/// A colour component: its name and its sampling factors (1 to 4).
#[derive(Debug, Clone, Copy)]
pub(super) struct Component {
    id: u8,
    pub(super) across: u32,
    pub(super) down: u32,
    quantisation: u8,
}

/// One pass over the picture.
#[derive(Debug)]
pub(super) struct Scan<'b> {
    pub(super) components: Vec<Coded<'b>>,
    /// First and last coefficient, in zigzag order.
    pub(super) band: (u8, u8),
    /// Bits of each coefficient that earlier scans left over, and that this one leaves over.
    pub(super) bits: (u8, u8),
    /// Minimum coded units between two restart markers; 0 for none.
    pub(super) restart: u32,
    /// Entropy-coded data, with stuffing and restart markers.
    pub(super) data: &'b [u8],
}

/// A component of a scan and the tables in force for it; `None` for those that are missing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coded<'b> {
    /// Which of the frame's.
    pub(super) component: usize,
    /// Huffman tables: 16 counts and the values. Webcams leave them out, and mean the standard's.
    pub(super) dc: Option<&'b [u8]>,
    pub(super) ac: Option<&'b [u8]>,
    /// In zigzag order: 64 bytes, or 64 words.
    quantisation: Option<&'b [u8]>,
}

impl Coded<'_> {
    /// The quantisation table in force, in zigzag order.
    pub(super) fn steps(&self) -> Option<[u16; 64]> {
        let table = self.quantisation?;
        let step = |place: usize| match table.len() {
            64 => u16::from(table[place]),
            _ => u16::from_be_bytes([table[2 * place], table[2 * place + 1]]),
        };
        Some(std::array::from_fn(step))
    }
}

mod marker {
    pub(super) const TEM: u8 = 0x01;
    pub(super) const DHT: u8 = 0xC4;
    pub(super) const JPG: u8 = 0xC8;
    pub(super) const DAC: u8 = 0xCC;
    pub(super) const RST0: u8 = 0xD0;
    pub(super) const RST7: u8 = 0xD7;
    pub(super) const SOI: u8 = 0xD8;
    pub(super) const EOI: u8 = 0xD9;
    pub(super) const SOS: u8 = 0xDA;
    pub(super) const DQT: u8 = 0xDB;
    pub(super) const DNL: u8 = 0xDC;
    pub(super) const DRI: u8 = 0xDD;
    pub(super) const APP1: u8 = 0xE1;
}

const EXIF: &[u8] = b"Exif\0\0";

/// Reads the segments of `bytes`, which begin with a start-of-image marker; at most `max_scans` scans.
pub(super) fn layout(bytes: &[u8], max_scans: usize) -> Result<Layout<'_>, Fault> {
    let mut reader = Reader { bytes, at: 2, ..Reader::default() };
    let mut frame = None;
    let (mut scans, mut exif, mut has_end) = (Vec::new(), None, false);
    while let Some(marker) = reader.next_marker() {
        match marker {
            marker::EOI => {
                has_end = true;
                break;
            }
            marker::TEM | marker::RST0..=marker::SOI => continue,
            _ => {}
        }
        let Some(body) = reader.segment() else { break };
        match marker {
            marker::DHT => reader.tables(body)?,
            marker::DQT => reader.quantisation(body),
            marker::DRI => reader.restart = body.first_chunk().map_or(0, |&word| u16::from_be_bytes(word).into()),
            marker::APP1 if exif.is_none() => exif = body.strip_prefix(EXIF),
            marker::DNL => return Err(Fault::Unsupported("JPEG that states its height after its data")),
            0xF7 => return Err(Fault::Unsupported("JPEG-LS")),
            marker::JPG | marker::DAC => {}
            0xC0..=0xCF if frame.is_some() => return Err(Fault::Malformed("it has two frame headers".into())),
            0xC0..=0xCF => frame = Some(Frame::read(marker, body)?),
            marker::SOS => {
                let frame = frame.as_ref().ok_or_else(|| Fault::Malformed("a scan comes before its frame".into()))?;
                if scans.len() == max_scans {
                    return Err(Fault::Malformed(format!("it has more than {max_scans} scans")));
                }
                scans.push(reader.scan(frame, body)?);
            }
            _ => {}
        }
    }
    let frame = frame.ok_or_else(|| Fault::Malformed("it ends before its frame header".into()))?;
    Ok(Layout { frame, scans, exif, has_end })
}

/// A place in the bytes, and what earlier segments set.
#[derive(Default)]
struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    restart: u32,
    dc: [Option<&'b [u8]>; 4],
    ac: [Option<&'b [u8]>; 4],
    quantisation: [Option<&'b [u8]>; 4],
}

impl<'b> Reader<'b> {
    /// The next marker; what lies before it is skipped, as decoders do.
    fn next_marker(&mut self) -> Option<u8> {
        loop {
            self.at += memchr(0xFF, self.bytes.get(self.at..)?)? + 1;
            match *self.bytes.get(self.at)? {
                0x00 => {}
                // A fill byte.
                0xFF => continue,
                marker => {
                    self.at += 1;
                    return Some(marker);
                }
            }
        }
    }

    /// The body of the segment whose marker was just read.
    fn segment(&mut self) -> Option<&'b [u8]> {
        let rest = self.bytes.get(self.at..)?;
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
        self.at += length.max(2);
        rest.get(2..length.max(2))
    }

    /// Huffman tables: class and number, 16 counts, as many values.
    fn tables(&mut self, mut body: &'b [u8]) -> Result<(), Fault> {
        while let Some((&name, rest)) = body.split_first() {
            let values = rest.get(..16).map(|counts| counts.iter().map(|&n| usize::from(n)).sum::<usize>());
            let table = values.and_then(|values| rest.get(..16 + values));
            let table = table.ok_or_else(|| Fault::Malformed("a Huffman table is cut off".into()))?;
            let class = if name >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            class[usize::from(name & 3)] = Some(table);
            body = &rest[table.len()..];
        }
        Ok(())
    }

    /// Quantisation tables: width of a step and number, 64 steps. What is damaged is left for the decoder to refuse.
    fn quantisation(&mut self, mut body: &'b [u8]) {
        while let Some((&name, rest)) = body.split_first() {
            let length = if name >> 4 == 0 { 64 } else { 128 };
            let table = rest.get(..length);
            if let Some(place) = self.quantisation.get_mut(usize::from(name & 15)) {
                *place = table;
            }
            body = rest.get(length..).unwrap_or_default();
        }
    }

    /// The scan whose header is `body` and whose data begins here.
    fn scan(&mut self, frame: &Frame, body: &'b [u8]) -> Result<Scan<'b>, Fault> {
        let cut = || Fault::Malformed("a scan header is damaged".into());
        let count = usize::from(*body.first().ok_or_else(cut)?);
        let names = body.get(1..1 + count * 2).ok_or_else(cut)?;
        let Some(&[first, last, bits]) = body.get(1 + count * 2..) else { return Err(cut()) };
        let mut components = Vec::with_capacity(count);
        for &[id, tables] in names.as_chunks().0 {
            let component = frame.components.iter().position(|component| component.id == id).ok_or_else(cut)?;
            let (dc, ac) = (usize::from(tables >> 4 & 3), usize::from(tables & 3));
            let quantisation = usize::from(frame.components[component].quantisation);
            components.push(Coded {
                component,
                dc: self.dc[dc].or(STANDARD_DC.get(dc).copied()),
                ac: self.ac[ac].or(STANDARD_AC.get(ac).copied()),
                quantisation: self.quantisation.get(quantisation).copied().flatten(),
            });
        }
        if components.is_empty() || components.len() > frame.components.len() || first > last || last > 63 {
            return Err(cut());
        }
        let start = self.at.min(self.bytes.len());
        self.at = start + entropy_coded(&self.bytes[start..]);
        let data = &self.bytes[start..self.at];
        let (band, bits) = if frame.progressive { ((first, last), (bits >> 4, bits & 15)) } else { ((0, 63), (0, 0)) };
        Ok(Scan { components, band, bits, restart: self.restart, data })
    }
}

/// Length of the data up to a marker that is no restart marker, or up to the end.
fn entropy_coded(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(next) = memchr(0xFF, &bytes[at..]) {
        at += next;
        // Fill bytes may stand before a marker.
        let code = bytes[at..].iter().position(|&byte| byte != 0xFF).map(|fill| (at + fill, bytes[at + fill]));
        match code {
            Some((place, 0x00 | marker::RST0..=marker::RST7)) => at = place + 1,
            _ => return at,
        }
    }
    bytes.len()
}

impl Frame {
    fn read(marker: u8, body: &[u8]) -> Result<Self, Fault> {
        let cut = || Fault::Malformed("its frame header is damaged".into());
        let &[precision, h1, h0, w1, w0, count, ref rest @ ..] = body else { return Err(cut()) };
        match (marker, precision) {
            (0xC3 | 0xCB, _) => return Err(Fault::Unsupported("lossless JPEG")),
            (0xC5..=0xC7 | 0xCD..=0xCF, _) => return Err(Fault::Unsupported("hierarchical JPEG")),
            (_, 8) => {}
            (_, 12) => return Err(Fault::Unsupported("JPEG with 12 bits a sample")),
            _ => return Err(cut()),
        }
        let (width, height) = (u32::from(w1) << 8 | u32::from(w0), u32::from(h1) << 8 | u32::from(h0));
        if height == 0 && width > 0 {
            return Err(Fault::Unsupported("JPEG that states its height after its data"));
        }
        let components: Vec<_> = rest.as_chunks().0.iter().take(count.into()).map(Component::read).collect();
        match components.len() {
            1 | 3 | 4 if components.len() == usize::from(count) => {}
            2 => return Err(Fault::Unsupported("JPEG with two components")),
            _ => return Err(cut()),
        }
        if components.iter().any(|c| !(1..=4).contains(&c.across) || !(1..=4).contains(&c.down)) {
            return Err(cut());
        }
        Ok(Self { progressive: marker & 3 == 2, arithmetic: marker > 0xC8, width, height, components })
    }

    /// The largest sampling factors.
    pub(super) fn sampling(&self) -> (u32, u32) {
        let most = |factor: fn(&Component) -> u32| self.components.iter().map(factor).max().unwrap_or(1);
        (most(|c| c.across), most(|c| c.down))
    }

    /// Whether a component has more samples than the first one.
    pub(super) fn luminance_is_reduced(&self) -> bool {
        let [first, ..] = self.components[..] else { return false };
        (first.across, first.down) != self.sampling() && self.components.len() == 3
    }

    /// Why its planes cannot be brought to one size, if they cannot. Nor does libjpeg read the first kind.
    pub(super) fn unread_sampling(&self) -> Option<&'static str> {
        let (across, down) = self.sampling();
        if self.components.iter().any(|c| across % c.across != 0 || down % c.down != 0) {
            return Some("JPEG whose sampling factors do not divide each other");
        }
        // Ink comes in planes of one size, or as YCCK with the two of colour halved.
        let [first, second, third, fourth] = self.components[..] else { return None };
        let size = |component: Component| (component.across, component.down);
        let usual = size(first) == (across, down) && size(fourth) == size(first) && size(second) == size(third);
        (!usual).then_some("JPEG in ink with planes of unusual sizes")
    }

    /// Blocks of 8 x 8 samples of a component, across and down, that hold a part of the picture.
    pub(super) fn blocks(&self, component: usize) -> (u32, u32) {
        let (across, down) = self.sampling();
        let Component { across: h, down: v, .. } = self.components[component];
        ((self.width * h).div_ceil(across).div_ceil(8), (self.height * v).div_ceil(down).div_ceil(8))
    }

    /// Minimum coded units of an interleaved scan, across and down.
    pub(super) fn units(&self) -> (u32, u32) {
        let (across, down) = self.sampling();
        (self.width.div_ceil(across * 8), self.height.div_ceil(down * 8))
    }
}

impl Component {
    fn read(&[id, sampling, quantisation]: &[u8; 3]) -> Self {
        Self { id, across: (sampling >> 4).into(), down: (sampling & 15).into(), quantisation }
    }
}
