//! Processes as they are told apart for ever: by machine, boot, process namespace, id and start. What a dead one holds is
//! known at once to be nobody's.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::OnceLock;

use jiff::Timestamp;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use sha2::{Digest, Sha256};

/// Between the host's name and what tells processes apart.
const MARK: &str = "/drydock-";

/// A process, as what it holds names it.
#[derive(Debug, Clone)]
pub struct Process {
    pub host: String,
    pub username: String,
    pub uid: u32,
    pub gid: u32,
    pub pid: u32,
    /// `None` where /proc does not say: then nothing is provable.
    identity: Option<Identity>,
    /// When the machine came up, by its own clock.
    booted: Option<Timestamp>,
}

/// Where and when a process runs, beside its id: process ids repeat between boots, between containers (process
/// namespaces) and within one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    /// `/proc/sys/kernel/random/boot_id` without dashes.
    boot: String,
    /// The process namespace's inode; one that is used again belongs to a namespace that is gone.
    namespace: u64,
    /// Clock ticks from boot to the process's start.
    start: u64,
    /// Random; tells apart in a listing what this process and others hold.
    run: String,
    /// A hash of `/etc/machine-id`, which stays over boots; none where that is empty, and in older locks.
    machine: Option<String>,
}

/// The inode of the machine's own process namespace, which no container has. Source: Linux `PROC_PID_INIT_INO`.
const INITIAL_NAMESPACE: u64 = 0xEFFF_FFFC;

impl Process {
    /// This process.
    pub fn this() -> &'static Self {
        static THIS: OnceLock<Process> = OnceLock::new();
        THIS.get_or_init(|| Self {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            username: uzers::get_current_username().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
            uid: uzers::get_current_uid(),
            gid: uzers::get_current_gid(),
            pid: std::process::id(),
            identity: Identity::of_this_process(),
            booted: boot_time(),
        })
    }

    /// The host's name and what tells this process apart: `papg-0/drydock-<boot>-<namespace>-<start>-<run>-<machine>`.
    #[must_use]
    pub fn name(&self) -> String {
        let mut name = self.host.clone();
        if let Some(Identity { boot, namespace, start, run, machine }) = &self.identity {
            write!(name, "{MARK}{boot}-{namespace}-{start}-{run}").expect("writing to a string cannot fail");
            if let Some(machine) = machine {
                write!(name, "-{machine}").expect("writing to a string cannot fail");
            }
        }
        name
    }

    /// Proven: a drydock process of this boot and namespace that is gone, or one of this machine before it went down.
    /// `modified` is when it last said that it lives.
    #[must_use]
    pub fn knows_dead(&self, name: &str, pid: i64, modified: Timestamp) -> bool {
        self.fellow(name).is_some_and(|start| fate(pid, Some(start)) == Fate::Dead)
            || self.has_gone_down_since(name, modified)
    }

    /// Whether it is of a former boot of this machine. Containers are left out, because those of one image share a
    /// machine id and those of one machine come and go by themselves. Clones of a machine that nobody renamed would pass
    /// for it: one that lived since this one came up is another's.
    fn has_gone_down_since(&self, name: &str, modified: Timestamp) -> bool {
        let (Some(own), Some(other)) = (&self.identity, Identity::parse(name)) else { return false };
        let host = name.rsplit_once(MARK).map(|(host, _)| host);
        own.machine.is_some()
            && own.machine == other.machine
            && host == Some(self.host.as_str())
            && own.boot != other.boot
            && (own.namespace, other.namespace) == (INITIAL_NAMESPACE, INITIAL_NAMESPACE)
            && self.booted.is_some_and(|booted| modified < booted)
    }

    /// Seen alive: a drydock process of this boot and namespace, or another program of this host whose process id lives.
    #[must_use]
    pub fn knows_alive(&self, name: &str, pid: i64) -> bool {
        let start = self.fellow(name);
        (start.is_some() || name == self.host) && fate(pid, start) == Fate::Alive
    }

    /// What restic believes: one with this host's name whose process id is not there. A name proves no machine, so this
    /// is for a person's word alone.
    #[must_use]
    pub fn believes_dead(&self, name: &str, pid: i64) -> bool {
        name == self.host && fate(pid, None) == Fate::Dead
    }

    /// The process's start, if it is one of this boot and namespace.
    fn fellow(&self, name: &str) -> Option<u64> {
        let (own, other) = (self.identity.as_ref()?, Identity::parse(name)?);
        (own.boot == other.boot && own.namespace == other.namespace).then_some(other.start)
    }
}

