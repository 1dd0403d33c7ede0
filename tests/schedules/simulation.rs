//! Five years of a daemon that goes down, is asked at odd times, and has runs that take longer than they should: every
//! instant that the brute force found has its run at the first moment at which it may begin, or a reason why none.

use drydock::schedule::{ConcurrencyPolicy, Schedule};
use jiff::{SignedDuration, Timestamp};
use rand::RngExt;

use crate::brute_force::expected;
use crate::daemon::{Daemon, Run};

const STACK: &str = "papg";

/// What the daemon did, judged without asking the code that decides.
struct Judge<'a> {
    instants: &'a [Timestamp],
    offset: SignedDuration,
    policy: ConcurrencyPolicy,
    deadline: Option<SignedDuration>,
    downtimes: &'a [(Timestamp, Timestamp)],
    runs: Vec<&'a Run>,
    until: Timestamp,
}

#[derive(Debug, Default)]
struct Tally {
    ran: usize,
    late: usize,
    left_out: usize,
}

impl Judge<'_> {
    fn is_up(&self, moment: Timestamp) -> bool {
        let next = self.downtimes.partition_point(|(begin, _)| *begin <= moment);
        next == 0 || self.downtimes[next - 1].1 <= moment
    }

    /// The run that began before `moment` and had not ended then.
    fn busy(&self, moment: Timestamp) -> Option<&Run> {
        let next = self.runs.partition_point(|run| run.began < moment);
        (next > 0).then(|| self.runs[next - 1]).filter(|run| run.ends > moment)
    }

    /// The first moment at which instant `n` may begin, while it is the newest.
    fn first_moment(&self, n: usize) -> Option<Timestamp> {
        let start = self.instants[n] + self.offset;
        let superseded = self.instants.get(n + 1).map_or(self.until, |next| *next + self.offset);
        if self.policy == ConcurrencyPolicy::Forbid && self.busy(start).is_some() {
            return None;
        }
        let mut moment = start;
        // What hinders is a downtime or a run; both end, and then the next may hinder.
        loop {
            let down =
                self.downtimes.iter().find(|(begin, end)| *begin <= moment && moment < *end).map(|(_, end)| *end);
            let waits = self.policy != ConcurrencyPolicy::Replace;
            let end = down.or_else(|| self.busy(moment).filter(|_| waits).map(|run| run.ends));
            match end {
                Some(end) => moment = end,
                None => break,
            }
        }
        let in_time = self.deadline.is_none_or(|deadline| moment.duration_since(start) <= deadline);
        (in_time && moment < superseded && moment < self.until).then_some(moment)
    }

    fn judge(&self, what: &str) -> Tally {
        for pair in self.runs.windows(2) {
            assert!(pair[0].scheduled < pair[1].scheduled, "{what}: an older instant after a newer one: {pair:?}");
            assert!(pair[0].ends <= pair[1].began, "{what}: two runs at once: {pair:?}");
        }
        let mut tally = Tally::default();
        let mut runs = self.runs.iter();
        for (n, instant) in self.instants.iter().enumerate() {
            let Some(moment) = self.first_moment(n) else {
                tally.left_out += 1;
                continue;
            };
            assert!(self.is_up(moment));
            let run = runs.next().unwrap_or_else(|| panic!("{what}: {instant} was missed"));
            assert_eq!(
                (run.scheduled, run.began),
                (*instant, moment),
                "{what}: a run too many, or one that was missed"
            );
            tally.ran += 1;
            tally.late += usize::from(moment > *instant + self.offset);
        }
        assert_eq!(runs.next().map(|run| run.scheduled), None, "{what}: a run for no instant");
        tally
    }
}

fn schedule(cron: &str, zone: &str, policy: &str, more: &str) -> Schedule {
    let text = format!(
        "apiVersion: drydock.dev/v1alpha1\nkind: Schedule\nmetadata: {{name: simulated}}\nspec:\n  \
         operation: {{snapshot: {{}}}}\n  cron: '{cron}'\n  timeZone: {zone}\n  concurrencyPolicy: {policy}\n{more}"
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("simulated.yaml"), text).unwrap();
    drydock::schedule::load(folder.path()).unwrap().remove(0)
}

const POLICIES: [&str; 3] = ["forbid", "queue", "replace"];
const MORE: [&str; 4] = ["", "  startingDeadline: 3h\n", "  jitter: 20m\n", "  jitter: 20m\n  startingDeadline: 40m\n"];

/// Which lives are lived: seldom instants under every policy in every zone, frequent ones in turn, so that each expression
/// and each zone has its share and the whole takes seconds. `LIVES=all` lives all of them, which takes minutes.
fn is_lived(zone: usize, expression: usize, policy: usize, instants: usize) -> bool {
    let one_in = match instants {
        0..500 => 1,
        500..4_000 => 6,
        4_000..50_000 => 27,
        _ => return std::env::var_os("LIVES").is_some(),
    };
    std::env::var_os("LIVES").is_some() || (zone + 2 * expression + 4 * policy).is_multiple_of(one_in)
}

#[test]
fn five_years_with_downtimes_and_long_runs_miss_nothing_and_double_nothing() {
    let expected = expected();
    let mut sum = Tally::default();
    let mut cases = 0;
    for (z, zone) in expected.zones.iter().enumerate() {
        let (from, until) = (crate::at(&zone.from.replace('Z', ":00Z")), crate::at(&zone.until.replace('Z', ":00Z")));
        for (e, expression) in zone.expressions.iter().enumerate() {
            let lived = |p: &usize| is_lived(z, e, *p, expression.count);
            let lives: Vec<usize> = (0..POLICIES.len()).filter(lived).collect();
            if lives.is_empty() {
                continue;
            }
            let instants = zone.instants(expression);
            for p in lives {
                let (policy, more) = (POLICIES[p], MORE[(z + e + p) % MORE.len()]);
                let schedule = schedule(&expression.cron, &zone.zone, policy, more);
                let seed = u64::try_from(z * 10_000 + e * 10 + p).unwrap();
                let mut daemon = Daemon::new(&schedule, STACK, from, until, 80, seed);
                let spacing = until.duration_since(from).as_secs() / i64::try_from(instants.len()).unwrap();
                daemon.live(until, |random| {
                    // most are short; one in ten takes longer than it is to the next, up to three times
                    let usual = random.random_range(0..spacing.min(3_600) / 2);
                    let long = random.random_range(0..10) == 0;
                    SignedDuration::from_secs(1 + if long { random.random_range(0..3 * spacing) } else { usual })
                });
                let what = format!("`{}` in {} {policy} {more}", expression.cron, zone.zone);
                let mut runs: Vec<&Run> = daemon.journal.values().collect();
                runs.sort_by_key(|run| run.began);
                let judge = Judge {
                    instants: &instants,
                    offset: schedule.offset(&STACK.parse().unwrap()),
                    policy: schedule.spec.concurrency_policy,
                    deadline: schedule.spec.starting_deadline.map(|deadline| deadline.try_into().unwrap()),
                    downtimes: &daemon.downtimes,
                    runs,
                    until,
                };
                let tally = judge.judge(&what);
                assert_eq!(daemon.refused, tally.ran, "{what}: of two daemons one is refused each time");
                sum = Tally {
                    ran: sum.ran + tally.ran,
                    late: sum.late + tally.late,
                    left_out: sum.left_out + tally.left_out,
                };
                cases += 1;
            }
        }
    }
    println!("{cases} lives of five years: {sum:?}");
    assert!(cases > 200 && sum.ran > 50_000 && sum.late > 1_000 && sum.left_out > 5_000, "{cases} {sum:?}");
}
