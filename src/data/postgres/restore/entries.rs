//! Reads the SQL that `pg_restore --verbose -f -` prints back into the archive's entries: what each is, what it depends
//! on, its statements. Pure; `schema.rs` runs the client and the statements.
//! Source of the layout: PostgreSQL 18 `src/bin/pg_dump/pg_backup_archiver.c`, `_printTocEntry` and `RestoreArchive`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::statements::{Piece, Unterminated, split};

/// An entry's number in the archive; dependencies name it.
pub type EntryId = u32;

/// The two parts of a schema between which the rows are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    PreData,
    PostData,
}

impl Section {
    /// As `pg_restore --section` takes it.
    pub fn argument(self) -> &'static str {
        match self {
            Self::PreData => "--section=pre-data",
            Self::PostData => "--section=post-data",
        }
    }
}

/// When an entry is restored. Source: `_tocEntryRestorePass`: privileges only when all else is there, because an owner
/// may have revoked his own; event triggers and the rows of materialized views after the privileges that they need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pass {
    Main,
    Privileges,
    Last,
}

/// `SET`s that stand before an entry and hold for it.
pub type Settings = Arc<BTreeMap<String, String>>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub id: EntryId,
    /// `TABLE`, `FK CONSTRAINT`, `MATERIALIZED VIEW DATA` …
    pub kind: String,
    /// `-` where it is in none.
    pub schema: String,
    /// For people: line breaks were taken out by pg_dump.
    pub name: String,
    pub depends_on: Vec<EntryId>,
    pub settings: Settings,
    pub statements: Vec<String>,
}

impl Entry {
    pub fn pass(&self) -> Pass {
        match self.kind.as_str() {
            "ACL" | "ACL LANGUAGE" | "DEFAULT ACL" => Pass::Privileges,
            "EVENT TRIGGER" | "MATERIALIZED VIEW DATA" => Pass::Last,
            "COMMENT" | "SECURITY LABEL" if self.name.starts_with("EVENT TRIGGER ") => Pass::Last,
            _ => Pass::Main,
        }
    }

    /// Whether it belongs to the database itself, which was made before and is called otherwise.
    pub fn is_of_the_database(&self) -> bool {
        match self.kind.as_str() {
            "DATABASE" | "DATABASE PROPERTIES" => true,
            "ACL" | "COMMENT" | "SECURITY LABEL" => self.schema == "-" && self.name.starts_with("DATABASE "),
            _ => false,
        }
    }

    /// `INDEX public.t_v_idx`
    pub fn title(&self) -> String {
        if self.schema == "-" || self.schema.is_empty() {
            format!("{} {}", self.kind, self.name)
        } else {
            format!("{} {}.{}", self.kind, self.schema, self.name)
        }
    }
}

/// A section of an archive, as SQL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// What every session sets before it runs an entry: name and the value as it stood there.
    pub session: BTreeMap<String, String>,
    pub entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    #[error(transparent)]
    Unterminated(#[from] Unterminated),
    #[error("`{0}` is no heading of an entry")]
    Heading(String),
    #[error("the statement `{0}` stands outside of any entry")]
    Stray(String),
    #[error("the script ends before \"dump complete\"")]
    CutOff,
}

/// The footer; a client that was killed or ran out of space did not write it.
const FOOTER: &str = "PostgreSQL database dump complete";

/// Reads a whole script.
pub fn read(sql: &str) -> Result<Script, ScriptError> {
    let mut reader = Reader::default();
    for piece in split(sql) {
        match piece? {
            Piece::Meta(_) => {}
            Piece::Comment(text) => reader.comment(text.trim_end())?,
            Piece::Statement(text) => reader.statement(text)?,
        }
    }
    if !reader.complete {
        return Err(ScriptError::CutOff);
    }
    Ok(reader.script)
}

#[derive(Debug, Default)]
struct Reader {
    script: Script,
    settings: Settings,
    /// Number and dependencies of the entry whose name has not come yet.
    heading: Option<(EntryId, Vec<EntryId>)>,
    complete: bool,
}

impl Reader {
    fn comment(&mut self, text: &str) -> Result<(), ScriptError> {
        let text = text.strip_prefix(' ').unwrap_or(text);
        let bad = || ScriptError::Heading(text.to_owned());
        if let Some(rest) = text.strip_prefix("TOC entry ") {
            let id = rest.split(' ').next().and_then(|n| n.parse().ok()).ok_or_else(bad)?;
            self.heading = Some((id, Vec::new()));
        } else if let Some((_, depends_on)) = &mut self.heading {
            if let Some(rest) = text.strip_prefix("Dependencies:") {
                let numbers = rest.split_ascii_whitespace().map(str::parse).collect::<Result<Vec<_>, _>>();
                *depends_on = numbers.map_err(|_| bad())?;
                depends_on.sort_unstable();
                depends_on.dedup();
            } else if let Some(rest) = text.strip_prefix("Name: ") {
                self.begin(rest).ok_or_else(bad)?;
            }
        }
        self.complete |= text == FOOTER;
        Ok(())
    }

