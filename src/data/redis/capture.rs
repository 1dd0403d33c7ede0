//! Takes a snapshot of a server: `dump.rdb` as it streams, `acl.txt`, and the manifest, which is written last.

use bytes::Bytes;
use jiff::Timestamp;

use crate::context::Context;
use crate::data::{Captured, Estimate};
use crate::repository::{FileContent, Node, NodeKind, Tree, Writer};
use crate::stack::RedisSpec;

use super::connection::{Connection, Endpoint};
use super::error::RedisError;
use super::info::{Info, ServerVersion};
use super::manifest::{Digest, Manifest};
use super::rdb::{Checksum, Contents, Settings};
use super::source::{self, Origin};
use super::stored::{ACL, MANIFEST, RDB};
use super::{receive, transfer};

/// What a snapshot is expected to read: the keys, and the memory that they take, of which the RDB is usually less.
///
/// # Errors
/// As [`capture`], when the server cannot be reached or taken.
pub async fn estimate(spec: &RedisSpec, cx: &Context) -> Result<Estimate, RedisError> {
    let endpoint = Endpoint::new(spec)?;
    cancellable(cx, async { Ok(of_server(&source::choose(&endpoint).await?.info)) }).await
}

fn of_server(info: &Info) -> Estimate {
    let bytes = info.number("used_memory_dataset").or(info.number("used_memory")).unwrap_or(0);
    Estimate { bytes, items: info.keys() }
}

/// Reads all databases of a server over the replication protocol into `writer`. The server forks; its disk is touched
/// only where it is set to write the RDB there first (`repl-diskless-sync no`).
///
/// # Errors
/// [`RedisError`]; nothing is stored under a tree then.
///
/// # Cancel safety
/// Cancelled or dropped it hangs up, and the server ends its fork.
pub async fn capture(spec: &RedisSpec, writer: &Writer, cx: &Context) -> Result<Captured, RedisError> {
    let endpoint = Endpoint::new(spec)?;
    cancellable(cx, take(&endpoint, writer, cx)).await
}

