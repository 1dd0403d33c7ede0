//! Errors as the operator and the script read them: what failed, why, and the next move.

use std::error::Error;
use std::fmt::Write as _;

use serde::Serialize;

use crate::failure::{Category, Failure};

/// What goes to standard error when a command fails, once, whatever failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub category: Category,
    pub exit_code: u8,
    pub message: String,
    /// From the nearest to the root.
    pub causes: Vec<String>,
    pub hint: Option<String>,
}

/// Any failure on its way to a [`Report`]; every error of the library turns into one by `?`.
#[derive(Debug)]
pub struct Failed(Report);

impl<E: Failure> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(Report::of(&error))
    }
}

impl Failed {
    /// A refusal of the command line itself.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Category::Usage, message, Some(hint.into()))
    }

    pub fn new(category: Category, message: impl Into<String>, hint: Option<String>) -> Self {
        let exit_code = category.exit_code();
        Self(Report { category, exit_code, message: message.into(), causes: Vec::new(), hint })
    }

    #[must_use]
    pub fn into_report(self) -> Report {
        self.0
    }

    #[must_use]
    pub fn category(&self) -> Category {
        self.0.category
    }
}

impl Report {
    /// What `error` says of itself.
    pub fn of(error: &impl Failure) -> Self {
        let category = error.category();
        let message = error.to_string();
        Self {
            category,
            exit_code: category.exit_code(),
            causes: causes(&message, error.source()),
            message,
            hint: error.hint(),
        }
    }

    /// The same, after the work was told to stop: whatever broke then broke because of it, unless what broke needs a
    /// person or is damage. What it says of itself stays to be read.
    #[must_use]
    pub fn after_stop(self, reason: &str) -> Self {
        match self.category {
            Category::Integrity | Category::NeedsOperator | Category::Bug => return self,
            _ => {}
        }
        let causes = std::iter::once(self.message).chain(self.causes).filter(|said| said != "cancelled").collect();
        Self { causes, ..Self::interrupted(reason) }
    }

    fn interrupted(reason: &str) -> Self {
        Self {
            category: Category::Interrupted,
            exit_code: Category::Interrupted.exit_code(),
            message: format!("{reason}: nothing that is not whole was left listed"),
            causes: Vec::new(),
            hint: Some("it is safe to run the same command again; what was stored is used".into()),
        }
    }

    /// For people.
    #[must_use]
    pub fn text(&self, color: bool) -> String {
        let paint = |word: &str, code: &str| if color { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() };
        let mut text = format!("{} {}", paint("error:", "1;31"), indented(&self.message));
        for cause in &self.causes {
            write!(text, "\n  because: {}", indented(cause)).expect("a String takes everything");
        }
        if let Some(hint) = &self.hint {
            write!(text, "\n{} {}", paint("hint:", "1;36"), indented(hint)).expect("a String takes everything");
        }
        text
    }
}

fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n  ")
}

/// The chain below an error, without what its parent has said already (`#[error(transparent)]`, or messages that print
/// their source).
fn causes(message: &str, mut source: Option<&(dyn Error + 'static)>) -> Vec<String> {
    let mut said = message.to_owned();
    let mut causes = Vec::new();
    while let Some(error) = source {
        let text = error.to_string();
        if !said.contains(&text) {
            said.push_str(&text);
            causes.push(text);
        }
        source = error.source();
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error("cannot read pack 4711")]
        Read { source: Inner },
        #[error(transparent)]
        Same(Inner),
    }

    #[derive(Debug, thiserror::Error)]
    #[error("connection reset")]
    struct Inner(#[source] std::io::Error);

    impl Failure for Outer {
        fn category(&self) -> Category {
            Category::Unavailable
        }

        fn hint(&self) -> Option<String> {
            Some("run it again".into())
        }
    }

    fn inner() -> Inner {
        Inner(std::io::Error::other("peer went away"))
    }

    #[test]
    fn a_chain_is_told_once() {
        let report = Report::of(&Outer::Read { source: inner() });
        let expected =
            "error: cannot read pack 4711\n  because: connection reset\n  because: peer went away\nhint: run it again";
        assert_eq!(report.text(false), expected);
        assert_eq!(Report::of(&Outer::Same(inner())).causes, ["peer went away"]);
    }

    #[test]
    fn a_script_reads_the_same() {
        let json = serde_json::to_value(Report::of(&Outer::Same(inner()))).unwrap();
        let expected = serde_json::json!({"category": "unavailable", "exitCode": 75, "message": "connection reset",
            "causes": ["peer went away"], "hint": "run it again"});
        assert_eq!(json, expected);
    }

    #[test]
    fn what_broke_because_of_a_stop_is_the_stop() {
        let report = Report::of(&Outer::Same(inner())).after_stop("stopped by Ctrl-C");
        assert_eq!((report.exit_code, report.causes.len()), (130, 2));
        let told = Report { category: Category::Interrupted, message: "cancelled".into(), ..report.clone() };
        assert_eq!(told.after_stop("stopped by Ctrl-C").causes, ["connection reset", "peer went away"]);
        let damage = Report { category: Category::Integrity, ..report };
        assert_eq!(damage.clone().after_stop("stopped by Ctrl-C"), damage, "damage is told as damage");
    }
}
