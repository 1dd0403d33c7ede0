//! Sizes as people write and read them: `512KiB`, `20MB`, `1.5 GiB`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use super::schema::written_as;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 10] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

impl FromStr for ByteSize {
    type Err = String;

    /// Whole numbers with a unit; without one they are bytes.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}` is not a size: expected for example `512KiB`, `20MB` or `1GiB`");
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| expected())?;
        let factor = match unit.trim_start() {
            "" => 1,
            unit => UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(expected)?.1,
        };
        number.checked_mul(factor).map(Self).ok_or_else(expected)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

written_as!(ByteSize, {"type": "string", "pattern": "^[0-9]+ ?([KMGT]iB|[kKMGT]B|B)?$"});

impl fmt::Display for ByteSize {
    /// A binary unit and three digits: `831 B`, `1.50 KiB`, `50.0 MiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            n if n < 1 << 10 => format!("{n} B"),
            n if n < 1 << 20 => scaled(n, 10, "KiB"),
            n if n < 1 << 30 => scaled(n, 20, "MiB"),
            n if n < 1 << 40 => scaled(n, 30, "GiB"),
            n => scaled(n, 40, "TiB"),
        };
        f.pad(&text)
    }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn scaled(bytes: u64, shift: u32, unit: &str) -> String {
    let value = bytes as f64 / (1_u64 << shift) as f64;
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        let read = ["0", "17", "512KiB", "20MB", "1 GiB"].map(|t| t.parse::<ByteSize>().unwrap().0);
        assert_eq!(read, [0, 17, 524_288, 20_000_000, 1_073_741_824]);
        for bad in ["", "MB", "1.5MB", "1 parsec", "-1", "99999999999999999999", "99999999TiB"] {
            assert!(bad.parse::<ByteSize>().unwrap_err().contains("expected for example"), "{bad}");
        }
    }

    #[test]
    fn sizes_are_shown_with_three_digits() {
        let shown = [0, 831, 1_536, 52_428_800, 1_610_612_736, u64::MAX].map(|n| ByteSize(n).to_string());
        assert_eq!(shown, ["0 B", "831 B", "1.50 KiB", "50.0 MiB", "1.50 GiB", "16777216 TiB"]);
    }
}
