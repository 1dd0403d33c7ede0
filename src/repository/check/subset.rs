//! Which packs are read: all, none, a part by turns, or a random sample.

use std::str::FromStr;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::super::PackId;

/// How many of the packs are read whole.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum ReadData {
    #[default]
    None,
    All,
    /// Part `n` of `of` (1 to 256), by the packs' ids: each run of a series takes another part. As restic cuts them.
    Part {
        n: u16,
        of: u16,
    },
    /// A random sample of this many of all packs, in percent.
    Percent(f64),
    /// A random sample of about so many bytes.
    Bytes(u64),
}

/// A text that says no [`ReadData`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no part of a repository: expected for example `5%`, `1/7` (the first of seven parts) or `10G`")]
pub struct InvalidReadData(pub String);

impl FromStr for ReadData {
    type Err = InvalidReadData;

    fn from_str(text: &str) -> Result<Self, InvalidReadData> {
        parse(text).ok_or_else(|| InvalidReadData(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<ReadData> {
    if let Some((n, of)) = text.split_once('/') {
        let (n, of) = (n.parse().ok()?, of.parse().ok()?);
        return (1 <= n && n <= of && of <= 256).then_some(ReadData::Part { n, of });
    }
    if let Some(percent) = text.strip_suffix('%') {
        let percent: f64 = percent.parse().ok()?;
        return (percent > 0.0 && percent <= 100.0).then_some(ReadData::Percent(percent));
    }
    let (number, shift) = match text.as_bytes().last()? {
        b'K' | b'k' => (&text[..text.len() - 1], 10),
        b'M' | b'm' => (&text[..text.len() - 1], 20),
        b'G' | b'g' => (&text[..text.len() - 1], 30),
        b'T' | b't' => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    let bytes = number.parse::<u64>().ok()?.checked_mul(1 << shift)?;
    (bytes > 0).then_some(ReadData::Bytes(bytes))
}

impl ReadData {
    /// The chosen among packs and their sizes. A sample is never empty while there are packs.
    pub(super) fn choose(self, mut packs: Vec<(PackId, u64)>, seed: u64) -> Vec<(PackId, u64)> {
        match self {
            Self::None => Vec::new(),
            Self::All => packs,
            Self::Part { n, of } => {
                packs.retain(|(id, _)| u16::from(id.0[0]) % of == n - 1);
                packs
            }
            Self::Percent(percent) => {
                shuffle(&mut packs, seed);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    clippy::cast_precision_loss,
                    reason = "a share of a count of packs"
                )]
                let count = (packs.len() as f64 * percent / 100.0).ceil() as usize;
                packs.truncate(count);
                packs
            }
            Self::Bytes(bytes) => {
                shuffle(&mut packs, seed);
                let mut sum = 0;
                packs.retain(|(_, size)| {
                    let take = sum < bytes;
                    sum += if take { size } else { &0 };
                    take
                });
                packs
            }
        }
    }
}

/// Sorted first, so that the seed alone decides and not the store's order.
fn shuffle(packs: &mut [(PackId, u64)], seed: u64) {
    packs.sort_unstable();
    packs.shuffle(&mut StdRng::seed_from_u64(seed));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packs(count: u8) -> Vec<(PackId, u64)> {
        (0..count).map(|n| (PackId([n; 32]), 100)).collect()
    }

    #[test]
    fn texts_say_which_part() {
        for (text, expected) in [
            ("5%", ReadData::Percent(5.0)),
            ("2.5%", ReadData::Percent(2.5)),
            ("1/7", ReadData::Part { n: 1, of: 7 }),
            ("512", ReadData::Bytes(512)),
            ("10G", ReadData::Bytes(10 << 30)),
            ("500m", ReadData::Bytes(500 << 20)),
        ] {
            assert_eq!(text.parse(), Ok(expected));
        }
        for text in ["", "0%", "101%", "-5%", "%", "0/3", "4/3", "1/257", "1/", "0", "G", "5x", "ü", "99999999T"] {
            assert_eq!(text.parse::<ReadData>(), Err(InvalidReadData(text.into())));
        }
    }

    #[test]
    fn parts_together_are_everything_and_each_pack_is_in_one() {
        let parts: Vec<_> = (1..=7).flat_map(|n| ReadData::Part { n, of: 7 }.choose(packs(200), 1)).collect();
        let mut sorted = parts;
        sorted.sort_unstable();
        assert_eq!(sorted, packs(200));
    }

    #[test]
    fn samples_have_their_size_and_another_seed_takes_others() {
        assert_eq!(ReadData::Percent(5.0).choose(packs(200), 1).len(), 10);
        assert_eq!(ReadData::Percent(0.1).choose(packs(200), 1).len(), 1);
        assert_eq!(ReadData::Bytes(950).choose(packs(200), 1).len(), 10);
        assert_eq!(ReadData::Percent(5.0).choose(packs(200), 1), ReadData::Percent(5.0).choose(packs(200), 1));
        assert_ne!(ReadData::Percent(5.0).choose(packs(200), 1), ReadData::Percent(5.0).choose(packs(200), 2));
        assert_eq!(ReadData::All.choose(packs(200), 1), packs(200));
        assert_eq!(ReadData::None.choose(packs(200), 1), []);
    }
}
