//! An in-place restore as the plan of a run: which steps, in which order, and what a process that did not begin it must
//! know to go on with it. Pure. Every step can be undone, but for the wait and the record at the end, which change nothing
//! that is live: what was is kept until a person discards it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::evidence;
use super::plan::{Options, RestorePlan};
use crate::point::{DataWord, PointId};
use crate::run::restores;
use crate::run::{Phase, Plan, PlannedStep, StepKind};
use crate::stack::{Name, Reference, Stack};

/// What a step does; its name in the journal is never used for anything else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    /// What will be proven is written down; taken back it leaves a record of the failure.
    Evidence,
    /// A complete recovery point of what is live.
    Safety,
    /// A cache's RDB is read to its checksum and loaded elsewhere.
    Rehearse(Name),
    /// A database or a folder is filled and verified beside the live one.
    Fill(Name),
    /// Rows that will be live are compared with the files that will be live.
    References,
    /// The stack's own commands before it goes live.
    BeforeLive(Name),
    /// A folder's content is exchanged with the live one.
    Exchange(Name),
    /// Databases get the live names.
    Swap(Name),
    /// A login as the application proves them.
    Prove(Name),
    /// A cache is replaced.
    HandOver(Name),
    /// What a cache holds is waited for on its own disk.
    Settle(Name),
    /// The signed record.
    Record,
}

impl Doing {
    fn parts(&self) -> (&'static str, Option<&Name>) {
        match self {
            Self::Evidence => (evidence::OPEN, None),
            Self::Record => (evidence::LEAVE, None),
            Self::Safety => ("safety", None),
            Self::Rehearse(data) => ("rehearse", Some(data)),
            Self::Fill(data) => ("fill", Some(data)),
            Self::References => ("references", None),
            Self::BeforeLive(data) => ("before-live", Some(data)),
            Self::Exchange(data) => ("exchange", Some(data)),
            Self::Swap(data) => ("swap", Some(data)),
            Self::Prove(data) => ("prove", Some(data)),
            Self::HandOver(data) => ("hand-over", Some(data)),
            Self::Settle(data) => ("settle", Some(data)),
        }
    }

    fn kind(&self) -> StepKind {
        // Everything is live and as recorded by then: nothing that is found here is a reason to go back.
        if matches!(self, Self::Settle(_) | Self::Record) { StepKind::Forward } else { StepKind::Reversible }
    }

    /// Whether what is live is replaced by it.
    #[must_use]
    pub fn promotes(&self) -> bool {
        restores::promotes(&self.to_string())
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            (word, None) => f.write_str(word),
            (word, Some(data)) => write!(f, "{word}:{data}"),
        }
    }
}

impl FromStr for Doing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("an in-place restore has no step `{text}`");
        let Some((word, data)) = text.split_once(':') else {
            return match text {
                evidence::OPEN => Ok(Self::Evidence),
                evidence::LEAVE => Ok(Self::Record),
                "safety" => Ok(Self::Safety),
                "references" => Ok(Self::References),
                _ => Err(unknown()),
            };
        };
        let data = data.parse().map_err(|_| unknown())?;
        Ok(match word {
            "rehearse" => Self::Rehearse(data),
            "fill" => Self::Fill(data),
            "before-live" => Self::BeforeLive(data),
            "exchange" => Self::Exchange(data),
            "swap" => Self::Swap(data),
            "prove" => Self::Prove(data),
            "hand-over" => Self::HandOver(data),
            "settle" => Self::Settle(data),
            _ => return Err(unknown()),
        })
    }
}

/// What the run is told; the first step carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Told {
    pub point: PointId,
    /// Fixed beforehand, so that whoever comes after a crash sees whether it is listed.
    pub safety_point: PointId,
    /// Databases, then volumes, then caches.
    pub data: Vec<SetRecord>,
    pub roles: bool,
    pub allow_gaps: bool,
    /// What others had left without a journal, and what became of it before this run began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mended: Vec<String>,
}

