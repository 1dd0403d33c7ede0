//! Kubernetes' Events about drydock's objects, by kube's recorder.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use super::client::Cluster;
use super::kinds::Seen;

/// `events.k8s.io/v1`: a note takes 1 kB, reason and action 128 bytes.
const LONGEST_NOTE: usize = 1000;
const LONGEST_WORD: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Normal,
    Warning,
}

/// Tells stories.
#[derive(Clone)]
pub struct Teller(Recorder);

impl Cluster {
    /// Whoever tells is `instance`, a pod.
    #[must_use]
    pub fn teller(&self, instance: &str) -> Teller {
        let reporter = Reporter { controller: "drydock".into(), instance: Some(instance.into()) };
        Teller(Recorder::new(self.client.clone(), reporter))
    }
}

impl Teller {
    /// Tells `note` of the object. `action` tells apart what has the same reason: what is said again with the same action
    /// within minutes is counted, and its note is the first one's. What cannot be told is logged and forgotten: events are for
    /// people who look.
    pub async fn tell(&self, seen: &Seen, severity: Severity, reason: &str, action: &str, note: &str) {
        let event = Event {
            type_: match severity {
                Severity::Normal => EventType::Normal,
                Severity::Warning => EventType::Warning,
            },
            reason: cut(reason, LONGEST_WORD),
            note: Some(cut(note, LONGEST_NOTE)),
            action: cut(action, LONGEST_WORD),
            secondary: None,
        };
        let id = seen.id();
        let reference = ObjectReference {
            api_version: Some(id.api_version),
            kind: Some(id.kind),
            name: Some(seen.name.clone()),
            namespace: Some(seen.namespace.clone()),
            uid: Some(seen.uid.clone()),
            ..ObjectReference::default()
        };
        if let Err(error) = self.0.publish(&event, &reference).await {
            tracing::warn!(%error, reason, "an event could not be told");
        }
    }
}

/// No longer than `longest` bytes, with an ellipsis where something is left out.
fn cut(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= longest - 3).last().unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_between_letters() {
        assert_eq!(cut("short", 8), "short");
        let long = cut(&"ä".repeat(600), LONGEST_NOTE);
        assert!(long.len() <= LONGEST_NOTE && long.ends_with("ä…"), "{}", long.len());
    }
}
