//! Fills one empty database: schema, rows, indexes and constraints, privileges, materialized views, statistics. Tables
//! are compared with the record as soon as their own indexes are done, while they are still in the server's cache.

use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::super::connect::{Canceller, Server, Session};
use super::super::manifest::{Database, Manifest, Table};
use super::super::naming::qualified;
use super::super::tools::Tools;
use super::super::version::Version;
use super::builder::{Builder, Workshop};
use super::crew::{self, Member};
use super::entries::{Entry, Pass};
use super::error::RestoreError;
use super::files::Files;
use super::schedule::{Schedule, TaskId};
use super::schema::{self, Schema};
use super::server::Facts;
use super::verify::{self, Comparer};
use super::work::{self, Job, Work};
use super::{large_objects, load};
use crate::context::Context;
use crate::data::Comparison;
use crate::progress::Task;

/// What filling needs, whichever database it is.
#[derive(Debug)]
pub struct Filler<'a> {
    pub files: &'a Files,
    pub server: &'a Server,
    pub tools: &'a Tools,
    pub manifest: &'a Manifest,
    pub facts: &'a Facts,
    pub connections: usize,
    pub verify: bool,
    /// The databases may hold something already.
    pub holds_more: bool,
}

/// A database that is filled, with its sessions still on it.
pub struct Filled {
    workers: Vec<Worker>,
    pub notes: Vec<String>,
    /// Entries that only a superuser may create.
    skipped: Vec<Entry>,
}

impl Filled {
    /// Compares what was not compared while it was filled, and leaves the database.
    pub async fn verify(self) -> Result<Comparison, RestoreError> {
        let Some(worker) = self.workers.into_iter().next() else { return Ok(Comparison::default()) };
        let (Some(comparer), Some(shared)) = (&worker.comparer, &worker.shared.verifying) else {
            return Ok(Comparison::default());
        };
        comparer.the_rest(&self.skipped).await?;
        Ok(shared.result())
    }
}

impl Filler<'_> {
    /// Fills the database called `name` on the server with what was recorded of `database`.
    ///
    /// # Errors
    /// The first thing that fails; the database is then half full and good for nothing.
    pub async fn fill(
        &self,
        database: &Database,
        name: &str,
        made: bool,
        cx: &Context,
    ) -> Result<Filled, RestoreError> {
        let schema = Arc::new(schema::read(self.files, database, self.tools).await?);
        let (settings, tablespaces) = (self.facts.settings.clone(), self.facts.tablespaces.clone());
        let workshop = Arc::new(Workshop::new(name, settings, tablespaces, self.facts.superuser));
        let mut first = self.builder(name, &schema, &workshop).await?;
        if made {
            self.without_public(&first.session, database).await?;
        }
        in_order(&mut first, entries(&schema.before.entries, Pass::Main), &cx.cancel).await?;
        load::sequences(&first.session, &database.sequences).await?;

        let shared = Arc::new(self.shared(database, &schema, cx));
        let mut workers = vec![self.worker(first, name, &shared).await?];
        while workers.len() < self.connections.max(1) {
            let builder = self.builder(name, &schema, &workshop).await?;
            workers.push(self.worker(builder, name, &shared).await?);
        }
        let main = work::plan(database, &schema, self.verify);
        let mut workers = run(workers, main, database, &cx.cancel).await?;
        shared.loading.finish();

        let privileged = entries(&schema.before.entries, Pass::Privileges);
        let privileged = privileged.chain(entries(&schema.after.entries, Pass::Privileges));
        in_order(&mut workers[0].builder, privileged, &cx.cancel).await?;
        workers[0].builder.give_to_owners().await?;
        let last = work::plan_last(&schema.after.entries);
        let workers = run(workers, last, database, &cx.cancel).await?;
        remaining_statistics(&workers[0].builder.session, &cx.cancel).await?;
        Ok(Filled { workers, notes: workshop.notes(), skipped: workshop.skipped() })
    }

    /// A new database has a schema `public`, which pg_dump takes for granted; who had dropped it does not want it back.
    async fn without_public(&self, session: &Session, database: &Database) -> Result<(), RestoreError> {
        let objects = self.files.read(&database.objects.file).await?;
        if objects.split(|b| *b == b'\n').any(|line| line == b"schema public") {
            return Ok(());
        }
        Ok(session.batch("dropping the schema public, which the source had not", "DROP SCHEMA public").await?)
    }

    fn shared(&self, database: &Database, schema: &Arc<Schema>, cx: &Context) -> Shared {
        let bytes = database.tables.iter().map(|table| table.bytes).sum::<u64>();
        let (tables, all) = (database.tables.len() as u64, bytes + database.large_objects.bytes);
        Shared {
            files: self.files.clone(),
            database: database.clone(),
            manifest_settings: self.manifest.settings.clone(),
            schema: Arc::clone(schema),
            jobs: Mutex::default(),
            loading: cx.progress.task(format!("load {}", database.name), all, tables),
            verifying: self.verify.then(|| Arc::new(verify::Shared::new(self.files, database, self.holds_more, cx))),
        }
    }

    async fn builder(&self, name: &str, schema: &Schema, workshop: &Arc<Workshop>) -> Result<Builder, RestoreError> {
        let session = self.server.connect(name).await?;
        tune(&session).await?;
        Builder::new(session, &schema.before, workshop).await
    }

    async fn worker(&self, builder: Builder, name: &str, shared: &Arc<Shared>) -> Result<Worker, RestoreError> {
        let comparer = match &shared.verifying {
            Some(verifying) => Some(Comparer::new(self.server, self.manifest, name, verifying).await?),
            None => None,
        };
        Ok(Worker { builder, comparer, shared: Arc::clone(shared) })
    }
}

