//! The way out: what a person needs to restore a snapshot with stock restic, pg_restore and psql, written into it.
//! `RESTORE.md` is executed by a test.

use std::fmt::Write as _;

use crate::data::postgres::manifest::{Database, LargeObject, Manifest, Table};
use crate::data::postgres::naming::{identifier, literal, qualified};
use crate::data::postgres::restore::database::{creation, script};
use crate::data::postgres::restore::grants;
use crate::data::postgres::version::Version;

/// The script for psql that fills a database between pre-data and post-data, run in the database's folder. Identifiers
/// are in UTF-8, rows in the database's own encoding.
pub(super) fn restore_sql(database: &Database, manifest_settings: &str) -> String {
    let mut sql = format!(
        "-- Fills database {} of this snapshot. Run it in this folder after pre-data and before post-data:\n\
         --   psql -X --single-transaction -d NAME -f restore.sql\n\
         \\set ON_ERROR_STOP on\n\\encoding UTF8\n\\o /dev/null\nSET client_min_messages = warning;\n\
         SET statement_timeout = 0;\nSET lock_timeout = 0;\nSET row_security = off;\n\
         SET standard_conforming_strings = on;\n{manifest_settings}\n",
        one_line(&identifier(&database.name)),
    );
    for table in &database.tables {
        sql.push_str(&copy_in(database, table));
    }
    for sequence in &database.sequences {
        let name = literal(&qualified(&sequence.schema, &sequence.name));
        line(
            &mut sql,
            format_args!("SELECT pg_catalog.setval({name}, {}, {});", sequence.last_value, sequence.is_called),
        );
    }
    if database.large_objects.list.is_some() {
        sql.push_str("\\i large-objects.sql\n");
    }
    sql
}

fn line(sql: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = writeln!(sql, "{text}"); // writing to a String cannot fail
}

/// In a comment, where a line end would begin SQL.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

fn copy_in(database: &Database, table: &Table) -> String {
    let target = table
        .load_through
        .as_ref()
        .map_or_else(|| qualified(&table.schema, &table.name), |root| qualified(&root.schema, &root.name));
    let names: Vec<String> = table.columns.iter().map(|c| identifier(&c.name)).collect();
    let columns = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    let file = table.file.strip_prefix(&format!("{}/", database.folder)).unwrap_or(&table.file);
    let from = format!("FROM '{file}' WITH (ENCODING {})", literal(&database.properties.encoding));
    if !target.contains(['\n', '\r']) && !columns.contains(['\n', '\r']) {
        return format!("\\copy {target}{columns} {from}\n");
    }
    // \copy ends with its line: a name with a line end needs a table between.
    let listed = names.join(", ");
    let overriding = if table.columns.iter().any(|c| c.identity) { " OVERRIDING SYSTEM VALUE" } else { "" };
    format!(
        "CREATE TEMPORARY TABLE drydock_load AS SELECT {listed} FROM {target} WHERE false;\n\
         \\copy pg_temp.drydock_load {from}\n\
         INSERT INTO {target}{columns}{overriding} SELECT * FROM pg_temp.drydock_load;\n\
         DROP TABLE pg_temp.drydock_load;\n"
    )
}

/// Makes one large object with its own oid: psql's `\lo_import` chooses one, from which the bytes are copied inside the
/// server, so that no superuser is needed.
pub(super) fn large_object_sql(object: &LargeObject) -> String {
    let oid = object.oid;
    let mut sql = format!("SELECT pg_catalog.lo_create({oid});\n");
    if object.bytes > 0 {
        let _ = writeln!(
            sql,
            "\\lo_import 'large-objects/{oid}'\n\
             SELECT count(pg_catalog.lo_put({oid}, n, pg_catalog.lo_get(:LASTOID, n, 1048576))) \
             FROM pg_catalog.generate_series(0::bigint, {}, 1048576) AS n;\n\
             SELECT pg_catalog.lo_unlink(:LASTOID);",
            object.bytes - 1
        );
    }
    line(&mut sql, format_args!("ALTER LARGE OBJECT {oid} OWNER TO {};", identifier(&object.owner)));
    for grant in grants::statements(&format!("LARGE OBJECT {oid}"), &object.owner, object.grants.as_deref()) {
        line(&mut sql, format_args!("{grant};"));
    }
    if let Some(comment) = &object.comment {
        line(&mut sql, format_args!("COMMENT ON LARGE OBJECT {oid} IS {};", literal(comment)));
    }
    sql
}

