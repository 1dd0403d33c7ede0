//! The stack's home: whose it is, whether the password opens it, what its recovery points are worth.

use std::os::unix::fs::MetadataExt;

use jiff::SignedDuration;

use crate::context::Context;
use crate::failure::{Category, Failure};
use crate::finding::Finding;
use crate::point::{Home, Points, State, load};
use crate::repository::LockState;
use crate::stack::{SecretSource, Stack, duration};

const SUBJECT: &str = "repository";

/// An error as a finding, with its causes, and its own hint as the fix where it has one.
pub fn problem(what: &str, error: &impl Failure) -> Finding {
    let mut detail = format!("{what}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        detail = format!("{detail}: {cause}");
        source = cause.source();
    }
    let fix = error.hint().unwrap_or_else(|| "correct what the message names and run `drydock doctor` again".into());
    Finding::problem(SUBJECT, detail, fix)
}

pub async fn look(stack: &Stack, cx: &Context) -> Vec<Finding> {
    let mut findings = password_file(&stack.spec.repository.password);
    let home = match Home::open(stack.clone()).await {
        Ok(home) => home,
        Err(error) => {
            let what = match error.category() {
                Category::RepositoryMissing => "nothing has been made here yet",
                _ => "the repository cannot be opened",
            };
            findings.push(problem(what, &error));
            return findings;
        }
    };
    let id = home.repository.id().get(..8).unwrap_or_default().to_owned();
    findings.push(Finding::good(SUBJECT, format!("repository {id} belongs to this stack, its password opens it")));
    findings.extend(locks(&home, cx).await);
    match load(&home.repository, &stack.name).await {
        Ok(points) => findings.extend(recovery_points(stack, &points, cx)),
        Err(error) => findings.push(problem("the recovery points cannot be listed", &error)),
    }
    findings
}

fn password_file(source: &SecretSource) -> Vec<Finding> {
    let SecretSource::FromFile(path) = source else { return Vec::new() };
    match std::fs::metadata(path) {
        Ok(meta) if meta.mode() & 0o077 != 0 => {
            let detail = format!("others than its owner may read the password file {}", path.display());
            vec![Finding::warning(SUBJECT, detail, format!("chmod 600 {}", path.display()))]
        }
        // A file that is not there is told when the repository is opened with it.
        _ => Vec::new(),
    }
}

async fn locks(home: &Home, cx: &Context) -> Vec<Finding> {
    let locks = match home.repository.locks(cx).await {
        Ok(locks) => locks,
        Err(error) => return vec![problem("the locks cannot be looked at", &error)],
    };
    let count = |states: &[LockState]| locks.iter().filter(|lock| states.contains(&lock.state)).count();
    let (dead, ahead) = (count(&[LockState::Stale, LockState::Dead]), count(&[LockState::Ahead]));
    let mut findings = Vec::new();
    if dead > 0 {
        let detail = format!("{dead} locks are left by processes that are gone; they hold up `prune`");
        findings.push(Finding::warning(SUBJECT, detail, "drydock unlock -f FILE"));
    }
    if ahead > 0 {
        let detail = format!("{ahead} locks are dated in the future and will not grow old");
        findings.push(Finding::warning(SUBJECT, detail, "when nobody holds them: drydock unlock -f FILE --all"));
    }
    findings
}

fn recovery_points(stack: &Stack, points: &Points, cx: &Context) -> Vec<Finding> {
    const SUBJECT: &str = "recovery points";
    let mut findings = Vec::new();
    for point in &points.points {
        if let State::Broken(why) = &point.state {
            let fix = "see what is left of it with `drydock check -f FILE`, and take a new one";
            findings.push(Finding::warning(SUBJECT, format!("{} is broken: {why}", point.id.short()), fix));
        }
    }
    let Ok(record) = points.newest_complete().and_then(|latest| latest.record()) else {
        let fix = "take one with `drydock snapshot -f FILE`";
        findings.push(Finding::warning(SUBJECT, "there is no complete recovery point yet", fix));
        return findings;
    };
    let age = cx.clock.now().duration_since(record.oldest_instant());
    if age.is_negative() {
        let detail = "the newest recovery point lies in the future: this machine's clock was or is wrong";
        findings.push(Finding::warning(SUBJECT, detail, "set the clock, best by NTP"));
        return findings;
    }
    let shown = duration::human(age.unsigned_abs());
    match stack.spec.objectives.rpo.map(|rpo| (rpo, SignedDuration::try_from(rpo))) {
        Some((rpo, Ok(limit))) if age > limit => {
            let detail = format!("the newest complete one is {shown} old, the objective is {}", duration::human(rpo));
            findings.push(Finding::warning(SUBJECT, detail, "take one with `drydock snapshot -f FILE`"));
        }
        _ => findings.push(Finding::good(SUBJECT, format!("the newest complete one is {shown} old"))),
    }
    findings
}
