//! Roles: those that the target lacks are created as they were recorded; those that it has are left as they are, unless
//! the user asks for them too. All in one transaction: a failure leaves no role behind.

use std::collections::BTreeSet;

use super::super::connect::Session;
use super::super::naming::identifier;
use super::error::RestoreError;
use super::globals::{Globals, Membership, Role};
use super::server::Facts;

/// What was done to the target's roles.
#[derive(Debug, Default)]
pub struct Outcome {
    pub created: Vec<String>,
    pub notes: Vec<String>,
}

/// Creates the missing roles with attributes, settings, comments and memberships; with `all` the others are altered too.
pub async fn provide(session: &Session, globals: &Globals, facts: &Facts, all: bool) -> Result<Outcome, RestoreError> {
    let mut provider = Provider { session, facts, created: BTreeSet::new(), notes: Vec::new() };
    session.batch("creating roles", "BEGIN").await?;
    for role in &globals.roles {
        let missing = !facts.roles.contains(&role.name);
        if missing || (all && role.name != session.server.user) {
            provider.role(role, missing).await?;
        }
    }
    for membership in &globals.memberships {
        let concerned = [&membership.role, &membership.member].iter().any(|name| provider.created.contains(*name));
        if concerned || all {
            provider.membership(membership).await?;
        }
    }
    session.batch("creating roles", "COMMIT").await?;
    if all && globals.roles.iter().any(|role| role.name == session.server.user) {
        provider.notes.push(format!("role {} was not altered: it is the one that restores", session.server.user));
    }
    Ok(Outcome { created: provider.created.into_iter().collect(), notes: provider.notes })
}

struct Provider<'a> {
    session: &'a Session,
    facts: &'a Facts,
    created: BTreeSet<String>,
    notes: Vec<String>,
}

impl Provider<'_> {
    async fn role(&mut self, role: &Role, missing: bool) -> Result<(), RestoreError> {
        let name = identifier(&role.name);
        if missing {
            self.session.batch(&format!("creating role {}", role.name), &format!("CREATE ROLE {name}")).await?;
            self.created.insert(role.name.clone());
        }
        let attributes = if self.facts.superuser {
            role.attributes()
        } else {
            let (kept, lost) = role.attributes_without_superuser();
            if !lost.is_empty() {
                self.notes.push(format!(
                    "role {} lacks {}: only a superuser may give that",
                    role.name,
                    lost.join(", ")
                ));
            }
            kept
        };
        if !attributes.is_empty() {
            let sql = format!("ALTER ROLE {name} WITH {attributes}");
            self.session.batch(&format!("giving role {} its attributes", role.name), &sql).await?;
        }
        for statement in &role.statements {
            self.or_note(&format!("a setting or the comment of role {}", role.name), statement).await?;
        }
        Ok(())
    }

    async fn membership(&mut self, membership: &Membership) -> Result<(), RestoreError> {
        let Membership { role, member, options, grantor } = membership;
        let options = options.as_ref().map_or_else(String::new, |options| format!(" WITH {options}"));
        let grant = format!("GRANT {} TO {}{options}", identifier(role), identifier(member));
        // Before 16 the grantor is written down only, and any superuser may name him.
        if let Some(grantor) = grantor.as_ref().filter(|name| self.facts.superuser && self.is_there(name)) {
            let by = format!("{grant} GRANTED BY {}", identifier(grantor));
            if self.attempt(&format!("granting {role} to {member}"), &by).await?.is_none() {
                return Ok(());
            }
        }
        self.or_note(&format!("the membership of {member} in {role}"), &grant).await
    }

    fn is_there(&self, role: &str) -> bool {
        self.facts.roles.contains(role) || self.created.contains(role)
    }

    /// Runs what a managed server may refuse; a refusal is said and no failure.
    async fn or_note(&mut self, what: &str, sql: &str) -> Result<(), RestoreError> {
        if let Some(refusal) = self.attempt(what, sql).await? {
            self.notes.push(format!("{what} was left out: {refusal}"));
        }
        Ok(())
    }

    /// `None` when it worked; what the server said when it did not. The transaction goes on either way.
    async fn attempt(&mut self, what: &str, sql: &str) -> Result<Option<String>, RestoreError> {
        use super::super::error::PostgresError::{Privilege, Query};
        self.session.batch(what, "SAVEPOINT attempt").await?;
        match self.session.batch(what, sql).await {
            Ok(()) => {
                self.session.batch(what, "RELEASE SAVEPOINT attempt").await?;
                Ok(None)
            }
            Err(Privilege { message, .. } | Query { message, .. }) => {
                self.session.batch(what, "ROLLBACK TO SAVEPOINT attempt").await?;
                Ok(Some(message.to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }
}