/// `RESTORE.md`.
pub(super) fn restore_md(manifest: &Manifest) -> String {
    let server = &manifest.server;
    let mut text = format!(
        "# How to restore this snapshot by hand\n\n\
         PostgreSQL {}, read by {}. Everything below works with stock tools: restic to get these files, `psql` and\n\
         `pg_restore` of version {} or later. Run the commands in the folder that holds this file, as a superuser of an\n\
         *empty* server of version {} or later (`PGHOST`, `PGUSER` and so on say which).\n\n\
         `sed` takes out the settings that servers older than those programs do not know, and psql's `\\restrict`, which\n\
         is new; function bodies have no such lines at their beginning.\n\n\
         ## 1. These files\n\n    restic -r REPOSITORY restore SNAPSHOT --target FOLDER\n\n\
         ## 2. Roles{}\n\n\
         Roles that exist already are reported and left as they are.\n\n```sh\n\
         psql -X -q -d postgres -f {}\n```\n\n",
        server.version,
        manifest.written_by,
        server.tools.major_text(),
        server.version.major_text(),
        if manifest.globals.role_passwords { "" } else { " (without passwords)" },
        manifest.globals.file,
    );
    for (n, database) in manifest.databases.iter().enumerate() {
        text.push_str(&database_md(n + 3, database, server.version));
    }
    if !manifest.not_kept.is_empty() {
        text.push_str("## Not in this snapshot\n\n");
        for entry in &manifest.not_kept {
            line(&mut text, format_args!("- {}", one_line(&entry.to_string())));
        }
        text.push('\n');
    }
    text.push_str(
        "## Is it what it was?\n\n`manifest.json` has the number of rows of each table, and a digest: the sum modulo 2^128 of XXH3-128 of\n\
         each line of its file without the line end. `drydock restore` compares all of it.\n",
    );
    text
}

/// Takes out of pg_restore's SQL what a server of the snapshot's version may not know: the settings (of 17, 9.6 and 12),
/// `\restrict` of an older psql, and for servers before 10 and 11 the newer words for the same.
fn sed(version: Version) -> String {
    let mut script =
        "/^SET (transaction_timeout|idle_in_transaction_session_timeout|default_table_access_method) = /d; \
                      /^\\\\(un)?restrict /d"
            .to_owned();
    if version < Version::V10 {
        script.push_str("; /^CREATE COLLATION /s/provider = libc, //");
    }
    if version < Version::V11 {
        script.push_str("; s/^   EXECUTE FUNCTION /   EXECUTE PROCEDURE /; s/^    FUNCTION = /    PROCEDURE = /");
    }
    format!("sed -E '{script}'")
}

fn database_md(number: usize, database: &Database, version: Version) -> String {
    let folder = &database.folder;
    let name = shell(&database.name);
    let create = shell(&creation(&database.name, &database.properties, None, version));
    let properties = script(&database.name, &database.properties);
    let sed = sed(version);
    format!(
        "## {number}. Database {}\n\n\
         For another name change it in each of these commands. The last one gives the database its owner, privileges,\n\
         settings and comment.\n\n\
         ```sh\n\
         psql -X -q -v ON_ERROR_STOP=1 -d postgres -c {create}\n\
         pg_restore --no-tablespaces --section=pre-data -f - {folder}/schema.dump |\n  {sed} |\n  \
           psql -X -q -v ON_ERROR_STOP=1 -o /dev/null -d {name}\n\
         (cd {folder} && psql -X -q --single-transaction -d {name} -f restore.sql)\n\
         pg_restore --no-tablespaces --section=post-data -f - {folder}/schema.dump |\n  {sed} |\n  \
           psql -X -q -v ON_ERROR_STOP=1 -o /dev/null -d {name}\n\
         psql -X -q -d {name} -c ANALYZE\n\
         psql -X -q -v ON_ERROR_STOP=1 -d postgres <<'{END}'\n\\encoding UTF8\n{properties}{END}\n\
         ```\n\n",
        one_line(&database.name),
    )
}

/// Ends the script in the shell; no line of SQL is this.
const END: &str = "END_OF_PROPERTIES";

/// `text` as one word of a shell.
fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
