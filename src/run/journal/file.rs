//! `<folder>/<run>.jsonl`: one entry a line, each synced before it counts. Whoever writes holds the file's lock, which
//! goes with the process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use super::super::RunError;
use super::super::event::Entry;
use super::super::plan::RunId;
use super::{Journal, Journals, json, parse};

const EXTENSION: &str = "jsonl";
/// A process that is being started (`pg_dump`, a hook) has copies of all files until it executes its program, and with
/// them the locks, also of a journal that was closed meanwhile: a lock is looked at so often before it is believed.
const FORKED: u32 = 5;
const FORKED_PAUSE: Duration = Duration::from_millis(20);

/// Journals in a folder of this machine.
#[derive(Debug, Clone)]
pub struct FileJournals {
    folder: PathBuf,
}

#[derive(Debug)]
struct FileJournal {
    run: RunId,
    file: File,
}

impl FileJournals {
    /// The folder is made when the first run begins.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, run: &RunId) -> PathBuf {
        self.folder.join(format!("{run}.{EXTENSION}"))
    }

    fn begin_now(&self, run: &RunId, first: &Entry) -> std::io::Result<Option<FileJournal>> {
        if !self.folder.is_dir() {
            std::fs::create_dir_all(&self.folder)?;
            self.folder.parent().map_or(Ok(()), sync_folder)?;
        }
        // Under a name of its own until it is whole: a file without a first entry would be no run's.
        let temporary = self.folder.join(format!("{run}.{}.tmp", first.nonce));
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(&temporary)?;
        file.lock()?;
        write_line(&mut file, first)?;
        let linked = std::fs::hard_link(&temporary, self.path(run));
        std::fs::remove_file(&temporary)?;
        match linked {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
            Err(error) => return Err(error),
        }
        sync_folder(&self.folder)?;
        Ok(Some(FileJournal { run: run.clone(), file }))
    }

    fn open_now(&self, run: &RunId) -> Result<Option<(Vec<Entry>, FileJournal)>, RunError> {
        let failed = |source| RunError::File { run: run.to_string(), source };
        let mut file = match OpenOptions::new().read(true).write(true).open(self.path(run)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(RunError::Contended { run: run.to_string() }),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let (entries, whole) = read(&mut file, run)?;
        // What a power cut tore goes before anything is written after it.
        file.set_len(whole).and_then(|()| file.seek(SeekFrom::End(0))).map_err(failed)?;
        Ok(Some((entries, FileJournal { run: run.clone(), file })))
    }

    fn read_now(&self, run: &RunId) -> Result<Option<Vec<Entry>>, RunError> {
        match File::open(self.path(run)) {
            Ok(mut file) => Ok(Some(read(&mut file, run)?.0)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(RunError::File { run: run.to_string(), source }),
        }
    }

    fn list_now(&self) -> std::io::Result<Vec<RunId>> {
        let mut runs = Vec::new();
        let listed = match std::fs::read_dir(&self.folder) {
            Ok(listed) => listed,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(runs),
            Err(error) => return Err(error),
        };
        for entry in listed {
            let path = entry?.path();
            let name = path.file_stem().and_then(|stem| stem.to_str()).filter(|_| is_journal(&path));
            runs.extend(name.and_then(|name| name.parse().ok()));
        }
        Ok(runs)
    }
}

fn is_journal(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == EXTENSION)
}

fn write_line(file: &mut File, entry: &Entry) -> std::io::Result<()> {
    let mut line = json(entry);
    line.push(b'\n');
    file.write_all(&line)?;
    file.sync_data()
}

/// A name that a power cut takes back would be a run that never was.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The entries, and how many bytes they are. A last line that does not end was torn by a crash: it never counted.
fn read(file: &mut File, run: &RunId) -> Result<(Vec<Entry>, u64), RunError> {
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(|source| RunError::File { run: run.to_string(), source })?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = text[..whole].split_inclusive(|byte| *byte == b'\n');
    let entries = lines.enumerate().map(|(number, line)| {
        let damaged = |reason| RunError::Damaged { run: run.to_string(), reason };
        parse(line).map_err(|reason| damaged(format!("line {}: {reason}", number + 1)))
    });
    Ok((entries.collect::<Result<_, _>>()?, whole as u64))
}

#[async_trait]
impl Journal for FileJournal {
    fn run(&self) -> &RunId {
        &self.run
    }

    async fn append(&mut self, entry: &Entry) -> Result<(), RunError> {
        let failed = |source| RunError::File { run: self.run.to_string(), source };
        let end = self.file.stream_position().map_err(failed)?;
        let written = write_line(&mut self.file, entry);
        if written.is_err() {
            // Half a line before the next one would be damage; the caller stops at the error in any case.
            let cut = self.file.set_len(end).and_then(|()| self.file.seek(SeekFrom::Start(end)));
            if let Err(error) = cut {
                tracing::warn!(%error, run = %self.run, "half an entry stays at the journal's end");
            }
        }
        written.map_err(failed)
    }
}

#[async_trait]
impl Journals for FileJournals {
    async fn begin(&self, run: &RunId, first: &Entry) -> Result<Option<Box<dyn Journal>>, RunError> {
        let begun = self.begin_now(run, first).map_err(|source| RunError::File { run: run.to_string(), source })?;
        Ok(begun.map(|journal| Box::new(journal) as Box<dyn Journal>))
    }

    async fn open(&self, run: &RunId) -> Result<Option<(Vec<Entry>, Box<dyn Journal>)>, RunError> {
        let mut attempts = 0;
        let opened = loop {
            match self.open_now(run) {
                Err(RunError::Contended { .. }) if attempts < FORKED => {
                    attempts += 1;
                    tokio::time::sleep(FORKED_PAUSE).await;
                }
                opened => break opened?,
            }
        };
        Ok(opened.map(|(entries, journal)| (entries, Box::new(journal) as Box<dyn Journal>)))
    }

    async fn read(&self, run: &RunId) -> Result<Option<Vec<Entry>>, RunError> {
        self.read_now(run)
    }

    async fn list(&self) -> Result<Vec<RunId>, RunError> {
        self.list_now().map_err(|source| RunError::Folder { folder: self.folder.clone(), source })
    }

    async fn remove(&self, run: &RunId) -> Result<(), RunError> {
        match std::fs::remove_file(self.path(run)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(source) => Err(RunError::File { run: run.to_string(), source }),
        }
    }
}
