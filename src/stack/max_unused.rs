//! How much of a repository may lie unused after a prune, as people write it: `5%`, `500M`, `0`, `unlimited`.

use std::fmt;
use std::str::FromStr;

/// How much of what is kept may be unused: below it, repacking costs more than it gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxUnused {
    /// Of the size after pruning. restic's default is 5.
    Percent(f64),
    Bytes(u64),
    /// Only whole packs are removed.
    Unlimited,
}

impl Default for MaxUnused {
    fn default() -> Self {
        Self::Percent(5.0)
    }
}

/// A text that says no [`MaxUnused`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no limit of unused space: expected for example `5%`, `500M`, `0` or `unlimited`")]
pub struct InvalidMaxUnused(pub String);

impl FromStr for MaxUnused {
    type Err = InvalidMaxUnused;

    fn from_str(text: &str) -> Result<Self, InvalidMaxUnused> {
        parse(text).ok_or_else(|| InvalidMaxUnused(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<MaxUnused> {
    if text == "unlimited" {
        return Some(MaxUnused::Unlimited);
    }
    if let Some(percent) = text.strip_suffix('%') {
        let percent: f64 = percent.parse().ok()?;
        return (0.0..100.0).contains(&percent).then_some(MaxUnused::Percent(percent));
    }
    let digits = text.trim_end_matches(['K', 'M', 'G', 'T', 'k', 'm', 'g', 't']);
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift).map(MaxUnused::Bytes)
}

/// As it is written.
impl fmt::Display for MaxUnused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Bytes(bytes) => write!(f, "{bytes}"),
            Self::Unlimited => f.write_str("unlimited"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_from_text() {
        for (text, expected) in [
            ("5%", MaxUnused::Percent(5.0)),
            ("0%", MaxUnused::Percent(0.0)),
            ("0", MaxUnused::Bytes(0)),
            ("500M", MaxUnused::Bytes(500 << 20)),
            ("unlimited", MaxUnused::Unlimited),
        ] {
            assert_eq!(text.parse(), Ok(expected));
            assert_eq!(expected.to_string().parse(), Ok(expected), "{text} is written as it is read");
        }
        for text in ["", "100%", "-1%", "5X", "MM", "5MM", "%"] {
            assert_eq!(text.parse::<MaxUnused>(), Err(InvalidMaxUnused(text.into())));
        }
    }
}
