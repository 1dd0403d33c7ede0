//! What is wrong with a document, said with file, line, field and what was expected; never with what a secret's field
//! holds, because people do write passwords where a reference belongs.

use std::fmt;
use std::path::PathBuf;

use serde_saphyr::Error as YamlError;

use super::outline::{Aspect, Outline, Place};
use crate::failure::{Category, Failure};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub place: Place,
    /// `spec.data[0].volume`; empty when the text is not even YAML.
    pub field: String,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.place.line, self.place.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// A `Stack` document that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error("cannot read {file}", file = file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("{}", list(file, problems))]
    Invalid { file: PathBuf, problems: Vec<Problem> },
}

fn list(file: &std::path::Path, problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(|problem| format!("{}:{problem}", file.display())).collect();
    lines.join("\n")
}

impl Failure for DocumentError {
    fn category(&self) -> Category {
        Category::Usage
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => Some("say where the Stack document is with `-f FILE`".into()),
            Self::Invalid { .. } => None,
        }
    }
}

/// The keys that hold a [`SecretSource`](super::SecretSource); `key` is one in some places and a name in others.
const SECRET_FIELDS: [&str; 6] = ["password", "accessKeyId", "secretAccessKey", "sessionToken", "evidence.key", "url"];

const SECRET_EXPECTED: &str =
    "expected `{fromFile: PATH}`, `{fromEnv: NAME}` or `{fromSecret: {name: NAME, key: KEY}}`";

/// What the parser said, in the words of the document.
#[must_use]
pub fn from_yaml(error: &YamlError, outline: Option<&Outline>) -> Problem {
    let error = error.without_snippet();
    let place = error.location().map_or(Place { line: 1, column: 1 }, Place::from);
    let Some(outline) = outline else {
        return Problem { place, field: String::new(), message: message(error, None) };
    };
    let (field, text) = outline.path_at(place, aspect(error));
    if let Some(field) = secret_of(&field) {
        return Problem { place, field: field.to_owned(), message: secret_message(error, text) };
    }
    if let YamlError::SerdeMissingField { .. } = error {
        // The parser's place is the last key of the mapping that lacks one.
        let field = parent(&field).to_owned();
        return Problem { place: outline.place_of(&field), field, message: message(error, None) };
    }
    Problem { place, message: message(error, text), field }
}

fn aspect(error: &YamlError) -> Aspect {
    match error {
        YamlError::SerdeUnknownField { .. }
        | YamlError::SerdeUnknownVariant { .. }
        | YamlError::SerdeMissingField { .. }
        | YamlError::DuplicateMappingKey { .. }
        | YamlError::ExpectedMappingEndAfterEnumVariantValue { .. } => Aspect::Key,
        _ => Aspect::Value,
    }
}

fn parent(field: &str) -> &str {
    field.rsplit_once('.').map_or("", |(parent, _)| parent)
}

/// The secret's field that `field` is or lies in.
fn secret_of(field: &str) -> Option<&str> {
    let ends_with =
        |field: &str, key: &str| field.strip_suffix(key).is_some_and(|head| head.is_empty() || head.ends_with('.'));
    let is_secret = |field: &&str| SECRET_FIELDS.iter().any(|key| ends_with(field, key));
    std::iter::successors(Some(field), |field| field.rsplit_once('.').map(|(parent, _)| parent)).find(is_secret)
}

fn secret_message(error: &YamlError, text: Option<&str>) -> String {
    match (error, text) {
        (YamlError::DuplicateMappingKey { .. }, _) => "this field is given twice".into(),
        (YamlError::ExpectedMappingEndAfterEnumVariantValue { .. }, _) => {
            format!("a secret comes from one place only; {SECRET_EXPECTED}")
        }
        (_, Some(text)) if !text.is_empty() => {
            format!("a secret is not written into the document; {SECRET_EXPECTED}")
        }
        _ => SECRET_EXPECTED.into(),
    }
}

