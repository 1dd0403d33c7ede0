//! Sealing and opening: AES-256 in counter mode with Poly1305-AES over the ciphertext, as `nonce ‖ ciphertext ‖ MAC`.
//! Source: restic `doc/design.rst`, "Keys, Encryption and MAC", and `internal/crypto/crypto.go`.

use std::fmt;

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use poly1305::Poly1305;
use poly1305::universal_hash::UniversalHash;
use secrecy::zeroize::{Zeroize, ZeroizeOnDrop};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

const NONCE: usize = 16;
const MAC: usize = 16;

/// How much longer sealed bytes are than plain ones.
pub const OVERHEAD: usize = NONCE + MAC;

/// The MAC of sealed bytes does not fit: another key, or damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unauthentic;

/// The 64 secret bytes behind a [`Cipher`]; wiped on drop, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyMaterial {
    encrypt: [u8; 32],
    mac_k: [u8; 16],
    /// Unmasked, as restic stores it; Poly1305 clamps it itself.
    mac_r: [u8; 16],
}

impl KeyMaterial {
    /// Fresh random keys.
    pub fn random() -> Self {
        let mut bytes = [0; 64];
        rand::fill(&mut bytes[..]);
        let material = Self::from_bytes(&bytes);
        bytes.zeroize();
        material
    }

    /// The order in which scrypt's output is used: encryption, then the MAC's k and r.
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let mut material = Self { encrypt: [0; 32], mac_k: [0; 16], mac_r: [0; 16] };
        material.encrypt.copy_from_slice(&bytes[..32]);
        material.mac_k.copy_from_slice(&bytes[32..48]);
        material.mac_r.copy_from_slice(&bytes[48..]);
        material
    }

    /// As restic stores the master key: `{"mac":{"k":…,"r":…},"encrypt":…}`.
    pub fn to_json(&self) -> Vec<u8> {
        let json =
            KeyJson { mac: MacJson { k: encode(&self.mac_k), r: encode(&self.mac_r) }, encrypt: encode(&self.encrypt) };
        serde_json::to_vec(&json).expect("three strings always serialise")
    }

    /// `None` when it is not a key: not that JSON, lengths that do not fit, or all zeros, which restic refuses too.
    pub fn from_json(json: &[u8]) -> Option<Self> {
        let parsed: KeyJson = serde_json::from_slice(json).ok()?;
        let material =
            Self { encrypt: decode(&parsed.encrypt)?, mac_k: decode(&parsed.mac.k)?, mac_r: decode(&parsed.mac.r)? };
        let zero = material.encrypt == [0; 32] || material.mac_k == [0; 16] || material.mac_r == [0; 16];
        (!zero).then_some(material)
    }
}

impl Drop for KeyMaterial {
    fn drop(&mut self) {
        self.encrypt.zeroize();
        self.mac_k.zeroize();
        self.mac_r.zeroize();
    }
}

impl ZeroizeOnDrop for KeyMaterial {}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyMaterial(***)")
    }
}

#[derive(Serialize, Deserialize)]
struct KeyJson {
    mac: MacJson,
    encrypt: String,
}

#[derive(Serialize, Deserialize)]
struct MacJson {
    k: String,
    r: String,
}

impl Drop for KeyJson {
    fn drop(&mut self) {
        self.encrypt.zeroize();
        self.mac.k.zeroize();
        self.mac.r.zeroize();
    }
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).ok()?.try_into().ok()
}

/// A key made ready for use; shared by all threads.
pub struct Cipher {
    material: KeyMaterial,
    stream: EncryptingKey,
    nonce_cipher: Aes128,
}

impl Cipher {
    pub fn new(material: KeyMaterial) -> Self {
        let unbound = UnboundCipherKey::new(&AES_256, &material.encrypt).expect("the key has AES-256's 32 bytes");
        let stream = EncryptingKey::ctr(unbound).expect("AES-256 has a counter mode");
        let nonce_cipher = Aes128::new(&material.mac_k.into());
        Self { material, stream, nonce_cipher }
    }

    pub fn material(&self) -> &KeyMaterial {
        &self.material
    }

    /// Appends `plain`, sealed under a fresh random nonce, to `out`.
    pub fn seal(&self, plain: &[u8], out: &mut Vec<u8>) {
        let mut nonce = [0; NONCE];
        rand::fill(&mut nonce[..]);
        self.seal_with(nonce, plain, out);
    }

    fn seal_with(&self, nonce: [u8; NONCE], plain: &[u8], out: &mut Vec<u8>) {
        out.reserve(plain.len() + OVERHEAD);
        out.extend_from_slice(&nonce);
        let start = out.len();
        out.extend_from_slice(plain);
        self.xor(&nonce, &mut out[start..]);
        let mac = self.mac(&nonce, &out[start..]);
        out.extend_from_slice(&mac);
    }

    /// Replaces `plain` by what `sealed` holds.
    pub fn open(&self, sealed: &[u8], plain: &mut Vec<u8>) -> Result<(), Unauthentic> {
        plain.clear();
        let (nonce, ciphertext) = self.authenticate(sealed)?;
        plain.extend_from_slice(ciphertext);
        self.xor(&nonce, plain);
        Ok(())
    }

    fn authenticate<'a>(&self, sealed: &'a [u8]) -> Result<([u8; NONCE], &'a [u8]), Unauthentic> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE>().ok_or(Unauthentic)?;
        let (ciphertext, mac) = rest.split_last_chunk::<MAC>().ok_or(Unauthentic)?;
        let expected = self.mac(nonce, ciphertext);
        // restic refuses the zero nonce too: only a defect or an attack writes it
        if bool::from(expected.ct_eq(mac)) && *nonce != [0; NONCE] {
            Ok((*nonce, ciphertext))
        } else {
            Err(Unauthentic)
        }
    }

    /// Encrypts and decrypts: counter mode is its own inverse.
    fn xor(&self, nonce: &[u8; NONCE], bytes: &mut [u8]) {
        let context = EncryptionContext::Iv128(FixedLength::from(*nonce));
        self.stream.less_safe_encrypt(bytes, context).expect("counter mode takes any length and a 16-byte nonce");
    }

    /// Poly1305 of `ciphertext` under r and AES(k, nonce).
    fn mac(&self, nonce: &[u8; NONCE], ciphertext: &[u8]) -> [u8; MAC] {
        let mut key = [0; 32];
        key[..16].copy_from_slice(&self.material.mac_r);
        key[16..].copy_from_slice(nonce);
        let (_, pad) = key.split_at_mut(16);
        self.nonce_cipher.encrypt_block(pad.try_into().expect("16 of 32 bytes are left"));
        let mut poly = Poly1305::new(&key.into());
        key.zeroize();
        // many blocks at once take the vector path, one by one they do not
        let (blocks, _) = poly1305::Block::slice_as_chunks(ciphertext);
        poly.update(blocks);
        poly.compute_unpadded(&ciphertext[blocks.len() * 16..]).into()
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher(***)")
    }
}
