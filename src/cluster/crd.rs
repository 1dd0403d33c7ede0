//! drydock's custom resource definitions, made from the types by which files are read: what a file may say a custom
//! resource may, and nothing else. `deploy/drydock/crds.yaml` holds them, and a test sees to it that it does.
//!
//! Source of what an API server takes: Kubernetes' "Extend the Kubernetes API with CustomResourceDefinitions"
//! (structural schemas, `x-kubernetes-validations`).

use kube::core::schema::{OptionalEnum, StructuralSchemaRewriter};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::run::RunSpec;
use super::status::{RunStatus, ScheduleStatus, StackStatus};
use crate::schedule;
use crate::stack::Spec;

/// The API group of all kinds.
pub const GROUP: &str = "drydock.dev";
/// The only version that there is so far.
pub const VERSION: &str = "v1alpha1";

/// One kind, as the API server is told of it.
struct Kind {
    kind: &'static str,
    plural: &'static str,
    short: &'static str,
    description: &'static str,
    spec: Value,
    status: Value,
    /// Name, type, path, and whether it is shown only with `-o wide`.
    columns: &'static [(&'static str, &'static str, &'static str, bool)],
}

/// The definitions of `Stack`, `Schedule` and `Run`.
#[must_use]
pub fn all() -> Vec<Value> {
    let kinds = [
        Kind {
            kind: "Stack",
            plural: "stacks",
            short: "stk",
            description: "One deployed system: its data, its phases, where its recovery points are, what is expected of them.",
            spec: schema::<Spec>(),
            status: schema::<StackStatus>(),
            columns: &[
                ("Ready", "string", ".status.conditions[?(@.type=='Ready')].status", false),
                ("Release", "integer", ".status.release.number", false),
                ("Phase", "string", ".status.release.phase", false),
                ("Protected", "string", ".status.conditions[?(@.type=='Protected')].status", false),
                ("Reason", "string", ".status.conditions[?(@.type=='Ready')].reason", true),
                ("Digest", "string", ".status.release.digest", true),
                ("Age", "date", ".metadata.creationTimestamp", false),
            ],
        },
        Kind {
            kind: "Schedule",
            plural: "schedules",
            short: "sched",
            description: "When an operation runs on a Stack.",
            spec: schema::<schedule::Written>(),
            status: schema::<ScheduleStatus>(),
            columns: &[
                ("Cron", "string", ".spec.cron", false),
                ("Zone", "string", ".spec.timeZone", false),
                ("Suspended", "boolean", ".spec.suspend", false),
                ("Next", "date", ".status.next", true),
                ("Age", "date", ".metadata.creationTimestamp", false),
            ],
        },
        Kind {
            kind: "Run",
            plural: "runs",
            short: "drun",
            description: "One execution of an operation on a Stack. Its status is a view of its journal.",
            spec: with_rule(
                schema::<RunSpec>(),
                "self == oldSelf",
                "a run is asked for once; make another for something else",
            ),
            status: schema::<RunStatus>(),
            columns: &[
                ("Stack", "string", ".spec.stack", false),
                ("Standing", "string", ".status.standing", false),
                ("Step", "string", ".status.step", false),
                ("Started", "date", ".status.started", false),
                ("Ended", "date", ".status.ended", true),
                ("Message", "string", ".status.message", true),
                ("Age", "date", ".metadata.creationTimestamp", false),
            ],
        },
    ];
    kinds.into_iter().map(definition).collect()
}

fn definition(kind: Kind) -> Value {
    let Kind { kind, plural, short, description, spec, status, columns } = kind;
    let columns: Vec<Value> = columns
        .iter()
        .map(|(name, kind, path, wide)| {
            json!({"name": name, "type": kind, "jsonPath": path, "priority": i32::from(*wide)})
        })
        .collect();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{GROUP}")},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind, "listKind": format!("{kind}List"), "plural": plural,
                "singular": kind.to_lowercase(), "shortNames": [short], "categories": ["drydock"],
            },
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": columns,
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "description": description,
                    "required": ["spec"],
                    "properties": {
                        "apiVersion": {"type": "string"},
                        "kind": {"type": "string"},
                        "metadata": {"type": "object"},
                        "spec": spec,
                        "status": status,
                    },
                }},
            }],
        },
    })
}

