//! The public keys beside the evidence, `evidence/keys/<id>.json`: which key signed for which stack, and when. Each is an
//! envelope that the key itself has signed, so that its dates cannot be altered by whoever may write to the store.
//! Whose key it is they cannot say: who verifies must have got the key, or its id, by another way.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::dsse::{Envelope, EnvelopeError};
use super::key::{KeyId, PublicKey, SigningKey};
use crate::stack::Name;

/// DSSE's type of a published key.
const PAYLOAD_TYPE: &str = "application/vnd.drydock.evidence-key+json";

/// The clocks of two machines that sign with one key may differ by this much; more is a fault that `verify` shows.
pub const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// A key and when it signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PublishedKey {
    pub format_version: u32,
    pub key_id: KeyId,
    /// `ed25519`.
    pub algorithm: String,
    /// PEM.
    pub public_key: String,
    pub stack: Name,
    /// When it was first used.
    pub valid_from: Timestamp,
    /// What is signed later does not count; none while it is in use.
    pub valid_until: Option<Timestamp>,
}

impl PublishedKey {
    pub const FORMAT_VERSION: u32 = 1;
    const ALGORITHM: &str = "ed25519";

    #[must_use]
    pub fn new(key: PublicKey, stack: &Name, valid_from: Timestamp) -> Self {
        Self {
            format_version: Self::FORMAT_VERSION,
            key_id: key.id(),
            algorithm: Self::ALGORITHM.into(),
            public_key: key.to_pem(),
            stack: stack.clone(),
            valid_from,
            valid_until: None,
        }
    }

    /// Whether what was signed at `time` counts.
    #[must_use]
    pub fn covers(&self, time: Timestamp) -> bool {
        let after = |limit: Timestamp| time.duration_since(limit) >= -SKEW;
        let before = |limit: Timestamp| time.duration_since(limit) < SKEW;
        after(self.valid_from) && self.valid_until.is_none_or(before)
    }

    /// The object to be stored; `key` must be its own.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> Bytes {
        let json = serde_json::to_vec(self).expect("names, numbers and texts are JSON");
        Envelope::sign(PAYLOAD_TYPE, &json, key).to_bytes().into()
    }

    /// Reads what [`Self::sign`] made, with the key in it, which must have signed it.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn from_bytes(bytes: &[u8]) -> Result<(Self, PublicKey), String> {
        let envelope = Envelope::from_bytes(bytes).map_err(|e| e.to_string())?;
        let json = envelope.unproven_payload().ok_or("its payload is no Base64")?;
        let this = Self::from_json(&json)?;
        let key = PublicKey::from_pem(&this.public_key).map_err(|e| format!("its key: {e}"))?;
        if key.id() != this.key_id || this.algorithm != Self::ALGORITHM {
            return Err("its id is not its key's".into());
        }
        envelope.verify(PAYLOAD_TYPE, key).map_err(|error| match error {
            EnvelopeError::Signature => "its signature is not its own key's: it was altered".to_owned(),
            other => other.to_string(),
        })?;
        Ok((this, key))
    }

    fn from_json(json: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            format_version: u32,
        }
        let Version { format_version } = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        if format_version > Self::FORMAT_VERSION {
            let known = Self::FORMAT_VERSION;
            return Err(format!("it has format version {format_version}; this program reads up to {known}"));
        }
        serde_json::from_slice(json).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_signs_in_its_time() {
        let key = SigningKey::generate().unwrap();
        let from = at("2026-11-23T10:00:00Z");
        let mut published = PublishedKey::new(key.public(), &"shop".parse().unwrap(), from);
        assert!(published.covers(at("2099-01-01T00:00:00Z")));
        published.valid_until = Some(at("2027-11-23T10:00:00Z"));
        let covered = ["2026-11-23T09:54:59Z", "2026-11-23T09:55:00Z", "2027-11-23T10:04:59Z", "2027-11-23T10:05:00Z"]
            .map(|time| published.covers(at(time)));
        assert_eq!(covered, [false, true, true, false]);
        assert_eq!(PublishedKey::from_bytes(&published.sign(&key)).unwrap(), (published, key.public()));
    }

    #[test]
    fn nobody_prolongs_a_key_that_they_do_not_have() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let published = PublishedKey::new(key.public(), &"shop".parse().unwrap(), at("2026-11-23T10:00:00Z"));
        let forged = PublishedKey::from_bytes(&published.sign(&other)).unwrap_err();
        assert!(forged.contains("was altered"), "{forged}");
        let borrowed = PublishedKey { key_id: other.public().id(), ..published.clone() };
        assert!(PublishedKey::from_bytes(&borrowed.sign(&other)).unwrap_err().contains("its id"));
        let bytes = published.sign(&key);
        for at in 0..bytes.len() {
            let mut altered = bytes.to_vec();
            altered[at] ^= 1;
            assert!(PublishedKey::from_bytes(&altered).is_err(), "byte {at}");
        }
    }
}
