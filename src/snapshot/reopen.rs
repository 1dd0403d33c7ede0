//! Opens what was written again, from the store and not from memory, before anybody is told that it is there.

use super::{Run, SnapshotError, Taken, record};
use crate::failure::{Category, Failure};
use crate::point::{DataWord, Member, PointRecord, document};
use crate::repository::{BlobKind, NodeKind};

/// Each member's snapshot leads to its data set's folder, and where the kind has a manifest that can be read.
pub async fn members(run: &Run<'_>, members: &[Member]) -> Result<(), SnapshotError> {
    for member in members {
        run.go_on()?;
        let what = format!("the snapshot {} of `{}`", member.snapshot.short(), member.data);
        let snapshot = run.home.repository.snapshot(&member.snapshot).await?;
        let folder = run.home.repository.find(&snapshot.tree, &[member.data.as_str()]).await?;
        if !folder.is_some_and(|node| node.kind == NodeKind::Dir { subtree: member.tree }) {
            return Err(SnapshotError::NotAsWritten { what, how: "it leads to another folder".into() });
        }
        match member.kind {
            DataWord::Postgres | DataWord::Redis => {
                document(&run.home.repository, &member.tree, "manifest.json", &what).await?;
            }
            DataWord::Volume => {
                run.home.repository.blob(BlobKind::Tree, &member.tree.into()).await?;
            }
        }
    }
    Ok(())
}

/// The point's own snapshot reads back as what was recorded; one that does not is taken back, and its members after it.
/// A store that cannot be asked is no verdict on the point, whose members were opened before: it stays.
pub async fn point(run: &Run<'_>, taken: &Taken, members: &[Member]) -> Result<(), SnapshotError> {
    let Err(error) = read(run, taken).await else { return Ok(()) };
    if error.category() == Category::Integrity {
        run.home.repository.remove_snapshot(&taken.snapshot).await?;
        record::withdraw(run, members).await;
    }
    Err(error)
}

async fn read(run: &Run<'_>, taken: &Taken) -> Result<(), SnapshotError> {
    let what = format!("recovery point {}", taken.record.id);
    let snapshot = run.home.repository.snapshot(&taken.snapshot).await?;
    let json = document(&run.home.repository, &snapshot.tree, PointRecord::FILE, &what).await?;
    if PointRecord::from_json(&what, &json)? != taken.record {
        return Err(SnapshotError::NotAsWritten { what, how: "its record differs".into() });
    }
    Ok(())
}
