//! What a restore into a folder would be refused for; changes nothing.

use std::path::Path;

use crate::context::Context;
use crate::data::Estimate;
use crate::repository::{Repository, TreeId};

use super::blocking::blocking;
use super::exclude::Excludes;
use super::folder::Folder;
use super::restore::{Restore, refuse_not_empty, refuse_too_small};
use super::{RestoreOptions, VolumeError, in_place, mounts};

/// What speaks against a restore, and what a person should know of it.
#[derive(Debug, Default)]
pub struct RestorePreview {
    /// Empty when it may begin.
    pub refusals: Vec<VolumeError>,
    pub notes: Vec<String>,
}

/// Where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Into {
    /// A folder that is empty, or is made.
    Folder,
    /// The place of what is live.
    Place,
}

/// Looks at the target: is it empty, is nothing mounted inside, is there room? `recorded` is the snapshot's size by its
/// record; only where that does not fit the trees are read, which know the holes.
///
/// # Errors
/// When the target or the snapshot cannot be looked at.
pub async fn plan_restore(
    repository: &Repository,
    tree: &TreeId,
    target: &Path,
    into: Into,
    options: &RestoreOptions,
    recorded: Estimate,
    cx: &Context,
) -> Result<RestorePreview, VolumeError> {
    let (repository, tree, target, options) = (repository.clone(), *tree, target.to_owned(), options.clone());
    blocking(cx, move |stop| {
        let restore = Restore::new(repository, tree, options.clone(), stop.clone());
        let mut preview = RestorePreview::default();
        let there = nearest(&target)?;
        match into {
            Into::Place => {
                if let Some(mount) = mounts::inside(&target) {
                    preview.refusals.push(VolumeError::MountInside { path: mount.display().to_string() });
                }
                let live = Folder::open(&target).map_err(VolumeError::root(&target))?;
                preview.notes.extend(in_place::left_out(&live, &Excludes::new(&options.exclude)?, &stop)?);
            }
            Into::Folder if target.exists() => {
                preview.refusals.extend(refuse_not_empty(&target, options.allow_not_empty)?);
            }
            Into::Folder => {}
        }
        preview.refusals.extend(refuse_too_small(&restore, recorded, &there)?);
        Ok(preview)
    })
    .await
}

/// The folder, or the one in which it would be made.
fn nearest(target: &Path) -> Result<Folder, VolumeError> {
    let absolute = std::path::absolute(target).unwrap_or_else(|_| target.to_owned());
    let there = absolute.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    Folder::open(there).map_err(VolumeError::root(there))
}
