//! Reads a folder and says where it is not what a tree recorded: names, kinds, content, metadata, links. Owns what
//! counts as a difference; knows nothing of how the folder came to be.
//!
//! Not compared: access and change times and inode numbers, which no restore can or need bring back.

mod content;
mod entry;
mod metadata;
mod report;

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::mpsc::SyncSender;

use rustix::io::Errno;

use crate::context::Context;
use crate::data::Comparison;
use crate::progress::Task;
use crate::repository::{Node, NodeKind, Repository, TreeId};

use super::VolumeError;
use super::attributes::Bearer;
use super::blocking::{Failure, Jobs, blocking};
use super::exclude::RESERVED;
use super::folder::{Entry, Folder};
use super::limits::raise_open_files;
use super::path::join;
use super::restore::{Restore, RestoreOptions, Shortfalls};
use super::status::Kind;
use content::{FileJob, checker};
use entry::Links;
use report::Report;

/// How a folder is compared.
#[derive(Debug, Clone, Default)]
pub struct CompareOptions {
    /// The folder's own metadata, where it was recorded.
    pub root: Option<Node>,
    /// What the tree does not name is counted in the notes instead of being a difference.
    pub allow_more: bool,
}

/// What is there and not in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extras {
    Differ,
    Counted,
}

/// Compares all of `folder` with the tree, reading every byte of every file. Changes nothing.
///
/// # Errors
/// When the folder or the repository cannot be read; what differs is in the comparison.
pub async fn compare(
    repository: &Repository,
    tree: &TreeId,
    folder: &Path,
    options: &CompareOptions,
    cx: &Context,
) -> Result<Comparison, VolumeError> {
    let task = cx.progress.task(format!("compare {}", folder.display()), 0, 0);
    let restore_options = RestoreOptions { root: options.root.clone(), ..RestoreOptions::default() };
    let extras = if options.allow_more { Extras::Counted } else { Extras::Differ };
    let (repository, tree, path) = (repository.clone(), *tree, folder.to_owned());
    let compared = blocking(cx, move |stop| {
        let folder = Folder::open(&path).map_err(VolumeError::root(&path))?;
        let record = Restore::new(repository, tree, restore_options, stop);
        run(&record, &folder, extras, &task)
    });
    compared.await
}

/// Compares `folder` with the tree that `record` is about.
pub(super) fn run(record: &Restore, folder: &Folder, extras: Extras, task: &Task) -> Result<Comparison, VolumeError> {
    raise_open_files();
    let report = Report::new(&record.shortfalls);
    let failure = Failure::new(record.stop.clone());
    let (sender, jobs) = Jobs::new(WAITING_FILES);
    std::thread::scope(|scope| {
        for _ in 0..record.options.threads.max(1) {
            scope.spawn(|| {
                failure.note(checker(record, folder, &report, task, &jobs));
                while jobs.next().is_some() {} // after a failure: the walk must not wait for nobody
            });
        }
        let mut walk =
            Walk { record, root: folder, report: &report, extras, task, jobs: sender, links: Links::default() };
        failure.note(walk.everything());
    });
    failure.into_result()?;
    record.stop.check()?;
    task.finish();
    Ok(report.into_comparison())
}

/// Compares a folder's own metadata alone.
pub(super) fn of_root(shortfalls: &Shortfalls, folder: &Folder, node: &Node) -> Result<Comparison, VolumeError> {
    let report = Report::new(shortfalls);
    metadata::of_folder(&report, folder, b"", node)?;
    Ok(report.into_comparison())
}

/// Files that wait to be read.
const WAITING_FILES: usize = 256;

#[derive(Debug)]
struct Walk<'r> {
    record: &'r Restore,
    root: &'r Folder,
    report: &'r Report<'r>,
    extras: Extras,
    task: &'r Task,
    jobs: SyncSender<FileJob>,
    links: Links,
}

