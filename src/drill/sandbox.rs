//! A drill's own servers and folders, as long as the drill runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::owner::Owner;
use super::plan::DrillPlan;
use super::report::KeptSandbox;
use super::{DrillError, discard};
use crate::data::{postgres, redis};
use crate::stack::{Name, PostgresSpec};

/// Where the data of a drill is. Dropped without [`discard`](super::discard()) or [`Self::keep`] (a panic, a future that
/// is dropped) it ends its servers and removes its folder all the same.
#[derive(Debug)]
pub struct Sandbox {
    folder: PathBuf,
    pub(super) places: BTreeMap<Name, Place>,
    /// Nothing is left to tidy up.
    done: bool,
}

/// One data set's.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) holds: Holds,
    /// Something may be in it.
    pub(super) used: bool,
    pub(super) provision_ms: u64,
}

#[derive(Debug)]
pub(super) enum Holds {
    Postgres { server: postgres::Sandbox, spec: Box<PostgresSpec> },
    Redis(redis::Sandbox),
    Volume(PathBuf),
}

/// How to reach one data set in a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Address {
    /// `host` is the folder of the unix socket.
    Postgres {
        host: PathBuf,
        port: u16,
        user: String,
        databases: Vec<String>,
    },
    Redis {
        socket: PathBuf,
    },
    Volume {
        path: PathBuf,
    },
}

impl Address {
    /// What a person types, or where they look.
    #[must_use]
    pub fn command(&self) -> String {
        match self {
            Self::Postgres { host, port, user, databases } => {
                let database = databases.first().map_or("postgres", String::as_str);
                format!("psql -h {} -p {port} -U {user} -d {database}", host.display())
            }
            Self::Redis { socket } => format!("redis-cli -s {}", socket.display()),
            Self::Volume { path } => format!("ls {}", path.display()),
        }
    }
}

impl Sandbox {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, places: BTreeMap::new(), done: false }
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How to reach `data`; `None` where it is not drilled.
    #[must_use]
    pub fn address(&self, data: &Name) -> Option<Address> {
        Some(match &self.places.get(data)?.holds {
            Holds::Postgres { server, spec } => Address::Postgres {
                host: server.host().to_owned(),
                port: server.port(),
                user: server.user().to_owned(),
                databases: spec.databases.clone(),
            },
            Holds::Redis(server) => Address::Redis { socket: server.socket().into() },
            Holds::Volume(path) => Address::Volume { path: path.clone() },
        })
    }

    /// Every data set's, by name.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<Name, Address> {
        self.places.keys().filter_map(|data| Some((data.clone(), self.address(data)?))).collect()
    }

    /// What runs it: `postgresql 15.14`.
    #[must_use]
    pub(super) fn server(&self, data: &Name) -> Option<String> {
        match &self.places.get(data)?.holds {
            Holds::Postgres { server, .. } => Some(format!("postgresql {}", server.version())),
            Holds::Redis(server) => Some(server.version()),
            Holds::Volume(_) => None,
        }
    }

    /// Leaves it to a person: its servers go on, and no drill removes it.
    ///
    /// # Errors
    /// When that cannot be written down; then it goes like any other.
    pub fn keep(mut self, plan: &DrillPlan) -> Result<KeptSandbox, DrillError> {
        if let Some(owner) = Owner::of(&self.folder) {
            Owner { kept: true, ..owner }.write(&self.folder)?;
        }
        let addresses = self.addresses();
        self.done = true;
        for place in std::mem::take(&mut self.places).into_values() {
            match place.holds {
                Holds::Postgres { server, .. } => server.leave(),
                Holds::Redis(server) => server.leave(),
                Holds::Volume(_) => {}
            }
        }
        Ok(KeptSandbox { run: plan.run.clone(), folder: self.folder.clone(), addresses })
    }

    /// Ends the servers and removes the folder.
    pub(super) fn end(mut self) -> Result<(), DrillError> {
        self.done = true;
        drop(std::mem::take(&mut self.places));
        discard::remove_sandbox(&self.folder)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        drop(std::mem::take(&mut self.places));
        if let Err(error) = discard::remove_sandbox(&self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "a sandbox is left; the next drill removes it");
        }
    }
}
