//! Strapi's uploads with the local provider: `files.url` and the url of each of its `formats` lie below
//! `public/uploads`, which is the volume. Source: strapi `packages/providers/upload-local/src/index.ts`,
//! `packages/core/upload/server/src/services/upload.ts`, `packages/core/utils/src/file.ts`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::judge::{Claim, Said, Size};

pub(super) const COLUMNS: [&str; 7] = ["id", "url", "hash", "ext", "size", "formats", "provider"];

pub(super) fn query(schema: &str) -> String {
    format!(
        "select id, url, hash, ext, size, formats from {schema}.files where provider = 'local' \
         order by url collate \"C\""
    )
}

/// One rendition of an image.
#[derive(Debug, Deserialize)]
struct Format {
    url: Option<String>,
    hash: Option<String>,
    ext: Option<String>,
    size: Option<f64>,
    #[serde(rename = "sizeInBytes")]
    size_in_bytes: Option<f64>,
}

/// `id, url, hash, ext, size, formats`.
pub(super) fn claims(row: &[Option<String>], folder: Option<&Path>) -> Said {
    let [Some(id), url, hash, ext, size, formats] = row else {
        return Said::default().odd("a row of files", "it has no id");
    };
    let row = format!("files id {id}");
    let mut said = Said::default();
    let size = match size.as_deref().map(str::parse) {
        Some(Ok(kilobytes)) => Size::Kilobytes(kilobytes),
        Some(Err(_)) => {
            said = said.odd(&row, "its size is no number");
            Size::Unknown
        }
        None => Size::Unknown,
    };
    match path(url.as_deref(), hash.as_deref(), ext.as_deref(), folder) {
        Some(path) => said.claims.push(Claim { row: row.clone(), path, size, md5: None, has_sums: false }),
        None => said = said.odd(&row, "it has neither url nor hash"),
    }
    let Some(formats) = formats else { return said };
    match serde_json::from_str(formats) {
        Ok(Formats::Some(formats)) => {
            formats.into_iter().fold(said, |said, (name, format)| rendition(said, &row, &name, format, folder))
        }
        Ok(Formats::None(none)) if none.as_ref().is_none_or(Vec::is_empty) => said,
        Ok(Formats::None(_)) | Err(_) => said.odd(&row, "its formats are not by name"),
    }
}

/// What `formats` holds. Older versions wrote an empty list for what is no image.
#[derive(Deserialize)]
#[serde(untagged)]
enum Formats {
    Some(BTreeMap<String, Value>),
    None(Option<Vec<Value>>),
}

fn rendition(mut said: Said, row: &str, name: &str, format: Value, folder: Option<&Path>) -> Said {
    let row = format!("{row} format {name}");
    let format = match serde_json::from_value::<Option<Format>>(format) {
        Ok(Some(format)) => format,
        Ok(None) => return said,
        Err(_) => return said.odd(&row, "it is no description of a file"),
    };
    let Some(path) = path(format.url.as_deref(), format.hash.as_deref(), format.ext.as_deref(), folder) else {
        return said.odd(&row, "it has neither url nor hash");
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size in bytes, and not negative")]
    let size = match (format.size_in_bytes, format.size) {
        (Some(bytes), _) if bytes >= 0.0 => Size::Exact(bytes as u64),
        (_, Some(kilobytes)) => Size::Kilobytes(kilobytes),
        _ => Size::Unknown,
    };
    said.claims.push(Claim { row, path, size, md5: None, has_sums: false });
    said
}

/// The url below `/uploads/`, or the name that the provider gives the file.
fn path(url: Option<&str>, hash: Option<&str>, ext: Option<&str>, folder: Option<&Path>) -> Option<Vec<Vec<u8>>> {
    let name = match url.and_then(|url| url.split_once("/uploads/")) {
        Some((_, below)) => below.split(['?', '#']).next().unwrap_or_default().to_owned(),
        None => format!("{}{}", hash?, ext.unwrap_or_default()),
    };
    Some(super::files_below(folder, name.split('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(formats: Option<&str>) -> Vec<Option<String>> {
        let values = [Some("3"), Some("/uploads/cat_1a2b.png"), Some("cat_1a2b"), Some(".png"), Some("12.35"), formats];
        values.map(|value| value.map(str::to_owned)).to_vec()
    }

    #[test]
    fn an_image_is_as_many_files_as_it_has_formats() {
        let formats = r#"{"thumbnail": {"ext": ".png", "url": "/uploads/thumbnail_cat_1a2b.png", "hash": "thumbnail_cat_1a2b",
            "mime": "image/png", "name": "thumbnail_cat.png", "path": null, "size": 2.5, "width": 1, "height": 1, "sizeInBytes": 2499},
            "small": {"ext": ".png", "url": "/uploads/small_cat_1a2b.png", "hash": "small_cat_1a2b", "size": 7.01}}"#;
        let claims = claims(&row(Some(formats)), None).claims;
        let got: Vec<_> = claims.iter().map(|c| (c.row.as_str(), c.path.concat(), c.size)).collect();
        assert_eq!(
            got,
            [
                ("files id 3", b"cat_1a2b.png".to_vec(), Size::Kilobytes(12.35)),
                ("files id 3 format small", b"small_cat_1a2b.png".to_vec(), Size::Kilobytes(7.01)),
                ("files id 3 format thumbnail", b"thumbnail_cat_1a2b.png".to_vec(), Size::Exact(2499)),
            ]
        );
    }

    #[test]
    fn no_formats_are_no_files() {
        for none in [None, Some("null"), Some("{}"), Some("[]"), Some(r#"{"small": null}"#)] {
            let said = claims(&row(none), None);
            assert_eq!((said.claims.len(), said.odd.len()), (1, 0), "{none:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_in_a_row_is_named_and_the_rest_of_it_is_compared() {
        let odd = |formats| {
            let said = claims(&row(Some(formats)), None);
            (said.claims.len(), said.odd.into_iter().map(|gap| (gap.row.clone(), gap.found)).collect::<Vec<_>>())
        };
        let named = |row: &str, how: &str| vec![(row.to_owned(), how.to_owned())];
        assert_eq!(odd("[1]"), (1, named("files id 3", "its formats are not by name")));
        assert_eq!(odd("{no json"), (1, named("files id 3", "its formats are not by name")));
        let formats = r#"{"small": {"size": 7}, "tiny": 5, "large": {"hash": "h"}}"#;
        assert_eq!(odd(formats).0, 2);
        assert_eq!(odd(formats).1[0].0, "files id 3 format small");
        assert_eq!(odd(formats).1[1], ("files id 3 format tiny".into(), "it is no description of a file".into()));
        let nowhere = [Some("4"), None, None, None, Some("1"), None].map(|v| v.map(str::to_owned)).to_vec();
        assert_eq!(claims(&nowhere, None).odd[0].found, "it has neither url nor hash");
    }

    #[test]
    fn a_url_with_a_host_leads_to_the_same_file() {
        let path = |url| path(Some(url), Some("h"), Some(".e"), None).unwrap();
        assert_eq!(path("https://cms.example/uploads/a.png?updated=1"), [b"a.png"]);
        assert_eq!(path("https://elsewhere/x"), [b"h.e"]);
    }
}
