//! Reads large objects: a file each, a line each in `large-objects.jsonl`, and the SQL that makes them by hand.
//! Works without being a superuser: by `lo_get`, which asks for SELECT on each.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use tokio_postgres::Row;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::export::Exported;
use super::tables::Readable;
use super::{OpenSource, Reads, by_hand, session_in};
use crate::context::Context;
use crate::data::postgres::connect::Session;
use crate::data::postgres::error::PostgresError;
use crate::data::postgres::manifest::{Digest, Grant, LargeObject};
use crate::progress::Task;
use crate::repository::{FileContent, FileSink, Writer};

/// Objects up to this come with the list of them, many in one answer; larger ones in pieces of a megabyte.
const SMALL: i32 = 256 << 10;
const PIECE: i32 = 1 << 20;
/// Objects of one answer. Their records are in memory until their large ones are read, so that the list is in order.
const AT_ONCE: i64 = 1_000;
/// Small objects on their way into the repository at once: an answer of the repository's workers takes longer than
/// the object.
const UNDER_WAY: usize = 32;

/// What was stored.
#[derive(Default)]
pub(super) struct StoredLargeObjects {
    /// Name and content, by ascending oid.
    pub files: Vec<(u32, FileContent)>,
    pub bytes: u64,
    pub digest: u128,
    pub owners: BTreeMap<String, u64>,
    /// `large-objects.jsonl` and `large-objects.sql`; none where there are no objects.
    pub list: Option<(FileContent, FileContent)>,
}

/// Reads all of them, in order.
pub(super) async fn read(
    source: &OpenSource,
    exported: &Exported,
    writer: &Writer,
    cx: &Context,
) -> Result<StoredLargeObjects, PostgresError> {
    let count: i64 = exported
        .holder
        .row("counting large objects", "SELECT count(*) FROM pg_catalog.pg_largeobject_metadata", &[])
        .await?
        .get(0);
    let mut stored = StoredLargeObjects::default();
    if count == 0 {
        return Ok(stored);
    }
    let name = format!("read {}: large objects", exported.holder.database);
    let progress = cx.progress.task(name, exported.large_object_bytes, u64::try_from(count).unwrap_or(0));
    let readable = Readable::of(exported);
    let session = source.stop.guard(None, session_in(&source.server, &readable, Reads::Queries)).await?;
    let canceller = session.canceller();
    let mut reader = Reader { session: &session, writer, progress: &progress, list: writer.file(), sql: writer.file() };
    let mut after = 0u32;
    while let Some(last) = source.stop.guard(Some(&canceller), reader.read_some(after, &mut stored)).await? {
        after = last;
    }
    stored.list = Some((reader.list.finish().await?, reader.sql.finish().await?));
    progress.finish();
    Ok(stored)
}

struct Reader<'a> {
    session: &'a Session,
    writer: &'a Writer,
    progress: &'a Task,
    list: FileSink,
    sql: FileSink,
}

/// `$1` is the last oid before. Grants come as JSON: `aclitem` has no form that all versions share.
const SOME: &str = "SELECT m.oid, pg_catalog.pg_get_userbyid(m.lomowner)::text,
        pg_catalog.obj_description(m.oid, 'pg_largeobject'), m.lomacl IS NULL,
        (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
             'grantor', pg_catalog.pg_get_userbyid(a.grantor),
             'grantee', CASE WHEN a.grantee <> 0 THEN pg_catalog.pg_get_userbyid(a.grantee) END,
             'privilege', a.privilege_type, 'grantable', a.is_grantable))::text
         FROM pg_catalog.aclexplode(m.lomacl) a),
        pg_catalog.lo_get(m.oid, 0, $2)
     FROM pg_catalog.pg_largeobject_metadata m WHERE m.oid > $1 ORDER BY m.oid LIMIT $3";

