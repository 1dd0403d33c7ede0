//! What has to be done between the first part of a schema and its last: rows, indexes, constraints, verification,
//! statistics; and what of it needs what. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::super::manifest::{Database, Table, TableName};
use super::entries::{Entry, EntryId, Pass};
use super::schedule::{Needs, TaskId};
use super::schema::Schema;

/// One thing that a session does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// COPY the rows of `tables[n]` in.
    Load(usize),
    /// Make the large objects and put their bytes in.
    LoadLargeObjects,
    /// Nothing: all rows are in when it may begin.
    AllLoaded,
    /// Create `after.entries[n]`.
    Create(usize),
    /// Read these tables again; several where rows may have moved between them.
    Verify(Vec<usize>),
    VerifyLargeObjects,
    /// Gather the statistics of `tables[n]`.
    Analyze(usize),
}

/// All jobs and what each needs, in the same order.
#[derive(Debug, Default)]
pub struct Work {
    pub jobs: Vec<Job>,
    pub needs: Vec<Needs>,
}

/// Reading a table again costs about half of writing it; so does an index or a foreign key on it (measured: 30 s of COPY
/// in, 17 to 20 s of indexes, 13 to 15 s of verification).
const HALF: u64 = 2;
/// A sample of a table takes no longer for a large one.
const ANALYZE_COST: u64 = 4 << 20;

/// Names tables in [`Needs`]: by their entry's number, or by one of these where no entry makes them.
const WITHOUT_ENTRY: u32 = 1 << 31;

/// Plans `database`'s rows and the main pass of what comes after them.
pub fn plan(database: &Database, schema: &Schema, verify: bool) -> Work {
    let mut planner = Planner::new(database, schema);
    planner.loads();
    planner.creates();
    if verify {
        planner.verifications();
    }
    planner.statistics();
    planner.work
}

struct Planner<'a> {
    database: &'a Database,
    after: &'a [Entry],
    /// The number that stands for each table of the manifest.
    numbers: Vec<u32>,
    bytes: BTreeMap<u32, u64>,
    /// Every entry that makes a table or a materialized view.
    relations: BTreeSet<EntryId>,
    work: Work,
    load_of: BTreeMap<u32, TaskId>,
    all_loaded: TaskId,
    /// What is created on a table before it is read again.
    built_on: BTreeMap<u32, Vec<TaskId>>,
}

impl<'a> Planner<'a> {
    fn new(database: &'a Database, schema: &'a Schema) -> Self {
        let of_relation =
            |entry: &&Entry| matches!(entry.kind.as_str(), "TABLE" | "MATERIALIZED VIEW" | "FOREIGN TABLE");
        let made: Vec<&Entry> = schema.before.entries.iter().filter(of_relation).collect();
        let by_name: BTreeMap<(&str, &str), u32> =
            made.iter().map(|entry| ((entry.schema.as_str(), entry.name.as_str()), entry.id)).collect();
        let number = |(n, table): (usize, &Table)| {
            let as_printed = (one_line(&table.schema), one_line(&table.name));
            let found = by_name.get(&(as_printed.0.as_str(), as_printed.1.as_str()));
            found.copied().unwrap_or_else(|| WITHOUT_ENTRY + u32::try_from(n).unwrap_or(0))
        };
        let numbers: Vec<u32> = database.tables.iter().enumerate().map(number).collect();
        Self {
            database,
            after: &schema.after.entries,
            bytes: numbers.iter().copied().zip(database.tables.iter().map(|table| table.bytes)).collect(),
            numbers,
            relations: made.iter().map(|entry| entry.id).collect(),
            work: Work::default(),
            load_of: BTreeMap::new(),
            all_loaded: 0,
            built_on: BTreeMap::new(),
        }
    }

    fn add(&mut self, job: Job, needs: Needs) -> TaskId {
        self.work.jobs.push(job);
        self.work.needs.push(needs);
        self.work.jobs.len() - 1
    }

    fn loads(&mut self) {
        for (n, table) in self.database.tables.iter().enumerate() {
            let touches = [self.numbers[n]].into();
            let load = self.add(Job::Load(n), Needs { touches, cost: table.bytes, ..Needs::default() });
            self.load_of.insert(self.numbers[n], load);
        }
        if self.database.large_objects.count > 0 {
            let cost = self.database.large_objects.bytes;
            self.add(Job::LoadLargeObjects, Needs { cost, ..Needs::default() });
        }
        let after = (0..self.work.jobs.len()).collect();
        self.all_loaded = self.add(Job::AllLoaded, Needs { after, ..Needs::default() });
    }

