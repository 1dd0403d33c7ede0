//! `manifest.json`: what a Postgres snapshot holds, what it was when it was read, and what could not be kept.
//! A restore is compared with this document and nothing else. The format is described in `docs/formats.md`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::PostgresError;
use super::version::Version;

/// The version that this program writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;
/// The manifest's name in the snapshot's root.
pub const FILE: &str = "manifest.json";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    pub format_version: u32,
    /// `drydock 0.1.0`.
    pub written_by: String,
    pub server: ServerRecord,
    /// Session settings under which the table files were written, and under which they must be read and compared.
    /// `client_encoding` is not among them: it is each database's own encoding.
    pub settings: BTreeMap<String, String>,
    pub globals: Globals,
    pub databases: Vec<Database>,
    /// What is not in the snapshot although the server has it.
    pub not_kept: Vec<NotKept>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServerRecord {
    pub version: Version,
    /// Read from a standby; then sequences and unlogged tables are as the standby has them.
    pub standby: bool,
    /// Whether the role that read was a superuser.
    pub superuser: bool,
    /// The version of the `pg_dump` that wrote `schema.dump` and `globals.sql`: pg_restore must not be older.
    pub tools: Version,
}

/// `globals.sql`: roles, memberships, role settings and tablespaces, by pg_dumpall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Globals {
    pub file: String,
    pub bytes: u64,
    /// Whether the roles' password hashes are in it.
    pub role_passwords: bool,
    /// Every role of the server but the built-in `pg_…` ones.
    pub roles: Vec<String>,
    pub tablespaces: Vec<Tablespace>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tablespace {
    pub name: String,
    pub owner: String,
    pub location: String,
}

/// One database, all of it as of one exported snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Database {
    pub name: String,
    /// Its folder in the snapshot: `databases/<name, escaped>`.
    pub folder: String,
    /// By drydock's clock, taken before the exported snapshot: nothing that was committed before it is missing.
    pub instant: Timestamp,
    /// The server's write-ahead log position (on a standby: replayed) when the snapshot was exported.
    pub lsn: String,
    pub properties: Properties,
    pub extensions: Vec<Extension>,
    pub collations: Vec<Collation>,
    pub schema_dump: FileRecord,
    pub tables: Vec<Table>,
    pub sequences: Vec<Sequence>,
    pub large_objects: LargeObjects,
    pub objects: Objects,
    pub publications: Vec<String>,
    pub subscriptions: Vec<String>,
    pub logical_slots: Vec<String>,
    pub event_triggers: Vec<String>,
}

/// What `CREATE DATABASE` and `ALTER DATABASE` set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Properties {
    pub owner: String,
    pub encoding: String,
    pub collate: String,
    pub ctype: String,
    /// `libc`, `icu` or `builtin`; libc before 15.
    pub locale_provider: String,
    /// ICU's or the built-in provider's locale.
    pub locale: Option<String>,
    pub icu_rules: Option<String>,
    pub collation_version: Option<String>,
    pub tablespace: String,
    /// -1 = no limit.
    pub connection_limit: i32,
    pub template: bool,
    pub comment: Option<String>,
    /// `ALTER DATABASE … SET` and `ALTER ROLE … IN DATABASE … SET`.
    pub settings: Vec<DatabaseSetting>,
    /// `None` = the default privileges (`pg_database.datacl` is null).
    pub grants: Option<Vec<Grant>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DatabaseSetting {
    /// `None` = for every role.
    pub role: Option<String>,
    pub name: String,
    /// As the catalog holds it: lists (`search_path`) are quoted and separated already.
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grant {
    pub grantor: String,
    /// `None` = PUBLIC.
    pub grantee: Option<String>,
    /// `CONNECT`, `CREATE`, `TEMPORARY`.
    pub privilege: String,
    pub grantable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Extension {
    pub name: String,
    pub schema: String,
    pub version: String,
}

/// A collation that says its library's version: another library may sort otherwise and break text indexes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Collation {
    pub schema: String,
    pub name: String,
    pub version: String,
}

/// A file of the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileRecord {
    /// From the snapshot's root.
    pub file: String,
    pub bytes: u64,
}

