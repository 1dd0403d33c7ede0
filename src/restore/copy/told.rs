//! What a restore beside what is live is told, and its steps. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::super::evidence;
use super::super::phases::DatabaseRecord;
use crate::data::volume::TargetState;
use crate::point::{DataWord, PointId};
use crate::run::{Phase, Plan, PlannedStep, StepKind};
use crate::stack::{Name, Stack};

/// What the run is told; the first step carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Told {
    pub point: PointId,
    pub to: To,
    /// Databases, then volumes, then caches.
    pub data: Vec<SetTold>,
    pub roles: bool,
    pub allow_not_empty: bool,
}

/// Where it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum To {
    Folder {
        /// Absolute: whoever goes on may stand elsewhere.
        path: String,
        /// The machine whose folder it is.
        host: String,
        /// The topmost folder that was not there before.
        made: Option<String>,
    },
    Databases {
        /// Recorded → new; empty where they keep their names.
        names: BTreeMap<String, String>,
    },
}

/// A data set of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetTold {
    pub data: Name,
    pub kind: DataWord,
    /// What its folder was before; of one that goes into a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<TargetState>,
    /// By their new names; of one that goes into databases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<DatabaseRecord>,
}

impl SetTold {
    /// The databases that were not there before.
    pub fn new_databases(&self) -> Vec<String> {
        self.databases.iter().filter(|one| one.is_new).map(|one| one.database.clone()).collect()
    }
}

/// The step that lets go of all.
pub const RELEASE: &str = "release";

/// What a step does; its name in the journal is never used for anything else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    /// What will be proven is written down; taken back it leaves a record of the failure.
    Evidence,
    /// One data set is written and verified.
    Fill(Name),
    /// Restored rows are compared with the point's files.
    References,
    /// It is the person's from here on: nothing of it is taken back any more.
    Release,
    /// The signed record.
    Record,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fill(data) => write!(f, "fill:{data}"),
            Self::References => f.write_str("references"),
            Self::Release => f.write_str(RELEASE),
            Self::Evidence => f.write_str(evidence::OPEN),
            Self::Record => f.write_str(evidence::LEAVE),
        }
    }
}

impl FromStr for Doing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("a restore beside what is live has no step `{text}`");
        match text.split_once(':') {
            Some(("fill", data)) => Ok(Self::Fill(data.parse().map_err(|_| unknown())?)),
            None if text == "references" => Ok(Self::References),
            None if text == RELEASE => Ok(Self::Release),
            None if text == evidence::OPEN => Ok(Self::Evidence),
            None if text == evidence::LEAVE => Ok(Self::Record),
            _ => Err(unknown()),
        }
    }
}

impl Doing {
    fn kind(&self) -> StepKind {
        match self {
            Self::Evidence | Self::Fill(_) | Self::References => StepKind::Reversible,
            Self::Release => StepKind::Pivot,
            Self::Record => StepKind::Forward,
        }
    }
}

impl Told {
    /// As the plan of a run carries it.
    ///
    /// # Errors
    /// When it is no plan of a restore beside what is live, or a newer one's.
    pub fn read(plan: &Plan) -> Result<Self, String> {
        let first = plan.steps().next().ok_or("its plan has no steps")?;
        let told = serde_json::from_value(first.parameters.clone());
        told.map_err(|error| format!("what its plan tells the step `{}`: {error}", first.name))
    }

    #[must_use]
    pub fn set(&self, data: &Name) -> Option<&SetTold> {
        self.data.iter().find(|set| set.data == *data)
    }

    /// What is done, in order.
    #[must_use]
    pub fn order(&self, stack: &Stack) -> Vec<Doing> {
        let is_signed = stack.spec.evidence.is_some();
        let mut order = Vec::from_iter(is_signed.then_some(Doing::Evidence));
        order.extend(self.data.iter().map(|set| Doing::Fill(set.data.clone())));
        // Files in a folder are no database that could be asked for its rows.
        let has_rows = matches!(self.to, To::Databases { .. })
            && stack.spec.references.iter().any(|one| self.set(&one.pair().database).is_some());
        order.extend(has_rows.then_some(Doing::References));
        order.push(Doing::Release);
        order.extend(is_signed.then_some(Doing::Record));
        order
    }

    /// The phases of the run. One step each: memory and the servers are for one data set at a time.
    #[must_use]
    pub fn phases(&self, stack: &Stack) -> Vec<Phase> {
        let told = serde_json::to_value(self).expect("names and numbers are JSON");
        let phases = self.order(stack).into_iter().enumerate().map(|(n, doing)| {
            let parameters = if n == 0 { told.clone() } else { serde_json::Value::Null };
            let step = PlannedStep { name: doing.to_string(), kind: doing.kind(), parameters };
            Phase { name: step.name.clone(), steps: vec![step] }
        });
        phases.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::run::restores;

    /// One of each target, a line each.
    fn told() -> Vec<Told> {
        let text = include_str!("../../../tests/fixtures/formats/restore-copy-told-1.jsonl");
        let told: Vec<Told> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let written: String = told.iter().map(|told| serde_json::to_string(told).unwrap() + "\n").collect();
        assert_eq!(written, text, "it is written as it is read, for ever");
        told
    }

    fn stack() -> Stack {
        let text = "{apiVersion: drydock.dev/v1alpha1, kind: Stack, metadata: {name: shop}, spec: {repository: {location: /b, \
                    password: {fromFile: p}}, data: [{name: files, volume: {path: /u}}, {name: db, postgres: {host: h, user: u, \
                    database: d}}], references: [{activeStorage: {database: db, volume: files}}]}}";
        Stack::parse(Path::new("stack.yaml"), Path::new("/"), text).unwrap()
    }

    #[test]
    fn everything_can_be_taken_back_until_all_of_it_is_handed_over() {
        let names = |told: &Told| -> Vec<String> { told.order(&stack()).iter().map(ToString::to_string).collect() };
        let [folder, databases] = &told()[..] else { panic!("two targets") };
        assert_eq!(names(folder), ["fill:db", "fill:files", "release"]);
        assert_eq!(names(databases), ["fill:db", "references", "release"]);
        assert_eq!(databases.data[0].new_databases(), ["shop_copy"]);
        for told in [folder, databases] {
            let plan = Plan::new(restores::COPY, &"shop".parse().unwrap(), told.phases(&stack()));
            plan.check().unwrap();
            assert_eq!(Told::read(&plan).unwrap(), *told);
            let kinds: Vec<StepKind> = plan.steps().map(|step| step.kind).collect();
            assert_eq!(kinds.iter().filter(|kind| **kind != StepKind::Reversible).count(), 1);
            for doing in told.order(&stack()) {
                assert_eq!(doing.to_string().parse(), Ok(doing));
            }
        }
    }
}
