//! A journal that kills its own process before or after the entry of a number is stored.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use async_trait::async_trait;
use drydock::run::{Entry, Journal, RunError, RunId};
use serde_json::Value;

/// Names everything that the process that dies must know to the test that it runs.
const LIFE: &str = "DRYDOCK_TEST_LIFE";

pub struct Mortal {
    pub journal: Box<dyn Journal>,
    /// The number of an entry, and whether it is stored before the end.
    pub dies: (u64, bool),
}

#[async_trait]
impl Journal for Mortal {
    fn run(&self) -> &RunId {
        self.journal.run()
    }

    async fn append(&mut self, entry: &Entry) -> Result<(), RunError> {
        let (number, stored) = self.dies;
        if entry.number == number && !stored {
            die();
        }
        self.journal.append(entry).await?;
        if entry.number == number {
            die();
        }
        Ok(())
    }
}

fn die() -> ! {
    let own = std::process::id().to_string();
    Command::new("kill").args(["-KILL", &own]).status().ok();
    unreachable!("SIGKILL is not survived")
}

/// In the process that is to die: lives as it was told, on as much of a stack as a program's first thread has. Anywhere
/// else nothing.
pub fn live(live: impl FnOnce(&Value) + Send + 'static) {
    let Ok(life) = std::env::var(LIFE) else { return };
    let life: Value = serde_json::from_str(&life).unwrap();
    std::thread::Builder::new().stack_size(8 << 20).spawn(move || live(&life)).unwrap().join().unwrap();
}

/// Runs the ignored test `test`, which calls [`live`], as a process of its own, until it is killed.
pub fn begin(test: &str, life: &Value, environment: &[(&str, &std::path::Path)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", test, "--nocapture"]).env(LIFE, life.to_string());
    command.envs(environment.iter().copied());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = || format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.signal(), Some(9), "{life}: {}", said());
}
