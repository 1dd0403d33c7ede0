//! How many there are: rows, keys, files.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use globset::{Candidate, GlobBuilder, GlobMatcher};

use super::{Database, Shown, Unasked};
use crate::context::Context;
use crate::data::postgres::count_rows;
use crate::drill::sandbox::{Holds, Sandbox};
use crate::stack::{FilesAssertion, KeysAssertion, RowsAssertion};

pub(super) async fn rows(
    database: Database<'_>,
    assertion: &RowsAssertion,
    limit: Duration,
    cx: &Context,
) -> Result<Shown, Unasked> {
    let found = count_rows(database.spec, database.name, &assertion.table, limit, cx).await?;
    Ok(judge(found, assertion.min, assertion.max))
}

pub(super) async fn keys(sandbox: &Sandbox, assertion: &KeysAssertion, cx: &Context) -> Result<Shown, Unasked> {
    let place = sandbox.places.get(&assertion.data);
    let Some(Holds::Redis(server)) = place.map(|place| &place.holds) else {
        unreachable!("the document's check has put a Redis here, and the plan asks only what is drilled")
    };
    let found = server.count(assertion.database, &assertion.pattern, cx).await?;
    Ok(judge(found, assertion.min, assertion.max))
}

pub(super) async fn files(sandbox: &Sandbox, assertion: &FilesAssertion, cx: &Context) -> Result<Shown, Unasked> {
    let place = sandbox.places.get(&assertion.data);
    let Some(Holds::Volume(folder)) = place.map(|place| &place.holds) else {
        unreachable!("the document's check has put a folder here, and the plan asks only what is drilled")
    };
    let (folder, pattern, stop) = (folder.clone(), matcher(&assertion.pattern)?, cx.cancel.clone());
    let counted = tokio::task::spawn_blocking(move || count(&folder, &pattern, || stop.is_cancelled()));
    let counted = counted.await.map_err(|error| Unasked::Because(error.to_string()))?;
    match counted {
        Ok(Some(found)) => Ok(judge(found, assertion.min, assertion.max)),
        Ok(None) => Err(Unasked::Cancelled),
        Err((path, error)) => Err(Unasked::Because(format!("cannot list {}: {error}", path.display()))),
    }
}

/// As of `exclude`: without a slash a name at any depth, with one from the folder down.
fn matcher(pattern: &str) -> Result<GlobMatcher, Unasked> {
    let rooted = pattern.strip_prefix('/').unwrap_or(pattern);
    let whole = if pattern.contains('/') { rooted.to_owned() } else { format!("**/{rooted}") };
    let glob = GlobBuilder::new(&whole).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| Unasked::Because(error.to_string()))
}

type Unlisted = (PathBuf, std::io::Error);

/// Regular files alone; links are not followed. `None` when it was told to stop.
fn count(root: &Path, pattern: &GlobMatcher, stop: impl Fn() -> bool) -> Result<Option<u64>, Unlisted> {
    let mut found = 0;
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        if stop() {
            return Ok(None);
        }
        let path = root.join(&folder);
        let failed = |error| (path.clone(), error);
        for entry in std::fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let name: &OsStr = &entry.file_name();
            let relative = folder.join(name);
            if kind.is_dir() {
                folders.push(relative);
            } else if kind.is_file() {
                let candidate = Candidate::from_bytes(relative.as_os_str().as_bytes());
                found += u64::from(pattern.is_match_candidate(&candidate));
            }
        }
    }
    Ok(Some(found))
}

fn judge(found: u64, min: Option<u64>, max: Option<u64>) -> Shown {
    let holds = min.is_none_or(|min| found >= min) && max.is_none_or(|max| found <= max);
    let expected = match (min, max) {
        (Some(min), Some(max)) if min == max => min.to_string(),
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "any number".into(),
    };
    Shown::new(holds, expected, found.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_count_themselves_in() {
        let said = |found, min, max| {
            let shown = judge(found, min, max);
            (shown.holds, shown.expected)
        };
        assert_eq!(said(3, Some(3), Some(3)), (true, "3".into()));
        assert_eq!(said(2, Some(3), None), (false, "at least 3".into()));
        assert_eq!(said(9, None, Some(8)), (false, "at most 8".into()));
        assert_eq!(said(8, Some(1), Some(8)), (true, "1 to 8".into()));
    }

    #[test]
    fn files_are_matched_as_exclude_matches_and_links_are_none() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        for file in ["x.png", "a/y.png", "a/b/z.png", "a/b/z.txt"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        std::os::unix::fs::symlink("x.png", folder.path().join("link.png")).unwrap();
        let counted = |pattern: &str| {
            let pattern = matcher(pattern).unwrap_or_else(|_| panic!("{pattern}"));
            count(folder.path(), &pattern, || false).unwrap().unwrap()
        };
        assert_eq!(["*.png", "/*.png", "a/*.png", "a/**", "nothing"].map(counted), [3, 1, 1, 3, 0]);
    }
}
