//! Server processes of our own, which hold a copy of somebody's data for as long as a rehearsal or a drill takes. Owns
//! that they run as nobody in particular, at low priority, in a process group of their own, and end with us however we
//! end. Refuses to know which server it is.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::process::on_path;

/// The user and group `nobody`/`nogroup` on every Linux.
const NOBODY: u32 = 65_534;
/// How long a server may take to leave when it is asked to; then it is killed.
const LEAVES_WITHIN: Duration = Duration::from_secs(10);

/// Who runs a server where we are root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl User {
    /// The first of `names` that there is, else nobody; `None` where we are not root: then it is ourselves.
    pub(crate) fn unprivileged(names: &[&str]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let named = names.iter().find_map(uzers::get_user_by_name);
        let user = named.map(|user| Self { uid: user.uid(), gid: user.primary_group_id() });
        Some(user.unwrap_or(Self { uid: NOBODY, gid: NOBODY }))
    }
}

/// How a process ends with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// By SIGKILL: it has nothing to tidy up.
    Kill,
    /// By SIGQUIT, and by SIGKILL when it does not leave: PostgreSQL takes its helpers and its shared memory with it.
    Quit,
}

impl Death {
    fn word(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Quit => "QUIT",
        }
    }
}

/// How much of the machine it may claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    Normal,
    /// After everybody else's processor time and disk.
    Low,
}

/// `program` as `user`, ended by `death` also when we are killed (`None`: it may outlive us).
///
/// A child cannot be told to die with us without unsafe code, so `setpriv` (util-linux) does it; where there is none, what
/// a crash leaves is found by its folder.
pub(crate) fn command(program: &Path, user: Option<User>, death: Option<Death>) -> Command {
    let mut command = match (on_path("setpriv"), user) {
        (Some(setpriv), user) => {
            let mut command = Command::new(setpriv);
            if let Some(User { uid, gid }) = user {
                command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()]);
            }
            if let Some(death) = death {
                command.args(["--pdeathsig", death.word()]);
            }
            command.arg("--").arg(program);
            command
        }
        (None, user) => {
            let mut command = Command::new(program);
            if let Some(User { uid, gid }) = user {
                command.uid(uid).gid(gid);
            }
            command
        }
    };
    command.process_group(0); // Ctrl-C on the terminal is ours to answer, not theirs
    command
}

/// A process that is watched over; dropped, it ends.
#[derive(Debug)]
pub(crate) struct Process {
    child: Arc<Mutex<Child>>,
    stop: Option<mpsc::Sender<Stop>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

enum Stop {
    /// It goes on without us.
    Leave,
}

impl Process {
    /// Starts it from a thread that stays: the signal at the parent's death is bound to the thread that started the child.
    pub(crate) fn start(mut command: Command, death: Death, priority: Priority) -> Result<Self, std::io::Error> {
        let (started, child) = mpsc::channel();
        let (stop, stopped) = mpsc::channel::<Stop>();
        let thread = std::thread::Builder::new().name("scratch-server".into()).spawn(move || {
            let spawned = command.spawn();
            let child = match spawned {
                Ok(child) => Arc::new(Mutex::new(child)),
                Err(error) => return drop(started.send(Err(error))),
            };
            let told = started.send(Ok(child.clone()));
            if told.is_ok() && matches!(stopped.recv(), Ok(Stop::Leave)) {
                return;
            }
            end(&mut child.lock().unwrap_or_else(PoisonError::into_inner), death);
        })?;
        let child = child.recv().map_err(|_| std::io::Error::other("the thread that starts it has ended"))??;
        if priority == Priority::Low {
            give_way(child.lock().unwrap_or_else(PoisonError::into_inner).id());
        }
        Ok(Self { child, stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn has_ended(&self) -> bool {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        !matches!(child.try_wait(), Ok(None))
    }

    /// Lets it go on without us; it must have been started without a death of ours.
    pub(crate) fn leave(mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(Stop::Leave).ok(); // its thread can only be gone with the process
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop.take();
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn end(child: &mut Child, death: Death) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let (Death::Quit, Some(pid), Ok(None)) = (death, pid, child.try_wait()) {
        kill_process(pid, Signal::QUIT).ok(); // it cannot be another's: nobody has waited for it yet
        let begun = Instant::now();
        while matches!(child.try_wait(), Ok(None)) && begun.elapsed() < LEAVES_WITHIN {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    child.kill().ok();
    child.wait().ok();
}

/// Half of nice's range: production's processes come first, and an idle machine gives it everything all the same.
const NICE: i32 = 10;

/// Low priority for processor and disk; what it starts later inherits both. A machine that does not let us (or has no
/// `ionice`) runs it as it is: that is slower for others, and no reason to drill nothing.
fn give_way(pid: u32) {
    let known = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Err(error) = rustix::process::setpriority_process(known, NICE) {
        tracing::debug!(%error, "a scratch server runs at normal priority");
    }
    let Some(ionice) = on_path("ionice") else { return };
    // Best effort, its lowest level; the idle class could starve for ever.
    let lowered = Command::new(ionice).args(["-c", "2", "-n", "7", "-p", &pid.to_string()]).output();
    if !lowered.is_ok_and(|done| done.status.success()) {
        tracing::debug!("a scratch server reads and writes at normal priority");
    }
}
