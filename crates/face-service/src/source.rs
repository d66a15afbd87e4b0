//! The picture behind `faceImageBase`: Base64, a data URI or a link.
//!
//! It is decoded where it arrived: nothing of the size of a picture is taken beside the body.

use std::ops::Range;

use axum::http::StatusCode;
use memchr::memchr;

use super::contract::Problem;

/// What `faceImageBase` holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Source {
    /// Where in the body the decoded bytes now stand.
    Bytes(Range<usize>),
    /// Where a link stands that is still to be fetched, in UTF-8.
    Link(Range<usize>),
}

impl Source {
    /// Tells the three forms apart and decodes Base64, to at most `max_bytes`. `text` is the place in `body` of what stands
    /// between the quotes of the field, whose escapes are resolved and whose Base64 is replaced by its bytes.
    pub fn read(body: &mut [u8], text: Range<usize>, max_bytes: usize) -> Result<Self, Problem> {
        let start = text.start;
        let length = unescape(&mut body[text]).ok_or_else(|| {
            let message =
                "faceImageBase has half of a surrogate pair (\\uD800 to \\uDFFF): send Base64, a data URI or a link";
            Problem::new(StatusCode::BAD_REQUEST, "face_image_base_invalid", message)
        })?;
        let text = trim(body, start..start + length);
        let written = &body[text.clone()];
        if written.is_empty() {
            let message = "faceImageBase is empty: send Base64, a data URI or a link";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "face_image_base_invalid", message));
        }
        if starts_with(written, b"http://") || starts_with(written, b"https://") {
            return Ok(Self::Link(text));
        }
        let data = if starts_with(written, b"data:") { data_of_uri(written)? } else { 0 };
        let mut base64 = text.start + data..text.end;
        if data > 0 {
            base64.end = base64.start + percent_decode(&mut body[base64.clone()]);
        }
        // Three bytes from four characters; line breaks only make the text longer.
        if base64.len() / 4 * 3 > max_bytes.saturating_add(3) && significant(&body[base64.clone()]) / 4 * 3 > max_bytes
        {
            return Err(too_large(max_bytes));
        }
        let start = base64.start;
        let length = decode(&mut body[base64], data)?;
        if length > max_bytes {
            return Err(too_large(max_bytes));
        }
        Ok(Self::Bytes(start..start + length))
    }
}

/// The problem of a picture over the limit, however it came.
pub fn too_large(max_bytes: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "image_too_large",
        format!("the picture in faceImageBase is larger than {max_bytes} bytes: scale it down or compress it more"),
    )
}

fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// The same place without the white space at its ends.
fn trim(body: &[u8], text: Range<usize>) -> Range<usize> {
    let start = text.end - body[text.clone()].trim_ascii_start().len();
    start..start + body[start..text.end].trim_ascii_end().len()
}

/// Characters that are no white space.
fn significant(text: &[u8]) -> usize {
    text.iter().filter(|b| !b.is_ascii_whitespace()).count()
}

/// Where the data begins in RFC 2397's `data:[<type>][;<parameter>]…[;base64],<data>`. The bytes decide what it is, not the
/// declared type.
fn data_of_uri(uri: &[u8]) -> Result<usize, Problem> {
    let malformed = |message: &str| Problem::new(StatusCode::BAD_REQUEST, "data_uri_malformed", message);
    let comma = memchr(b',', uri)
        .ok_or_else(|| malformed("the data URI in faceImageBase has no comma: send data:image/jpeg;base64,… "))?;
    let last = uri[..comma].rsplit(|&b| b == b';').next().unwrap_or_default().trim_ascii();
    if !last.eq_ignore_ascii_case(b"base64") {
        return Err(malformed("the data URI in faceImageBase is not in Base64: send data:image/jpeg;base64,…"));
    }
    Ok(comma + 1)
}

