//! What a receiver reads. Version 1 of the document that programs get; people get its `text`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::decide::Trouble;
use super::{Ending, ObjectiveSeen, RunEnded};
use crate::failure::Category;
use crate::stack::{Stack, WebhookFormat, duration};

/// Chat services cut what is longer, and no message of ours needs more.
const LONGEST: usize = 2_000;

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Failure { is_reminder: bool },
    Recovery,
    ObjectiveMissed { is_reminder: bool },
    ObjectiveMet,
}

impl Kind {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Failure { .. } => "failure",
            Self::Recovery => "recovery",
            Self::ObjectiveMissed { .. } => "objective-missed",
            Self::ObjectiveMet => "objective-met",
        }
    }

    fn is_reminder(self) -> bool {
        matches!(self, Self::Failure { is_reminder: true } | Self::ObjectiveMissed { is_reminder: true })
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub kind: Kind,
    /// Random: what comes twice has the same.
    pub id: String,
    pub time: Timestamp,
    pub since: Timestamp,
    /// How many runs have failed, or how often it was found missed.
    pub times: u64,
    pub about: About,
}

#[derive(Debug, Clone, PartialEq)]
pub enum About {
    Run(RunEnded),
    Objective(ObjectiveSeen),
}

/// As programs get it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Document {
    pub format_version: u32,
    pub id: String,
    pub kind: String,
    pub reminder: bool,
    pub stack: String,
    pub time: Timestamp,
    pub since: Timestamp,
    pub times: u64,
    pub operation: Option<String>,
    pub run: Option<String>,
    pub category: Option<Category>,
    pub message: Option<String>,
    pub hint: Option<String>,
    pub objective: Option<ObjectiveDocument>,
    pub text: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ObjectiveDocument {
    pub name: String,
    pub objective_ms: u64,
    pub achieved_ms: Option<u64>,
}

impl Document {
    pub(super) const FORMAT_VERSION: u32 = 1;
}

impl Message {
    pub(super) fn of_run(ended: &RunEnded, kind: Kind, trouble: &Trouble) -> Self {
        Self::new(kind, ended.time, trouble, About::Run(ended.clone()))
    }

    pub(super) fn of_objective(seen: &ObjectiveSeen, kind: Kind, at: Timestamp, trouble: &Trouble) -> Self {
        Self::new(kind, at, trouble, About::Objective(*seen))
    }

    fn new(kind: Kind, time: Timestamp, trouble: &Trouble, about: About) -> Self {
        let id = format!("{:016x}", rand::random::<u64>());
        Self { kind, id, time, since: trouble.since, times: trouble.times, about }
    }

    /// What is sent.
    pub(super) fn body(&self, stack: &Stack, format: WebhookFormat) -> Vec<u8> {
        let json = match format {
            WebhookFormat::Json => serde_json::to_vec(&self.document(stack)),
            WebhookFormat::Slack => serde_json::to_vec(&serde_json::json!({"text": for_slack(&self.text(stack))})),
        };
        json.expect("names, numbers and texts are JSON")
    }

    pub(super) fn document(&self, stack: &Stack) -> Document {
        let mut document = Document {
            format_version: Document::FORMAT_VERSION,
            id: self.id.clone(),
            kind: self.kind.word().into(),
            reminder: self.kind.is_reminder(),
            stack: stack.name.to_string(),
            time: self.time,
            since: self.since,
            times: self.times,
            operation: None,
            run: None,
            category: None,
            message: None,
            hint: None,
            objective: None,
            text: self.text(stack),
        };
        match &self.about {
            About::Run(ended) => {
                document.operation = Some(ended.operation.clone());
                document.run = Some(ended.run.clone());
                if let Ending::Failed { category, message, hint } = &ended.ending {
                    document.category = Some(*category);
                    document.message = Some(cut(message));
                    document.hint = hint.as_ref().map(|hint| cut(&named(hint, stack)));
                }
            }
            About::Objective(seen) => {
                let ms = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                document.objective = Some(ObjectiveDocument {
                    name: seen.objective.word().into(),
                    objective_ms: ms(seen.goal),
                    achieved_ms: seen.achieved.map(ms),
                });
            }
        }
        document
    }

    /// For people, with the next move last.
    fn text(&self, stack: &Stack) -> String {
        let name = &stack.name;
        let text = match &self.about {
            About::Run(ended) => match &ended.ending {
                Ending::Failed { message, hint, .. } => {
                    let hint = hint.as_ref().map(|hint| format!("\n{}", named(hint, stack))).unwrap_or_default();
                    format!("{name}: {} {}: {message}{hint}\nrun {}", ended.operation, self.fails(), ended.run)
                }
                Ending::Succeeded | Ending::Stopped => format!(
                    "{name}: {} works again, after {} since {:.0}\nrun {}",
                    ended.operation,
                    failures(self.times),
                    self.since,
                    ended.run
                ),
            },
            About::Objective(seen) => self.of_an_objective(seen, stack),
        };
        cut(&text)
    }