/// One table with rows of its own: plain, partition, inherited, unlogged, or an extension's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Table {
    pub schema: String,
    pub name: String,
    /// COPY text, from the snapshot's root.
    pub file: String,
    /// The columns of the file in order; empty for a table without any (each row is then an empty line).
    pub columns: Vec<Column>,
    pub unlogged: bool,
    /// The extension whose configuration this is: the extension makes the table, the snapshot brings the rows.
    pub extension: Option<String>,
    /// `WHERE …`: which of an extension's rows are the user's.
    pub condition: Option<String>,
    /// The topmost ancestor by which rows must be loaded where a hash partition's key has an enum: the hash is of the
    /// value's oid, which a restore changes, so a row may belong into a sibling. Verify all tables of one root together.
    pub load_through: Option<TableName>,
    pub rows: u64,
    pub bytes: u64,
    pub digest: TableDigest,
    /// In file order; a table that was read by one statement has one.
    pub parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TableName {
    pub schema: String,
    pub name: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Column {
    pub name: String,
    /// As `format_type` prints it.
    #[serde(rename = "type")]
    pub type_name: String,
    #[serde(default, skip_serializing_if = "Floats::is_none")]
    pub floats: Floats,
    /// `GENERATED … AS IDENTITY`; an INSERT then needs OVERRIDING SYSTEM VALUE, COPY does not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub identity: bool,
}

/// Where a column's text holds floating-point numbers, which servers before 12 print otherwise than later ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Floats {
    #[default]
    None,
    /// `real` and arrays of it.
    Single,
    /// `double precision`, geometric types, and arrays of them.
    Double,
    /// Inside composites, ranges and extensions' types: not comparable across server 12.
    Embedded,
}

impl Floats {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// The sum modulo 2^128 of XXH3-128 of each line.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Digest(pub u128);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let valid = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let number = valid.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        number.map(Self).ok_or_else(|| format!("`{text}` is not a digest: 32 hexadecimal digits are expected"))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A table's digest and what it was taken over; see [`super::digest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TableDigest {
    pub form: Form,
    pub value: Digest,
    /// Over the same rows with every [`Floats::Embedded`] column left empty: what a server on the other side of 12 is
    /// compared with. Only where there is such a column and the source is older than 12.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_embedded: Option<Digest>,
}

/// What is hashed of a COPY line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Form {
    /// The line as the server sent it.
    Text,
    /// Numbers in [`Floats::Single`] and [`Floats::Double`] columns re-printed in their shortest form.
    ShortestFloats,
}

/// A stretch of a table's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Part {
    pub rows: u64,
    pub bytes: u64,
    /// How many of the file's blobs are this part's.
    pub blobs: u64,
}

/// A sequence's state when it was read, after the exported snapshot: sequences know no snapshots, so it may be ahead of
/// the rows, never behind them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sequence {
    pub schema: String,
    pub name: String,
    pub last_value: i64,
    pub is_called: bool,
}

/// All large objects of a database. The list, `large-objects.jsonl`, has a [`LargeObject`] a line, by ascending oid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LargeObjects {
    pub count: u64,
    pub bytes: u64,
    /// The sum modulo 2^128 of XXH3-128 of `<oid> <bytes> <hash>` of each, see [`LargeObject::hash`].
    pub digest: Digest,
    /// `None` where there are none.
    pub list: Option<FileRecord>,
    /// How many each role owns.
    pub owners: BTreeMap<String, u64>,
}

/// One line of `large-objects.jsonl`; the content is `large-objects/<oid>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LargeObject {
    pub oid: u32,
    pub bytes: u64,
    /// XXH3-128 of the content.
    pub hash: Digest,
    pub owner: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// `None` = the default privileges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Vec<Grant>>,
}

