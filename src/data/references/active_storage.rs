//! Rails' ActiveStorage with the disk service: blobs that something is attached to, their variants' among them, at
//! `root/ke/y_/key`. A blob without attachment is an upload that never arrived. Source: rails
//! `activestorage/lib/active_storage/service/disk_service.rb` (`path_for`), `app/models/active_storage/blob.rb`.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::TryStreamExt;

use crate::data::postgres::OpenSource;
use crate::data::postgres::naming::literal;
use crate::stack::ReferencePair;

use super::error::ReferenceError;
use super::judge::{Claim, Said, Size};

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
    let services = services(pair, source, schema, &attached).await?;
    let Choice { service, notes } = choose(pair.service.as_deref(), services.as_deref());
    let only = service.map_or_else(String::new, |name| format!(" and b.service_name = {}", literal(&name)));
    let sql = format!("select b.id, b.key, b.byte_size, b.checksum {attached}{only} order by b.key collate \"C\"");
    Ok((sql, notes))
}

/// The services of attached blobs and how many each has; `None` before Rails 6.1, where blobs do not say theirs.
async fn services(
    pair: &ReferencePair,
    source: &OpenSource,
    schema: &str,
    attached: &str,
) -> Result<Option<Vec<(String, String)>>, ReferenceError> {
    let database = pair.database_name.as_deref();
    let sql = format!(
        "select 1 from pg_catalog.pg_attribute where attrelid = '{}.active_storage_blobs'::regclass \
         and attname = 'service_name' and not attisdropped",
        schema.replace('\'', "''")
    );
    let known: Vec<_> = source.rows(database, &sql).await?.try_collect().await?;
    if known.is_empty() {
        return Ok(None);
    }
    let sql = format!("select b.service_name, count(*) {attached} group by 1 order by 1");
    let services: Vec<_> = source.rows(database, &sql).await?.try_collect().await?;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    Ok(Some(services.iter().map(|row| (text(&row[0]), text(&row[1]))).collect()))
}

/// Whose files lie on the volume.
#[derive(Debug, PartialEq, Eq)]
struct Choice {
    /// `None`: every blob's.
    service: Option<String>,
    notes: Vec<String>,
}

/// The name that Rails gives the disk service in the `config/storage.yml` that it generates.
const LOCAL: &str = "local";

/// Which of several services has its files on this volume only a person knows: the one that is `wanted`. Without a word
/// it is Rails' own name for the disk; what is left out is said, for a gap nobody looks for is none that is found.
fn choose(wanted: Option<&str>, services: Option<&[(String, String)]>) -> Choice {
    let all = |notes| Choice { service: None, notes };
    let Some(services) = services else {
        let note = "the blobs do not say in which service they are, so `service` is passed over".to_owned();
        return all(wanted.map(|_| note).into_iter().collect());
    };
    let is_there = |name: &str| services.iter().any(|(service, _)| service == name);
    let listed = |without: Option<&str>| {
        let named = services.iter().filter(|(service, _)| Some(service.as_str()) != without);
        named.map(|(service, blobs)| format!("{service} ({blobs})")).collect::<Vec<_>>().join(", ")
    };
    match wanted {
        Some(name) if is_there(name) || services.is_empty() => Choice { service: Some(name.to_owned()), notes: vec![] },
        Some(name) => {
            let note = format!("no blob is in the service {name}, so nothing was compared; there are {}", listed(None));
            Choice { service: Some(name.to_owned()), notes: vec![note] }
        }
        None if services.len() < 2 => all(Vec::new()),
        None if is_there(LOCAL) => {
            let others = listed(Some(LOCAL));
            let note = format!("compared are the blobs of the service {LOCAL}; say `service` if not these: {others}");
            Choice { service: Some(LOCAL.to_owned()), notes: vec![note] }
        }
        None => all(vec![format!(
            "blobs are in several services, and all were compared with this volume; say whose files it holds as `service`: {}",
            listed(None)
        )]),
    }
}

