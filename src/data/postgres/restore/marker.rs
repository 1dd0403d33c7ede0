//! What a restore writes into a database's comment, so that whoever comes after a crash knows what it is and what to do
//! with it. A comment survives a power cut, is changed in one transaction with the rename, and may be written by the
//! database's owner, on managed servers too.

use serde::{Deserialize, Serialize};

/// Comments of ours begin so.
const PREFIX: &str = "drydock restore ";
/// Raised when a field changes its meaning; a newer one is left alone.
const FORMAT_VERSION: u32 = 1;

/// How far a restore had come with the database that carries the marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// It is being filled and verified; nobody uses it. Undone by dropping it.
    Filling,
    /// The live database is closed, to be replaced by this one. Undone by opening the live one and dropping this one.
    Swapping,
    /// It *was* the live one and has been replaced, but no login has proved the new one yet. Finished by that login;
    /// undone by renaming both back, and only where the login is refused: applications may have written to the new one.
    Replaced,
    /// It was replaced by one that refused the login and is closed since: it gets its name back. Finished by doing so.
    Reverting,
    /// It had the live name until its login was refused, or the restore failed otherwise or was undone. It may hold what
    /// applications wrote meanwhile, so it stays until a person drops it.
    SetAside,
    /// It was made under its final name by a run that is not over, which may still take it back by dropping it. Nobody but
    /// that run touches it.
    Made,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Marker {
    pub(super) format_version: u32,
    pub run: String,
    /// The name that applications use.
    pub database: String,
    pub stage: Stage,
    /// Whether we have closed the live database; one that its administrator had closed stays so.
    pub closed: bool,
    /// The comment that the database had before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub comment: Option<String>,
}

impl Marker {
    pub fn new(run: &str, database: &str, stage: Stage) -> Self {
        let (run, database) = (run.to_owned(), database.to_owned());
        Self { format_version: FORMAT_VERSION, run, database, stage, closed: false, comment: None }
    }

    pub fn text(&self) -> String {
        let json = serde_json::to_string(self).expect("a marker has only strings, numbers and unit variants");
        format!("{PREFIX}{json}")
    }

    /// `None` where the comment is somebody else's, or a newer drydock's.
    pub fn read(comment: &str) -> Option<Self> {
        let marker: Self = serde_json::from_str(comment.strip_prefix(PREFIX)?).ok()?;
        (marker.format_version <= FORMAT_VERSION).then_some(marker)
    }
}

/// A database's own comment: of one that a run has made and not let go of yet, the one that it will have.
pub fn own_comment(comment: Option<String>) -> Option<String> {
    match comment.as_deref().and_then(Marker::read) {
        Some(marker) if marker.stage == Stage::Made => marker.comment,
        _ => comment,
    }
}

/// PostgreSQL cuts longer names off without a word.
pub const LONGEST_NAME: usize = 63;

/// Between a database's name and the eight digits of the hash.
const BESIDE: &str = "__drydock_";
/// As long as [`BESIDE`].
const ASIDE: &str = "__refused_";
const DIGITS: usize = 8;

/// The name beside `database` in which `run` fills it: `<database>__drydock_<8 digits of a hash of run and name>`; whole
/// run ids are too long for an identifier, the marker holds them; of long names the beginning alone is there.
pub fn beside(database: &str, run: &str) -> String {
    let hash = xxhash_rust::xxh3::xxh3_64(format!("{run}/{database}").as_bytes()) >> 32;
    format!("{}{BESIDE}{hash:08x}", stem(database))
}

/// What of `database`'s name stands in the names beside it.
pub fn stem(database: &str) -> &str {
    cut(database, LONGEST_NAME - BESIDE.len() - DIGITS)
}

/// The stem of a name that [`beside`] has made; `None` of others.
pub fn stem_of_beside(name: &str) -> Option<&str> {
    let (stem, digits) = name.rsplit_once(BESIDE)?;
    let valid = digits.len() == DIGITS && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    valid.then_some(stem)
}

/// The name under which a database is kept that was promoted and then made room for its former: the one that it was filled in,
/// but not one that [`stem_of_beside`] knows, so that nobody takes it for a leftover.
pub fn aside(database: &str, run: &str) -> String {
    beside(database, run).replacen(BESIDE, ASIDE, 1)
}

