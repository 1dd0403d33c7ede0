//! The journal of one run: JSON lines, appended and fsynced, folded into a state. Its format is in docs/formats.md; a
//! last line without its end was cut by a crash and never counted.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, fsync, ftruncate, openat};
use serde::{Deserialize, Serialize};

use crate::repository::TreeId;

use super::super::VolumeError;
use super::super::folder::read_at;
use super::disk::Disk;
use super::place::Place;
use super::root::Root;

/// What is written; what is newer is refused.
const FORMAT_VERSION: u32 = 1;

/// Entries are journaled one by one; a folder of more than this many in as many groups, or the journal's fsyncs (about
/// 1 ms each, two a group) would take longer than the restore.
const MOST_GROUPS: usize = 1_000;

const NAME: &[u8] = b"journal";

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The copy is being written or compared; the live folder is untouched.
    Filling,
    /// The copy is equal to the record; the live folder is untouched.
    Verified,
    /// Some entries may be exchanged.
    Exchanging,
    /// The new content is live, the former is kept.
    Finished,
    /// The former content is being brought back.
    Undoing,
    /// The former content is live again; `keeps_new`: what it replaced is kept.
    Undone { keeps_new: bool },
    /// What was kept is being removed; `new`: which content is live.
    Discarding { new: bool },
}

impl Stage {
    /// Whether the run needs [`resume`](super::resume) or [`undo`](super::undo).
    #[must_use]
    pub fn is_unfinished(self) -> bool {
        !matches!(self, Self::Finished | Self::Undone { keeps_new: true })
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(super) enum Event {
    Begun { format_version: u32, run: String, tree: TreeId, former_root: Root, new_root: Option<Root> },
    Verified {},
    Planned { entries: Vec<Planned> },
    Intended { from: usize, to: usize },
    Applied { from: usize, to: usize },
    Finished {},
    UndoIntended {},
    Undone { keeps_new: bool },
    Discarding {},
}

/// A top-level entry and the inodes that tell, after a crash, which of two has its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Planned {
    /// Every byte outside printable ASCII, and `%`, as `%XX`.
    #[serde(with = "quoted")]
    pub name: Vec<u8>,
    pub former: Option<u64>,
    pub new: Option<u64>,
}

impl Planned {
    /// Whether it is not to be moved.
    pub(super) fn stays(&self) -> bool {
        self.former.is_some() && self.former == self.new
    }
}

/// What the events add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub stage: Stage,
    /// Shared, because the state is copied for each entry of the journal.
    pub entries: Arc<[Planned]>,
    /// Entries before this one may have been exchanged.
    pub tried: usize,
    /// The new content has been live.
    pub was_finished: bool,
    /// The live folder's own metadata, before and afterwards.
    pub roots: Option<(Root, Option<Root>)>,
}

impl State {
    fn new() -> Self {
        Self { stage: Stage::Filling, entries: Arc::default(), tried: 0, was_finished: false, roots: None }
    }

    /// # Errors
    /// Why this event cannot follow.
    fn apply(&mut self, event: &Event) -> Result<(), String> {
        use Stage::{Discarding, Exchanging, Filling, Finished, Undoing, Undone, Verified};
        match (self.stage, event) {
            (Filling, Event::Begun { format_version, former_root, new_root, .. }) if self.roots.is_none() => {
                if *format_version != FORMAT_VERSION {
                    return Err(format!("it has format version {format_version}, this program knows {FORMAT_VERSION}"));
                }
                self.roots = Some((former_root.clone(), new_root.clone()));
            }
            (Filling, Event::Verified {}) if self.roots.is_some() => self.stage = Verified,
            (Verified, Event::Planned { entries }) => {
                self.entries = entries.as_slice().into();
                self.stage = Exchanging;
            }
            (Exchanging, Event::Intended { to, .. }) => self.tried = self.tried.max(*to),
            (Undoing, Event::Intended { .. }) | (Exchanging | Undoing, Event::Applied { .. }) => {}
            (Exchanging, Event::Finished {}) => (self.stage, self.was_finished) = (Finished, true),
            (Exchanging | Finished | Undoing, Event::UndoIntended {}) => self.stage = Undoing,
            (Undoing, Event::Undone { keeps_new }) => self.stage = Undone { keeps_new: *keeps_new },
            (Finished, Event::Discarding {}) => self.stage = Discarding { new: true },
            (Verified | Undone { .. }, Event::Discarding {}) => self.stage = Discarding { new: false },
            (stage, event) => return Err(format!("{event:?} cannot follow {stage:?}")),
        }
        Ok(())
    }

    /// The entries in the groups that are journaled together.
    pub(super) fn groups(&self) -> Vec<Range<usize>> {
        let size = self.entries.len().div_ceil(MOST_GROUPS).max(1);
        let starts = (0..self.entries.len()).step_by(size);
        starts.map(|from| from..(from + size).min(self.entries.len())).collect()
    }
}

