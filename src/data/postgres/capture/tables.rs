//! Reads all tables of a database over several sessions, each piece into a file of its own; counts and digests rows as
//! they stream by.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use super::copy::CopyOut;
use super::export::Exported;
use super::plan::{self, Piece};
use super::{OpenSource, Reads, row, session_in};
use crate::context::Context;
use crate::data::postgres::catalog::Relation;
use crate::data::postgres::connect::{Server, Session};
use crate::data::postgres::digest::{Counted, RowDigester, recorded_form};
use crate::data::postgres::error::PostgresError;
use crate::data::postgres::manifest::{Part, Table, TableDigest};
use crate::data::postgres::naming::{database_folder, table_file};
use crate::data::postgres::stop::Stop;
use crate::progress::Task;
use crate::repository::{FileContent, Writer};

/// A table's record and where its bytes are.
pub(super) struct StoredTable {
    pub record: Table,
    pub content: FileContent,
}

/// What all readers of a database share.
struct Work {
    server: Server,
    exported: Arc<Readable>,
    queue: Mutex<VecDeque<Piece>>,
    done: Mutex<BTreeMap<(usize, usize), StoredPiece>>,
    writer: Writer,
    stop: Stop,
    progress: Arc<Task>,
}

/// What readers must know of the export; the holder itself stays where it is watched.
pub(super) struct Readable {
    pub database: String,
    pub snapshot: String,
    pub encoding: String,
    pub relations: Vec<Relation>,
}

impl Readable {
    pub fn of(exported: &Exported) -> Self {
        Self {
            database: exported.holder.database.clone(),
            snapshot: exported.id.clone(),
            encoding: exported.encoding.clone(),
            relations: exported.relations.clone(),
        }
    }
}

struct StoredPiece {
    counted: Counted,
    content: FileContent,
}

/// Every table with its rows, in the order of the catalog.
pub(super) async fn read(
    source: &OpenSource,
    exported: &Exported,
    writer: &Writer,
    cx: &Context,
) -> Result<Vec<StoredTable>, PostgresError> {
    let pieces = plan::pieces(&exported.relations, |r| exported.reads(r));
    let expected: u64 = pieces.iter().map(|p| p.bytes).sum();
    let progress = cx.progress.task(format!("read {}", exported.holder.database), expected, 0);
    let work = Arc::new(Work {
        server: source.server.clone(),
        exported: Arc::new(Readable::of(exported)),
        queue: Mutex::new(pieces.into()),
        done: Mutex::default(),
        writer: writer.clone(),
        stop: source.stop.clone(),
        progress,
    });
    let mut readers = JoinSet::new();
    for _ in 0..source.spec.connections {
        readers.spawn(Arc::clone(&work).reader());
    }
    while let Some(ended) = readers.join_next().await {
        let result = ended.unwrap_or_else(|panic| {
            Err(PostgresError::Unexpected { what: "reading tables".into(), how: panic.to_string() })
        });
        if let Err(error) = result {
            work.stop.because(error);
        }
    }
    if work.stop.is_stopped() {
        return Err(PostgresError::Cancelled); // the reason is with `stop`
    }
    work.progress.finish();
    let done = std::mem::take(&mut *work.done.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(stored_tables(&work.exported, source, done))
}

impl Work {
    /// Reads pieces until there are none. A session of its own, made when there is something to do.
    async fn reader(self: Arc<Self>) -> Result<(), PostgresError> {
        let Some(mut piece) = self.take() else { return Ok(()) };
        let session = self.stop.guard(None, session_in(&self.server, &self.exported, Reads::Tables)).await?;
        let canceller = session.canceller();
        loop {
            let stored = self.stop.guard(Some(&canceller), self.read_piece(&session, &piece)).await?;
            self.done.lock().unwrap_or_else(PoisonError::into_inner).insert((piece.relation, piece.part), stored);
            match self.take() {
                Some(next) => piece = next,
                None => break,
            }
        }
        session.close().await;
        Ok(())
    }

    fn take(&self) -> Option<Piece> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    async fn read_piece(&self, session: &Session, piece: &Piece) -> Result<StoredPiece, PostgresError> {
        let relation = &self.exported.relations[piece.relation];
        let what = format!("reading table {}", relation.table_name());
        let mut digester = RowDigester::recording(&relation.columns, session.version);
        let mut file = self.writer.file();
        let copied = self.copy(session, piece, &what, &mut digester, &mut file).await;
        if let Err(error) = copied {
            return Err(row::name_it(&self.server, &self.exported, piece, digester.rows(), error).await);
        }
        Ok(StoredPiece { counted: digester.finish(), content: file.finish().await? })
    }

    async fn copy(
        &self,
        session: &Session,
        piece: &Piece,
        what: &str,
        digester: &mut RowDigester,
        file: &mut crate::repository::FileSink,
    ) -> Result<(), PostgresError> {
        let sql = plan::statement(&self.exported.relations[piece.relation], piece, &self.exported.encoding);
        let mut copy = CopyOut::start(session, what, &sql).await?;
        while let Some(rows) = copy.next().await? {
            digester.update(rows);
            file.write(rows).await?;
            self.progress.add_bytes(rows.len() as u64);
        }
        Ok(())
    }
}

fn stored_tables(
    exported: &Readable,
    source: &OpenSource,
    done: BTreeMap<(usize, usize), StoredPiece>,
) -> Vec<StoredTable> {
    let folder = format!("databases/{}", database_folder(&exported.database));
    let mut tables: Vec<StoredTable> = Vec::new();
    let mut last = None;
    for ((index, _), piece) in done {
        if last != Some(index) {
            let relation = &exported.relations[index];
            let file = format!("{folder}/tables/{}", table_file(&relation.schema, &relation.name));
            tables.push(StoredTable {
                record: empty_record(relation, file, source),
                content: FileContent { blobs: Vec::new(), bytes: 0 },
            });
            last = Some(index);
        }
        if let Some(table) = tables.last_mut() {
            table.absorb(piece);
        }
    }
    tables
}

fn empty_record(relation: &Relation, file: String, source: &OpenSource) -> Table {
    Table {
        schema: relation.schema.clone(),
        name: relation.name.clone(),
        file,
        columns: relation.columns.clone(),
        unlogged: relation.kind == crate::data::postgres::catalog::RelationKind::Unlogged,
        extension: relation.extension.clone(),
        condition: relation.condition.clone(),
        load_through: relation.load_through.clone(),
        rows: 0,
        bytes: 0,
        digest: TableDigest {
            form: recorded_form(&relation.columns, source.version()),
            value: Default::default(),
            without_embedded: None,
        },
        parts: Vec::new(),
    }
}

impl StoredTable {
    /// Adds the next piece in file order.
    fn absorb(&mut self, piece: StoredPiece) {
        let record = &mut self.record;
        let mut all = Counted {
            rows: record.rows,
            bytes: record.bytes,
            digest: record.digest.value,
            without_embedded: record.digest.without_embedded,
        };
        all.absorb(piece.counted);
        (record.rows, record.bytes) = (all.rows, all.bytes);
        (record.digest.value, record.digest.without_embedded) = (all.digest, all.without_embedded);
        record.parts.push(Part {
            rows: piece.counted.rows,
            bytes: piece.counted.bytes,
            blobs: piece.content.blobs.len() as u64,
        });
        self.content.bytes += piece.content.bytes;
        self.content.blobs.extend(piece.content.blobs);
    }
}
