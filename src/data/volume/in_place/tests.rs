//! The exchange, cut before, after and within each of its effects on the disk, and each recovery cut again: what is live
//! at the end is the whole former content or the whole new one.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;
use tempfile::TempDir;

use super::disk::At;
use super::root::Root;
use super::*;
use crate::data::volume::folder::Folder;

/// Ends the process, as it were, at one of its effects.
#[derive(Debug, Default)]
struct CutDisk {
    effects: AtomicUsize,
    /// The effect at which it ends, counted from 1; 0 = never.
    at: usize,
    how: Cut,
    /// The file system knows no RENAME_EXCHANGE.
    cannot_exchange: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Cut {
    #[default]
    Before,
    Within,
    After,
}

impl CutDisk {
    fn effect<T>(&self, whole: impl FnOnce() -> Result<T, Errno>, part: impl FnOnce()) -> Result<T, Errno> {
        let number = self.effects.fetch_add(1, Ordering::Relaxed) + 1;
        if self.at == 0 || number < self.at {
            return whole();
        }
        match self.how {
            _ if number > self.at => {}
            Cut::Before => {}
            Cut::Within => part(),
            Cut::After => {
                whole()?;
            }
        }
        Err(Errno::IO)
    }
}

fn as_errno<T>(result: Result<T, VolumeError>) -> Result<T, Errno> {
    result.map_err(|error| panic!("a real effect failed: {error:?}"))
}

fn cut(errno: Errno) -> VolumeError {
    VolumeError::file("survive the cut of", b"the test")(errno)
}

impl Disk for CutDisk {
    fn append(&self, journal: &OwnedFd, line: &[u8]) -> Result<(), Errno> {
        let torn = || assert!(rustix::io::write(journal, &line[..line.len() / 2]).unwrap() > 0);
        self.effect(|| rustix::io::write(journal, line).map(|n| assert_eq!(n, line.len())), torn)
    }

    fn exchange(&self, a: At<'_>, b: At<'_>) -> Result<(), Errno> {
        if self.cannot_exchange {
            return Err(Errno::INVAL);
        }
        self.effect(|| RealDisk.exchange(a, b), || ())
    }

    fn rename(&self, from: At<'_>, to: At<'_>) -> Result<(), Errno> {
        self.effect(|| RealDisk.rename(from, to), || ())
    }

    fn root(&self, live: &Folder, root: &Root) -> Result<(), VolumeError> {
        let mode_alone = || live_mode(live, root);
        self.effect(|| as_errno(RealDisk.root(live, root)), mode_alone).map_err(cut)
    }

    fn sync(&self, _: &Folder) -> Result<(), VolumeError> {
        self.effect(|| Ok(()), || ()).map_err(cut)
    }

