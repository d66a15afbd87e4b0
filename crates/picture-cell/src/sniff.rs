//! The format of a picture, told from its first bytes and never from a name or a header of the request.

use crate::PictureError;
use crate::formats::{FORMATS, Format};

/// The format whose signature `bytes` begin with.
pub(crate) fn sniff(bytes: &[u8]) -> Result<&'static Format, PictureError> {
    if bytes.is_empty() {
        return Err(PictureError::Empty);
    }
    if let Some(format) = FORMATS.iter().find(|format| (format.recognises)(bytes)) {
        return Ok(format);
    }
    let kind = Brands::read(bytes).and_then(|brands| brands.unread()).or_else(|| unread(bytes));
    Err(kind.map_or(PictureError::UnknownFormat, |kind| PictureError::UnsupportedFormat(kind.into())))
}

/// Formats that people send and that are not read, by how they begin.
fn unread(bytes: &[u8]) -> Option<&'static str> {
    const KINDS: [(&[u8], &str); 21] = [
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\xff\x0a", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x4f\xff\x51", "JPEG 2000"),
        (b"II\xbc\x01", "JPEG XR"),
        (b"II\x2b\0", "BigTIFF"),
        (b"MM\0\x2b", "BigTIFF"),
        (b"IIRO", "camera raw (ORF)"),
        (b"IIU\0", "camera raw (RW2)"),
        (b"FUJIFILMCCD-RAW", "camera raw (RAF)"),
        (b"8BPS", "Photoshop (PSD)"),
        (b"BPG\xfb", "BPG"),
        (b"qoif", "QOI"),
        (b"\x8aMNG", "MNG"),
        (b"\x8bJNG", "JNG"),
        (b"\0\0\x01\0", "icon (ICO)"),
        (b"DDS ", "DDS"),
        (b"v/1\x01", "OpenEXR"),
        (b"%PDF", "PDF"),
        (b"icns", "Apple icon (ICNS)"),
        (b"\x1aE\xdf\xa3", "video (WebM or Matroska)"),
    ];
    let known = KINDS.iter().find(|(begins, _)| bytes.starts_with(begins)).map(|&(_, kind)| kind);
    known.or(match bytes {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', ..] => Some("video (AVI)"),
        [b'P', b'1'..=b'7', b' ' | b'\n' | b'\r' | b'\t', ..] => Some("Netpbm (PBM, PGM, PPM, PAM)"),
        _ if is_svg(&bytes[..bytes.len().min(PROLOGUE)]) => Some("SVG"),
        _ => None,
    })
}

/// How far into a file its first element is looked for. Programs that draw write a line or two before it, and a comment.
const PROLOGUE: usize = 1 << 10;

/// Whether the first element of an XML document is a drawing, or its doctype says that it is to be one. Before it there may be a
/// byte-order mark, white space, a declaration, comments and a doctype.
fn is_svg(bytes: &[u8]) -> bool {
    let mut rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    loop {
        rest = rest.trim_ascii_start();
        let end: &[u8] = match rest {
            [b'<', b'!', b'-', b'-', ..] => b"-->",
            [b'<', b'?', ..] => b"?>",
            [b'<', b'!', ..] if begins(&rest[2..], "doctype") => {
                if begins(rest[9..].trim_ascii_start(), "svg") {
                    return true;
                }
                b">"
            }
            // A name space may be before its name.
            [b'<', name @ ..] => {
                let name = name.split(|byte| byte.is_ascii_whitespace() || b"/>".contains(byte)).next();
                return name.is_some_and(|name| name == b"svg" || name.ends_with(b":svg"));
            }
            _ => return false,
        };
        let Some(length) = memchr::memmem::find(rest, end) else { return false };
        rest = &rest[length + end.len()..];
    }
}

fn begins(bytes: &[u8], word: &str) -> bool {
    bytes.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word.as_bytes()))
}

/// What an ISO base media file says it is: the brands of its first box.
pub(crate) struct Brands<'b> {
    /// The major brand first, then the compatible ones.
    brands: Vec<&'b [u8; 4]>,
    /// The boxes after them, as far as a look at the kinds of items needs.
    rest: &'b [u8],
}

/// How far into a file the kinds of its items are looked for. Their list comes first and is short.
const ITEMS: usize = 16 << 10;

impl<'b> Brands<'b> {
    pub(crate) fn read(bytes: &'b [u8]) -> Option<Self> {
        if bytes.get(4..8)? != b"ftyp" {
            return None;
        }
        let length = usize::try_from(u32::from_be_bytes(*bytes.first_chunk()?)).ok()?.clamp(16, 1 << 10);
        let (own, rest) = bytes.split_at(length.min(bytes.len()));
        let major = own.get(8..12)?.first_chunk();
        let others = own.get(16..).unwrap_or_default().as_chunks().0;
        Some(Self { brands: major.into_iter().chain(others).collect(), rest: &rest[..rest.len().min(ITEMS)] })
    }

