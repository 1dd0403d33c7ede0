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

#[cfg(test)]
mod tests {
    use super::*;
    use aes::cipher::{KeyIvInit, StreamCipher};
    use proptest::prelude::*;

    fn cipher(seed: u8) -> Cipher {
        let mut bytes = [0; 64];
        bytes.iter_mut().zip(0..).for_each(|(byte, i)| *byte = seed.wrapping_mul(31).wrapping_add(i));
        Cipher::new(KeyMaterial::from_bytes(&bytes))
    }

    /// D. J. Bernstein, "The Poly1305-AES message-authentication code", appendix B: message, r, k, nonce, MAC.
    #[test]
    fn macs_are_those_of_the_poly1305_aes_paper() {
        let vectors = [
            (
                "f3f6",
                "851fc40c3467ac0be05cc20404f3f700",
                "ec074c835580741701425b623235add6",
                "fb447350c4e868c52ac3275cf9d4327e",
                "f4c633c3044fc145f84f335cb81953de",
            ),
            (
                "",
                "a0f3080000f46400d0c7e9076c834403",
                "75deaa25c09f208e1dc4ce6b5cad3fbf",
                "61ee09218d29b0aaed7e154a2c5509cc",
                "dd3fab2251f11ac759f0887129cc2ee7",
            ),
            (
                "663cea190ffb83d89593f3f476b6bc24d7e679107ea26adb8caf6652d0656136",
                "48443d0bb0d21109c89a100b5ce2c208",
                "6acb5f61a7176dd320c5c1eb2edcdc74",
                "ae212a55399729595dea458bc621ff0e",
                "0ee1c16bb73f0f4fd19881753c01cdbe",
            ),
            (
                "ab0812724a7f1e342742cbed374d94d136c6b8795d45b3819830f2c04491faf0\
                 990c62e48b8018b2c3e4a0fa3134cb67fa83e158c994d961c4cb21095c1bf9",
                "12976a08c4426d0ce8a82407c4f48207",
                "e1a5668a4d5b66a5f68cc5424ed5982d",
                "9ae831e743978d3a23527c7128149e3a",
                "5154ad0d2cb26e01274fc51148491f1b",
            ),
        ];
        for (message, r, k, nonce, mac) in vectors {
            let material = KeyMaterial { encrypt: [1; 32], mac_k: bytes(k), mac_r: bytes(r) };
            let found = Cipher::new(material).mac(&bytes(nonce), &hex::decode(message).unwrap());
            assert_eq!(hex::encode(found), mac, "of {message}");
        }
    }

    fn bytes(text: &str) -> [u8; 16] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    /// Nonces near the counter's ends too: all 16 bytes count, as in Go.
    #[test]
    fn the_stream_is_that_of_another_implementation_with_a_128_bit_counter() {
        let cipher = cipher(3);
        for nonce in [[0; 16], [0xff; 16], [0x7f; 16], bytes("00000000000000000000000000fffffe")] {
            let mut ours = vec![0x5a; 100_000];
            let mut theirs = ours.clone();
            cipher.xor(&nonce, &mut ours);
            ctr::Ctr128BE::<aes::Aes256>::new(&cipher.material.encrypt.into(), &nonce.into())
                .apply_keystream(&mut theirs);
            assert!(ours == theirs, "nonce {}", hex::encode(nonce));
        }
    }

    #[test]
    fn a_fresh_nonce_every_time() {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        cipher(1).seal(b"same", &mut first);
        cipher(1).seal(b"same", &mut second);
        assert_ne!(first[..16], second[..16]);
        assert_ne!(first[16..20], second[16..20]);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let mut sealed = Vec::new();
        cipher(1).seal(b"pack header or blob", &mut sealed);
        let mut plain = Vec::new();
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(cipher(1).open(&damaged, &mut plain), Err(Unauthentic), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(cipher(1).open(&sealed[..length], &mut plain), Err(Unauthentic), "{length} bytes");
        }
    }

    #[test]
    fn the_zero_nonce_is_refused_as_restic_refuses_it() {
        let mut sealed = Vec::new();
        cipher(1).seal_with([0; 16], b"x", &mut sealed);
        assert_eq!(cipher(1).open(&sealed, &mut Vec::new()), Err(Unauthentic));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let cipher = cipher(9);
        let printed = format!("{cipher:?} {:?}", cipher.material());
        assert_eq!(printed, "Cipher(***) KeyMaterial(***)");
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_with_the_same_key_only(plain: Vec<u8>, seed in 0u8..200) {
            let mut sealed = b"before".to_vec();
            cipher(seed).seal(&plain, &mut sealed);
            prop_assert_eq!(sealed.len(), 6 + plain.len() + OVERHEAD);
            let mut opened = b"overwritten".to_vec();
            cipher(seed).open(&sealed[6..], &mut opened).unwrap();
            prop_assert_eq!(&opened, &plain);
            prop_assert_eq!(cipher(seed + 1).open(&sealed[6..], &mut opened), Err(Unauthentic));
        }

        #[test]
        fn master_keys_survive_json(bytes in prop::collection::vec(1u8.., 64)) {
            let material = KeyMaterial::from_bytes(&bytes.try_into().unwrap());
            prop_assert!(KeyMaterial::from_json(&material.to_json()) == Some(material));
        }
    }
}
