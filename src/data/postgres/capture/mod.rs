//! Reads a server's databases into a snapshot: export → read → assemble. Owns the order and what production must not
//! feel; what each part is asked for lives in `catalog/`, what is compared later in `manifest.rs`.
//!
//! Connections: one for each database holds its exported snapshot and looks whom it is in the way of, `connections`
//! read tables, one reads large objects where there are any, and pg_dump has its own.

mod assemble;
mod by_hand;
mod copy;
mod export;
mod large_objects;
mod plan;
mod row;
mod rows;
mod schema;
mod sequences;
mod tables;
mod watch;

use std::future::Future;
use std::sync::Arc;

use self::assemble::DatabaseParts;
use self::export::Exported;
use self::tables::Readable;
use self::watch::Watch;
use super::catalog;
use super::connect::{Server, Session};
use super::error::PostgresError;
use super::manifest::{Globals, ServerRecord};
use super::stop::Stop;
use super::tools::Tools;
use super::version::Version;
use crate::context::Context;
use crate::data::{Captured, Estimate};
use crate::repository::Writer;
use crate::stack::PostgresSpec;

/// A server whose databases' snapshots are exported: they stand still, for as long as this lives.
#[derive(Debug)]
pub struct OpenSource {
    server: Server,
    spec: PostgresSpec,
    tools: Tools,
    exported: Vec<Exported>,
    superuser: bool,
    stop: Stop,
    watches: Vec<Watch>,
}

/// Logs in, refuses what cannot be read rightly (poolers, versions, missing programs), and exports one snapshot of each
/// database with every table locked against being dropped or rewritten. From here on vacuum is held back on the server.
///
/// # Errors
/// Everything that a person must put right before a snapshot is possible; nothing was stored.
pub async fn open(spec: &PostgresSpec, cx: &Context) -> Result<OpenSource, PostgresError> {
    let stop = Stop::new(cx);
    let opened = stop.guard(None, prepare(spec)).await;
    let Prepared { server, databases, tools, superuser } = opened?;
    let (mut exported, mut watches) = (Vec::new(), Vec::new());
    for database in databases {
        let one = export::export(&server, &database, &stop, cx).await.map_err(|e| stop.explain(e))?;
        watches.push(Watch::over(&one, spec.max_duration, stop.clone())); // the next one's locks may be long in coming
        exported.push(one);
    }
    Ok(OpenSource { server, spec: spec.clone(), tools, exported, superuser, stop, watches })
}

struct Prepared {
    server: Server,
    databases: Vec<String>,
    tools: Tools,
    superuser: bool,
}

async fn prepare(spec: &PostgresSpec) -> Result<Prepared, PostgresError> {
    let databases = databases(spec)?;
    let server = Server::new(spec)?;
    let session = server.connect(&databases[0]).await?;
    session.refuse_pooler(&server.connect(&databases[0]).await?).await?;
    let tools = Tools::find(spec.client_binaries.as_deref(), session.version, &server.address()).await?;
    let superuser = is_superuser(&session).await?;
    Ok(Prepared { server, databases, tools, superuser })
}

/// The databases that `spec` names; the first is where server-wide questions are asked.
///
/// # Errors
/// `Spec` where there is none, or one twice.
pub fn databases(spec: &PostgresSpec) -> Result<Vec<String>, PostgresError> {
    let names: Vec<String> = spec.database.iter().chain(&spec.databases).cloned().collect();
    if names.is_empty() || spec.connections == 0 {
        let missing = if names.is_empty() { "`database` or `databases`" } else { "at least 1 as `connections`" };
        return Err(PostgresError::Spec(format!("a postgres data set needs {missing}")));
    }
    let mut sorted = names.clone();
    sorted.sort_unstable();
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(PostgresError::Spec(format!("the database `{}` is listed twice", twice[0])));
    }
    Ok(names)
}

pub async fn is_superuser(session: &Session) -> Result<bool, PostgresError> {
    let sql = "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user";
    Ok(session.text("reading the role's rights", sql).await? == "t")
}

