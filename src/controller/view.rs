//! A Run's status as its journal says it. Pure.

use jiff::Timestamp;
use serde_json::Value;

use super::error::{ControllerError, told, with_hint};
use crate::cluster::Seen;
use crate::cluster::status::{PhaseStatus, RunStatus};
use crate::deploy::Stage as Deploys;
use crate::failure::{Category, Failure};
use crate::run::{Outcome, RunId, Stage, State, StepState};

pub const RUNNING: &str = "running";
pub const WAITING: &str = "waiting";
pub const FAILED: &str = "failed";

/// Whether nothing more comes of it.
#[must_use]
pub fn is_over(status: &RunStatus) -> bool {
    let word = status.standing.as_deref();
    [Outcome::Succeeded, Outcome::Failed, Outcome::Abandoned].iter().any(|outcome| word == Some(outcome.word()))
}

/// What the journal says; `former` is what was said before, `stuck` the step for which the run waits for a person.
#[must_use]
pub fn of_journal(seen: &Seen, run: &RunId, state: &State, stuck: Option<&str>, former: &RunStatus) -> RunStatus {
    let failed = state.steps.iter().find(|step| step.failure.is_some() || Some(step.name.as_str()) == stuck);
    let busy = |step: &&StepState| matches!(step.stage, Stage::Intended | Stage::Applied | Stage::UndoIntended);
    let step = failed.or_else(|| state.steps.iter().find(busy)).map(|step| step.name.clone());
    let failure = state.failure();
    let stack = state.plan.stack.as_str();
    let message = match (&state.abandoned, failure) {
        (_, Some(failed)) => Some(with_hint(failed.message.clone(), failed.hint.as_deref(), stack, &seen.namespace)),
        (Some(by), None) => Some(format!("{by} ended it")),
        (None, None) => None,
    };
    let parameters = state.plan.steps().next().map(|step| &step.parameters);
    RunStatus {
        observed_generation: Some(seen.generation),
        standing: Some(match (state.outcome, stuck) {
            (Some(outcome), _) => outcome.word().into(),
            (None, Some(_)) => WAITING.into(),
            (None, None) => RUNNING.into(),
        }),
        step: step.filter(|_| state.outcome != Some(Outcome::Succeeded)),
        started: Some(time(state.accepted)),
        ended: state.outcome.map(|_| time(state.changed)),
        message,
        category: failure.map(|failed| word(failed.category)),
        journal: Some(run.to_string()),
        release: output(state, "record").and_then(|output| output["release"].as_i64()),
        digest: parameters.and_then(|told| told["digest"].as_str()).map(str::to_owned),
        phases: phases(state, former),
    }
}

/// What keeps it from beginning, or from being gone on with.
#[must_use]
pub fn of_error(seen: &Seen, stack: &str, error: &ControllerError, former: &RunStatus, now: Timestamp) -> RunStatus {
    let begun = former.started.is_some();
    let waits = begun || error.may_pass();
    RunStatus {
        observed_generation: Some(seen.generation),
        standing: Some(if waits { WAITING } else { FAILED }.into()),
        ended: (!waits).then(|| time(now)),
        message: Some(told(error, stack, &seen.namespace)),
        category: Some(word(error.category())),
        ..former.clone()
    }
}

/// It waits for somebody else, who is named.
#[must_use]
pub fn waits(seen: &Seen, for_whom: String, former: &RunStatus) -> RunStatus {
    RunStatus {
        observed_generation: Some(seen.generation),
        standing: Some(WAITING.into()),
        message: Some(for_whom),
        ..former.clone()
    }
}

fn phases(state: &State, former: &RunStatus) -> Vec<PhaseStatus> {
    let applied = state.steps.iter().filter_map(|step| match Deploys::of(&step.name) {
        Some(Deploys::Apply(phase)) => Some((phase, step, step.output.as_ref()?)),
        _ => None,
    });
    let phase = |(name, apply, output): (&str, &StepState, &Value)| {
        let count = |word: &str| output[word].as_i64().unwrap_or_default();
        let healthy = state.steps.iter().find(|step| Deploys::of(&step.name) == Some(Deploys::Healthy(name)));
        let healthy = healthy.filter(|step| step.output.is_some());
        let known = former.phases.iter().find(|phase| phase.name == name).and_then(|phase| phase.took_ms);
        let took = healthy
            .filter(|step| step.stage == Stage::Verified)
            .and_then(|step| Some(step.changed?.duration_since(apply.begun?).as_millis()));
        PhaseStatus {
            name: name.to_owned(),
            created: count("created"),
            changed: count("changed"),
            unchanged: count("unchanged"),
            // That a step was undone is its last change: how long it took was said before.
            took_ms: known.or_else(|| took.and_then(|ms| i64::try_from(ms).ok())).filter(|_| healthy.is_some()),
        }
    };
    applied.map(phase).collect()
}

/// What a step that has happened has said.
pub fn output<'s>(state: &'s State, step: &str) -> Option<&'s Value> {
    state.steps.iter().find(|found| found.name == step)?.output.as_ref()
}