fn message(error: &YamlError, text: Option<&str>) -> String {
    match error {
        YamlError::SerdeUnknownField { field: found, expected, .. }
        | YamlError::SerdeUnknownVariant { variant: found, expected, .. } => unknown(found, expected),
        YamlError::SerdeMissingField { field, .. } => format!("the field `{field}` is missing"),
        YamlError::DuplicateMappingKey { .. } => "this field is given twice".into(),
        YamlError::ExpectedMappingEndAfterEnumVariantValue { .. } => {
            "only one key is expected here, this is a second".into()
        }
        YamlError::MultipleDocuments { .. } => "a second document begins here".into(),
        YamlError::Eof { .. } => "the document ends here, but more was expected".into(),
        _ => match expected(error) {
            Some(expected) => format!("expected {expected}{}", but_found(text)),
            None => plain(error),
        },
    }
}

/// What Rust's type stands for in a document.
fn expected(error: &YamlError) -> Option<&'static str> {
    Some(match error {
        YamlError::InvalidScalar { ty, .. } => match *ty {
            "u16" => "a number from 0 to 65535",
            "u32" | "u64" | "usize" => "a whole number that is not negative",
            "bool" | "boolean" => "`true` or `false`",
            _ => return None,
        },
        YamlError::InvalidBooleanStrict { .. } => "`true` or `false`",
        YamlError::NullIntoString { .. } => "a text",
        YamlError::Unexpected { expected, .. } => match *expected {
            "mapping start" => "`key: value` pairs",
            "sequence start" => "a list",
            "string scalar" => "a text",
            _ => return None,
        },
        YamlError::ExternallyTaggedEnumExpectedScalarOrMapping { .. }
        | YamlError::ExpectedStringKeyForExternallyTaggedEnum { .. } => "one key with its value",
        _ => return None,
    })
}

fn but_found(text: Option<&str>) -> String {
    match text {
        Some("") => ", but there is nothing".into(),
        Some(text) => format!(", found `{text}`"),
        None => String::new(),
    }
}

/// The parser's own words without the place, which stands before them.
fn plain(error: &YamlError) -> String {
    let text = error.to_string();
    let text = text.rfind(" at line ").map_or(text.as_str(), |end| &text[..end]);
    // YAML's alias; what people mean is a pattern or a cron expression.
    let hint =
        if text.contains("alias") { "; a text that begins with `*` needs quotes: `\"*/15 * * * *\"`" } else { "" };
    format!("{text}{hint}")
}

fn unknown(found: &str, expected: &[&str]) -> String {
    let names: Vec<String> = expected.iter().map(|name| format!("`{name}`")).collect();
    let names = one_of(&names);
    match nearest(found, expected.iter().copied()) {
        Some(near) => format!("`{found}` is not known here; did you mean `{near}`? Expected {names}"),
        None => format!("`{found}` is not known here; expected {names}"),
    }
}

fn one_of(names: &[String]) -> String {
    match names {
        [] => "nothing".into(),
        [only] => only.clone(),
        [head @ .., last] => format!("{} or {last}", head.join(", ")),
    }
}

/// The first of `names` that somebody who wrote `found` may have meant.
pub fn nearest<'a>(found: &str, mut names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names.find(|name| is_near(found, name))
}

/// Whether `found` is `name` with at most two letters wrong (optimal string alignment would find swaps too; two covers
/// them).
fn is_near(found: &str, name: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) =
        (found.to_lowercase().chars().collect(), name.to_lowercase().chars().collect());
    if a.len().abs_diff(b.len()) > 2 || b.len() < 4 {
        return a == b;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let cost = (corner + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = std::mem::replace(&mut row[j + 1], cost);
        }
    }
    row[b.len()] <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_is_two_letters_off() {
        assert!(is_near("databse", "database") && is_near("keepLats", "keepLast") && is_near("Host", "host"));
        assert!(!is_near("volume", "postgres") && !is_near("id", "tls"));
    }
}
