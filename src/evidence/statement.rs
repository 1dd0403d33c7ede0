//! The in-toto Statement (v1, <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>) that carries a
//! record: its subject is the recovery point's snapshot, its predicate the record and its place in the chain.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Record;

/// DSSE's type of what is signed.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// Never changed for what it stands for; a later format has another.
pub const PREDICATE_TYPE: &str = "https://drydock.dev/evidence/v1";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Statement {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: [Subject; 1],
    predicate_type: String,
    predicate: Link,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    /// `recovery-point/3f9a…`.
    name: String,
    digest: SubjectDigest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectDigest {
    sha256: String,
}

/// A record in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Link {
    /// From 1, without gaps.
    pub number: u64,
    /// The digest of the envelope with the number before; none for the first.
    pub previous: Option<LinkDigest>,
    /// By the clock of the machine that signed it.
    pub signed: Timestamp,
    /// Random, so that of two that write one number each knows its own.
    pub token: String,
    pub record: Record,
}

/// The SHA-256 of a stored envelope, byte for byte.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LinkDigest([u8; 32]);

impl Link {
    pub(super) fn to_json(&self) -> Vec<u8> {
        let point = &self.record.point;
        let subject = Subject {
            name: format!("recovery-point/{}", point.id),
            digest: SubjectDigest { sha256: point.snapshot.clone() },
        };
        let statement = Statement {
            statement_type: STATEMENT_TYPE.into(),
            subject: [subject],
            predicate_type: PREDICATE_TYPE.into(),
            predicate: self.clone(),
        };
        serde_json::to_vec(&statement).expect("names, numbers and texts are JSON")
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// What it is instead, or that it is newer than this program.
    pub(super) fn from_json(json: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            predicate_type: String,
            predicate: Versions,
        }
        #[derive(Deserialize)]
        struct Versions {
            record: Version,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            format_version: u32,
        }
        let head: Head = serde_json::from_slice(json).map_err(|e| format!("it is no statement of drydock's: {e}"))?;
        if head.predicate_type != PREDICATE_TYPE {
            return Err(format!("its predicate is a `{}`, not a `{PREDICATE_TYPE}`", head.predicate_type));
        }
        let found = head.predicate.record.format_version;
        if found > Record::FORMAT_VERSION {
            let known = Record::FORMAT_VERSION;
            return Err(format!("it has format version {found}; this program reads up to {known}"));
        }
        let statement: Statement =
            serde_json::from_slice(json).map_err(|e| format!("it is no statement of drydock's: {e}"))?;
        let [subject] = &statement.subject;
        let link = statement.predicate;
        if statement.statement_type != STATEMENT_TYPE || subject.digest.sha256 != link.record.point.snapshot {
            return Err("its subject is not the snapshot of its record".into());
        }
        Ok(link)
    }
}

impl LinkDigest {
    #[must_use]
    pub fn of(envelope: &[u8]) -> Self {
        Self(Sha256::digest(envelope).into())
    }

    /// The first sixteen digits.
    #[must_use]
    pub fn short(&self) -> String {
        hex::encode(&self.0[..8])
    }
}

impl fmt::Display for LinkDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for LinkDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for LinkDigest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(&text, &mut bytes).map_err(|_| format!("`{text}` is not a SHA-256 in hexadecimal"))?;
        Ok(Self(bytes))
    }
}

impl From<LinkDigest> for String {
    fn from(digest: LinkDigest) -> Self {
        digest.to_string()
    }
}
