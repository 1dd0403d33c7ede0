//! `drydock key`

use std::path::PathBuf;

use clap::Subcommand;
use secrecy::ExposeSecret;
use serde::Serialize;

use super::Done;
use super::human;
use super::lock_wait::LockWait;
use super::output::Shown;
use super::report::Failed;
use super::session::Session;
use super::table::Table;
use crate::maintain::init::InitError;
use crate::maintain::password;
use crate::repository::{KeyCost, KeyId, KeyInfo, Lock, LockKind};
use crate::stack::{Name, Secret, SecretSource};

/// List, add, remove and change the passwords that open the repository
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock key list -f stack.yaml
  drydock key add -f stack.yaml --new-password-file /etc/drydock/second-password
  drydock key change -f stack.yaml --new-password-file /etc/drydock/new-password
  drydock key remove -f stack.yaml 3f9a1c2e")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show every key and which one is in use
    #[command(after_long_help = "Examples:\n  drydock key list -f stack.yaml")]
    List,
    /// Let a further password open the repository
    #[command(after_long_help = "\
Examples:
  drydock key add -f stack.yaml --new-password-file /etc/drydock/second-password
  drydock key add -f stack.yaml --new-password-env SECOND_PASSWORD")]
    Add(NewPassword),
    /// Remove a key; its password opens nothing any more
    ///
    /// The key in use stays: it is the proof that somebody knows a password.
    #[command(after_long_help = "Examples:\n  drydock key remove -f stack.yaml 3f9a1c2e")]
    Remove(Remove),
    /// Replace the password in use by another; point the Stack document to the new one afterwards
    #[command(
        after_long_help = "Examples:\n  drydock key change -f stack.yaml --new-password-file /etc/drydock/new-password"
    )]
    Change(NewPassword),
}

#[derive(Debug, clap::Args)]
struct Remove {
    /// The beginning of the key's id
    key: String,
    #[command(flatten)]
    lock: LockWait,
}

/// Passwords come from files or the environment, never from the command line.
#[derive(Debug, clap::Args)]
struct NewPassword {
    /// The file that holds the new password
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "new_password_env",
        required_unless_present = "new_password_env"
    )]
    new_password_file: Option<PathBuf>,
    /// The environment variable that holds the new password
    #[arg(long, value_name = "NAME")]
    new_password_env: Option<String>,
    /// Take a password that can be guessed
    #[arg(long)]
    allow_weak_password: bool,
    #[command(flatten)]
    lock: LockWait,
}

impl NewPassword {
    fn read(&self, stack: &Name) -> Result<Secret, Failed> {
        let source = match (&self.new_password_file, &self.new_password_env) {
            (Some(file), _) => SecretSource::FromFile(file.clone()),
            (None, Some(name)) => SecretSource::FromEnv(name.clone()),
            (None, None) => return Err(Failed::usage("no new password is given", "use --new-password-file FILE")),
        };
        let secret = source.read()?;
        let names = [stack.as_str()];
        if !self.allow_weak_password && password::is_weak(secret.expose_secret(), &names) {
            return Err(InitError::WeakPassword { bits: password::bits(secret.expose_secret(), &names) }.into());
        }
        Ok(secret)
    }
}

pub async fn run(args: &Args, session: &Session) -> Done {
    match &args.command {
        Command::List => list(session).await,
        Command::Add(new) => add(new, session).await,
        Command::Remove(remove) => self::remove(remove, session).await,
        Command::Change(new) => change(new, session).await,
    }
}

#[derive(Serialize)]
struct Keys {
    keys: Vec<KeyInfo>,
}

async fn list(session: &Session) -> Done {
    let keys = session.home().await?.repository.keys().await?;
    session.print(&Keys { keys })
}

impl Shown for Keys {
    fn text(&self) -> String {
        let mut table = Table::new(&["ID", "CREATED", "BY", "IN USE"]);
        for key in &self.keys {
            let by = format!("{}@{}", key.username, key.hostname);
            let current = if key.current { "yes" } else { "" };
            table.row([key.id.short(), human::instant(key.created), by, current.to_owned()]);
        }
        table.text()
    }
}

/// What was done to a key.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Changed {
    key: KeyId,
    action: &'static str,
    #[serde(skip)]
    advice: &'static str,
}

impl Shown for Changed {
    fn text(&self) -> String {
        format!("key {} {}{}\n", self.key.short(), self.action, self.advice)
    }
}

async fn add(new: &NewPassword, session: &Session) -> Done {
    let home = session.home().await?;
    let secret = new.read(&home.stack.name)?;
    let add = async |_: &Lock| home.repository.add_key(&secret, KeyCost::default()).await;
    let key = home.locked(LockKind::Shared, new.lock.lock_wait, &session.cx, add).await?;
    session.print(&Changed { key, action: "added", advice: "" })
}

async fn remove(remove: &Remove, session: &Session) -> Done {
    let home = session.home().await?;
    let work = async |lock: &Lock| -> Result<KeyId, Failed> {
        let key = find(&home.repository.keys().await?, &remove.key)?;
        home.repository.remove_key(&key, lock).await?;
        Ok(key)
    };
    let key = home.locked(LockKind::Exclusive, remove.lock.lock_wait, &session.cx, work).await?;
    session.print(&Changed { key, action: "removed", advice: ": its password opens nothing any more" })
}

async fn change(new: &NewPassword, session: &Session) -> Done {
    let home = session.home().await?;
    let secret = new.read(&home.stack.name)?;
    let change = async |lock: &Lock| home.repository.change_key(&secret, KeyCost::default(), lock).await;
    let key = home.locked(LockKind::Exclusive, new.lock.lock_wait, &session.cx, change).await?;
    let advice = ": it is in use now, the former is removed; let the Stack document's `spec.repository.password` lead to the \
                  new password";
    session.print(&Changed { key, action: "changed", advice })
}

fn find(keys: &[KeyInfo], wanted: &str) -> Result<KeyId, Failed> {
    let found: Vec<&KeyInfo> = keys.iter().filter(|key| key.id.to_string().starts_with(wanted)).collect();
    match found.as_slice() {
        [key] => Ok(key.id),
        [] => Err(Failed::usage(format!("there is no key `{wanted}`"), "see `drydock key list -f FILE`")),
        _ => Err(Failed::usage(format!("`{wanted}` is the beginning of several keys' ids"), "write more of the id")),
    }
}
