//! What an in-place restore writes down, and what that adds up to. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::stack::Name;

/// One entry of a journal; each says what is true, or about to be, when it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Event {
    /// The safety point is there; copies are about to be filled beside what is live.
    Begun { point: String, safety_point: String, data: Vec<SetRecord> },
    /// All copies are as recorded. From here on what is live may be a mixture, until `finished` or `undone`.
    Promoting {},
    /// A data set's databases carry the live names, and these are the names of the former ones.
    Swapped { data: Name, databases: Vec<Swapped> },
    /// A cache is about to be replaced.
    HandingOver { data: Name },
    /// The cache holds what the point holds.
    HandedOver { data: Name },
    /// All is live; what was is kept.
    Finished {},
    /// What was live is being brought back.
    Undoing {},
    /// A data set's databases are the former ones.
    BroughtBack { data: Name },
    /// What was live is live again.
    Undone {},
    /// What was kept is gone.
    Discarded {},
}

/// A data set of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetRecord {
    pub data: Name,
    /// Of a Postgres data set; empty for others.
    pub databases: Vec<DatabaseRecord>,
}

/// A database that the run restores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DatabaseRecord {
    /// The name that applications use.
    pub database: String,
    /// It was not there before: bringing back means that it goes.
    pub is_new: bool,
}

/// A database that was put in the place of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Swapped {
    /// The name that applications use.
    pub database: String,
    /// The name under which the former one is kept; `null` where there was none.
    pub former: Option<String>,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Copies are filled; nothing live has changed.
    Begun,
    Promoting,
    Finished,
    Undoing,
    Undone,
    Discarded,
}

impl Event {
    /// Whether it, as the last of a run, leaves what is live a mixture.
    #[must_use]
    pub fn leaves_a_mixture(&self) -> bool {
        match self {
            Self::Promoting {}
            | Self::Swapped { .. }
            | Self::HandingOver { .. }
            | Self::HandedOver { .. }
            | Self::Undoing {}
            | Self::BroughtBack { .. } => true,
            Self::Begun { .. } | Self::Finished {} | Self::Undone {} | Self::Discarded {} => false,
        }
    }
}

impl Stage {
    /// Whether what is live may be a mixture.
    #[must_use]
    pub fn is_mixed(self) -> bool {
        matches!(self, Self::Promoting | Self::Undoing)
    }

    /// Whether somebody must bring the run to its end.
    #[must_use]
    pub fn is_unfinished(self) -> bool {
        self.is_mixed() || self == Self::Begun
    }
}

/// What the entries add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub stage: Stage,
    pub point: String,
    pub safety_point: String,
    pub data: Vec<SetRecord>,
    pub swapped: BTreeMap<Name, Vec<Swapped>>,
    pub brought_back: BTreeSet<Name>,
    /// Caches that may have been replaced.
    pub handing_over: BTreeSet<Name>,
    pub handed_over: BTreeSet<Name>,
    /// All of it was live.
    pub was_finished: bool,
    /// Some of it may have been live.
    pub was_promoting: bool,
}

impl State {
    /// The state after the first entry.
    ///
    /// # Errors
    /// When that is none that begins a run.
    pub fn begin(event: &Event) -> Result<Self, String> {
        let Event::Begun { point, safety_point, data } = event else { return Err(format!("it begins with {event:?}")) };
        Ok(Self {
            stage: Stage::Begun,
            point: point.clone(),
            safety_point: safety_point.clone(),
            data: data.clone(),
            swapped: BTreeMap::new(),
            brought_back: BTreeSet::new(),
            handing_over: BTreeSet::new(),
            handed_over: BTreeSet::new(),
            was_finished: false,
            was_promoting: false,
        })
    }

    /// Nothing of the run is left anywhere, and nobody can do anything with it any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Discarded || (self.stage == Stage::Undone && !self.was_promoting)
    }

    /// # Errors
    /// Why this event cannot follow.
    pub fn apply(&mut self, event: &Event) -> Result<(), String> {
        use Stage::{Begun, Discarded, Finished, Promoting, Undoing, Undone};
        match (self.stage, event) {
            (Begun, Event::Promoting {}) => (self.stage, self.was_promoting) = (Promoting, true),
            // found by the databases' markers, also when the run is being undone
            (Promoting | Undoing, Event::Swapped { data, databases }) => {
                self.swapped.insert(data.clone(), databases.clone());
            }
            (Promoting, Event::HandingOver { data }) => {
                self.handing_over.insert(data.clone());
            }
            (Promoting, Event::HandedOver { data }) => {
                self.handed_over.insert(data.clone());
            }
            (Promoting, Event::Finished {}) => (self.stage, self.was_finished) = (Finished, true),
            (Begun | Promoting | Finished | Undoing, Event::Undoing {}) => self.stage = Undoing,
            (Undoing, Event::BroughtBack { data }) => {
                self.brought_back.insert(data.clone());
            }
            (Undoing, Event::Undone {}) => self.stage = Undone,
            (Finished | Undone, Event::Discarded {}) => self.stage = Discarded,
            (stage, event) => return Err(format!("{event:?} cannot follow {stage:?}")),
        }
        Ok(())
    }
}
