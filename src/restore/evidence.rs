//! The record that a restore leaves. It is made of the run's journal alone, which every process that leads the run adds to,
//! so that it says the same whoever writes it: names, counts, digests and categories, no row. A run leaves one, when all is
//! done or when all is taken back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RestoreError;
use super::plan::RestorePlan;
use super::report::{ComparedReference, EvidenceLeft, RestoredSet, ms};
use super::trouble::Trouble;
use crate::context::Context;
use crate::data;
use crate::evidence::{
    Achieved, Chain, Comparison, DataProof, Difference, Disclosed, Kind, Objectives, Outcome, Part, ProvenPoint,
    Reason, Record, ReferenceProof, SigningKey, signing_key,
};
use crate::failure::{Category, Failure};
use crate::point::{Home, Member, PointId, PointRecord};
use crate::repository::SnapshotId;
use crate::run::{RunId, Stage, State, StepState, journal};
use crate::stack::{self, Name, Stack};

/// The step that says what will be proven, and whose taking back leaves a record of the failure.
pub const OPEN: &str = "evidence";
/// The step that leaves the record.
pub const LEAVE: &str = "record";
/// Of a step's output: what was compared.
pub const COMPARISON: &str = "comparison";
/// Of the output of the step that compares rows with files.
pub const REFERENCES: &str = "references";

/// The key that would sign, read before anything is begun; `None` where the document names none.
///
/// # Errors
/// When it names one that cannot be used.
pub fn signer(stack: &Stack) -> Result<Option<SigningKey>, RestoreError> {
    let spec = stack.spec.evidence.as_ref();
    Ok(spec.map(|spec| signing_key(&stack.name, Some(spec))).transpose()?)
}

/// What the first step yields: whatever of the record is known beforehand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Opened {
    point: ProvenPoint,
    data: Vec<DataProof>,
    objectives: Objectives,
}

/// What the first step yields.
pub fn open(plan: &RestorePlan, stack: &Stack) -> Value {
    let data = plan.parts.iter().map(|part| data_proof(&part.member, Comparison::default()));
    let opened = Opened {
        point: proven_point(plan.point, &plan.snapshot, &plan.record),
        data: data.collect(),
        objectives: objectives(&stack.spec.objectives),
    };
    serde_json::to_value(opened).expect("names, numbers and texts are JSON")
}

pub fn proven_point(id: PointId, snapshot: &SnapshotId, record: &PointRecord) -> ProvenPoint {
    let newest = record.members.iter().map(|member| member.instant).max();
    ProvenPoint {
        id: id.to_string(),
        snapshot: snapshot.to_string(),
        time: record.time,
        oldest_instant: record.oldest_instant(),
        newest_instant: newest.unwrap_or(record.time),
    }
}

pub fn data_proof(member: &Member, comparison: Comparison) -> DataProof {
    DataProof {
        data: member.data.clone(),
        kind: Disclosed::word(member.kind.as_str()),
        snapshot: member.snapshot.to_string(),
        instant: member.instant,
        bytes: member.bytes,
        digest: member.digest.as_deref().map(Disclosed::measure),
        comparison,
    }
}

pub fn objectives(objectives: &stack::Objectives) -> Objectives {
    Objectives { rpo_ms: objectives.rpo.map(ms), rto_ms: objectives.rto.map(ms), proven_ms: objectives.proven.map(ms) }
}

/// What of a comparison may lie outside the encrypted repository.
pub fn disclosed(found: &data::Comparison) -> Comparison {
    let difference = |one: &data::Difference| Difference {
        what: Disclosed::name(&one.what),
        expected: Disclosed::measure(&one.expected),
        found: Disclosed::measure(&one.found),
    };
    let notes = |texts: &[String]| texts.iter().map(|text| Disclosed::note(text)).collect();
    Comparison {
        compared: found.compared.clone(),
        differences: found.differences.iter().take(Comparison::MAX_LISTED).map(difference).collect(),
        difference_count: found.difference_count,
        not_comparable: notes(&found.not_comparable),
        notes: notes(&found.notes),
    }
}

/// As a step's output carries it.
pub fn compared(set: &RestoredSet) -> Value {
    let mut comparison = disclosed(&set.comparison);
    comparison.notes.extend(set.notes.iter().map(|note| Disclosed::note(note)));
    serde_json::to_value(comparison).expect("names, numbers and texts are JSON")
}

pub fn reference_proofs(compared: &[ComparedReference]) -> Vec<ReferenceProof> {
    let proof = |one: &ComparedReference| ReferenceProof {
        reference: Disclosed::word(one.reference),
        database: one.database.clone(),
        volume: one.volume.clone(),
        comparison: disclosed(&one.comparison),
    };
    compared.iter().map(proof).collect()
}

/// How the run ends.
pub enum End {
    /// All that was restored is the person's.
    Done,
    /// All of it was taken back, and why, as far as this process knows.
    TakenBack(Option<Fault>),
}

/// What a process that failed knows and the journal does not.
#[derive(Default)]
pub struct Fault {
    reasons: Vec<Reason>,
    /// Of a data set that differs.
    data: Option<(Name, Comparison)>,
    references: Vec<ReferenceProof>,
}