/// The file and what it says.
#[derive(Debug)]
pub(super) struct Journal<'d> {
    file: OwnedFd,
    path: String,
    state: State,
    disk: &'d dyn Disk,
}

impl Event {
    pub(super) fn begun(run: &str, tree: TreeId, former_root: Root, new_root: Option<Root>) -> Self {
        Self::Begun { format_version: FORMAT_VERSION, run: run.to_owned(), tree, former_root, new_root }
    }
}

impl<'d> Journal<'d> {
    /// Opens or makes the run's journal; a line that a crash has cut is removed.
    pub(super) fn open(place: &Place, disk: &'d dyn Disk) -> Result<Self, VolumeError> {
        let path = place.journal_path();
        let failed = || VolumeError::file("open", path.as_bytes());
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&place.home, NAME, flags, Mode::RUSR | Mode::WUSR).map_err(failed())?;
        let text = read_all(&file).map_err(VolumeError::file("read", path.as_bytes()))?;
        let (state, whole) = fold(&text).map_err(|reason| VolumeError::Journal { path: path.clone(), reason })?;
        if whole < text.len() {
            ftruncate(&file, whole as u64).map_err(failed())?;
        }
        fsync(&file).and_then(|()| fsync(&place.home)).map_err(VolumeError::file("sync", path.as_bytes()))?;
        Ok(Self { file, path, state, disk })
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Writes the event; it counts only when this has returned.
    pub(super) fn append(&mut self, event: &Event) -> Result<(), VolumeError> {
        let mut next = self.state.clone();
        next.apply(event).map_err(|reason| VolumeError::Journal { path: self.path.clone(), reason })?;
        let mut line = serde_json::to_vec(event).expect("an event always serialises");
        line.push(b'\n');
        self.disk.append(&self.file, &line).map_err(VolumeError::file("append to", self.path.as_bytes()))?;
        self.state = next;
        Ok(())
    }
}

/// How far the run in `home` has come, without opening its journal for writing.
pub(super) fn stage_of(home: &super::super::folder::Folder, path: &str) -> Result<Stage, VolumeError> {
    let text = match home.file(NAME) {
        Err(rustix::io::Errno::NOENT) => Vec::new(),
        file => {
            let file = file.map_err(VolumeError::file("open", path.as_bytes()))?;
            read_all(&file).map_err(VolumeError::file("read", path.as_bytes()))?
        }
    };
    let (state, _) = fold(&text).map_err(|reason| VolumeError::Journal { path: path.to_owned(), reason })?;
    Ok(state.stage)
}

/// The state, and how many bytes of whole lines there are.
fn fold(text: &[u8]) -> Result<(State, usize), String> {
    let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let mut state = State::new();
    for (number, line) in text[..whole].split(|b| *b == b'\n').filter(|line| !line.is_empty()).enumerate() {
        let event = serde_json::from_slice(line).map_err(|e| format!("line {}: {e}", number + 1))?;
        state.apply(&event).map_err(|reason| format!("line {}: {reason}", number + 1))?;
    }
    Ok((state, whole))
}

fn read_all(file: &OwnedFd) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let n = read_at(file, &mut buffer, text.len() as u64)?;
        text.extend_from_slice(&buffer[..n]);
        if n < buffer.len() {
            return Ok(text);
        }
    }
}