impl OpenSource {
    /// What is to be read, by the server's own figures: tables as they lie on disk, large objects.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let mut estimate = Estimate::default();
        for exported in &self.exported {
            let tables = exported.relations.iter().filter(|r| exported.reads(r));
            estimate.bytes += exported.large_object_bytes + tables.clone().map(|r| r.bytes).sum::<u64>();
            estimate.items += tables.count() as u64;
        }
        estimate
    }

    /// `15.8`.
    #[must_use]
    pub fn version(&self) -> Version {
        self.exported[0].holder.version
    }

    /// Stopped when production comes first: then the snapshot is gone, whatever is made of it.
    #[must_use]
    pub fn held(&self) -> Stop {
        self.stop.clone()
    }

    /// Reads everything into `writer` and returns the snapshot's tree. What was stored before a failure is named by
    /// nothing and goes with the next prune.
    ///
    /// # Errors
    /// Whatever kept a row from being read, first of all the reason why production came first (`InTheWay`, `TooLong`).
    pub async fn read(&self, writer: &Writer, cx: &Context) -> Result<Captured, PostgresError> {
        let read = self.read_all(writer, cx).await;
        read.map_err(|error| {
            // A session that was ended because of the reason says so in its own words; the reason comes first.
            self.stop.because(error);
            self.stop.reason()
        })
    }

    async fn read_all(&self, writer: &Writer, cx: &Context) -> Result<Captured, PostgresError> {
        let globals = schema::globals(self, writer).await?;
        let mut databases = Vec::new();
        for exported in &self.exported {
            databases.push(self.read_database(exported, writer, cx).await?);
        }
        self.stop.guard(None, assemble::snapshot(self, globals, databases, writer)).await
    }

    /// All parts at once. One that fails stops the others, which end what they run at the server before they return:
    /// a statement of ours that waits for a lock would otherwise go on waiting.
    async fn read_database(
        &self,
        exported: &Exported,
        writer: &Writer,
        cx: &Context,
    ) -> Result<DatabaseParts, PostgresError> {
        let holder = exported.holder.canceller();
        let (tables, large_objects, schema_dump, catalogs) = tokio::join!(
            self.part(tables::read(self, exported, writer, cx)),
            self.part(large_objects::read(self, exported, writer, cx)),
            self.part(schema::dump(self, exported, writer)),
            self.part(self.stop.guard(Some(&holder), self.read_catalogs(exported))),
        );
        let (record, sequences, objects, attributes) = catalogs?;
        let (tables, large_objects, schema_dump) = (tables?, large_objects?, schema_dump?);
        Ok(DatabaseParts { record, tables, large_objects, schema_dump, sequences, objects, attributes })
    }

    async fn part<T>(&self, work: impl Future<Output = Result<T, PostgresError>>) -> Result<T, PostgresError> {
        work.await.map_err(|error| {
            self.stop.because(error);
            PostgresError::Cancelled
        })
    }

    async fn read_catalogs(&self, exported: &Exported) -> Result<assemble::Catalogs, PostgresError> {
        let holder = &exported.holder;
        let record = catalog::database_record(holder, &exported.relations, exported.standby).await?;
        let sequences = sequences::read(holder, &exported.relations).await?;
        let objects = super::objects::list(holder).await?;
        let attributes = super::attributes::list(holder).await?;
        Ok((record, sequences, objects, attributes))
    }

    /// Ends the exported snapshots: vacuum is free again, and whoever waited for our locks.
    pub async fn close(self) {
        for watch in self.watches {
            watch.end().await;
        }
        for exported in self.exported {
            if let Some(holder) = Arc::into_inner(exported.holder) {
                holder.close().await;
            }
        }
    }

    fn server_record(&self) -> ServerRecord {
        ServerRecord {
            version: self.version(),
            standby: self.exported[0].standby,
            superuser: self.superuser,
            tools: self.tools.version,
        }
    }

    fn keeps_role_passwords(&self) -> bool {
        self.spec.role_passwords && self.superuser
    }
}

/// `globals.sql` once it is stored.
struct StoredGlobals {
    record: Globals,
    content: crate::repository::FileContent,
}

/// What another session in the snapshot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// Whole tables in the heap's order, by nothing but sequential and TID range scans.
    Tables,
    /// Anything, by the plans that the server thinks best.
    Queries,
}

/// Another session that sees what the exported snapshot sees.
async fn session_in(server: &Server, exported: &Readable, reads: Reads) -> Result<Session, PostgresError> {
    let session = server.connect(&exported.database).await?;
    session.pin(&super::session::pinned()).await?;
    match reads {
        Reads::Tables => session.settle_for_reading().await?,
        Reads::Queries => session.batch("setting row_security", "SET row_security = off").await?,
    }
    session.import_snapshot(&exported.snapshot).await?;
    Ok(session)
}

type SharedSession = Arc<Session>;