pub(super) async fn cancellable<T>(
    cx: &Context,
    work: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, RedisError> {
    tokio::select! {
        biased;
        () = cx.cancel.cancelled() => Err(RedisError::Cancelled),
        done = work => done,
    }
}

async fn take(endpoint: &Endpoint, writer: &Writer, cx: &Context) -> Result<Captured, RedisError> {
    let mut origin = source::choose(endpoint).await?;
    let acl = acl(&mut origin).await?;
    let expected = of_server(&origin.info);
    let task = cx.progress.task(format!("read Redis {}", origin.endpoint.address()), expected.bytes, expected.items);
    let transfer = transfer::begin(&origin.endpoint).await?;
    let begun = cx.clock.now();
    if let Some(bytes) = transfer.announced_bytes() {
        task.expect(bytes, expected.items);
    }
    notes_of(&mut origin, transfer.diskless, transfer.rdb_only).await?;
    let sink = Some(writer.file());
    let (contents, rdb) =
        receive::from_server(transfer, sink, Settings::default(), &origin.endpoint.address(), &task).await?;
    task.add_items(contents.keys());
    task.finish();
    let Some(rdb) = rdb else { return Err(RedisError::Thread { doing: "storing the RDB" }) };
    store(origin, &contents, rdb, acl, begun, writer).await
}

/// The users, as `ACL LIST` tells them, with the hashes of their passwords.
async fn acl(origin: &mut Origin) -> Result<Option<Vec<String>>, RedisError> {
    if !origin.info.version().at_least(6, 0) {
        return Ok(None);
    }
    let users = origin.connection.optional(&["ACL", "LIST"]).await?.and_then(|reply| reply.texts());
    if users.is_none() {
        let note = format!("ACL users are not kept: {} may not use ACL LIST", origin.endpoint.user());
        origin.notes.push(note);
    }
    Ok(users)
}

async fn notes_of(origin: &mut Origin, diskless: bool, rdb_only: bool) -> Result<(), RedisError> {
    if !diskless {
        origin.notes.push("the server wrote the RDB to its own disk first (repl-diskless-sync no)".into());
    }
    if !rdb_only {
        origin.notes.push("the server is older than 6.2 and was cut off behind the RDB".into());
    }
    for module in origin.info.modules() {
        origin.notes.push(format!("the module {module} is loaded: a restore needs a server that has it too"));
    }
    Ok(())
}

async fn store(
    origin: Origin,
    contents: &Contents,
    rdb: FileContent,
    acl: Option<Vec<String>>,
    begun: Timestamp,
    writer: &Writer,
) -> Result<Captured, RedisError> {
    let instant = instant(contents).unwrap_or(begun);
    let version = written_by(contents, &origin.info);
    let mut manifest = Manifest::of(contents, version.to_string(), origin.label, instant);
    manifest.notes = origin.notes;
    manifest.acl_users = acl.as_ref().map(|users| users.len() as u64);
    let mut warnings = origin.warnings;
    match contents.checksum {
        Checksum::Verified => {}
        Checksum::Disabled => manifest.notes.push("the server writes no checksum (rdbchecksum no)".into()),
        Checksum::Absent => manifest.notes.push("RDB files of this version have no checksum".into()),
    }
    warnings.extend(manifest.not_comparable.iter().map(|what| format!("kept, but cannot be compared: {what}")));
    let mut nodes = Vec::new();
    if let Some(users) = acl {
        let text = users.iter().map(|user| format!("{user}\n")).collect::<String>();
        nodes.push(file(ACL, writer.bytes(text.into()).await?, instant));
    }
    nodes.push(file(RDB, rdb, instant));
    nodes.push(file(MANIFEST, writer.bytes(to_json(&manifest)?).await?, instant));
    let tree = writer.tree(&Tree { nodes }).await?;
    Ok(Captured {
        tree,
        root: None,
        instant,
        bytes: contents.bytes,
        items: contents.keys(),
        warnings,
        notes: manifest.notes,
        digest: Some(Digest(contents.digest()).to_string()),
        source_version: manifest.server,
    })
}

/// When the server forked, as it says itself in whole seconds.
fn instant(contents: &Contents) -> Option<Timestamp> {
    Timestamp::from_second(contents.aux.get("ctime")?.parse().ok()?).ok()
}

/// Who wrote the file; its own word counts more than that of whoever answers now.
fn written_by(contents: &Contents, info: &Info) -> ServerVersion {
    match (contents.aux.get("valkey-ver"), contents.aux.get("redis-ver")) {
        (Some(text), _) => ServerVersion::parse("valkey", text),
        (None, Some(text)) if info.version().product == "redis" => ServerVersion::parse("redis", text),
        _ => info.version(),
    }
}

fn to_json(manifest: &Manifest) -> Result<Bytes, RedisError> {
    let mut json =
        serde_json::to_vec_pretty(manifest).map_err(|_| RedisError::Thread { doing: "writing the manifest" })?;
    json.push(b'\n');
    Ok(json.into())
}

/// A file of the snapshot, readable by its owner alone: an RDB holds whatever the application keeps.
fn file(name: &str, content: FileContent, instant: Timestamp) -> Node {
    let time = instant.as_nanosecond();
    Node {
        name: name.as_bytes().to_vec(),
        kind: NodeKind::File { content: content.blobs, bytes: content.bytes },
        mode: 0o600,
        mtime_ns: time,
        atime_ns: time,
        ctime_ns: time,
        uid: 0,
        gid: 0,
        user: String::new(),
        group: String::new(),
        inode: 0,
        device_id: 0,
        links: 1,
        extended_attributes: Vec::new(),
    }
}

impl Connection {
    /// The server's clock in milliseconds.
    pub(super) async fn now_ms(&mut self) -> Result<u64, RedisError> {
        let reply = self.command(&["TIME"]).await?;
        let parts: Vec<u64> =
            reply.texts().unwrap_or_default().iter().filter_map(|number| number.parse().ok()).collect();
        match parts[..] {
            [seconds, micros] => Ok(seconds * 1000 + micros / 1000),
            _ => Err(RedisError::Protocol {
                address: self.address.clone(),
                what: "TIME was not answered with two numbers".into(),
            }),
        }
    }
}
