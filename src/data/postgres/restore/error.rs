//! Why a restore was refused or failed, what it has left behind, and what to do.

use serde::Serialize;

use super::super::error::PostgresError;
use super::super::naming::identifier;
use super::super::version::Version;
use super::entries::ScriptError;
use super::schedule::Circle;
use super::statements::Unterminated;
use crate::failure::{Category, Failure};
use crate::repository::RepositoryError;

#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error("the restore is refused: {}", list(.0))]
    Refused(Vec<Refusal>),
    #[error("the snapshot's tree lacks {path}")]
    Missing { path: String },
    #[error("cannot read the schema of database `{database}`")]
    Script { database: String, source: ScriptError },
    #[error("cannot read globals.sql")]
    Globals(#[from] Unterminated),
    #[error("cannot order the schema of database `{database}`")]
    Order { database: String, source: Circle },
    /// One statement of the schema failed; `statement` is its beginning.
    #[error("cannot create {entry} in database `{database}`, at `{statement}`")]
    Statement { database: String, entry: String, statement: String, source: Box<PostgresError> },
    /// The server stored another number of rows than the snapshot holds.
    #[error("table {table} took {loaded} rows of {recorded}")]
    Rows { table: String, recorded: u64, loaded: u64 },
    #[error("{sessions} sessions on database `{database}` did not end within {seconds} s")]
    SessionsStay { database: String, sessions: i64, seconds: u64 },
    /// After the swap the login was refused; what was live before is so again.
    #[error("the restored database `{database}` refuses the login of `{user}`, so the swap was undone")]
    LoginRefused { database: String, user: String, source: Box<PostgresError> },
    /// After the swap no login worked, for a reason that says nothing of the database; the restored one is live.
    #[error(
        "the restored database `{database}` went live{} but the login of `{user}` that would prove it does not work now",
        kept(.former.as_deref())
    )]
    Unproven { database: String, former: Option<String>, user: String, source: Box<PostgresError> },
    #[error("the login of `{user}` to the restored database `{database}` fails, so nothing was swapped")]
    Application { database: String, user: String, source: Box<PostgresError> },
    /// What went wrong, and what is there now that was not there before.
    #[error("{source}; left behind: {}", .left.join(", "))]
    Left { source: Box<RestoreError>, left: Vec<String> },
    #[error("cancelled")]
    Cancelled,
}

/// One reason why a restore must not begin; all of them are found before anything changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Refusal {
    #[error(
        "the server has version {target}, the snapshot was taken from {source_version}: an older server may not understand it"
    )]
    TargetOlder { source_version: Version, target: Version },
    #[error("the snapshot holds no database `{database}` (it holds {holds})")]
    UnknownDatabase { database: String, holds: String },
    #[error("`{first}` and `{second}` would both become `{target}`")]
    SameTarget { first: String, second: String, target: String },
    #[error("database `{database}` is not empty: {found}")]
    NotEmpty { database: String, found: String },
    #[error("database `{database}` accepts no connections")]
    Closed { database: String },
    #[error("logical replication slots hang on database `{database}`: {slots}; a renamed database would keep them")]
    LogicalSlots { database: String, slots: String },
    #[error("subscriptions write into database `{database}`: {subscriptions}; they would go on in the former one")]
    Subscriptions { database: String, subscriptions: String },
    #[error("prepared transactions wait in database `{database}`: {transactions}; it cannot be renamed")]
    PreparedTransactions { database: String, transactions: String },
    #[error("{address} is a connection pooler ({evidence}): databases cannot be swapped behind its back")]
    Pooler { address: String, evidence: String },
    #[error("`{user}` may not {what}")]
    Privilege { user: String, what: String },
    #[error("extension `{name}` {version} of database `{database}` is not installed on the server's machine")]
    ExtensionMissing { database: String, name: String, version: String },
    #[error("the server's disk at {path} has {free} bytes free, {needed} are needed")]
    Space { path: String, needed: u64, free: u64 },
    #[error("the server is a standby")]
    Standby,
    #[error("another restore into `{database}` is under way")]
    UnderWay { database: String },
    #[error("an in-place restore must be verified before it replaces anything")]
    Unverified,
}

