//! Reads what was restored again and compares it with what was recorded: nothing is believed because it was written.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;

use super::super::connect::{Canceller, Server, Session};
use super::super::digest::{Counted, RowDigester};
use super::super::error::PostgresError;
use super::super::manifest::{Database, Digest, Manifest, Sequence, Table};
use super::super::naming::{identifier, literal, qualified};
use super::super::version::Version;
use super::attributes;
use super::crew::{self, Member};
use super::entries::Entry;
use super::error::RestoreError;
use super::files::Files;
use super::large_objects;
use super::left_out;
use super::schedule::{Schedule, TaskId};
use super::work::{self, Job};
use crate::context::Context;
use crate::data::{Comparison, Difference};
use crate::progress::Task;

/// What all sessions that compare one database share.
#[derive(Debug)]
pub struct Shared {
    pub files: Files,
    pub database: Database,
    pub comparison: Mutex<Comparison>,
    pub progress: Arc<Task>,
    /// The database held something before; what was not recorded is no difference.
    holds_more: bool,
}

impl Shared {
    pub fn new(files: &Files, database: &Database, holds_more: bool, cx: &Context) -> Self {
        let bytes = database.tables.iter().map(|table| table.bytes).sum();
        let progress = cx.progress.task(format!("verify {}", database.name), bytes, database.tables.len() as u64);
        Self { files: files.clone(), database: database.clone(), comparison: Mutex::default(), progress, holds_more }
    }