    /// Whether the first brand of these or `others` that is named is one of these. Files of neither name are told apart by
    /// the kind of their items.
    pub(crate) fn is(&self, these: &[&[u8; 4]], others: &[&[u8; 4]], item: &[u8; 4]) -> bool {
        match self.brands.iter().find(|brand| these.contains(brand) || others.contains(brand)) {
            Some(brand) => these.contains(brand),
            None => self.is_still() && memchr::memmem::find(self.rest, item).is_some(),
        }
    }

    /// Whether it is a picture of any coding.
    fn is_still(&self) -> bool {
        self.brands.iter().any(|&brand| matches!(brand, b"mif1" | b"mif2" | b"msf1" | b"miaf"))
    }

    fn unread(&self) -> Option<&'static str> {
        let found = self.brands.iter().find_map(|&brand| match brand {
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" => Some("HEIC"),
            b"avif" | b"avis" => Some("AVIF"),
            b"avci" | b"avcs" => Some("HEIF with H.264 (AVCI)"),
            b"vvic" | b"vvis" => Some("HEIF with H.266 (VVC)"),
            b"jpeg" | b"jpgs" => Some("HEIF with JPEG"),
            b"j2ki" | b"j2is" => Some("HEIF with JPEG 2000"),
            b"jxl " => Some("JPEG XL"),
            b"jp2 " | b"jpx " => Some("JPEG 2000"),
            b"crx " => Some("camera raw (CR3)"),
            b"qt  " => Some("video (QuickTime)"),
            [b'3', b'g', ..] => Some("video (3GPP)"),
            b"isom" | b"iso2" | b"mp41" | b"mp42" | b"avc1" | b"M4V " => Some("video (MP4)"),
            _ => None,
        });
        found.or(self.is_still().then_some("HEIF of another coding"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(bytes: &[u8]) -> String {
        match sniff(bytes).err() {
            Some(PictureError::UnsupportedFormat(kind)) => kind.into_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn formats_that_are_not_read_are_named() {
        assert_eq!(kind(b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl "), "JPEG XL");
        assert_eq!(kind(b"\xff\x0a\x00"), "JPEG XL");
        assert_eq!(kind(b"II\x2b\0\x08\0\0\0"), "BigTIFF");
        assert_eq!(kind(b"8BPS\0\x01"), "Photoshop (PSD)");
        assert_eq!(kind(b"P6\n1 1\n255\n..."), "Netpbm (PBM, PGM, PPM, PAM)");
        let brands = [
            (b"avci", "HEIF with H.264 (AVCI)"),
            (b"vvic", "HEIF with H.266 (VVC)"),
            (b"j2ki", "HEIF with JPEG 2000"),
            (b"crx ", "camera raw (CR3)"),
            (b"isom", "video (MP4)"),
        ];
        for (brand, name) in brands {
            let file = [b"\0\0\0\x18ftyp", &brand[..], b"\0\0\0\0mif1", brand].concat();
            assert_eq!(kind(&file), name);
        }
        assert_eq!(kind(b"\0\0\0\x14ftypmif1\0\0\0\0mif1"), "HEIF of another coding");
    }

    #[test]
    fn a_drawing_is_named_whatever_comes_before_it() {
        let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>";
        let declaration = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>";
        let doctype = "<!DOCTYPE svg PUBLIC \"-//W3C//DTD SVG 1.1//EN\" \"http://www.w3.org/svg11.dtd\">";
        for before in [
            String::new(),
            "\u{feff}".into(),
            " \r\n\t".into(),
            format!("{declaration}\n"),
            format!("\u{feff}{declaration}\n<!-- Created with <b>a</b> program -->\n{doctype}\n"),
            format!("<!-- a --><!-- b -->{doctype}"),
            "<!doctype svg>".into(),
        ] {
            assert_eq!(kind(format!("{before}{svg}").as_bytes()), "SVG", "{before:?}");
        }
        assert_eq!(kind(b"<svg>"), "SVG");
        assert_eq!(kind(b"<svg:svg xmlns:svg='http://www.w3.org/2000/svg'/>"), "SVG");
        assert_eq!(kind(b"icns\0\0\x0f\xa0TOC "), "Apple icon (ICNS)");
        let late = format!("<!-- {} -->{svg}", "a".repeat(PROLOGUE));
        for none in
            [&late, "<html><svg></svg></html>", "<!DOCTYPE html><html>", "<?xml?><svgs/>", "<!--", "<!", "<", "<?"]
        {
            assert!(matches!(sniff(none.as_bytes()), Err(PictureError::UnknownFormat)), "{none:?}");
        }
    }

    #[test]
    fn what_is_no_picture_is_unknown() {
        for bytes in [&b"hello world"[..], b"{\"a\":1}", b"\0\0\0\x14ftypabcd\0\0\0\0", b"P9\n", b"\xff"] {
            assert_eq!(sniff(bytes).err().map(|error| error.code()), Some("image_format_unknown"), "{bytes:?}");
        }
    }
}
