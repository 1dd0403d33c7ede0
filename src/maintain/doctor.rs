//! Looks at everything that a snapshot and a restore will use, and says what would go wrong, now or one day. Changes
//! nothing; leaves nothing behind.

mod home;
mod machine;

use crate::context::Context;
use crate::finding::Finding;
use crate::point::store_spec;
use crate::stack::Stack;

/// What is good, what will bite one day, what would fail now: the store first, then whose it is, then this machine.
pub async fn doctor(stack: &Stack, cx: &Context) -> Vec<Finding> {
    let mut findings = match store_spec(stack) {
        Ok(spec) => crate::storage::doctor(&spec, cx).await,
        Err(error) => vec![home::problem("the store's credentials cannot be read", &error)],
    };
    findings.extend(home::look(stack, cx).await);
    findings.extend(machine::look(stack));
    findings
}
