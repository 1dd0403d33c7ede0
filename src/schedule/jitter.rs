//! How much later than its instant a schedule starts on a stack.

use std::time::Duration;

use jiff::SignedDuration;
use sha2::{Digest, Sha256};

use super::ScheduleName;
use crate::stack::Name;

/// Whole seconds below `jitter`, always the same for a schedule and a stack: many stacks with one schedule do not hit a
/// store at once, and a daemon that starts anew does not move what it had announced. From a hash, never random.
#[must_use]
pub fn offset(schedule: &ScheduleName, stack: &Name, jitter: Duration) -> SignedDuration {
    if jitter.as_secs() == 0 {
        return SignedDuration::ZERO;
    }
    // a `/` is in no name, so no two pairs are hashed alike
    let digest = Sha256::digest(format!("drydock-jitter/{schedule}/{stack}"));
    let first = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let seconds = first % jitter.as_secs();
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(schedule: &str, stack: &str, jitter: u64) -> i64 {
        offset(&schedule.parse().unwrap(), &stack.parse().unwrap(), Duration::from_secs(jitter)).as_secs()
    }

    #[test]
    fn it_never_changes() {
        // A change of these moves what runs when, for everybody: never without a reason and a line in the changelog.
        let known = [("nightly", "papg"), ("nightly", "shop"), ("weekly", "papg")].map(|(a, b)| seconds(a, b, 600));
        assert_eq!(known, [216, 291, 294]);
        assert_eq!(seconds("nightly", "papg", 0), 0);
        assert_eq!(seconds("nightly", "papg", 1), 0);
    }

    #[test]
    fn it_spreads_stacks_over_the_whole_of_it() {
        let mut tenths = [0; 10];
        for n in 0..1_000 {
            let at = seconds("nightly", &format!("stack-{n}"), 600);
            assert!((0..600).contains(&at));
            tenths[usize::try_from(at / 60).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|count| (60..=140).contains(count)), "{tenths:?}");
    }
}
