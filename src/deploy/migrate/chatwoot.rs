//! Chatwoot: `rails db:chatwoot_prepare`, after the database was looked at.

use std::time::Duration;

use tokio::time::Instant;

use super::Migrator;
use super::jobs::Run;
use crate::cluster::MigrationState;
use crate::deploy::error::DeployError;
use crate::deploy::work::pause;
use crate::migration::chatwoot::{Database, Effect, Facts, Next, PREPARE, Versions, decide, environment};
use crate::migration::paths::needs;
use crate::stack::Migration;

/// Between two looks at a lock that another session holds.
const HELD: Duration = Duration::from_secs(3);

impl Migrator<'_> {
    pub(super) async fn chatwoot(&self) -> Result<MigrationState, DeployError> {
        let begun = Instant::now();
        let mut seen = self.look().await?;
        let environment = environment(&seen.image).to_owned();
        let (image, needs) = (Versions::of_listing(&seen.image), needs(Migration::Chatwoot, &self.component.version));
        let migrated_to = self.migrated_to();
        let mut has_run = false;
        loop {
            let database: Database = self.facts(&seen.answer)?;
            let (database, migrated_to) = (&database, migrated_to.as_deref());
            let facts = Facts { database, image: &image, needs: &needs, environment: &environment, migrated_to };
            seen = match decide(&facts).map_err(|why| self.refused(why))? {
                Next::Done => return Ok(MigrationState::Done),
                Next::Wait if begun.elapsed() >= self.deadline() => {
                    let who = "another session, which holds Rails' migration lock".to_owned();
                    return Err(DeployError::Busy { component: self.component.component.clone(), who });
                }
                Next::Wait => {
                    pause(HELD, self.cx).await;
                    self.look().await?
                }
                Next::Prepare(_) if has_run => return Err(self.not_done(&PREPARE.join(" ")).await),
                Next::Prepare(effect) => {
                    self.begin(matches!(effect, Effect::Migrate(_))).await?;
                    has_run = true;
                    let lock_was_free = !database.is_locked;
                    self.run(&Run { word: "prepare", args: &PREPARE, lock_was_free }).await?
                }
            };
        }
    }
}