/// A data set of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetRecord {
    pub data: Name,
    pub kind: DataWord,
    /// Of a Postgres data set; empty for others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<DatabaseRecord>,
}

/// A database that the run restores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DatabaseRecord {
    /// The name that applications use.
    pub database: String,
    /// It was not there before: bringing back means that it goes.
    pub is_new: bool,
}

/// A database that was put in the place of another; what the step `swap` yields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Swapped {
    /// The name that applications use.
    pub database: String,
    /// The name under which the former one is kept; `null` where there was none.
    pub former: Option<String>,
}

impl Told {
    /// `databases`: those that will be restored, each with its data set.
    #[must_use]
    pub fn of(
        plan: &RestorePlan,
        databases: &[(Name, DatabaseRecord)],
        safety_point: PointId,
        mended: Vec<String>,
    ) -> Self {
        let of_set = |data: &Name| {
            let own = databases.iter().filter(|(of, _)| of == data);
            own.map(|(_, database)| database.clone()).collect()
        };
        let data = plan.parts.iter().map(|part| SetRecord {
            data: part.name().clone(),
            kind: part.member.kind,
            databases: of_set(part.name()),
        });
        let Options { roles, allow_gaps, allow_not_empty: _ } = plan.options;
        Self { point: plan.point, safety_point, data: data.collect(), roles, allow_gaps, mended }
    }

    /// As the plan of a run carries it.
    ///
    /// # Errors
    /// When it is no plan of an in-place restore, or a newer one's.
    pub fn read(plan: &Plan) -> Result<Self, String> {
        let first = plan.steps().next().ok_or("its plan has no steps")?;
        let told = serde_json::from_value(first.parameters.clone());
        told.map_err(|error| format!("what its plan tells the step `{}`: {error}", first.name))
    }

    #[must_use]
    pub fn set(&self, data: &Name) -> Option<&SetRecord> {
        self.data.iter().find(|set| set.data == *data)
    }

    /// Every database, with its data set.
    #[must_use]
    pub fn databases(&self) -> Vec<(Name, DatabaseRecord)> {
        let of_set = |set: &SetRecord| {
            let data = set.data.clone();
            set.databases.clone().into_iter().map(move |one| (data.clone(), one))
        };
        self.data.iter().flat_map(of_set).collect()
    }

    /// What is done, in order. Caches are rehearsed first, because they have no beside; what can be brought back to the
    /// byte goes live first (I5), and each database is proved only when all carry the live names.
    #[must_use]
    pub fn order(&self, stack: &Stack) -> Vec<Doing> {
        let of = |kind: DataWord, doing: fn(Name) -> Doing| {
            let sets = self.data.iter().filter(move |set| set.kind == kind);
            sets.map(move |set| doing(set.data.clone()))
        };
        let (databases, volumes, caches) = (DataWord::Postgres, DataWord::Volume, DataWord::Redis);
        let is_signed = stack.spec.evidence.is_some();
        let mut order = Vec::from_iter(is_signed.then_some(Doing::Evidence));
        order.push(Doing::Safety);
        order.extend(of(caches, Doing::Rehearse));
        order.extend(of(databases, Doing::Fill).chain(of(volumes, Doing::Fill)));
        order.extend(stack.spec.references.iter().any(|one| self.touches(one)).then_some(Doing::References));
        order.extend(hooked(stack, &self.data).map(Doing::BeforeLive)); // nothing is live yet
        order.extend(of(volumes, Doing::Exchange)); // comes back to the byte
        order.extend(of(databases, Doing::Swap).chain(of(databases, Doing::Prove))); // comes back by two renames
        order.extend(of(caches, Doing::HandOver).chain(of(caches, Doing::Settle))); // comes back from the safety point
        order.extend(is_signed.then_some(Doing::Record));
        order
    }

