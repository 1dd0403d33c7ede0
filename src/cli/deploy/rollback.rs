//! `drydock rollback`

use super::releases::stored;
use super::target::{self, Target};
use super::{How, lead};
use crate::cli::Done;
use crate::cli::session::Session;
use crate::deploy::DeployError;
use crate::point::Home;

/// Deploy an earlier release again: manifests alone, never data
///
/// Without --to it is the newest recorded release: after a deploy that failed, the one that was live before it; after one
/// that succeeded say which. It is refused where a migration ran between: an older program on newer data may lose it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock rollback -f stack.yaml                    after a deploy that failed
  drydock releases -f stack.yaml
  drydock rollback -f stack.yaml --to 7")]
pub struct Args {
    /// The number of the release
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    how: How,
}

pub async fn run(args: &Args, session: &Session) -> Done {
    let stack = session.stack()?;
    let cluster = args.target.connect().await?;
    let namespace = target::namespace(&stack, &cluster);
    let releases = cluster.releases(&namespace, stack.name.as_str());
    let all = releases.list().await.map_err(DeployError::from)?;
    let found = match args.to {
        Some(number) => all.iter().find(|head| head.number == number).ok_or(DeployError::NoRelease { number })?,
        None => all.last().ok_or(DeployError::NoReleases)?,
    };
    let release = stored(&releases, found).await?;
    let home = Home::open(stack).await?;
    lead(&home, release, None, &args.target, &args.how, session).await
}
