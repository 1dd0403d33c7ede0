//! What is worth a message: the same failure is told once, until it changes, ends, or has gone on for long. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::message::{Kind, Message};
use super::{Ending, ObjectiveSeen, RunEnded};
use crate::stack::Occasion;

/// What has happened, or was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Run(RunEnded),
    Objective(ObjectiveSeen, Timestamp),
}

/// What a receiver wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub on: Vec<Occasion>,
    pub remind_after: Duration,
}

/// What one receiver was told, as far as it matters for what comes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Told {
    /// Operations that have not succeeded since they failed.
    pub failing: BTreeMap<String, Trouble>,
    /// Objectives that are missed.
    pub missed: BTreeMap<String, Trouble>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Trouble {
    pub since: Timestamp,
    /// Runs that failed, or looks that found it missed.
    pub times: u64,
    /// The last of these runs: who begins anew may see it again.
    pub run: Option<String>,
    pub told: Option<Telling>,
}

/// That it was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Telling {
    pub at: Timestamp,
    /// Of the category and the message without its numbers: what is the same has the same. No text, because this lies
    /// outside the encrypted repository.
    pub what: String,
}

/// What to send, and what is true afterwards.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    pub message: Option<Message>,
    /// When there was none, or it was delivered.
    pub told: Told,
    /// When it could not be delivered: the next occasion tells it.
    pub untold: Told,
}

/// Whether `event` is worth a message to somebody who was told what `former` says.
#[must_use]
pub fn decide(former: &Told, event: &Event, now: Timestamp, policy: &Policy) -> Decision {
    match event {
        Event::Run(ended) => run_ended(former, ended, now, policy),
        Event::Objective(seen, at) => objective(former, *seen, *at, now, policy),
    }
}

fn run_ended(former: &Told, ended: &RunEnded, now: Timestamp, policy: &Policy) -> Decision {
    let known = former.failing.get(&ended.operation);
    let with = |trouble: Option<Trouble>| replaced(former, ended.operation.clone(), trouble, |told| &mut told.failing);
    match &ended.ending {
        Ending::Stopped => nothing(former),
        Ending::Succeeded => {
            let Some(known) = known else { return nothing(former) };
            let is_wanted = policy.wants(Occasion::Recovery) && policy.knows(known, Occasion::Failure);
            let message = is_wanted.then(|| Message::of_run(ended, Kind::Recovery, known));
            Decision { message, told: with(None), untold: former.clone() }
        }
        Ending::Failed { category, message, .. } => {
            let what = fingerprint(&format!("{category:?} {}", message.replace(&ended.run, "")));
            let trouble = again(known, ended.time, Some(&ended.run));
            let worth = policy.wants(Occasion::Failure).then(|| policy.worth(&trouble, &what, now)).flatten();
            let message = worth.map(|is_reminder| Message::of_run(ended, Kind::Failure { is_reminder }, &trouble));
            let at_last = message.is_some().then_some(Telling { at: now, what }).or_else(|| trouble.told.clone());
            let told = with(Some(Trouble { told: at_last, ..trouble.clone() }));
            Decision { message, told, untold: with(Some(trouble)) }
        }
    }
}

fn objective(former: &Told, seen: ObjectiveSeen, at: Timestamp, now: Timestamp, policy: &Policy) -> Decision {
    let word = seen.objective.word();
    let known = former.missed.get(word);
    let with = |trouble: Option<Trouble>| replaced(former, word.to_owned(), trouble, |told| &mut told.missed);
    let wants = policy.wants(Occasion::Objective);
    if seen.is_met() {
        let Some(known) = known else { return nothing(former) };
        let message =
            (wants && known.told.is_some()).then(|| Message::of_objective(&seen, Kind::ObjectiveMet, at, known));
        return Decision { message, told: with(None), untold: former.clone() };
    }
    let trouble = again(known, at, None);
    let what = fingerprint(word);
    let worth = wants.then(|| policy.worth(&trouble, &what, now)).flatten();
    let kind = |is_reminder| Kind::ObjectiveMissed { is_reminder };
    let message = worth.map(|is_reminder| Message::of_objective(&seen, kind(is_reminder), at, &trouble));
    let at_last = message.is_some().then_some(Telling { at: now, what }).or_else(|| trouble.told.clone());
    let told = with(Some(Trouble { told: at_last, ..trouble.clone() }));
    Decision { message, told, untold: with(Some(trouble)) }
}

