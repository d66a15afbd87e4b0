//! What a picture says about itself beside its pixels: how it has to be turned to be seen.

/// What JPEG puts before an EXIF block, and some writers of other formats, too.
const PREFIX: &[u8] = b"Exif\0\0";

const ORIENTATION: u32 = 0x112;

/// The EXIF orientation (1 to 8) in an EXIF block, with or without [`PREFIX`]; 1 when the block has none.
pub(crate) fn orientation_in_exif(block: &[u8]) -> u8 {
    let block = Tiff(block.strip_prefix(PREFIX).unwrap_or(block));
    let number = block.orientation().and_then(|number| u8::try_from(number).ok());
    number.filter(|number| (1..=8).contains(number)).unwrap_or(1)
}

/// An EXIF block: a TIFF without pictures.
struct Tiff<'b>(&'b [u8]);

impl Tiff<'_> {
    /// The number in `size` (1, 2 or 4) bytes at `at`.
    fn number(&self, at: usize, size: usize) -> Option<u32> {
        let bytes = self.0.get(at..at.checked_add(size)?)?;
        let join = |number: u32, byte: &u8| number << 8 | u32::from(*byte);
        match self.0 {
            [b'I', b'I', ..] => Some(bytes.iter().rev().fold(0, join)),
            [b'M', b'M', ..] => Some(bytes.iter().fold(0, join)),
            _ => None,
        }
    }

    /// The first directory's entry. It should be a SHORT; other whole numbers are taken, too.
    fn orientation(&self) -> Option<u32> {
        if self.number(2, 2)? != 42 {
            return None;
        }
        let directory = self.number(4, 4)? as usize;
        let mut entries = (0..self.number(directory, 2)? as usize).map(|index| directory + 2 + index * 12);
        let entry = entries.find(|&entry| self.number(entry, 2).is_none_or(|tag| tag == ORIENTATION))?;
        let size = match self.number(entry + 2, 2)? {
            1 | 6 => 1,
            3 | 8 => 2,
            4 | 9 => 4,
            _ => return None,
        };
        if self.number(entry + 4, 4)? == 1 { self.number(entry + 8, size) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of one entry: tag, type, count 1, and the value's four bytes.
    fn block(little: bool, tag: u16, kind: u16, value: [u8; 4]) -> Vec<u8> {
        let short = |number: u16| if little { number.to_le_bytes() } else { number.to_be_bytes() };
        let long = |number: u32| if little { number.to_le_bytes() } else { number.to_be_bytes() };
        let mut block = if little { b"II".to_vec() } else { b"MM".to_vec() };
        block.extend(short(42));
        block.extend(long(8));
        for number in [1, tag, kind] {
            block.extend(short(number));
        }
        block.extend(long(1));
        block.extend(value);
        block
    }

    #[test]
    fn the_orientation_is_read_in_both_byte_orders_and_behind_a_prefix() {
        for number in 1..=8 {
            let (little, big) = (block(true, 0x112, 3, [number, 0, 0, 0]), block(false, 0x112, 3, [0, number, 9, 9]));
            assert_eq!((orientation_in_exif(&little), orientation_in_exif(&big)), (number, number));
            assert_eq!(orientation_in_exif(&[PREFIX, &big].concat()), number);
        }
        assert_eq!(orientation_in_exif(&block(true, 0x112, 9, [6, 0, 0, 0])), 6);
    }

    #[test]
    fn what_is_no_orientation_counts_as_upright() {
        let whole = block(false, 0x112, 3, [0, 6, 0, 0]);
        for length in 0..whole.len() - 2 {
            assert_eq!(orientation_in_exif(&whole[..length]), 1, "{length} bytes");
        }
        for (tag, kind, value) in [(0x113, 3, 6), (0x112, 5, 6), (0x112, 3, 0), (0x112, 3, 9)] {
            assert_eq!(orientation_in_exif(&block(false, tag, kind, [0, value, 0, 0])), 1);
        }
        assert_eq!(orientation_in_exif(b"Exif\0\0"), 1);
    }
}
