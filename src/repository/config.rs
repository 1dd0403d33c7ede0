//! The `config` file: format version, the repository's id, and the polynomial that makes its chunk borders its own.

use serde::{Deserialize, Serialize};

use super::polynomial::Polynomial;

/// The only format version that drydock reads and writes.
pub const VERSION: u32 = 2;

/// Source: restic `doc/design.rst`, "Repository Format".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    pub version: u32,
    /// 32 random bytes as hexadecimal.
    pub id: String,
    pub chunker_polynomial: Polynomial,
}

impl Config {
    /// A new repository's.
    pub fn random() -> Self {
        let mut id = [0; 32];
        rand::fill(&mut id[..]);
        Self { version: VERSION, id: hex::encode(id), chunker_polynomial: Polynomial::random() }
    }
}
