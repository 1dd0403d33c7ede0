//! One command, as a process group of its own that ends with it, with its time, and with drydock.

use std::collections::VecDeque;
use std::future::pending;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{ChildStdin, Command};

use super::error::{How, Said};
use crate::context::Context;
use crate::process::on_path;
use crate::stack::Hook;

/// Of what it says the end tells why it failed.
const SAID: usize = 2_000;
/// What is written already is there at once; a process that left the group and holds the pipe open is not waited for.
const DRAIN: Duration = Duration::from_millis(200);

/// Beside these a hook has drydock's own variables and those that the document names: drydock's environment may hold the
/// secrets of others.
const INHERITED: &[&str] = &["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"];

/// The guard: it leads the group, runs the hook, and kills the group when standard input ends, which nobody but drydock
/// holds open. A child cannot be told to die with its parent without unsafe code, and its own children would not. What
/// the shell itself has to say (`Terminated`) is nobody's.
const GUARD: &str = "exec 3<&0 4>&2 </dev/null 2>/dev/null; { read -r gone <&3; kill -KILL 0; } >/dev/null 4>&- & \
                     (exec \"$@\" 3<&- 2>&4 4>&-); exit $?";
const SHELL: &str = "/bin/sh";

/// Runs it to its end.
///
/// # Errors
/// How it ended when not with 0 and in time, and the end of what it said.
///
/// # Cancel safety
/// Dropped, it kills the group.
pub(super) async fn run(hook: &Hook, variables: &[(&str, &str)], cx: &Context) -> Result<(), (How, Option<Said>)> {
    let not_started = |why: String| (How::NotStarted(why), None);
    let program = program(hook).map_err(not_started)?;
    let (output, writer) = std::io::pipe().map_err(|error| not_started(error.to_string()))?;
    let twin = writer.try_clone().map_err(|error| not_started(error.to_string()))?;
    let mut command = Command::new(SHELL);
    command.args(["-c", GUARD, "drydock-hook"]).arg(program).args(hook.run.iter().skip(1));
    command.env_clear().current_dir("/").process_group(0).kill_on_drop(true);
    let passed = INHERITED.iter().copied().chain(hook.env.iter().map(String::as_str));
    command.envs(passed.filter_map(|name| Some((name, std::env::var_os(name)?)))).envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(writer).stderr(twin);
    let mut child = command.spawn().map_err(|error| not_started(format!("{SHELL}: {error}")))?;
    drop(command); // it holds the pipe's other end
    let group = Group { leader: child.id(), _open: child.stdin.take() };
    let mut output =
        Receiver::from_owned_fd(OwnedFd::from(output)).map_err(|error| not_started(format!("its output: {error}")))?;
    let mut tail = Tail::default();
    let ended = tokio::select! {
        biased;
        () = cx.cancel.cancelled() => Err(How::Cancelled),
        status = child.wait() => status.map_err(|error| How::NotStarted(format!("it cannot be waited for: {error}"))),
        () = tokio::time::sleep(hook.timeout) => Err(How::Timeout(hook.timeout)),
        () = async { tail.follow(&mut output).await; pending().await } => unreachable!("it is pending for ever"),
    };
    drop(group);
    child.wait().await.ok(); // nobody is left behind unreaped; what it ended with is known
    tokio::time::timeout(DRAIN, tail.follow(&mut output)).await.ok();
    match ended.map(how) {
        Ok(None) => Ok(()),
        Ok(Some(how)) | Err(how) => Err((how, tail.said())),
    }
}

/// By its path, so that the guard's shell does not take it for a word of its own.
fn program(hook: &Hook) -> Result<PathBuf, String> {
    let name = hook.run.first().map(String::as_str).unwrap_or_default();
    if name.contains('/') {
        return if Path::new(name).is_file() { Ok(name.into()) } else { Err(format!("there is no file {name}")) };
    }
    on_path(name).ok_or_else(|| format!("there is no program `{name}` on the PATH"))
}

/// The shell says 128 and the signal's number of a child that was killed.
fn how(status: ExitStatus) -> Option<How> {
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code @ 129..=192), _) => Some(How::Signal(code - 128)),
        (Some(126), _) => Some(How::NotStarted("it is no program, or may not be executed".into())),
        (Some(code), _) => Some(How::Code(code)),
        (None, signal) => Some(How::Signal(signal.unwrap_or_default())),
    }
}

/// A process group that ends with this.
struct Group {
    leader: Option<u32>,
    /// While it is open, drydock is there.
    _open: Option<ChildStdin>,
}

impl Drop for Group {
    fn drop(&mut self) {
        let leader = self.leader.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(leader) = leader {
            kill_process_group(leader, Signal::KILL).ok(); // everybody has left
        }
    }
}

/// The end of what came.
#[derive(Default)]
struct Tail(VecDeque<u8>);

impl Tail {
    /// Reads until nobody can write any more.
    async fn follow(&mut self, output: &mut Receiver) {
        let mut piece = [0; 4_096];
        while let Ok(n @ 1..) = output.read(&mut piece).await {
            self.0.extend(&piece[..n]);
            let more = self.0.len().saturating_sub(SAID);
            self.0.drain(..more);
        }
    }

    fn said(self) -> Option<Said> {
        let bytes: Vec<u8> = self.0.into();
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim();
        (!text.is_empty()).then(|| Said(text.to_owned()))
    }
}
