//! The only texts that evidence holds. Evidence lies outside the encrypted repository, so no row, no value and no
//! server's message may get into it: a text becomes [`Disclosed`] by one of four ways, and each lets less through than
//! it is given.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A text that may lie outside the encrypted repository: a name, a measure, drydock's own words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Disclosed(String);

/// What stands for a text that may not be told; the run's report in the repository has it.
pub const WITHHELD: &str = "withheld";

/// A name longer than this is cut: PostgreSQL's have 63 bytes, a file's path 4,096.
const LONGEST: usize = 300;

/// The words that measures of [`crate::evidence`]'s callers are made of, beside numbers, digests and instants.
const WORDS: &[&str] = &[
    "a",
    "absent",
    "and",
    "another",
    "as",
    "before",
    "block",
    "bytes",
    "byte",
    "called",
    "character",
    "device",
    "digest",
    "expiring",
    "fifo",
    "file",
    "files",
    "folder",
    "function",
    "functions",
    "hash",
    "is",
    "its",
    "key",
    "keys",
    "last",
    "libraries",
    "library",
    "link",
    "list",
    "met",
    "missing",
    "mode",
    "modified",
    "module",
    "name",
    "names",
    "no",
    "none",
    "not",
    "nothing",
    "of",
    "one",
    "own",
    "owner",
    "present",
    "recorded",
    "row",
    "rows",
    "says",
    "sequence",
    "set",
    "sha-256",
    "socket",
    "sorted-set",
    "stream",
    "string",
    "such",
    "symbolic",
    "the",
    "to",
    "value",
    "where",
    "with",
    "yet",
];

impl Disclosed {
    /// Drydock's own words.
    #[must_use]
    pub fn word(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// The name of a thing, of tables, files, databases, assertions: `table public.messages`, `avatars/7.png`. Without
    /// control characters and cut at 300. The caller answers for its being a name and not what the thing holds.
    #[must_use]
    pub fn name(text: &str) -> Self {
        Self(tidy(text))
    }

    /// How much or which: `1,000 rows`, `digest 5f1c…`, `mode 0644`, an instant. A text with anything else in it, such
    /// as a server's message or an attribute's value, becomes [`WITHHELD`], all of it.
    #[must_use]
    pub fn measure(text: &str) -> Self {
        if text.split_whitespace().all(is_measure) { Self(tidy(text)) } else { Self(WITHHELD.into()) }
    }

    /// A remark up to its first colon: by the custom of this code, what servers and files say follows one.
    #[must_use]
    pub fn note(text: &str) -> Self {
        match text.split_once(": ") {
            Some((said, _)) => Self(format!("{} ({WITHHELD})", tidy(said))),
            None => Self(tidy(text)),
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Disclosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn is_measure(token: &str) -> bool {
    let token = token.trim_matches(|c: char| matches!(c, '(' | ')' | ',' | ';' | '…'));
    is_number(token) || is_digest(token) || is_instant(token) || WORDS.contains(&token.to_lowercase().as_str())
}

/// Also `1000:1000` of owners; empty where the token was punctuation alone.
fn is_number(token: &str) -> bool {
    token.chars().all(|c| c.is_ascii_digit() || matches!(c, ',' | '.' | ':' | '-')) && token.len() <= 40
}

/// Eight digits are the shortest that drydock shows.
fn is_digest(token: &str) -> bool {
    (8..=64).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_instant(token: &str) -> bool {
    token.parse::<jiff::Timestamp>().is_ok()
}

fn tidy(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(LONGEST + 1).collect();
    if clean.chars().count() <= LONGEST {
        return clean;
    }
    clean.chars().take(LONGEST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn measures_pass_and_all_else_is_withheld() {
        let pass = [
            "1,000 rows",
            "digest 9a40b3c1",
            "12 keys (7 string, 5 sorted-set; 3 expiring), digest 7e7997eb0977cbcea0d65cf603630620",
            "digest 5f1c9a40 where 9a405f1c",
            "mode 0644",
            "owner 0:0",
            "modified 2026-01-01T00:00:00.123456789Z",
            "4 bytes where 7 bytes is recorded",
            "as the row says",
            "41, not called",
            "no such sequence",
            "another name of a file met before",
            "a file of its own",
        ];
        for text in pass {
            assert_eq!(Disclosed::measure(text).as_str(), text);
        }
        for text in [
            "duplicate key value violates unique constraint: Key (email)=(a@example.org) already exists.",
            "attribute user.note = hunter2",
            "link to /home/alice",
            "refused: no such user",
            "<script>alert(1)</script>",
        ] {
            assert_eq!(Disclosed::measure(text).as_str(), WITHHELD, "{text}");
        }
    }

    #[test]
    fn a_note_ends_where_a_server_would_speak() {
        let note = Disclosed::note("database shop lacks its comment: ERROR: Key (email)=(a@example.org)");
        assert_eq!(note.as_str(), "database shop lacks its comment (withheld)");
        assert_eq!(Disclosed::note("not compared").as_str(), "not compared");
    }

    proptest! {
        #[test]
        fn no_text_is_long_or_holds_control_characters(text in ".{0,700}") {
            for one in [Disclosed::name(&text), Disclosed::measure(&text), Disclosed::note(&text)] {
                prop_assert!(one.as_str().chars().count() <= LONGEST + WITHHELD.len() + 3);
                prop_assert!(!one.as_str().contains(char::is_control));
            }
        }

        #[test]
        fn a_word_that_is_none_of_ours_takes_the_whole_text_with_it(secret in "[g-z]{3,}@[a-z]{2,}") {
            let measure = Disclosed::measure(&format!("1,000 rows {secret}"));
            prop_assert_eq!(measure.as_str(), WITHHELD);
        }
    }
}
