//! Where a decoder writes its pixels, so that it need not know whose memory that is.

/// Memory for the pixels of one picture.
pub(crate) trait Canvas {
    /// `length` zeros: nothing of an earlier picture may show through one that does not fill its size. A decoder asks
    /// once, after it has checked the limits.
    fn zeros(&mut self, length: usize) -> &mut [u8];

    /// `length` bytes of any value, for a decoder that writes every one of them or fails: zeros cost 4 ms at 12 megapixels.
    fn room(&mut self, length: usize) -> &mut [u8];
}

/// Memory is given back when the next picture takes less than this part of it.
const LEAST_USED: usize = 4;

impl Canvas for Vec<u8> {
    fn zeros(&mut self, length: usize) -> &mut [u8] {
        if self.capacity() < length || self.capacity() / LEAST_USED > length {
            *self = vec![0; length];
        } else {
            self.clear();
            self.resize(length, 0);
        }
        self
    }

    fn room(&mut self, length: usize) -> &mut [u8] {
        if self.len() < length || self.capacity() / LEAST_USED > length {
            return self.zeros(length);
        }
        self.truncate(length);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_an_earlier_picture_is_left_in_its_memory() {
        let mut spare = vec![7; 100];
        assert_eq!(spare.zeros(60), [0; 60]);
        assert_eq!(spare.capacity(), 100);
        assert_eq!(vec![7; 100].zeros(200), [0; 200]);
        // A small picture does not keep the memory of a large one.
        let mut spare = vec![7; 1000];
        spare.zeros(60);
        assert!(spare.capacity() < 1000);
        let mut spare = vec![7; 1000];
        assert_eq!(spare.room(900).len(), 900);
        assert_eq!(spare.room(950), [0; 950], "what is longer than before is new");
        spare.room(60);
        assert!(spare.capacity() < 1000);
    }
}
