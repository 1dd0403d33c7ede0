//! A Stack of the cluster as the document that a file would be, and what it may not say there.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::ControllerError;
use crate::cluster::{Cluster, Seen};
use crate::stack::{API_VERSION, KIND, Known, SecretSource, Stack};

/// The Stack as its resource says it.
///
/// # Errors
/// What is wrong with the document, and what nobody but the daemon's owner may say: files and variables of the daemon.
pub fn stack(seen: &Seen) -> Result<Stack, ControllerError> {
    let document = json!({
        "apiVersion": API_VERSION, "kind": KIND,
        "metadata": {"name": seen.name, "namespace": seen.namespace},
        "spec": seen.spec,
    });
    let mut local = Vec::new();
    local_secrets(&seen.spec, "spec", &mut local);
    if !local.is_empty() {
        return Err(ControllerError::LocalSecrets { fields: local });
    }
    let text = serde_saphyr::to_string(&document).map_err(|error| ControllerError::Document(error.to_string()))?;
    let file = PathBuf::from(format!("{}/{}", seen.namespace, seen.name));
    Ok(Stack::parse(&file, "/".as_ref(), &text)?)
}

/// What comes from the process that reads it: whoever may make a Stack would read the daemon's own files by it.
fn local_secrets(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                if matches!(name.as_str(), "fromFile" | "fromEnv") {
                    found.push(format!("{path}.{name}"));
                }
                local_secrets(inner, &format!("{path}.{name}"), found);
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                local_secrets(item, &format!("{path}[{n}]"), found);
            }
        }
        _ => {}
    }
}

/// Reads what the repository needs, as the stack's own service account: nobody borrows the daemon's rights.
///
/// # Errors
/// Which Secret is missing, or which right.
pub async fn read_secrets(stack: &mut Stack, acting: &Cluster, namespace: &str) -> Result<(), ControllerError> {
    for source in stack.spec.repository.secrets_mut() {
        if let SecretSource::FromSecret(reference) = source {
            *source = SecretSource::Known(Known::new(acting.secret(namespace, reference).await?));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Kind;

    fn seen(password: Value) -> Seen {
        Seen {
            kind: Kind::Stack,
            namespace: "web".into(),
            name: "shop".into(),
            uid: "1".into(),
            generation: 1,
            created: jiff::Timestamp::UNIX_EPOCH,
            spec: json!({
                "serviceAccountName": "deployer",
                "repository": {"location": "s3://backups/shop", "password": password},
                "data": [{"name": "db", "postgres": {"host": "db", "database": "shop", "user": "u", "password":
                    {"fromSecret": {"name": "db", "key": "password"}}}}],
            }),
            status: Value::Null,
        }
    }

    #[test]
    fn a_resource_is_the_document_that_a_file_would_be() {
        let stack = stack(&seen(json!({"fromSecret": {"name": "repository", "key": "password"}}))).unwrap();
        assert_eq!((stack.name.as_str(), stack.namespace.unwrap().as_str()), ("shop", "web"));
        assert!(stack.text.starts_with("apiVersion: drydock.dev/v1alpha1\n"), "{}", stack.text);
    }

    #[test]
    fn files_and_variables_of_the_daemon_are_nobody_elses() {
        for password in [json!({"fromFile": "/var/run/secrets/token"}), json!({"fromEnv": "AWS_SECRET_ACCESS_KEY"})] {
            let refused = stack(&seen(password)).unwrap_err();
            assert!(refused.to_string().contains("spec.repository.password.from"), "{refused}");
        }
    }
}