impl Walk<'_> {
    fn everything(&mut self) -> Result<(), VolumeError> {
        if let Some(node) = &self.record.options.root {
            metadata::of_folder(self.report, self.root, b"", node)?;
        }
        let mut folders = vec![(Vec::new(), self.record.tree)];
        while let Some((path, tree)) = folders.pop() {
            self.record.stop.check()?;
            match self.root.below(&path) {
                Ok(folder) => self.folder(&folder, &path, &tree, &mut folders)?,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                    self.report.differs(&path, "folder", "something else, just now");
                }
                Err(errno) => return Err(VolumeError::file("open", &path)(errno)),
            }
        }
        Ok(())
    }

    /// Goes along both lists of names, which are sorted alike.
    fn folder(
        &mut self,
        folder: &Folder,
        path: &[u8],
        tree: &TreeId,
        below: &mut Vec<(Vec<u8>, TreeId)>,
    ) -> Result<(), VolumeError> {
        let mut found = match folder.entries() {
            Err(Errno::NOENT) if !path.is_empty() => Vec::new(), // removed just now: all of it is missing
            found => found.map_err(VolumeError::file("list", path))?,
        };
        if path.is_empty() {
            found.retain(|entry| !RESERVED.contains(&&*entry.name));
        }
        let mut found = found.into_iter().peekable();
        let record = self.record;
        record.trees.each(tree, |node| {
            record.stop.check()?;
            while let Some(extra) = found.next_if(|entry| *entry.name < *node.name) {
                self.extra(folder, path, &extra);
            }
            let there = found.next_if(|entry| *entry.name == *node.name).is_some();
            self.entry(folder, join(path, &node.name), node, there, below)
        })?;
        found.for_each(|extra| self.extra(folder, path, &extra));
        Ok(())
    }

    fn extra(&self, folder: &Folder, path: &[u8], entry: &Entry) {
        let kind = folder.status(&entry.name).map_or("something", |status| status.kind.word());
        match self.extras {
            Extras::Counted => self.report.more(),
            Extras::Differ => self.report.differs(&join(path, &entry.name), "nothing", kind),
        }
    }

    fn entry(
        &mut self,
        folder: &Folder,
        path: Vec<u8>,
        node: Node,
        there: bool,
        below: &mut Vec<(Vec<u8>, TreeId)>,
    ) -> Result<(), VolumeError> {
        self.task.add_items(1);
        let kind = Kind::of(&node.kind);
        let status = match folder.status(&node.name) {
            Ok(status) if there => status,
            Ok(_) | Err(Errno::NOENT) => {
                self.report.missing(&path, kind);
                return Ok(());
            }
            Err(errno) => return Err(VolumeError::file("look at", &path)(errno)),
        };
        if status.kind != kind {
            self.report.differs(&path, kind.word(), status.kind.word());
            return Ok(());
        }
        self.links.check(self.report, &path, &node, &status);
        match node.kind {
            NodeKind::Dir { subtree } => {
                match folder.child(&node.name) {
                    Ok(child) => metadata::of_folder(self.report, &child, &path, &node)?,
                    Err(errno) => return self.report.closed(&path, &node, errno),
                }
                below.push((path, subtree));
                Ok(())
            }
            NodeKind::File { .. } => self.jobs.send(FileJob { path, node }).map_err(|_| VolumeError::Cancelled),
            _ => {
                let attributes = Bearer::At(&folder.proc_path(&node.name)).read(|_| {});
                let attributes = attributes.map_err(VolumeError::file("read the attributes of", &path))?;
                entry::special(self.report, folder, &path, &node, &status)?;
                metadata::check(self.report, &path, &node, &status, &attributes);
                Ok(())
            }
        }
    }
}

/// What an open file or folder carries.
fn attributes_of(fd: impl AsFd, path: &[u8]) -> Result<super::attributes::Attributes, VolumeError> {
    Bearer::Open(fd.as_fd()).read(|_| {}).map_err(VolumeError::file("read the attributes of", path))
}