    fn touches(&self, reference: &Reference) -> bool {
        let pair = reference.pair();
        self.set(&pair.database).is_some() || self.set(&pair.volume).is_some()
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

/// The data sets before which the stack's own commands are run.
fn hooked(stack: &Stack, data: &[SetRecord]) -> impl Iterator<Item = Name> {
    let has =
        |set: &&SetRecord| stack.spec.data.iter().any(|one| one.name == set.data && !one.hooks.before_live.is_empty());
    data.iter().filter(has).map(|set| set.data.clone()).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn told() -> Told {
        let text = include_str!("../../tests/fixtures/formats/restore-told-1.json");
        let told: Told = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&told).unwrap() + "\n", text, "it is written as it is read, for ever");
        told
    }

    fn stack(references: &str) -> Stack {
        let text = format!(
            "{{apiVersion: drydock.dev/v1alpha1, kind: Stack, metadata: {{name: shop}}, spec: {{repository: {{location: /b, \
             password: {{fromFile: p}}}}, data: [{{name: cache, redis: {{host: h}}}}, {{name: files, volume: {{path: /u}}}}, \
             {{name: db, postgres: {{host: h, user: u, database: d}}}}]{references}}}}}"
        );
        Stack::parse(Path::new("stack.yaml"), Path::new("/"), &text).unwrap()
    }

    #[test]
    fn what_comes_back_to_the_byte_goes_live_first_and_nothing_does_before_all_is_verified() {
        let names = |stack: &Stack| -> Vec<String> { told().order(stack).iter().map(ToString::to_string).collect() };
        let beside = ["safety", "rehearse:cache", "fill:db", "fill:files"];
        let live = ["exchange:files", "swap:db", "prove:db", "hand-over:cache", "settle:cache"];
        assert_eq!(names(&stack("")), [&beside[..], &live].concat());
        let references = ", references: [{activeStorage: {database: db, volume: files}}]";
        assert_eq!(names(&stack(references)), [&beside[..], &["references"], &live].concat());
        for doing in told().order(&stack(references)) {
            assert_eq!(doing.to_string().parse(), Ok(doing.clone()));
            assert_eq!(doing.promotes(), live.contains(&doing.to_string().as_str()));
        }
    }

    #[test]
    fn evidence_is_opened_first_and_left_last() {
        let mut stack = stack("");
        let text = stack.text.replace("spec: {repository", "spec: {evidence: {key: {fromFile: k}}, repository");
        stack = Stack::parse(Path::new("stack.yaml"), Path::new("/"), &text).unwrap();
        let plan = Plan::new(restores::OPERATION, &"shop".parse().unwrap(), told().phases(&stack));
        plan.check().unwrap();
        let steps: Vec<(&str, StepKind)> = plan.steps().map(|step| (step.name.as_str(), step.kind)).collect();
        assert_eq!(steps[..2], [("evidence", StepKind::Reversible), ("safety", StepKind::Reversible)]);
        assert_eq!(*steps.last().unwrap(), ("record", StepKind::Forward));
        assert_eq!(Told::read(&plan).unwrap(), told());
    }

    #[test]
    fn the_stacks_own_commands_come_last_before_anything_is_live() {
        let mut stack = stack("");
        let hook = "{run: [drain, --now], timeout: 30s}";
        let text = stack.text.replace("{path: /u}}", &format!("{{path: /u}}, hooks: {{beforeLive: [{hook}]}}}}"));
        stack = Stack::parse(Path::new("stack.yaml"), Path::new("/"), &text).unwrap();
        let names: Vec<String> = told().order(&stack).iter().map(ToString::to_string).collect();
        assert_eq!(names[3..6], ["fill:files", "before-live:files", "exchange:files"]);
        assert!(!Doing::BeforeLive("files".parse().unwrap()).promotes());
    }

    #[test]
    fn the_plan_carries_what_another_process_must_know_and_can_be_undone_until_all_is_live() {
        let plan = Plan::new(restores::OPERATION, &"shop".parse().unwrap(), told().phases(&stack("")));
        plan.check().unwrap();
        assert_eq!(Told::read(&plan).unwrap(), told());
        let forward: Vec<&str> =
            plan.steps().filter(|step| step.kind != StepKind::Reversible).map(|step| step.name.as_str()).collect();
        assert_eq!(forward, ["settle:cache"]);
    }
}
