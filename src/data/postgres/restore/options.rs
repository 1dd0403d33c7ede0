//! What a restore is asked to do, and what it answers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Serialize;

use super::super::version::Version;
use super::error::Refusal;
use crate::data::Comparison;

/// Where the snapshot's databases go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Under their own names: made where they are missing, filled where they are empty.
    SameName,
    /// Only those named, under other names: recorded name → new name.
    Named(BTreeMap<String, String>),
    /// In the place of the live ones: filled and verified beside them, then swapped.
    InPlace,
}

#[derive(Debug, Clone)]
pub struct RestoreOptions {
    pub target: Target,
    /// Names what the restore makes, so that the next run knows whose leftovers they are.
    pub run: String,
    /// Also alter roles that exist; otherwise only missing ones are created.
    pub roles: bool,
    /// Read everything again and compare it with the record; an in-place restore insists on it.
    pub verify: bool,
    /// Fill a database that holds something already.
    pub allow_not_empty: bool,
    /// Databases that are made keep the mark of `run` until [`super::release`] or [`super::take_back`].
    pub held: bool,
    pub observer: Observer,
}

impl RestoreOptions {
    /// Verified, nothing altered that is there already.
    #[must_use]
    pub fn new(target: Target, run: impl Into<String>) -> Self {
        Self {
            target,
            run: run.into(),
            roles: false,
            verify: true,
            allow_not_empty: false,
            held: false,
            observer: Observer::default(),
        }
    }
}

/// The points of a restore at which the server is in another state than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The databases to be filled are there, empty.
    Provisioned,
    /// Rows and schema are in.
    Filled,
    /// All is as recorded.
    Verified,
    /// The live databases let nobody in.
    Closed,
    /// Nobody is left on them.
    SessionsEnded,
    /// The restored databases carry the live names.
    Renamed,
    /// A login has worked.
    Proved,
}

impl Step {
    /// In the order in which they are reached.
    pub const ALL: [Self; 7] = [
        Self::Provisioned,
        Self::Filled,
        Self::Verified,
        Self::Closed,
        Self::SessionsEnded,
        Self::Renamed,
        Self::Proved,
    ];
}

type Told = dyn Fn(Step) -> BoxFuture<'static, ()> + Send + Sync;

/// Told of every [`Step`] when it is reached; the restore goes on when the future is done. Nobody, by default.
#[derive(Clone, Default)]
pub struct Observer(Option<Arc<Told>>);

impl Observer {
    pub fn new(told: impl Fn(Step) -> BoxFuture<'static, ()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    pub(super) async fn reached(&self, step: Step) {
        tracing::debug!(?step, "restore step reached");
        if let Some(told) = &self.0 {
            told(step).await;
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Observer(someone)" } else { "Observer(nobody)" })
    }
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    pub comparison: Comparison,
    /// Whether all is as recorded and the databases are there under their names. `false` when something differed: then
    /// databases that were made are gone again, what was live is untouched, and those that were there to be filled
    /// (`Action::Fill`) hold what differs: they are the `databases` of the answer.
    pub promoted: bool,
    pub databases: Vec<RestoredDatabase>,
    /// What a person should know: roles created, what could not be given to whom.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoredDatabase {
    /// Its name in the snapshot.
    pub recorded: String,
    pub database: String,
    /// The name under which the one that it replaced is kept, closed.
    pub former: Option<String>,
}

/// What a restore would do; nothing has been changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestorePreview {
    /// `db.example:5432`
    pub server: String,
    pub server_version: Version,
    pub source_version: Version,
    pub databases: Vec<PlannedDatabase>,
    /// Roles that the snapshot knows and the server does not; they would be created.
    pub roles_missing: Vec<String>,
    /// Tablespaces that the server lacks; what lay in them goes into the default one.
    pub tablespaces_missing: Vec<String>,
    pub extensions: Vec<PlannedExtension>,
    /// The `pg_restore` that would read the schema.
    pub client: String,
    pub space: Space,
    pub notes: Vec<String>,
    /// Why it would not even begin; empty when it may.
    pub refusals: Vec<Refusal>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// The database is made.
    Create,
    /// The database is there and is filled.
    Fill,
    /// A new one takes the place of the live one, which is kept under another name.
    Replace,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedDatabase {
    pub recorded: String,
    pub database: String,
    pub action: Action,
    pub tables: u64,
    pub rows: u64,
    /// Of table rows and large objects, as recorded.
    pub bytes: u64,
    /// How big the live one is.
    pub live_bytes: Option<u64>,
    /// Sessions that a swap would end.
    pub sessions: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedExtension {
    pub database: String,
    pub name: String,
    pub recorded: String,
    /// What `CREATE EXTENSION` would install; `None` where the server's machine does not have it.
    pub available: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Space {
    /// By the recorded bytes, or the live databases' size where that is larger.
    pub needed: u64,
    /// `None` where the server's disk cannot be seen from here.
    pub free: Option<u64>,
}
