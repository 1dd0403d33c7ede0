//! A Stack's conditions, from its newest run and what its namespaces hold. Pure.

use jiff::Timestamp;

use super::view;
use crate::cluster::status::{Condition, ReleaseStatus, RunStatus, StackStatus};

/// A condition before it has a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    pub kind: &'static str,
    /// None: it is not known.
    pub is: Option<bool>,
    pub reason: &'static str,
    pub message: String,
}

/// The newest run, by its Run's name.
#[derive(Debug, Clone, Copy)]
pub struct Newest<'a> {
    pub name: &'a str,
    pub status: &'a RunStatus,
}

/// `Ready`, `Progressing`, `Degraded`. `invalid` is why the document cannot be used, `live` the release that is.
#[must_use]
pub fn of_runs(invalid: Option<&str>, newest: Option<Newest<'_>>, live: Option<&ReleaseStatus>) -> [Judged; 3] {
    let judged = |kind, is, reason, message: String| Judged { kind, is, reason, message };
    let idle = || judged("Progressing", Some(false), "Idle", "nothing is under way".into());
    let fine = || judged("Degraded", Some(false), "AsExpected", "nothing is wrong".into());
    if let Some(why) = invalid {
        return [
            judged("Ready", Some(false), "InvalidStack", why.to_owned()),
            idle(),
            judged("Degraded", Some(true), "InvalidStack", why.to_owned()),
        ];
    }
    let ready = || match live {
        Some(release) => judged("Ready", Some(true), "ReleaseLive", format!("release {} is live", release.number)),
        None => judged("Ready", Some(false), "NoRelease", "no release was deployed yet".into()),
    };
    let Some(newest) = newest else { return [ready(), idle(), fine()] };
    let said = || {
        let message = newest.status.message.as_deref().or(newest.status.step.as_deref()).unwrap_or("it begins");
        format!("Run {}: {message}", newest.name)
    };
    match newest.status.standing.as_deref() {
        Some("succeeded") => [ready(), idle(), fine()],
        // What it did is undone or stays half done; what was live may be live no longer.
        Some(view::FAILED | "abandoned") => [
            judged("Ready", Some(false), "DeployFailed", said()),
            idle(),
            judged("Degraded", Some(true), "DeployFailed", said()),
        ],
        Some(view::WAITING) => [
            judged("Ready", None, "DeployWaits", said()),
            judged("Progressing", Some(true), "DeployWaits", said()),
            judged("Degraded", Some(newest.status.category.is_some()), "DeployWaits", said()),
        ],
        _ => {
            [judged("Ready", None, "Deploying", said()), judged("Progressing", Some(true), "Deploying", said()), fine()]
        }
    }
}

/// `Protected`, by what holds data and is in no recovery point; an `Err` says why that is not known.
#[must_use]
pub fn protected(gaps: Result<&[String], &str>) -> Judged {
    let judged = |is, reason, message: String| Judged { kind: "Protected", is, reason, message };
    match gaps {
        Err(why) => judged(None, "Unknown", why.to_owned()),
        Ok([]) => judged(Some(true), "AllNamed", "all that holds data is a data set, or left out on purpose".into()),
        Ok(gaps) => {
            let shown = gaps.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = gaps.len().checked_sub(10).filter(|more| *more > 0).map(|more| format!(" and {more} more"));
            let message = format!(
                "in no recovery point: {shown}{}; add a data set, or name it under `unprotected` with the reason",
                more.unwrap_or_default()
            );
            judged(Some(false), "Gaps", message)
        }
    }
}

