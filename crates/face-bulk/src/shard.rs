//! Which share of the pictures a process answers.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// One of several shares of the pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    pub index: u32,
    /// At least 1.
    pub count: u32,
}

impl Shard {
    /// Whether a picture belongs to this shard: the first eight bytes of its name's SHA-256, as a big-endian number,
    /// modulo the number of shards.
    pub fn holds(self, name: &str) -> bool {
        let [a, b, c, d, e, f, g, h, ..] = Sha256::digest(name.as_bytes()).0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) % u64::from(self.count) == u64::from(self.index)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    /// `INDEX/COUNT`, such as `3/16`.
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match numbers {
            Some((index, count)) if index < count => Ok(Self { index, count }),
            Some((_, count)) if count > 0 => {
                Err(format!("the shards are 0/{count} to {}/{count}: they are counted from 0", count - 1))
            }
            _ => Err("a shard is INDEX/COUNT, such as 3/16".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_read_as_index_and_count() {
        assert_eq!("3/16".parse(), Ok(Shard { index: 3, count: 16 }));
        assert_eq!("0/1".parse(), Ok(Shard { index: 0, count: 1 }));
        for wrong in ["16/16", "1/0", "0/0", "3", "a/b", "-1/4", "1/2/3", ""] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
        assert!("16/16".parse::<Shard>().expect_err("beyond").contains("15/16"));
    }

    #[test]
    fn every_picture_is_in_exactly_one_shard_and_stays_there() {
        let mut sizes = [0; 16];
        for number in 0..16_000 {
            let name = format!("2026/11/{number}.jpg");
            let holders = (0..16).filter(|index| Shard { index: *index, count: 16 }.holds(&name)).collect::<Vec<_>>();
            assert_eq!(holders.len(), 1, "{name}");
            sizes[holders[0] as usize] += 1;
        }
        // Of 1000 on average, five standard deviations (30.6 each) either way.
        assert!(sizes.iter().all(|size| (850..1150).contains(size)), "{sizes:?}");
        // printf a.jpg | sha256sum: 509b0d4641a7c3ba…; 0x509b0d4641a7c3ba % 16 = 10.
        assert!(Shard { index: 10, count: 16 }.holds("a.jpg"));
    }
}
