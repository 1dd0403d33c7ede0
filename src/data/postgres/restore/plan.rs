//! What a restore would do and why it may not begin. Asks the server and the snapshot; changes neither.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::super::connect::{Server, Session};
use super::super::error::PostgresError;
use super::super::manifest::{Database, Manifest, Properties};
use super::super::tools::Tools;
use super::error::{Refusal, RestoreError};
use super::files::Files;
use super::globals::{self, Globals};
use super::marker;
use super::options::{Action, PlannedDatabase, PlannedExtension, RestoreOptions, RestorePreview, Space, Target};
use super::server::{self, Facts};
use super::{target, unfinished};
use crate::stack::{PostgresSpec, SecretSource};

/// All that a restore goes by.
#[derive(Debug)]
pub struct Plan {
    pub server: Server,
    /// The application's login, where one must work before anything takes a live database's place.
    pub application: Option<Server>,
    pub manifest: Manifest,
    pub globals: Globals,
    pub facts: Facts,
    pub tools: Tools,
    pub moves: Vec<Move>,
    pub preview: RestorePreview,
}

/// One database on its way.
#[derive(Debug, Clone)]
pub struct Move {
    pub recorded: Database,
    /// The name that applications use.
    pub target: String,
    pub action: Action,
    /// What the live database is like; it is handed on to the one that takes its place.
    pub live: Option<Properties>,
    pub live_is_open: bool,
    pub live_bytes: Option<u64>,
}

impl Move {
    /// Owner, privileges, settings, limit and comment for the database: in place of a live one, that one's.
    pub fn properties(&self) -> &Properties {
        self.live.as_ref().unwrap_or(&self.recorded.properties)
    }
}

/// Looks at everything and decides.
pub async fn plan(files: &Files, spec: &PostgresSpec, options: &RestoreOptions) -> Result<Plan, RestoreError> {
    let manifest = files.manifest().await?;
    let server = Server::new(spec)?;
    let application = if options.target == Target::InPlace { application(&server, spec)? } else { None };
    let (chosen, mut refusals) = choose(&manifest, &options.target);
    let targets: Vec<String> = chosen.iter().map(|(_, target)| target.clone()).collect();
    let session = server::maintenance(&server, &targets).await?;
    let facts = Facts::ask(&session).await?;
    let tools = Tools::find(spec.client_binaries.as_deref(), manifest.server.tools, &server.address()).await?;
    let text = files.read(&manifest.globals.file).await?;
    let globals = globals::read(&String::from_utf8_lossy(&text))?;

    let mut planner = Planner { server: &server, session: &session, facts: &facts, options, refusals: Vec::new() };
    planner.whole_server(&manifest, &globals).await?;
    let mut moves = Vec::new();
    for (recorded, target) in chosen {
        moves.push(planner.database(recorded, target).await?);
    }
    let extensions = planner.extensions(&moves).await?;
    let space = planner.space(&moves).await?;
    refusals.append(&mut planner.refusals);
    let mut preview = RestorePreview {
        server: server.address(),
        server_version: session.version,
        source_version: manifest.server.version,
        databases: moves.iter().map(|one| planned(one, &facts)).collect(),
        roles_missing: missing(globals.roles.iter().map(|role| &role.name), &facts.roles),
        tablespaces_missing: missing(globals.tablespaces.iter(), &facts.tablespaces),
        extensions,
        client: format!("{} (version {})", tools.folder.join("pg_restore").display(), tools.version),
        space,
        notes: Vec::new(),
        refusals,
    };
    preview.notes = notes(&preview, &manifest, &moves);
    preview.notes.extend(unfinished::set_aside(&facts.databases));
    Ok(Plan { server, application, manifest, globals, facts, tools, moves, preview })
}

/// Reads its password now: a secret that is not there must not be found out when all is filled.
fn application(server: &Server, spec: &PostgresSpec) -> Result<Option<Server>, RestoreError> {
    let Some(login) = &spec.application else { return Ok(None) };
    let password = login.password.as_ref().map(SecretSource::read).transpose().map_err(PostgresError::Secret)?;
    Ok(Some(server.as_user(&login.user, password)))
}

