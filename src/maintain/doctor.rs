//! Looks at everything that a snapshot and a restore will use, and says what would go wrong, now or one day. Changes
//! nothing; leaves nothing behind.

mod evidence;
mod home;
mod machine;
mod runs;

use crate::context::Context;
use crate::data::{postgres, redis, volume};
use crate::finding::Finding;
use crate::point::store_spec;
use crate::stack::{DataKind, Stack};

/// What is good, what will bite one day, what would fail now: the store first, then whose it is, then every data set,
/// then this machine.
pub async fn doctor(stack: &Stack, cx: &Context) -> Vec<Finding> {
    let mut findings = match store_spec(stack) {
        Ok(spec) => crate::storage::doctor(&spec, cx).await,
        Err(error) => vec![home::problem("the store's credentials cannot be read", &error)],
    };
    findings.extend(home::look(stack, cx).await);
    findings.extend(runs::look(stack).await);
    findings.extend(evidence::look(stack, cx).await);
    for set in &stack.spec.data {
        let name = set.name.as_str();
        findings.extend(match &set.kind {
            DataKind::Postgres(spec) => postgres::doctor(name, spec, cx).await,
            DataKind::Redis(spec) => redis::doctor(name, spec, cx).await,
            DataKind::Volume(spec) => volume::doctor(name, spec, cx).await,
        });
        findings.extend(runs::left_in(set, cx).await);
    }
    findings.extend(machine::look(stack));
    findings
}