impl Fault {
    pub fn of(trouble: &Trouble) -> Self {
        let not_restored = |data: Option<&Name>, category| {
            let reasons = vec![Reason::NotRestored { data: data.cloned(), why: why(category) }];
            Self { reasons, ..Self::default() }
        };
        match trouble {
            Trouble::Differs(set) => {
                let count = set.comparison.difference_count;
                let reasons = vec![Reason::Differs { data: set.data.clone(), count }];
                Self { reasons, data: Some((set.data.clone(), disclosed(&set.comparison))), ..Self::default() }
            }
            Trouble::Gaps(compared) => {
                let references = reference_proofs(compared);
                Self { reasons: references.iter().filter_map(differs).collect(), references, ..Self::default() }
            }
            Trouble::References(failed) => not_restored(None, failed.category()),
            Trouble::Data { data, source } => not_restored(Some(data), source.category()),
            Trouble::Other(error) => not_restored(None, error.category()),
        }
    }
}

fn differs(one: &ReferenceProof) -> Option<Reason> {
    let (reference, database, count) = (one.reference.clone(), one.database.clone(), one.comparison.difference_count);
    (count > 0).then_some(Reason::ReferenceDiffers { reference, database, count })
}

/// What a server or a file said of it is in the report alone.
fn why(category: Category) -> Disclosed {
    Disclosed::word(match category {
        Category::Integrity => "what the repository holds of it is damaged, or differs from what was recorded",
        Category::Unavailable => "a server, a disk or the store could not be asked",
        Category::Interrupted => "it was interrupted",
        Category::Locked => "somebody else was at it",
        Category::Usage => "it was refused",
        _ => "it failed",
    })
}

/// Stores the run's record, signed; once, however often it is called. `None` when the run never came to say what it would
/// prove: it had begun nothing.
///
/// # Errors
/// When the store cannot be asked or written, or the key may not sign now.
pub async fn leave(home: &Home, run: &RunId, end: End, cx: &Context) -> Result<Option<EvidenceLeft>, RestoreError> {
    let entries = journal::of(&home.stack, &home.store).read(run).await?.unwrap_or_default();
    let unreadable = |reason| RestoreError::Unreadable { run: run.to_string(), reason };
    let state = State::of(&entries).map_err(unreadable)?;
    let Some(opened) = state.steps.iter().find(|step| step.name == OPEN).and_then(|step| step.output.clone()) else {
        return Ok(None);
    };
    let opened =
        serde_json::from_value(opened).map_err(|error| unreadable(format!("what `{OPEN}` yielded: {error}")))?;
    let key = signing_key(&home.stack.name, home.stack.spec.evidence.as_ref())?;
    let now = cx.clock.now();
    let record = record(run, opened, &state, end, now);
    let appended = Chain::new(home.store.clone(), home.stack.name.clone()).append(&record, &key, now).await?;
    Ok(Some(EvidenceLeft { number: appended.number, digest: appended.digest.to_string() }))
}

/// Pure.
fn record(run: &RunId, opened: Opened, state: &State, end: End, now: Timestamp) -> Record {
    let Opened { point, mut data, objectives } = opened;
    for set in &mut data {
        if let Some(comparison) = found(state, &set.data) {
            set.comparison = comparison;
        }
    }
    let mut references = references(state);
    let bytes = data.iter().map(|set| set.bytes).sum();
    let (reasons, achieved) = match end {
        End::Done => {
            let achieved = achieved(state, bytes);
            (short_of(&data, &references, &objectives, &achieved), achieved)
        }
        End::TakenBack(fault) => {
            let Fault { mut reasons, data: other, references: gaps } = fault.unwrap_or_default();
            if let Some((name, comparison)) = other
                && let Some(set) = data.iter_mut().find(|set| set.data == name)
            {
                set.comparison = comparison;
            }
            references.extend(gaps);
            if reasons.is_empty() {
                reasons.push(by_the_journal(state));
            }
            // What was never compared is not said to be as recorded.
            data.retain(|set| !set.comparison.compared.is_empty() || set.comparison.difference_count > 0);
            (reasons, Achieved::default())
        }
    };
    let is_late = |reason: &Reason| matches!(reason, Reason::TooSlow { .. });
    Record {
        format_version: Record::FORMAT_VERSION,
        kind: Kind::Restore,
        run: run.to_string(),
        stack: state.plan.stack.clone(),
        point,
        started: state.accepted,
        finished: now.max(state.accepted),
        tool: crate::TOOL.to_owned(),
        data,
        references,
        assertions: Vec::new(),
        objectives,
        achieved,
        outcome: match reasons.as_slice() {
            [] => Outcome::Passed,
            reasons if reasons.iter().all(is_late) => Outcome::Late,
            _ => Outcome::Failed,
        },
        reasons,
    }
}

