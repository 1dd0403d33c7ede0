//! Stored documents name their format's version; what is newer than this program is refused before it is looked into.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::PointError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    format_version: u32,
}

/// Reads a document of at most version `known`.
///
/// # Errors
/// [`PointError::Newer`], or [`PointError::Document`] when it is not what its version says.
pub fn read<T: DeserializeOwned>(what: &str, json: &[u8], known: u32) -> Result<T, PointError> {
    let malformed = |source| PointError::Document { what: what.to_owned(), source };
    let Version { format_version } = serde_json::from_slice(json).map_err(malformed)?;
    if format_version > known {
        return Err(PointError::Newer { what: what.to_owned(), found: format_version, known });
    }
    serde_json::from_slice(json).map_err(malformed)
}
