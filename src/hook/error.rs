use std::fmt;
use std::time::Duration;

use super::When;
use crate::failure::{Category, Failure};
use crate::stack::{Name, duration};

/// A hook that did not do its work. Its message names the hook and how it ended, for a journal may hold it; what the hook
/// itself said, which may hold anything, is its cause.
#[derive(Debug)]
pub struct HookError {
    pub data: Name,
    pub when: When,
    /// Its place in the document's list.
    pub number: usize,
    /// Without its arguments, which people write passwords into.
    pub program: String,
    pub how: How,
    pub said: Option<Said>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// Not begun, and why.
    NotStarted(String),
    Code(i32),
    /// Killed by somebody else, or by itself.
    Signal(i32),
    /// Killed by us.
    Timeout(Duration),
    /// Killed by us, because the work was told to stop.
    Cancelled,
}

/// The end of what a hook wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said(pub(super) String);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it said: {}", self.0)
    }
}

impl std::error::Error for Said {}

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { data, when, number, program, how, .. } = self;
        write!(f, "the hook {when}[{number}] (`{program}`) of the data set `{data}` {how}")
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(why) => write!(f, "cannot be started: {why}"),
            Self::Code(code) => write!(f, "ended with exit code {code}"),
            Self::Signal(signal) => write!(f, "was killed by signal {signal}"),
            Self::Timeout(limit) => write!(f, "was killed: it had not ended after {}", duration::human(*limit)),
            Self::Cancelled => f.write_str("was killed: the work was told to stop"),
        }
    }
}

impl std::error::Error for HookError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.said.as_ref().map(|said| said as _)
    }
}

impl Failure for HookError {
    fn category(&self) -> Category {
        match self.how {
            How::NotStarted(_) => Category::Usage,
            How::Code(_) | How::Signal(_) | How::Timeout(_) => Category::Unavailable,
            How::Cancelled => Category::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        let field = format!("`hooks.{}[{}]` of `{}`", self.when, self.number, self.data);
        match self.how {
            How::NotStarted(_) => Some(format!("mend {field} in the Stack document, or install the program")),
            How::Timeout(_) => Some(format!("see why it takes so long, or give {field} a longer `timeout`")),
            How::Code(_) | How::Signal(_) => {
                Some(format!("mend what {field} runs; it must be able to run again, also where it had run before"))
            }
            How::Cancelled => None,
        }
    }
}
