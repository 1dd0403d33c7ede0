//! From a Run to its end: Stack → secrets → home → journal, or a new request → [`operation::lead`].

use std::time::Duration;

use super::error::ControllerError;
use super::{Shared, document, home};
use crate::cluster::Seen;
use crate::cluster::run::{Deploy, RunOperation, RunSpec};
use crate::context::Context;
use crate::deploy::{DeployError, Release, Told, problems, rephased};
use crate::operation::{self, DeployRequest, Found, Order, Request, Said};
use crate::point::Home;
use crate::run::{Left, Outcome, RunError, RunId, State, Stop};

/// How long a run waits for who is at the stack, a command line for instance; then it is tried again.
const WAIT: Duration = Duration::from_secs(600);
/// As `drydock deploy --wait`.
const HEALTHY: u64 = 600;
/// After which a migration is ended, in seconds.
const MIGRATION: u64 = 30 * 60;
/// How `drydock releases` shows a digest, and the least of one that names a release.
const DIGEST: usize = 64;

/// How a run was left.
pub struct LeftAt {
    pub state: State,
    /// A person has to look at this step.
    pub stuck: Option<String>,
}

/// Its journal's name: the same for the same Run whoever leads it, so that it happens once.
///
/// # Errors
/// Never for what an API server holds: names, an instant and a uid are what ids are made of.
pub fn run_id(seen: &Seen, stack: &str) -> Result<RunId, ControllerError> {
    let uid: String = seen.uid.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    let id = format!("deploy-{stack}-{}-{}", seen.created.strftime("%Y%m%dt%H%M%Sz"), uid.to_lowercase());
    id.parse().map_err(ControllerError::Panic)
}

/// Leads the run as far as it goes. What was begun before, by whomever, is gone on with.
///
/// # Errors
/// What keeps it from beginning or going on; how a run that was begun has ended is in the answer.
pub async fn execute(
    shared: &Shared,
    stack: &Seen,
    seen: &Seen,
    spec: &RunSpec,
    (stop, cx): (&Stop, &Context),
    say: &dyn Fn(Said),
) -> Result<LeftAt, ControllerError> {
    let mut document = document::stack(stack)?;
    let account = document.spec.service_account_name.clone().ok_or(ControllerError::NoAccount)?;
    let acting = shared.own.acting_as(&stack.namespace, account.as_str())?;
    document::read_secrets(&mut document, &acting, &stack.namespace).await?;
    let home = home::open(shared, stack, document, cx).await?;
    let run = run_id(seen, spec.stack.as_str())?;
    if let Some(entries) = operation::journals(&home).read(&run).await? {
        let damaged = |reason| RunError::Damaged { run: run.to_string(), reason };
        let state = State::of(&entries).map_err(damaged)?;
        if state.outcome.is_some() {
            return Ok(LeftAt { state, stuck: None });
        }
        let led = operation::take_up(&home, &run, Found::Resume, WAIT, stop, cx, say).await?;
        return Ok(left(led));
    }
    let RunOperation::Deploy(deploy) = &spec.operation;
    let release = release(shared, &home, &stack.namespace, deploy).await?;
    let told = Told {
        digest: release.digest(),
        namespace: stack.namespace.clone(),
        context: shared.context.clone(),
        wait_seconds: deploy.wait_seconds.unwrap_or(HEALTHY),
        force: deploy.force_conflicts,
        prune_data: deploy.prune_data,
        migrate: deploy.migrate,
        migrate_seconds: MIGRATION,
        image: std::env::var("DRYDOCK_IMAGE").ok(),
        migrating: Vec::new(),
        held: Vec::new(),
    };
    let phase = deploy.phase.as_ref().map(ToString::to_string);
    let request = Request::Deploy(Box::new(DeployRequest { release, told, phase }));
    let by = spec.by.clone().unwrap_or_else(|| format!("the Run {}", seen.name));
    let order = Order { run, by, request, wait: WAIT, found: Found::Resume };
    Ok(left(operation::lead(&home, order, stop, cx, say).await?))
}

fn left(led: operation::Led) -> LeftAt {
    let stuck = match led.left {
        Left::Waiting { step, .. } => Some(step),
        Left::Over { outcome: Outcome::Succeeded | Outcome::Failed | Outcome::Abandoned, .. } | Left::Parked => None,
    };
    LeftAt { state: led.state, stuck }
}

/// What the Run names, in the phases that the Stack says now.
async fn release(shared: &Shared, home: &Home, namespace: &str, deploy: &Deploy) -> Result<Release, ControllerError> {
    let releases = shared.own.releases(namespace, home.stack.name.as_str());
    let digest = match deploy.release.as_deref() {
        Some(digest) if digest.len() == DIGEST && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            digest.to_owned()
        }
        said => {
            let heads = releases.list().await?;
            let found = match said {
                None => heads.last().ok_or(DeployError::NoReleases)?,
                Some(said) => {
                    let number: u64 = said.parse().map_err(|_| DeployError::NoReleases)?;
                    heads.iter().find(|head| head.number == number).ok_or(DeployError::NoRelease { number })?
                }
            };
            found.digest.clone()
        }
    };
    let release = rephased(Release::from_bytes(&releases.read(&digest).await?)?, &home.stack)?;
    let others: Vec<String> = home.stack.spec.namespaces.iter().map(ToString::to_string).collect();
    match problems(&release, namespace, &others) {
        found if found.is_empty() => Ok(release),
        problems => Err(DeployError::Invalid { problems }.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::seen;
    use super::*;

    #[test]
    fn the_same_run_has_the_same_journal_and_another_of_its_name_has_not() {
        let first = seen();
        assert_eq!(run_id(&first, "shop").unwrap().as_str(), "deploy-shop-20261124t021500z-01234567");
        let again = Seen { uid: "fedcba98-7".into(), ..first };
        assert_eq!(run_id(&again, "shop").unwrap().as_str(), "deploy-shop-20261124t021500z-fedcba98");
    }
}
