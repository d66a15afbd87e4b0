//! Names of pictures: as results record them, never the same for two files, and as a person may be shown them.

use std::borrow::Cow;
use std::path::Path;

/// A name as text. What is no UTF-8 in it stands as `\xff`, its value in hexadecimal: a mark for "unknown" would make one
/// name of many, and a run that goes on would take all of them for done.
///
/// Where a name has such letters of its own, their backslash stands as `\x5c`, so that the bytes can be had back.
pub fn recorded(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(at) = rest.find('\\') {
            text.push_str(&rest[..at]);
            text.push_str(if looks_escaped(&rest.as_bytes()[at..]) { "\\x5c" } else { "\\" });
            rest = &rest[at + 1..];
        }
        text.push_str(rest);
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

fn looks_escaped(bytes: &[u8]) -> bool {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    matches!(bytes, [b'\\', b'x', high, low, ..] if is_digit(high) && is_digit(low))
}

/// A path as text.
pub fn recorded_path(path: &Path) -> String {
    // Elsewhere a backslash separates folders, and names are Unicode.
    if cfg!(unix) { recorded(path.as_os_str().as_encoded_bytes()) } else { path.to_string_lossy().into_owned() }
}

/// A name as it may reach a terminal: without what moves the cursor, begins a line or reorders text, by which a file's name
/// could forge what is said about another. Such characters stand as `\n` or `\u{202e}`.
pub fn shown(name: &str) -> Cow<'_, str> {
    escaped(name, misleads)
}

/// A message of several lines as it may reach a terminal; line feeds stay.
pub fn shown_text(text: &str) -> Cow<'_, str> {
    escaped(text, |letter| letter != '\n' && misleads(letter))
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        if is_escaped(letter) { shown.extend(letter.escape_default()) } else { shown.push(letter) }
    }
    Cow::Owned(shown)
}

/// Control characters, separators of lines and paragraphs, and Unicode's Bidi_Control.
fn misleads(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}')
        || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_in_utf8_is_recorded_as_it_is() {
        for name in ["a/b.jpg", "ü \u{fffd}.jpg", "c\\d.jpg", "\\x", "\\xg0", "\\xFF", ""] {
            assert_eq!(recorded(name.as_bytes()), name);
        }
    }

    #[test]
    fn no_two_names_are_recorded_as_one() {
        let names: [&[u8]; 9] = [
            b"inv\xff.jpg",
            b"inv\xfe.jpg",
            b"inv\\xff.jpg",
            b"inv\\x5cxff.jpg",
            b"inv\\\xff.jpg",
            b"inv\\xf\xff.jpg",
            "inv\u{fffd}.jpg".as_bytes(),
            b"inv\xc3.jpg",
            b"inv\xc3\xff.jpg",
        ];
        let recorded: BTreeSet<String> = names.into_iter().map(recorded).collect();
        assert_eq!(recorded.len(), names.len(), "{recorded:?}");
        assert!(recorded.contains("inv\\xff.jpg") && recorded.contains("inv\\x5cxff.jpg"), "{recorded:?}");
    }

    #[test]
    fn no_name_forges_a_line_or_reorders_one() {
        for plain in ["a/b.jpg", "ü 漢.jpg", "\\n", "\u{645}\u{631}.jpg", "\u{1f469}\u{200d}\u{1f52c}.jpg"] {
            assert_eq!(shown(plain), plain);
        }
        let name = "a\r\nb\t\u{1b}[2K\u{7f}\u{85}\u{9b}\u{2028}\u{202e}\u{2069}c";
        let safe = "a\\r\\nb\\t\\u{1b}[2K\\u{7f}\\u{85}\\u{9b}\\u{2028}\\u{202e}\\u{2069}c";
        assert_eq!(shown(name), safe);
        assert_eq!(shown_text("one\ntwo\u{202e}"), "one\ntwo\\u{202e}");
    }
}