    fn fails(&self) -> String {
        match (self.kind.is_reminder(), self.times) {
            (_, 0 | 1) => "failed".into(),
            (true, n) => format!("still fails, {} since {:.0}", failures(n), self.since),
            (false, n) => format!("failed, {} since {:.0}", failures(n), self.since),
        }
    }

    fn of_an_objective(&self, seen: &ObjectiveSeen, stack: &Stack) -> String {
        let (name, word, goal) = (&stack.name, seen.objective.word(), duration::exact(seen.goal));
        let achieved = seen.achieved.map(duration::human);
        match (self.kind, achieved) {
            (Kind::ObjectiveMet, achieved) => format!(
                "{name}: the objective {word} of {goal} is met again ({}); it was missed since {:.0}",
                achieved.unwrap_or_default(),
                self.since
            ),
            (kind, achieved) => format!(
                "{name}: the objective {word} of {goal} is {}missed: {}\n{}",
                if kind.is_reminder() { "still " } else { "" },
                achieved
                    .map_or_else(|| "nothing has achieved it yet".into(), |achieved| format!("{achieved} achieved")),
                named("see `drydock status -f FILE`", stack)
            ),
        }
    }
}

fn failures(n: u64) -> String {
    if n == 1 { "1 failure".into() } else { format!("{n} failures") }
}

/// With the document's own file, so that what is to be typed can be.
fn named(hint: &str, stack: &Stack) -> String {
    hint.replace("-f FILE", &format!("-f {}", stack.file.display()))
}

fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// The three characters that mean something to Slack. Source: its "Formatting text for app surfaces".
fn for_slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::notify::Objective;

    const FIXTURE: &str = include_str!("../../tests/fixtures/formats/notification-1.json");

    fn stack() -> Stack {
        let text = "{apiVersion: drydock.dev/v1alpha1, kind: Stack, metadata: {name: shop}, spec: {repository: {location: /b, \
            password: {fromFile: p}}, data: [{name: db, volume: {path: /u}}]}}";
        Stack::parse(Path::new("/etc/drydock/stack.yaml"), Path::new("/etc/drydock"), text).unwrap()
    }

    fn message(kind: Kind, times: u64, about: About) -> Message {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (time, since) = (at("2026-11-23T03:00:07Z"), at("2026-11-22T03:00:05Z"));
        Message { kind, id: "00112233aabbccdd".into(), time, since, times, about }
    }

    fn run(ending: Ending) -> About {
        let time = "2026-11-23T03:00:07Z".parse().unwrap();
        About::Run(RunEnded { operation: "snapshot".into(), run: "snapshot-shop-1".into(), time, ending })
    }

    fn failed() -> About {
        run(Ending::Failed {
            category: Category::Unavailable,
            message: "cannot take a snapshot of the data set `db`; there is no recovery point".into(),
            hint: Some("look with `drydock doctor -f FILE`".into()),
        })
    }

    #[test]
    fn version_1_is_written_as_it_was() {
        let written = message(Kind::Failure { is_reminder: true }, 2, failed()).body(&stack(), WebhookFormat::Json);
        let value = |json: &[u8]| serde_json::from_slice::<serde_json::Value>(json).unwrap();
        assert_eq!(value(&written), value(FIXTURE.as_bytes()));
    }

    #[test]
    fn people_read_what_happened_since_when_and_what_to_type() {
        let objective = |achieved: Option<u64>| {
            let (goal, achieved) = (Duration::from_secs(86_400), achieved.map(Duration::from_secs));
            About::Objective(ObjectiveSeen { objective: Objective::Rpo, goal, achieved })
        };
        let texts = [
            message(Kind::Failure { is_reminder: false }, 1, failed()),
            message(Kind::Failure { is_reminder: true }, 24, failed()),
            message(Kind::Recovery, 1, run(Ending::Succeeded)),
            message(Kind::ObjectiveMissed { is_reminder: false }, 1, objective(Some(90_000))),
            message(Kind::ObjectiveMissed { is_reminder: true }, 9, objective(None)),
            message(Kind::ObjectiveMet, 9, objective(Some(60))),
        ]
        .map(|message| message.text(&stack()));
        insta::assert_snapshot!("texts", texts.join("\n\n"));
    }

    #[test]
    fn nothing_in_a_text_means_anything_to_slack_and_it_is_never_endless() {
        let odd = run(Ending::Failed { category: Category::Bug, message: "<!channel> & é".repeat(900), hint: None });
        let body = message(Kind::Failure { is_reminder: false }, 1, odd).body(&stack(), WebhookFormat::Slack);
        let text = serde_json::from_slice::<serde_json::Value>(&body).unwrap()["text"].as_str().unwrap().to_owned();
        assert!(
            text.starts_with("shop: snapshot failed: &lt;!channel&gt; &amp; é&lt;!channel&gt;") && text.ends_with('…')
        );
    }
}
