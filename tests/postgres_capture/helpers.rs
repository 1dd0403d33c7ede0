//! What the stories of this binary share: a server a version with the torture database, a repository, restic's view.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};

use drydock::context::Context;
use drydock::data::Captured;
use drydock::data::postgres::manifest::{Database, Manifest, Table};
use drydock::data::postgres::{self, PostgresError};
use drydock::repository::{KeyCost, Repository, Snapshot, TreeId, WriterOptions};
use drydock::stack::{PostgresSpec, Secret};
use drydock::storage::LocalStore;

use crate::support::postgres::Postgres;
use crate::support::restic::Restic;
use crate::support::{Folder, run};

/// One server a version for the whole binary, with the torture database as `torture`; nobody changes that one.
pub fn server(version: &str) -> &'static Postgres {
    macro_rules! servers {
        ($($name:ident = $version:literal),+) => {{
            $(static $name: LazyLock<Postgres> = LazyLock::new(|| start($version));)+
            match version {
                $($version => &$name,)+
                other => panic!("no server {other}"),
            }
        }};
    }
    servers!(V9_5 = "9.5", V9_6 = "9.6", V15 = "15", V16 = "16", V18 = "18")
}

fn start(version: &'static str) -> Postgres {
    let server = Postgres::start_with(version, &["wal_level=logical", "max_replication_slots=5"]);
    server.create_torture_database("torture");
    if matches!(version, "9.5" | "9.6" | "15") {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        server.psql_file("torture", &fixtures.join("torture-xml.sql"));
    }
    server
}

/// The client programs of tests: 15, 16 and 18, each in its folder.
pub fn clients(server: &Postgres) -> PathBuf {
    server.newest_client("pg_dump").parent().unwrap().to_owned()
}

pub fn spec(server: &Postgres, database: &str) -> PostgresSpec {
    let clients = clients(server);
    let clients = clients.display();
    let (port, yaml) = (server.port, "host: 127.0.0.1, user: postgres, tls: disable");
    spec_of(&format!("{{{yaml}, port: {port}, database: {database}, clientBinaries: {clients}}}"))
}

/// A spec as people write it.
pub fn spec_of(yaml: &str) -> PostgresSpec {
    serde_saphyr::from_str(yaml).unwrap()
}

/// A repository in a folder of its own.
pub struct Store {
    pub repository: Repository,
    folder: Folder,
}

impl Store {
    pub async fn new() -> Self {
        let folder = Folder::new("postgres-repository");
        let store = Arc::new(LocalStore::create(folder.path().join("store")).await.unwrap());
        let password: Secret = "a password".to_owned().into();
        let repository = Repository::create(store, &password, KeyCost::negligible()).await.unwrap();
        std::fs::write(folder.path().join("password"), "a password").unwrap();
        Self { repository, folder }
    }

    pub async fn capture(&self, spec: &PostgresSpec) -> Result<Captured, PostgresError> {
        self.capture_with(spec, &Context::default()).await
    }

    pub async fn capture_with(&self, spec: &PostgresSpec, cx: &Context) -> Result<Captured, PostgresError> {
        let writer = self.repository.writer(WriterOptions { workers: 2, ..WriterOptions::default() });
        let source = postgres::open(spec, cx).await?;
        let captured = source.read(&writer, cx).await?;
        source.close().await;
        writer.finish().await?;
        Ok(captured)
    }

    /// A capture as stock restic restores it.
    pub async fn restored_by_restic(&self, captured: &Captured) -> Taken {
        let snapshot = self.repository.save_snapshot(&snapshot_of(captured.tree)).await.unwrap();
        let folder = Folder::new("restored");
        self.restic().run(&["restore", &snapshot.to_string(), "--target", folder.path().to_str().unwrap()]);
        let manifest = std::fs::read(folder.path().join("manifest.json")).unwrap();
        Taken { manifest: Manifest::read(&manifest).unwrap(), folder }
    }

    /// Captures, and has restic restore it.
    pub async fn taken(&self, spec: &PostgresSpec) -> Taken {
        let captured = self.capture(spec).await.unwrap();
        self.restored_by_restic(&captured).await
    }

    pub fn restic(&self) -> Restic {
        let folder = self.folder.path();
        Restic::new(folder.join("store/repository").display().to_string(), &folder.join("password"))
    }
}

fn snapshot_of(tree: TreeId) -> Snapshot {
    Snapshot {
        time: jiff::Timestamp::now(),
        parent: None,
        tree,
        paths: vec!["/data".into()],
        hostname: "test".into(),
        username: "test".into(),
        uid: 0,
        gid: 0,
        tags: vec![],
        original: None,
        other: Default::default(),
    }
}

/// A snapshot's files on disk.
pub struct Taken {
    pub manifest: Manifest,
    pub folder: Folder,
}

impl Taken {
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub fn bytes(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.path(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
    }

    pub fn database(&self) -> &Database {
        self.manifest.database(None).unwrap()
    }

    pub fn table(&self, name: &str) -> &Table {
        let found = self.database().tables.iter().find(|t| t.table_name().to_string() == name);
        found.unwrap_or_else(|| panic!("no table {name} in {:?}", self.table_names()))
    }

    pub fn table_names(&self) -> Vec<String> {
        self.database().tables.iter().map(|t| t.table_name().to_string()).collect()
    }
}

/// What psql's COPY says of a table under the pinned settings: the text that must be in its file.
pub fn copied_by_psql(server: &Postgres, database: &str, copy: &str) -> Vec<u8> {
    let pinned = "-c datestyle=ISO,YMD -c intervalstyle=postgres -c timezone=UTC -c bytea_output=hex -c extra_float_digits=3 \
                  -c lc_monetary=C -c search_path= -c synchronize_seqscans=off -c row_security=off -c statement_timeout=0";
    let output = Command::new("psql")
        .args([
            "-X",
            "-q",
            "-h",
            "127.0.0.1",
            "-p",
            &server.port.to_string(),
            "-U",
            "postgres",
            "-d",
            database,
            "-c",
            copy,
        ])
        .env("PGOPTIONS", pinned)
        .env("PGCLIENTENCODING", "UTF8")
        .output()
        .unwrap();
    assert!(output.status.success(), "{copy}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Runs a script as people would: with PG… variables for `server` and its clients first on the path.
pub fn by_hand(server: &Postgres, folder: &Path, script: &str) -> String {
    let path = format!("{}:{}", clients(server).display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-euxc", script]).current_dir(folder).env("PATH", path);
    command.env("PGHOST", "127.0.0.1").env("PGPORT", server.port.to_string()).env("PGUSER", "postgres");
    run(&mut command)
}