/// What the last step that compared the data set has found.
fn found(state: &State, data: &Name) -> Option<Comparison> {
    let of_set = |step: &&StepState| step.name.split_once(':').is_some_and(|(_, of)| of == data.as_str());
    let output = |step: &StepState| step.output.as_ref()?.get(COMPARISON).cloned();
    let all = state.steps.iter().filter(of_set).filter_map(output);
    let all = all.filter_map(|output| serde_json::from_value::<Comparison>(output).ok());
    // One that only says that a process before it has compared does not hide what that one found.
    all.reduce(|former, newer| if newer.compared.is_empty() && newer.holds() { former } else { newer })
}

fn references(state: &State) -> Vec<ReferenceProof> {
    let outputs = state.steps.iter().filter_map(|step| step.output.as_ref()?.get(REFERENCES).cloned());
    outputs.filter_map(|output| serde_json::from_value::<Vec<ReferenceProof>>(output).ok()).flatten().collect()
}

fn achieved(state: &State, bytes: u64) -> Achieved {
    let work = || {
        let own = |step: &&StepState| step.name != OPEN && step.name != LEAVE && step.stage == Stage::Verified;
        state.steps.iter().filter(own)
    };
    let between = |from: Timestamp, to: Timestamp| {
        u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0) // a clock that went back measures nothing
    };
    let part =
        |step: &StepState| Some(Part { name: Disclosed::name(&step.name), ms: between(step.begun?, step.changed?) });
    let rto_ms = work().filter_map(|step| step.changed).max().map(|last| between(state.accepted, last));
    let rate = |rto_ms: u64| u64::try_from(u128::from(bytes) * 1_000 / u128::from(rto_ms.max(1))).unwrap_or(u64::MAX);
    Achieved {
        rpo_ms: None, // of what was lost nobody here knows when it was written
        rto_ms,
        parts: work().filter_map(part).collect(),
        bytes,
        bytes_per_second: rto_ms.map(rate),
    }
}

/// Why a restore that is done is not `passed`.
fn short_of(
    data: &[DataProof],
    references: &[ReferenceProof],
    objectives: &Objectives,
    achieved: &Achieved,
) -> Vec<Reason> {
    let of_set = |set: &DataProof| {
        let (data, count) = (set.data.clone(), set.comparison.difference_count);
        (count > 0).then_some(Reason::Differs { data, count })
    };
    let mut reasons: Vec<Reason> =
        data.iter().filter_map(of_set).chain(references.iter().filter_map(differs)).collect();
    if let (Some(took_ms), Some(objective_ms)) = (achieved.rto_ms, objectives.rto_ms)
        && took_ms > objective_ms
    {
        reasons.push(Reason::TooSlow { took_ms, objective_ms });
    }
    reasons
}

/// Of a run that a process which is gone saw fail, or that somebody wanted to end.
fn by_the_journal(state: &State) -> Reason {
    let failed = state.steps.iter().find_map(|step| Some((step, step.failure.as_ref()?)));
    match failed {
        Some((step, failure)) => {
            let data = step.name.split_once(':').and_then(|(_, data)| data.parse().ok());
            Reason::NotRestored { data, why: why(failure.category) }
        }
        None => Reason::NotRestored { data: None, why: Disclosed::word("it was ended before it was done") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_longer_than_the_objective_is_late_and_what_differs_is_named() {
        let objectives = Objectives { rto_ms: Some(1_000), ..Objectives::default() };
        let took = |ms| Achieved { rto_ms: Some(ms), ..Achieved::default() };
        assert_eq!(short_of(&[], &[], &objectives, &took(1_000)), []);
        let late = Reason::TooSlow { took_ms: 1_001, objective_ms: 1_000 };
        assert_eq!(short_of(&[], &[], &objectives, &took(1_001)), [late]);
        let gaps = ReferenceProof {
            reference: Disclosed::word("activeStorage"),
            database: "db".parse().unwrap(),
            volume: "files".parse().unwrap(),
            comparison: Comparison { difference_count: 2, ..Comparison::default() },
        };
        let named = Reason::ReferenceDiffers {
            reference: Disclosed::word("activeStorage"),
            database: "db".parse().unwrap(),
            count: 2,
        };
        assert_eq!(short_of(&[], &[gaps], &objectives, &took(1)), [named]);
    }

    #[test]
    fn what_differs_is_told_by_its_measures_and_no_value_of_it() {
        let mut found = data::Comparison::default();
        found.differs("table public.messages", "1,000 rows", "the secret of row 7");
        found.notes.push("role app could not be made: permission denied for x".into());
        let set = RestoredSet {
            data: "db".parse().unwrap(),
            kind: crate::point::DataWord::Postgres,
            to: Vec::new(),
            promoted: false,
            comparison: found,
            formers: Vec::new(),
            notes: vec!["roles created: alice".into()],
            warnings: Vec::new(),
            took_ms: 0,
        };
        let fault = Fault::of(&Trouble::Differs(Box::new(set.clone())));
        assert_eq!(fault.reasons, [Reason::Differs { data: "db".parse().unwrap(), count: 1 }]);
        let told = serde_json::to_string(&(compared(&set), fault.data)).unwrap();
        assert!(told.contains("table public.messages") && told.contains("1,000 rows"), "{told}");
        for kept in ["secret", "permission denied", "alice"] {
            assert!(!told.contains(kept), "{kept}: {told}");
        }
    }
}