/// With times: one moves only when its condition's status changes.
#[must_use]
pub fn timed(
    judged: impl IntoIterator<Item = Judged>,
    former: &StackStatus,
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let condition = |judged: Judged| {
        let status = match judged.is {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let same = former.conditions.iter().find(|found| found.kind == judged.kind && found.status == status);
        Condition {
            kind: judged.kind.to_owned(),
            status: status.to_owned(),
            reason: judged.reason.to_owned(),
            message: judged.message,
            last_transition_time: same.map_or_else(
                || now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                |same| same.last_transition_time.clone(),
            ),
            observed_generation: Some(generation),
        }
    };
    judged.into_iter().map(condition).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(number: i64) -> ReleaseStatus {
        ReleaseStatus { number, digest: "d1".into(), phase: None, run: None }
    }

    fn run(standing: &str, category: Option<&str>) -> RunStatus {
        RunStatus {
            standing: Some(standing.into()),
            step: Some("healthy:web".into()),
            category: category.map(str::to_owned),
            ..RunStatus::default()
        }
    }

    /// Of `Ready`, `Progressing`, `Degraded`: status and reason.
    fn words(judged: &[Judged; 3]) -> [(Option<bool>, &'static str); 3] {
        judged.each_ref().map(|one| (one.is, one.reason))
    }

    #[test]
    fn each_standing_of_the_newest_run_has_its_conditions() {
        let of = |run: Option<&RunStatus>, live: Option<&ReleaseStatus>| {
            words(&of_runs(None, run.map(|status| Newest { name: "first", status }), live))
        };
        let live = release(3);
        let (no, yes) = (Some(false), Some(true));
        assert_eq!(of(None, None), [(no, "NoRelease"), (no, "Idle"), (no, "AsExpected")]);
        assert_eq!(
            of(Some(&run("running", None)), Some(&live)),
            [(None, "Deploying"), (yes, "Deploying"), (no, "AsExpected")]
        );
        assert_eq!(
            of(Some(&run("succeeded", None)), Some(&live)),
            [(yes, "ReleaseLive"), (no, "Idle"), (no, "AsExpected")]
        );
        assert_eq!(
            of(Some(&run("failed", Some("unavailable"))), Some(&live)),
            [(no, "DeployFailed"), (no, "Idle"), (yes, "DeployFailed")]
        );
        assert_eq!(
            of(Some(&run("waiting", Some("unavailable"))), Some(&live)),
            [(None, "DeployWaits"), (yes, "DeployWaits"), (yes, "DeployWaits")]
        );
        assert_eq!(
            of(Some(&run("waiting", None)), Some(&live))[2],
            (no, "DeployWaits"),
            "that another run comes first is nothing wrong"
        );
        let invalid = of_runs(Some("spec.data: empty"), None, Some(&live));
        assert_eq!(words(&invalid), [(no, "InvalidStack"), (no, "Idle"), (yes, "InvalidStack")]);
    }

    #[test]
    fn a_time_moves_only_with_the_status() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let judged = |is, reason| Judged { kind: "Ready", is, reason, message: String::new() };
        let first = timed([judged(Some(true), "ReleaseLive")], &StackStatus::default(), 1, at(100));
        let former = StackStatus { conditions: first.clone(), ..StackStatus::default() };
        let second = timed([judged(Some(true), "Other")], &former, 2, at(200));
        assert_eq!(second[0].last_transition_time, first[0].last_transition_time);
        assert_eq!((second[0].reason.as_str(), second[0].observed_generation), ("Other", Some(2)));
        let third = timed([judged(None, "Deploying")], &former, 2, at(300));
        assert_eq!(
            (third[0].status.as_str(), third[0].last_transition_time.as_str()),
            ("Unknown", "1970-01-01T00:05:00Z")
        );
    }

    #[test]
    fn gaps_are_named_and_many_are_counted() {
        let gaps: Vec<String> = (0..12).map(|n| format!("PersistentVolumeClaim web/c{n}")).collect();
        let judged = protected(Ok(&gaps));
        assert_eq!((judged.is, judged.reason), (Some(false), "Gaps"));
        assert!(
            judged.message.contains("web/c0, ") && judged.message.contains("web/c9 and 2 more; add"),
            "{}",
            judged.message
        );
        assert_eq!(protected(Ok(&[])).is, Some(true));
        assert_eq!(protected(Err("not allowed")).is, None);
    }
}
