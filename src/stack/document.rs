//! From a file to a [`Stack`], or to all that is wrong with it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::outline::{Outline, Place};
use super::problem::{self, DocumentError, Problem};
use super::{Name, Spec, resolve, validate};

/// The only version that there is so far.
pub const API_VERSION: &str = "drydock.dev/v1alpha1";
const GROUP: &str = "drydock.dev/";
const KIND: &str = "Stack";

/// One deployed system: its data, its repository, what is expected of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    pub name: Name,
    pub spec: Spec,
    /// Where it was read from, for hints such as `drydock init -f FILE`.
    pub file: PathBuf,
    /// The document as it was written, which every recovery point keeps; it holds no secret, because it cannot.
    pub text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    metadata: Metadata,
    spec: Spec,
}

/// What Kubernetes allows there; only the name has a meaning here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Metadata {
    name: Name,
    #[serde(default, rename = "namespace")]
    _namespace: Option<Name>,
    #[serde(default, rename = "labels")]
    _labels: std::collections::BTreeMap<String, String>,
    #[serde(default, rename = "annotations")]
    _annotations: std::collections::BTreeMap<String, String>,
}

impl Stack {
    /// Reads the one `Stack` of `file`; other documents in it are left alone.
    ///
    /// # Errors
    /// What is wrong, each with line, field and what was expected.
    pub fn load(file: &Path) -> Result<Self, DocumentError> {
        let read = || {
            let folder = std::path::absolute(file)?;
            Ok((std::fs::read_to_string(file)?, folder.parent().map(Path::to_owned).unwrap_or_default()))
        };
        let (text, folder) = read().map_err(|source| DocumentError::Read { file: file.to_owned(), source })?;
        Self::parse(file, &folder, &text)
    }

    /// Reads `text`, whose relative paths begin at `folder`.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(file: &Path, folder: &Path, text: &str) -> Result<Self, DocumentError> {
        let invalid = |problems| DocumentError::Invalid { file: file.to_owned(), problems };
        let (text, outline) = select(text).map_err(|problem| invalid(vec![problem]))?;
        let document = typed(&text, &outline).map_err(|problem| invalid(vec![problem]))?;
        let mut spec = document.spec;
        resolve::paths(&mut spec, folder);
        let found = validate::problems(&spec);
        if !found.is_empty() {
            let place =
                |(field, message): (String, String)| Problem { place: outline.place_of(&field), field, message };
            return Err(invalid(found.into_iter().map(place).collect()));
        }
        let text = text.trim_start_matches('\n').to_owned();
        Ok(Self { name: document.metadata.name, spec, file: file.to_owned(), text })
    }
}

fn typed(text: &str, outline: &Outline) -> Result<Document, Problem> {
    let document: Document = serde_saphyr::from_str(text).map_err(|e| problem::from_yaml(&e, Some(outline)))?;
    if document.api_version == API_VERSION {
        return Ok(document);
    }
    Err(wrong_version(&document.api_version, outline))
}

fn wrong_version(found: &str, outline: &Outline) -> Problem {
    let field = "apiVersion".to_owned();
    let message = format!("`{found}` is not known to drydock {}; expected `{API_VERSION}`", env!("CARGO_PKG_VERSION"));
    Problem { place: outline.place_of(&field), field, message }
}

/// The one `Stack` among the documents of `text`, with all other lines blank so that line numbers stay.
fn select(text: &str) -> Result<(String, Outline), Problem> {
    let mut stacks = Vec::new();
    let mut others = Vec::new();
    for document in split(text) {
        let options = serde_saphyr::options! { duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough };
        let outline: Outline =
            serde_saphyr::from_str_with_options(&document, options).map_err(|e| problem::from_yaml(&e, None))?;
        let (version, kind) = (outline.scalar("apiVersion"), outline.scalar("kind"));
        let ours = version.is_some_and(|v| v.starts_with(GROUP));
        if ours && kind == Some(KIND) {
            if version != Some(API_VERSION) {
                return Err(wrong_version(version.unwrap_or_default(), &outline));
            }
            stacks.push((document, outline));
        } else {
            others.push((kind.map(str::to_owned), outline));
        }
    }
    let second = stacks.get(1).map(|(_, outline)| outline.place_of("kind"));
    match (stacks.pop(), second) {
        (Some(stack), None) => Ok(stack),
        (Some(_), Some(place)) => {
            let message = "a second Stack; one is expected in a file".into();
            Err(Problem { place, field: "kind".into(), message })
        }
        (None, _) => Err(no_stack(&others)),
    }
}

fn no_stack(others: &[(Option<String>, Outline)]) -> Problem {
    let expected = format!("expected `apiVersion: {API_VERSION}` and `kind: {KIND}`");
    let Some((kind, outline)) = others.first() else {
        let place = Place { line: 1, column: 1 };
        return Problem { place, field: String::new(), message: format!("there is no document; {expected}") };
    };
    let kinds: Vec<&str> = others.iter().filter_map(|(kind, _)| kind.as_deref()).collect();
    let (field, message) = match (kind, kinds.as_slice()) {
        (None, _) => ("", format!("this is no Stack; {expected}")),
        (Some(_), kinds) if kinds == [KIND] => ("apiVersion", format!("this is someone else's Stack; {expected}")),
        (Some(_), kinds) => ("kind", format!("no Stack among what is here ({}); {expected}", kinds.join(", "))),
    };
    let place = outline.place_of(field);
    Problem { place, field: field.into(), message }
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