/// The structural schema of `T`.
fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let settings = settings.with_transform(StructuralSchemaRewriter).with_transform(OptionalEnum);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    tidy(&mut schema);
    schema
}

fn with_rule(mut schema: Value, rule: &str, message: &str) -> Value {
    schema["x-kubernetes-validations"] = json!([{"rule": rule, "message": message}]);
    schema
}

/// Takes out what an API server refuses or would act upon: `additionalProperties` beside `properties` (it drops or refuses
/// unknown fields anyway), formats that it does not know, defaults, which it would write into the object while the types
/// know them. Lists get a bound where they have none: rules on their elements are refused as too costly otherwise.
fn tidy(schema: &mut Value) {
    const LONGEST_LIST: u32 = 256;
    let Some(object) = schema.as_object_mut() else { return };
    for word in ["$schema", "title", "default"] {
        object.remove(word);
    }
    if object.contains_key("properties") {
        object.remove("additionalProperties");
    }
    if object
        .get("format")
        .and_then(Value::as_str)
        .is_some_and(|format| !matches!(format, "date-time" | "int32" | "int64"))
    {
        object.remove("format");
    }
    if object.get("type").is_some_and(|kind| kind == "array") {
        object.entry("maxItems").or_insert_with(|| LONGEST_LIST.into());
    }
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(tidy);
    }
    for word in ["items", "additionalProperties"] {
        if let Some(inner) = object.get_mut(word) {
            tidy(inner);
        }
    }
    for word in ["oneOf", "anyOf", "allOf"] {
        if let Some(all) = object.get_mut(word).and_then(Value::as_array_mut) {
            all.iter_mut().for_each(tidy);
        }
    }
}

/// As `kubectl apply` takes them: a YAML stream.
#[must_use]
pub fn yaml(definitions: &[Value]) -> String {
    let head = "# Made by `drydock manifests`; a test holds it against the types.\n";
    definitions.iter().fold(head.to_owned(), |text, definition| {
        text + "---\n" + &serde_saphyr::to_string(definition).expect("JSON is YAML too")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_definitions_are_those_of_the_types() {
        let committed = include_str!("../../deploy/drydock/crds.yaml");
        assert!(committed == yaml(&all()), "they differ: drydock manifests --crds > deploy/drydock/crds.yaml");
    }

    /// `tests/cluster/smoke` gives the same documents to an API server.
    #[test]
    fn what_an_api_server_takes_a_file_may_say() {
        let text = include_str!("../../tests/fixtures/kinds.yaml");
        let stack = crate::stack::Stack::parse("kinds.yaml".as_ref(), "/".as_ref(), text).unwrap();
        assert_eq!((stack.name.as_str(), stack.spec.phases.len()), ("shop", 2));
        let run = text.rsplit_once("spec: ").unwrap().1;
        let run: RunSpec = serde_saphyr::from_str(run).unwrap();
        assert_eq!(run.stack, stack.name);
    }

    #[test]
    fn everything_has_a_type_and_nothing_that_an_api_server_refuses() {
        fn look(path: &str, schema: &Value, inside_one_of: bool) {
            let object = schema.as_object().unwrap();
            let typed = object.contains_key("type") || object.contains_key("x-kubernetes-int-or-string");
            assert!(typed || inside_one_of, "{path} has no type: {schema}");
            assert!(!(object.contains_key("properties") && object.contains_key("additionalProperties")), "{path}");
            assert!(!object.contains_key("$ref") && !object.contains_key("default"), "{path}");
            for (name, inner) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
                look(&format!("{path}.{name}"), inner, inside_one_of);
            }
            if let Some(items) = object.get("items") {
                look(&format!("{path}[]"), items, inside_one_of);
            }
        }
        for definition in all() {
            let kind = definition["spec"]["names"]["kind"].as_str().unwrap().to_owned();
            look(&kind, &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], false);
        }
    }
}