/// Which of the snapshot's databases go where.
fn choose(manifest: &Manifest, target: &Target) -> (Vec<(Database, String)>, Vec<Refusal>) {
    let mut refusals = Vec::new();
    let chosen: Vec<(Database, String)> = match target {
        Target::SameName | Target::InPlace => {
            manifest.databases.iter().map(|database| (database.clone(), database.name.clone())).collect()
        }
        Target::Named(names) => {
            let mut chosen = Vec::new();
            for (name, target) in names {
                match manifest.database(Some(name)) {
                    Some(database) => chosen.push((database.clone(), target.clone())),
                    None => {
                        let holds: Vec<&str> = manifest.databases.iter().map(|d| d.name.as_str()).collect();
                        refusals.push(Refusal::UnknownDatabase { database: name.clone(), holds: holds.join(", ") });
                    }
                }
            }
            chosen
        }
    };
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (database, target) in &chosen {
        if let Some(first) = seen.insert(target, &database.name) {
            let (first, second, target) = (first.to_owned(), database.name.clone(), target.clone());
            refusals.push(Refusal::SameTarget { first, second, target });
        }
    }
    (chosen, refusals)
}

fn missing<'a>(wanted: impl Iterator<Item = &'a String>, there: &BTreeSet<String>) -> Vec<String> {
    wanted.filter(|name| !there.contains(*name)).cloned().collect()
}

fn planned(one: &Move, facts: &Facts) -> PlannedDatabase {
    let live = facts.databases.get(&one.target);
    PlannedDatabase {
        recorded: one.recorded.name.clone(),
        database: one.target.clone(),
        action: one.action,
        tables: one.recorded.tables.len() as u64,
        rows: one.recorded.tables.iter().map(|table| table.rows).sum(),
        bytes: recorded_bytes(&one.recorded),
        live_bytes: one.live_bytes,
        sessions: live.map_or(0, |live| live.sessions),
    }
}

fn recorded_bytes(database: &Database) -> u64 {
    database.tables.iter().map(|table| table.bytes).sum::<u64>() + database.large_objects.bytes
}

fn notes(preview: &RestorePreview, manifest: &Manifest, moves: &[Move]) -> Vec<String> {
    let mut notes: Vec<String> = preview
        .extensions
        .iter()
        .filter(|extension| extension.available.as_ref().is_some_and(|available| *available != extension.recorded))
        .map(|e| {
            let available = e.available.as_deref().unwrap_or_default();
            format!("extension {} of {} will be version {available}, {} was recorded", e.name, e.database, e.recorded)
        })
        .collect();
    if preview.space.free.is_none() {
        notes.push(format!("the free space of {} cannot be seen from here", preview.server));
    }
    for one in moves {
        let subscriptions = &one.recorded.subscriptions;
        if !subscriptions.is_empty() {
            let names = subscriptions.join(", ");
            notes.push(format!("subscriptions of {} are not made again: {names}", one.recorded.name));
        }
        if one.target.len() > marker::LONGEST_NAME {
            notes.push(format!("`{}` is longer than PostgreSQL's {} bytes", one.target, marker::LONGEST_NAME));
        }
    }
    notes.extend(manifest.not_kept.iter().map(ToString::to_string));
    notes
}

struct Planner<'a> {
    server: &'a Server,
    session: &'a Session,
    facts: &'a Facts,
    options: &'a RestoreOptions,
    refusals: Vec<Refusal>,
}

