//! Key files: the master key sealed under a password, several for one repository. Owns scrypt and the rule that
//! nobody is locked out; refuses to write a key that was not opened again.
//! Source: restic `doc/design.rst`, "Keys, Encryption and MAC".

use jiff::Timestamp;
use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroize;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::crypto::{Cipher, KeyMaterial, OVERHEAD};
use super::{FileKind, KeyId, Lock, LockKind, Repository, RepositoryError};
use crate::stack::Secret;
use crate::storage::{SharedStore, StorageError};

/// What scrypt costs whoever tries passwords; stored in each key, so that a change touches new keys only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyCost {
    pub log_n: u8,
    pub r: u32,
    pub p: u32,
}

impl Default for KeyCost {
    /// N = 2¹⁵, r = 8 as restic's calibration arrives at on today's machines (it allows 60 MB, so N stops there), and
    /// p = 3, which the OWASP password storage sheet lists as equal to N = 2¹⁷, p = 1: 32 MiB of memory instead of
    /// 128, of which drydock's 256 MiB leave no room. Fixed and not calibrated: a loaded machine must not make weak keys.
    fn default() -> Self {
        Self { log_n: 15, r: 8, p: 3 }
    }
}

impl KeyCost {
    /// Next to nothing: for tests, and for passwords that are random keys themselves. Never for one that a person chose.
    #[must_use]
    pub const fn negligible() -> Self {
        Self { log_n: 4, r: 8, p: 1 }
    }

    /// More memory than this is refused when a key asks for it: a hostile store could otherwise exhaust us. restic's
    /// own limit for what it writes is 60 MB.
    const MAX_MEMORY: u64 = 1 << 30;

    fn params(self) -> Option<scrypt::Params> {
        let memory = (1_u64.checked_shl(self.log_n.into())?).checked_mul(128)?.checked_mul(self.r.into())?;
        if memory > Self::MAX_MEMORY || self.p > 1_024 {
            return None;
        }
        scrypt::Params::new(self.log_n, self.r, self.p).ok()
    }
}

/// One key as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyInfo {
    pub id: KeyId,
    /// Whether this process opened the repository with it.
    pub current: bool,
    pub created: Timestamp,
    pub username: String,
    pub hostname: String,
}

/// A key file's JSON, restic's field names.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct KeyFile {
    created: Timestamp,
    #[serde(default)]
    username: String,
    #[serde(default)]
    hostname: String,
    kdf: String,
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
    salt: String,
    data: String,
}

/// Why one key file did not open.
enum NotOpened {
    WrongPassword,
    Damaged(&'static str),
}

impl KeyFile {
    /// Seals `master` under `password`. Slow on purpose.
    fn seal(master: &KeyMaterial, password: &str, cost: KeyCost) -> Self {
        let mut salt = [0; 64];
        rand::fill(&mut salt[..]);
        let params = cost.params().expect("costs that the program asks for are within its own limits");
        let mut json = master.to_json();
        let mut data = Vec::with_capacity(json.len() + OVERHEAD);
        derive(password, &salt, &params).seal(&json, &mut data);
        json.zeroize();
        Self {
            created: Timestamp::now(),
            username: uzers::get_current_username().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
            hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            kdf: "scrypt".into(),
            n: 1 << cost.log_n,
            r: cost.r,
            p: cost.p,
            salt: base64(&salt),
            data: base64(&data),
        }
    }

    /// The master key. Slow on purpose.
    fn open(&self, password: &str) -> Result<KeyMaterial, NotOpened> {
        if self.kdf != "scrypt" {
            return Err(NotOpened::Damaged("its key derivation is not scrypt"));
        }
        let cost = KeyCost { log_n: self.log_n()?, r: self.r, p: self.p };
        let params = cost.params().ok_or(NotOpened::Damaged("its scrypt parameters are out of bounds"))?;
        let salt = unbase64(&self.salt)?;
        let sealed = unbase64(&self.data)?;
        let mut json = Vec::new();
        derive(password, &salt, &params).open(&sealed, &mut json).map_err(|_| NotOpened::WrongPassword)?;
        let master = KeyMaterial::from_json(&json).ok_or(NotOpened::Damaged("it holds no master key"));
        json.zeroize();
        master
    }

    fn log_n(&self) -> Result<u8, NotOpened> {
        let log_n = self.n.is_power_of_two().then(|| self.n.trailing_zeros());
        log_n.and_then(|n| u8::try_from(n).ok()).ok_or(NotOpened::Damaged("its scrypt N is not a power of two"))
    }
}

fn derive(password: &str, salt: &[u8], params: &scrypt::Params) -> Cipher {
    let mut bytes = [0; 64];
    scrypt::scrypt(password.as_bytes(), salt, params, &mut bytes).expect("64 bytes are a length that scrypt gives");
    let cipher = Cipher::new(KeyMaterial::from_bytes(&bytes));
    bytes.zeroize();
    cipher
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn unbase64(text: &str) -> Result<Vec<u8>, NotOpened> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| NotOpened::Damaged("it holds invalid base64"))
}

/// A key that opened, and what it held.
pub(super) struct OpenedKey {
    pub id: KeyId,
    pub master: KeyMaterial,
}