impl Reader<'_> {
    /// Reads the objects after `after`; returns the last one's oid, `None` when there was none.
    async fn read_some(&mut self, after: u32, stored: &mut StoredLargeObjects) -> Result<Option<u32>, PostgresError> {
        let what = "reading large objects";
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&after, &SMALL, &AT_ONCE];
        let rows =
            self.session.client().query_raw(SOME, parameters).await.map_err(|e| self.session.explain(what, &e))?;
        let (session, writer) = (self.session, self.writer);
        let some: Vec<(LargeObject, Option<FileContent>)> = rows
            .map(|row| async move { store_small(writer, &row.map_err(|e| session.explain(what, &e))?).await })
            .buffered(UNDER_WAY)
            .try_collect()
            .await?;
        let last = some.last().map(|(object, _)| object.oid);
        for (mut object, content) in some {
            let content = match content {
                Some(content) => content,
                None => self.read_large(&mut object).await?,
            };
            self.record(&object, stored).await?;
            stored.files.push((object.oid, content));
        }
        Ok(last)
    }

    async fn read_large(&self, object: &mut LargeObject) -> Result<FileContent, PostgresError> {
        let what = format!("reading large object {}", object.oid);
        let statement = "SELECT pg_catalog.lo_get($1, $2, $3)";
        let (mut file, mut hash, mut offset) = (self.writer.file(), Xxh3::new(), 0i64);
        loop {
            let row = self.session.row(&what, statement, &[&object.oid, &offset, &PIECE]).await?;
            let piece: &[u8] = row.get(0);
            if piece.is_empty() {
                break;
            }
            hash.update(piece);
            file.write(piece).await?;
            self.progress.add_bytes(piece.len() as u64);
            offset += piece.len() as i64;
        }
        object.bytes = u64::try_from(offset).unwrap_or(0);
        object.hash = Digest(hash.digest128());
        Ok(file.finish().await?)
    }

    async fn record(&mut self, object: &LargeObject, stored: &mut StoredLargeObjects) -> Result<(), PostgresError> {
        let mut line = serde_json::to_vec(object).expect("a record of strings and numbers is always JSON");
        line.push(b'\n');
        self.list.write(&line).await?;
        self.sql.write(by_hand::large_object_sql(object).as_bytes()).await?;
        stored.bytes += object.bytes;
        stored.digest = stored.digest.wrapping_add(object.share_of_digest());
        *stored.owners.entry(object.owner.clone()).or_default() += 1;
        self.progress.add_items(1);
        Ok(())
    }
}

impl LargeObject {
    /// What this object adds to the digest of all, [`LargeObjects::digest`].
    ///
    /// [`LargeObjects::digest`]: crate::data::postgres::manifest::LargeObjects::digest
    #[must_use]
    pub fn share_of_digest(&self) -> u128 {
        xxh3_128(format!("{} {} {}", self.oid, self.bytes, self.hash).as_bytes())
    }
}

/// Stores an object that came whole; one that did not is left for later.
async fn store_small(writer: &Writer, row: &Row) -> Result<(LargeObject, Option<FileContent>), PostgresError> {
    let (default_privileges, grants): (bool, Option<&str>) = (row.get(3), row.get(4));
    let grants: Vec<Grant> = serde_json::from_str(grants.unwrap_or("[]")).map_err(|e| PostgresError::Unexpected {
        what: "reading the privileges of large objects".into(),
        how: e.to_string(),
    })?;
    let content: &[u8] = row.get(5);
    let object = LargeObject {
        oid: row.get(0),
        bytes: content.len() as u64,
        hash: Digest(xxh3_128(content)),
        owner: row.get(1),
        comment: row.get(2),
        grants: (!default_privileges).then_some(grants),
    };
    if content.len() as i64 >= i64::from(SMALL) {
        return Ok((object, None));
    }
    let content = writer.bytes(Bytes::copy_from_slice(content)).await?;
    Ok((object, Some(content)))
}
