//! The tags by which a stack's snapshots are found among all of a repository; stock restic shows and filters them too.

use super::PointId;
use crate::repository::Snapshot;
use crate::stack::{Name, Tag};

/// What a snapshot is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// One data set of a recovery point.
    Member { point: PointId, data: Name },
    /// The recovery point itself: `point.json`.
    Point(PointId),
    /// A person's word that a point stays: `keep.json`.
    Keep(PointId),
    /// A drill's word that a point restores: `proven.json`.
    Proven(PointId),
}

/// Tags of the snapshot of data set `data`.
#[must_use]
pub fn member_tags(stack: &Name, point: PointId, data: &Name) -> Vec<String> {
    let mut tags = point_tags(stack, point);
    tags.push(format!("data={data}"));
    tags
}

/// Tags of the recovery point's own snapshot.
#[must_use]
pub fn point_tags(stack: &Name, point: PointId) -> Vec<String> {
    vec![Tag::DRYDOCK.into(), format!("stack={stack}"), format!("point={point}")]
}

/// Tags of a keep.
#[must_use]
pub fn keep_tags(stack: &Name, point: PointId) -> Vec<String> {
    vec![Tag::DRYDOCK.into(), format!("stack={stack}"), format!("keep={point}")]
}

/// What people have put on a snapshot, with drydock or with restic.
#[must_use]
pub fn tags_of_people(snapshot: &Snapshot) -> Vec<String> {
    snapshot.tags.iter().filter(|tag| !Tag::is_own(tag)).cloned().collect()
}

/// Tags of a drill's mark.
#[must_use]
pub fn proven_tags(stack: &Name, point: PointId) -> Vec<String> {
    vec![Tag::DRYDOCK.into(), format!("stack={stack}"), format!("proven={point}")]
}

impl Role {
    /// What `snapshot` is for in `stack`; `None` when it is another stack's, restic's own, or not understood.
    #[must_use]
    pub fn of(snapshot: &Snapshot, stack: &Name) -> Option<Self> {
        let value = |key: &str| {
            snapshot.tags.iter().find_map(|tag| tag.strip_prefix(key)?.strip_prefix('=').map(str::to_owned))
        };
        if !snapshot.tags.iter().any(|tag| tag == Tag::DRYDOCK) || value("stack").as_deref() != Some(stack.as_str()) {
            return None;
        }
        if let Some(point) = value("keep") {
            return Some(Self::Keep(point.parse().ok()?));
        }
        if let Some(point) = value("proven") {
            return Some(Self::Proven(point.parse().ok()?));
        }
        let point = value("point")?.parse().ok()?;
        match value("data") {
            Some(data) => Some(Self::Member { point, data: data.parse().ok()? }),
            None => Some(Self::Point(point)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::TreeId;

    #[test]
    fn tags_lead_back_to_the_role() {
        let (stack, data, point) = ("shop".parse().unwrap(), "db".parse().unwrap(), PointId::random());
        let mut snapshot = Snapshot::new(jiff::Timestamp::UNIX_EPOCH, TreeId([0; 32]));
        let mut role = |tags: Vec<String>| {
            snapshot.tags = tags;
            Role::of(&snapshot, &stack)
        };
        assert_eq!(role(member_tags(&stack, point, &data)), Some(Role::Member { point, data: data.clone() }));
        assert_eq!(role(point_tags(&stack, point)), Some(Role::Point(point)));
        assert_eq!(role(keep_tags(&stack, point)), Some(Role::Keep(point)));
        assert_eq!(role(proven_tags(&stack, point)), Some(Role::Proven(point)));
        assert_eq!(role(point_tags(&"other".parse().unwrap(), point)), None);
        assert_eq!(role(vec!["nightly".into()]), None, "restic's own snapshots are nobody's");
        assert_eq!(role(vec!["drydock".into(), "stack=shop".into(), "point=zzz".into()]), None);
    }

    #[test]
    fn no_word_of_a_person_is_taken_for_drydocks_own() {
        let (stack, data, point) = ("shop".parse().unwrap(), "db".parse().unwrap(), PointId::random());
        let mut snapshot = Snapshot::new(jiff::Timestamp::UNIX_EPOCH, TreeId([0; 32]));
        snapshot.tags = [member_tags(&stack, point, &data), keep_tags(&stack, point)].concat();
        assert!(snapshot.tags.iter().all(|tag| tag.parse::<Tag>().is_err()));
        snapshot.tags.insert(1, "nightly".into());
        snapshot.tags.push("release=4.11".into());
        assert_eq!(tags_of_people(&snapshot), ["nightly", "release=4.11"]);
    }
}
