//! `drydock releases`

use serde::Serialize;

use super::target::{self, Target};
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::cli::{Done, human, output};
use crate::cluster::{ReleaseHead, Releases};
use crate::deploy::{DeployError, Release};

/// List the stack's releases, or show one
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock releases -f stack.yaml
  drydock releases -f stack.yaml show 7
  drydock releases -f stack.yaml show 7 -o json | jq '.phases[].objects[]'")]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The objects of one release
    Show {
        /// Its number
        number: u64,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    stack: String,
    namespace: String,
    /// The oldest first.
    releases: Vec<ReleaseHead>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One {
    #[serde(flatten)]
    head: ReleaseHead,
    phases: Vec<OnePhase>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OnePhase {
    name: String,
    /// Their names alone: what a Secret holds is not shown.
    objects: Vec<String>,
}

pub async fn run(args: &Args, session: &Session) -> Done {
    let stack = session.stack()?;
    let cluster = args.target.connect().await?;
    let namespace = target::namespace(&stack, &cluster);
    let releases = cluster.releases(&namespace, stack.name.as_str());
    let all = releases.list().await.map_err(DeployError::from)?;
    let Some(Command::Show { number }) = args.command else {
        return session.print(&List { stack: stack.name.to_string(), namespace, releases: all });
    };
    let Some(head) = all.into_iter().find(|head| head.number == number) else {
        return Err(DeployError::NoRelease { number }.into());
    };
    let release = stored(&releases, &head).await?;
    let phases = release.phases.iter().map(|phase| OnePhase {
        name: phase.name.clone(),
        objects: phase.manifests.iter().map(|manifest| manifest.id.to_string()).collect(),
    });
    session.print(&One { head, phases: phases.collect() })
}

/// The release of this head, as it was recorded.
///
/// # Errors
/// `DamagedRelease` when what is stored is another one.
pub async fn stored(releases: &Releases<'_>, head: &ReleaseHead) -> Result<Release, DeployError> {
    let release = Release::from_bytes(&releases.read(&head.digest).await?)?;
    match release.digest() {
        digest if digest == head.digest => Ok(release),
        digest => {
            let reason = format!("release {} has the digest {digest} where {} was recorded", head.number, head.digest);
            Err(DeployError::DamagedRelease { reason })
        }
    }
}

impl output::Shown for List {
    fn text(&self) -> String {
        if self.releases.is_empty() {
            return format!(
                "no release of {} in namespace {} yet: `drydock deploy -f FILE`\n",
                self.stack, self.namespace
            );
        }
        let mut table = Table::new(&[">RELEASE", "DEPLOYED", ">OBJECTS", "DIGEST", "RUN"]);
        for head in self.releases.iter().rev() {
            let digest = head.digest.get(..16).unwrap_or(&head.digest).to_owned();
            let cells = [head.number.to_string(), human::instant(head.deployed), head.objects.to_string(), digest];
            table.row(cells.into_iter().chain([head.run.clone()]));
        }
        table.text()
    }
}

impl output::Shown for One {
    fn text(&self) -> String {
        let head = &self.head;
        let mut text = format!(
            "release {}, deployed {} by {}\ndigest {}\n",
            head.number,
            human::instant(head.deployed),
            head.run,
            head.digest
        );
        for phase in &self.phases {
            text += &format!("{}\n", phase.name);
            for object in &phase.objects {
                text += &format!("  {object}\n");
            }
        }
        text
    }
}
