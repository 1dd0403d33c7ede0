//! Ed25519 keys (RFC 8032) as others write them: the private one as PKCS#8, the public one as `SubjectPublicKeyInfo`
//! (RFC 8410), both as PEM, so that `openssl genpkey -algorithm ed25519` makes one and `openssl pkey` reads ours.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::stack::Secret;

/// The SHA-256 of the public key's DER form: what `openssl pkey -pubin -outform DER | sha256sum` prints.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId([u8; 32]);

/// Signs. `Debug` shows the id alone; the bytes are wiped from memory when it is dropped.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

/// Verifies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// What stands before the 32 bytes of a key in its one DER form (RFC 8410, §4).
const DER_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("it is no private key as PEM: expected a block that begins with `-----BEGIN PRIVATE KEY-----`")]
    NoPrivateKey,
    #[error("it is no Ed25519 key")]
    NotEd25519,
    #[error("it is no public key as PEM: expected a block that begins with `-----BEGIN PUBLIC KEY-----`")]
    NoPublicKey,
    #[error("the machine's random source gives nothing")]
    Random,
}

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// When the machine has no random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        Self::of(Ed25519KeyPair::generate().map_err(|_| KeyError::Random)?)
    }

    /// Reads a PKCS#8 key from PEM, with or without the public key in it.
    ///
    /// # Errors
    /// What it is instead; never with a part of it.
    pub fn from_pem(pem: &Secret) -> Result<Self, KeyError> {
        let der =
            PrivatePkcs8KeyDer::from_pem_slice(pem.expose_secret().as_bytes()).map_err(|_| KeyError::NoPrivateKey)?;
        Self::of(Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| KeyError::NotEd25519)?)
    }

    /// The key as PEM, for a file that only its owner reads.
    ///
    /// # Errors
    /// Never for a key that was generated or read.
    pub fn to_pem(&self) -> Result<Secret, KeyError> {
        let der = self.pair.to_pkcs8v1().map_err(|_| KeyError::Random)?; // version 1: OpenSSL reads no other
        Ok(pem("PRIVATE KEY", der.as_ref()).into())
    }

    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    fn of(pair: Ed25519KeyPair) -> Result<Self, KeyError> {
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError::NotEd25519)?;
        Ok(Self { pair, public: PublicKey(public) })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.id())
    }
}

impl PublicKey {
    /// # Errors
    /// What it is instead.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()).map_err(|_| KeyError::NoPublicKey)?;
        let key = der.as_ref().strip_prefix(&DER_HEAD).and_then(|key| key.try_into().ok());
        key.map(Self).ok_or(KeyError::NotEd25519)
    }

    #[must_use]
    pub fn to_pem(self) -> String {
        pem("PUBLIC KEY", &self.der())
    }

    #[must_use]
    pub fn id(self) -> KeyId {
        KeyId(Sha256::digest(self.der()).into())
    }

    pub(super) fn verifies(self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }

    fn der(self) -> Vec<u8> {
        [&DER_HEAD[..], &self.0].concat()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

/// One line of Base64 is enough: both kinds have fewer than 49 bytes.
fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

impl KeyId {
    /// The first sixteen digits.
    #[must_use]
    pub fn short(&self) -> String {
        hex::encode(&self.0[..8])
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| format!("`{text}` is not a key's id: 64 hexadecimal digits are expected"))?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for KeyId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, §7.1, test 1: seed, public key, and the signature of the empty message.
    const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    const SIGNATURE: &str = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";

    fn rfc_key() -> SigningKey {
        let der = [hex::decode("302e020100300506032b657004220420").unwrap(), hex::decode(SEED).unwrap()].concat();
        SigningKey::from_pem(&pem("PRIVATE KEY", &der).into()).unwrap()
    }

    #[test]
    fn it_signs_as_the_rfc_does() {
        let key = rfc_key();
        assert_eq!(hex::encode(key.public().0), PUBLIC);
        assert_eq!(hex::encode(key.sign(b"")), SIGNATURE);
        assert!(key.public().verifies(b"", &hex::decode(SIGNATURE).unwrap()));
        assert!(!key.public().verifies(b" ", &hex::decode(SIGNATURE).unwrap()));
    }

    #[test]
    fn keys_are_read_back_and_nothing_shows_a_private_one() {
        let key = SigningKey::generate().unwrap();
        let pem = key.to_pem().unwrap();
        let again = SigningKey::from_pem(&pem).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(PublicKey::from_pem(&key.public().to_pem()).unwrap(), key.public());
        assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.public().id()));
        let body = pem.expose_secret().lines().nth(1).unwrap();
        let broken = pem.expose_secret().replace(&body[..8], "AAAAAAAA");
        let refusals = [
            SigningKey::from_pem(&"hunter2".into()).unwrap_err(),
            SigningKey::from_pem(&key.public().to_pem().into()).unwrap_err(),
            SigningKey::from_pem(&broken.into()).unwrap_err(),
        ];
        assert!(refusals.iter().all(|e| !e.to_string().contains("hunter2") && !e.to_string().contains(&body[10..20])));
        assert_eq!(PublicKey::from_pem(pem.expose_secret()).unwrap_err(), KeyError::NoPublicKey);
    }

    #[test]
    fn keys_of_other_kinds_are_told() {
        // P-256, by `openssl ecparam -name prime256v1 -genkey -noout | openssl pkey -pubout`
        let p256 = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n-----END PUBLIC KEY-----\n";
        assert!(matches!(PublicKey::from_pem(p256), Err(KeyError::NotEd25519)));
    }
}