    fn remove(&self, place: &Place) -> Result<(), VolumeError> {
        let half = || {
            let new = place.former_path().with_file_name("new");
            let first = fs::read_dir(&new).ok().and_then(|mut entries| entries.next());
            if let Some(Ok(entry)) = first {
                fs::remove_file(entry.path()).or_else(|_| fs::remove_dir_all(entry.path())).unwrap();
            }
        };
        self.effect(|| as_errno(RealDisk.remove(place)), half).map_err(cut)
    }
}

fn live_mode(live: &Folder, root: &Root) {
    rustix::fs::fchmod(live, rustix::fs::Mode::from_raw_mode(root.mode)).unwrap();
}

/// A volume with a live content, and what the new one is to be.
struct Volume {
    folder: TempDir,
    former: Content,
    new: Content,
    cannot_exchange: bool,
}

/// Path, what it is and holds, and its times: all that must come back.
type Content = BTreeMap<String, String>;

impl Volume {
    fn new(cannot_exchange: bool) -> Self {
        // Thousands of runs: in memory where there is such a file system.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let mut volume = Self { folder, former: Content::new(), new: Content::new(), cannot_exchange };
        volume.fill_live();
        volume.former = content(volume.path());
        volume
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn fill_live(&self) {
        fs::create_dir_all(self.path().join("both, folders/below")).unwrap();
        fs::write(self.path().join("both, folders/below/file"), "former").unwrap();
        fs::write(self.path().join("both, files"), "former").unwrap();
        fs::write(self.path().join("file, then folder"), "former").unwrap();
        fs::write(self.path().join("former alone"), "former").unwrap();
        fs::write(self.path().join("former and left out"), "nobody else has it").unwrap();
        fs::create_dir(self.path().join("lost+found")).unwrap();
        fs::set_permissions(self.path(), fs::Permissions::from_mode(0o711)).unwrap();
        set_time(self.path(), 1_000);
    }

    fn fill_new(place: &Place) {
        let new = place.former_path().with_file_name("new");
        fs::create_dir(new.join("both, folders")).unwrap();
        fs::write(new.join("both, folders/other"), "new").unwrap();
        symlink("nowhere", new.join("both, files")).unwrap();
        fs::create_dir(new.join("file, then folder")).unwrap();
        fs::write(new.join("new alone"), "new").unwrap();
    }

    /// Fills the copy and exchanges it, with a disk that may cut; as `Steps::restore` does after its verification.
    fn exchange(&self, disk: &Arc<CutDisk>) -> Result<(), VolumeError> {
        self.with_steps(disk, true, |steps, place| {
            let mut journal = steps.journal()?;
            let new_root = Root {
                mode: 0o750,
                mtime: jiff::Timestamp::from_nanosecond(2_000).unwrap(),
                ..place.former_root.clone()
            };
            let begun = Event::begun("run", TreeId([1; 32]), place.former_root.clone(), Some(new_root));
            journal.append(&begun)?;
            Self::fill_new(place);
            journal.append(&Event::Verified {})?;
            steps.plan(&mut journal)?;
            steps.forward(&mut journal)
        })
    }

    fn recover(&self, disk: &Arc<CutDisk>, how: Recovery) -> Result<Outcome, VolumeError> {
        self.with_steps(disk, false, |steps, _| match how {
            Recovery::Resume => steps.resume(),
            Recovery::Undo => steps.undo().map(|()| Outcome::Former),
        })
    }

    fn with_steps<T>(
        &self,
        disk: &Arc<CutDisk>,
        new: bool,
        work: impl FnOnce(&Steps<'_>, &Place) -> Result<T, VolumeError>,
    ) -> Result<T, VolumeError> {
        let place = if new { Place::create(self.path(), "run")? } else { Place::open(self.path(), "run")? };
        let disk: Arc<dyn Disk> = Arc::clone(disk) as Arc<dyn Disk>;
        let excludes = Excludes::new(&["/former and left out".into()]).unwrap();
        work(&Steps { place: &place, disk, stop: Stop::for_tests(), excludes: &excludes }, &place)
    }

    fn disk(&self, at: usize, how: Cut) -> Arc<CutDisk> {
        Arc::new(CutDisk { at, how, cannot_exchange: self.cannot_exchange, ..CutDisk::default() })
    }

    /// Demands that what is live is all of the one or all of the other.
    fn assert_is(&self, outcome: Outcome, story: &str) {
        let expected = if outcome == Outcome::New { &self.new } else { &self.former };
        if outcome == Outcome::Untouched {
            let live = content(self.path());
            return assert!(live == self.former || live == self.new, "{story}: {live:#?}");
        }
        assert_eq!(&content(self.path()), expected, "{story}: {outcome:?} was said to be live");
    }
}

#[derive(Debug, Clone, Copy)]
enum Recovery {
    Resume,
    Undo,
}

fn set_time(path: &Path, ns: i128) {
    let folder = Folder::open(path).unwrap();
    crate::data::volume::restore::times(std::os::fd::AsFd::as_fd(&folder), ns, ns).unwrap();
}

fn content(root: &Path) -> Content {
    let mut all = Content::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let status = fs::metadata(&folder).unwrap();
        let key = folder.strip_prefix(root).unwrap().display().to_string();
        // Only the root's time: the others are made anew with each volume.
        let time = if folder == root { status.mtime_nsec() } else { 0 };
        all.insert(key, format!("folder {:o} {time}", status.mode()));
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let key = path.strip_prefix(root).unwrap().display().to_string();
            if key == ".drydock" {
                continue;
            }
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_symlink() {
                all.insert(key, format!("link {}", fs::read_link(path).unwrap().display()));
            } else {
                all.insert(key, format!("file {}", fs::read_to_string(path).unwrap()));
            }
        }
    }
    all
}

/// A volume whose `new` is known, and how many effects a whole exchange has.
fn rehearsed(cannot_exchange: bool) -> (Content, usize) {
    let volume = Volume::new(cannot_exchange);
    let disk = volume.disk(0, Cut::Before);
    volume.exchange(&disk).unwrap();
    (content(volume.path()), disk.effects.load(Ordering::Relaxed))
}

const CUTS: [Cut; 3] = [Cut::Before, Cut::Within, Cut::After];

#[test]
fn cut_at_any_effect_it_is_resumed_or_undone_to_one_whole() {
    for cannot_exchange in [false, true] {
        let (new, effects) = rehearsed(cannot_exchange);
        assert!(effects > 15, "only {effects} effects: the test cuts next to nothing");
        for (at, how, recovery) in product(effects, &[Recovery::Resume, Recovery::Undo]) {
            let mut volume = Volume::new(cannot_exchange);
            volume.new.clone_from(&new);
            volume.exchange(&volume.disk(at, how)).expect_err("the cut ends it");
            let story = format!("cut {how:?} effect {at}, then {recovery:?} (cannot exchange: {cannot_exchange})");
            let outcome = match volume.recover(&volume.disk(0, Cut::Before), recovery) {
                Ok(outcome) => outcome,
                // cut before anything was journaled, or after the whole: nothing to be done
                Err(VolumeError::NoSuchRun { .. }) => Outcome::Former,
                Err(error) => panic!("{story}: {error:?}"),
            };
            volume.assert_is(outcome, &story);
        }
    }
}

#[test]
fn a_recovery_that_is_cut_itself_is_taken_up_again() {
    let (new, effects) = rehearsed(false);
    for (at, how, first) in product(effects, &[Recovery::Resume, Recovery::Undo]) {
        if how == Cut::Within {
            continue; // the other test has these
        }
        for again in 1.. {
            let mut volume = Volume::new(false);
            volume.new.clone_from(&new);
            volume.exchange(&volume.disk(at, how)).expect_err("the cut ends it");
            let disk = volume.disk(again, CUTS[again % 3]);
            if volume.recover(&disk, first).is_ok() && disk.effects.load(Ordering::Relaxed) < again {
                break; // the recovery has fewer effects than that
            }
            for second in [Recovery::Resume, Recovery::Undo] {
                let story = format!("cut {how:?} effect {at}, {first:?} cut at {again}, then {second:?}");
                match volume.recover(&volume.disk(0, Cut::Before), second) {
                    Ok(outcome) => volume.assert_is(outcome, &story),
                    Err(VolumeError::NoSuchRun { .. }) => {
                        let live = content(volume.path());
                        assert!(live == volume.former || live == volume.new, "{story}: {live:#?}");
                    }
                    Err(error) => panic!("{story}: {error:?}"),
                }
            }
        }
    }
}

fn product(effects: usize, recoveries: &[Recovery]) -> Vec<(usize, Cut, Recovery)> {
    let mut all = Vec::new();
    for at in 1..=effects {
        for how in CUTS {
            all.extend(recoveries.iter().map(|recovery| (at, how, *recovery)));
        }
    }
    all
}

#[test]
fn the_former_content_is_kept_until_it_is_discarded_and_undo_brings_it_back_until_then() {
    let (new, _) = rehearsed(false);
    let mut volume = Volume::new(false);
    volume.new = new;
    volume.exchange(&volume.disk(0, Cut::Before)).unwrap();
    volume.assert_is(Outcome::New, "finished");
    let kept = volume.path().join(".drydock/run/former");
    assert_eq!(fs::read_to_string(kept.join("former alone")).unwrap(), "former");
    assert_eq!(fs::read_to_string(kept.join("both, folders/below/file")).unwrap(), "former");
    assert_eq!(place::list(volume.path()).unwrap(), [InPlaceRun { run: "run".into(), stage: Stage::Finished }]);

    fs::write(volume.path().join("written since"), "by the application").unwrap();
    volume.recover(&volume.disk(0, Cut::Before), Recovery::Undo).unwrap();
    volume.assert_is(Outcome::Former, "undone after it was finished");
    let undone = volume.path().join(".drydock/run/new");
    assert_eq!(fs::read_to_string(undone.join("written since")).unwrap(), "by the application");
    assert_eq!(fs::read_to_string(undone.join("new alone")).unwrap(), "new");

    volume.with_steps(&volume.disk(0, Cut::Before), false, |steps, _| steps.discard()).unwrap();
    assert!(!volume.path().join(".drydock").exists());
    volume.assert_is(Outcome::Former, "discarded");
}

#[test]
fn what_somebody_makes_meanwhile_is_put_aside_and_not_lost() {
    let (new, effects) = rehearsed(false);
    let mut volume = Volume::new(false);
    volume.new = new;
    volume.exchange(&volume.disk(effects - 4, Cut::Before)).unwrap_err();
    fs::write(volume.path().join("appeared"), "meanwhile").unwrap();
    assert_eq!(volume.recover(&volume.disk(0, Cut::Before), Recovery::Resume).unwrap(), Outcome::New);
    volume.assert_is(Outcome::New, "resumed");
    let aside = volume.path().join(".drydock/run/former/appeared");
    assert_eq!(fs::read_to_string(aside).unwrap(), "meanwhile");
}

#[test]
fn an_entry_that_is_neither_the_former_nor_the_new_stops_the_run_and_is_named() {
    let (_, effects) = rehearsed(false);
    for at in 1..=effects {
        let volume = Volume::new(false);
        volume.exchange(&volume.disk(at, Cut::After)).unwrap_err();
        let path = volume.path().join("both, files");
        let planned = fs::read_to_string(volume.path().join(".drydock/run/journal")).unwrap();
        if !planned.contains("intended") || fs::symlink_metadata(&path).unwrap().is_symlink() {
            continue; // before or after the entry's turn
        }
        fs::remove_file(&path).unwrap();
        fs::write(&path, "replaced by somebody").unwrap();
        match volume.recover(&volume.disk(0, Cut::Before), Recovery::Resume) {
            Err(VolumeError::Changed { path: named }) => assert!(named.ends_with("both, files"), "{named}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "replaced by somebody");
        return;
    }
    panic!("no cut left the entry half-way");
}

#[test]
fn one_run_at_a_time_and_none_beside_one_that_was_cut_short() {
    let volume = Volume::new(false);
    let place = Place::create(volume.path(), "first").unwrap();
    assert!(matches!(Place::create(volume.path(), "second"), Err(VolumeError::Busy { .. })));
    drop(place);
    match Place::create(volume.path(), "second") {
        Err(VolumeError::Unfinished { run, .. }) => assert_eq!(run, "first"),
        other => panic!("{other:?}"),
    }
    for name in ["", ".", "..", "a/b", ".hidden", "blank here", &"x".repeat(300)] {
        let volume = Volume::new(false);
        assert!(matches!(Place::create(volume.path(), name), Err(VolumeError::RunName { .. })), "{name}");
    }
}

#[test]
fn a_link_in_the_place_of_drydocks_folder_leads_nowhere() {
    let volume = Volume::new(false);
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), volume.path().join(".drydock")).unwrap();
    Place::create(volume.path(), "run").unwrap_err();
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}
