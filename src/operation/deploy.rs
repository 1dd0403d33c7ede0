//! A deploy's plan and its report; its steps are `deploy`'s, but for the recovery point before a migration, which is
//! `snapshot`'s.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde_json::Value;

use super::OperationError;
use super::request::SnapshotRequest;
use super::snapshot;
use super::work::{self, How, Report};
use crate::cluster::Cluster;
use crate::context::Context;
use crate::deploy::{
    self, DeployError, Migrating, Need, PhaseMigrations, Release, Told, check, judge, migrating, phases as frozen,
};
use crate::point::Home;
use crate::run::{Phase, PlannedStep, Probe, RunId, Step, StepError, Steps};
use crate::stack::Name;

pub const WORD: &str = "deploy";
/// The step that takes a recovery point: `point:PHASE`.
const POINT: &str = "point:";

/// As `drydock deploy` has it.
#[derive(Debug, Clone)]
pub struct DeployRequest {
    pub release: Release,
    pub told: Told,
    /// Only this phase.
    pub phase: Option<String>,
}

/// Looks at all that can be known before, puts the release where whoever resumes the run finds it, then says in which order
/// it goes live.
pub async fn phases(home: &Home, asked: &DeployRequest) -> Result<Vec<Phase>, OperationError> {
    let DeployRequest { release, told, phase } = asked;
    let only = phase.as_deref();
    if let Some(phase) = only.filter(|name| release.phases.iter().all(|phase| phase.name != *name)) {
        return Err(DeployError::NoPhase { phase: phase.to_owned() }.into());
    }
    check(release, &home.stack, &told.namespace)?;
    let found = migrating(&home.stack, release, only)?;
    let own = Cluster::connect(None, told.context.as_deref()).await.map_err(DeployError::from)?;
    let mut migrations: Vec<PhaseMigrations> = Vec::new();
    if !found.is_empty() {
        let records = own.migrated(&told.namespace, home.stack.name.as_str()).await.map_err(DeployError::from)?;
        for (phase, of, data) in found {
            let Need::Migration { point } = judge(&of, records.get(&of.component), told.migrate)? else { continue };
            if migrations.last().is_none_or(|last| last.phase != phase) {
                migrations.push(PhaseMigrations { phase, ..PhaseMigrations::default() });
            }
            let last = migrations.last_mut().expect("one was put there a moment ago");
            if point {
                last.point = Some(point_before(home, &of, data, last)?);
            }
            last.migrating.push(of);
        }
    }
    let releases = own.releases(&told.namespace, home.stack.name.as_str());
    releases.stage(&told.digest, &release.to_bytes()).await.map_err(DeployError::from)?;
    Ok(frozen(release, &home.stack.spec.phases, &migrations, told, only))
}

/// The step that takes a recovery point of what `of` changes, and of what its phase takes one of already.
fn point_before(
    home: &Home,
    of: &Migrating,
    data: &[Name],
    phase: &PhaseMigrations,
) -> Result<PlannedStep, OperationError> {
    if data.is_empty() {
        return Err(DeployError::NoData { component: of.component.clone() }.into());
    }
    let before = phase.point.as_ref().map(snapshot::asked).transpose()?.map(|asked| asked.data).unwrap_or_default();
    let data: BTreeSet<Name> = before.into_iter().chain(data.iter().cloned()).collect();
    let asked = SnapshotRequest { data: data.into_iter().collect(), ..SnapshotRequest::default() };
    let take = snapshot::phases(home, &asked)?.remove(0).steps.remove(0);
    Ok(PlannedStep { name: format!("{POINT}{}", phase.phase), ..take })
}

pub struct Work<'a> {
    deploy: deploy::Work<'a>,
    snapshot: snapshot::Work<'a>,
}

impl<'a> Work<'a> {
    pub fn new(home: &'a Home, run: &'a RunId, how: How<'a>) -> Self {
        Self { deploy: deploy::Work::new(&home.stack, run), snapshot: snapshot::Work::new(home, run, how) }
    }
}

#[async_trait(?Send)]
impl work::Work for Work<'_> {
    fn reports(self: Box<Self>) -> Vec<Report> {
        let Self { deploy, snapshot } = *self;
        let mut reports = work::Work::reports(Box::new(snapshot));
        reports.push(Report::Deploy(Box::new(deploy.learned())));
        reports
    }
}

impl Steps for Work<'_> {
    fn step(&self, planned: &PlannedStep) -> Result<Box<dyn Step + '_>, StepError> {
        if planned.name.starts_with(POINT) {
            let take = PlannedStep { name: snapshot::TAKE.to_owned(), ..planned.clone() };
            return Ok(Box::new(Kept(self.snapshot.step(&take)?)));
        }
        self.deploy.step(planned)
    }
}

/// A recovery point that stays when the deploy fails later: it is the way back.
struct Kept<'a>(Box<dyn Step + 'a>);

#[async_trait(?Send)]
impl Step for Kept<'_> {
    async fn probe(&self, cx: &Context) -> Result<Probe, StepError> {
        self.0.probe(cx).await
    }

    async fn apply(&self, cx: &Context) -> Result<Value, StepError> {
        self.0.apply(cx).await
    }

    async fn verify(&self, output: &Value, cx: &Context) -> Result<(), StepError> {
        self.0.verify(output, cx).await
    }

    async fn undo(&self, output: Option<&Value>, cx: &Context) -> Result<(), StepError> {
        match output {
            Some(_) => Ok(()),
            None => self.0.undo(None, cx).await,
        }
    }
}
