//! The record that a drill leaves: what the report says, reduced to names, counts, digests and categories.

use jiff::Timestamp;

use super::DrillError;
use super::measure::{Goal, Objective};
use super::plan::DrillPlan;
use super::report::{Asserted, Outcome, Report, Verdict};
use crate::context::Context;
use crate::evidence::{
    self, Achieved, Appended, AssertionOutcome, AssertionProof, Chain, DataProof, Disclosed, Kind, Part, Reason,
    Record, ReferenceProof, SigningKey, signing_key,
};
use crate::point::Home;
use crate::restore::{data_proof, disclosed, objectives, proven_point};
use crate::stack::Stack;

/// The key that would sign, read before anything is begun; `None` where the document names none.
///
/// # Errors
/// When it names one that cannot be used.
pub fn signer(stack: &Stack) -> Result<Option<SigningKey>, DrillError> {
    let spec = stack.spec.evidence.as_ref();
    Ok(spec.map(|spec| signing_key(&stack.name, Some(spec))).transpose()?)
}

/// Stores the record signed, once for each run; returns its place in the chain.
///
/// # Errors
/// When the store cannot be written or the key may not sign now.
pub async fn leave(
    home: &Home,
    plan: &DrillPlan,
    report: &Report,
    key: &SigningKey,
    cx: &Context,
) -> Result<Appended, DrillError> {
    let now = cx.clock.now();
    let chain = Chain::new(home.store.clone(), home.stack.name.clone());
    Ok(chain.append(&record(plan, report, now), key, now).await?)
}

/// The record of `report`, finished at `now`. Pure.
#[must_use]
pub fn record(plan: &DrillPlan, report: &Report, now: Timestamp) -> Record {
    Record {
        format_version: Record::FORMAT_VERSION,
        kind: Kind::Drill,
        run: report.run.clone(),
        stack: report.stack.clone(),
        point: proven_point(report.point, &plan.snapshot, &plan.record),
        started: report.begun,
        finished: now,
        tool: report.tool.to_owned(),
        data: data(plan, report),
        references: references(report),
        assertions: report.assertions.iter().enumerate().map(|(n, one)| assertion(n, one)).collect(),
        objectives: objectives(&plan.objectives),
        achieved: achieved(plan, report),
        outcome: match report.outcome {
            Outcome::Verified => evidence::Outcome::Passed,
            Outcome::Late => evidence::Outcome::Late,
            Outcome::NotVerified => evidence::Outcome::Failed,
        },
        reasons: reasons(report),
    }
}

fn data(plan: &DrillPlan, report: &Report) -> Vec<DataProof> {
    let proof = |part: &super::Part| {
        let set = report.data.iter().find(|set| set.data == *part.name())?;
        Some(data_proof(&part.member, disclosed(set.comparison.as_ref()?)))
    };
    plan.parts.iter().filter_map(proof).collect()
}

fn references(report: &Report) -> Vec<ReferenceProof> {
    let proof = |one: &super::ComparedReference| ReferenceProof {
        reference: Disclosed::word(one.reference),
        database: one.database.clone(),
        volume: one.volume.clone(),
        comparison: disclosed(&one.comparison),
    };
    report.references.iter().filter(|one| one.is_compared).map(proof).collect()
}

fn assertion(n: usize, one: &Asserted) -> AssertionProof {
    AssertionProof { name: name(n, one), data: one.data.clone(), outcome: outcome(one.verdict) }
}

/// A query may hold anything, so it is its place among the drill's assertions; tables, patterns and commands have names.
fn name(n: usize, one: &Asserted) -> Disclosed {
    match one.kind {
        "sql" | "freshness" => Disclosed::name(&format!("{} (assertion {})", one.kind, n + 1)),
        "command" => Disclosed::name(&format!("command {} (assertion {})", one.what, n + 1)),
        _ => Disclosed::name(&format!("{} (assertion {})", one.what, n + 1)),
    }
}

fn outcome(verdict: Verdict) -> AssertionOutcome {
    match verdict {
        Verdict::Holds => AssertionOutcome::Passed,
        Verdict::Fails => AssertionOutcome::Failed,
        Verdict::Errs => AssertionOutcome::Errored,
    }
}

fn achieved(plan: &DrillPlan, report: &Report) -> Achieved {
    let mut parts = Vec::new();
    let mut part = |name: String, ms: u64| parts.push(Part { name: Disclosed::name(&name), ms });
    for set in &report.data {
        part(format!("{}: provision", set.data), set.provision_ms);
        part(format!("{}: fill", set.data), set.fill_ms);
        if let Some(ms) = set.verify_ms {
            part(format!("{}: verify", set.data), ms);
        }
    }
    for one in report.references.iter().filter(|one| one.is_compared) {
        part(format!("{}: compare", one.reference), one.took_ms);
    }
    let measured = report.measured.as_ref();
    Achieved {
        rpo_ms: measured.and_then(|measured| measured.rpo).map(|rpo| rpo.achieved_ms),
        rto_ms: report.rto_ms,
        parts,
        bytes: plan.parts.iter().map(|part| part.member.bytes).sum(),
        bytes_per_second: measured.map(|measured| measured.bytes_per_second),
    }
}

fn reasons(report: &Report) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if let Some(failure) = &report.failure {
        // What a server said of it is in the report alone.
        let why = Disclosed::word(failure.what);
        reasons.push(Reason::NotRestored { data: Some(failure.data.clone()), why });
    }
    for set in &report.data {
        let count = set.comparison.as_ref().map_or(0, |comparison| comparison.difference_count);
        if count > 0 {
            reasons.push(Reason::Differs { data: set.data.clone(), count });
        }
    }
    for one in report.references.iter().filter(|one| !one.comparison.holds()) {
        let (reference, database) = (Disclosed::word(one.reference), one.database.clone());
        reasons.push(Reason::ReferenceDiffers { reference, database, count: one.comparison.difference_count });
    }
    for (n, one) in report.assertions.iter().enumerate().filter(|(_, one)| one.verdict != Verdict::Holds) {
        reasons.push(Reason::Assertion { name: name(n, one), outcome: outcome(one.verdict) });
    }
    let missed = |objective: Option<Objective>| objective.filter(|objective| objective.goal == Goal::Missed);
    let measured = report.measured.as_ref();
    if let Some(Objective { achieved_ms: age_ms, objective_ms: Some(objective_ms), .. }) =
        missed(measured.and_then(|measured| measured.rpo))
    {
        reasons.push(Reason::PointTooOld { age_ms, objective_ms });
    }
    if let Some(Objective { achieved_ms: took_ms, objective_ms: Some(objective_ms), .. }) =
        missed(measured.map(|measured| measured.rto))
    {
        reasons.push(Reason::TooSlow { took_ms, objective_ms });
    }
    reasons
}
