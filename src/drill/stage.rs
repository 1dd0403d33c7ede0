//! A drill stage by stage, so that a run's journal tells how far it is. What is held in memory (servers, measured times)
//! lives as long as the process: whoever goes on after a crash begins the work anew, and measures that.

use std::time::Instant;

use serde::Serialize;

use super::{
    DrillError, DrillPlan, Report, Sandbox, asserts, discard, evidence, fill, mark_proven, measure, provision,
    references, room, verify,
};
use crate::context::Context;
use crate::evidence::SigningKey;
use crate::point::{Home, Points};

/// One part of the work; the number is that of the data set among the plan's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Looks for room, makes the sandbox, and removes what an earlier crash has left.
    Provision,
    Fill(usize),
    Verify(usize),
    /// Compares restored rows with restored files.
    References,
    /// Asks what the stack's people say must be true.
    Assert,
    /// Throws the sandbox away, before anything is said of it: what was proven is proven without it.
    Discard,
    /// Measures, marks the point as proven, leaves evidence.
    Record,
}

/// The stages of `plan` in their order.
#[must_use]
pub fn stages(plan: &DrillPlan) -> Vec<Stage> {
    let each = |stage: fn(usize) -> Stage| (0..plan.parts.len()).map(stage);
    let looks = each(Stage::Fill).chain(each(Stage::Verify)).chain([Stage::References, Stage::Assert]);
    std::iter::once(Stage::Provision).chain(looks).chain([Stage::Discard, Stage::Record]).collect()
}

/// What a stage came to, for a journal: no row, no server's words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gist {
    /// Something before it had shown already that the point is not as recorded.
    pub skipped: bool,
    /// What was found other than it must be.
    pub failures: usize,
}

/// A drill under way in this process.
pub struct Drilling {
    plan: DrillPlan,
    points: Points,
    begun: Instant,
    key: Option<SigningKey>,
    sandbox: Option<Sandbox>,
    pub report: Report,
}

impl Drilling {
    /// # Errors
    /// When the document names a key that cannot sign: found out now, not when all is done.
    pub fn begin(home: &Home, plan: DrillPlan, points: Points, cx: &Context) -> Result<Self, DrillError> {
        let key = evidence::signer(&home.stack)?;
        let report = Report::begun(&plan, cx.clock.now());
        Ok(Self { plan, points, begun: Instant::now(), key, sandbox: None, report })
    }

    /// Does one stage; those before it were done by this value. After something has shown that the point is not as
    /// recorded, no more is asked: the answer would be about something else.
    ///
    /// # Errors
    /// What kept it from a verdict.
    pub async fn go(&mut self, stage: Stage, home: &Home, cx: &Context) -> Result<Gist, DrillError> {
        let looks = matches!(stage, Stage::Fill(_) | Stage::Verify(_) | Stage::References | Stage::Assert);
        if looks && self.report.failure.is_some() {
            return Ok(Gist { skipped: true, failures: 0 });
        }
        let before = self.report.failures().len();
        match stage {
            Stage::Provision => {
                room(home, &self.plan, cx).await?; // nothing is made where it would not fit
                self.sandbox = Some(provision(home, &self.plan, cx).await?);
            }
            Stage::Discard => self.discard().await?,
            Stage::Record => self.record(home, cx).await?,
            _ => self.look(stage, home, cx).await?,
        }
        Ok(Gist { skipped: false, failures: self.report.failures().len() - before })
    }

    async fn look(&mut self, stage: Stage, home: &Home, cx: &Context) -> Result<(), DrillError> {
        let Some(sandbox) = &mut self.sandbox else { return Err(DrillError::NoSandbox) };
        let (plan, report) = (&self.plan, &mut self.report);
        match stage {
            Stage::Fill(n) => {
                let part = &plan.parts[n];
                match fill(home, plan, sandbox, part, cx).await? {
                    Ok(filled) => report.filled(part, sandbox, filled),
                    Err(why) => report.fails(why),
                }
            }
            Stage::Verify(n) => {
                let part = &plan.parts[n];
                match verify(home, sandbox, part, cx).await? {
                    Ok((comparison, took_ms)) => report.compared(part, comparison, took_ms),
                    Err(why) => report.fails(why),
                }
            }
            Stage::References => {
                report.references = references(home, plan, sandbox, &report.data, cx).await?;
                report.verified_after(self.begun.elapsed());
            }
            Stage::Assert => {
                for asked in &plan.asked {
                    report.assertions.push(asserts::ask(plan, asked, sandbox, cx).await?);
                }
            }
            Stage::Provision | Stage::Discard | Stage::Record => {}
        }
        Ok(())
    }

    /// Throws the sandbox away, or leaves it for the person who wanted it.
    ///
    /// # Errors
    /// When something of it does not go; the next drill tries again.
    async fn discard(&mut self) -> Result<(), DrillError> {
        let Some(sandbox) = self.sandbox.take() else { return Ok(()) };
        if self.plan.keep {
            self.report.sandbox = Some(sandbox.keep(&self.plan)?);
            return Ok(());
        }
        discard(sandbox).await
    }

    /// Throws the sandbox away before its time, whatever was wanted.
    ///
    /// # Errors
    /// When something of it does not go; the next drill tries again.
    pub async fn discard_now(&mut self) -> Result<(), DrillError> {
        match self.sandbox.take() {
            Some(sandbox) => discard(sandbox).await,
            None => Ok(()),
        }
    }

    async fn record(&mut self, home: &Home, cx: &Context) -> Result<(), DrillError> {
        let (plan, report) = (&self.plan, &mut self.report);
        measure(plan, &self.points, report);
        mark_proven(home, plan, &self.points, report, cx).await?;
        if let Some(key) = &self.key {
            // A report that was hours in the making is told, signed or not.
            match evidence::leave(home, plan, report, key, cx).await {
                Ok(appended) => report.evidence = Some(appended.into()),
                Err(error) => report.evidence_failure = Some(super::fill::chain(&error)),
            }
        }
        Ok(())
    }
}