    /// `t_v_idx; Type: INDEX; Schema: public; Owner: app; Tablespace: fast`, read from the right: a name may hold
    /// anything.
    fn begin(&mut self, line: &str) -> Option<()> {
        let (rest, _owner) = line.rsplit_once("; Owner:")?;
        let (rest, schema) = rest.rsplit_once("; Schema: ")?;
        let (name, kind) = rest.rsplit_once("; Type: ")?;
        let (id, depends_on) = self.heading.take()?;
        self.script.entries.push(Entry {
            id,
            kind: kind.to_owned(),
            schema: schema.to_owned(),
            name: name.to_owned(),
            depends_on,
            settings: Arc::clone(&self.settings),
            statements: Vec::new(),
        });
        Some(())
    }

    fn statement(&mut self, text: &str) -> Result<(), ScriptError> {
        if let Some((name, value)) = setting(text) {
            // Between entries these hold for the one that follows: its heading comes after them.
            let for_entries = FOR_ENTRIES.contains(&name);
            let settings = if for_entries { Arc::make_mut(&mut self.settings) } else { &mut self.script.session };
            settings.insert(name.to_owned(), value.to_owned());
            return Ok(());
        }
        let entry = self.script.entries.last_mut().ok_or_else(|| ScriptError::Stray(text.to_owned()))?;
        entry.statements.push(text.to_owned());
        Ok(())
    }
}

/// Settings that change from entry to entry.
const FOR_ENTRIES: [&str; 3] = ["default_tablespace", "default_table_access_method", "default_with_oids"];

/// `SET name = value` and `SELECT pg_catalog.set_config('name', 'value', false)` as name and literal.
fn setting(statement: &str) -> Option<(&str, &str)> {
    if let Some(call) = statement.strip_prefix("SELECT pg_catalog.set_config(") {
        let (name, rest) = call.split_once(", ")?;
        let (value, _) = rest.rsplit_once(", ")?;
        return Some((name.trim_matches('\''), value));
    }
    let (name, value) = statement.strip_prefix("SET ")?.split_once(" = ")?;
    name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'.').then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = r#"--
-- PostgreSQL database dump
--

\restrict UcYSkSI52Ahil

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SELECT pg_catalog.set_config('search_path', '', false);
SET transaction_timeout = 0;

--
-- TOC entry 224 (class 1255 OID 16419)
-- Name: g(); Type: FUNCTION; Schema: public; Owner: postgres
-- Data Pos: 0
--

CREATE FUNCTION public.g() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ begin
-- TOC entry 5 (class 1 OID 2)
-- Name: no; Type: TRAP; Schema: -; Owner: -
return new; end $$;


ALTER FUNCTION public.g() OWNER TO postgres;

SET default_tablespace = fast;

SET default_table_access_method = heap;

--
-- TOC entry 219 (class 1259 OID 16398)
-- Dependencies: 7 216 7
-- Name: a; Type: b; Type: TABLE; Schema: s; Owner: postgres; Tablespace: fast
-- Data Pos: 0
--

CREATE TABLE s."a; Type: b" (
    id bigint NOT NULL
);

SET default_tablespace = '';

--
-- TOC entry 3502 (class 0 OID 0)
-- Dependencies: 2
-- Name: EXTENSION hstore; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION hstore IS 'x';


-- Completed on 2026-11-23 08:59:17 UTC

--
-- PostgreSQL database dump complete
--

\unrestrict UcYSkSI52Ahil
"#;

    #[test]
    fn a_script_is_read_into_what_each_entry_is_needs_and_does() {
        let script = read(SCRIPT).unwrap();
        let expected = ["statement_timeout", "client_encoding", "search_path", "transaction_timeout"];
        let expected: std::collections::BTreeSet<&str> = expected.into();
        assert_eq!(script.session.keys().map(String::as_str).collect::<std::collections::BTreeSet<_>>(), expected);
        assert_eq!(script.session["search_path"], "''");
        let titles: Vec<String> = script.entries.iter().map(Entry::title).collect();
        assert_eq!(titles, ["FUNCTION public.g()", "TABLE s.a; Type: b", "COMMENT EXTENSION hstore"]);
        let [function, table, comment] = &script.entries[..] else { panic!("three entries") };
        assert_eq!(function.statements.len(), 2);
        assert!(function.statements[0].contains("Type: TRAP"));
        assert!(function.settings.is_empty());
        assert_eq!(table.depends_on, [7, 216]);
        assert_eq!(table.settings["default_tablespace"], "fast");
        assert_eq!(table.settings["default_table_access_method"], "heap");
        assert_eq!(comment.settings["default_tablespace"], "''");
        assert_eq!(comment.statements, ["COMMENT ON EXTENSION hstore IS 'x'"]);
    }

    #[test]
    fn a_script_without_its_footer_is_refused() {
        let cut = &SCRIPT[..SCRIPT.find("-- Completed").unwrap()];
        assert_eq!(read(cut), Err(ScriptError::CutOff));
    }

    #[test]
    fn privileges_come_after_all_else_and_refreshes_after_them() {
        let of = |kind: &str, name: &str| {
            let (kind, name) = (kind.to_owned(), name.to_owned());
            let settings = Settings::default();
            Entry { id: 1, kind, schema: "-".into(), name, depends_on: vec![], settings, statements: vec![] }.pass()
        };
        assert_eq!(of("TABLE", "t"), Pass::Main);
        assert_eq!(of("ACL", "TABLE t"), Pass::Privileges);
        assert_eq!(of("MATERIALIZED VIEW DATA", "m"), Pass::Last);
        assert_eq!(of("COMMENT", "EVENT TRIGGER e"), Pass::Last);
        assert!(Pass::Main < Pass::Privileges && Pass::Privileges < Pass::Last);
    }
}
