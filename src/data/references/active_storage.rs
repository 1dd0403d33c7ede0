//! Rails' ActiveStorage with the disk service: blobs that something is attached to, their variants' among them, at
//! `root/ke/y_/key`. A blob without attachment is an upload that never arrived. Source: rails
//! `activestorage/lib/active_storage/service/disk_service.rb` (`path_for`), `app/models/active_storage/blob.rb`.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::TryStreamExt;

use crate::data::postgres::OpenSource;
use crate::stack::ReferencePair;

use super::error::ReferenceError;
use super::judge::{Claim, Size};

pub(super) const COLUMNS: [&str; 4] = ["id", "key", "byte_size", "checksum"];

/// The rows to compare, in the order in which their files lie in the folders; a note where there are several services.
pub(super) async fn query(
    pair: &ReferencePair,
    source: &OpenSource,
    schema: &str,
) -> Result<(String, Vec<String>), ReferenceError> {
    let attached = format!(
        "from {schema}.active_storage_blobs b \
         where exists (select 1 from {schema}.active_storage_attachments a where a.blob_id = b.id)"
    );
    let notes = services(pair, source, schema, &attached).await?;
    let sql = format!("select b.id, b.key, b.byte_size, b.checksum {attached} order by b.key collate \"C\"");
    Ok((sql, notes))
}

/// Since Rails 6.1 blobs say in which service they are. Which of several lies on this volume only a person knows.
async fn services(
    pair: &ReferencePair,
    source: &OpenSource,
    schema: &str,
    attached: &str,
) -> Result<Vec<String>, ReferenceError> {
    let database = pair.database_name.as_deref();
    let sql = format!(
        "select 1 from pg_catalog.pg_attribute where attrelid = '{}.active_storage_blobs'::regclass \
         and attname = 'service_name' and not attisdropped",
        schema.replace('\'', "''")
    );
    let known: Vec<_> = source.rows(database, &sql).await?.try_collect().await?;
    if known.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!("select b.service_name, count(*) {attached} group by 1 order by 1");
    let services: Vec<_> = source.rows(database, &sql).await?.try_collect().await?;
    if services.len() < 2 {
        return Ok(Vec::new());
    }
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let named: Vec<String> = services.iter().map(|row| format!("{} ({})", text(&row[0]), text(&row[1]))).collect();
    Ok(vec![format!("blobs are in several services, and all were compared with this volume: {}", named.join(", "))])
}

/// `id, key, byte_size, checksum`.
pub(super) fn claims(row: &[Option<String>], folder: Option<&Path>) -> Result<Vec<Claim>, ReferenceError> {
    let [Some(id), Some(key), size, checksum] = row else {
        return Err(ReferenceError::Row {
            row: "a row of active_storage_blobs".into(),
            how: "it has no id or key".into(),
        });
    };
    let row = format!("active_storage_blobs id {id}");
    let wrong = |how: &str| ReferenceError::Row { row: row.clone(), how: how.into() };
    let size = match size {
        Some(size) => Size::Exact(size.parse().map_err(|_| wrong("its byte_size is no size"))?),
        None => Size::Unknown,
    };
    let md5 = match checksum.as_deref().filter(|sum| !sum.is_empty()) {
        Some(sum) => Some(md5(sum).ok_or_else(|| wrong("its checksum is no MD5 in base64"))?),
        None => None,
    };
    Ok(vec![Claim { path: path(key, folder), row, size, md5, has_sums: true }])
}

fn md5(text: &str) -> Option<[u8; 16]> {
    BASE64_STANDARD.decode(text.trim_end()).ok()?.try_into().ok()
}

fn path(key: &str, folder: Option<&Path>) -> Vec<Vec<u8>> {
    let part = |from: usize| key.chars().skip(from).take(2).collect::<String>();
    let (first, second) = (part(0), part(2));
    // A key may have slashes of its own; Rails joins them as they are.
    super::files_below(folder, format!("{first}/{second}/{key}").split('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: [Option<&str>; 4]) -> Vec<Option<String>> {
        values.map(|value| value.map(str::to_owned)).to_vec()
    }

    #[test]
    fn a_blob_lies_two_folders_deep() {
        let row = row([Some("7"), Some("xtapjjcjiudrlk3tmwyjgpuobabd"), Some("5"), Some("XUFAKrxLKna5cZ2REBfFkg==")]);
        let claim = claims(&row, None).unwrap().remove(0);
        assert_eq!(claim.path, [&b"xt"[..], b"ap", b"xtapjjcjiudrlk3tmwyjgpuobabd"]);
        assert_eq!((claim.row.as_str(), claim.size), ("active_storage_blobs id 7", Size::Exact(5)));
        assert_eq!(hex::encode(claim.md5.unwrap()), "5d41402abc4b2a76b9719d911017c592"); // of "hello"
        let claim = claims(&row, Some(Path::new("storage/app"))).unwrap().remove(0);
        assert_eq!(claim.path[..3], [&b"storage"[..], b"app", b"xt"]);
    }

    #[test]
    fn short_keys_and_keys_with_slashes_lie_where_rails_puts_them() {
        let path = |key| claims(&row([Some("1"), Some(key), None, None]), None).unwrap().remove(0).path;
        assert_eq!(path("abc"), [&b"ab"[..], b"c", b"abc"]);
        assert_eq!(path("a"), [&b"a"[..], b"a"]);
        assert_eq!(path("dir/file"), [&b"di"[..], b"r", b"dir", b"file"]);
    }

    #[test]
    fn a_row_that_makes_no_sense_is_named() {
        let error = claims(&row([Some("7"), Some("key"), Some("5"), Some("not base64")]), None).unwrap_err();
        assert_eq!(error.to_string(), "cannot understand active_storage_blobs id 7: its checksum is no MD5 in base64");
    }
}
