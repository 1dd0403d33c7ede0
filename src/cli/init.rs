//! `drydock init`

use serde::Serialize;

use super::Done;
use super::output::Shown;
use super::session::Session;
use crate::maintain::init::init;
use crate::repository::KeyCost;
use crate::stack::{Name, SecretSource};

/// Create the stack's repository; twice is fine
///
/// Claims the location for this stack and makes a repository there. Another stack's repository is refused.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  openssl rand -base64 32 > /etc/drydock/password && chmod 600 /etc/drydock/password
  drydock init -f stack.yaml")]
pub struct Args {
    /// Take a password that can be guessed
    #[arg(long)]
    allow_weak_password: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Result {
    stack: Name,
    location: String,
    repository_id: String,
    /// False when it was there already.
    created: bool,
    #[serde(skip)]
    claimed: bool,
    #[serde(skip)]
    password: String,
}

pub async fn run(args: &Args, session: &Session) -> Done {
    let stack = session.stack()?;
    let made = init(&stack, KeyCost::default(), args.allow_weak_password, &session.cx).await?;
    session.print(&Result {
        location: made.repository.location(),
        repository_id: made.repository.id().to_owned(),
        created: made.new,
        claimed: made.claimed,
        password: whence(&stack.spec.repository.password),
        stack: stack.name,
    })
}

fn whence(source: &SecretSource) -> String {
    match source {
        SecretSource::FromFile(path) => format!("the file {}", path.display()),
        SecretSource::FromEnv(name) => format!("the environment variable {name}"),
        SecretSource::FromSecret(key) => format!("the Secret {}", key.name),
        SecretSource::Known(_) => "the cluster".to_owned(),
    }
}

impl Shown for Result {
    fn text(&self) -> String {
        let Self { stack, location, repository_id, password, .. } = self;
        let id = repository_id.get(..8).unwrap_or(repository_id);
        match (self.created, self.claimed) {
            (true, _) => format!(
                "created the repository {id} of the stack {stack} at {location}\n\n\
                 Its password (from {password}) is its only key: whoever loses it has lost every recovery point, and \
                 nobody can bring them back.\nKeep a copy of it apart from this machine and apart from the repository.\n"
            ),
            (false, true) => {
                format!("the repository {id} that was at {location} is the stack {stack}'s from now on\n")
            }
            (false, false) => format!("the repository {id} of the stack {stack} is at {location} already\n"),
        }
    }
}
