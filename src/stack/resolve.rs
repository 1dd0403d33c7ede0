//! Relative paths of a document begin at the document's own folder, so that `-f /etc/drydock/stack.yaml` means the same
//! from everywhere.

use std::path::{Path, PathBuf};

use super::{Assertion, CommandAssertion, DataKind, DataSet, Location, SecretSource, Spec};

/// Makes every path of `spec` absolute, seen from `folder`.
pub fn paths(spec: &mut Spec, folder: &Path) {
    let at = |path: &mut PathBuf| *path = join(folder, path);
    let secret = |source: &mut SecretSource| {
        if let SecretSource::FromFile(path) = source {
            *path = join(folder, path);
        }
    };
    let repository = &mut spec.repository;
    if let Location::Folder(path) = &mut repository.location {
        at(path);
    }
    repository.secrets_mut().for_each(secret);
    if let Some(s3) = &mut repository.s3 {
        s3.ca_file.iter_mut().for_each(at);
    }
    if let Some(evidence) = &mut spec.evidence {
        secret(&mut evidence.key);
    }
    spec.drill.folder.iter_mut().for_each(at);
    // A bare name is looked for on the PATH.
    let program = |run: &mut Vec<String>| {
        if let Some(program) = run.first_mut().filter(|program| program.contains('/')) {
            *program = join(folder, Path::new(program)).display().to_string();
        }
    };
    for assertion in &mut spec.drill.assertions {
        if let Assertion::Command(CommandAssertion { run, .. }) = assertion {
            program(run);
        }
    }
    spec.notifications.iter_mut().for_each(|notification| secret(&mut notification.webhook.url));
    spec.heartbeats.iter_mut().for_each(|heartbeat| secret(&mut heartbeat.url));
    for DataSet { kind, hooks, .. } in &mut spec.data {
        hooks.each_mut().for_each(|hook| program(&mut hook.run));
        match kind {
            DataKind::Postgres(postgres) => {
                postgres.password.iter_mut().for_each(secret);
                postgres.application.iter_mut().filter_map(|login| login.password.as_mut()).for_each(secret);
                postgres.ca_file.iter_mut().for_each(at);
                postgres.client_binaries.iter_mut().for_each(at);
                postgres.server_binaries.iter_mut().for_each(at);
            }
            DataKind::Redis(redis) => {
                redis.password.iter_mut().for_each(secret);
                redis.ca_file.iter_mut().for_each(at);
                redis.cert_file.iter_mut().for_each(at);
                redis.key_file.iter_mut().for_each(at);
                redis.scratch_server.iter_mut().for_each(at);
            }
            DataKind::Volume(volume) => volume.path.iter_mut().for_each(at),
        }
    }
}

/// `path` seen from `folder`, without `.` and with `..` taken away where it can be.
fn join(folder: &Path, path: &Path) -> PathBuf {
    let mut joined = PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            std::path::Component::CurDir => {}
            // `..` behind a symbolic link leads elsewhere than to the parent's name; only the document's own leading
            // `..` are written here by people, and those they mean by name.
            std::path::Component::ParentDir if joined.file_name().is_some() => {
                joined.pop();
            }
            part => joined.push(part),
        }
    }
    joined
}