fn time(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn word(category: Category) -> String {
    serde_json::to_value(category).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::Kind;
    use crate::run::{Entry, Event, Failed, Phase, Plan, PlannedStep, StepKind};

    pub fn seen() -> Seen {
        Seen {
            kind: Kind::Run,
            namespace: "web".into(),
            name: "first".into(),
            uid: "0123456789".into(),
            generation: 1,
            created: "2026-11-24T02:15:00Z".parse().unwrap(),
            spec: json!({"stack": "shop", "operation": {"deploy": {}}}),
            status: Value::Null,
        }
    }

    /// A run of two phases after these events, a second apart.
    pub fn after(events: Vec<Event>) -> State {
        let step = |name: &str| Phase {
            name: name.into(),
            steps: vec![PlannedStep {
                name: name.into(),
                kind: StepKind::Reversible,
                parameters: json!({"digest": "d1"}),
            }],
        };
        let steps = ["apply:data", "healthy:data", "apply:web", "healthy:web", "record"].map(step).to_vec();
        let plan = Plan::new("deploy", &"shop".parse().unwrap(), steps);
        let accepted = Event::Accepted { digest: plan.digest(), plan, by: "a test".into(), tool: crate::TOOL.into() };
        let time = |n: usize| Timestamp::from_second(1_000 + i64::try_from(n).unwrap()).unwrap();
        let all = std::iter::once(accepted).chain(events).enumerate();
        let entries: Vec<Entry> = all.map(|(n, event)| Entry::new(n as u64, time(n), event)).collect();
        State::of(&entries).unwrap()
    }

    /// What a step that happens leaves in the journal.
    pub fn done(step: &str, output: Value) -> Vec<Event> {
        let step = || step.to_owned();
        vec![
            Event::Intended { step: step(), attempt: 1 },
            Event::Applied { step: step(), output },
            Event::Verified { step: step() },
        ]
    }

    pub fn failed(step: &str) -> Vec<Event> {
        let failure = Failed {
            category: Category::Unavailable,
            message: "Deployment web is not healthy".into(),
            hint: Some("go back: `drydock rollback -f FILE`".into()),
        };
        vec![Event::Intended { step: step.into(), attempt: 1 }, Event::Failed { step: step.into(), failure }]
    }

    fn status(state: &State, former: &RunStatus) -> RunStatus {
        of_journal(&seen(), &"deploy-shop-1".parse().unwrap(), state, None, former)
    }

    #[test]
    fn a_run_under_way_says_its_step_and_the_phases_that_it_has_begun() {
        let mut events = done("apply:data", json!({"created": 2, "changed": 0, "unchanged": 1}));
        events.extend(done("healthy:data", json!({"objects": 3})));
        events.push(Event::Intended { step: "apply:web".into(), attempt: 1 });
        let status = status(&after(events), &RunStatus::default());
        assert_eq!(
            serde_json::to_value(&status).unwrap(),
            json!({
                "observedGeneration": 1, "standing": "running", "step": "apply:web", "started": "1970-01-01T00:16:40Z",
                "journal": "deploy-shop-1", "digest": "d1",
                "phases": [{"name": "data", "created": 2, "changed": 0, "unchanged": 1, "tookMs": 5000}],
            })
        );
        assert!(!is_over(&status));
    }

    #[test]
    fn a_failed_run_says_where_why_and_what_to_type_also_after_it_was_undone() {
        let mut events = done("apply:data", json!({"created": 1}));
        events.extend(done("healthy:data", json!({"objects": 1})));
        let before = status(&after(events.clone()), &RunStatus::default());
        events.extend(done("apply:web", json!({"created": 1})));
        events.extend(failed("healthy:web"));
        for step in ["healthy:web", "apply:web", "healthy:data", "apply:data"] {
            events.push(Event::UndoIntended { step: step.into() });
            events.push(Event::Undone { step: step.into() });
        }
        events.push(Event::Finished { outcome: Outcome::Failed });
        let status = status(&after(events), &before);
        assert!(is_over(&status));
        assert_eq!((status.standing.as_deref(), status.step.as_deref()), (Some("failed"), Some("healthy:web")));
        assert_eq!(
            status.message.unwrap(),
            "Deployment web is not healthy; go back: `drydock rollback --stack shop -n web`"
        );
        assert_eq!(status.category.as_deref(), Some("unavailable"));
        let took: Vec<_> = status.phases.iter().map(|phase| (phase.name.as_str(), phase.took_ms)).collect();
        assert_eq!(took, [("data", Some(5000)), ("web", None)]);
    }

    #[test]
    fn what_has_begun_never_fails_by_what_keeps_it_from_going_on() {
        let error = ControllerError::NoAccount;
        let fresh = of_error(&seen(), "shop", &error, &RunStatus::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(fresh.standing.as_deref(), Some("failed"));
        let begun = RunStatus { started: Some("2026-11-24T02:15:00Z".into()), ..RunStatus::default() };
        let waits = of_error(&seen(), "shop", &error, &begun, Timestamp::UNIX_EPOCH);
        assert_eq!((waits.standing.as_deref(), waits.ended), (Some("waiting"), None));
        let none = ControllerError::NoStack { stack: "shop".into(), namespace: "web".into() };
        let waits = of_error(&seen(), "shop", &none, &RunStatus::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(waits.standing.as_deref(), Some("waiting"), "it may come");
    }
}
