//! From a file to a [`Stack`], or to all that is wrong with it.

use std::path::{Path, PathBuf};

use super::documents::{self, API_VERSION, Document, Typed};
use super::outline::Place;
use super::problem::{DocumentError, Problem};
use super::{Name, Spec, resolve, validate};

/// What the document's `kind` says.
pub const KIND: &str = "Stack";

/// One deployed system: its data, its repository, what is expected of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    pub name: Name,
    /// Whose Kubernetes objects these are; where it is not said the context's.
    pub namespace: Option<Name>,
    pub spec: Spec,
    /// Where it was read from, for hints such as `drydock init -f FILE`.
    pub file: PathBuf,
    /// The document as it was written, which every recovery point keeps; it holds no secret, because it cannot.
    pub text: String,
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
        let document = select(text).map_err(|problem| invalid(vec![problem]))?;
        let Typed::<Name, Spec> { metadata, mut spec, .. } =
            document.typed().map_err(|problem| invalid(vec![problem]))?;
        resolve::paths(&mut spec, folder);
        let found = validate::problems(&spec);
        if !found.is_empty() {
            return Err(invalid(found.into_iter().map(|(field, said)| document.problem(&field, said)).collect()));
        }
        let text = document.text.trim_start_matches('\n').to_owned();
        Ok(Self { name: metadata.name, namespace: metadata.namespace, spec, file: file.to_owned(), text })
    }
}

/// The one `Stack` among the documents of `text`.
fn select(text: &str) -> Result<Document, Problem> {
    let (mut stacks, mut others) = (Vec::new(), Vec::new());
    for document in documents::read(text) {
        let document = document?;
        let is_stack = document.is_ours() && document.kind() == Some(KIND);
        if is_stack { stacks.push(document) } else { others.push(document) }
    }
    if let Some(second) = stacks.get(1) {
        return Err(second.problem("kind", "a second Stack; one is expected in a file"));
    }
    stacks.pop().ok_or_else(|| no_stack(&others))
}

fn no_stack(others: &[Document]) -> Problem {
    let expected = format!("expected `apiVersion: {API_VERSION}` and `kind: {KIND}`");
    let Some(first) = others.first() else {
        let place = Place { line: 1, column: 1 };
        return Problem { place, field: String::new(), message: format!("there is no document; {expected}") };
    };
    let kinds: Vec<&str> = others.iter().filter_map(Document::kind).collect();
    match (first.kind(), kinds.as_slice()) {
        (None, _) => first.problem("", format!("this is no Stack; {expected}")),
        (Some(_), kinds) if kinds == [KIND] => {
            first.problem("apiVersion", format!("this is someone else's Stack; {expected}"))
        }
        (Some(_), kinds) => {
            first.problem("kind", format!("no Stack among what is here ({}); {expected}", kinds.join(", ")))
        }
    }
}
