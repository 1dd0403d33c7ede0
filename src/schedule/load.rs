//! A folder of documents; the only I/O here.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::document;
use super::{Schedule, ScheduleName};
use crate::failure::{Category, Failure};
use crate::stack::Problem;

/// A folder of schedules that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read the schedules' folder {folder}", folder = folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    /// One line a problem, of all files.
    #[error("{}", problems.join("\n"))]
    Invalid { problems: Vec<String> },
}

impl Failure for LoadError {
    fn category(&self) -> Category {
        Category::Usage
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Folder { .. } => Some(
                "say where the Schedule documents are: `--schedules DIR`, or the environment variable DRYDOCK_SCHEDULES"
                    .into(),
            ),
            Self::Invalid { .. } => None,
        }
    }
}

/// Reads every `*.yaml` and `*.yml` of `folder`, in the order of their names; hidden files and folders in it are left
/// alone. The schedules come sorted by name.
///
/// # Errors
/// When the folder cannot be read, or with all that is wrong in all files: a broken document must not go unseen because
/// another one is broken too.
pub fn load(folder: &Path) -> Result<Vec<Schedule>, LoadError> {
    let files = files(folder).map_err(|source| LoadError::Folder { folder: folder.to_owned(), source })?;
    let mut schedules: BTreeMap<ScheduleName, Schedule> = BTreeMap::new();
    let mut problems = Vec::new();
    for file in files {
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) => {
                problems.push(format!("{}: cannot be read: {error}", file.display()));
                continue;
            }
        };
        let parsed = document::parse(&file, &text);
        problems.extend(parsed.problems.iter().map(|problem| format!("{}:{problem}", file.display())));
        for schedule in parsed.schedules {
            if let Some(first) = schedules.get(&schedule.name) {
                problems.push(format!("{}:{}", file.display(), twice(&schedule, first)));
            } else {
                schedules.insert(schedule.name.clone(), schedule);
            }
        }
    }
    if problems.is_empty() { Ok(schedules.into_values().collect()) } else { Err(LoadError::Invalid { problems }) }
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        let is_hidden = path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with('.'));
        // what a symbolic link leads to counts: Kubernetes mounts ConfigMaps as links
        if is_yaml && !is_hidden && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn twice(second: &Schedule, first: &Schedule) -> Problem {
    let (name, file, line) = (&first.name, first.file.display(), first.place.line);
    let message = format!("the name `{name}` is taken by {file}:{line}");
    Problem { place: second.place, field: "metadata.name".into(), message }
}