    fn creates(&mut self) {
        let first = self.work.jobs.len();
        let main: Vec<usize> = (0..self.after.len()).filter(|n| self.after[*n].pass() == Pass::Main).collect();
        let task_of: BTreeMap<EntryId, TaskId> =
            main.iter().enumerate().map(|(place, n)| (self.after[*n].id, first + place)).collect();
        for n in main {
            let needs = self.needs_of(&self.after[n], &task_of);
            let early = is_early(&self.after[n]);
            let tables: Vec<u32> = needs.touches.iter().copied().collect();
            let task = self.add(Job::Create(n), needs);
            if early {
                tables.into_iter().for_each(|table| self.built_on.entry(table).or_default().push(task));
            }
        }
    }

    fn needs_of(&self, entry: &Entry, task_of: &BTreeMap<EntryId, TaskId>) -> Needs {
        let on: BTreeSet<u32> = entry.depends_on.iter().copied().filter(|id| self.relations.contains(id)).collect();
        let mut after: BTreeSet<TaskId> = entry.depends_on.iter().filter_map(|id| task_of.get(id)).copied().collect();
        // What is built on loaded tables alone waits for them alone; all else, such as an index on a partitioned table
        // or a foreign key, for all rows: it looks at tables that its dependencies do not name.
        let loads: Vec<Option<&TaskId>> = on.iter().map(|table| self.load_of.get(table)).collect();
        if is_early(entry) && loads.iter().all(Option::is_some) {
            after.extend(loads.into_iter().flatten());
        } else {
            after.insert(self.all_loaded);
        }
        let alone_on = if entry.kind == "INDEX" { BTreeSet::new() } else { on.clone() };
        Needs { after: after.into_iter().collect(), touches: on.clone(), alone_on, cost: self.cost_of(entry, &on) }
    }

    fn cost_of(&self, entry: &Entry, on: &BTreeSet<u32>) -> u64 {
        if !matches!(entry.kind.as_str(), "INDEX" | "CONSTRAINT" | "FK CONSTRAINT") {
            return 0;
        }
        on.iter().filter_map(|table| self.bytes.get(table)).max().unwrap_or(&0) / HALF
    }

    fn verifications(&mut self) {
        for group in groups(&self.database.tables) {
            let touches: BTreeSet<u32> = group.iter().map(|n| self.numbers[*n]).collect();
            let mut after: Vec<TaskId> = touches.iter().flat_map(|table| self.built(*table)).collect();
            after.sort_unstable();
            after.dedup();
            let cost = group.iter().map(|n| self.database.tables[*n].bytes).sum::<u64>() / HALF;
            self.add(Job::Verify(group), Needs { after, touches, cost, ..Needs::default() });
        }
        let load = self.work.jobs.iter().position(|job| *job == Job::LoadLargeObjects);
        let (after, cost) = (load.into_iter().collect(), self.database.large_objects.bytes / HALF);
        self.add(Job::VerifyLargeObjects, Needs { after, cost, ..Needs::default() });
    }

    fn statistics(&mut self) {
        for n in 0..self.database.tables.len() {
            let table = self.numbers[n];
            let (after, touches) = (self.built(table), [table].into());
            self.add(Job::Analyze(n), Needs { after, touches, cost: ANALYZE_COST, ..Needs::default() });
        }
    }

    /// The tasks after which a table has its rows and its indexes.
    fn built(&self, table: u32) -> Vec<TaskId> {
        let load = self.load_of.get(&table).copied();
        load.into_iter().chain(self.built_on.get(&table).into_iter().flatten().copied()).collect()
    }
}

/// What may be built as soon as its own tables have their rows.
fn is_early(entry: &Entry) -> bool {
    matches!(entry.kind.as_str(), "INDEX" | "CONSTRAINT" | "STATISTICS")
}

/// Tables alone, but those through whose root rows were loaded together: a row may be in a sibling now.
fn groups(tables: &[Table]) -> Vec<Vec<usize>> {
    let mut groups = Vec::new();
    let mut by_root: BTreeMap<&TableName, Vec<usize>> = BTreeMap::new();
    for (n, table) in tables.iter().enumerate() {
        match &table.load_through {
            Some(root) => by_root.entry(root).or_default().push(n),
            None => groups.push(vec![n]),
        }
    }
    groups.extend(by_root.into_values());
    groups
}

/// Only what compares: nothing needs anything, and no lock is in the way.
pub fn comparison(database: &Database) -> Work {
    let mut work = Work::default();
    for group in groups(&database.tables) {
        let cost = group.iter().map(|n| database.tables[*n].bytes).sum();
        work.jobs.push(Job::Verify(group));
        work.needs.push(Needs { cost, ..Needs::default() });
    }
    work.jobs.push(Job::VerifyLargeObjects);
    work.needs.push(Needs { cost: database.large_objects.bytes, ..Needs::default() });
    work
}

