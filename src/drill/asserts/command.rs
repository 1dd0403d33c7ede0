//! A program of the stack's own people, with the sandbox's addresses in its environment.

use std::io::ErrorKind;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::{Shown, Unasked};
use crate::context::Context;
use crate::drill::plan::DrillPlan;
use crate::drill::sandbox::{Address, Sandbox};
use crate::stack::{CommandAssertion, Name, duration};

/// A look at what was restored is over in five minutes, or says how long it takes.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Of what it says on standard error the end tells why.
const SAID: usize = 2_000;

/// Runs it in the sandbox's folder as drydock's own user, in a process group of its own, and ends that group when it is
/// through, takes too long, or the drill is cancelled.
pub(super) async fn run(
    plan: &DrillPlan,
    sandbox: &Sandbox,
    assertion: &CommandAssertion,
    cx: &Context,
) -> Result<Shown, Unasked> {
    let limit = assertion.timeout.unwrap_or(TIMEOUT);
    let folder = sandbox.folder().join("command");
    match std::fs::create_dir(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(Unasked::Because(format!("cannot make {}: {error}", folder.display())));
        }
        _ => {}
    }
    let Some((program, arguments)) = assertion.run.split_first() else {
        return Err(Unasked::Because("no program is named".into()));
    };
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
        command.env_remove(name); // where production is must not come in by the back door
    }
    command.args(arguments).envs(environment(plan, sandbox)).current_dir(folder).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| Unasked::Because(format!("cannot start {program}: {error}")))?;
    let group = Group(child.id());
    let mut stderr = child.stderr.take().expect("it was made a pipe above");
    let said = tokio::spawn(async move {
        let (mut said, mut piece) = (Vec::new(), [0; 4_096]);
        while let Ok(n @ 1..) = stderr.read(&mut piece).await {
            said.extend_from_slice(&piece[..n]);
            let more = said.len().saturating_sub(SAID);
            said.drain(..more);
        }
        said
    });
    let expected = "exit code 0";
    let ended = tokio::select! {
        biased;
        () = cx.cancel.cancelled() => return Err(Unasked::Cancelled),
        ended = tokio::time::timeout(limit, child.wait()) => ended,
    };
    drop(group); // what it has started and left holds the pipe open
    let Ok(status) = ended else {
        return Ok(Shown::new(false, expected, format!("nothing after {}", duration::human(limit))));
    };
    let status = status.map_err(|error| Unasked::Because(format!("cannot wait for {program}: {error}")))?;
    let mut shown = Shown::new(status.success(), expected, status.to_string().replace("exit status: ", "exit code "));
    let said = said.await.unwrap_or_default();
    shown.note = (!status.success() && !said.is_empty()).then(|| String::from_utf8_lossy(&said).trim_end().to_owned());
    Ok(shown)
}

/// A process group that ends with this.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let leader = self.0.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(leader) = leader {
            kill_process_group(leader, Signal::KILL).ok(); // everybody has left
        }
    }
}

/// `DRYDOCK_RUN`, `DRYDOCK_POINT`, and for each data set, its name in capitals with `_` for `-`, where it is.
fn environment(plan: &DrillPlan, sandbox: &Sandbox) -> Vec<(String, String)> {
    let mut all =
        vec![("DRYDOCK_RUN".to_owned(), plan.run.clone()), ("DRYDOCK_POINT".to_owned(), plan.point.to_string())];
    for (data, address) in sandbox.addresses() {
        all.extend(variables(&data, &address));
    }
    all
}

fn variables(data: &Name, address: &Address) -> Vec<(String, String)> {
    let data = data.as_str().to_ascii_uppercase().replace('-', "_");
    match address {
        Address::Postgres { host, port, user, databases } => {
            let name = |what: &str| format!("DRYDOCK_PG_{data}_{what}");
            vec![
                (name("HOST"), host.display().to_string()),
                (name("PORT"), port.to_string()),
                (name("USER"), user.clone()),
                (name("DATABASE"), databases.first().cloned().unwrap_or_default()),
                (name("DATABASES"), databases.join(",")),
            ]
        }
        Address::Redis { socket } => vec![(format!("DRYDOCK_REDIS_{data}_SOCKET"), socket.display().to_string())],
        Address::Volume { path } => vec![(format!("DRYDOCK_VOLUME_{data}_PATH"), path.display().to_string())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_every_data_set_in_capitals() {
        let (host, databases) = ("/tmp/sandbox/postgres0".into(), vec!["shop".to_owned(), "cms".to_owned()]);
        let address = Address::Postgres { host, port: 5432, user: "postgres".into(), databases };
        let found = variables(&"shop-db".parse().unwrap(), &address);
        let expected = [
            ("DRYDOCK_PG_SHOP_DB_HOST", "/tmp/sandbox/postgres0"),
            ("DRYDOCK_PG_SHOP_DB_PORT", "5432"),
            ("DRYDOCK_PG_SHOP_DB_USER", "postgres"),
            ("DRYDOCK_PG_SHOP_DB_DATABASE", "shop"),
            ("DRYDOCK_PG_SHOP_DB_DATABASES", "shop,cms"),
        ];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
