//! Names of pictures as results record them: text, and never the same for two files.

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
}