impl Refusal {
    /// What to change, where the message does not say it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::TargetOlder { source_version, .. } => {
                format!("restore into a server of version {} or later", source_version.major_text())
            }
            Self::NotEmpty { .. } => {
                "restore into a new database with --to-database, replace this one with --in-place, or \
                 allow what is there with --allow-not-empty"
                    .into()
            }
            Self::LogicalSlots { .. } => {
                "drop the slots (`select pg_drop_replication_slot(…)`) once their consumers are \
                 stopped, or restore into a new database with --to-database"
                    .into()
            }
            Self::Subscriptions { .. } => {
                "disable and drop the subscriptions first, or restore into a new database with --to-database".into()
            }
            Self::PreparedTransactions { .. } => "COMMIT PREPARED or ROLLBACK PREPARED them in that database".into(),
            Self::Pooler { .. } => "name the server itself as `host` and `port`".into(),
            Self::Privilege { .. } => "restore as a superuser, or grant what is missing".into(),
            Self::ExtensionMissing { name, .. } => {
                format!("install the package that brings `{name}` on the database server's machine")
            }
            Self::Space { .. } => "free space there, or restore into another server".into(),
            Self::Standby => "restore into its primary".into(),
            Self::UnderWay { .. } => "wait for it to end".into(),
            Self::Closed { database } => format!("`ALTER DATABASE \"{database}\" ALLOW_CONNECTIONS true`"),
            Self::UnknownDatabase { .. } | Self::SameTarget { .. } | Self::Unverified => return None,
        })
    }
}

/// What is written to the restored one since is lost only where a person decides so.
fn unproven_hint(database: &str, former: Option<&str>) -> String {
    let stays = "applications use the restored database; the next restore proves it, once a login works";
    let Some(former) = former else { return stays.to_owned() };
    let (database, former) = (identifier(database), identifier(former));
    format!(
        "{stays}. To go back to the former one: stop the applications, `ALTER DATABASE {database} RENAME TO` another name, \
         `ALTER DATABASE {former} RENAME TO {database}`, `ALTER DATABASE {database} ALLOW_CONNECTIONS true`"
    )
}

fn kept(former: Option<&str>) -> String {
    former.map_or_else(String::new, |former| format!(", with the former one kept as `{former}`,"))
}

fn list(refusals: &[Refusal]) -> String {
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Failure for RestoreError {
    fn category(&self) -> Category {
        match self {
            Self::Postgres(error) => error.category(),
            Self::Repository(error) => error.category(),
            Self::Refused(refusals) if refusals.iter().all(|r| matches!(r, Refusal::UnderWay { .. })) => {
                Category::Unavailable
            }
            Self::Refused(_) | Self::Application { .. } => Category::Usage,
            Self::Missing { .. } | Self::Script { .. } | Self::Globals(_) | Self::Rows { .. } => Category::Integrity,
            Self::Order { .. } => Category::Bug,
            Self::Statement { source, .. } => match source.category() {
                // The server did as it was told and refuses the schema: a person has to look.
                Category::Unavailable if matches!(**source, PostgresError::Query { .. }) => Category::NeedsOperator,
                category => category,
            },
            Self::SessionsStay { .. } => Category::Unavailable,
            Self::LoginRefused { .. } | Self::Unproven { .. } => Category::NeedsOperator,
            Self::Left { source, .. } => source.category(),
            Self::Cancelled => Category::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Postgres(error) => error.hint(),
            Self::Repository(error) => error.hint(),
            Self::Refused(refusals) => {
                let hints: Vec<String> = refusals.iter().filter_map(Refusal::hint).collect();
                (!hints.is_empty()).then(|| hints.join("; "))
            }
            Self::SessionsStay { database, .. } => Some(format!(
                "`select * from pg_stat_activity where datname = '{database}'` shows them; stop what reconnects and run again"
            )),
            Self::Unproven { database, former, .. } => Some(unproven_hint(database, former.as_deref())),
            Self::Application { .. } => {
                Some("check the user and the password that the application logs in with".into())
            }
            Self::Left { source, .. } => source.hint(),
            _ => None,
        }
    }
}
