//! Whether what is proven could be signed.

use std::os::unix::fs::MetadataExt;

use crate::context::Context;
use crate::evidence::{Chain, signing_key};
use crate::failure::Failure;
use crate::finding::Finding;
use crate::point::store_spec;
use crate::stack::{SecretSource, Stack};

const SUBJECT: &str = "evidence";

/// Nothing where the document names no key: then nothing is signed, on purpose.
pub async fn look(stack: &Stack, cx: &Context) -> Vec<Finding> {
    let Some(spec) = &stack.spec.evidence else { return Vec::new() };
    let mut findings = Vec::new();
    if let SecretSource::FromFile(path) = &spec.key
        && std::fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o077 != 0)
    {
        let detail = format!("others than its owner may read the key file {}", path.display());
        findings.push(Finding::warning(SUBJECT, detail, format!("chmod 600 {}", path.display())));
    }
    let key = match signing_key(&stack.name, Some(spec)) {
        Ok(key) => key,
        Err(error) => {
            findings.push(problem(&error));
            return findings;
        }
    };
    // A store that cannot be reached is told by who looks at the store.
    let Ok(spec) = store_spec(stack) else { return findings };
    let Ok(store) = crate::storage::open(&spec).await else { return findings };
    let id = key.public().id();
    findings.push(match Chain::new(store, stack.name.clone()).may_sign(&key, cx.clock.now()).await {
        Ok(true) => Finding::good(SUBJECT, format!("signed with the key {}, which is published", id.short())),
        Ok(false) => Finding::good(SUBJECT, format!("will be signed with the key {}, for the first time", id.short())),
        Err(error) => problem(&error),
    });
    findings
}

fn problem(error: &impl Failure) -> Finding {
    let mut detail = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        detail = format!("{detail}: {cause}");
        source = cause.source();
    }
    let fix = error.hint().unwrap_or_else(|| "correct what the message names and run `drydock doctor` again".into());
    Finding::problem(SUBJECT, detail, fix)
}