impl Planner<'_> {
    async fn whole_server(&mut self, manifest: &Manifest, globals: &Globals) -> Result<(), RestoreError> {
        let (target, source_version) = (self.session.version, manifest.server.version);
        if target.major() < source_version.major() {
            self.refusals.push(Refusal::TargetOlder { source_version, target });
        }
        if self.facts.standby {
            self.refusals.push(Refusal::Standby);
        }
        if self.options.target == Target::InPlace && !self.options.verify {
            self.refusals.push(Refusal::Unverified);
        }
        let roles = missing(globals.roles.iter().map(|role| &role.name), &self.facts.roles);
        if !roles.is_empty() && !self.facts.may_create_roles {
            self.may_not(format!("create the roles that are missing: {}", roles.join(", ")));
        }
        if let Some(evidence) = target::pooler(self.server, self.session).await? {
            self.refusals.push(Refusal::Pooler { address: self.server.address(), evidence });
        }
        Ok(())
    }

    fn may_not(&mut self, what: impl Into<String>) {
        self.refusals.push(Refusal::Privilege { user: self.server.user.clone(), what: what.into() });
    }

    async fn database(&mut self, recorded: Database, target: String) -> Result<Move, RestoreError> {
        let existing = self.facts.databases.get(&target);
        let action = match (existing, &self.options.target) {
            (None, _) => Action::Create,
            (Some(_), Target::InPlace) => Action::Replace,
            (Some(_), _) => Action::Fill,
        };
        let open = existing.is_none_or(|existing| existing.accepts_connections);
        let mut one = Move { recorded, target, action, live: None, live_is_open: open, live_bytes: None };
        if existing.is_some() {
            one.live_bytes = target::bytes(self.session, &one.target).await?;
        }
        if action != Action::Fill && !self.facts.may_create_databases {
            self.may_not(format!("create database `{}` (CREATEDB)", one.target));
        }
        if !open {
            self.refusals.push(Refusal::Closed { database: one.target.clone() });
            return Ok(one);
        }
        match action {
            Action::Create => {}
            Action::Fill => self.fill(&one.target).await?,
            Action::Replace => one.live = Some(self.replace(&one.target).await?),
        }
        Ok(one)
    }

    async fn fill(&mut self, database: &str) -> Result<(), RestoreError> {
        if self.options.allow_not_empty {
            return Ok(());
        }
        let found = target::contents(&self.server.connect(database).await?).await?;
        if !found.is_empty() {
            self.refusals.push(Refusal::NotEmpty { database: database.to_owned(), found: found.join(", ") });
        }
        Ok(())
    }

    async fn replace(&mut self, database: &str) -> Result<Properties, RestoreError> {
        let hangs_on = target::what_hangs_on(self.session, database).await?;
        self.refusals.extend(hangs_on);
        if !target::is_owned(self.session, database).await? {
            self.may_not(format!("rename database `{database}` of another owner"));
        }
        if !self.facts.may_signal {
            self.may_not(format!("end other roles' sessions on `{database}` (pg_signal_backend, since 9.6)"));
        }
        target::properties(self.server, database).await
    }

    async fn extensions(&mut self, moves: &[Move]) -> Result<Vec<PlannedExtension>, RestoreError> {
        let available = target::available_extensions(self.session).await?;
        let mut planned = Vec::new();
        for one in moves {
            for extension in &one.recorded.extensions {
                let found = available.get(&extension.name);
                let (database, name) = (one.recorded.name.clone(), extension.name.clone());
                if found.is_none() {
                    let (database, name, version) = (database.clone(), name.clone(), extension.version.clone());
                    self.refusals.push(Refusal::ExtensionMissing { database, name, version });
                }
                let (recorded, available) = (extension.version.clone(), found.cloned());
                planned.push(PlannedExtension { database, name, recorded, available });
            }
        }
        Ok(planned)
    }

    async fn space(&mut self, moves: &[Move]) -> Result<Space, RestoreError> {
        let needed = moves.iter().map(needed).sum();
        let Some((path, free)) = target::free_space(self.server, self.session).await? else {
            return Ok(Space { needed, free: None });
        };
        if free < needed {
            let path = Path::new(&path).display().to_string();
            self.refusals.push(Refusal::Space { path, needed, free });
        }
        Ok(Space { needed, free: Some(free) })
    }
}

/// Rows take about half as much again as their text, with their headers and indexes (pgbench's tables: 1.4 times); a live
/// database shows better what it takes.
fn needed(one: &Move) -> u64 {
    one.live_bytes.unwrap_or(0).max(recorded_bytes(&one.recorded) * 3 / 2)
}
