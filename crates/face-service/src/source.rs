//! The picture behind `faceImageBase`: Base64, a data URI or a link.

use std::borrow::Cow;

use axum::http::StatusCode;

use super::contract::Problem;

/// What `faceImageBase` holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Source<'r> {
    /// The decoded bytes.
    Bytes(Vec<u8>),
    /// A link that is still to be fetched.
    Link(&'r str),
}

impl<'r> Source<'r> {
    /// Tells the three forms apart and decodes Base64, to at most `max_bytes`.
    pub fn read(text: &'r str, max_bytes: usize) -> Result<Self, Problem> {
        let text = text.trim_ascii();
        if starts_with(text, "http://") || starts_with(text, "https://") {
            return Ok(Self::Link(text));
        }
        let base64 = if starts_with(text, "data:") { data_of_uri(text)? } else { text };
        // Three bytes from four characters; line breaks only make the text longer.
        if base64.len() / 4 * 3 > max_bytes.saturating_add(3) && significant(base64) / 4 * 3 > max_bytes {
            return Err(too_large(max_bytes));
        }
        let bytes = decode(base64)?;
        if bytes.len() > max_bytes {
            return Err(too_large(max_bytes));
        }
        Ok(Self::Bytes(bytes))
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

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Characters that are no white space.
fn significant(text: &str) -> usize {
    text.bytes().filter(|b| !b.is_ascii_whitespace()).count()
}

/// RFC 2397: `data:[<type>][;<parameter>]…[;base64],<data>`. The bytes decide what it is, not the declared type.
fn data_of_uri(uri: &str) -> Result<&str, Problem> {
    let malformed = |message: &str| Problem::new(StatusCode::BAD_REQUEST, "data_uri_malformed", message);
    let (head, data) = uri
        .split_once(',')
        .ok_or_else(|| malformed("the data URI in faceImageBase has no comma: send data:image/jpeg;base64,… "))?;
    let last = head.rsplit(';').next().unwrap_or_default().trim_ascii();
    if !last.eq_ignore_ascii_case("base64") {
        return Err(malformed("the data URI in faceImageBase is not in Base64: send data:image/jpeg;base64,…"));
    }
    Ok(data)
}

/// Base64 in the standard or the URL-safe alphabet, with or without padding, white space tolerated.
fn decode(text: &str) -> Result<Vec<u8>, Problem> {
    let malformed = |message: String| Problem::new(StatusCode::BAD_REQUEST, "base64_malformed", message);
    if let Ok(bytes) = base64_simd::STANDARD.decode_to_vec(text) {
        return Ok(bytes);
    }
    let mut standard = Cow::Borrowed(text.as_bytes());
    if text.bytes().any(|b| b == b'-' || b == b'_') {
        for byte in standard.to_mut() {
            match *byte {
                b'-' => *byte = b'+',
                b'_' => *byte = b'/',
                _ => {}
            }
        }
    }
    base64_simd::forgiving_decode_to_vec(&standard).map_err(|_| {
        let strange = text.bytes().position(|b| !b.is_ascii_alphanumeric() && !b"+/-_=\t\n\x0c\r ".contains(&b));
        malformed(match strange {
            Some(at) => format!(
                "faceImageBase is neither Base64 nor a data URI nor an http(s) link: byte {} belongs to no Base64 \
                 alphabet",
                at + 1
            ),
            None => "faceImageBase is no Base64: its length or its padding is wrong, perhaps it was cut off".into(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        match Source::read(text, 1000) {
            Ok(Source::Bytes(bytes)) => bytes,
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
    }

    #[test]
    fn tells_links_from_base64() {
        assert_eq!(Source::read("https://example.com/a.jpg", 10), Ok(Source::Link("https://example.com/a.jpg")));
        assert_eq!(Source::read(" HTTP://example.com ", 10), Ok(Source::Link("HTTP://example.com")));
    }

    #[test]
    fn says_what_is_wrong_with_what_is_no_base64() {
        for (text, code) in [
            ("%%%%", "base64_malformed"),
            ("Zm9vYgZZZ", "base64_malformed"),
            ("Zm9vYg===", "base64_malformed"),
            ("ftp://example.com/a", "base64_malformed"),
            ("héllo", "base64_malformed"),
            ("data:image/png;base64", "data_uri_malformed"),
            ("data:image/png,abc", "data_uri_malformed"),
        ] {
            let problem = Source::read(text, 1000).expect_err(text);
            assert_eq!((problem.status, problem.code), (StatusCode::BAD_REQUEST, code), "{text:?}");
        }
    }

    #[test]
    fn refuses_more_bytes_than_allowed_before_decoding_them() {
        let text = "A".repeat(4000);
        assert_eq!(Source::read(&text, 2999).expect_err("too large").code, "image_too_large");
        assert!(Source::read(&text, 3000).is_ok());
    }
}
