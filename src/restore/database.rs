//! `--to-database`: databases into their server, where nothing of that name is yet, or it is empty.

use std::collections::BTreeMap;
use std::time::Instant;

use super::plan::{Part, RestorePlan};
use super::report::{Former, RestoredSet, ms};
use crate::context::Context;
use crate::data::DataError;
use crate::data::postgres::restore::{self as postgres, RestoreOptions, Restored, Target};
use crate::point::Home;
use crate::stack::{DataKind, Name, PostgresSpec};

/// Fills and verifies the databases of one data set; they get their names, and stay marked as the run's.
pub async fn fill(
    home: &Home,
    plan: &RestorePlan,
    part: &Part,
    names: &BTreeMap<String, String>,
    cx: &Context,
) -> Result<RestoredSet, DataError> {
    let begun = Instant::now();
    let options = options(plan, target(names));
    let restored = postgres::restore(&home.repository, &part.member.tree, spec(part), &options, cx).await?;
    Ok(restored_set(part, restored, begun))
}

pub fn target(names: &BTreeMap<String, String>) -> Target {
    if names.is_empty() { Target::SameName } else { Target::Named(names.clone()) }
}

pub fn options(plan: &RestorePlan, target: Target) -> RestoreOptions {
    RestoreOptions {
        roles: plan.options.roles,
        allow_not_empty: plan.options.allow_not_empty,
        held: !matches!(target, Target::InPlace),
        ..RestoreOptions::new(target, plan.run.clone())
    }
}

pub fn spec(part: &Part) -> &PostgresSpec {
    match part.kind() {
        DataKind::Postgres(spec) => spec,
        DataKind::Redis(_) | DataKind::Volume(_) => unreachable!("the plan put a database here"),
    }
}

pub fn restored_set(part: &Part, restored: Restored, begun: Instant) -> RestoredSet {
    let formers = restored.databases.iter().filter_map(|one| former(part.name(), one.former.as_ref()?));
    RestoredSet {
        data: part.name().clone(),
        kind: part.member.kind,
        formers: formers.collect(),
        to: restored.databases.iter().map(|one| format!("database {}", one.database)).collect(),
        promoted: restored.promoted,
        comparison: restored.comparison,
        notes: restored.notes,
        warnings: Vec::new(),
        took_ms: ms(begun.elapsed()),
    }
}

fn former(data: &Name, name: &str) -> Option<Former> {
    Some(Former { data: data.clone(), kind: "database", name: name.to_owned() })
}
