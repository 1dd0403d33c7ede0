//! What was proven, and its signature. Owns the record that a drill, a restore or an upgrade leaves, the envelope that
//! it is signed in, the chain that shows what is missing, and the keys; refuses to know how anything is proven: the
//! verbs fill the record and hand it over.
//!
//! It lies outside the encrypted repository and may be read by anybody: see [`Disclosed`] for what gets into it.

mod chain;
mod disclosed;
mod dsse;
mod error;
mod key;
mod page;
mod published;
mod record;
mod statement;
mod verify;

use crate::stack::{EvidenceSpec, Name};

pub use chain::{Appended, Chain};
pub use disclosed::{Disclosed, WITHHELD};
pub use error::EvidenceError;
pub use key::{KeyError, KeyId, PublicKey, SigningKey};
pub use page::page;
pub use published::PublishedKey;
pub use record::{
    Achieved, AssertionOutcome, AssertionProof, Comparison, DataProof, Difference, Kind, Objectives, Outcome, Part,
    ProvenPoint, Reason, Record, ReferenceProof,
};
pub use statement::{Link, LinkDigest, PREDICATE_TYPE};
pub use verify::{Entry, Examined, KeyEntry, Pin, Problem, Trust, TrustedKey, verify_alone};

/// The stack's key, read from where its document says.
///
/// # Errors
/// `NoKey` where the document names none; what is wrong with the one that it names.
pub fn signing_key(stack: &Name, spec: Option<&EvidenceSpec>) -> Result<SigningKey, EvidenceError> {
    let spec = spec.ok_or_else(|| EvidenceError::NoKey { stack: stack.clone() })?;
    Ok(SigningKey::from_pem(&spec.key.read()?)?)
}

#[cfg(test)]
mod tests;
