//! `drydock evidence`

mod export;
mod keys;
mod list;
mod place;
mod show;
mod verify;

use clap::Subcommand;

use super::Done;
use super::session::Session;

pub use list::json;

/// List, show, verify and export what was proven; make and retire the keys that sign it
///
/// Every drill, verified restore and upgrade of a stack whose document names a key leaves one signed record beside the
/// repository. Each record holds the digest of the one before, so that none can be altered, moved or taken out without
/// `verify --all` naming it. Reading evidence needs the store, not the repository's password.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock evidence -f stack.yaml
  drydock evidence show -f stack.yaml 12
  drydock evidence verify -f stack.yaml --all
  drydock evidence verify 000012.json --key evidence-public.pem      offline, without a Stack document
  drydock evidence export -f stack.yaml --html evidence.html
  drydock evidence keygen --out /etc/drydock/evidence.pem

What does not verify is exit code 20.")]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every record, newest first; each is verified on the way
    List(list::Args),
    /// One record with everything that was compared
    Show(show::Args),
    /// Verify all of a stack's evidence, or one file of it offline
    Verify(verify::Args),
    /// Write the evidence as one page of HTML to show an auditor
    Export(export::Args),
    /// Make the key that signs a stack's evidence
    Keygen(keys::KeygenArgs),
    /// The published keys and when they sign
    Keys(keys::KeysArgs),
    /// Let a key sign nothing from now on; what it has signed stays valid
    Retire(keys::RetireArgs),
}

pub async fn run(args: &Args, session: &Session) -> Done {
    match &args.command {
        None => list::run(&list::Args::default(), session).await,
        Some(Command::List(args)) => list::run(args, session).await,
        Some(Command::Show(args)) => show::run(args, session).await,
        Some(Command::Verify(args)) => verify::run(args, session).await,
        Some(Command::Export(args)) => export::run(args, session).await,
        Some(Command::Keygen(args)) => keys::keygen(args, session),
        Some(Command::Keys(args)) => keys::list(args, session).await,
        Some(Command::Retire(args)) => keys::retire(args, session).await,
    }
}