/// This boot's random id (`/proc/sys/kernel/random/boot_id`, random(4)); `None` where it cannot be read.
#[must_use]
pub fn boot() -> Option<String> {
    Some(std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

/// When a process began, in clock ticks since boot; `None` where there is none, or /proc does not say.
#[must_use]
pub fn started(pid: u32) -> Option<u64> {
    start_of(&pid.to_string())
}

/// Whether the process of this boot that `started` then is there, or may be: one that cannot be asked about counts as alive.
#[must_use]
pub fn may_live(pid: u32, started: Option<u64>) -> bool {
    fate(i64::from(pid), started) != Fate::Dead
}

/// A program on the PATH.
#[must_use]
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The host in a process's [name](Process::name).
#[must_use]
pub fn host_of(name: &str) -> &str {
    name.split_once(MARK).map_or(name, |(host, _)| host)
}

impl Identity {
    fn of_this_process() -> Option<Self> {
        let boot = boot()?.replace('-', "");
        let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
        let namespace = namespace.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok()?;
        let run = hex::encode(rand::random::<[u8; 4]>());
        Some(Self { boot, namespace, start: start_of("self")?, run, machine: machine() })
    }

    fn parse(hostname: &str) -> Option<Self> {
        let mut parts = hostname.rsplit_once(MARK)?.1.split('-');
        let boot = parts.next()?.to_owned();
        let namespace = parts.next()?.parse().ok()?;
        let start = parts.next()?.parse().ok()?;
        let run = parts.next()?.to_owned();
        let machine = parts.next().map(str::to_owned);
        parts.next().is_none().then_some(Self { boot, namespace, start, run, machine })
    }
}

/// Hashed, because the id itself is to be kept to the machine (`machine-id(5)`).
fn machine() -> Option<String> {
    let id = std::fs::read_to_string("/etc/machine-id").ok()?;
    let id = id.trim();
    let is_one = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| hex::encode(&Sha256::digest(format!("drydock lock {id}"))[..8]))
}

fn boot_time() -> Option<Timestamp> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    Timestamp::from_second(seconds.trim().parse().ok()?).ok()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Alive,
    Dead,
    Unknown,
}

/// Whether the process is there, and the same one if its start is known. `/proc` alone would not do: with `hidepid`
/// another user's process is not seen in it.
fn fate(pid: i64, start: Option<u64>) -> Fate {
    let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Fate::Unknown };
    match test_kill_process(process) {
        Err(Errno::SRCH) => Fate::Dead,
        Ok(()) | Err(Errno::PERM) => match (start, start_of(&pid.to_string())) {
            (Some(recorded), Some(found)) if recorded != found => Fate::Dead,
            _ => Fate::Alive,
        },
        Err(_) => Fate::Unknown,
    }
}

