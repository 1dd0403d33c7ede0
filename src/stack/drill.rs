//! How a stack is drilled, and what is asserted of what came back.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Name, duration};

/// What is looked at after a restore into the dry dock, and where that lies.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Drill {
    #[serde(default)]
    pub assertions: Vec<Assertion>,
    /// Components to start.
    #[serde(default)]
    pub start: Vec<Name>,
    /// Where sandboxes are made; the folder for temporary files (TMPDIR) where it is not said.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// Let the scratch PostgreSQL flush to disk as production does. Off by default: it is slower, and nobody needs the
    /// sandbox after a crash; then the achieved RTO leaves the flushes out.
    #[serde(default)]
    pub fsync: bool,
    /// How long one statement of an assertion may take.
    #[serde(default, deserialize_with = "duration::option::deserialize")]
    #[schemars(with = "Option<duration::Written>")]
    pub statement_timeout: Option<Duration>,
}

/// One thing that must be true of what was restored. Everything is asked inside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Assertion {
    /// A query whose only value must be true.
    Sql(SqlAssertion),
    /// A table whose number of rows must lie within bounds.
    Rows(RowsAssertion),
    /// A query whose only value is an instant that must not be older than `within`, seen from the recovery point.
    Freshness(FreshnessAssertion),
    /// A Redis pattern whose number of keys must lie within bounds.
    Keys(KeysAssertion),
    /// A glob pattern whose number of files must lie within bounds.
    Files(FilesAssertion),
    /// A program that must end with 0.
    Command(CommandAssertion),
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SqlAssertion {
    pub data: Name,
    /// Which of its `databases`; not needed where it has one.
    #[serde(default)]
    pub database: Option<String>,
    pub query: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RowsAssertion {
    pub data: Name,
    #[serde(default)]
    pub database: Option<String>,
    /// As in SQL: `messages`, `audit."Events"`.
    pub table: String,
    /// At least one of `min` and `max`.
    #[serde(default)]
    pub min: Option<u64>,
    #[serde(default)]
    pub max: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FreshnessAssertion {
    pub data: Name,
    #[serde(default)]
    pub database: Option<String>,
    pub query: String,
    #[serde(deserialize_with = "duration::required")]
    #[schemars(with = "duration::Written")]
    pub within: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeysAssertion {
    pub data: Name,
    /// Redis' number of the database.
    #[serde(default)]
    pub database: u64,
    /// As `KEYS` understands it; counted by `SCAN`.
    pub pattern: String,
    #[serde(default)]
    pub min: Option<u64>,
    #[serde(default)]
    pub max: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FilesAssertion {
    pub data: Name,
    /// As of `exclude`: without a slash a name at any depth, with one from the folder down.
    pub pattern: String,
    #[serde(default)]
    pub min: Option<u64>,
    #[serde(default)]
    pub max: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommandAssertion {
    /// What reports call it.
    pub name: Name,
    /// Program and arguments; no shell is between.
    pub run: Vec<String>,
    #[serde(default, deserialize_with = "duration::option::deserialize")]
    #[schemars(with = "Option<duration::Written>")]
    pub timeout: Option<Duration>,
}

impl Assertion {
    /// The key under which the document has it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Sql(_) => "sql",
            Self::Rows(_) => "rows",
            Self::Freshness(_) => "freshness",
            Self::Keys(_) => "keys",
            Self::Files(_) => "files",
            Self::Command(_) => "command",
        }
    }

    /// The data set that is asked; a command may ask all.
    #[must_use]
    pub fn data(&self) -> Option<&Name> {
        match self {
            Self::Sql(assertion) => Some(&assertion.data),
            Self::Rows(assertion) => Some(&assertion.data),
            Self::Freshness(assertion) => Some(&assertion.data),
            Self::Keys(assertion) => Some(&assertion.data),
            Self::Files(assertion) => Some(&assertion.data),
            Self::Command(_) => None,
        }
    }

    /// What kind of data set that is.
    #[must_use]
    pub fn kind(&self) -> Option<&'static str> {
        match self {
            Self::Sql(_) | Self::Rows(_) | Self::Freshness(_) => Some("postgres"),
            Self::Keys(_) => Some("redis"),
            Self::Files(_) => Some("volume"),
            Self::Command(_) => None,
        }
    }

    /// Which of several databases it names.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        match self {
            Self::Sql(assertion) => assertion.database.as_deref(),
            Self::Rows(assertion) => assertion.database.as_deref(),
            Self::Freshness(assertion) => assertion.database.as_deref(),
            Self::Keys(_) | Self::Files(_) | Self::Command(_) => None,
        }
    }

    /// `min` and `max`, where it counts something.
    #[must_use]
    pub fn bounds(&self) -> Option<(Option<u64>, Option<u64>)> {
        match self {
            Self::Rows(assertion) => Some((assertion.min, assertion.max)),
            Self::Keys(assertion) => Some((assertion.min, assertion.max)),
            Self::Files(assertion) => Some((assertion.min, assertion.max)),
            Self::Sql(_) | Self::Freshness(_) | Self::Command(_) => None,
        }
    }
}