/// Replaces `%2B` and its like, which RFC 2397 lets stand in the data, by their bytes; the length that is left.
fn percent_decode(text: &mut [u8]) -> usize {
    let (mut from, mut to) = (0, 0);
    while let Some(plain) = memchr(b'%', &text[from..]) {
        text.copy_within(from..from + plain, to);
        (from, to) = (from + plain, to + plain);
        let digits = text.get(from + 1..from + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        text[to] = byte.unwrap_or(b'%');
        from += if byte.is_some() { 3 } else { 1 };
        to += 1;
    }
    text.copy_within(from.., to);
    text.len() - (from - to)
}

/// Resolves the escapes of a valid JSON string (RFC 8259, section 7) in place, since no character is longer than its escape.
/// The length that is left; `None` when half of a surrogate pair stands alone.
fn unescape(text: &mut [u8]) -> Option<usize> {
    let (mut from, mut to) = (0, 0);
    while let Some(plain) = memchr(b'\\', &text[from..]) {
        text.copy_within(from..from + plain, to);
        (from, to) = (from + plain, to + plain);
        let character = match *text.get(from + 1)? {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = unit(&text[from..])?;
                match char::decode_utf16([first]).next()? {
                    Ok(character) => {
                        from += 4;
                        character
                    }
                    Err(_) => {
                        let pair = [first, unit(&text[from + 6..])?];
                        from += 10;
                        char::decode_utf16(pair).next()?.ok()?
                    }
                }
            }
            same => char::from(same),
        };
        from += 2;
        to += character.encode_utf8(&mut text[to..]).len();
    }
    text.copy_within(from.., to);
    Some(text.len() - (from - to))
}

/// The number in `\uXXXX` at the beginning of `text`.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = std::str::from_utf8(text.get(..6)?.strip_prefix(b"\\u")?).ok()?;
    u16::from_str_radix(digits, 16).ok()
}