/// `id, key, byte_size, checksum`.
pub(super) fn claims(row: &[Option<String>], folder: Option<&Path>) -> Said {
    let (id, key, size, checksum) = match row {
        [Some(id), Some(key), size, checksum] => (id, key, size, checksum),
        [Some(id), ..] => return Said::default().odd(&format!("active_storage_blobs id {id}"), "it has no key"),
        _ => return Said::default().odd("a row of active_storage_blobs", "it has no id"),
    };
    let row = format!("active_storage_blobs id {id}");
    let mut said = Said::default();
    let size = match size.as_deref().map(str::parse) {
        Some(Ok(size)) => Size::Exact(size),
        Some(Err(_)) => {
            said = said.odd(&row, "its byte_size is no size");
            Size::Unknown
        }
        None => Size::Unknown,
    };
    let md5 = match checksum.as_deref().filter(|sum| !sum.is_empty()) {
        Some(sum) => match md5(sum) {
            Some(md5) => Some(md5),
            None => {
                said = said.odd(&row, "its checksum is no MD5 in base64");
                None
            }
        },
        None => None,
    };
    said.claims.push(Claim { path: path(key, folder), row, size, md5, has_sums: true });
    said
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
    use crate::data::references::outcome::Gap;

    fn row(values: [Option<&str>; 4]) -> Vec<Option<String>> {
        values.map(|value| value.map(str::to_owned)).to_vec()
    }

    #[test]
    fn a_blob_lies_two_folders_deep() {
        let row = row([Some("7"), Some("xtapjjcjiudrlk3tmwyjgpuobabd"), Some("5"), Some("XUFAKrxLKna5cZ2REBfFkg==")]);
        let claim = claims(&row, None).claims.remove(0);
        assert_eq!(claim.path, [&b"xt"[..], b"ap", b"xtapjjcjiudrlk3tmwyjgpuobabd"]);
        assert_eq!((claim.row.as_str(), claim.size), ("active_storage_blobs id 7", Size::Exact(5)));
        assert_eq!(hex::encode(claim.md5.unwrap()), "5d41402abc4b2a76b9719d911017c592"); // of "hello"
        let claim = claims(&row, Some(Path::new("storage/app"))).claims.remove(0);
        assert_eq!(claim.path[..3], [&b"storage"[..], b"app", b"xt"]);
    }

    #[test]
    fn short_keys_and_keys_with_slashes_lie_where_rails_puts_them() {
        let path = |key| claims(&row([Some("1"), Some(key), None, None]), None).claims.remove(0).path;
        assert_eq!(path("abc"), [&b"ab"[..], b"c", b"abc"]);
        assert_eq!(path("a"), [&b"a"[..], b"a"]);
        assert_eq!(path("dir/file"), [&b"di"[..], b"r", b"dir", b"file"]);
    }

    #[test]
    fn what_makes_no_sense_in_a_row_is_named_and_the_rest_of_it_is_compared() {
        let said = claims(&row([Some("7"), Some("keys"), Some("5"), Some("not base64")]), None);
        assert_eq!(said.odd, [Gap::unreadable("active_storage_blobs id 7", "its checksum is no MD5 in base64")]);
        assert_eq!((said.claims[0].size, said.claims[0].md5), (Size::Exact(5), None));
        let said = claims(&row([Some("8"), None, Some("5"), None]), None);
        assert_eq!(said.odd[0].problem(), "cannot be understood: it has no key");
        assert!(said.claims.is_empty());
    }

    #[test]
    fn blobs_of_another_service_are_not_looked_for_here() {
        let services = |names: &[&str]| names.iter().map(|n| ((*n).to_owned(), "3".to_owned())).collect::<Vec<_>>();
        let chosen = |wanted, names: &[&str]| choose(wanted, Some(&services(names)));
        let all = |notes: Vec<String>| Choice { service: None, notes };
        assert_eq!(chosen(None, &["amazon"]), all(vec![]));
        assert_eq!(choose(None, None), all(vec![]));
        let local = chosen(None, &["amazon", "local"]);
        assert_eq!(local.service.as_deref(), Some("local"));
        assert!(local.notes[0].ends_with(": amazon (3)"), "{local:?}");
        assert!(chosen(None, &["amazon", "disk"]).notes[0].ends_with("`service`: amazon (3), disk (3)"));
        let disk = Choice { service: Some("disk".into()), notes: vec![] };
        assert_eq!(chosen(Some("disk"), &["disk", "local"]), disk);
        assert_eq!(chosen(Some("disk"), &[]), disk);
        assert!(chosen(Some("disc"), &["disk"]).notes[0].contains("nothing was compared"));
    }
}