/// Session settings that make loading fast and are safe: what is lost in a crash of the server is a database that is not
/// in use yet. The promotion's own commit waits for the log, and with it for all before.
async fn tune(session: &Session) -> Result<(), RestoreError> {
    let mut sql = "SET default_transaction_read_only = off; SET synchronous_commit = off".to_owned();
    if session.version >= Version::V11 {
        // Several sessions build indexes at once: no helpers, but for the last index alone.
        sql.push_str("; SET max_parallel_maintenance_workers = 0");
    }
    Ok(session.batch("setting the session up for loading", &sql).await?)
}

fn entries(entries: &[Entry], pass: Pass) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(move |entry| entry.pass() == pass)
}

async fn in_order(
    builder: &mut Builder,
    entries: impl Iterator<Item = &Entry>,
    cancel: &CancellationToken,
) -> Result<(), RestoreError> {
    for entry in entries {
        if cancel.is_cancelled() {
            return Err(RestoreError::Cancelled);
        }
        builder.create(entry).await?;
    }
    Ok(())
}

async fn run(
    workers: Vec<Worker>,
    work: Work,
    database: &Database,
    cancel: &CancellationToken,
) -> Result<Vec<Worker>, RestoreError> {
    let schedule =
        Schedule::new(work.needs).map_err(|source| RestoreError::Order { database: database.name.clone(), source })?;
    if let Some(worker) = workers.first() {
        *worker.shared.jobs.lock().unwrap_or_else(PoisonError::into_inner) = work.jobs;
    }
    crew::work(workers, schedule, cancel).await
}

/// What all workers on one database share.
#[derive(Debug)]
struct Shared {
    files: Files,
    database: Database,
    manifest_settings: std::collections::BTreeMap<String, String>,
    schema: Arc<Schema>,
    jobs: Mutex<Vec<Job>>,
    loading: Arc<Task>,
    verifying: Option<Arc<verify::Shared>>,
}

/// One worker: a session that writes and one that reads, of which one at a time is busy.
struct Worker {
    builder: Builder,
    comparer: Option<Comparer>,
    shared: Arc<Shared>,
}

impl Member for Worker {
    async fn work(&mut self, task: TaskId, alone: bool) -> Result<(), RestoreError> {
        let shared = Arc::clone(&self.shared);
        let job = shared.jobs.lock().unwrap_or_else(PoisonError::into_inner)[task].clone();
        let database = &shared.database;
        let session = &self.builder.session;
        match job {
            Job::Load(n) => {
                let (table, encoding) = (&database.tables[n], &database.properties.encoding);
                load::table(session, &shared.files, encoding, table, &shared.manifest_settings, &shared.loading).await
            }
            Job::LoadLargeObjects => {
                let workshop = self.builder.workshop();
                large_objects::load(session, &shared.files, database, workshop, &shared.loading).await
            }
            Job::AllLoaded => Ok(()),
            Job::Create(n) => self.create(&shared.schema.after.entries[n], alone).await,
            Job::Verify(group) => match &self.comparer {
                Some(comparer) => comparer.tables(&group).await,
                None => Ok(()),
            },
            Job::VerifyLargeObjects => match &self.comparer {
                Some(comparer) => comparer.large_objects().await,
                None => Ok(()),
            },
            Job::Analyze(n) => analyze(session, &database.tables[n]).await,
        }
    }

    fn cancellers(&self) -> Vec<Canceller> {
        let reading = self.comparer.iter().map(|comparer| &comparer.session);
        reading.chain([&self.builder.session]).map(Session::canceller).collect()
    }
}

impl Worker {
    async fn create(&mut self, entry: &Entry, alone: bool) -> Result<(), RestoreError> {
        let helped = alone && entry.kind == "INDEX" && self.builder.session.version >= Version::V11;
        let what = "setting how many help to build an index";
        if helped {
            self.builder.session.batch(what, "RESET max_parallel_maintenance_workers").await?;
        }
        self.builder.create(entry).await?;
        if helped {
            self.builder.session.batch(what, "SET max_parallel_maintenance_workers = 0").await?;
        }
        Ok(())
    }
}

async fn analyze(session: &Session, table: &Table) -> Result<(), RestoreError> {
    let what = format!("analysing table {}", table.table_name());
    Ok(session.batch(&what, &format!("ANALYZE {}", qualified(&table.schema, &table.name))).await?)
}

/// Parents, whose statistics are over all their children, and materialized views.
async fn remaining_statistics(session: &Session, cancel: &CancellationToken) -> Result<(), RestoreError> {
    let sql = "SELECT n.nspname::text, c.relname::text \
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE (c.relkind IN ('m', 'p') OR c.relkind = 'r' AND c.relhassubclass) \
                 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";
    for row in session.rows("listing what to analyse", sql, &[]).await? {
        if cancel.is_cancelled() {
            return Err(RestoreError::Cancelled);
        }
        let (schema, name): (&str, &str) = (row.get(0), row.get(1));
        session.batch(&format!("analysing {schema}.{name}"), &format!("ANALYZE {}", qualified(schema, name))).await?;
    }
    Ok(())
}
