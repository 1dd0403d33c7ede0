//! Which task a free connection takes next: the longest chain of work first, nothing before what it needs, and never two
//! at once of which one would wait for the other's lock. Pure: it runs nothing and knows no server.

use std::collections::BTreeSet;

/// A task's place in the schedule.
pub type TaskId = usize;

/// What a task needs of the others.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// Tasks that must be done before.
    pub after: Vec<TaskId>,
    /// Tables that it reads or changes, by any number that names them.
    pub touches: BTreeSet<u32>,
    /// Those of them that no other task may touch meanwhile: it would wait for the lock and idle a connection.
    pub alone_on: BTreeSet<u32>,
    /// How long it will take, in any unit that all tasks share; decides who goes first, never whether.
    pub cost: u64,
}

/// What a free connection is told.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Run this one; `alone` when no other task runs or could run beside it now.
    Run {
        task: TaskId,
        alone: bool,
    },
    /// Ask again when another task is done.
    Wait,
    Done,
}

/// Tasks that need each other in a circle.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} tasks wait for each other in a circle")]
pub struct Circle(pub usize);

#[derive(Debug)]
struct State {
    needs: Needs,
    then: Vec<TaskId>,
    waits_for: usize,
    /// Its own cost and that of the longest chain behind it.
    rank: u64,
}

#[derive(Debug)]
pub struct Schedule {
    tasks: Vec<State>,
    /// Nothing is left that they wait for; the highest rank last.
    ready: Vec<TaskId>,
    running: Vec<TaskId>,
    left: usize,
}

impl Schedule {
    pub fn new(needs: Vec<Needs>) -> Result<Self, Circle> {
        let mut tasks: Vec<State> = needs
            .into_iter()
            .map(|needs| State { waits_for: needs.after.len(), rank: needs.cost, then: Vec::new(), needs })
            .collect();
        for task in 0..tasks.len() {
            for before in tasks[task].needs.after.clone() {
                tasks[before].then.push(task);
            }
        }
        rank(&mut tasks)?;
        let mut this = Self { left: tasks.len(), ready: Vec::new(), running: Vec::new(), tasks };
        for task in 0..this.tasks.len() {
            if this.tasks[task].waits_for == 0 {
                this.make_ready(task);
            }
        }
        Ok(this)
    }

    pub fn next(&mut self) -> Next {
        if self.left == 0 {
            return Next::Done;
        }
        let Some(place) = self.ready.iter().rposition(|task| self.may_run(*task)) else { return Next::Wait };
        let task = self.ready.remove(place);
        let alone = self.running.is_empty();
        self.running.push(task);
        let alone = alone && !self.ready.iter().any(|other| self.may_run(*other));
        Next::Run { task, alone }
    }

    /// Takes note that `task` is done; others may be ready now.
    pub fn done(&mut self, task: TaskId) {
        self.running.retain(|running| *running != task);
        self.left -= 1;
        for then in self.tasks[task].then.clone() {
            self.tasks[then].waits_for -= 1;
            if self.tasks[then].waits_for == 0 {
                self.make_ready(then);
            }
        }
    }

    fn make_ready(&mut self, task: TaskId) {
        // Among equals the first in the archive's order goes first.
        let key = |t: TaskId| (self.tasks[t].rank, std::cmp::Reverse(t));
        let place = self.ready.partition_point(|other| key(*other) < key(task));
        self.ready.insert(place, task);
    }

    fn may_run(&self, task: TaskId) -> bool {
        let wants = &self.tasks[task].needs;
        self.running.iter().all(|running| {
            let has = &self.tasks[*running].needs;
            wants.alone_on.is_disjoint(&has.touches) && has.alone_on.is_disjoint(&wants.touches)
        })
    }
}

