//! Where a run keeps its things: `.drydock/<run>/{new,former,journal}` inside the volume, all opened from its handle, so
//! that nothing that the volume's users put there can lead elsewhere.

use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, flock, fsync, mkdirat};
use rustix::io::Errno;

use super::super::VolumeError;
use super::super::attributes::{ACCESS_ACL, Bearer, DEFAULT_ACL};
use super::super::folder::Folder;
use super::super::mounts;
use super::super::status::Kind;
use super::InPlaceRun;
use super::journal::stage_of;
use super::root::Root;

const OURS: &[u8] = b".drydock";

/// Longer names leave no room for `.drydock/<run>/former/` in a message, and nobody makes them.
const LONGEST_RUN: usize = 200;

#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    run: String,
    pub live: Folder,
    /// `.drydock`, locked as long as this lives: one drydock at a time.
    pub ours: Folder,
    /// `.drydock/<run>`.
    pub home: Folder,
    pub new: Folder,
    pub former: Folder,
    /// The live folder's own metadata before anything of this was made in it.
    pub former_root: Root,
}

impl Place {
    /// Makes the place for a new run.
    ///
    /// # Errors
    /// `Unfinished` while another run is; `MountInside`; `Busy` while another process is at it; `RunName`.
    pub(super) fn create(path: &Path, run: &str) -> Result<Self, VolumeError> {
        if let Some(mount) = mounts::inside(path) {
            return Err(VolumeError::MountInside { path: mount.display().to_string() });
        }
        let live = Folder::open(path).map_err(VolumeError::root(path))?;
        let former_root = Root::of(&live)?;
        let ours = make(&live, OURS)?;
        former_root.apply_times(&live).map_err(VolumeError::file("set the times of", b"."))?;
        lock(&ours, path)?;
        if let Some(other) = list(path)?.into_iter().find(|other| other.stage.is_unfinished()) {
            return Err(VolumeError::Unfinished { folder: path.display().to_string(), run: other.run });
        }
        if !is_run_name(run) || ours.status(run.as_bytes()).is_ok() {
            return Err(VolumeError::RunName { run: run.to_owned() });
        }
        let home = make(&ours, run.as_bytes())?;
        Self::complete(path, run, live, ours, home, former_root)
    }

    /// Opens the place of a run that was begun.
    pub(super) fn open(path: &Path, run: &str) -> Result<Self, VolumeError> {
        let no_such_run = || VolumeError::NoSuchRun { folder: path.display().to_string(), run: run.to_owned() };
        let live = Folder::open(path).map_err(VolumeError::root(path))?;
        let former_root = Root::of(&live)?;
        if !is_run_name(run) {
            return Err(no_such_run());
        }
        let ours = live.child(OURS).map_err(|_| no_such_run())?;
        let home = ours.child(run.as_bytes()).map_err(|_| no_such_run())?;
        lock(&ours, path)?;
        Self::complete(path, run, live, ours, home, former_root)
    }

    fn complete(
        path: &Path,
        run: &str,
        live: Folder,
        ours: Folder,
        home: Folder,
        former_root: Root,
    ) -> Result<Self, VolumeError> {
        let (new, former) = (make(&home, b"new")?, make(&home, b"former")?);
        for folder in [&home, &ours, &live] {
            fsync(folder).map_err(VolumeError::file("sync", b".drydock"))?;
        }
        Ok(Self { path: path.to_owned(), run: run.to_owned(), live, ours, home, new, former, former_root })
    }

    pub(super) fn run(&self) -> &str {
        &self.run
    }

    pub(super) fn folder_path(&self) -> String {
        self.path.display().to_string()
    }

    pub(super) fn former_path(&self) -> PathBuf {
        self.path.join(".drydock").join(&self.run).join("former")
    }

    pub(super) fn journal_path(&self) -> String {
        self.path.join(".drydock").join(&self.run).join("journal").display().to_string()
    }

    pub(super) fn unfinished(&self) -> VolumeError {
        VolumeError::Unfinished { folder: self.folder_path(), run: self.run.clone() }
    }
}

/// Every run in the folder, by name.
pub(super) fn list(path: &Path) -> Result<Vec<InPlaceRun>, VolumeError> {
    let live = Folder::open(path).map_err(VolumeError::root(path))?;
    let ours = match live.child(OURS) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Vec::new()),
        ours => ours.map_err(VolumeError::file("open", OURS))?,
    };
    let mut runs = Vec::new();
    for entry in ours.entries().map_err(VolumeError::file("list", OURS))? {
        let Ok(run) = std::str::from_utf8(&entry.name) else { continue };
        let is_folder = ours.status(&entry.name).is_ok_and(|status| status.kind == Kind::Folder);
        if is_folder && is_run_name(run) {
            let home = ours.child(&entry.name).map_err(VolumeError::file("open", &entry.name))?;
            let journal = path.join(".drydock").join(run).join("journal").display().to_string();
            runs.push(InPlaceRun { run: run.to_owned(), stage: stage_of(&home, &journal)? });
        }
    }
    Ok(runs)
}

/// A name that is one plain component and needs no quoting in a message or a shell.
fn is_run_name(run: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '+');
    !run.is_empty() && run.len() <= LONGEST_RUN && !run.starts_with('.') && run.chars().all(plain)
}

/// Makes the folder unless it is there, for root and this user alone, without the ACL that the volume hands down.
fn make(folder: &Folder, name: &[u8]) -> Result<Folder, VolumeError> {
    let failed = || VolumeError::file("make the folder", name);
    match mkdirat(folder, name, Mode::RWXU) {
        Err(Errno::EXIST) => {}
        made => made.map_err(failed())?,
    }
    let made = folder.child(name).map_err(failed())?;
    let bearer = Bearer::Open(std::os::fd::AsFd::as_fd(&made));
    bearer.remove(DEFAULT_ACL).and_then(|()| bearer.remove(ACCESS_ACL)).map_err(failed())?;
    Ok(made)
}

fn lock(ours: &Folder, path: &Path) -> Result<(), VolumeError> {
    match flock(ours, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) | Err(Errno::NOTSUP | Errno::NOLCK | Errno::NOSYS) => Ok(()), // some network file systems have none
        Err(Errno::WOULDBLOCK) => Err(VolumeError::Busy { folder: path.display().to_string() }),
        Err(errno) => Err(VolumeError::file("lock", OURS)(errno)),
    }
}
