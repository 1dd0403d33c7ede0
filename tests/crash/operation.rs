//! What is killed, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;

/// A command line that is killed and afterwards run to its end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Snapshot,
    ForgetAndPrune,
    RestoreInPlace { point: String },
    RestoreToFolder { point: String },
}

impl Operation {
    fn kind(&self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::ForgetAndPrune => "forget and prune",
            Self::RestoreInPlace { .. } => "restore in place",
            Self::RestoreToFolder { .. } => "restore to a folder",
        }
    }
}

pub enum Outcome {
    Killed,
    /// It ended by itself before its time came.
    Finished(Duration),
}

/// How long each kind takes, so that kills fall evenly over its whole length.
#[derive(Default)]
pub struct Pace(BTreeMap<&'static str, Duration>);

impl Pace {
    pub fn note(&mut self, operation: &Operation, took: Duration) {
        self.0.insert(operation.kind(), took);
    }

    pub fn delay(&self, operation: &Operation, random: &mut SmallRng) -> Duration {
        let usual = self.0.get(operation.kind()).copied().unwrap_or(Duration::from_secs(1));
        usual.mul_f64(random.random_range(0.0..1.1))
    }
}
