//! Where evidence is read from, and whose signatures count.

use std::path::{Path, PathBuf};

use crate::cli::report::Failed;
use crate::cli::session::Session;
use crate::evidence::{Chain, EvidenceError, Examined, PublicKey, PublishedKey, Trust, TrustedKey};
use crate::failure::Category;
use crate::point;
use crate::stack::Stack;

/// The evidence of `-f`'s stack. Looks whose the store is; needs no password of the repository.
pub async fn chain(session: &Session) -> Result<(Stack, Chain), Failed> {
    let stack = session.stack()?;
    let store = crate::storage::open(&point::store_spec(&stack)?).await?;
    point::owner(&store, &stack.name).await?;
    let chain = Chain::new(store, stack.name.clone());
    Ok((stack, chain))
}

/// Reads a public key: PEM, or an object of `evidence/keys/`.
pub fn key(path: &Path) -> Result<TrustedKey, EvidenceError> {
    let wrong = |reason: String| EvidenceError::KeyFile { path: path.to_owned(), reason };
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    if bytes.first() == Some(&b'{') {
        // An editor's or a shell's line end at the end of the file is not the object's.
        let (published, key) = PublishedKey::from_bytes(bytes.trim_ascii_end()).map_err(wrong)?;
        return Ok(TrustedKey { key, published: Some(published) });
    }
    let key = PublicKey::from_pem(&String::from_utf8_lossy(&bytes)).map_err(|error| wrong(error.to_string()))?;
    Ok(TrustedKey { key, published: None })
}

/// The given keys and no others; those beside the evidence where none are given.
pub fn trust(files: &[PathBuf]) -> Result<Trust, EvidenceError> {
    if files.is_empty() {
        return Ok(Trust::Published);
    }
    Ok(Trust::Only(files.iter().map(|file| key(file)).collect::<Result<_, _>>()?))
}

/// The category that a command ends with.
pub fn category(examined: &Examined) -> Option<Category> {
    (!examined.holds()).then_some(Category::Integrity)
}
