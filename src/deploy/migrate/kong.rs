//! Kong: `bootstrap`, or `up` and later `finish`.

use std::time::Duration;

use tokio::time::Instant;

use super::Migrator;
use super::jobs::Run;
use crate::cluster::MigrationState;
use crate::deploy::error::DeployError;
use crate::deploy::work::pause;
use crate::migration::kong::{Command, Database, Facts, Goal, Next, Status, decide};

/// Between two looks at a lock that another node holds.
const HELD: Duration = Duration::from_secs(3);

impl Migrator<'_> {
    /// Brings the database to `goal`; how far it is then.
    pub(super) async fn kong(&self, goal: Goal) -> Result<MigrationState, DeployError> {
        let begun = Instant::now();
        let mut seen = self.look().await?;
        let mut ran: Option<Command> = None;
        loop {
            let database: Database = self.facts(&seen.answer)?;
            let status = Status::parse(&seen.image).map_err(|error| DeployError::Gate {
                component: self.component.component.clone(),
                reason: error.to_string(),
                hint: None,
                may_pass: false,
            })?;
            let lock_is_abandoned = match &database.lock {
                Some(lock) => self.is_abandoned(lock).await?,
                None => false,
            };
            let facts = Facts { database: &database, status: &status, list: None, lock_is_abandoned };
            let next = decide(&facts, goal, self.migrated_to().as_deref()).map_err(|why| self.refused(why))?;
            seen = match next {
                Next::Done if status.pending_migrations.is_empty() => return Ok(MigrationState::Done),
                Next::Done => return Ok(MigrationState::Expanded),
                Next::Wait(lock) if begun.elapsed() >= self.deadline() => {
                    let who = format!("{}, which holds its lock until {}", lock.owner, lock.until);
                    return Err(DeployError::Busy { component: self.component.component.clone(), who });
                }
                Next::Wait(_) => {
                    pause(HELD, self.cx).await;
                    self.look().await?
                }
                Next::Mend(mend) => {
                    self.begin(true).await?;
                    self.mend(&mend).await?
                }
                // What it was for has not come about.
                Next::Run(command) if ran == Some(command) => {
                    return Err(self.not_done(&format!("kong migrations {}", command.word())).await);
                }
                Next::Run(command) => {
                    let in_use = database.schema_meta.as_ref().is_some_and(|recorded| !recorded.is_empty());
                    self.begin(in_use).await?;
                    ran = Some(command);
                    let args = command.arguments(self.deadline());
                    let args: Vec<&str> = args.iter().map(String::as_str).collect();
                    let lock_was_free = database.lock.is_none();
                    self.run(&Run { word: command.word(), args: &args, lock_was_free }).await?
                }
            };
        }
    }
}
