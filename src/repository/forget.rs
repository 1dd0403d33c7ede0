//! Which snapshots (or recovery points) a retention policy keeps: a pure function, restic's rules, and three of our
//! own: nothing that is protected is dropped, nothing that is dated after now is dropped or counted, and the time zone
//! is said. Owns the decision and its reasons; refuses to remove anything.
//! Source of the rules: restic 0.14 `internal/restic/snapshot_policy.go`. (Since 0.16 restic also keeps the oldest of all
//! while a rule has places left; that is not taken over.)

mod within;

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize, Serializer};

pub use within::{InvalidWithin, Within};

/// What is kept. Of each hour, day, week … the newest is kept, for the last so many in which there is one.
/// Without any rule but `max_age` nothing is dropped but by that.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    pub last: u32,
    pub hourly: u32,
    pub daily: u32,
    /// ISO 8601 weeks, which begin on Monday.
    pub weekly: u32,
    pub monthly: u32,
    pub yearly: u32,
    /// Everything that is at most this much older than the newest (not than now: when backups stop, nothing goes).
    pub within: Option<Within>,
    /// The newest of each hour … that is at most this much older than the newest of all.
    pub within_hourly: Option<Within>,
    pub within_daily: Option<Within>,
    pub within_weekly: Option<Within>,
    pub within_monthly: Option<Within>,
    pub within_yearly: Option<Within>,
    /// Everything that has all the tags of one of these lists.
    pub tags: Vec<Vec<String>>,
    /// The duty to erase: what is older than this before now is dropped whatever the rules above say, unless it is
    /// protected.
    pub max_age: Option<Duration>,
}

/// One snapshot or recovery point to decide on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<Id> {
    pub id: Id,
    pub time: Timestamp,
    pub tags: Vec<String>,
    /// Why it must never be dropped: "newest proven", "last complete", "kept by a person: audit 2026". Empty = it may.
    pub protected: Vec<String>,
}

/// What becomes of one candidate, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision<Id> {
    pub id: Id,
    pub time: Timestamp,
    pub keep: bool,
    /// Never empty.
    pub reasons: Vec<Reason>,
    /// Older than `max_age` and kept all the same, because it is protected: to be said, it is a duty not done.
    pub overdue: bool,
}

/// Why something is kept or dropped. The text of the kept ones is restic's where restic has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    Protected(String),
    /// Dated after now: a clock was wrong, then or now, so its age says nothing.
    Future,
    NoRules,
    Tags(Vec<String>),
    Within(Within),
    Last,
    Newest(Period),
    NewestWithin(Period, Within),
    /// Dropped: no rule keeps it.
    NoRuleKeepsIt,
    /// Dropped: the duty to erase.
    TooOld(Duration),
}

/// A stretch of the calendar of which the newest is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// Decides on every candidate; the newest comes first, equal times in the order of their ids.
///
/// `now` bounds what may be dropped: pass the *earlier* of this machine's clock and the store's, so that a clock that
/// runs ahead makes nothing look old. A clock that jumped back makes candidates look dated in the future, and those are
/// kept and take no other one's place.
#[must_use]
pub fn decide<Id: Ord + Clone>(
    policy: &Policy,
    candidates: &[Candidate<Id>],
    now: Timestamp,
    zone: &TimeZone,
) -> Vec<Decision<Id>> {
    let mut sorted: Vec<&Candidate<Id>> = candidates.iter().collect();
    sorted.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| a.id.cmp(&b.id)));
    let newest = sorted.iter().map(|c| c.time).find(|time| *time <= now);
    let mut rules = Rules::new(policy, newest, zone);
    sorted.into_iter().map(|candidate| decide_one(policy, &mut rules, candidate, now)).collect()
}

fn decide_one<Id: Clone>(
    policy: &Policy,
    rules: &mut Rules,
    candidate: &Candidate<Id>,
    now: Timestamp,
) -> Decision<Id> {
    let mut reasons: Vec<Reason> = candidate.protected.iter().cloned().map(Reason::Protected).collect();
    let too_old = policy.max_age.filter(|age| older_than(candidate.time, *age, now));
    if candidate.time > now {
        reasons.push(Reason::Future);
    } else {
        let kept_by = rules.keep(policy, candidate.time, &candidate.tags);
        if too_old.is_none() {
            reasons.extend(kept_by);
        }
    }
    let keep = !reasons.is_empty();
    if !keep {
        reasons.push(too_old.map_or(Reason::NoRuleKeepsIt, Reason::TooOld));
    }
    Decision { id: candidate.id.clone(), time: candidate.time, keep, reasons, overdue: keep && too_old.is_some() }
}

/// Without room before the beginning of time nothing is too old.
fn older_than(time: Timestamp, age: Duration, now: Timestamp) -> bool {
    now.checked_sub(age).is_ok_and(|limit| time < limit)
}

