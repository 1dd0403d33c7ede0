//! Where everything in a document stands: from a field's path to its line, and from a line back to the field.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A place in the file; both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: u64,
    pub column: u64,
}

impl From<serde_saphyr::Location> for Place {
    fn from(location: serde_saphyr::Location) -> Self {
        Self { line: location.line(), column: location.column() }
    }
}

/// One YAML value with the places of all that is in it.
#[derive(Debug)]
pub struct Outline {
    place: Place,
    value: Value,
}

#[derive(Debug)]
enum Value {
    /// Text of scalars, for `kind` and for what was found where something else was expected.
    Scalar(String),
    Sequence(Vec<Outline>),
    Mapping(Vec<(String, Place, Outline)>),
}

/// Whether an error is about a key or about a value; a mapping and its first key begin at the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aspect {
    Key,
    Value,
}

impl Outline {
    /// The place of the value at `path` (`spec.data[0].volume`), or of the nearest that holds it and is there.
    #[must_use]
    pub fn place_of(&self, path: &str) -> Place {
        let mut here = self;
        let mut place = self.place;
        for step in steps(path) {
            let next = match (step, &here.value) {
                (Step::Key(key), Value::Mapping(entries)) => {
                    entries.iter().find(|(name, ..)| name == key).map(|(_, at, value)| (*at, value))
                }
                (Step::Index(n), Value::Sequence(items)) => items.get(n).map(|item| (item.place, item)),
                _ => None,
            };
            let Some((at, value)) = next else { break };
            (place, here) = (at, value);
        }
        place
    }

    /// The scalar at the key `key` of this mapping.
    #[must_use]
    pub fn scalar(&self, key: &str) -> Option<&str> {
        let Value::Mapping(entries) = &self.value else { return None };
        entries.iter().find_map(|(name, _, value)| match &value.value {
            Value::Scalar(text) if name == key => Some(text.as_str()),
            _ => None,
        })
    }

    /// The path of what stands at `place`, or of the last that begins before it; and its text where it is a scalar.
    #[must_use]
    pub fn path_at(&self, place: Place, aspect: Aspect) -> (String, Option<&str>) {
        let other = if aspect == Aspect::Key { Aspect::Value } else { Aspect::Key };
        self.search(place, aspect, "")
            .or_else(|| self.search(place, other, ""))
            .unwrap_or_else(|| (self.last_before(place, ""), None))
    }

    fn last_before(&self, place: Place, path: &str) -> String {
        let inner = match &self.value {
            Value::Scalar(_) => None,
            Value::Sequence(items) => {
                let before = items.iter().enumerate().rev().find(|(_, item)| item.place <= place);
                before.map(|(n, item)| (format!("{path}[{n}]"), item))
            }
            Value::Mapping(entries) => {
                let before = entries.iter().rev().find(|(_, at, _)| *at <= place);
                before.map(|(name, _, value)| (join(path, name), value))
            }
        };
        match inner {
            Some((path, value)) => value.last_before(place, &path),
            None => path.to_owned(),
        }
    }

    /// The innermost first: the parser lets a list begin where its first item does.
    fn search(&self, place: Place, aspect: Aspect, path: &str) -> Option<(String, Option<&str>)> {
        let inside = match &self.value {
            Value::Scalar(_) => None,
            Value::Sequence(items) => {
                items.iter().enumerate().find_map(|(n, item)| item.search(place, aspect, &format!("{path}[{n}]")))
            }
            Value::Mapping(entries) => entries.iter().find_map(|(name, at, value)| {
                let path = join(path, name);
                if aspect == Aspect::Key && *at == place {
                    return Some((path, None));
                }
                value.search(place, aspect, &path)
            }),
        };
        let here = || {
            let text = if let Value::Scalar(text) = &self.value { Some(text.as_str()) } else { None };
            (aspect == Aspect::Value && self.place == place).then(|| (path.to_owned(), text))
        };
        inside.or_else(here)
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    path.split(['.', '[']).filter(|part| !part.is_empty()).map(|part| {
        match part.strip_suffix(']').and_then(|n| n.parse().ok()) {
            Some(n) => Step::Index(n),
            None => Step::Key(part),
        }
    })
}

impl<'de> Deserialize<'de> for Outline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { place: referenced.into(), value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Scalar(String::new()))
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Scalar(String::new()))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::Sequence(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            entries.push((key.value, key.referenced.into(), access.next_value()?));
        }
        Ok(Value::Mapping(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a:\n  b: {c: 1, d: x}\n  e:\n  - f: 1\n  - g\n";

    fn outline() -> Outline {
        serde_saphyr::from_str(TEXT).unwrap()
    }

    #[test]
    fn a_path_leads_to_its_place_or_to_the_nearest_that_is_there() {
        let places = ["", "a.b.d", "a.e[0].f", "a.e[1]", "a.b.missing", "a.e[7]"].map(|p| {
            let place = outline().place_of(p);
            (place.line, place.column)
        });
        assert_eq!(places, [(1, 1), (2, 13), (4, 5), (5, 5), (2, 3), (3, 3)]);
    }

    #[test]
    fn a_place_leads_back_to_the_path() {
        let outline = outline();
        let at = |line, column, aspect| outline.path_at(Place { line, column }, aspect).0;
        assert_eq!(at(2, 13, Aspect::Key), "a.b.d");
        assert_eq!(at(2, 16, Aspect::Value), "a.b.d");
        assert_eq!(at(4, 5, Aspect::Value), "a.e[0]", "a mapping before its first key");
        assert_eq!(at(4, 5, Aspect::Key), "a.e[0].f");
        assert_eq!(at(2, 17, Aspect::Value), "a.b.d", "the end of a mapping belongs to what is last in it");
    }
}
