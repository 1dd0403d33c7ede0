//! Large objects: made with their own oids, and read again. One session does one after the other, in the order of the
//! snapshot's list, which is that of their oids.

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio_postgres::Statement;
use xxhash_rust::xxh3::Xxh3;

use super::super::connect::Session;
use super::super::error::PostgresError;
use super::super::manifest::{Database, Digest, LargeObject};
use super::super::naming::{identifier, literal};
use super::builder::Workshop;
use super::error::RestoreError;
use super::files::Files;
use super::grants;
use crate::data::Comparison;
use crate::progress::Task;
use crate::repository::BlobId;

/// Each takes a slot of the server's lock table until its transaction ends; by default all sessions together have 6,400.
const OBJECTS_A_TRANSACTION: u64 = 200;
/// How much of one is read with one call.
const PIECE: i32 = 1 << 20;

/// Makes every large object with its bytes, owner, privileges and comment. What one may not give away is said in
/// `workshop`'s notes.
pub async fn load(
    session: &Session,
    files: &Files,
    database: &Database,
    workshop: &Workshop,
    progress: &Task,
) -> Result<(), RestoreError> {
    let Some(list) = &database.large_objects.list else { return Ok(()) };
    let contents = contents(files, database).await?;
    let loader = Loader::new(session, files, workshop, progress).await?;
    let mut lines = files.lines(&list.file).await?;
    let mut loaded = 0;
    while let Some(line) = lines.next().await? {
        if loaded % OBJECTS_A_TRANSACTION == 0 {
            session.batch(LOADING, if loaded == 0 { "BEGIN" } else { "COMMIT; BEGIN" }).await?;
        }
        let object = parse(&line)?;
        let path = || format!("{}/large-objects/{}", database.folder, object.oid);
        let content = contents.get(&object.oid).ok_or_else(|| RestoreError::Missing { path: path() })?;
        loader.load(&object, content.clone()).await?;
        loaded += 1;
    }
    if loaded > 0 {
        session.batch(LOADING, "COMMIT").await?;
    }
    Ok(())
}

const LOADING: &str = "loading large objects";

fn parse(line: &[u8]) -> Result<LargeObject, RestoreError> {
    serde_json::from_slice(line).map_err(|e| PostgresError::Manifest(format!("large objects: {e}")).into())
}

async fn contents(files: &Files, database: &Database) -> Result<HashMap<u32, Vec<BlobId>>, RestoreError> {
    let folder = files.folder(&format!("{}/large-objects", database.folder)).await?;
    Ok(folder.into_iter().filter_map(|(name, blobs)| Some((name.parse().ok()?, blobs))).collect())
}

struct Loader<'a> {
    session: &'a Session,
    files: &'a Files,
    workshop: &'a Workshop,
    progress: &'a Task,
    create: Statement,
    append: Statement,
}

impl<'a> Loader<'a> {
    async fn new(
        session: &'a Session,
        files: &'a Files,
        workshop: &'a Workshop,
        progress: &'a Task,
    ) -> Result<Self, RestoreError> {
        let prepare = async |sql| session.client().prepare(sql).await.map_err(|e| session.explain(LOADING, &e));
        let create = prepare("SELECT pg_catalog.lo_from_bytea($1, $2)").await?;
        let append = prepare("SELECT pg_catalog.lo_put($1, $2, $3)").await?;
        Ok(Self { session, files, workshop, progress, create, append })
    }

