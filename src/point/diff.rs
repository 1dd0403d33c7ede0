//! What two recovery points have in common and what not, by their records alone: manifests and trees, no data is read.

mod files;

use std::collections::BTreeMap;

use serde::Serialize;

use super::{DataWord, Home, Member, PointError, PointRecord, document};
use crate::data::{postgres, redis};
use crate::failure::Failure;
use crate::stack::Name;

/// Changes that are listed of each data set; all are counted.
const LISTED: usize = 1_000;

/// What became of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetDiff {
    pub data: Name,
    pub kind: DataWord,
    pub added: u64,
    pub removed: u64,
    pub changed: u64,
    pub changes: Vec<Change>,
}

/// One table, file or key space that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub what: String,
    pub how: How,
    /// `1,000 rows, now 1,020`.
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum How {
    Added,
    Removed,
    Changed,
}

impl SetDiff {
    fn new(member: &Member) -> Self {
        Self { data: member.data.clone(), kind: member.kind, added: 0, removed: 0, changed: 0, changes: Vec::new() }
    }

    fn add(&mut self, what: String, how: How, detail: Option<String>) {
        match how {
            How::Added => self.added += 1,
            How::Removed => self.removed += 1,
            How::Changed => self.changed += 1,
        }
        if self.changes.len() < LISTED {
            self.changes.push(Change { what, how, detail });
        }
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added + self.removed + self.changed == 0
    }

    /// Holds two lists of things with a size and a fingerprint against each other.
    fn compare(&mut self, former: &BTreeMap<String, Thing>, latter: &BTreeMap<String, Thing>) {
        for (what, thing) in former {
            match latter.get(what) {
                None => self.add(what.clone(), How::Removed, Some(thing.amount())),
                Some(now) if now != thing => {
                    self.add(what.clone(), How::Changed, Some(format!("{}, now {}", thing.amount(), now.count)));
                }
                Some(_) => {}
            }
        }
        for (what, thing) in latter.iter().filter(|(what, _)| !former.contains_key(*what)) {
            self.add(what.clone(), How::Added, Some(thing.amount()));
        }
    }
}

/// A table or a key space.
#[derive(Debug, PartialEq, Eq)]
struct Thing {
    count: u64,
    unit: &'static str,
    fingerprint: String,
}

impl Thing {
    fn amount(&self) -> String {
        format!("{} {}", self.count, self.unit)
    }
}

/// Compares the data sets that both points have; one that only one of them has is added or removed as a whole.
///
/// # Errors
/// When a manifest or a tree cannot be read.
pub async fn diff(home: &Home, former: &PointRecord, latter: &PointRecord) -> Result<Vec<SetDiff>, PointError> {
    let mut diffs = Vec::new();
    let find = |record: &'_ PointRecord, name: &Name| record.members.iter().find(|m| m.data == *name).cloned();
    for member in &former.members {
        let mut diff = SetDiff::new(member);
        match find(latter, &member.data).filter(|now| now.kind == member.kind) {
            None => diff.add(format!("data set {}", member.data), How::Removed, None),
            Some(now) if now.tree == member.tree => {}
            Some(now) => one(home, member, &now, &mut diff).await?,
        }
        diffs.push(diff);
    }
    for member in latter.members.iter().filter(|m| find(former, &m.data).is_none_or(|was| was.kind != m.kind)) {
        let mut diff = SetDiff::new(member);
        diff.add(format!("data set {}", member.data), How::Added, None);
        diffs.push(diff);
    }
    Ok(diffs)
}

async fn one(home: &Home, former: &Member, latter: &Member, diff: &mut SetDiff) -> Result<(), PointError> {
    match former.kind {
        DataWord::Volume => files::compare(&home.repository, former.tree, latter.tree, diff).await,
        DataWord::Postgres => {
            diff.compare(&tables(home, former).await?, &tables(home, latter).await?);
            Ok(())
        }
        DataWord::Redis => {
            diff.compare(&key_spaces(home, former).await?, &key_spaces(home, latter).await?);
            Ok(())
        }
    }
}

const MANIFEST: &str = "manifest.json";

async fn manifest(home: &Home, member: &Member) -> Result<(String, Vec<u8>), PointError> {
    let what = format!("the manifest of `{}` in snapshot {}", member.data, member.snapshot.short());
    let bytes = document(&home.repository, &member.tree, MANIFEST, &what).await?;
    Ok((what, bytes))
}

async fn tables(home: &Home, member: &Member) -> Result<BTreeMap<String, Thing>, PointError> {
    let (what, bytes) = manifest(home, member).await?;
    let unreadable = |error: postgres::PostgresError| PointError::Manifest {
        what,
        category: error.category(),
        reason: error.to_string(),
    };
    let manifest = postgres::Manifest::read(&bytes).map_err(unreadable)?;
    let databases = manifest.databases.iter();
    Ok(databases
        .flat_map(|database| database.tables.iter().map(move |table| (&database.name, table)))
        .map(|(database, table)| {
            let thing = Thing { count: table.rows, unit: "rows", fingerprint: format!("{:?}", table.digest) };
            (format!("table {database}.{}.{}", table.schema, table.name), thing)
        })
        .collect())
}

async fn key_spaces(home: &Home, member: &Member) -> Result<BTreeMap<String, Thing>, PointError> {
    let (what, bytes) = manifest(home, member).await?;
    let category = crate::failure::Category::Integrity;
    let manifest = redis::Manifest::parse(&bytes).map_err(|reason| PointError::Manifest { what, category, reason })?;
    let thing = |record: &redis::DatabaseRecord| Thing {
        count: record.keys,
        unit: "keys",
        fingerprint: format!("{:?}", record.digest),
    };
    Ok(manifest.databases.iter().map(|record| (format!("database {}", record.number), thing(record))).collect())
}
