//! The server as a whole: version, TLS, rights, standby, clock, connections.

use jiff::Timestamp;

use super::{Report, superuser};
use crate::context::Context;
use crate::data::postgres::connect::Session;
use crate::data::postgres::error::PostgresError;
use crate::data::postgres::version::Version;
use crate::stack::PostgresSpec;

/// Ages and instants are compared across machines; more than this makes an RPO a guess.
const SKEW_SECONDS: f64 = 5.0;

pub(super) async fn look(
    report: &mut Report,
    session: &Session,
    spec: &PostgresSpec,
    databases: usize,
    cx: &Context,
) -> Result<(), PostgresError> {
    reached(report, session).await?;
    rights(report, session, spec).await?;
    standby(report, session).await?;
    clock(report, session, cx).await?;
    connections(report, session, spec.connections + databases + 2).await?;
    old_snapshots(report, session).await
}

async fn reached(report: &mut Report, session: &Session) -> Result<(), PostgresError> {
    let sql = "SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()";
    let tls = session.text("reading how the session is encrypted", sql).await? == "t";
    let Session { server, version, .. } = session;
    let how = if tls { " over TLS" } else { "" };
    report.good(format!("PostgreSQL {version} reached{how} at {} as `{}`", server.address(), server.user));
    let near = server.host.starts_with('/') || ["localhost", "127.0.0.1", "::1"].contains(&server.host.as_str());
    if !tls && !near {
        report.warning(
            "rows and the login cross the network unencrypted",
            "turn `ssl` on at the server and say `tls: require` or `tls: verify-full`",
        );
    }
    Ok(())
}

async fn rights(report: &mut Report, session: &Session, spec: &PostgresSpec) -> Result<(), PostgresError> {
    if superuser(session).await? {
        report.good("the role is a superuser: everything can be read");
    } else if spec.role_passwords {
        report.warning(
            "the role is no superuser: the roles' password hashes cannot be kept",
            "say `rolePasswords: false` where that is meant, or use a superuser",
        );
    }
    Ok(())
}

async fn standby(report: &mut Report, session: &Session) -> Result<(), PostgresError> {
    let what = "reading whether the server is a standby";
    if session.text(what, "SELECT pg_catalog.pg_is_in_recovery()").await? != "t" {
        return Ok(());
    }
    if session.version < Version::V10 {
        report.problem(
            "the server is a standby, and before version 10 a standby exports no snapshots",
            "name the primary as `host`",
        );
        return Ok(());
    }
    let sql = "SELECT coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp()), 0)::bigint::text";
    let behind = session.text(what, sql).await?;
    report.good(format!("the server is a standby; its last replayed transaction is {behind} s old"));
    if session.text(what, "SHOW hot_standby_feedback").await? != "on" {
        report.warning(
            "what the standby replays may end a snapshot (`hot_standby_feedback` is off)",
            "set `hot_standby_feedback = on` there, or raise `max_standby_streaming_delay` above the time of a snapshot",
        );
    }
    Ok(())
}

async fn clock(report: &mut Report, session: &Session, cx: &Context) -> Result<(), PostgresError> {
    let sql = "SELECT extract(epoch FROM pg_catalog.clock_timestamp())::float8::text";
    let before = cx.clock.now();
    let text = session.text("reading the server's clock", sql).await?;
    let after = cx.clock.now();
    let seconds = |t: Timestamp| t.as_nanosecond() as f64 / 1e9;
    let middle = f64::midpoint(seconds(before), seconds(after));
    let apart = text.parse::<f64>().unwrap_or(middle) - middle;
    if apart.abs() > SKEW_SECONDS {
        report.warning(
            format!("the server's clock is {apart:+.0} s from this machine's"),
            "synchronise both (chrony, systemd-timesyncd): ages of recovery points are told by clocks",
        );
    }
    Ok(())
}

/// Connections that nobody uses, within the limits of server and role.
async fn connections(report: &mut Report, session: &Session, needed: usize) -> Result<(), PostgresError> {
    let sql = "SELECT pg_catalog.current_setting('max_connections')::bigint
                      - CASE WHEN r.rolsuper THEN 0 ELSE pg_catalog.current_setting('superuser_reserved_connections')::bigint END
                      - (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname IS NOT NULL),
                      CASE WHEN r.rolconnlimit >= 0 THEN r.rolconnlimit
                           - (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE usename = r.rolname) END
               FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";
    let row = session.row("counting free connections", sql, &[]).await?;
    let (of_server, of_role): (i64, Option<i64>) = (row.get(0), row.get(1));
    // The one that asks is free again afterwards.
    let free = of_role.map_or(of_server, |role| role.min(of_server)) + 1;
    let needed = i64::try_from(needed).unwrap_or(i64::MAX);
    if free < needed {
        report.problem(
            format!("a snapshot takes {needed} connections, and {free} are free"),
            "lower `connections`, or raise `max_connections` or the role's CONNECTION LIMIT",
        );
    }
    Ok(())
}

/// What makes long snapshots fail or harmful.
async fn old_snapshots(report: &mut Report, session: &Session) -> Result<(), PostgresError> {
    let what = "reading what limits snapshots";
    let sql = "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'old_snapshot_threshold' AND setting <> '-1'";
    if let Some([Some(minutes)]) = session.texts(what, sql).await?.first().map(Vec::as_slice) {
        report.warning(
            format!("`old_snapshot_threshold` ends snapshots after {minutes} min"),
            "set it to -1, or above the time that a snapshot takes",
        );
    }
    Ok(())
}