/// The tasks of the last pass (materialized views are refreshed in their order, then event triggers), by the places in
/// `entries` that they create.
pub fn plan_last(entries: &[Entry]) -> Work {
    let last: Vec<usize> = (0..entries.len()).filter(|n| entries[*n].pass() == Pass::Last).collect();
    let task_of: BTreeMap<EntryId, TaskId> = last.iter().enumerate().map(|(task, n)| (entries[*n].id, task)).collect();
    let is_refresh = |n: &usize| entries[*n].kind == "MATERIALIZED VIEW DATA";
    let refreshes: Vec<TaskId> = (0..last.len()).filter(|task| is_refresh(&last[*task])).collect();
    let mut work = Work::default();
    for n in last {
        let mut after: BTreeSet<TaskId> =
            entries[n].depends_on.iter().filter_map(|id| task_of.get(id)).copied().collect();
        // An event trigger must not see what is still being made.
        if !is_refresh(&n) {
            after.extend(&refreshes);
        }
        work.jobs.push(Job::Create(n));
        work.needs.push(Needs { after: after.into_iter().collect(), ..Needs::default() });
    }
    work
}

/// As pg_dump prints a name in a comment.
fn one_line(name: &str) -> String {
    name.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::super::entries::{Script, Settings};
    use super::*;
    use crate::data::postgres::manifest::{Digest, Form, TableDigest};

    fn table(name: &str, bytes: u64, through: Option<&str>) -> Table {
        let load_through = through.map(|root| TableName { schema: "public".into(), name: root.into() });
        Table {
            schema: "public".into(),
            name: name.into(),
            file: String::new(),
            columns: vec![],
            unlogged: false,
            extension: None,
            condition: None,
            load_through,
            rows: 1,
            bytes,
            digest: TableDigest { form: Form::Text, value: Digest(0), without_embedded: None },
            parts: vec![],
        }
    }

    fn entry(id: EntryId, kind: &str, name: &str, depends_on: &[EntryId]) -> Entry {
        let (kind, schema, name) = (kind.into(), "public".into(), name.into());
        let (settings, statements) = (Settings::default(), vec![]);
        Entry { id, kind, schema, name, depends_on: depends_on.to_vec(), settings, statements }
    }

    fn database(tables: Vec<Table>) -> Database {
        let mut document = serde_json::json!({
            "name": "d", "folder": "databases/d", "instant": "2026-11-23T08:00:00Z", "lsn": "0/0",
            "properties": {
                "owner": "o", "encoding": "UTF8", "collate": "C", "ctype": "C", "localeProvider": "libc",
                "locale": null, "icuRules": null, "collationVersion": null, "tablespace": "pg_default",
                "connectionLimit": -1, "template": false, "comment": null, "settings": [], "grants": null,
            },
            "extensions": [], "collations": [], "schemaDump": {"file": "s", "bytes": 1}, "tables": [], "sequences": [],
            "largeObjects": {"count": 0, "bytes": 0, "digest": "0".repeat(32), "list": null, "owners": {}},
            "objects": {"file": "o", "count": 0, "digest": "0".repeat(32)},
            "publications": [], "subscriptions": [], "logicalSlots": [], "eventTriggers": [],
        });
        document["tables"] = serde_json::to_value(tables).unwrap();
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn a_table_is_read_again_after_its_own_indexes_and_a_foreign_key_waits_for_all_rows() {
        let database = database(vec![table("a", 10, None), table("new\nline", 90, None)]);
        let schema = Schema {
            before: Script {
                entries: vec![entry(1, "TABLE", "a", &[]), entry(2, "TABLE", "new line", &[])],
                ..Script::default()
            },
            after: Script {
                entries: vec![
                    entry(3, "INDEX", "i", &[1]),
                    entry(4, "CONSTRAINT", "a pk", &[1]),
                    entry(5, "FK CONSTRAINT", "fk", &[1, 2, 4]),
                    entry(6, "ACL", "TABLE a", &[1]),
                ],
                ..Script::default()
            },
        };
        let work = plan(&database, &schema, true);
        let place = |job: Job| work.jobs.iter().position(|j| *j == job).unwrap_or_else(|| panic!("no {job:?}"));
        let after = |job: Job| work.needs[place(job)].after.clone();
        assert_eq!(after(Job::Create(0)), [place(Job::Load(0))]);
        assert_eq!(after(Job::Create(2)), [place(Job::AllLoaded), place(Job::Create(1))]);
        let built = [place(Job::Load(0)), place(Job::Create(0)), place(Job::Create(1))];
        assert_eq!(after(Job::Verify(vec![0])), built);
        assert_eq!(after(Job::Verify(vec![1])), [place(Job::Load(1))]);
        assert!(!work.jobs.contains(&Job::Create(3)), "privileges come after all that");
        assert!(work.needs[place(Job::Create(0))].alone_on.is_empty(), "two indexes of one table are built at once");
        assert_eq!(work.needs[place(Job::Create(2))].alone_on, [1, 2].into());
    }

    #[test]
    fn tables_between_which_rows_may_move_are_read_together() {
        let tables = [table("p0", 1, Some("p")), table("other", 1, None), table("p1", 1, Some("p"))];
        assert_eq!(groups(&tables), [vec![1], vec![0, 2]]);
    }
}
