//! Versions of servers and of their client programs: `9.5.3` is 90503, `15.8` is 150008.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A server's version as `server_version_num` has it; in documents as text (`15.8`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32);

impl Version {
    /// Older servers lack row security and `pg_lsn` arithmetic, and nobody could test against one.
    pub const OLDEST: Self = Self(90_500);
    /// The newest major version whose catalogs drydock was written for and is tested with. A newer one may have kinds
    /// of objects that nobody would notice missing.
    pub const NEWEST_MAJOR: Self = Self(180_000);

    pub const V9_6: Self = Self(90_600);
    pub const V10: Self = Self(100_000);
    pub const V11: Self = Self(110_000);
    pub const V12: Self = Self(120_000);
    pub const V13: Self = Self(130_000);
    pub const V14: Self = Self(140_000);
    pub const V15: Self = Self(150_000);
    pub const V16: Self = Self(160_000);
    pub const V17: Self = Self(170_000);
    pub const V18: Self = Self(180_000);

    /// The version without its minor part: 9.5 for 9.5.3, 15 for 15.8.
    #[must_use]
    pub fn major(self) -> Self {
        if self < Self::V10 { Self(self.0 / 100 * 100) } else { Self(self.0 / 10_000 * 10_000) }
    }

    /// `9.5` or `15`.
    #[must_use]
    pub fn major_text(self) -> String {
        if self < Self::V10 {
            format!("{}.{}", self.0 / 10_000, self.0 / 100 % 100)
        } else {
            (self.0 / 10_000).to_string()
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minor = if *self < Self::V10 { self.0 % 100 } else { self.0 % 10_000 };
        write!(f, "{}.{minor}", self.major_text())
    }
}

/// A text that is no PostgreSQL version.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{0}` is not a PostgreSQL version such as `9.5.3` or `15.8`")]
pub struct InvalidVersion(String);

impl FromStr for Version {
    type Err = InvalidVersion;

    /// Reads `9.5.3`, `15.8`, `15` and what distributions add: `15.8 (Debian 15.8-0+deb12u1)`, `18beta1`.
    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let invalid = || InvalidVersion(text.to_owned());
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let parts: Vec<u32> =
            text[..end].split('.').map(|p| p.parse().map_err(|_| invalid())).collect::<Result<_, _>>()?;
        match parts[..] {
            [major @ 10..=9_999] => Ok(Self(major * 10_000)),
            [major @ 10..=9_999, minor @ 0..=9_999] => Ok(Self(major * 10_000 + minor)),
            [major @ 0..=9, minor @ 0..=99] => Ok(Self(major * 10_000 + minor * 100)),
            [major @ 0..=9, minor @ 0..=99, patch @ 0..=99] => Ok(Self(major * 10_000 + minor * 100 + patch)),
            _ => Err(invalid()),
        }
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_servers_and_programs_print_them() {
        for (text, number, printed, major) in [
            ("9.5.3", 90_503, "9.5.3", "9.5"),
            ("9.6.24", 90_624, "9.6.24", "9.6"),
            ("10.23", 100_023, "10.23", "10"),
            ("15.8 (Debian 15.8-0+deb12u1)", 150_008, "15.8", "15"),
            ("18beta1", 180_000, "18.0", "18"),
            ("18.4", 180_004, "18.4", "18"),
        ] {
            let version: Version = text.parse().unwrap();
            assert_eq!(version, Version(number));
            assert_eq!(version.to_string(), printed);
            assert_eq!(version.major_text(), major);
        }
        for text in ["", "fifteen", "15.8.1", "9", "1.2.3.4", "."] {
            assert!(text.parse::<Version>().is_err(), "{text} was read");
        }
    }
}
