//! The Dead Simple Signing Envelope (DSSE 1.0, <https://github.com/secure-systems-lab/dsse>), with one Ed25519
//! signature. What is signed are the payload's bytes as they lie in the envelope, so that no JSON ever has to be
//! brought into one form before it is verified.
//!
//! drydock writes an envelope in one way only and reads no other, so that every one of its bytes counts: what a
//! reader of DSSE might take for the same (white space, escapes, the other Base64, a second signature) is altered.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::key::{KeyId, PublicKey, SigningKey};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    payload_type: String,
    /// Standard Base64.
    payload: String,
    signatures: [Signature; 1],
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    keyid: KeyId,
    /// Standard Base64 of 64 bytes.
    sig: String,
}

/// Why an envelope says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    #[error("it is no envelope as drydock writes them: {0}")]
    Malformed(String),
    #[error("its payload is of the type `{found}`, not `{expected}`")]
    Type { found: String, expected: &'static str },
    #[error("its signature is not the key's: it was altered after it was signed, or signed with another key")]
    Signature,
}

impl Envelope {
    /// Signs `payload`.
    #[must_use]
    pub fn sign(payload_type: &'static str, payload: &[u8], key: &SigningKey) -> Self {
        let sig = key.sign(&pae(payload_type, payload));
        let signature = Signature { keyid: key.public().id(), sig: STANDARD.encode(sig) };
        Self { payload_type: payload_type.to_owned(), payload: STANDARD.encode(payload), signatures: [signature] }
    }

    /// The bytes to be stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an envelope holds only texts")
    }

    /// Reads what [`Self::to_bytes`] wrote; verifies nothing but the form.
    ///
    /// # Errors
    /// `Malformed` where a single byte is not as drydock would have written it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let envelope: Self =
            serde_json::from_slice(bytes).map_err(|error| EnvelopeError::Malformed(error.to_string()))?;
        if envelope.to_bytes() != bytes {
            let what = "the same could be written otherwise, and drydock would have";
            return Err(EnvelopeError::Malformed(what.into()));
        }
        Ok(envelope)
    }

    /// Which key it says that it was signed with: a hint for finding the key, proof of nothing.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.signatures[0].keyid
    }

    /// The payload, if `key` signed it as a `payload_type`.
    ///
    /// # Errors
    /// Why it says nothing.
    pub fn verify(&self, payload_type: &'static str, key: PublicKey) -> Result<Vec<u8>, EnvelopeError> {
        let decode = |what: &str, text: &str| {
            STANDARD.decode(text).map_err(|error| EnvelopeError::Malformed(format!("{what} is no Base64: {error}")))
        };
        let payload = decode("the payload", &self.payload)?;
        let sig = decode("the signature", &self.signatures[0].sig)?;
        if self.payload_type != payload_type {
            return Err(EnvelopeError::Type { found: self.payload_type.clone(), expected: payload_type });
        }
        let is_signed = key.id() == self.key_id() && key.verifies(&pae(payload_type, &payload), &sig);
        if is_signed { Ok(payload) } else { Err(EnvelopeError::Signature) }
    }

    /// The payload without any proof, to tell people what an altered or unknown record claims to be.
    pub(super) fn unproven_payload(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.payload).ok()
    }
}

/// What is signed: DSSE's pre-authentication encoding of type and payload, lengths in bytes.
fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TYPE: &str = "application/vnd.in-toto+json";

    #[test]
    fn what_is_signed_is_what_the_specification_prints() {
        let signed = pae("http://example.com/HelloWorld", b"hello world");
        assert_eq!(signed, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
        assert_eq!(pae("tybé", b"x"), "DSSEv1 5 tybé 1 x".as_bytes(), "bytes are counted, not characters");
    }

    #[test]
    fn no_byte_of_an_envelope_can_be_altered() {
        let key = SigningKey::generate().unwrap();
        let bytes = Envelope::sign(TYPE, br#"{"proof": true}"#, &key).to_bytes();
        let verified = |bytes: &[u8]| Envelope::from_bytes(bytes).and_then(|e| e.verify(TYPE, key.public()));
        assert_eq!(verified(&bytes).unwrap(), br#"{"proof": true}"#);
        for at in 0..bytes.len() {
            for other in (0..=255u8).filter(|other| *other != bytes[at]) {
                let mut altered = bytes.clone();
                altered[at] = other;
                assert!(verified(&altered).is_err(), "byte {at}: {} became {other}", bytes[at]);
            }
        }
    }

    #[test]
    fn what_reads_the_same_but_is_written_otherwise_is_refused() {
        let key = SigningKey::generate().unwrap();
        let text = String::from_utf8(Envelope::sign(TYPE, b"{}", &key).to_bytes()).unwrap();
        let same = [
            format!("{text}\n"),
            text.replace("\":", "\": "),
            text.replace("payloadType", "p\\u0061yloadType"),
            text.replace("vnd.in-toto", "vnd\\u002ein-toto"),
        ];
        for other in same {
            let error = Envelope::from_bytes(other.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("written otherwise"), "{other}: {error}");
        }
        let twice = text.replace("\"payload\":", "\"payload\":\"e30=\",\"payload\":");
        assert!(Envelope::from_bytes(twice.as_bytes()).is_err());
    }

    #[test]
    fn another_type_and_another_key_are_told() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let envelope = Envelope::sign("text/plain", b"{}", &key);
        assert!(matches!(envelope.verify(TYPE, key.public()), Err(EnvelopeError::Type { .. })));
        assert_eq!(envelope.verify("text/plain", other.public()), Err(EnvelopeError::Signature));
    }

    proptest! {
        #[test]
        fn it_reads_back(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let key = SigningKey::generate().unwrap();
            let bytes = Envelope::sign(TYPE, &payload, &key).to_bytes();
            prop_assert_eq!(Envelope::from_bytes(&bytes).unwrap().verify(TYPE, key.public()).unwrap(), payload);
        }

        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            Envelope::from_bytes(&bytes).ok();
        }
    }
}
