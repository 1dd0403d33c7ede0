//! Words that people put on recovery points.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::schema::written_as;

/// A word by which people find recovery points and keep them: `before-upgrade`, `release=4.11`. It is stored as a plain
/// restic tag, so it has no comma, by which restic parts tags, and no space, by which it lists them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

written_as!(Tag, {"type": "string", "pattern": "^[^, ]+$"});

impl Tag {
    /// Snapshot files and tables hold it many times over.
    const MAX_BYTES: usize = 100;
    /// On everything that drydock stores.
    pub const DRYDOCK: &str = "drydock";
    /// What stands before the `=` of drydock's own tags, now or later: a person's must not be taken for one.
    pub const RESERVED: [&str; 7] = ["stack", "point", "data", "keep", "proven", "checked", "run"];

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a snapshot's tag is drydock's.
    #[must_use]
    pub fn is_own(text: &str) -> bool {
        text == Self::DRYDOCK || text.split_once('=').is_some_and(|(key, _)| Self::RESERVED.contains(&key))
    }
}

impl FromStr for Tag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Tag {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if Self::is_own(&text) {
            return Err(format!("`{text}` is one of drydock's own tags"));
        }
        let inner = |c: char| c.is_alphanumeric() || "._-+:/@=".contains(c);
        let holds = (1..=Self::MAX_BYTES).contains(&text.len())
            && text.chars().all(inner)
            && text.starts_with(char::is_alphanumeric);
        if holds {
            Ok(Self(text))
        } else {
            Err(format!(
                "`{text}` is no tag: expected 1 to {} bytes of letters, digits and `._-+:/@=`, a letter or digit first",
                Self::MAX_BYTES
            ))
        }
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Tags that a recovery point has all of: `nightly,release=4.11`. What restic means by a `--tag` with commas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tags(Vec<Tag>);

written_as!(Tags, {"type": "string", "pattern": "^[^ ]+$"});

impl Tags {
    #[must_use]
    pub fn are_all_among(&self, tags: &[String]) -> bool {
        self.0.iter().all(|wanted| tags.iter().any(|tag| tag == wanted.as_str()))
    }

    /// As texts.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(Tag::to_string).collect()
    }
}

impl FromStr for Tags {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl TryFrom<String> for Tags {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Tags> for String {
    fn from(tags: Tags) -> Self {
        tags.texts().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_nothing_that_restic_or_drydock_reads_otherwise() {
        for good in ["nightly", "before-upgrade", "release=4.11", "größe", "team/ops@eu", "datum=1", "0"] {
            assert_eq!(good.parse::<Tag>().unwrap().as_str(), good);
        }
        for bad in ["", "a,b", "a b", "a\tb", "-a", "=a", "drydock", "data=db", "proven=2026", &"x".repeat(101)] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
        assert_eq!("point=1".parse::<Tag>().unwrap_err(), "`point=1` is one of drydock's own tags");
        let both: Tags = "a,b".parse().unwrap();
        assert!(both.are_all_among(&["b".into(), "c".into(), "a".into()]) && !both.are_all_among(&["a".into()]));
        assert!("a,,b".parse::<Tags>().is_err());
    }
}
