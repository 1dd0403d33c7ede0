//! What `doctor` says of a Redis data set: can it be taken, could it be restored into, and what will bite one day.

use crate::context::Context;
use crate::data::tls::Identity;
use crate::failure::Failure;
use crate::finding::Finding;
use crate::stack::RedisSpec;

use super::connection::{Connection, Endpoint};
use super::error::RedisError;
use super::info::{Info, Role};
use super::restore::{examine, find_scratch_server};
use super::{source, transfer};

/// Clocks further apart than this make times to live mean something else after a restore.
const CLOCKS_APART_MS: u64 = 5_000;

/// Changes nothing and takes nothing: of a full sync only the permission is tried.
pub async fn doctor(name: &str, spec: &RedisSpec, cx: &Context) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(error) = look(name, spec, cx, &mut findings).await {
        findings.push(problem(name, &error));
    }
    findings
}

fn problem(name: &str, error: &RedisError) -> Finding {
    use std::error::Error;
    let mut detail = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        detail = format!("{detail}: {cause}");
        source = cause.source();
    }
    Finding::problem(name, detail, error.hint().unwrap_or_else(|| "see the server's log".into()))
}

async fn look(name: &str, spec: &RedisSpec, cx: &Context, findings: &mut Vec<Finding>) -> Result<(), RedisError> {
    let endpoint = Endpoint::new(spec)?;
    let mut connection = endpoint.connect().await?;
    let info = connection.info().await?;
    let over = if endpoint.uses_tls() { " over TLS" } else { "" };
    let (version, user, keys) = (info.version(), endpoint.user(), info.keys());
    findings
        .push(Finding::good(name, format!("{version} at {} reached{over} as {user}, {keys} keys", endpoint.address())));
    restorable(name, spec, &endpoint, &info, findings).await?;
    let origin = source::choose(&endpoint).await?;
    transfer::probe(&origin.endpoint).await?;
    findings.push(Finding::good(name, format!("snapshots are taken from {}", origin.label)));
    for warning in origin.warnings {
        let fix = "add a replica, or take the snapshot from a server that no Sentinel watches";
        findings.push(Finding::warning(name, warning, fix));
    }
    server(name, &mut connection, &info, cx, findings).await
}

/// What the server's own settings mean for snapshots.
async fn server(
    name: &str,
    connection: &mut Connection,
    info: &Info,
    cx: &Context,
    findings: &mut Vec<Finding>,
) -> Result<(), RedisError> {
    if connection.setting("repl-diskless-sync").await?.as_deref() == Some("no") {
        let detail =
            "repl-diskless-sync is off: for each snapshot the server writes its dump.rdb anew, and needs the space";
        findings.push(Finding::warning(name, detail, "set `repl-diskless-sync yes`"));
    }
    if connection.setting("rdbchecksum").await?.as_deref() == Some("no") {
        let detail = "rdbchecksum is off: what is damaged on the way to drydock is not noticed";
        findings.push(Finding::warning(name, detail, "set `rdbchecksum yes` (needs a restart)"));
    }
    for module in info.modules() {
        let detail = format!("the module {module} keeps data that cannot be compared after a restore");
        findings.push(Finding::warning(name, detail, "have a test of the application's own on that data"));
    }
    let theirs = connection.now_ms().await?;
    let ours = u64::try_from(cx.clock.now().as_millisecond()).unwrap_or(0);
    if theirs.abs_diff(ours) > CLOCKS_APART_MS {
        let detail = format!("the server's clock is {} s away from ours", theirs.abs_diff(ours) / 1000);
        findings.push(Finding::warning(name, detail, "synchronise both clocks (NTP): times to live are absolute"));
    }
    memory(name, info, findings);
    Ok(())
}

/// A fork copies what clients write meanwhile.
fn memory(name: &str, info: &Info, findings: &mut Vec<Finding>) {
    let (Some(used), Some(total)) = (info.number("used_memory_rss"), info.number("total_system_memory")) else {
        return;
    };
    if total > 0 && used > total / 2 {
        let detail = format!("the server uses {used} of {total} bytes of memory: a fork under many writes may not fit");
        findings.push(Finding::warning(name, detail, "give it more memory, or take the snapshot when few write"));
    }
}

/// Whether this server could be restored into; a replica never can, and that is said of a source that is one too.
async fn restorable(
    name: &str,
    spec: &RedisSpec,
    endpoint: &Endpoint,
    info: &Info,
    findings: &mut Vec<Finding>,
) -> Result<(), RedisError> {
    let problem_with = |source| RedisError::Tls { address: endpoint.address(), source };
    let own = Identity::of(spec.cert_file.as_ref(), spec.key_file.as_ref()).map_err(problem_with)?;
    match examine(endpoint, spec.listen_address).await {
        Ok(target) if target.tls_replication && own.is_none() => {
            let detail =
                "a restore into this server would be refused: it replicates over TLS and drydock has no certificate";
            findings.push(Finding::warning(name, detail, "set `certFile` and `keyFile`"));
        }
        Ok(target) if target.leftover => {
            let detail = "a killed drydock has left this server as a replica of nobody";
            findings.push(Finding::problem(
                name,
                detail,
                "run the restore again, or on the server: `REPLICAOF NO ONE`",
            ));
        }
        Ok(_) => {}
        Err(error) => {
            let fix = error.hint().unwrap_or_else(|| "see the server's log".into());
            findings.push(Finding::warning(name, format!("a restore into this server would be refused: {error}"), fix));
        }
    }
    match find_scratch_server(spec.scratch_server.as_deref()) {
        Ok((_, scratch)) if !scratch.is_like(&info.version()) && info.role() == Role::Primary => {
            let detail = format!("a restore is rehearsed by {scratch}, the server is {}", info.version());
            findings.push(Finding::warning(name, detail, "set `scratchServer` to a redis-server of the same version"));
        }
        Ok((_, scratch)) => findings.push(Finding::good(name, format!("a restore is rehearsed by {scratch} first"))),
        Err(error) => {
            let fix = error.hint().unwrap_or_default();
            findings.push(Finding::warning(name, format!("a restore would be refused: {error}"), fix));
        }
    }
    Ok(())
}
