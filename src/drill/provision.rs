//! Makes the sandbox: a folder that is ours, and in it an empty server or folder for each data set.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use super::owner::Owner;
use super::plan::{DrillPlan, Part};
use super::sandbox::{Holds, Place, Sandbox};
use super::{DrillError, discard};
use crate::context::Context;
use crate::data::{DataError, postgres, redis};
use crate::point::{DataWord, Home};
use crate::stack::PostgresSpec;

/// Makes everything anew: what this run had made before goes first, and so does what a crash of any other has left.
///
/// # Errors
/// What could not be made, or no programs to make it with; nothing is left then.
pub async fn provision(home: &Home, plan: &DrillPlan, cx: &Context) -> Result<Sandbox, DrillError> {
    discard::sweep(&plan.root).await?;
    match discard::remove(&plan.root, &plan.run).await {
        Ok(_) | Err(DrillError::NoSuchSandbox { .. }) => {}
        Err(error) => return Err(error),
    }
    make_folder(plan, cx)?;
    let mut sandbox = Sandbox::new(plan.folder());
    for part in &plan.parts {
        anew(home, plan, part, &mut sandbox, cx).await?;
    }
    Ok(sandbox)
}

/// Appears under its name with its owner in it: whoever sees the folder knows whose it is.
fn make_folder(plan: &DrillPlan, cx: &Context) -> Result<(), DrillError> {
    let prefix = format!("{}{}-", discard::UNBORN, std::process::id());
    let unborn = tempfile::Builder::new().prefix(&prefix).tempdir_in(&plan.root);
    let unborn = unborn.map_err(DrillError::folder("make a sandbox in", &plan.root))?;
    // Servers that run as another user must come through to their own folders, which nobody else can enter.
    let mode = if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 };
    let opened = fs::set_permissions(unborn.path(), fs::Permissions::from_mode(mode));
    opened.map_err(DrillError::folder("open", unborn.path()))?;
    Owner::ourselves(&plan.run, &plan.stack, plan.point, cx.clock.now()).write(unborn.path())?;
    fs::rename(unborn.path(), plan.folder()).map_err(DrillError::folder("make", plan.folder()))?;
    drop(unborn.keep()); // it has another name now
    Ok(())
}

/// Makes the place of one data set, empty, whatever was there.
pub(super) async fn anew(
    home: &Home,
    plan: &DrillPlan,
    part: &Part,
    sandbox: &mut Sandbox,
    cx: &Context,
) -> Result<(), DrillError> {
    if cx.cancel.is_cancelled() {
        return Err(DrillError::Cancelled);
    }
    let begun = Instant::now();
    sandbox.places.remove(part.name()); // its server ends here
    let folder = sandbox.folder().join(&part.place);
    discard::remove_folder(&folder)?;
    let made = fs::create_dir(&folder).and_then(|()| fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)));
    made.map_err(DrillError::folder("make", &folder))?;
    let holds = start(home, plan, part, &folder).await;
    let holds =
        holds.map_err(|source| DrillError::Provision { data: part.name().clone(), source: Box::new(source) })?;
    let provision_ms = super::report::ms(begun.elapsed());
    sandbox.places.insert(part.name().clone(), Place { holds, used: false, provision_ms });
    Ok(())
}

async fn start(home: &Home, plan: &DrillPlan, part: &Part, folder: &Path) -> Result<Holds, DataError> {
    let (repository, tree) = (&home.repository, &part.member.tree);
    Ok(match part.member.kind {
        DataWord::Postgres => {
            let manifest = postgres::source_of(repository, tree).await?;
            let chosen = part.postgres().and_then(|spec| spec.server_binaries.as_deref());
            let programs = postgres::ServerPrograms::find(chosen, manifest.server.version).await?;
            let connections = part.postgres().map_or(2, |spec| spec.connections);
            let options = postgres::SandboxOptions { fsync: plan.fsync, keep: plan.keep, connections };
            let server = postgres::Sandbox::start(&programs, folder, options).await?;
            // What was recorded, not what the document lists today.
            let databases = manifest.databases.iter().map(|database| database.name.clone()).collect();
            let spec = PostgresSpec { database: None, databases, ..server.spec(part.postgres()) };
            Holds::Postgres { server, spec: Box::new(spec) }
        }
        DataWord::Redis => {
            let chosen = part.redis().and_then(|spec| spec.scratch_server.as_deref());
            Holds::Redis(redis::Sandbox::start(repository, tree, folder, chosen, plan.keep).await?)
        }
        // The restored folder may be open to all; what it lies in is not.
        DataWord::Volume => Holds::Volume(folder.join("files")),
    })
}