/// The list of schema objects, `objects.txt`: one a line, sorted as bytes, in words that all versions share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Objects {
    pub file: String,
    pub count: u64,
    /// XXH3-128 of the file.
    pub digest: Digest,
}

/// Something that the server has and the snapshot has not, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NotKept {
    /// `None` = of the server.
    pub database: Option<String>,
    /// `rows of foreign tables`.
    pub what: String,
    /// Which ones; empty where it is a property of the whole.
    pub names: Vec<String>,
    pub reason: String,
}

impl fmt::Display for NotKept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// A sentence names this many; the manifest has all.
        const NAMED: usize = 5;
        if let Some(database) = &self.database {
            write!(f, "database {database}: ")?;
        }
        write!(f, "{}", self.what)?;
        if !self.names.is_empty() {
            write!(f, " ({}", self.names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", "))?;
            if self.names.len() > NAMED {
                write!(f, " and {} more", self.names.len() - NAMED)?;
            }
            f.write_str(")")?;
        }
        write!(f, " not kept: {}", self.reason)
    }
}

impl Manifest {
    /// Reads a manifest; one of a newer format is refused before its fields are looked at.
    ///
    /// # Errors
    /// `ManifestTooNew`, or `Manifest` with line and field.
    pub fn read(bytes: &[u8]) -> Result<Self, PostgresError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            format_version: u64,
        }
        let unreadable = |e: serde_json::Error| PostgresError::Manifest(e.to_string());
        let head: Head = serde_json::from_slice(bytes).map_err(unreadable)?;
        if head.format_version > u64::from(FORMAT_VERSION) {
            return Err(PostgresError::ManifestTooNew { found: head.format_version, known: FORMAT_VERSION });
        }
        serde_json::from_slice(bytes).map_err(unreadable)
    }

    /// The document's bytes.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a manifest has string keys and no fallible parts");
        bytes.push(b'\n');
        bytes
    }

    /// The database called `name`, or the only one.
    #[must_use]
    pub fn database(&self, name: Option<&str>) -> Option<&Database> {
        match (name, &self.databases[..]) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(name), all) => all.iter().find(|d| d.name == name),
        }
    }
}

impl Table {
    #[must_use]
    pub fn table_name(&self) -> TableName {
        TableName { schema: self.schema.clone(), name: self.name.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/tests/fixtures/formats/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn manifests_of_format_1_are_read_for_ever() {
        let old = Manifest::read(&fixture("postgres-manifest-1-9.5.json")).unwrap();
        assert_eq!(old.server.version, Version(90_503));
        let table = |manifest: &Manifest, name: &str| {
            manifest.databases[0].tables.iter().find(|t| t.name == name).unwrap().clone()
        };
        let all = table(&old, "all_types");
        assert_eq!((all.digest.form, all.digest.without_embedded.is_some()), (Form::ShortestFloats, true));
        assert_eq!(all.embedded_columns(), ["fr", "me"]);
        assert_eq!(table(&old, "many").digest.form, Form::Text);
        assert_eq!(table(&old, "settings").condition.as_deref(), Some("WHERE user_made"));
        let new = Manifest::read(&fixture("postgres-manifest-1-15.json")).unwrap();
        let root = table(&new, "hashed_by_mood_0").load_through.unwrap();
        assert_eq!(root.to_string(), "public.hashed_by_mood");
        assert!(table(&new, "identities").columns[0].identity);
        assert!(table(&new, "no_columns").columns.is_empty());
    }

    #[test]
    fn what_is_read_is_written_the_same() {
        for name in ["postgres-manifest-1-9.5.json", "postgres-manifest-1-15.json"] {
            let bytes = fixture(name);
            let written = Manifest::read(&bytes).unwrap().write();
            assert_eq!(String::from_utf8(written).unwrap(), String::from_utf8(bytes).unwrap());
        }
        for line in fixture("postgres-large-objects-1.jsonl").split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            let object: LargeObject = serde_json::from_slice(line).unwrap();
            assert_eq!(serde_json::to_vec(&object).unwrap(), line);
        }
    }
}
