//! Restores a recovery point into a throw-away sandbox, verifies and measures it, and throws the sandbox away. Owns the
//! order choose → room → provision → fill → verify → references → assert → measure → leave → discard; what each data set
//! does at each step lives in `data/`. Refuses to touch anything live: a drill reads the repository and its own sandbox.
//!
//! Every step can be called alone, and again: a sandbox's folder follows from the run, a file in it says whose it is, and
//! each step begins by making anew what an attempt before it may have left.

pub mod asserts;
mod choose;
mod discard;
mod error;
pub mod evidence;
mod fill;
mod leave;
mod measure;
mod owner;
mod plan;
mod preview;
mod process;
mod provision;
mod references;
mod report;
mod room;
mod sandbox;
mod trend;
mod verify;

use std::time::Instant;

use crate::context::Context;
use crate::point::{Home, Points};

pub use choose::{Choice, choose};
pub use discard::{Removed, discard, kept, remove, sweep};
pub use error::DrillError;
pub use fill::{Filled, fill};
pub use leave::mark_proven;
pub use measure::{Goal, Measured, Objective, measure};
pub use owner::Owner;
pub use plan::{Asked, DrillPlan, Options, Part, plan};
pub use preview::{PartPreview, Preview, preview};
pub use provision::provision;
pub use references::references;
pub use report::{
    Asserted, ComparedReference, DrilledSet, EvidenceLeft, KeptSandbox, Outcome, Refuted, Report, Verdict,
};
pub use room::{Room, room};
pub use sandbox::{Address, Sandbox};
pub use trend::{Past, Trend, trend};
pub use verify::verify;

/// Drills as `plan` says; returns what was compared, asserted and measured, never just "ok". The caller holds a shared
/// lock of the repository.
///
/// # Errors
/// What kept the drill from a verdict: no room, no server programs, a store that does not answer, Ctrl-C. A point that
/// does not restore, or differs, is no error: see [`Report::outcome`].
pub async fn drill(home: &Home, plan: &DrillPlan, points: &Points, cx: &Context) -> Result<Report, DrillError> {
    let begun = (Instant::now(), cx.clock.now());
    let key = evidence::signer(&home.stack)?; // a key that cannot sign is found out now, not when all is done
    let mut report = Report::begun(plan, begun.1);
    room(home, plan, cx).await?; // nothing is made where it would not fit
    let mut sandbox = provision(home, plan, cx).await?; // also removes what an earlier crash has left
    let looked = look(home, plan, &mut sandbox, &mut report, begun.0, cx).await;
    if plan.keep && looked.is_ok() {
        report.sandbox = Some(sandbox.keep(plan)?);
    } else {
        discard(sandbox).await?; // before anything is said of it: what was proven is proven without it
    }
    looked?;
    measure(plan, points, &mut report);
    mark_proven(home, plan, points, &mut report, cx).await?;
    if let Some(key) = key {
        // A report that was hours in the making is told, signed or not.
        match evidence::leave(home, plan, &report, &key, cx).await {
            Ok(appended) => report.evidence = Some(appended.into()),
            Err(error) => report.evidence_failure = Some(fill::chain(&error)),
        }
    }
    Ok(report)
}

/// Fills the sandbox and looks at it until something is not as it must be; what comes after that is not asked, for its
/// answer would be about something else.
async fn look(
    home: &Home,
    plan: &DrillPlan,
    sandbox: &mut Sandbox,
    report: &mut Report,
    begun: Instant,
    cx: &Context,
) -> Result<(), DrillError> {
    for part in &plan.parts {
        match fill(home, plan, sandbox, part, cx).await? {
            Ok(filled) => report.filled(part, sandbox, filled),
            Err(why) => {
                report.fails(why);
                return Ok(());
            }
        }
    }
    for part in &plan.parts {
        match verify(home, sandbox, part, cx).await? {
            Ok((comparison, took_ms)) => report.compared(part, comparison, took_ms),
            Err(why) => {
                report.fails(why);
                return Ok(());
            }
        }
    }
    report.references = references(home, plan, sandbox, &report.data, cx).await?;
    report.verified_after(begun.elapsed());
    for asked in &plan.asked {
        report.assertions.push(asserts::ask(plan, asked, sandbox, cx).await?);
    }
    Ok(())
}
