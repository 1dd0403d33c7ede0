//! What is told of a run in Events: what its journal says now and did not before. Pure.

use super::error::with_hint;
use super::view::output;
use crate::cluster::Severity;
use crate::deploy::Stage as Deploys;
use crate::run::{Outcome, Stage, State};

#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    pub severity: Severity,
    pub reason: &'static str,
    /// Tells apart what has one reason.
    pub about: String,
    pub note: String,
}

/// Without `former` it has just begun here; what a process before this one has told is not told again.
#[must_use]
pub fn of(former: Option<&State>, now: &State, namespace: &str) -> Vec<Told> {
    let mut told = Vec::new();
    let mut tell = |severity, reason, about: &str, note: String| {
        told.push(Told { severity, reason, about: about.to_owned(), note });
    };
    for (at, step) in now.steps.iter().enumerate() {
        let before = former.map(|former| &former.steps[at]);
        let begun = step.attempts > 0 && before.is_none_or(|before| before.attempts == 0);
        let done = step.output.is_some() && before.is_none_or(|before| before.output.is_none());
        let failed = before.is_none_or(|before| before.failure.is_none());
        match Deploys::of(&step.name) {
            Some(Deploys::Apply(phase)) if begun => {
                tell(Severity::Normal, "PhaseBegun", phase, format!("phase {phase}: its objects are applied"));
            }
            Some(Deploys::Healthy(phase)) if done => {
                let applied = output(now, &format!("apply:{phase}"));
                let count = |word: &str| applied.and_then(|applied| applied[word].as_u64()).unwrap_or_default();
                let note = format!(
                    "phase {phase} is healthy: {} created, {} changed, {} unchanged",
                    count("created"),
                    count("changed"),
                    count("unchanged")
                );
                tell(Severity::Normal, "PhaseHealthy", phase, note);
            }
            _ => {}
        }
        if let Some(failure) = step.failure.as_ref().filter(|_| failed && step.stage != Stage::Verified) {
            let stack = now.plan.stack.as_str();
            let note = with_hint(failure.message.clone(), failure.hint.as_deref(), stack, namespace);
            tell(Severity::Warning, "StepFailed", &step.name, format!("{}: {note}", step.name));
        }
    }
    let is_new = former.is_none_or(|former| former.outcome.is_none());
    match now.outcome.filter(|_| is_new) {
        Some(Outcome::Succeeded) => match output(now, "record").and_then(|output| output["release"].as_i64()) {
            Some(release) => tell(Severity::Normal, "ReleaseLive", "record", format!("release {release} is live")),
            None => tell(
                Severity::Normal,
                "PhaseDeployed",
                "run",
                "the phase is deployed; the release stays what it was".into(),
            ),
        },
        Some(Outcome::Failed) => {
            let note = "what was applied stays: the next deploy, or a rollback, goes on from there";
            tell(Severity::Warning, "DeployFailed", "run", note.into());
        }
        Some(Outcome::Abandoned) => {
            let by = now.abandoned.clone().unwrap_or_else(|| "somebody".into());
            tell(Severity::Warning, "DeployEnded", "run", format!("{by} ended it"));
        }
        None => {}
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::view::tests::{after, done, failed};
    use super::*;
    use crate::run::Event;

    fn words(told: &[Told]) -> Vec<(&str, &str)> {
        told.iter().map(|told| (told.reason, told.note.as_str())).collect()
    }

    #[test]
    fn each_thing_is_told_once_in_its_order() {
        let first = after(vec![Event::Intended { step: "apply:data".into(), attempt: 1 }]);
        assert_eq!(words(&of(None, &first, "web")), [("PhaseBegun", "phase data: its objects are applied")]);
        let mut events = done("apply:data", json!({"created": 2}));
        events.extend(done("healthy:data", json!({"objects": 2})));
        events.extend(done("apply:web", json!({"unchanged": 1})));
        let second = after(events.clone());
        assert_eq!(
            words(&of(Some(&first), &second, "web")),
            [
                ("PhaseHealthy", "phase data is healthy: 2 created, 0 changed, 0 unchanged"),
                ("PhaseBegun", "phase web: its objects are applied"),
            ]
        );
        assert_eq!(of(Some(&second), &second, "web"), []);
        events.extend(done("healthy:web", json!({})));
        events.extend(done("record", json!({"release": 3})));
        events.push(Event::Finished { outcome: Outcome::Succeeded });
        let last = after(events);
        assert_eq!(words(&of(Some(&second), &last, "web"))[1], ("ReleaseLive", "release 3 is live"));
    }

    #[test]
    fn a_failure_is_told_with_its_reason_and_the_next_move() {
        let mut events = done("apply:data", json!({"created": 1}));
        events.extend(failed("healthy:data"));
        let said = of(None, &after(events), "web");
        let failure = said.iter().find(|told| told.severity == Severity::Warning).unwrap();
        assert_eq!(
            (failure.reason, failure.note.as_str()),
            (
                "StepFailed",
                "healthy:data: Deployment web is not healthy; go back: `drydock rollback --stack shop -n web`"
            )
        );
    }
}
