//! Processes of a sandbox, found by where they work: each runs in a folder of the sandbox, whatever it calls itself.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::DrillError;

/// PostgreSQL ends its helpers within milliseconds of SIGQUIT.
const LEAVES_WITHIN: Duration = Duration::from_secs(10);

/// The processes that work below `folder`, ourselves excepted.
fn within(folder: &Path) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != std::process::id() && works_in(*pid, folder)).collect()
}

/// A folder that is gone is named with ` (deleted)` behind, which is below it all the same.
fn works_in(pid: u32, folder: &Path) -> bool {
    std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|place| place.starts_with(folder) && place != folder)
}

/// Ends every process that works below `folder`; one that sits in `folder` itself, like a person's shell, is let be.
///
/// # Errors
/// `StillRunning` names what did not end.
pub(super) fn end_all(folder: &Path) -> Result<(), DrillError> {
    let begun = Instant::now();
    loop {
        let left = within(folder);
        if left.is_empty() {
            return Ok(());
        }
        let waited = begun.elapsed();
        if waited > 2 * LEAVES_WITHIN {
            let pids = left.iter().map(ToString::to_string).collect();
            return Err(DrillError::StillRunning { folder: folder.to_owned(), pids });
        }
        // QUIT first: PostgreSQL takes its helpers and its shared memory with it. Redis heeds KILL alone.
        let signal = if waited < LEAVES_WITHIN { Signal::QUIT } else { Signal::KILL };
        for pid in left {
            end(pid, folder, if is_postgres(pid) { signal } else { Signal::KILL });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_postgres(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "postgres")
}

/// By a handle that is looked at again once it is held: a process of the same number that came meanwhile is spared.
fn end(pid: u32, folder: &Path, signal: Signal) {
    let Some(known) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    let Ok(handle) = pidfd_open(known, PidfdFlags::empty()) else { return };
    if works_in(pid, folder) {
        pidfd_send_signal(handle, signal).ok(); // it has ended by itself
    }
}
