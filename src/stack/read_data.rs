//! How much of a repository a check reads, as people write it: `5%`, `2/7`, `10G`.

use std::fmt;
use std::str::FromStr;

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
    match text {
        "none" => return Some(ReadData::None),
        "all" => return Some(ReadData::All),
        _ => {}
    }
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

/// As it is written.
impl fmt::Display for ReadData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::All => f.write_str("all"),
            Self::Part { n, of } => write!(f, "{n}/{of}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Bytes(bytes) => write!(f, "{bytes}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(expected.to_string().parse(), Ok(expected), "{text} is written as it is read");
        }
        for text in ["", "0%", "101%", "-5%", "%", "0/3", "4/3", "1/257", "1/", "0", "G", "5x", "ü", "99999999T"] {
            assert_eq!(text.parse::<ReadData>(), Err(InvalidReadData(text.into())));
        }
    }
}