    async fn load(&self, object: &LargeObject, content: Vec<BlobId>) -> Result<(), RestoreError> {
        let what = format!("loading large object {}", object.oid);
        let explain = |e| self.session.explain(&what, &e);
        let client = self.session.client();
        let mut pieces = Box::pin(self.files.blobs(content));
        let first = pieces.next().await.transpose()?.unwrap_or_else(Bytes::new);
        client.query(&self.create, &[&object.oid, &&first[..]]).await.map_err(explain)?;
        let mut offset = first.len() as u64;
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            let at = i64::try_from(offset).expect("a large object is at most 4 TB");
            client.query(&self.append, &[&object.oid, &at, &&piece[..]]).await.map_err(explain)?;
            offset += piece.len() as u64;
        }
        self.progress.add_bytes(offset);
        self.give(&what, object).await
    }

    async fn give(&self, what: &str, object: &LargeObject) -> Result<(), RestoreError> {
        let properties = self.properties(object);
        if properties.is_empty() || self.workshop.superuser {
            return Ok(self.session.batch(what, &properties).await?);
        }
        self.session.batch(what, "SAVEPOINT properties").await?;
        match self.session.batch(what, &properties).await {
            Err(PostgresError::Privilege { message, .. }) => {
                self.session.batch(what, "ROLLBACK TO SAVEPOINT properties").await?;
                let what = format!("without owner, privileges or comment ({})", message.message);
                self.workshop.note(what, format!("large object {}", object.oid));
                Ok(())
            }
            other => Ok(other?),
        }
    }

    /// Without what is so already: most belong to who restores them and have neither privileges nor comments.
    fn properties(&self, object: &LargeObject) -> String {
        let name = format!("LARGE OBJECT {}", object.oid);
        let mut statements = Vec::new();
        if object.owner != self.session.server.user {
            statements.push(format!("ALTER {name} OWNER TO {}", identifier(&object.owner)));
        }
        statements.extend(grants::statements(&name, &object.owner, object.grants.as_deref()));
        statements.extend(object.comment.iter().map(|text| format!("COMMENT ON {name} IS {}", literal(text))));
        statements.join(";\n")
    }
}

/// Reads every large object again and compares it with the list.
pub async fn compare(
    session: &Session,
    files: &Files,
    database: &Database,
    holds_more: bool,
    comparison: &mut Comparison,
) -> Result<(), RestoreError> {
    let what = "comparing large objects";
    let there = session.rows(what, "SELECT oid FROM pg_catalog.pg_largeobject_metadata ORDER BY oid", &[]).await?;
    let mut there = there.into_iter().map(|row| row.get::<_, u32>(0)).peekable();
    let read = session.client().prepare("SELECT pg_catalog.lo_get($1, $2, $3)").await;
    let read = read.map_err(|e| session.explain(what, &e))?;
    if let Some(list) = &database.large_objects.list {
        let mut lines = files.lines(&list.file).await?;
        while let Some(line) = lines.next().await? {
            let object = parse(&line)?;
            while let Some(other) = there.next_if(|oid| *oid < object.oid) {
                not_recorded(other, holds_more, comparison);
            }
            if there.next_if_eq(&object.oid).is_some() {
                compare_one(session, &read, &object, comparison).await?;
            } else {
                comparison.differs(format!("large object {}", object.oid), "one", "nothing");
            }
        }
    }
    for other in there {
        not_recorded(other, holds_more, comparison);
    }
    Ok(())
}

fn not_recorded(oid: u32, allowed: bool, comparison: &mut Comparison) {
    if !allowed {
        comparison.differs(format!("large object {oid}"), "none", "one");
    }
}

async fn compare_one(
    session: &Session,
    read: &Statement,
    object: &LargeObject,
    comparison: &mut Comparison,
) -> Result<(), RestoreError> {
    let what = format!("large object {}", object.oid);
    let mut hash = Xxh3::new();
    let mut bytes: u64 = 0;
    loop {
        let offset = i64::try_from(bytes).expect("a large object is at most 4 TB");
        let row = session.client().query_one(read, &[&object.oid, &offset, &PIECE]).await;
        let row = row.map_err(|e| session.explain(&format!("comparing {what}"), &e))?;
        let piece: &[u8] = row.get(0);
        hash.update(piece);
        bytes += piece.len() as u64;
        if piece.len() < PIECE as usize {
            break;
        }
    }
    comparison.count("large objects", 1);
    let hash = Digest(hash.digest128());
    if bytes != object.bytes {
        comparison.differs(what, format!("{} bytes", object.bytes), format!("{bytes} bytes"));
    } else if hash != object.hash {
        comparison.differs(what, object.hash, format!("digest {hash}"));
    }
    Ok(())
}
