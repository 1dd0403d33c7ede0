use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::context::Context;
use crate::drill::Choice;
use crate::point::Owner;
use crate::repository::testing::{MemoryStore, context, repository};
use crate::run::{Entry, Event, Lease, Left, Outcome, Phase, Plan, PlannedStep, Scope, State, StepKind, Stop};
use crate::stack::Stack;

const STACK: &str = "apiVersion: drydock.dev/v1alpha1\nkind: Stack\nmetadata: {name: shop}\nspec:\n  repository: {location: 's3://bucket/shop', \
                     password: {fromEnv: P}}\n  data:\n  - {name: files, volume: {path: /srv/files}}\n";

async fn home(memory: &std::sync::Arc<MemoryStore>) -> Home {
    let stack = Stack::parse(Path::new("stack.yaml"), Path::new("/"), STACK).unwrap();
    let owner = Owner {
        format_version: 1,
        stack: stack.name.clone(),
        created: context(&memory.clock).clock.now(),
        tool: crate::TOOL.into(),
        token: "0011223344556677".into(),
    };
    Home { stack, store: memory.clone(), repository: repository(memory).await, owner }
}

/// The process was killed once `run` had its plan.
async fn cut_off(home: &Home, run: &RunId, cx: &Context) {
    let lease = Lease::acquire(&home.store, Scope::Drill, run.as_str(), Duration::ZERO, cx, |_| ()).await.unwrap();
    let told = json!({"point": "00112233445566aa", "data": [], "keep": false, "folder": "/nowhere"});
    let step = PlannedStep { name: "provision".into(), kind: StepKind::Reversible, parameters: told };
    let plan = Plan::new("drill", &home.stack.name, vec![Phase { name: "provision".into(), steps: vec![step] }]);
    let (digest, by, tool) = (plan.digest(), "a schedule".into(), crate::TOOL.to_owned());
    let accepted = Entry::new(0, cx.clock.now(), Event::Accepted { plan, digest, by, tool });
    journals(home).begin(run, &accepted).await.unwrap().unwrap();
    lease.release().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_instant_comes_again_while_nothing_can_be_planned_is_brought_to_its_end() {
    let memory = MemoryStore::new();
    let (home, cx) = (home(&memory).await, context(&memory.clock));
    let run: RunId = "drill-shop-20260615t120000z-weekly".parse().unwrap();
    cut_off(&home, &run, &cx).await;
    let request = Request::Drill(DrillRequest { choice: Choice::Named("latest".into()), data: vec![], keep: false });
    let order =
        Order { run: run.clone(), by: "a schedule".into(), request, wait: Duration::ZERO, found: Found::Resume };
    let led = lead(&home, order, &Stop::of(&cx.cancel), &cx, &|_| ()).await.unwrap();
    assert!(matches!(led.left, Left::Over { outcome: Outcome::Failed, .. }), "{:?}", led.left);
    let state = State::of(&journals(&home).read(&run).await.unwrap().unwrap()).unwrap();
    assert_eq!(state.outcome, Some(Outcome::Failed), "the journal says how it ended");
    let next = Lease::acquire(&home.store, Scope::Drill, "next", Duration::ZERO, &cx, |_| ()).await.unwrap();
    assert!(next.former().is_empty(), "{:?}", next.former());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_cannot_be_planned_and_never_began_leaves_nothing_open() {
    let memory = MemoryStore::new();
    let (home, cx) = (home(&memory).await, context(&memory.clock));
    let run: RunId = "drill-shop-20260615t120000z-weekly".parse().unwrap();
    let request = Request::Drill(DrillRequest { choice: Choice::Named("latest".into()), data: vec![], keep: false });
    let order =
        Order { run: run.clone(), by: "a schedule".into(), request, wait: Duration::ZERO, found: Found::Resume };
    let error = lead(&home, order, &Stop::of(&cx.cancel), &cx, &|_| ()).await.unwrap_err();
    assert!(error.to_string().contains("there is no complete recovery point"), "{error}");
    assert!(journals(&home).read(&run).await.unwrap().is_none());
    let next = Lease::acquire(&home.store, Scope::Drill, "next", Duration::ZERO, &cx, |_| ()).await.unwrap();
    assert!(next.former().is_empty(), "{:?}", next.former());
}
