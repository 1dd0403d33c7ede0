//! Documents and decisions as people meet them.

mod decisions;
mod documents;
mod instants;

use std::path::Path;

use jiff::Timestamp;

use super::document::parse;
use super::*;

const GOOD: &str = "\
apiVersion: drydock.dev/v1alpha1
kind: Schedule
metadata: {name: nightly}
spec:
  operation: {snapshot: {}}
  cron: 15 2 * * *
";

/// The schedule of [`GOOD`] with `more` lines of `spec`.
fn schedule(cron: &str, more: &str) -> Schedule {
    let text = format!("{}{more}", GOOD.replace("15 2 * * *", &format!("'{cron}'")));
    let mut parsed = parse(Path::new("schedules/a.yaml"), &text);
    assert_eq!(parsed.problems, [], "{text}");
    parsed.schedules.remove(0)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}
