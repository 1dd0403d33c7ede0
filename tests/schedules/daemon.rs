//! A daemon on top of the pure decisions: it has a clock that tests move, a journal in which an id is created once, and
//! runs that take their time. It goes down, and comes back to what the journal says.

use std::collections::BTreeMap;
use std::sync::Mutex;

use drydock::clock::Clock;
use drydock::schedule::{Due, LatestRun, Past, Schedule, ScheduledRun, Start, due};
use drydock::stack::Name;
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Time as the test says.
#[derive(Debug)]
pub struct SimulatedClock(Mutex<Timestamp>);

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// One run as the journal has it.
#[derive(Debug, Clone)]
pub struct Run {
    pub scheduled: Timestamp,
    pub began: Timestamp,
    /// When it ends unless something comes between.
    pub ends: Timestamp,
    pub is_over: bool,
}

pub struct Daemon<'a> {
    schedule: &'a Schedule,
    stack: Name,
    clock: SimulatedClock,
    random: StdRng,
    since: Timestamp,
    /// By id, which for one schedule on one stack is the order of the instants.
    pub journal: BTreeMap<String, Run>,
    /// When it was down, from and until.
    pub downtimes: Vec<(Timestamp, Timestamp)>,
    /// How often two daemons wanted the same run, and one was told that it is there.
    pub refused: usize,
}

impl<'a> Daemon<'a> {
    /// One that sees `schedule` first just before `from`, and is down `outages` times until `until`.
    pub fn new(
        schedule: &'a Schedule,
        stack: &str,
        from: Timestamp,
        until: Timestamp,
        outages: usize,
        seed: u64,
    ) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let seconds = until.duration_since(from).as_secs();
        let mut begins: Vec<i64> = (0..outages).map(|_| random.random_range(0..seconds)).collect();
        begins.sort_unstable();
        let mut downtimes: Vec<(Timestamp, Timestamp)> = Vec::new();
        for begin in begins {
            // from a restart of a second to a machine that was away for weeks
            let length = 1_i64 << random.random_range(0..22);
            let begin = from + SignedDuration::from_secs(begin);
            if downtimes.last().is_none_or(|(_, end)| begin > *end) {
                downtimes.push((begin, begin + SignedDuration::from_secs(length + random.random_range(0..60))));
            }
        }
        Self {
            schedule,
            stack: stack.parse().unwrap(),
            clock: SimulatedClock(Mutex::new(from)),
            random,
            since: from - SignedDuration::from_nanos(1),
            journal: BTreeMap::new(),
            downtimes,
            refused: 0,
        }
    }

    /// Lives until `until`; `length` is how long a run takes.
    pub fn live(&mut self, until: Timestamp, mut length: impl FnMut(&mut StdRng) -> SignedDuration) {
        let mut downtimes = self.downtimes.clone().into_iter().peekable();
        while self.clock.now() < until {
            let now = self.clock.now();
            if let Some((_, back)) = downtimes.next_if(|(begin, _)| *begin <= now) {
                self.go_down(now, back);
                continue;
            }
            self.end_runs(now);
            let next = self.decide(now, &mut length);
            let end = self.going_on().map(|run| run.ends);
            let outage = downtimes.peek().map(|(begin, _)| *begin);
            // Somebody looks at it now and then, which must change nothing.
            let look = (self.random.random_range(0..8) == 0)
                .then(|| now + SignedDuration::from_secs(self.random.random_range(1..20_000)));
            let wake = [next, end, outage, look].into_iter().flatten().min().unwrap_or(until);
            assert!(wake > now, "time goes on: {now}");
            *self.clock.0.lock().unwrap() = wake;
        }
    }

    /// A run that goes on is resumed when the daemon is back, and so ends that much later.
    fn go_down(&mut self, now: Timestamp, back: Timestamp) {
        let away = back.duration_since(now);
        if let Some(run) = self.going_on().filter(|run| run.ends > now) {
            run.ends += away;
        }
        *self.clock.0.lock().unwrap() = back;
    }

    fn end_runs(&mut self, now: Timestamp) {
        if let Some(run) = self.going_on().filter(|run| run.ends <= now) {
            run.is_over = true;
        }
    }

    /// The newest, if it is not over; one is replaced before the next begins.
    fn going_on(&mut self) -> Option<&mut Run> {
        self.journal.values_mut().next_back().filter(|run| !run.is_over)
    }

    /// What the journal tells, as a daemon reads it that has just started.
    fn past(&self) -> Past {
        let newest = self.journal.iter().next_back().map(|(id, run)| {
            let id: ScheduledRun = id.parse().unwrap();
            LatestRun { scheduled: id.scheduled, ended: run.is_over.then_some(run.ends) }
        });
        Past { since: self.since, newest }
    }

    /// Two daemons decide by the same journal, then both act; the next start, where nothing is to be done.
    fn decide(&mut self, now: Timestamp, length: &mut impl FnMut(&mut StdRng) -> SignedDuration) -> Option<Timestamp> {
        let decisions = [(); 2].map(|()| due(self.schedule, &self.stack, &self.past(), now));
        assert_eq!(decisions[0], decisions[1]);
        let mut next = None;
        for decision in decisions {
            match decision {
                Due::Run(start) => {
                    self.start(start, now, length);
                    next = Some(now + SignedDuration::from_secs(1));
                }
                Due::Wait(wait) => next = wait.next,
            }
        }
        next
    }

    fn start(&mut self, start: Start, now: Timestamp, length: &mut impl FnMut(&mut StdRng) -> SignedDuration) {
        let id = ScheduledRun {
            operation: self.schedule.spec.operation.word().parse().unwrap(),
            stack: self.stack.clone(),
            scheduled: start.scheduled,
            schedule: self.schedule.name.clone(),
        };
        let id = id.to_string();
        if self.journal.contains_key(&id) {
            self.refused += 1;
            return;
        }
        if let Some(replaced) = start.replaces {
            let run = self.going_on().expect("what is replaced goes on");
            assert_eq!(run.scheduled, replaced);
            (run.ends, run.is_over) = (now, true);
        }
        let ends = now + length(&mut self.random);
        self.journal.insert(id, Run { scheduled: start.scheduled, began: now, ends, is_over: false });
    }
}
