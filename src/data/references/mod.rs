//! Rows that point at files: Rails' ActiveStorage blobs and Strapi's uploads, against the files of a captured volume.
//! Owns which rows count, where their files lie, and what a gap is; refuses to judge what no row claims: extra files are
//! fine.
//!
//! Rows come in the order of their files' paths, in batches; folders are read once, and a file's MD5 is computed only
//! when the very same content was not verified for the same row before ([`Checked`]).

mod active_storage;
mod checked;
mod checksum;
mod error;
mod files;
mod judge;
mod outcome;
mod strapi;

use futures_util::{Stream, StreamExt, TryStreamExt};

use crate::context::Context;
use crate::data::postgres::{OpenSource, PostgresError};
use crate::repository::{Repository, TreeId};
use crate::stack::Reference;

pub use checked::Checked;
pub use error::ReferenceError;
pub use judge::{Claim, Size};
pub use outcome::{Gap, Outcome, Summary, What, compare_gaps};

use files::Files;
use judge::{Said, Verdict, judge};

/// Claims whose files are looked up together.
const BATCH: usize = 4096;

/// Compares what `reference` says: the rows that `source` has exported, with the files of `volume`, the captured
/// folder. `known` is what the former recovery point verified, or [`Checked::default`]; keep what the outcome brings for
/// the next.
///
/// # Errors
/// When rows or files cannot be read; a gap is no error, and a row that makes no sense is one.
pub async fn compare(
    reference: &Reference,
    source: &OpenSource,
    repository: &Repository,
    volume: &TreeId,
    known: &Checked,
    cx: &Context,
) -> Result<Outcome, ReferenceError> {
    let work = async {
        let schema = find_schema(reference, source).await?;
        let (sql, mut notes) = match reference {
            Reference::ActiveStorage(pair) => active_storage::query(pair, source, &schema).await?,
            Reference::StrapiUploads(_) => (strapi::query(&schema), Vec::new()),
        };
        let rows = source.rows(reference.pair().database_name.as_deref(), &sql).await?;
        let claims = claims(reference, rows);
        let task = cx.progress.task(format!("compare {} with its files", reference.word()), 0, 0);
        let mut outcome = over(claims, repository, volume, known, |n| task.add_items(n)).await?;
        task.finish();
        notes.append(&mut outcome.summary.notes);
        outcome.summary.notes = notes;
        Ok(outcome)
    };
    tokio::select! {
        biased;
        () = cx.cancel.cancelled() => Err(ReferenceError::Cancelled),
        outcome = work => outcome,
    }
}

/// What a row says, or why it did not come.
type Row = Result<Said, ReferenceError>;

fn claims(
    reference: &Reference,
    rows: impl Stream<Item = Result<Vec<Option<String>>, PostgresError>> + Send,
) -> impl Stream<Item = Row> + Send {
    let folder = reference.pair().folder.clone();
    let is_rails = matches!(reference, Reference::ActiveStorage(_));
    rows.map(move |row| {
        let row = row?;
        let folder = folder.as_deref();
        Ok(if is_rails { active_storage::claims(&row, folder) } else { strapi::claims(&row, folder) })
    })
}

/// The comparison itself, over claims from anywhere.
async fn over(
    rows: impl Stream<Item = Row> + Send,
    repository: &Repository,
    volume: &TreeId,
    known: &Checked,
    mut progress: impl FnMut(u64),
) -> Result<Outcome, ReferenceError> {
    let mut files = Files::new(repository.clone(), *volume);
    let mut outcome = Outcome::default();
    let mut batches = Box::pin(rows.try_chunks(BATCH));
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|stopped| stopped.1)?;
        outcome.summary.rows += batch.len() as u64;
        let mut claims = Vec::new();
        for said in batch {
            said.odd.into_iter().for_each(|gap| outcome.add(gap));
            claims.extend(said.claims);
        }
        let batch: Vec<Claim> = claims;
        let found = files.look_up(&batch).await?;
        let mut unverified = Vec::new();
        for (claim, file) in batch.iter().zip(&found) {
            match judge(claim, file.as_ref(), known) {
                Verdict::Gap(gap) => outcome.add(gap),
                Verdict::Fine => outcome.summary.files += 1,
                Verdict::Known(mark) => {
                    outcome.summary.files += 1;
                    outcome.summary.checksums_taken_over += 1;
                    outcome.checked.insert(mark);
                }
                Verdict::Unverified(mark, md5) => unverified.push((claim, file, mark, md5)),
            }
            outcome.summary.files_without_checksum +=
                u64::from(file.is_some() && claim.md5.is_none() && claim.has_sums);
        }
        checksum::verify(repository, unverified, &mut outcome).await?;
        progress(batch.len() as u64);
    }
    outcome.checked.seal();
    Ok(outcome)
}

/// The schema in which the application has put the table that holds the rows, quoted.
async fn find_schema(reference: &Reference, source: &OpenSource) -> Result<String, ReferenceError> {
    let (table, columns) = match reference {
        Reference::ActiveStorage(_) => ("active_storage_blobs", &active_storage::COLUMNS[..]),
        Reference::StrapiUploads(_) => ("files", &strapi::COLUMNS[..]),
    };
    let listed = columns.iter().map(|column| format!("'{column}'")).collect::<Vec<_>>().join(",");
    let sql = format!(
        "select pg_catalog.quote_ident(n.nspname) from pg_catalog.pg_class c \
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
         where c.relname = '{table}' and c.relkind in ('r', 'p') and n.nspname !~ '^pg_' \
         and {} = (select count(*) from pg_catalog.pg_attribute a where a.attrelid = c.oid and not a.attisdropped \
         and a.attname in ({listed})) order by n.nspname = 'public' desc, 1",
        columns.len()
    );
    let database = reference.pair().database_name.as_deref();
    let schemas: Vec<_> = source.rows(database, &sql).await?.try_collect().await?;
    let schemas: Vec<String> = schemas.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
    match &schemas[..] {
        [] => Err(ReferenceError::NoTable { reference: reference.word(), table, columns: columns.join(", ") }),
        [one] => Ok(one.clone()),
        [first, ..] if first == "public" => Ok(first.clone()),
        several => Err(ReferenceError::SeveralTables { table, schemas: several.join(", ") }),
    }
}

/// The names of a path below `folder`; empty ones fall out, as in every file system. `.` and `..` stay, and are found
/// in no tree.
fn files_below<'a>(folder: Option<&std::path::Path>, names: impl Iterator<Item = &'a str>) -> Vec<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    let above = folder.into_iter().flat_map(std::path::Path::iter).map(|name| name.as_bytes().to_vec());
    above.chain(names.filter(|name| !name.is_empty()).map(|name| name.as_bytes().to_vec())).collect()
}