/// Opens one key file; `Ok(None)` when the password is not its own.
pub(super) async fn open(
    store: &SharedStore,
    id: KeyId,
    password: &Secret,
) -> Result<Option<OpenedKey>, RepositoryError> {
    let bytes = store.get(&FileKind::Key.key(&id.0)).await?;
    let damaged = |how: &str| RepositoryError::Damaged { what: format!("key {id}"), how: how.into() };
    if <[u8; 32]>::from(Sha256::digest(&bytes)) != id.0 {
        return Err(damaged("its bytes do not hash to its name"));
    }
    let file: KeyFile = serde_json::from_slice(&bytes).map_err(|e| damaged(&format!("it is not a key's JSON: {e}")))?;
    let password = password.clone();
    match on_a_thread(move || file.open(password.expose_secret())).await {
        Ok(master) => Ok(Some(OpenedKey { id, master })),
        Err(NotOpened::WrongPassword) => Ok(None),
        Err(NotOpened::Damaged(how)) => Err(damaged(how)),
    }
}

/// Writes a key for `master` and opens it again from the store: a key that does not open would lock its owner out.
pub(super) async fn add(
    store: &SharedStore,
    master: &KeyMaterial,
    password: &Secret,
    cost: KeyCost,
) -> Result<KeyId, RepositoryError> {
    let (sealing, secret) = (master.clone(), password.clone());
    let file = on_a_thread(move || KeyFile::seal(&sealing, secret.expose_secret(), cost)).await;
    let json = serde_json::to_vec(&file).expect("a key file always serialises");
    let id = KeyId(Sha256::digest(&json).into());
    store.put(&FileKind::Key.key(&id.0), vec![json.into()]).await?;
    match open(store, id, password).await? {
        Some(opened) if opened.master == *master => Ok(id),
        _ => Err(RepositoryError::Damaged { what: format!("key {id}"), how: "it does not open after writing".into() }),
    }
}

/// scrypt takes most of a second: not on a thread that serves others.
async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("key derivation neither panics nor is aborted")
}

impl Repository {
    /// Every key, oldest first.
    ///
    /// # Errors
    /// [`RepositoryError::Damaged`] with the key's id when one is not readable.
    pub async fn keys(&self) -> Result<Vec<KeyInfo>, RepositoryError> {
        let mut keys = Vec::new();
        for meta in self.list_files(FileKind::Key).await? {
            let id = KeyId(meta.id);
            let bytes = match self.store().get(&FileKind::Key.key(&id.0)).await {
                Err(StorageError::NotFound { .. }) => continue, // removed since it was listed
                other => other?,
            };
            let file: KeyFile = serde_json::from_slice(&bytes)
                .map_err(|e| RepositoryError::Damaged { what: format!("key {id}"), how: e.to_string() })?;
            let KeyFile { created, username, hostname, .. } = file;
            keys.push(KeyInfo { id, current: id == self.current_key(), created, username, hostname });
        }
        keys.sort_by_key(|key| (key.created, key.id));
        Ok(keys)
    }

    /// Lets a further password open the repository; verified before it is returned.
    pub async fn add_key(&self, password: &Secret, cost: KeyCost) -> Result<KeyId, RepositoryError> {
        add(self.store(), self.cipher().material(), password, cost).await
    }

    /// Removes a key, so that its password opens nothing any more. Under the exclusive lock, or two that each remove the
    /// other's key would leave a repository that nobody can open.
    ///
    /// # Errors
    /// [`RepositoryError::KeyInUse`] for the key that this process opened the repository with: it is the proof that
    /// some password is still known, so the last one can never be removed either. `KeyGone` when somebody removed that
    /// one meanwhile.
    pub async fn remove_key(&self, id: &KeyId, lock: &Lock) -> Result<(), RepositoryError> {
        if *id == self.current_key() {
            return Err(RepositoryError::KeyInUse { id: *id });
        }
        self.proves_a_password(lock).await?;
        if !self.list_files(FileKind::Key).await?.iter().any(|meta| meta.id == id.0) {
            return Err(RepositoryError::NoSuchKey { id: *id });
        }
        self.remove_file(FileKind::Key, &id.0).await
    }

    /// Replaces the key in use by one with another password: first the new one is written and verified, then the
    /// former removed. A crash in between leaves both. Under the exclusive lock, as [`Self::remove_key`].
    ///
    /// # Errors
    /// `KeyGone` when somebody removed the key in use meanwhile: whoever changed it first has decided.
    pub async fn change_key(&self, password: &Secret, cost: KeyCost, lock: &Lock) -> Result<KeyId, RepositoryError> {
        self.proves_a_password(lock).await?;
        let former = self.current_key();
        let new = self.add_key(password, cost).await?;
        self.set_current_key(new);
        self.remove_file(FileKind::Key, &former.0).await?;
        Ok(new)
    }

    /// Before a key goes: is the one that opened the repository still there? A key is named by the hash of its bytes, so
    /// those that hash to its name open with the password that opened them before, and no second scrypt is needed.
    async fn proves_a_password(&self, lock: &Lock) -> Result<(), RepositoryError> {
        if lock.kind() != LockKind::Exclusive {
            return Err(RepositoryError::NotExclusive);
        }
        let id = self.current_key();
        match self.store().get(&FileKind::Key.key(&id.0)).await {
            Ok(bytes) if <[u8; 32]>::from(Sha256::digest(&bytes)) == id.0 => Ok(()),
            Ok(_) => {
                let how = "its bytes do not hash to its name".into();
                Err(RepositoryError::Damaged { what: FileKind::Key.name(&id.0), how })
            }
            Err(StorageError::NotFound { .. }) => Err(RepositoryError::KeyGone { id }),
            Err(error) => Err(error.into()),
        }
    }
}