/// Names as text: `%` and what is not printable ASCII as `%XX`.
mod quoted {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(name: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        use std::fmt::Write;
        let mut text = String::with_capacity(name.len());
        for byte in name {
            if (b' '..=b'~').contains(byte) && *byte != b'%' {
                text.push(char::from(*byte));
            } else {
                write!(text, "%{byte:02X}").expect("writing to a String cannot fail");
            }
        }
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut name = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            if *first != b'%' {
                name.push(*first);
                rest = after;
                continue;
            }
            let byte = after.get(..2).and_then(|digits| hex::decode(digits).ok());
            name.extend(byte.ok_or_else(|| D::Error::custom(format!("`{text}` is no quoted name")))?);
            rest = &after[2..];
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use proptest::prelude::*;

    fn root() -> Root {
        let (atime, mtime) = (Timestamp::from_nanosecond(1).unwrap(), Timestamp::from_nanosecond(-5).unwrap());
        Root { mode: 0o755, uid: 0, gid: 0, atime, mtime, attributes: vec![("user.a".into(), vec![0, 255])] }
    }

    fn line(event: &Event) -> Vec<u8> {
        let mut line = serde_json::to_vec(event).unwrap();
        line.push(b'\n');
        line
    }

    #[test]
    fn every_event_reads_back_as_it_was_written_in_the_documented_words() {
        let planned = Planned { name: b"a %\xff\n".to_vec(), former: Some(12), new: None };
        let events = [
            (
                Event::begun("r1", TreeId([7; 32]), root(), None),
                r#"{"event":"begun","formatVersion":1,"run":"r1","tree":"0707070707070707070707070707070707070707070707070707070707070707","formerRoot":{"mode":493,"uid":0,"gid":0,"atime":"1970-01-01T00:00:00.000000001Z","mtime":"1969-12-31T23:59:59.999999995Z","attributes":[["user.a","AP8="]]},"newRoot":null}"#,
            ),
            (Event::Verified {}, r#"{"event":"verified"}"#),
            (
                Event::Planned { entries: vec![planned] },
                r#"{"event":"planned","entries":[{"name":"a %25%FF%0A","former":12,"new":null}]}"#,
            ),
            (Event::Intended { from: 0, to: 1 }, r#"{"event":"intended","from":0,"to":1}"#),
            (Event::Applied { from: 0, to: 1 }, r#"{"event":"applied","from":0,"to":1}"#),
            (Event::Finished {}, r#"{"event":"finished"}"#),
            (Event::UndoIntended {}, r#"{"event":"undo-intended"}"#),
            (Event::Undone { keeps_new: true }, r#"{"event":"undone","keepsNew":true}"#),
            (Event::Discarding {}, r#"{"event":"discarding"}"#),
        ];
        for (event, json) in events {
            assert_eq!(serde_json::to_string(&event).unwrap(), json);
            assert_eq!(serde_json::from_str::<Event>(json).unwrap(), event);
        }
    }

    #[test]
    fn the_committed_journal_of_format_1_is_read_for_ever() {
        let text = include_bytes!("../../../../tests/fixtures/formats/in-place-journal-1.jsonl");
        let lines: Vec<_> = text.split_inclusive(|b| *b == b'\n').collect();
        let stages = (0..=lines.len()).map(|n| fold(&lines[..n].concat()).unwrap().0.stage).collect::<Vec<_>>();
        use Stage::*;
        let (undone, discarding) = (Undone { keeps_new: true }, Discarding { new: false });
        assert_eq!(
            stages,
            [
                Filling, Filling, Verified, Exchanging, Exchanging, Exchanging, Finished, Undoing, Undoing, Undoing,
                undone, discarding
            ]
        );
        let (state, _) = fold(text).unwrap();
        assert_eq!(*state.entries, [Planned { name: "café".into(), former: Some(12), new: Some(99) }]);
    }

    #[test]
    fn a_line_that_was_cut_does_not_count_and_a_damaged_one_is_refused() {
        let mut text = line(&Event::begun("r1", TreeId([7; 32]), root(), None));
        let whole = text.len();
        text.extend_from_slice(b"{\"event\":\"verif");
        let (state, length) = fold(&text).unwrap();
        assert_eq!((state.stage, length), (Stage::Filling, whole));
        text.push(b'\n');
        assert!(fold(&text).unwrap_err().starts_with("line 2: "));
    }

    #[test]
    fn what_a_newer_program_wrote_is_refused_with_the_reason() {
        let mut event = Event::begun("r1", TreeId([7; 32]), root(), None);
        if let Event::Begun { format_version, .. } = &mut event {
            *format_version = 2;
        }
        assert_eq!(fold(&line(&event)).unwrap_err(), "line 1: it has format version 2, this program knows 1");
    }

    #[test]
    fn an_event_out_of_place_is_refused() {
        let text = [line(&Event::begun("r1", TreeId([7; 32]), root(), None)), line(&Event::Finished {})].concat();
        assert_eq!(fold(&text).unwrap_err(), "line 2: Finished cannot follow Filling");
    }

    #[test]
    fn many_entries_are_journaled_in_at_most_a_thousand_groups_that_cover_all() {
        for count in [0, 1, 999, 1_000, 1_001, 250_000] {
            let entry = Planned { name: b"x".to_vec(), former: None, new: None };
            let state = State { entries: vec![entry; count].into(), ..State::new() };
            let groups = state.groups();
            assert!(groups.len() <= MOST_GROUPS);
            assert_eq!(groups.iter().flat_map(Clone::clone).collect::<Vec<_>>(), (0..count).collect::<Vec<_>>());
        }
    }

    proptest! {
        #[test]
        fn any_name_survives_its_quoting(name in prop::collection::vec(any::<u8>(), 0..300)) {
            let planned = Planned { name, former: None, new: None };
            let json = serde_json::to_string(&planned).unwrap();
            prop_assert!(json.is_ascii());
            prop_assert_eq!(serde_json::from_str::<Planned>(&json).unwrap(), planned);
        }
    }
}
