//! Which process on which machine holds a lock: what makes our own dead lock known at once.

use std::fmt::Write;
use std::sync::OnceLock;

use jiff::Timestamp;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use sha2::{Digest, Sha256};

use super::document::Document;

/// Between the host's name and what tells processes apart.
pub(super) const MARK: &str = "/drydock-";

/// This process, as its locks name it.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    host: String,
    username: String,
    uid: u32,
    gid: u32,
    pid: u32,
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

impl Machine {
    /// This process.
    pub fn this() -> &'static Self {
        static THIS: OnceLock<Machine> = OnceLock::new();
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

    /// A lock of this process; the keeper sets its time.
    pub fn lock(&self, exclusive: bool) -> Document {
        let mut hostname = self.host.clone();
        if let Some(Identity { boot, namespace, start, run, machine }) = &self.identity {
            write!(hostname, "{MARK}{boot}-{namespace}-{start}-{run}").expect("writing to a string cannot fail");
            if let Some(machine) = machine {
                write!(hostname, "-{machine}").expect("writing to a string cannot fail");
            }
        }
        Document {
            time: Timestamp::UNIX_EPOCH,
            exclusive,
            hostname,
            username: self.username.clone(),
            pid: i64::from(self.pid),
            uid: self.uid,
            gid: self.gid,
        }
    }

    /// Proven: a drydock process of this boot and namespace that is gone, or one of this machine before it went down.
    /// `modified` is when the lock was last refreshed.
    pub fn knows_dead(&self, lock: &Document, modified: Timestamp) -> bool {
        self.fellow(lock).is_some_and(|start| fate(lock.pid, Some(start)) == Fate::Dead)
            || self.has_gone_down_since(lock, modified)
    }

    /// Whether the lock is of a former boot of this machine. Containers are left out, because those of one image share a
    /// machine id and those of one machine come and go by themselves. Clones of a machine that nobody renamed would pass
    /// for it: a lock that was refreshed since this one came up is another's.
    fn has_gone_down_since(&self, lock: &Document, modified: Timestamp) -> bool {
        let (Some(own), Some(other)) = (&self.identity, Identity::parse(&lock.hostname)) else { return false };
        let host = lock.hostname.rsplit_once(MARK).map(|(host, _)| host);
        own.machine.is_some()
            && own.machine == other.machine
            && host == Some(self.host.as_str())
            && own.boot != other.boot
            && (own.namespace, other.namespace) == (INITIAL_NAMESPACE, INITIAL_NAMESPACE)
            && self.booted.is_some_and(|booted| modified < booted)
    }

    /// Seen alive: a drydock process of this boot and namespace, or a restic of this host whose process id lives.
    pub fn knows_alive(&self, lock: &Document) -> bool {
        let start = self.fellow(lock);
        (start.is_some() || lock.hostname == self.host) && fate(lock.pid, start) == Fate::Alive
    }

    /// What restic believes: a lock with this host's name whose process id is not there. A name proves no machine, so
    /// this is for a person's `unlock` alone.
    pub fn believes_dead(&self, lock: &Document) -> bool {
        lock.hostname == self.host && fate(lock.pid, None) == Fate::Dead
    }

    /// The start of the lock's process, if that is one of this boot and namespace.
    fn fellow(&self, lock: &Document) -> Option<u64> {
        let (own, other) = (self.identity.as_ref()?, Identity::parse(&lock.hostname)?);
        (own.boot == other.boot && own.namespace == other.namespace).then_some(other.start)
    }
}

impl Identity {
    fn of_this_process() -> Option<Self> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().replace('-', "");
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

    fn altered(change: impl FnOnce(&mut Machine)) -> Document {
        let mut machine = Machine::this().clone();
        change(&mut machine);
        machine.lock(false)
    }

    fn identity(machine: &mut Machine) -> &mut Identity {
        machine.identity.as_mut().unwrap()
    }

