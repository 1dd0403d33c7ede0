//! The definitions, by PostgreSQL's own programs: `schema.dump` of each database, `globals.sql` of the server.

use super::export::Exported;
use super::{OpenSource, StoredGlobals};
use crate::data::postgres::catalog;
use crate::data::postgres::error::PostgresError;
use crate::data::postgres::manifest::Globals;
use crate::data::postgres::tools::Running;
use crate::repository::{FileContent, Writer};

/// What comes before rows and what after, as a custom archive that is not compressed: the repository does that, and
/// finds the same chunks again. Large objects are left out for every version alike: pg_dump up to 16 lists each of them
/// in the archive, 17 and later in the data; drydock keeps them itself.
const SCHEMA_ARGUMENTS: [&str; 5] =
    ["--format=custom", "--compress=0", "--section=pre-data", "--section=post-data", "--no-blobs"];

/// Stores the definitions of `exported`'s database, as its snapshot sees them.
pub(super) async fn dump(
    source: &OpenSource,
    exported: &Exported,
    writer: &Writer,
) -> Result<FileContent, PostgresError> {
    let mut command = source.tools.command("pg_dump", &source.server, &exported.holder.database);
    command.args(SCHEMA_ARGUMENTS).arg(format!("--snapshot={}", exported.id));
    command.arg(format!("--encoding={}", readable(&exported.encoding)));
    if let Some(timeout) = source.spec.lock_timeout {
        command.arg(format!("--lock-wait-timeout={}", timeout.as_millis()));
    }
    store(command, source, writer).await
}

/// Stores roles, memberships, role settings and tablespaces of the server.
pub(super) async fn globals(source: &OpenSource, writer: &Writer) -> Result<StoredGlobals, PostgresError> {
    let holder = &source.exported[0].holder;
    let mut command = source.tools.command("pg_dumpall", &source.server, &holder.database);
    command.args(["--globals-only", "-l", &holder.database]);
    // By its environment: pg_dumpall has no option for it before 12.
    command.env("PGCLIENTENCODING", readable(&source.exported[0].encoding));
    if !source.keeps_role_passwords() {
        command.arg("--no-role-passwords");
    }
    let content = store(command, source, writer).await?;
    let (roles, tablespaces) = catalog::roles_and_tablespaces(holder).await?;
    let record = Globals {
        file: "globals.sql".into(),
        bytes: content.bytes,
        role_passwords: source.keeps_role_passwords(),
        roles,
        tablespaces,
    };
    Ok(StoredGlobals { record, content })
}

/// Definitions are read as text again when they are restored: in UTF-8, whatever the database's own encoding is. Of
/// SQL_ASCII nobody knows what it means.
fn readable(encoding: &str) -> &str {
    if encoding == "SQL_ASCII" { encoding } else { "UTF8" }
}

async fn store(
    command: tokio::process::Command,
    source: &OpenSource,
    writer: &Writer,
) -> Result<FileContent, PostgresError> {
    let mut running = Running::start(command)?;
    let mut file = writer.file();
    let copied = async {
        let mut piece = Vec::new();
        while running.read(&mut piece).await? > 0 {
            file.write(&piece).await?;
        }
        Ok(())
    };
    if let Err(error) = source.stop.guard(None, copied).await {
        running.end().await;
        return Err(error);
    }
    running.finish().await?;
    Ok(file.finish().await?)
}
