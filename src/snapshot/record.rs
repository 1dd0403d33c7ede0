//! Names what was read: a snapshot for each data set, then the point's own, which makes all of them real.

use std::time::Duration;

use super::read::Read;
use super::references::Compared;
use super::{Run, SnapshotError, Taken};
use crate::point::{self, Member, PointRecord, member_tags, point_tags};
use crate::repository::{Snapshot, TreeId};

/// The folders that the members' snapshots will name; stored together with what was read.
pub async fn named(run: &Run<'_>, read: &[Read]) -> Result<Vec<TreeId>, SnapshotError> {
    let mut trees = Vec::new();
    for Read { set, captured, .. } in read {
        let root = captured.root.clone();
        trees.push(point::named(&run.writer, &set.name, captured.tree, root, run.time).await?);
    }
    Ok(trees)
}

/// Saves the members' snapshots of `trees`; whatever fails takes back those that were saved.
pub async fn members(run: &Run<'_>, read: Vec<Read>, trees: Vec<TreeId>) -> Result<Vec<Member>, SnapshotError> {
    let mut members = Vec::new();
    for (read, tree) in read.into_iter().zip(trees) {
        match member(run, read, tree).await {
            Ok(member) => members.push(member),
            Err(error) => {
                withdraw(run, &members).await;
                return Err(error);
            }
        }
    }
    Ok(members)
}

async fn member(run: &Run<'_>, read: Read, tree: TreeId) -> Result<Member, SnapshotError> {
    run.go_on()?;
    let Read { set, captured, bytes, took } = read;
    let mut snapshot = signed(run, tree, vec![format!("/{}", set.name)]);
    snapshot.tags = with_those_of_people(run, member_tags(&run.home.stack.name, run.id, &set.name));
    snapshot.parent = run.plan.former.get(&set.name).map(|former| former.snapshot);
    Ok(Member {
        snapshot: run.home.repository.save_snapshot(&snapshot).await?,
        kind: (&set.kind).into(),
        data: set.name,
        tree: captured.tree,
        instant: captured.instant,
        bytes,
        read_bytes: captured.bytes,
        items: captured.items,
        digest: captured.digest,
        source: captured.source_version,
        warnings: captured.warnings,
        notes: captured.notes,
        took_ms: ms(took),
    })
}

/// A snapshot of the run's time, stack and user.
fn signed(run: &Run<'_>, tree: TreeId, paths: Vec<String>) -> Snapshot {
    let mut snapshot = Snapshot::new(run.time, tree);
    snapshot.hostname = run.home.stack.name.to_string();
    snapshot.username = point::user();
    snapshot.uid = rustix::process::getuid().as_raw();
    snapshot.gid = rustix::process::getgid().as_raw();
    snapshot.paths = paths;
    snapshot
}

/// Stores `point.json` and the `Stack` document beside it.
pub async fn documents(run: &Run<'_>, members: &[Member], compared: Compared) -> Result<Documented, SnapshotError> {
    let record = PointRecord {
        format_version: PointRecord::FORMAT_VERSION,
        id: run.id,
        stack: run.home.stack.name.clone(),
        time: run.time,
        tool: crate::TOOL.into(),
        reason: run.plan.reason.clone(),
        members: members.to_vec(),
        omitted: run.plan.omitted.clone(),
        largest_distance_ms: largest_distance_ms(members),
        references: compared.records,
        stats: run.writer.finish().await?,
        took_ms: ms(run.begun.elapsed()),
    };
    let mut documents = vec![
        (PointRecord::FILE, record.to_json()),
        (PointRecord::STACK_FILE, run.home.stack.text.clone().into_bytes()),
    ];
    if !compared.checked.is_empty() {
        documents.push((PointRecord::CHECKED_FILE, compared.checked.to_bytes()));
    }
    let paths = documents.iter().map(|(name, _)| format!("/{name}")).collect();
    let tree = point::folder(&run.writer, run.time, documents).await?;
    run.writer.finish().await?;
    run.go_on()?; // a lock that was lost meanwhile means that a prune may have taken what we name
    Ok(Documented { record, tree, paths })
}

/// What the point's own snapshot will name.
pub struct Documented {
    record: PointRecord,
    tree: TreeId,
    paths: Vec<String>,
}

/// Saves the snapshot that makes the point real.
pub async fn point(run: &Run<'_>, documented: Documented) -> Result<Taken, SnapshotError> {
    let Documented { record, tree, paths } = documented;
    let mut snapshot = signed(run, tree, paths);
    snapshot.tags = with_those_of_people(run, point_tags(&run.home.stack.name, run.id));
    let snapshot = run.home.repository.save_snapshot(&snapshot).await?;
    let tags = run.plan.tags.iter().map(ToString::to_string).collect();
    Ok(Taken { snapshot, record, tags, clock: None })
}

fn with_those_of_people(run: &Run<'_>, own: Vec<String>) -> Vec<String> {
    own.into_iter().chain(run.plan.tags.iter().map(ToString::to_string)).collect()
}

/// Removes members that no point will name. What cannot be removed now is not listed either, and goes with `forget`.
pub async fn withdraw(run: &Run<'_>, members: &[Member]) {
    for member in members {
        if let Err(error) = run.home.repository.remove_snapshot(&member.snapshot).await {
            tracing::warn!(%error, data = %member.data, "a snapshot without a point is left; forget drops it");
        }
    }
}

fn largest_distance_ms(members: &[Member]) -> u64 {
    let instants = members.iter().map(|member| member.instant);
    match (instants.clone().min(), instants.max()) {
        (Some(first), Some(last)) => last.duration_since(first).as_millis().try_into().unwrap_or(0),
        _ => 0,
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