    #[test]
    fn only_a_process_of_this_boot_and_namespace_is_provably_dead_or_alive() {
        let this = Machine::this();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let gone = child.id();
        let verdict = |lock: &Document| (this.knows_dead(lock, Timestamp::now()), this.knows_alive(lock));
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
            altered(|m| m.pid = gone).clone_with_host("other-host"),
        ] {
            assert_eq!(verdict(&elsewhere), (false, false), "{}", elsewhere.hostname);
        }
    }

    #[test]
    fn after_a_reboot_the_locks_of_before_are_dead_and_nobody_elses() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let this = {
            let mut this = Machine { booted: Some(at(1_000)), ..Machine::this().clone() };
            (identity(&mut this).namespace, identity(&mut this).machine) = (INITIAL_NAMESPACE, Some("m".into()));
            this
        };
        let former = |change: &dyn Fn(&mut Machine)| {
            let mut machine = this.clone();
            identity(&mut machine).boot = "0".repeat(32);
            change(&mut machine);
            machine.lock(true)
        };
        assert!(this.knows_dead(&former(&|_| ()), at(999)));
        assert!(!this.knows_dead(&former(&|_| ()), at(1_001)), "refreshed since: a clone of this machine lives");
        assert!(!this.knows_dead(&this.lock(true), at(999)), "this process");
        for elsewhere in [
            former(&|m| identity(m).machine = Some("other".into())),
            former(&|m| identity(m).machine = None),
            former(&|m| identity(m).namespace = 1),
            former(&|m| m.host = "renamed-clone".into()),
        ] {
            assert!(!this.knows_dead(&elsewhere, at(999)), "{}", elsewhere.hostname);
        }
        let mut contained = this.clone();
        identity(&mut contained).namespace = 1;
        assert!(!contained.knows_dead(&former(&|_| ()), at(999)), "a container cannot know");
    }

    #[test]
    fn a_lock_of_restic_with_our_host_name_is_believed_only_when_a_person_asks() {
        let this = Machine::this();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let restic = |pid: u32| {
            let mut lock = this.lock(true).clone_with_host(&this.host);
            lock.pid = i64::from(pid);
            lock
        };
        let (gone, alive) = (restic(child.id()), restic(std::process::id()));
        let now = Timestamp::now();
        assert_eq!(
            (this.knows_dead(&gone, now), this.believes_dead(&gone), this.knows_alive(&gone)),
            (false, true, false)
        );
        assert_eq!(
            (this.knows_dead(&alive, now), this.believes_dead(&alive), this.knows_alive(&alive)),
            (false, false, true)
        );
        assert!(!this.believes_dead(&restic(child.id()).clone_with_host("elsewhere")));
    }

    #[test]
    fn people_see_the_host_without_what_tells_processes_apart() {
        let mut lock =
            Machine { host: "papg-0".into(), username: "root".into(), pid: 7, ..Machine::this().clone() }.lock(true);
        lock.time = "2026-06-15T12:00:00.5Z".parse().unwrap();
        assert_eq!(lock.to_string(), "PID 7 on papg-0 by root since 2026-06-15T12:00:00Z, exclusively");
        assert_eq!(Document::from_json(&lock.to_json()).unwrap(), lock);
        let restic = br#"{"time":"2026-06-15T14:00:00.123456789+02:00","exclusive":false,"hostname":"h","username":"u","pid":5,"uid":1,"gid":2}"#;
        let lock = Document::from_json(restic).unwrap();
        assert_eq!(lock.to_string(), "PID 5 on h by u since 2026-06-15T12:00:00Z");
    }

    #[test]
    fn the_committed_lock_is_read_and_written_for_ever() {
        let json = include_bytes!("../../../tests/fixtures/formats/lock-1.json");
        let lock = Document::from_json(json).unwrap();
        assert_eq!(lock.to_json(), json);
        let identity = Identity::parse(&lock.hostname).unwrap();
        let boot = "0123456789abcdef0123456789abcdef".into();
        let former =
            Identity { boot, namespace: INITIAL_NAMESPACE, start: 123_456, run: "9f8e7d6c".into(), machine: None };
        assert_eq!(identity, former);
        let newer = Identity::parse(&format!("{}-00112233aabbccdd", lock.hostname)).unwrap();
        assert_eq!(newer, Identity { machine: Some("00112233aabbccdd".into()), ..former });
        assert_eq!(lock.to_string(), "PID 7 on papg-0 by root since 2026-01-02T03:04:05Z, exclusively");
    }

    impl Document {
        fn clone_with_host(&self, host: &str) -> Self {
            Self { hostname: host.into(), ..self.clone() }
        }
    }
}
