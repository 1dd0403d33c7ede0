//! What captures leave out is in no snapshot, so nothing but the live folder has it: at the top it stays where it is, and
//! what lies deeper goes with the folder around it, and is told of.

use super::super::VolumeError;
use super::super::blocking::Stop;
use super::super::exclude::Excludes;
use super::super::folder::Folder;
use super::super::path::{join, shown};
use super::super::status::Kind;

/// How many are named; the rest is counted.
const NAMED: usize = 5;

/// What is left out below top-level folders that are not left out themselves, in a sentence.
pub(in super::super) fn below_the_top(
    live: &Folder,
    excludes: &Excludes,
    stop: &Stop,
) -> Result<Option<String>, VolumeError> {
    if excludes.is_empty() {
        return Ok(None);
    }
    let (mut count, mut named, mut folders) = (0_u64, Vec::new(), vec![Vec::new()]);
    while let Some(path) = folders.pop() {
        stop.check()?;
        let folder = live.below(&path).map_err(VolumeError::file("open", &path))?;
        for entry in folder.entries().map_err(VolumeError::file("list", &path))? {
            let whole = join(&path, &entry.name);
            if excludes.leave_out(&whole) {
                if !path.is_empty() {
                    count += 1;
                    if named.len() < NAMED {
                        named.push(shown(&whole));
                    }
                }
                continue;
            }
            let status = folder.status(&entry.name).map_err(VolumeError::file("look at", &whole))?;
            if status.kind == Kind::Folder {
                folders.push(whole);
            }
        }
    }
    named.sort();
    let more = if count > named.len() as u64 { " …" } else { "" };
    Ok((count > 0).then(|| {
        format!(
            "{count} entries that `exclude` leaves out are in no recovery point, and are kept with the former content alone: \
             {}{more}",
            named.join(", ")
        )
    }))
}
