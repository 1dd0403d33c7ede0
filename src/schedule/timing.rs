//! The instants at which an expression fires in a zone, where clocks repeat hours and leave hours out.

use jiff::Timestamp;

use super::cron::Pace;
use super::zone::Stretch;
use super::{Cron, Zone};

/// An expression on the walls of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    pub cron: Cron,
    pub zone: Zone,
}

/// What a change of the clocks did to an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shift {
    /// The wall never showed the time that was meant; this is right after the gap.
    AfterGap,
    /// The wall shows this time twice; this is the first of the two, and the second is left out.
    FirstOfTwo,
}

impl Timing {
    /// The first instant later than `after`; none beyond the year 9999.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let mut from = whole_second(after).checked_add(1)?;
        loop {
            let stretch = self.zone.stretch(from)?;
            if let Some(found) = self.first_in(&stretch, from) {
                return Timestamp::from_second(found).ok();
            }
            from = stretch.end;
        }
    }

    /// The newest instant not later than `until`; none before the year -9999.
    #[must_use]
    pub fn newest(&self, until: Timestamp) -> Option<Timestamp> {
        let mut to = whole_second(until);
        loop {
            let stretch = self.zone.stretch(to)?;
            if let Some(found) = self.last_in(&stretch, to) {
                return Timestamp::from_second(found).ok();
            }
            to = stretch.start.checked_sub(1)?;
        }
    }

    /// All instants later than `after`, in order, each once.
    pub fn after(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(self.next(after), |last| self.next(*last))
    }

    /// What a change of the clocks did to `instant`, which is one of these.
    #[must_use]
    pub fn shift(&self, instant: Timestamp) -> Option<Shift> {
        let stretch = self.zone.stretch(whole_second(instant))?;
        let wall = instant.as_second() + stretch.offset;
        if self.cron.pace() == Pace::Elapsed {
            return None;
        }
        if instant.as_second() == stretch.start && self.gap_is_hit(&stretch) && !self.cron.names(wall.div_euclid(60)) {
            return Some(Shift::AfterGap);
        }
        let after = self.zone.stretch(stretch.end)?;
        (wall >= stretch.end.saturating_add(after.offset)).then_some(Shift::FirstOfTwo)
    }

    /// The first second from `from` on within the stretch.
    fn first_in(&self, stretch: &Stretch, from: i64) -> Option<i64> {
        if from == stretch.start && self.gap_is_hit(stretch) {
            return Some(from);
        }
        let wall = (from + stretch.offset).max(self.repeated_until(stretch));
        let found = self.cron.wall_from(wall.div_euclid(60) + i64::from(wall.rem_euclid(60) > 0))?;
        let at = found * 60 - stretch.offset;
        (at < stretch.end).then_some(at)
    }

    /// The last second up to `to` within the stretch.
    fn last_in(&self, stretch: &Stretch, to: i64) -> Option<i64> {
        let found = self.cron.wall_until((to + stretch.offset).div_euclid(60));
        let regular = found.filter(|found| found * 60 >= self.repeated_until(stretch));
        let regular = regular.map(|found| found * 60 - stretch.offset).filter(|at| *at >= stretch.start);
        regular.or_else(|| self.gap_is_hit(stretch).then_some(stretch.start))
    }

    /// Whether something fixed was meant for what the wall leaves out just before the stretch.
    fn gap_is_hit(&self, stretch: &Stretch) -> bool {
        if self.cron.pace() == Pace::Elapsed || stretch.former >= stretch.offset {
            return false;
        }
        let (gap, end) = (stretch.start + stretch.former, stretch.start + stretch.offset);
        let first = self.cron.wall_from(gap.div_euclid(60) + i64::from(gap.rem_euclid(60) > 0));
        first.is_some_and(|first| first * 60 < end)
    }

    /// Until when the wall shows again what it has shown before, where that does not count.
    fn repeated_until(&self, stretch: &Stretch) -> i64 {
        if self.cron.pace() == Pace::Elapsed || stretch.former <= stretch.offset {
            return i64::MIN;
        }
        stretch.start + stretch.former
    }
}

/// The second that `instant` lies in, also before 1970.
fn whole_second(instant: Timestamp) -> i64 {
    instant.as_second() - i64::from(instant.subsec_nanosecond() < 0)
}
