//! What every kind of document shares: several in one text, `apiVersion`, `kind`, `metadata`, and how strictly it is read.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Name;
use super::outline::Outline;
use super::problem::{self, Problem};

/// The only version that there is so far.
pub const API_VERSION: &str = "drydock.dev/v1alpha1";
const GROUP: &str = "drydock.dev/";

/// One YAML document of a text, not yet known to be of any kind.
#[derive(Debug)]
pub struct Document {
    /// Its lines, those of the others blank so that line numbers stay.
    pub text: String,
    outline: Outline,
}

/// A document of a known kind.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Typed<N, S> {
    api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    pub metadata: Metadata<N>,
    pub spec: S,
}

/// What Kubernetes allows there.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata<N> {
    pub name: N,
    #[serde(default)]
    pub namespace: Option<Name>,
    #[serde(default, rename = "labels")]
    _labels: std::collections::BTreeMap<String, String>,
    #[serde(default, rename = "annotations")]
    _annotations: std::collections::BTreeMap<String, String>,
}

/// Every document of `text` that holds anything, in its order; or why one is no YAML.
pub fn read(text: &str) -> impl Iterator<Item = Result<Document, Problem>> {
    split(text).into_iter().map(|text| {
        let options = serde_saphyr::options! { duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough };
        match serde_saphyr::from_str_with_options(&text, options) {
            Ok(outline) => Ok(Document { text, outline }),
            Err(error) => Err(problem::from_yaml(&error, None)),
        }
    })
}

impl Document {
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.outline.scalar("kind")
    }

    /// The line on which its content begins, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        usize::try_from(self.outline.place_of("").line).unwrap_or(usize::MAX)
    }

    /// Whether it says to be drydock's, of whatever version.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.outline.scalar("apiVersion").is_some_and(|version| version.starts_with(GROUP))
    }

    /// `message`, said of `field` (`spec.data[0].volume`) or of the nearest that holds it and is there.
    #[must_use]
    pub fn problem(&self, field: &str, message: impl Into<String>) -> Problem {
        Problem { place: self.outline.place_of(field), field: field.to_owned(), message: message.into() }
    }

    /// Reads it with every field known, in the one version that is.
    ///
    /// # Errors
    /// The first thing that is not as the types say; what they cannot say is for the caller to look at.
    pub fn typed<N: DeserializeOwned, S: DeserializeOwned>(&self) -> Result<Typed<N, S>, Problem> {
        let found = self.outline.scalar("apiVersion");
        if let Some(found) = found.filter(|found| *found != API_VERSION) {
            return Err(self.wrong_version(found));
        }
        let typed: Typed<N, S> =
            serde_saphyr::from_str(&self.text).map_err(|e| problem::from_yaml(&e, Some(&self.outline)))?;
        if typed.api_version == API_VERSION { Ok(typed) } else { Err(self.wrong_version(&typed.api_version)) }
    }

    fn wrong_version(&self, found: &str) -> Problem {
        let tool = env!("CARGO_PKG_VERSION");
        self.problem("apiVersion", format!("`{found}` is not known to drydock {tool}; expected `{API_VERSION}`"))
    }
}

/// One text a document, each with the lines of the others blank. `---` and `...` at the start of a line end a document
/// wherever they stand, block scalars included (YAML 1.2.2, §9.1.2 and `c-forbidden`).
fn split(text: &str) -> Vec<String> {
    let mut documents: Vec<String> = vec![String::new()];
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let marker = |word: &str| {
            line.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
        };
        if marker("---") {
            documents.push("\n".repeat(number));
        }
        if let Some(document) = documents.last_mut() {
            document.push_str(if marker("...") { "\n" } else { line });
        }
    }
    documents.retain(|document| document.lines().any(has_content));
    documents
}

fn has_content(line: &str) -> bool {
    let line = line.strip_prefix("---").unwrap_or(line).trim_start();
    !line.is_empty() && !line.starts_with('#')
}