impl Policy {
    fn wants(&self, occasion: Occasion) -> bool {
        self.on.contains(&occasion)
    }

    /// Whether the receiver knows of the trouble, or does not want to.
    fn knows(&self, trouble: &Trouble, occasion: Occasion) -> bool {
        trouble.told.is_some() || !self.wants(occasion)
    }

    /// Whether it is told, and as a reminder. A telling that is dated in the future by more than the interval was made when
    /// a clock was wrong.
    fn worth(&self, trouble: &Trouble, what: &str, now: Timestamp) -> Option<bool> {
        match &trouble.told {
            None => Some(false),
            Some(told) if told.what != what => Some(false),
            Some(told) => (now.duration_since(told.at).unsigned_abs() >= self.remind_after).then_some(true),
        }
    }
}

fn nothing(former: &Told) -> Decision {
    Decision { message: None, told: former.clone(), untold: former.clone() }
}

fn again(known: Option<&Trouble>, time: Timestamp, run: Option<&str>) -> Trouble {
    let first = Trouble { since: time, times: 0, run: None, told: None };
    let known = known.cloned().unwrap_or(first);
    if run.is_some() && known.run.as_deref() == run {
        return known;
    }
    Trouble { times: known.times + 1, run: run.map(str::to_owned), ..known }
}

fn replaced(
    former: &Told,
    key: String,
    trouble: Option<Trouble>,
    of: impl Fn(&mut Told) -> &mut BTreeMap<String, Trouble>,
) -> Told {
    let mut told = former.clone();
    match trouble {
        Some(trouble) => of(&mut told).insert(key, trouble),
        None => of(&mut told).remove(&key),
    };
    told
}

