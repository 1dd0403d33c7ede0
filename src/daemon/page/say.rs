//! Instants, sizes and verdicts as the pages say them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::run::Stage;
use crate::stack::{ByteSize, duration};
use crate::status::{Goal, Standing};

/// For people and for machines.
pub struct Instant {
    pub text: String,
    pub datetime: String,
}

impl Instant {
    #[must_use]
    pub fn of(time: Timestamp) -> Self {
        let utc = time.to_zoned(TimeZone::UTC);
        Self { text: utc.strftime("%Y-%m-%d %H:%M UTC").to_string(), datetime: format!("{time:.0}") }
    }
}

/// A word with its sign and its tone (`good`, `bad`, `late`, `busy`, `neutral`): color is never the only sign.
#[derive(Clone, Copy)]
pub struct Verdict {
    pub word: &'static str,
    pub sign: &'static str,
    pub class: &'static str,
}

impl Verdict {
    #[must_use]
    pub const fn new(word: &'static str, sign: &'static str, class: &'static str) -> Self {
        Self { word, sign, class }
    }

    #[must_use]
    pub fn of_standing(standing: Standing) -> Self {
        match standing {
            Standing::Running => Self::new("running", "▸", "busy"),
            Standing::CutOff => Self::new("cut off", "!", "late"),
            Standing::Parked => Self::new("parked", "–", "late"),
            Standing::Waiting => Self::new("needs a person", "!", "bad"),
            Standing::Succeeded => Self::new("succeeded", "✓", "good"),
            Standing::Failed => Self::new("failed", "✕", "bad"),
            Standing::Abandoned => Self::new("abandoned", "–", "neutral"),
        }
    }

    #[must_use]
    pub fn of_stage(stage: Stage) -> Self {
        match stage {
            Stage::Pending => Self::new("to come", "·", "neutral"),
            Stage::Intended | Stage::Applied => Self::new("under way", "▸", "busy"),
            Stage::Verified => Self::new("verified", "✓", "good"),
            Stage::Failed => Self::new("failed", "✕", "bad"),
            Stage::UndoIntended => Self::new("being undone", "▸", "late"),
            Stage::Undone => Self::new("undone", "–", "neutral"),
            Stage::UndoFailed => Self::new("cannot be undone", "✕", "bad"),
        }
    }

    #[must_use]
    pub fn of_goal(goal: Goal) -> Self {
        match goal {
            Goal::Met => Self::new("within", "✓", "good"),
            Goal::Missed => Self::new("missed", "✕", "bad"),
            Goal::NotYet => Self::new("not measured yet", "·", "neutral"),
            Goal::None => Self::new("no objective", "·", "neutral"),
        }
    }
}

#[must_use]
pub fn ms(ms: u64) -> String {
    duration::human(std::time::Duration::from_millis(ms))
}

#[must_use]
pub fn size(bytes: u64) -> String {
    ByteSize(bytes).to_string()
}

/// `3h ago`, `in 20m`.
#[must_use]
pub fn distance(time: Timestamp, now: Timestamp) -> String {
    let passed = now.duration_since(time);
    let text = duration::human(passed.unsigned_abs());
    if passed.is_negative() { format!("in {text}") } else { format!("{text} ago") }
}

/// `1,234,567`.
#[must_use]
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let parted = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned());
    parted.collect::<Vec<_>>().join(",")
}
