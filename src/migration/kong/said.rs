//! What `kong migrations status` prints: one JSON object, exit code 0 always (Kong 3.0 and later).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The state of a database as one image sees it, with the plugins of its environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub needs_bootstrap: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub executed_migrations: Vec<Subsystem>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending_migrations: Vec<Subsystem>,
    /// Known to the image, neither executed nor pending, but older than the last executed one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_migrations: Vec<Subsystem>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new_migrations: Vec<Subsystem>,
}

/// The migrations of one subsystem in one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subsystem {
    /// `core`, or a plugin's name.
    pub subsystem: String,
    #[serde(deserialize_with = "names")]
    pub migrations: Vec<String>,
}

/// The output holds no such object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`kong migrations status` printed no state of migrations{0}")]
pub struct NotSaid(String);

impl Status {
    /// Finds the object in what the command printed: other lines may be logged before it.
    ///
    /// # Errors
    /// There is none, or it is not of the form that Kong has had since 3.0.
    pub fn parse(output: &str) -> Result<Self, NotSaid> {
        let objects = output.match_indices('{').map(|(at, _)| &output[at..]);
        let mut reason = String::new();
        for text in objects.filter(|text| text.contains("needs_bootstrap")) {
            let first = serde_json::Deserializer::from_str(text).into_iter::<Self>().next();
            match first {
                Some(Ok(status)) => return Ok(status),
                Some(Err(error)) if reason.is_empty() => reason = format!(": {error}"),
                _ => {}
            }
        }
        Err(NotSaid(reason))
    }

    /// All migrations that the image knows, by subsystem.
    pub(super) fn known(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        // What is missing is known too; where a build lists names there that only the database has, that is for the caller
        // to find: they are left out.
        let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for part in [&self.executed_migrations, &self.pending_migrations, &self.new_migrations].into_iter().flatten() {
            known.entry(&part.subsystem).or_default().extend(part.migrations.iter().map(String::as_str));
        }
        known
    }
}

/// Names; of missing migrations Kong prints whole objects with a `name`, and an empty list as an object (cjson).
fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let entries = match Value::deserialize(deserializer)? {
        Value::Array(entries) => entries,
        Value::Object(none) if none.is_empty() => Vec::new(),
        other => return Err(serde::de::Error::custom(format!("`{other}` is no list of migrations"))),
    };
    let name = |entry: &Value| entry.as_str().or_else(|| entry.get("name")?.as_str()).map(str::to_owned);
    let named =
        entries.iter().map(|entry| name(entry).ok_or_else(|| serde::de::Error::custom("a migration has no name")));
    named.collect()
}