/// Field 22 of `/proc/PID/stat`; the second field is the program's name in parentheses and may hold anything.
fn start_of(process: &str) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name and a process id.
    type Said = (String, i64);

    fn said(process: &Process) -> Said {
        (process.name(), i64::from(process.pid))
    }

    fn altered(change: impl FnOnce(&mut Process)) -> Said {
        let mut process = Process::this().clone();
        change(&mut process);
        said(&process)
    }

    fn identity(process: &mut Process) -> &mut Identity {
        process.identity.as_mut().unwrap()
    }

    fn on(host: &str, (_, pid): Said) -> Said {
        (host.into(), pid)
    }

    #[test]
    fn only_a_process_of_this_boot_and_namespace_is_provably_dead_or_alive() {
        let this = Process::this();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let gone = child.id();
        let verdict =
            |(name, pid): &Said| (this.knows_dead(name, *pid, Timestamp::now()), this.knows_alive(name, *pid));
        assert_eq!(verdict(&altered(|_| ())), (false, true), "this process itself");
        assert_eq!(verdict(&altered(|m| m.pid = gone)), (true, false), "one that has ended");
        assert_eq!(verdict(&altered(|m| identity(m).start += 1)), (true, false), "its process id was given away again");
        assert_eq!(
            verdict(&altered(|m| (m.pid, identity(m).start) = (1, 0))),
            (true, false),
            "pid 1 started otherwise"
        );
        for elsewhere in [
            altered(|m| (m.pid, identity(m).boot) = (gone, "0".repeat(32))),
            altered(|m| (m.pid, identity(m).namespace) = (gone, 1)),
            on("other-host", altered(|m| m.pid = gone)),
        ] {
            assert_eq!(verdict(&elsewhere), (false, false), "{elsewhere:?}");
        }
    }

    #[test]
    fn after_a_reboot_the_locks_of_before_are_dead_and_nobody_elses() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let this = {
            let mut this = Process { booted: Some(at(1_000)), ..Process::this().clone() };
            (identity(&mut this).namespace, identity(&mut this).machine) = (INITIAL_NAMESPACE, Some("m".into()));
            this
        };
        let dead = |(name, pid): &Said, second| this.knows_dead(name, *pid, at(second));
        let former = |change: &dyn Fn(&mut Process)| {
            let mut machine = this.clone();
            identity(&mut machine).boot = "0".repeat(32);
            change(&mut machine);
            said(&machine)
        };
        assert!(dead(&former(&|_| ()), 999));
        assert!(!dead(&former(&|_| ()), 1_001), "refreshed since: a clone of this machine lives");
        assert!(!dead(&said(&this), 999), "this process");
        for elsewhere in [
            former(&|m| identity(m).machine = Some("other".into())),
            former(&|m| identity(m).machine = None),
            former(&|m| identity(m).namespace = 1),
            former(&|m| m.host = "renamed-clone".into()),
        ] {
            assert!(!dead(&elsewhere, 999), "{elsewhere:?}");
        }
        let mut contained = this.clone();
        identity(&mut contained).namespace = 1;
        let (name, pid) = former(&|_| ());
        assert!(!contained.knows_dead(&name, pid, at(999)), "a container cannot know");
    }

    #[test]
    fn another_programs_process_is_believed_dead_only_when_a_person_asks() {
        let this = Process::this();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let other = |pid: u32| (this.host.clone(), i64::from(pid));
        let now = Timestamp::now();
        let verdict = |(name, pid): &Said| {
            (this.knows_dead(name, *pid, now), this.believes_dead(name, *pid), this.knows_alive(name, *pid))
        };
        assert_eq!(verdict(&other(child.id())), (false, true, false));
        assert_eq!(verdict(&other(std::process::id())), (false, false, true));
        assert_eq!(verdict(&on("elsewhere", other(child.id()))), (false, false, false));
    }

    #[test]
    fn names_of_former_versions_are_understood_for_ever() {
        let name = "papg-0/drydock-0123456789abcdef0123456789abcdef-4026531836-123456-9f8e7d6c";
        let boot = "0123456789abcdef0123456789abcdef".into();
        let former =
            Identity { boot, namespace: INITIAL_NAMESPACE, start: 123_456, run: "9f8e7d6c".into(), machine: None };
        assert_eq!(Identity::parse(name).unwrap(), former);
        let newer = Identity::parse(&format!("{name}-00112233aabbccdd")).unwrap();
        assert_eq!(newer, Identity { machine: Some("00112233aabbccdd".into()), ..former });
        assert_eq!((host_of(name), host_of("papg-0")), ("papg-0", "papg-0"));
    }
}