/// Base64 in the standard or the URL-safe alphabet, with or without padding, white space tolerated, is replaced by its bytes,
/// of which there are as many as this says. `before` it so many bytes of the field stand.
fn decode(text: &mut [u8], before: usize) -> Result<usize, Problem> {
    let malformed = |message: String| Problem::new(StatusCode::BAD_REQUEST, "base64_malformed", message);
    let cut =
        || malformed("faceImageBase is no Base64: its length or its padding is wrong, perhaps it was cut off".into());
    // Checked first, because a decoder that fails half way has spoilt the text.
    if base64_simd::STANDARD.check(text).is_ok() {
        return base64_simd::STANDARD.decode_inplace(text).map(|bytes| bytes.len()).map_err(|_| cut());
    }
    let mut length = 0;
    for at in 0..text.len() {
        let standard = match text[at] {
            b'-' => b'+',
            b'_' => b'/',
            b'\t' | b'\n' | b'\x0c' | b'\r' | b' ' => continue,
            letter if letter.is_ascii_alphanumeric() || b"+/=".contains(&letter) => letter,
            _ => {
                return Err(malformed(format!(
                    "faceImageBase {}: byte {} belongs to no Base64 alphabet",
                    if before == 0 { "is neither Base64 nor a data URI nor an http(s) link" } else { "is no Base64" },
                    before + at + 1
                )));
            }
        };
        text[length] = standard;
        length += 1;
    }
    base64_simd::forgiving_decode_inplace(&mut text[..length]).map(|bytes| bytes.len()).map_err(|_| cut())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in the field of a request whose body has something before and after it.
    fn source(text: &str, max_bytes: usize) -> Result<(&'static str, Vec<u8>), Problem> {
        let mut body = format!("{{\"{text}\"}}").into_bytes();
        let end = body.len() - 2;
        let read = Source::read(&mut body, 2..end, max_bytes)?;
        assert!(body.starts_with(b"{\"") && body.ends_with(b"\"}"), "nothing else is touched");
        Ok(match read {
            Source::Bytes(place) => ("bytes", body[place].to_vec()),
            Source::Link(place) => ("link", body[place].to_vec()),
        })
    }

    fn bytes(text: &str) -> Vec<u8> {
        match source(text, 1000) {
            Ok(("bytes", bytes)) => bytes,
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    #[test]
    fn reads_base64_in_every_spelling() {
        // RFC 4648: fb ef ff is "++//" in the standard alphabet and "--__" in the URL-safe one.
        let spellings = ["++//", "--__", "+-/_", "++\r\n//", " ++//\n", "+\t+ //"];
        for text in spellings {
            assert_eq!(bytes(text), [0xfb, 0xef, 0xff], "{text:?}");
        }
        for text in ["Zm9vYg==", "Zm9vYg", "Zm9v\nYg==", "data:image/png;base64,Zm9vYg=="] {
            assert_eq!(bytes(text), b"foob", "{text:?}");
        }
        assert_eq!(bytes("DATA:;charset=utf-8;BASE64,Zm9vYg"), b"foob");
        // RFC 2397 is a URI, in which these may be escaped.
        assert_eq!(bytes("data:image/png;base64,%2B%2b//Zm9vYg%3D%3D"), b"\xfb\xef\xfffoob".as_slice());
    }

    #[test]
    fn tells_links_from_base64() {
        let link = |text: &str| ("link", text.as_bytes().to_vec());
        assert_eq!(source("https://example.com/a.jpg", 10), Ok(link("https://example.com/a.jpg")));
        assert_eq!(source(" HTTP://example.com ", 10), Ok(link("HTTP://example.com")));
        assert_eq!(source(r"https:\/\/b\u00fccher.example\/", 10), Ok(link("https://bücher.example/")));
    }

    #[test]
    fn says_what_is_wrong_with_what_is_no_base64() {
        for (text, code) in [
            ("", "face_image_base_invalid"),
            (r" \n\t", "face_image_base_invalid"),
            ("%%%%", "base64_malformed"),
            ("Zm9vYgZZZ", "base64_malformed"),
            ("Zm9vYg===", "base64_malformed"),
            ("ftp://example.com/a", "base64_malformed"),
            ("héllo", "base64_malformed"),
            ("data:image/png;base64", "data_uri_malformed"),
            ("data:image/png,abc", "data_uri_malformed"),
            ("data:image/png;base64,Zm9v%", "base64_malformed"),
            ("data:image/png;base64,Zm9v%4", "base64_malformed"),
            ("data:image/png;base64,Zm9v%GG", "base64_malformed"),
        ] {
            let problem = source(text, 1000).expect_err(text);
            assert_eq!((problem.status, problem.code), (StatusCode::BAD_REQUEST, code), "{text:?}");
        }
    }

    #[test]
    fn refuses_more_bytes_than_allowed_before_decoding_them() {
        let text = "A".repeat(4000);
        assert_eq!(source(&text, 2999).expect_err("too large").code, "image_too_large");
        assert!(source(&text, 3000).is_ok());
    }

    #[test]
    fn escapes_are_resolved_as_json_has_them() {
        let resolved = |literal: &str| {
            let mut text = literal.as_bytes().to_vec();
            let length = unescape(&mut text)?;
            text.truncate(length);
            Some(String::from_utf8(text).expect("UTF-8"))
        };
        let texts = [
            "",
            "plain",
            r#"a\/b\\\\c\""#,
            r"\b\f\n\r\t",
            r"\u0041\u00e9\u20ac\ud83d\ude00!",
            r"\uD83D\uDE00\u0000",
            "é\\n😀\\\\",
            r"\\u0041",
        ];
        for literal in texts {
            let theirs: String = serde_json::from_str(&format!("\"{literal}\"")).expect(literal);
            assert_eq!(resolved(literal), Some(theirs), "{literal}");
        }
        // serde_json refuses each of these as a string, and passes it as a raw value.
        for literal in [r"\ud83d", r"\ud83dx", r"\ud83d\n", r"\ud83d\u0041", r"\ude00", r"\ud83d\ud83d"] {
            assert!(serde_json::from_str::<String>(&format!("\"{literal}\"")).is_err(), "{literal}");
            assert_eq!(resolved(literal), None, "{literal}");
        }
        let problem = source(r"AA\ud83dAA", 10).expect_err("no text");
        assert_eq!((problem.status, problem.code), (StatusCode::BAD_REQUEST, "face_image_base_invalid"));
        // Writers escape what they need not.
        assert_eq!(bytes(r"++\/\/"), [0xfb, 0xef, 0xff]);
    }
}