/// Words with a digit are left out (process ids, instants, ids of points, sizes), unless they stand in back-ticks: those are
/// names.
fn fingerprint(text: &str) -> String {
    let mut hash = Sha256::new();
    for (n, part) in text.split('`').enumerate() {
        let is_name = n % 2 == 1;
        for word in part.split_whitespace().filter(|word| is_name || !word.contains(|c: char| c.is_ascii_digit())) {
            hash.update(word);
            hash.update(" ");
        }
    }
    hex::encode(&hash.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Category;
    use crate::notify::Objective;

    const HOUR: u64 = 3_600;

    fn policy(on: &[Occasion]) -> Policy {
        Policy { on: on.to_vec(), remind_after: Duration::from_secs(24 * HOUR) }
    }

    fn everything() -> Policy {
        policy(&[Occasion::Failure, Occasion::Recovery, Occasion::Objective])
    }

    fn at(hours: u64) -> Timestamp {
        Timestamp::from_second(i64::try_from(hours * HOUR).unwrap()).unwrap()
    }

    fn ended(hours: u64, ending: Ending) -> Event {
        let run = format!("snapshot-shop-{hours}");
        Event::Run(RunEnded { operation: "snapshot".into(), run, time: at(hours), ending })
    }

    fn failed(hours: u64, message: &str) -> Event {
        ended(hours, Ending::Failed { category: Category::Unavailable, message: message.into(), hint: None })
    }

    /// One life: what is told of `events`, each as its kind and how often it had happened; `false` = not delivered.
    fn live(policy: &Policy, events: &[(u64, Event, bool)]) -> Vec<String> {
        let (mut told, mut heard) = (Told::default(), Vec::new());
        for (hours, event, is_delivered) in events {
            let decision = decide(&told, event, at(*hours), policy);
            told = if *is_delivered { decision.told } else { decision.untold };
            // What is stored is all that the next process has.
            told = serde_json::from_slice(&serde_json::to_vec(&told).unwrap()).unwrap();
            heard.extend(decision.message.map(|message| format!("{hours}h {} {}", message.kind.word(), message.times)));
        }
        assert!(told.failing.len() <= 1 && told.missed.len() <= 1, "{told:?}");
        heard
    }

    #[test]
    fn the_same_failure_is_told_once_then_daily_until_it_ends() {
        let mut events: Vec<_> =
            (1..30).map(|h| (h, failed(h, &format!("cannot reach `db2`: PID {h} since 2026-11-2{h}")), true)).collect();
        events.push((30, ended(30, Ending::Stopped), true));
        events.push((31, ended(31, Ending::Succeeded), true));
        events.push((32, ended(32, Ending::Succeeded), true));
        assert_eq!(live(&everything(), &events), ["1h failure 1", "25h failure 25", "31h recovery 29"]);
    }

    #[test]
    fn another_failure_is_told_at_once() {
        let events = [
            (1, failed(1, "cannot reach `db1`"), true),
            (2, failed(2, "cannot reach `db2`"), true),
            (3, failed(3, "cannot reach `db2` in 30s"), true),
            (4, failed(4, "cannot read `db2`"), true),
        ];
        let heard = live(&everything(), &events);
        assert_eq!(heard, ["1h failure 1", "2h failure 2", "3h failure 3", "4h failure 4"], "`in` is another word");
        let again = [(1, failed(1, "held 7 s by PID 3"), true), (2, failed(2, "held 90 s by PID 4"), true)];
        assert_eq!(live(&everything(), &again), ["1h failure 1"]);
    }

    #[test]
    fn what_was_not_delivered_is_told_at_the_next_occasion() {
        let events = [
            (1, failed(1, "x"), false),
            (2, failed(2, "x"), true),
            (3, failed(3, "x"), true),
            (4, ended(4, Ending::Succeeded), false),
            (5, ended(5, Ending::Succeeded), true),
        ];
        assert_eq!(live(&everything(), &events), ["1h failure 1", "2h failure 2", "4h recovery 3", "5h recovery 3"]);
        let never = [(1, failed(1, "x"), false), (2, ended(2, Ending::Succeeded), true)];
        assert_eq!(live(&everything(), &never), ["1h failure 1"], "nobody hears of the end of what nobody heard of");
    }

    #[test]
    fn a_receiver_hears_what_it_wants_only() {
        let events = [(1, failed(1, "x"), true), (2, ended(2, Ending::Succeeded), true)];
        assert_eq!(live(&policy(&[Occasion::Failure]), &events), ["1h failure 1"]);
        assert_eq!(live(&policy(&[Occasion::Recovery]), &events), ["2h recovery 1"]);
        assert_eq!(live(&policy(&[Occasion::Objective]), &events), [""; 0]);
    }

    #[test]
    fn a_run_that_is_seen_twice_counts_once_and_is_told_once() {
        let events = [(1, failed(1, "x"), true), (2, failed(1, "x"), true), (3, failed(3, "y"), true)];
        assert_eq!(live(&everything(), &events), ["1h failure 1", "3h failure 2"]);
        let undelivered = [(1, failed(1, "x"), false), (2, failed(1, "x"), true)];
        assert_eq!(live(&everything(), &undelivered), ["1h failure 1", "2h failure 1"]);
    }

    #[test]
    fn operations_fail_and_recover_each_for_itself() {
        let policy = everything();
        let first = decide(&Told::default(), &failed(1, "x"), at(1), &policy).told;
        let drill = RunEnded { operation: "drill".into(), run: "d".into(), time: at(2), ending: Ending::Succeeded };
        let second = decide(&first, &Event::Run(drill), at(2), &policy);
        assert_eq!((second.message, &second.told), (None, &first));
    }

    #[test]
    fn an_objective_is_told_when_it_is_missed_and_when_it_is_met_again() {
        let seen = |hours: u64, achieved: Option<u64>| {
            let goal = Duration::from_secs(24 * HOUR);
            let achieved = achieved.map(|h| Duration::from_secs(h * HOUR));
            (hours, Event::Objective(ObjectiveSeen { objective: Objective::Rpo, goal, achieved }, at(hours)), true)
        };
        let events = [
            seen(1, Some(24)),
            seen(2, Some(25)),
            seen(3, None),
            seen(25, Some(48)),
            seen(26, Some(49)),
            seen(27, Some(1)),
            seen(28, Some(2)),
        ];
        let expected = ["2h objective-missed 1", "26h objective-missed 4", "27h objective-met 4"];
        assert_eq!(live(&everything(), &events), expected);
    }

    #[test]
    fn a_telling_from_a_wrong_clocks_future_does_not_silence_for_ever() {
        let policy = everything();
        let told = decide(&Told::default(), &failed(1, "x"), at(1_000), &policy).told;
        assert!(decide(&told, &failed(2, "x"), at(2), &policy).message.is_some());
        assert!(decide(&told, &failed(2, "x"), at(990), &policy).message.is_none());
    }
}