    pub fn result(&self) -> Comparison {
        self.progress.finish();
        std::mem::take(&mut *self.comparison.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One session that compares.
#[derive(Debug)]
pub struct Comparer {
    pub session: Session,
    shared: Arc<Shared>,
    source: Version,
}

impl Comparer {
    /// Logs in to `name` and reads as was read when the manifest was written.
    pub async fn new(
        server: &Server,
        manifest: &Manifest,
        name: &str,
        shared: &Arc<Shared>,
    ) -> Result<Self, RestoreError> {
        let session = server.connect(name).await?;
        session.pin(&manifest.settings).await?;
        session.settle_for_reading().await?;
        Ok(Self { session, shared: Arc::clone(shared), source: manifest.server.version })
    }

    /// Compares the rows of a group of tables.
    pub async fn tables(&self, group: &[usize]) -> Result<(), RestoreError> {
        let Shared { database, progress, .. } = &*self.shared;
        let some: Vec<&Table> = group.iter().map(|n| &database.tables[*n]).collect();
        let mut comparison = Comparison::default();
        tables(&self.session, &database.properties.encoding, &some, &mut comparison, progress).await?;
        self.absorb(comparison);
        Ok(())
    }

    pub async fn large_objects(&self) -> Result<(), RestoreError> {
        let Shared { files, database, holds_more, .. } = &*self.shared;
        let mut comparison = Comparison::default();
        large_objects::compare(&self.session, files, database, *holds_more, &mut comparison).await?;
        self.absorb(comparison);
        Ok(())
    }

    /// Compares what is neither a table nor a large object; entries that only a superuser may create were `left_out`.
    pub async fn the_rest(&self, left_out: &[Entry]) -> Result<(), RestoreError> {
        let mut comparison = Comparison::default();
        sequences(&self.session, &self.shared.database, &mut comparison).await?;
        let recorded = self.shared.files.read(&self.shared.database.objects.file).await?;
        let recorded = String::from_utf8_lossy(&recorded);
        objects(&self.session, &recorded, left_out, self.shared.holds_more, &mut comparison).await?;
        let Shared { files, database, holds_more, .. } = &*self.shared;
        attributes::compare(&self.session, self.source, files, database, *holds_more, &mut comparison).await?;
        self.absorb(comparison);
        Ok(())
    }

    fn absorb(&self, comparison: Comparison) {
        self.shared.comparison.lock().unwrap_or_else(PoisonError::into_inner).absorb(comparison);
    }
}

/// A [`Comparer`] that goes by a list of jobs.
struct Listed {
    comparer: Comparer,
    jobs: Arc<Vec<Job>>,
}

impl Member for Listed {
    async fn work(&mut self, task: TaskId, _alone: bool) -> Result<(), RestoreError> {
        match &self.jobs[task] {
            Job::Verify(group) => self.comparer.tables(group).await,
            Job::VerifyLargeObjects => self.comparer.large_objects().await,
            _ => Ok(()),
        }
    }

    fn cancellers(&self) -> Vec<Canceller> {
        vec![self.comparer.session.canceller()]
    }
}

/// Compares the live database `name` with all that was recorded of `database`.
pub async fn database(
    files: &Files,
    server: &Server,
    manifest: &Manifest,
    database: &Database,
    name: &str,
    connections: usize,
    cx: &Context,
) -> Result<Comparison, RestoreError> {
    let shared = Arc::new(Shared::new(files, database, false, cx));
    let work = work::comparison(database);
    let jobs = Arc::new(work.jobs);
    let mut members = Vec::new();
    for _ in 0..connections.max(1) {
        let comparer = Comparer::new(server, manifest, name, &shared).await?;
        members.push(Listed { comparer, jobs: Arc::clone(&jobs) });
    }
    let circle = |source| RestoreError::Order { database: database.name.clone(), source };
    let members = crew::work(members, Schedule::new(work.needs).map_err(circle)?, &cx.cancel).await?;
    members[0].comparer.the_rest(&[]).await?;
    Ok(shared.result())
}

/// Compares the rows of `tables`, one or those between which rows may have moved, with what was recorded of them.
async fn tables(
    session: &Session,
    encoding: &str,
    tables: &[&Table],
    comparison: &mut Comparison,
    progress: &Task,
) -> Result<(), RestoreError> {
    let (mut recorded, mut found) = (Counted::default(), Counted::default());
    for table in tables {
        let expected = table.expected(session.version);
        recorded.absorb(Counted {
            rows: table.rows,
            bytes: table.bytes,
            digest: expected.digest,
            without_embedded: None,
        });
        for column in &expected.left_out {
            comparison.not_comparable.push(format!(
                "column {column} of table {}: it embeds floating-point numbers, which servers before 12 print otherwise",
                table.table_name()
            ));
        }
        comparison.count("tables", 1);
        match read(session, encoding, table, expected.digester, progress).await {
            Ok(counted) => found.absorb(counted),
            Err(RestoreError::Postgres(PostgresError::Query { message, .. })) if is_gone(&message.sqlstate) => {
                let recorded = format!("{} rows", thousands(table.rows));
                comparison.differs(format!("table {}", table.table_name()), recorded, message.message);
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        progress.add_items(1);
    }
    comparison.count("rows", found.rows);
    judge(tables, &recorded, &found, comparison);
    Ok(())
}

/// Undefined table, schema or column.
fn is_gone(sqlstate: &str) -> bool {
    matches!(sqlstate, "42P01" | "3F000" | "42703")
}

async fn read(
    session: &Session,
    encoding: &str,
    table: &Table,
    mut digester: RowDigester,
    progress: &Task,
) -> Result<Counted, RestoreError> {
    let what = format!("reading table {}", table.table_name());
    let rows = session.client().copy_out(&copy_statement(table, encoding)).await;
    let mut rows = pin!(rows.map_err(|e| session.explain(&what, &e))?);
    while let Some(piece) = rows.next().await {
        let piece = piece.map_err(|e| session.explain(&what, &e))?;
        digester.update(&piece);
        progress.add_bytes(piece.len() as u64);
    }
    Ok(digester.finish())
}

fn copy_statement(table: &Table, encoding: &str) -> String {
    let name = qualified(&table.schema, &table.name);
    let encoding = literal(encoding);
    match &table.condition {
        None => format!("COPY {name}{} TO STDOUT WITH (ENCODING {encoding})", super::load::columns(table)),
        Some(condition) => {
            let columns: Vec<String> = table.columns.iter().map(|column| identifier(&column.name)).collect();
            format!(
                "COPY (SELECT {} FROM ONLY {name} {condition}) TO STDOUT WITH (ENCODING {encoding})",
                columns.join(", ")
            )
        }
    }
}

fn judge(tables: &[&Table], recorded: &Counted, found: &Counted, comparison: &mut Comparison) {
    let names: Vec<String> = tables.iter().map(|table| table.table_name().to_string()).collect();
    let what = if names.len() == 1 { format!("table {}", names[0]) } else { format!("tables {}", names.join(", ")) };
    if recorded.rows != found.rows {
        comparison.add(Difference {
            what,
            expected: thousands(recorded.rows),
            found: format!("{} rows", thousands(found.rows)),
            detail: Some(format!("digest {} where {}", short(found.digest), short(recorded.digest))),
        });
    } else if recorded.digest != found.digest {
        comparison.add(Difference {
            what,
            expected: short(recorded.digest),
            found: format!("digest {}", short(found.digest)),
            detail: Some(format!("{} rows, as recorded", thousands(found.rows))),
        });
    }
}

/// Enough to tell two apart.
fn short(digest: Digest) -> String {
    format!("{}…", &digest.to_string()[..8])
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Compares every sequence with what was recorded.
async fn sequences(session: &Session, database: &Database, comparison: &mut Comparison) -> Result<(), RestoreError> {
    let what = "comparing sequences";
    let list = "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = \
                c.relnamespace WHERE c.relkind = 'S'";
    let there = session.rows(what, list, &[]).await?;
    let there: BTreeSet<(String, String)> = there.iter().map(|row| (row.get(0), row.get(1))).collect();
    let is_there = |s: &&Sequence| there.contains(&(s.schema.clone(), s.name.clone()));
    let (known, gone): (Vec<&Sequence>, Vec<&Sequence>) = database.sequences.iter().partition(is_there);
    for sequence in gone {
        comparison.differs(sequence_name(sequence), recorded_state(sequence), "no such sequence");
    }
    for some in known.chunks(200) {
        let value = |(n, s): (usize, &&Sequence)| {
            format!("SELECT {n} AS n, last_value::text, is_called::text FROM {}", qualified(&s.schema, &s.name))
        };
        let values: Vec<String> = some.iter().enumerate().map(value).collect();
        let rows = session.texts(what, &format!("{} ORDER BY n", values.join(" UNION ALL "))).await?;
        for (sequence, row) in some.iter().zip(rows) {
            let mut fields = row.into_iter().skip(1).map(Option::unwrap_or_default);
            let (value, called) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
            let (recorded, found) = (recorded_state(sequence), state(&value, called == "true"));
            if recorded != found {
                comparison.differs(sequence_name(sequence), recorded, found);
            }
        }
    }
    comparison.count("sequences", database.sequences.len() as u64);
    Ok(())
}

fn sequence_name(sequence: &Sequence) -> String {
    format!("sequence {}.{}", sequence.schema, sequence.name)
}

fn recorded_state(sequence: &Sequence) -> String {
    state(&sequence.last_value.to_string(), sequence.is_called)
}

fn state(value: &str, called: bool) -> String {
    if called { value.to_owned() } else { format!("{value}, not called") }
}

/// Compares the list of schema objects with the recorded one.
async fn objects(
    session: &Session,
    recorded: &str,
    entries_left_out: &[Entry],
    holds_more: bool,
    comparison: &mut Comparison,
) -> Result<(), RestoreError> {
    let found = super::super::objects::list(session).await?;
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    let recorded: BTreeSet<&str> = recorded.lines().collect();
    for missing in recorded.difference(&found).filter(|line| !left_out::covers(entries_left_out, line)) {
        comparison.differs(*missing, "one", "nothing");
    }
    if !holds_more {
        for more in found.difference(&recorded) {
            comparison.differs(*more, "none", "one");
        }
    }
    comparison.count("schema objects", recorded.len() as u64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::postgres::manifest::{Form, TableDigest};

    fn table(rows: u64, digest: u128) -> Table {
        Table {
            schema: "public".into(),
            name: "messages".into(),
            file: String::new(),
            columns: vec![],
            unlogged: false,
            extension: None,
            condition: None,
            load_through: None,
            rows,
            bytes: 0,
            digest: TableDigest { form: Form::Text, value: Digest(digest), without_embedded: None },
            parts: vec![],
        }
    }

    fn said(recorded: (u64, u128), found: (u64, u128)) -> Vec<String> {
        let counted = |(rows, digest)| Counted { rows, digest: Digest(digest), ..Counted::default() };
        let mut comparison = Comparison::default();
        judge(&[&table(recorded.0, recorded.1)], &counted(recorded), &counted(found), &mut comparison);
        comparison.differences.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_difference_says_table_digests_and_counts() {
        let (was, is) = (0x9a40_0000 << 96, 0x5f1c_0000 << 96);
        assert_eq!(
            said((1_000, was), (1_000, is)),
            ["table public.messages: digest 5f1c0000… where 9a400000… was recorded (1,000 rows, as recorded)"]
        );
        assert_eq!(
            said((1_234_567, was), (999, is)),
            ["table public.messages: 999 rows where 1,234,567 was recorded (digest 5f1c0000… where 9a400000…)"]
        );
        assert!(said((1_000, was), (1_000, was)).is_empty());
    }
}