/// A rule that keeps the newest of each period, counted or back to a limit.
#[derive(Debug)]
struct Bucket {
    /// `None`: every snapshot is a period of its own.
    period: Option<Period>,
    /// How many more it keeps; `None` = bounded by `after` alone.
    left: Option<u32>,
    /// Keeps only what is dated after this.
    after: Option<Timestamp>,
    within: Option<Within>,
    /// The period of the last one that it saw.
    last: Option<i64>,
}

/// The rules of a policy while they go through the candidates, newest first.
#[derive(Debug)]
struct Rules {
    zone: TimeZone,
    within: Option<(Within, Timestamp)>,
    buckets: Vec<Bucket>,
}

impl Rules {
    fn new(policy: &Policy, newest: Option<Timestamp>, zone: &TimeZone) -> Self {
        let since = |within: Option<Within>| within.zip(newest).map(|(w, newest)| (w, w.before(newest, zone)));
        let counted = [
            (None, policy.last),
            (Some(Period::Hour), policy.hourly),
            (Some(Period::Day), policy.daily),
            (Some(Period::Week), policy.weekly),
            (Some(Period::Month), policy.monthly),
            (Some(Period::Year), policy.yearly),
        ];
        let bounded = [
            (Period::Hour, policy.within_hourly),
            (Period::Day, policy.within_daily),
            (Period::Week, policy.within_weekly),
            (Period::Month, policy.within_monthly),
            (Period::Year, policy.within_yearly),
        ];
        let counted = counted.into_iter().filter(|(_, count)| *count > 0).map(|(period, count)| Bucket {
            period,
            left: Some(count),
            after: None,
            within: None,
            last: None,
        });
        let bounded = bounded.into_iter().filter_map(|(period, within)| since(within).map(|since| (period, since)));
        let bounded = bounded.map(|(period, (within, after))| Bucket {
            period: Some(period),
            left: None,
            after: Some(after),
            within: Some(within),
            last: None,
        });
        Self { zone: zone.clone(), within: since(policy.within), buckets: counted.chain(bounded).collect() }
    }

    fn keep(&mut self, policy: &Policy, time: Timestamp, tags: &[String]) -> Vec<Reason> {
        if !policy.has_keep_rules() {
            return vec![Reason::NoRules];
        }
        let has = |list: &&Vec<String>| list.iter().all(|tag| tags.contains(tag));
        let mut reasons: Vec<Reason> = policy.tags.iter().filter(has).cloned().map(Reason::Tags).collect();
        reasons.extend(self.within.filter(|(_, after)| time > *after).map(|(within, _)| Reason::Within(within)));
        reasons.extend(self.buckets.iter_mut().filter_map(|bucket| bucket.keep(time, &self.zone)));
        reasons
    }
}

impl Bucket {
    fn keep(&mut self, time: Timestamp, zone: &TimeZone) -> Option<Reason> {
        if self.left == Some(0) || self.after.is_some_and(|after| time <= after) {
            return None;
        }
        if let Some(period) = self.period {
            let this = period.of(time, zone);
            if self.last.replace(this) == Some(this) {
                return None;
            }
        }
        self.left = self.left.map(|left| left - 1);
        Some(match (self.period, self.within) {
            (None, _) => Reason::Last,
            (Some(period), None) => Reason::Newest(period),
            (Some(period), Some(within)) => Reason::NewestWithin(period, within),
        })
    }
}

impl Policy {
    /// Whether any rule but `max_age` says what to keep; without one everything is kept.
    #[must_use]
    pub fn has_keep_rules(&self) -> bool {
        *self != Self { max_age: self.max_age, ..Self::default() }
    }
}

impl Period {
    /// A number that is the same for all times of one period and differs between neighbours.
    fn of(self, time: Timestamp, zone: &TimeZone) -> i64 {
        let local = zone.to_datetime(time);
        let (year, month, day) = (i64::from(local.year()), i64::from(local.month()), i64::from(local.day()));
        match self {
            Self::Hour => ((year * 100 + month) * 100 + day) * 100 + i64::from(local.hour()),
            Self::Day => (year * 100 + month) * 100 + day,
            Self::Week => {
                let week = local.date().iso_week_date();
                i64::from(week.year()) * 100 + i64::from(week.week())
            }
            Self::Month => year * 100 + month,
            Self::Year => year,
        }
    }

    fn adverb(self) -> &'static str {
        match self {
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Week => "weekly",
            Self::Month => "monthly",
            Self::Year => "yearly",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protected(why) => f.write_str(why),
            Self::Future => f.write_str("dated in the future"),
            Self::NoRules => f.write_str("policy is empty"),
            Self::Tags(tags) => write!(f, "has tags [{}]", tags.join(", ")),
            Self::Within(within) => write!(f, "within {within}"),
            Self::Last => f.write_str("last snapshot"),
            Self::Newest(period) => write!(f, "{} snapshot", period.adverb()),
            Self::NewestWithin(period, within) => write!(f, "{} within {within}", period.adverb()),
            Self::NoRuleKeepsIt => f.write_str("no rule keeps it"),
            Self::TooOld(age) => write!(f, "older than the maximum age of {}", Within::from(*age)),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
