//! What every converter must survive.

use super::ConvertError;

/// Feeds a converter a file that it accepts, then damaged copies of it: every prefix, and every byte changed in four
/// ways. A panic fails the test; an error is as good as a result.
pub(super) fn survives_damage<T>(valid: &[u8], convert: impl Fn(&[u8]) -> Result<T, ConvertError>) {
    convert(valid).unwrap_or_else(|error| panic!("the undamaged file is refused: {error}"));
    for end in 0..valid.len() {
        // Bytes behind the last one that a format looks at may be missing: hence no check for an error.
        let _ = convert(&valid[..end]);
    }
    let mut damaged = valid.to_vec();
    for position in 0..valid.len() {
        for change in [0x01, 0x80, 0x7f, 0xff] {
            damaged[position] = valid[position] ^ change;
            let _ = convert(&damaged);
        }
        damaged[position] = valid[position];
    }
}