/// The name under which a replaced database is kept: `<database>_before_<UTC>`, with a number behind it where two of one
/// second would be called the same. In lower case, so that nobody needs to quote it.
pub fn former(database: &str, now: jiff::Timestamp, is_taken: impl Fn(&str) -> bool) -> String {
    let date = now.strftime("_before_%Y%m%dt%H%M%Sz").to_string();
    let suffixes = std::iter::once(date.clone()).chain((2..).map(|n| format!("{date}_{n}")));
    let names = suffixes.map(|suffix| format!("{}{suffix}", cut(database, LONGEST_NAME - suffix.len())));
    names.into_iter().find(|name| !is_taken(name)).expect("the names do not end")
}

fn cut(name: &str, room: usize) -> &str {
    let end = (0..=room.min(name.len())).rev().find(|end| name.is_char_boundary(*end));
    &name[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_beside_fit_into_an_identifier_and_say_what_they_are() {
        let now = "2026-11-23T08:05:09Z".parse().unwrap();
        assert_eq!(former("chatwoot", now, |_| false), "chatwoot_before_20261123t080509z");
        let taken = |name: &str| name.ends_with('z');
        assert_eq!(former("chatwoot", now, taken), "chatwoot_before_20261123t080509z_2");
        let long = beside(&"ж".repeat(31), "restore-papg-20261123T080509Z-1");
        assert!(long.len() <= 63 && long.starts_with("жжж") && long.contains("__drydock_"), "{long}");
        assert_ne!(beside("a", "run-1"), beside("a", "run-2"));
        assert_eq!(stem_of_beside(&long), Some(stem(&"ж".repeat(31))));
        let aside = aside("shop", "run-1");
        assert!(aside.starts_with("shop__refused_") && stem_of_beside(&aside).is_none(), "{aside}");
        for name in ["chatwoot", "chatwoot__drydock_", "chatwoot__drydock_1234567", "chatwoot__drydock_xxxxxxxx"] {
            assert_eq!(stem_of_beside(name), None);
        }
    }

    #[test]
    fn other_peoples_comments_and_newer_markers_are_left_alone() {
        assert_eq!(Marker::read("the shop's database"), None);
        assert_eq!(Marker::read("drydock restore of last week"), None);
        let newer = Marker::new("r", "d", Stage::Filling).text().replace("\"formatVersion\":1", "\"formatVersion\":2");
        assert_eq!(Marker::read(&newer), None);
    }

    #[test]
    fn a_comment_that_a_run_has_put_in_place_of_anothers_is_not_the_databases_own() {
        let marked = |stage| {
            let comment = Some("the shop's".to_owned());
            Some(Marker { comment, ..Marker::new("r", "d", stage) }.text())
        };
        assert_eq!(own_comment(marked(Stage::Made)).as_deref(), Some("the shop's"));
        assert_eq!(own_comment(marked(Stage::Replaced)), marked(Stage::Replaced));
        assert_eq!(own_comment(Some("anything".into())).as_deref(), Some("anything"));
    }

    #[test]
    fn markers_of_format_1_are_read_for_ever() {
        let text = include_str!("../../../../tests/fixtures/formats/postgres-marker-1.txt");
        let read: Vec<Marker> = text.lines().map(|line| Marker::read(line).expect("a marker")).collect();
        let stages: Vec<Stage> = read.iter().map(|marker| marker.stage).collect();
        assert_eq!(
            stages,
            [Stage::Filling, Stage::Swapping, Stage::Replaced, Stage::Reverting, Stage::SetAside, Stage::Made]
        );
        assert_eq!((read[2].closed, read[2].comment.as_deref()), (true, Some("the shop's")));
        let written: Vec<String> = read.iter().map(Marker::text).collect();
        assert_eq!(written, text.lines().collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn a_marker_is_read_back_as_it_was_written(run in "\\PC*", database in "\\PC*", comment in proptest::option::of("\\PC*"), closed: bool) {
            let marker = Marker { closed, comment, ..Marker::new(&run, &database, Stage::Replaced) };
            prop_assert_eq!(Marker::read(&marker.text()), Some(marker));
        }
    }
}
