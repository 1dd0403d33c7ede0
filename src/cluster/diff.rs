//! What differs between an object as it is and as it would be. Pure.

use serde::Serialize;
use serde_json::Value;

use super::apply::said;

/// In place of what a Secret holds.
const MASK: &str = "***";

/// One field that differs; none on a side where it is not there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldChange {
    /// `spec.template.spec.containers[kong].image`: elements of a list by name where all have one.
    pub field: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
}

/// All fields that differ, in their order; of a Secret's content only that it does.
#[must_use]
pub fn changes(former: &Value, live: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    if former.is_null() || live.is_null() {
        return found; // it comes or goes as a whole
    }
    compare(&said(former), &said(live), "", &mut found);
    if live["kind"] == "Secret" || former["kind"] == "Secret" {
        for change in found.iter_mut().filter(|change| is_content(&change.field)) {
            for side in [&mut change.from, &mut change.to] {
                *side = side.as_ref().map(|_| MASK.into());
            }
        }
    }
    found
}

fn is_content(field: &str) -> bool {
    field.starts_with("data") || field.starts_with("stringData")
}

fn compare(former: &Value, live: &Value, field: &str, found: &mut Vec<FieldChange>) {
    match (former, live) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let field = if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
                sides(a.get(key), b.get(key), &field, found);
            }
        }
        (Value::Array(a), Value::Array(b)) => match (named(a), named(b)) {
            (Some(before), Some(after)) => {
                for (name, value) in &before {
                    let now = after.iter().find(|(other, _)| other == name).map(|(_, value)| *value);
                    sides(Some(value), now, &format!("{field}[{name}]"), found);
                }
                for (name, value) in after.iter().filter(|(name, _)| before.iter().all(|(other, _)| other != name)) {
                    sides(None, Some(value), &format!("{field}[{name}]"), found);
                }
            }
            _ => {
                for n in 0..a.len().max(b.len()) {
                    sides(a.get(n), b.get(n), &format!("{field}[{n}]"), found);
                }
            }
        },
        (a, b) if a != b => {
            found.push(FieldChange { field: field.to_owned(), from: Some(a.clone()), to: Some(b.clone()) });
        }
        _ => {}
    }
}

fn sides(former: Option<&Value>, live: Option<&Value>, field: &str, found: &mut Vec<FieldChange>) {
    match (former, live) {
        (Some(former), Some(live)) => compare(former, live, field, found),
        (from, to) => found.push(FieldChange { field: field.to_owned(), from: from.cloned(), to: to.cloned() }),
    }
}

/// Elements by their names, where each has one of its own.
fn named(list: &[Value]) -> Option<Vec<(&str, &Value)>> {
    let named: Option<Vec<(&str, &Value)>> = list.iter().map(|one| Some((one["name"].as_str()?, one))).collect();
    let named = named?;
    let mut names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    (names.len() == named.len()).then_some(named)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_named_and_what_the_server_keeps_is_left_out() {
        let former = json!({"kind": "Deployment", "metadata": {"name": "web", "resourceVersion": "7", "generation": 1},
            "spec": {"containers": [{"name": "web", "image": "a:1"}, {"name": "side", "image": "s"}], "args": ["x", "y"]},
            "status": {"replicas": 1}});
        let live = json!({"kind": "Deployment", "metadata": {"name": "web", "resourceVersion": "8", "generation": 2},
            "spec": {"containers": [{"name": "web", "image": "a:2"}], "args": ["x"], "new": true}});
        let said: Vec<String> = changes(&former, &live)
            .iter()
            .map(|c| {
                format!("{}: {} -> {}", c.field, c.from.clone().unwrap_or_default(), c.to.clone().unwrap_or_default())
            })
            .collect();
        assert_eq!(
            said,
            [
                "spec.args[1]: \"y\" -> null",
                "spec.containers[web].image: \"a:1\" -> \"a:2\"",
                "spec.containers[side]: {\"image\":\"s\",\"name\":\"side\"} -> null",
                "spec.new: null -> true",
            ]
        );
    }

    #[test]
    fn a_secrets_content_is_never_shown() {
        let former = json!({"kind": "Secret", "metadata": {"name": "login", "annotations":
            {"kubectl.kubernetes.io/last-applied-configuration": "hunter1"}}, "data": {"password": "aHVudGVyMQ=="}});
        let live = json!({"kind": "Secret", "metadata": {"name": "login", "labels": {"a": "b"}}, "data":
            {"password": "aHVudGVyMg==", "other": "eA=="}});
        let found = changes(&former, &live);
        let text = serde_json::to_string(&found).unwrap();
        assert!(!text.contains("aHVu") && !text.contains("eA==") && !text.contains("hunter"), "{text}");
        assert_eq!(
            found.iter().map(|c| c.field.as_str()).collect::<Vec<_>>(),
            ["data.other", "data.password", "metadata.labels"]
        );
        assert!(text.contains(r#"{"field":"metadata.labels","to":{"a":"b"}}"#), "{text}");
        assert_eq!(changes(&Value::Null, &live), [], "it comes as a whole");
    }
}