/// Fills in each task's rank, from the last to the first.
fn rank(tasks: &mut [State]) -> Result<(), Circle> {
    let mut open: Vec<usize> = tasks.iter().map(|task| task.then.len()).collect();
    let mut ready: Vec<TaskId> = (0..tasks.len()).filter(|task| open[*task] == 0).collect();
    let mut ranked = 0;
    while let Some(task) = ready.pop() {
        ranked += 1;
        let behind = tasks[task].then.iter().map(|then| tasks[*then].rank).max().unwrap_or(0);
        tasks[task].rank = tasks[task].rank.saturating_add(behind);
        for before in tasks[task].needs.after.clone() {
            open[before] -= 1;
            if open[before] == 0 {
                ready.push(before);
            }
        }
    }
    if ranked == tasks.len() { Ok(()) } else { Err(Circle(tasks.len() - ranked)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn needs(cost: u64, after: &[TaskId], touches: &[u32], alone_on: &[u32]) -> Needs {
        let touches = touches.iter().chain(alone_on).copied().collect();
        Needs { after: after.to_vec(), touches, alone_on: alone_on.iter().copied().collect(), cost }
    }

    #[test]
    fn the_longest_chain_goes_first_and_the_last_one_is_alone() {
        // A small table with many indexes (chain 10 + 50) goes before a larger one without any (40).
        let mut schedule =
            Schedule::new(vec![needs(40, &[], &[1], &[]), needs(10, &[], &[2], &[]), needs(50, &[1], &[2], &[])])
                .unwrap();
        assert_eq!(schedule.next(), Next::Run { task: 1, alone: false });
        assert_eq!(schedule.next(), Next::Run { task: 0, alone: false });
        assert_eq!(schedule.next(), Next::Wait);
        schedule.done(0);
        assert_eq!(schedule.next(), Next::Wait);
        schedule.done(1);
        assert_eq!(schedule.next(), Next::Run { task: 2, alone: true });
        schedule.done(2);
        assert_eq!(schedule.next(), Next::Done);
    }

    #[test]
    fn what_would_wait_for_a_lock_waits_here_and_lets_others_pass() {
        let mut schedule =
            Schedule::new(vec![needs(9, &[], &[], &[1, 2]), needs(5, &[], &[2], &[]), needs(1, &[], &[3], &[])])
                .unwrap();
        assert_eq!(schedule.next(), Next::Run { task: 0, alone: false });
        assert_eq!(schedule.next(), Next::Run { task: 2, alone: false });
        schedule.done(0);
        assert_eq!(schedule.next(), Next::Run { task: 1, alone: false });
    }

    #[test]
    fn a_circle_is_noticed_before_anything_runs() {
        let circle = Schedule::new(vec![needs(1, &[1], &[], &[]), needs(1, &[0], &[], &[]), needs(1, &[], &[], &[])]);
        assert_eq!(circle.err(), Some(Circle(2)));
    }

    proptest! {
        #[test]
        fn everything_runs_once_after_what_it_needs_and_never_beside_what_excludes_it(
            shape in prop::collection::vec((0u64..100, prop::collection::vec(0usize..30, 0..4),
                prop::collection::vec(0u32..6, 0..3), prop::collection::vec(0u32..6, 0..2)), 1..30),
            connections in 1usize..5,
            picks in prop::collection::vec(0usize..5, 200),
        ) {
            let all: Vec<Needs> = shape.iter().enumerate().map(|(n, (cost, after, touches, alone_on))| {
                let mut after: Vec<TaskId> = after.iter().filter(|a| **a < n).copied().collect();
                after.sort_unstable();
                after.dedup();
                needs(*cost, &after, touches, alone_on)
            }).collect();
            let mut schedule = Schedule::new(all.clone()).unwrap();
            let (mut running, mut done, mut picks) = (Vec::<TaskId>::new(), Vec::<TaskId>::new(), picks.into_iter());
            loop {
                let next = if running.len() < connections { schedule.next() } else { Next::Wait };
                match next {
                    Next::Done => break,
                    Next::Run { task, .. } => {
                        prop_assert!(all[task].after.iter().all(|before| done.contains(before)));
                        prop_assert!(running.iter().all(|other| all[task].alone_on.is_disjoint(&all[*other].touches)
                            && all[*other].alone_on.is_disjoint(&all[task].touches)));
                        running.push(task);
                    }
                    Next::Wait => {
                        prop_assert!(!running.is_empty(), "nothing runs and nothing may");
                        let task = running.remove(picks.next().unwrap_or(0) % running.len());
                        schedule.done(task);
                        done.push(task);
                    }
                }
            }
            done.sort_unstable();
            prop_assert_eq!(done, (0..all.len()).collect::<Vec<_>>());
        }
    }
}
