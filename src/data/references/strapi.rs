//! Strapi's uploads with the local provider: `files.url` and the url of each of its `formats` lie below
//! `public/uploads`, which is the volume. Source: strapi `packages/providers/upload-local/src/index.ts`,
//! `packages/core/upload/server/src/services/upload.ts`, `packages/core/utils/src/file.ts`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::error::ReferenceError;
use super::judge::{Claim, Size};

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
pub(super) fn claims(row: &[Option<String>], folder: Option<&Path>) -> Result<Vec<Claim>, ReferenceError> {
    let [Some(id), url, hash, ext, size, formats] = row else {
        return Err(ReferenceError::Row { row: "a row of files".into(), how: "it has no id".into() });
    };
    let row = format!("files id {id}");
    let wrong = |how: String| ReferenceError::Row { row: row.clone(), how };
    let size = match size.as_deref().map(str::parse) {
        Some(Ok(kilobytes)) => Size::Kilobytes(kilobytes),
        Some(Err(_)) => return Err(wrong("its size is no number".into())),
        None => Size::Unknown,
    };
    let path =
        path(url.as_deref(), hash.as_deref(), ext.as_deref(), folder).ok_or_else(|| wrong("it has no url".into()))?;
    let mut claims = vec![Claim { row: row.clone(), path, size, md5: None, has_sums: false }];
    let formats: Option<BTreeMap<String, Option<Format>>> = match formats.as_deref() {
        Some(json) => serde_json::from_str(json).map_err(|error| wrong(format!("its formats: {error}")))?,
        None => None,
    };
    for (name, format) in formats.into_iter().flatten() {
        let Some(format) = format else { continue };
        let path = self::path(format.url.as_deref(), format.hash.as_deref(), format.ext.as_deref(), folder)
            .ok_or_else(|| wrong(format!("its format {name} has no url")))?;
        let size = match (format.size_in_bytes, format.size) {
            (Some(bytes), _) if bytes >= 0.0 => Size::Exact(bytes as u64),
            (_, Some(kilobytes)) => Size::Kilobytes(kilobytes),
            _ => Size::Unknown,
        };
        claims.push(Claim { row: format!("{row} format {name}"), path, size, md5: None, has_sums: false });
    }
    Ok(claims)
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
        let claims = claims(&row(Some(formats)), None).unwrap();
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
        for none in [None, Some("null"), Some("{}"), Some(r#"{"small": null}"#)] {
            assert_eq!(claims(&row(none), None).unwrap().len(), 1, "{none:?}");
        }
        assert!(
            claims(&row(Some("[1]")), None)
                .unwrap_err()
                .to_string()
                .starts_with("cannot understand files id 3: its formats")
        );
    }

    #[test]
    fn a_url_with_a_host_leads_to_the_same_file() {
        let path = |url| path(Some(url), Some("h"), Some(".e"), None).unwrap();
        assert_eq!(path("https://cms.example/uploads/a.png?updated=1"), [b"a.png"]);
        assert_eq!(path("https://elsewhere/x"), [b"h.e"]);
    }
}
