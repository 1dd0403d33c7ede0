//! Names of schedules.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::run_id;
use crate::stack::Name;
use crate::stack::schema::written_as;

/// A [`Name`] that does not look like an instant in any of its parts, so that a scheduled run's id can be taken apart
/// again and no two runs share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScheduleName(Name);

written_as!(ScheduleName, {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63});

impl ScheduleName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for ScheduleName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name: Name = text.parse()?;
        match name.as_str().split('-').find(|part| run_id::instant(part).is_some()) {
            Some(part) => Err(format!("`{text}` is no name of a schedule: `{part}` looks like the instant of a run")),
            None => Ok(Self(name)),
        }
    }
}

impl TryFrom<String> for ScheduleName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ScheduleName> for String {
    fn from(name: ScheduleName) -> Self {
        name.0.into()
    }
}

impl fmt::Display for ScheduleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
