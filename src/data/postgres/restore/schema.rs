//! The SQL of the schema, taken from the archive with `pg_restore`; `builder.rs` runs it. `pg_restore` itself is never
//! let near the target: servers 9.5 and 9.6 have no client of their own, and newer ones send settings that older servers
//! do not know.

use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use super::super::error::PostgresError;
use super::super::manifest::Database;
use super::super::tools::{Running, Tools};
use super::super::version::Version;
use super::entries::{self, Entry, Script, Section};
use super::error::RestoreError;
use super::files::Files;

/// A database's schema: what comes before its rows and what comes after.
#[derive(Debug)]
pub struct Schema {
    pub before: Script,
    pub after: Script,
}

/// Reads both sections of `database`'s archive.
pub async fn read(files: &Files, database: &Database, tools: &Tools) -> Result<Schema, RestoreError> {
    let before = section(files, database, tools, Section::PreData).await?;
    let after = section(files, database, tools, Section::PostData).await?;
    Ok(Schema { before, after })
}

async fn section(files: &Files, database: &Database, tools: &Tools, section: Section) -> Result<Script, RestoreError> {
    let sql = print(files, &database.schema_dump.file, tools, section).await?;
    let sql = String::from_utf8(sql).map_err(|_| PostgresError::Unexpected {
        what: format!("reading {}", database.schema_dump.file),
        how: "not UTF-8".into(),
    })?;
    let mut script =
        entries::read(&sql).map_err(|source| RestoreError::Script { database: database.name.clone(), source })?;
    script.entries.retain(|entry| !entry.is_of_the_database() && !is_made_elsewhere(entry));
    Ok(script)
}

/// `pg_restore --verbose -f -`: with each entry's number and dependencies in comments.
async fn print(files: &Files, path: &str, tools: &Tools, section: Section) -> Result<Vec<u8>, RestoreError> {
    let mut archive = Box::pin(files.stream(path).await?);
    let mut command = tools.offline("pg_restore");
    command.arg("--verbose").arg(section.argument()).stdin(std::process::Stdio::piped());
    // Before 12 standard output is the default, and `-` would be a file of that name.
    if tools.version >= Version::V12 {
        command.args(["-f", "-"]);
    }
    let mut running = Running::start(command)?;
    let mut stdin = running.stdin().expect("stdin was made a pipe above");
    let feed = async move {
        while let Some(piece) = archive.next().await {
            // It may have read enough and left; its own exit status tells whether that was right.
            if stdin.write_all(&piece?).await.is_err() {
                break;
            }
        }
        drop(stdin);
        Ok::<(), RestoreError>(())
    };
    let drain = async {
        let (mut all, mut piece) = (Vec::new(), Vec::new());
        while running.read(&mut piece).await? > 0 {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    };
    let ((), sql) = tokio::try_join!(feed, drain)?;
    running.finish().await?;
    Ok(sql)
}

/// Large objects are made from drydock's own list; a subscription would pull changes from production into a copy;
/// statistics are gathered anew.
fn is_made_elsewhere(entry: &Entry) -> bool {
    match entry.kind.as_str() {
        "BLOB" | "BLOBS" | "BLOB METADATA" | "SUBSCRIPTION" | "SUBSCRIPTION TABLE" | "STATISTICS DATA" => true,
        "ACL" | "COMMENT" | "SECURITY LABEL" => {
            ["LARGE OBJECT", "SUBSCRIPTION "].iter().any(|kind| entry.name.starts_with(kind))
        }
        _ => false,
    }
}
