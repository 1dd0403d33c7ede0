//! `forget`, `prune`, or one after the other. What is dropped does not come back, and what is not yet dropped goes with the
//! next run: an attempt that was cut off leaves everything whole, so there is nothing to undo.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::prune::{self, Pruned};
use super::request::alone;
use super::work::{self, How, Report, told, unknown};
use crate::context::Context;
use crate::maintain::forget::{ForgetError, ForgetPlan, apply, plan_forget};
use crate::point::Home;
use crate::repository::LockKind;
use crate::repository::forget::Policy;
use crate::run::{Phase, PlannedStep, Probe, Step, StepError, Steps};

pub const WORD: &str = "forget";

pub fn phase(policy: &Policy) -> Phase {
    alone(WORD, json!(policy))
}

pub struct Work<'a> {
    home: &'a Home,
    how: How<'a>,
    forgot: Mutex<Option<ForgetPlan>>,
    pruned: Mutex<Option<Pruned>>,
}

impl<'a> Work<'a> {
    pub fn new(home: &'a Home, how: How<'a>) -> Self {
        Self { home, how, forgot: Mutex::new(None), pruned: Mutex::new(None) }
    }
}

#[async_trait(?Send)]
impl work::Work for Work<'_> {
    fn reports(self: Box<Self>) -> Vec<Report> {
        let forgot = self.forgot.into_inner().unwrap_or_else(PoisonError::into_inner).map(Report::Forget);
        let pruned = self.pruned.into_inner().unwrap_or_else(PoisonError::into_inner).map(Report::Prune);
        forgot.into_iter().chain(pruned).collect()
    }
}

impl Steps for Work<'_> {
    fn step(&self, planned: &PlannedStep) -> Result<Box<dyn Step + '_>, StepError> {
        let does = match planned.name.as_str() {
            WORD => Does::Forget(told(planned)?),
            prune::WORD => Does::Prune(told(planned)?),
            _ => return unknown(planned),
        };
        Ok(Box::new(Drop { work: self, does }))
    }
}

enum Does {
    Forget(Policy),
    Prune(prune::Told),
}

struct Drop<'a> {
    work: &'a Work<'a>,
    does: Does,
}

#[async_trait(?Send)]
impl Step for Drop<'_> {
    /// Whether more is to be dropped only trying tells.
    async fn probe(&self, _: &Context) -> Result<Probe, StepError> {
        Ok(Probe::Absent)
    }

    async fn apply(&self, cx: &Context) -> Result<Value, StepError> {
        match &self.does {
            Does::Forget(policy) => self.forget(policy, cx).await,
            Does::Prune(told) => {
                let pruned = prune::apply(self.work.home, told, self.work.how.wait, cx).await?;
                let output = json!({"freedBytes": pruned.summary.freed_bytes});
                *self.work.pruned.lock().unwrap_or_else(PoisonError::into_inner) = Some(pruned);
                Ok(output)
            }
        }
    }

    async fn verify(&self, _: &Value, _: &Context) -> Result<(), StepError> {
        Ok(())
    }

    async fn undo(&self, _: Option<&Value>, _: &Context) -> Result<(), StepError> {
        Ok(())
    }
}

impl Drop<'_> {
    async fn forget(&self, policy: &Policy, cx: &Context) -> Result<Value, StepError> {
        let home = self.work.home;
        let work = async |_: &_| -> Result<ForgetPlan, ForgetError> {
            let plan = plan_forget(home, policy, cx).await?;
            apply(home, &plan, cx).await?;
            Ok(plan)
        };
        let plan = home.locked(LockKind::Exclusive, self.work.how.wait, cx, work).await.map_err(StepError::new)?;
        let dropped = plan.points.iter().filter(|fate| !fate.keep).count();
        let output = json!({"points": plan.points.len(), "dropped": dropped});
        *self.work.forgot.lock().unwrap_or_else(PoisonError::into_inner) = Some(plan);
        Ok(output)
    }
}
