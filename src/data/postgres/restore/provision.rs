//! Makes what is to be filled: the missing roles, and an empty database beside each live or future one.

use super::database;
use super::error::RestoreError;
use super::keeper::Keeper;
use super::marker::{self, Marker, Stage};
use super::options::{Action, RestoreOptions};
use super::plan::{Move, Plan};
use super::roles;

/// A database that is filled.
#[derive(Debug)]
pub struct Place {
    pub plan: Move,
    /// Its name until it is promoted.
    pub name: String,
    /// Made by this restore, so dropped when it fails.
    pub made: bool,
}

/// What stands ready.
#[derive(Debug, Default)]
pub struct Provisioned {
    pub places: Vec<Place>,
    pub roles: Vec<String>,
    pub notes: Vec<String>,
}

impl Provisioned {
    /// Makes roles and databases; what was made so far stands in `self`, also after a failure.
    pub async fn make(&mut self, keeper: &Keeper, plan: &Plan, options: &RestoreOptions) -> Result<(), RestoreError> {
        let outcome = roles::provide(&keeper.session, &plan.globals, &plan.facts, options.roles).await?;
        self.roles = outcome.created;
        self.notes.extend(outcome.notes);
        for one in &plan.moves {
            self.place(keeper, plan, one, options).await?;
        }
        Ok(())
    }

    async fn place(
        &mut self,
        keeper: &Keeper,
        plan: &Plan,
        one: &Move,
        options: &RestoreOptions,
    ) -> Result<(), RestoreError> {
        if one.action == Action::Fill {
            self.places.push(Place { plan: one.clone(), name: one.target.clone(), made: false });
            return Ok(());
        }
        let name = marker::beside(&one.target, &options.run);
        let marker = Marker::new(&options.run, &one.target, Stage::Filling);
        let wanted = &one.properties().tablespace;
        let is_there = plan.facts.tablespaces.contains(wanted);
        if !is_there {
            self.notes.push(format!("tablespace {wanted} is not there: database {} is in the default one", one.target));
        }
        // Who names the default one needs a privilege on it that nobody else needs.
        let tablespace = (is_there && wanted != "pg_default").then_some(wanted.as_str());
        self.places.push(Place { plan: one.clone(), name: name.clone(), made: true });
        database::create(&keeper.session, &name, &one.recorded.properties, tablespace, &marker).await?;
        database::give(&keeper.session, &name, &one.properties().owner).await
    }
}
