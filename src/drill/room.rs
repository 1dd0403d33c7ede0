//! Is there room for the sandbox? Looked at before anything is made: a drill must not fill the disk of a machine that
//! has other things to do.

use std::path::Path;

use serde::Serialize;

use super::DrillError;
use super::plan::{DrillPlan, Part};
use crate::context::Context;
use crate::data::{DataError, available_memory, postgres, redis};
use crate::point::{DataWord, Home};

/// What a cluster takes before a row is in it (18: 46 MB), and its write-ahead log at most (`max_wal_size`).
const CLUSTER: u64 = (64 + 256) << 20;
/// What a scratch PostgreSQL takes: cache, two sessions that build indexes, the rest.
const SERVER_MEMORY: u64 = 128 << 20;
/// A block and an inode for each file.
const FILE: u64 = 4_096 + 512;
/// What must stay free for everybody else: a twentieth of what there is.
const RESERVE: u64 = 20;

/// What the sandbox needs and what there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    pub disk_bytes: u64,
    pub disk_free_bytes: u64,
    pub memory_bytes: u64,
    /// `None` where the kernel does not say.
    pub memory_available_bytes: Option<u64>,
    /// What would run each server: data set and `postgresql 15.14`.
    pub servers: Vec<(String, String)>,
}

/// Finds out what `plan` needs, and that the programs are there.
///
/// # Errors
/// `NoSpace` and `NoMemory` with the figures; `Provision` where a server's programs are missing.
pub async fn room(home: &Home, plan: &DrillPlan, _cx: &Context) -> Result<Room, DrillError> {
    let mut needed = Room {
        disk_bytes: 0,
        disk_free_bytes: free(&plan.root)?,
        memory_bytes: 0,
        memory_available_bytes: available_memory(),
        servers: Vec::new(),
    };
    for part in &plan.parts {
        let added = add(home, part, &mut needed).await;
        added.map_err(|source| DrillError::Provision { data: part.name().clone(), source: Box::new(source) })?;
    }
    needed.judged(&plan.root)
}

impl Room {
    fn judged(self, root: &Path) -> Result<Self, DrillError> {
        let may_use = self.disk_free_bytes - self.disk_free_bytes / RESERVE;
        if self.disk_bytes > may_use {
            return Err(DrillError::NoSpace { folder: root.to_owned(), needed: self.disk_bytes, free: may_use });
        }
        match self.memory_available_bytes {
            Some(available) if self.memory_bytes > available => {
                Err(DrillError::NoMemory { needed: self.memory_bytes, available })
            }
            _ => Ok(self),
        }
    }
}

async fn add(home: &Home, part: &Part, needed: &mut Room) -> Result<(), DataError> {
    let (repository, tree, member) = (&home.repository, &part.member.tree, &part.member);
    match member.kind {
        DataWord::Postgres => {
            let manifest = postgres::source_of(repository, tree).await?;
            let chosen = part.postgres().and_then(|spec| spec.server_binaries.as_deref());
            let programs = postgres::ServerPrograms::find(chosen, manifest.server.version).await?;
            // Rows take about half as much again as their text, with their headers and indexes.
            needed.disk_bytes += member.bytes * 3 / 2 + CLUSTER;
            needed.memory_bytes += SERVER_MEMORY;
            needed.servers.push((part.name().to_string(), format!("postgresql {}", programs.version)));
        }
        DataWord::Redis => {
            let chosen = part.redis().and_then(|spec| spec.scratch_server.as_deref());
            let redis::SandboxNeeds { memory_bytes, server } = redis::sandbox_needs(repository, tree, chosen).await?;
            // Its data is taken again for the comparison: the fork copies the pages that change, and none do.
            needed.memory_bytes += memory_bytes;
            needed.servers.push((part.name().to_string(), server));
        }
        DataWord::Volume => needed.disk_bytes += member.bytes + member.items * FILE,
    }
    Ok(())
}

fn free(folder: &Path) -> Result<u64, DrillError> {
    let stat = rustix::fs::statvfs(folder).map_err(|errno| DrillError::folder("look at", folder)(errno.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Category, Failure};

    const GIB: u64 = 1 << 30;

    /// A sandbox of so many bytes on a disk with 100 GiB and in a machine with 8 GiB.
    fn judged(disk_bytes: u64, memory_bytes: u64, memory_available_bytes: Option<u64>) -> Result<Room, DrillError> {
        let servers = Vec::new();
        Room { disk_bytes, disk_free_bytes: 100 * GIB, memory_bytes, memory_available_bytes, servers }
            .judged(Path::new("/srv/drills"))
    }

    #[test]
    fn too_little_disk_or_memory_is_refused_with_the_figures_and_the_way_out() {
        let error = judged(96 * GIB, 0, None).unwrap_err();
        assert_eq!(error.to_string(), "the sandbox needs 96.0 GiB in /srv/drills, and 95.0 GiB are free");
        assert_eq!(
            (error.category(), error.hint().unwrap().contains("spec.drill.folder")),
            (Category::Unavailable, true)
        );
        let error = judged(0, 9 * GIB, Some(8 * GIB)).unwrap_err();
        assert_eq!(error.to_string(), "the sandbox needs 9.00 GiB of memory, and 8.00 GiB can be had");
        assert_eq!((error.category(), error.hint().unwrap().contains("--data")), (Category::Unavailable, true));
    }

    #[test]
    fn what_just_fits_and_what_the_kernel_does_not_tell_is_no_refusal() {
        judged(95 * GIB, 8 * GIB, Some(8 * GIB)).unwrap();
        judged(0, 9 * GIB, None).unwrap();
    }
}
