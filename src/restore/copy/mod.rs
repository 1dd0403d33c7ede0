//! A restore beside everything that is live, into a folder or into databases of other names, as a run: fill and verify →
//! compare rows with files → release. What it makes carries its mark until all of it is verified; before that it is
//! removed when anything fails, and nothing without the mark is ever touched.

mod told;
mod work;

use std::io;
use std::path::{Path, PathBuf};

use self::told::{SetTold, To, Told};
use super::plan::{RestorePlan, Target};
use super::{RestoreError, evidence, mend, preview};
use crate::context::Context;
use crate::data::{DataError, volume};
use crate::point::Home;
use crate::process::Process;
use crate::run::{Phase, Plan};

pub(super) use told::RELEASE;
pub use work::Work;

/// What the restore comes to, frozen for the run that does it. Everything that can be known to speak against it is asked
/// first.
///
/// # Errors
/// `Refused`, by the first data set that speaks against it; `Unfinished` while what is live may be a mixture, which a
/// restore into the same server would take for its own leftovers.
///
/// # Panics
/// For a plan whose target is in place.
pub async fn phases(home: &Home, plan: &RestorePlan, cx: &Context) -> Result<Vec<Phase>, RestoreError> {
    evidence::signer(&home.stack)?; // found out now, not when all is done
    let (to, target) = match &plan.target {
        Target::Folder(folder) => {
            let path = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
            let text = |path: &Path| match path.to_str() {
                Some(text) => Ok(text.to_owned()),
                None => Err(RestoreError::FolderName { folder: path.display().to_string() }),
            };
            let made = topmost_missing(&path).map(text).transpose()?;
            let host = Process::this().host.clone();
            (To::Folder { path: text(&path)?, host, made }, Target::Folder(path))
        }
        Target::Databases(names) => {
            mend::refuse_unfinished(home).await?;
            (To::Databases { names: names.clone() }, plan.target.clone())
        }
        Target::InPlace => unreachable!("in place it is another run"),
    };
    let plan = RestorePlan { target, ..plan.clone() };
    let databases = preview::refuse_early(home, &plan, cx).await?;
    let mut data = Vec::new();
    for part in &plan.parts {
        let look = |error: volume::VolumeError| {
            let (data, source) = (part.name().clone(), Box::new(DataError::from(error)));
            RestoreError::Look { data, source }
        };
        let was = match &plan.target {
            Target::Folder(folder) => {
                Some(volume::target_state(&folder.join(part.name().as_str()), cx).await.map_err(look)?)
            }
            Target::Databases(_) | Target::InPlace => None,
        };
        let databases = databases.iter().filter(|(of, _)| of == part.name()).map(|(_, one)| one.clone());
        let (name, kind) = (part.name().clone(), part.member.kind);
        data.push(SetTold { data: name, kind, was, databases: databases.collect() });
    }
    let (roles, allow_not_empty) = (plan.options.roles, plan.options.allow_not_empty);
    Ok(Told { point: plan.point, to, data, roles, allow_not_empty }.phases(&home.stack))
}

/// The host where the folder of the run `plan` lies, when that is not this one: nobody here can do anything about it.
#[must_use]
pub fn elsewhere(plan: &Plan) -> Option<String> {
    match Told::read(plan).ok()?.to {
        To::Folder { host, .. } if host != Process::this().host => Some(host),
        To::Folder { .. } | To::Databases { .. } => None,
    }
}

fn topmost_missing(path: &Path) -> Option<&Path> {
    let is_missing = |path: &&Path| path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    path.ancestors().take_while(is_missing).last()
}

/// Where a data set goes below the folder.
fn below(path: &str, set: &SetTold) -> PathBuf {
    Path::new(path).join(set.data.as_str())
}
