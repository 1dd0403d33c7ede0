//! A stack's place in the store: its prefix, and the repository below it.

use std::time::Duration;

use super::{Owner, PointError, owner};
use crate::context::Context;
use crate::repository::{Lock, LockKind, Repository, RepositoryError};
use crate::stack::{SecretError, SecretSource, Stack};
use crate::storage::{Limits, S3Credentials, S3Spec, SharedStore, StoreSpec};

/// An opened stack: the document, where it is stored, its repository.
#[derive(Debug, Clone)]
pub struct Home {
    pub stack: Stack,
    pub store: SharedStore,
    pub repository: Repository,
    pub owner: Owner,
}

impl Home {
    /// Opens what `drydock init` made; looks first whose it is, because a password of another stack says nothing.
    ///
    /// # Errors
    /// `NotInitialised` or `Missing` where `init` has not been, `OtherStack`, or what the store and the password say.
    pub async fn open(stack: Stack) -> Result<Self, PointError> {
        let store = crate::storage::open(&store_spec(&stack)?).await?;
        let owner = owner(&store, &stack.name).await?;
        let password = stack.spec.repository.password.read()?;
        let repository = Repository::open(store.clone(), &password).await?;
        Ok(Self { stack, store, repository, owner })
    }

    /// The same place, whose index and buffers are of its own: what a run comes to hold in memory goes with it.
    #[must_use]
    pub fn afresh(&self) -> Self {
        Self { repository: self.repository.afresh(), ..self.clone() }
    }

    /// Does `work` under a lock of the repository, waiting up to `wait` for it, and releases it whatever happens.
    ///
    /// # Errors
    /// `LockLost` before anything that broke because of it; otherwise what `work` says.
    pub async fn locked<T, E: From<RepositoryError>>(
        &self,
        kind: LockKind,
        wait: Duration,
        cx: &Context,
        work: impl AsyncFnOnce(&Lock) -> Result<T, E>,
    ) -> Result<T, E> {
        let lock = self.repository.lock(kind, wait, cx).await?;
        let result = match self.repository.refresh_index().await {
            Ok(()) => work(&lock).await,
            Err(error) => Err(error.into()),
        };
        match lock.release().await {
            Err(lost @ RepositoryError::LockLost { .. }) => Err(lost.into()),
            Err(error) => {
                // What was done is done and was protected; a lock that is left dies with this process.
                tracing::warn!(%error, "the lock could not be removed");
                result
            }
            Ok(()) => result,
        }
    }
}

/// What the document says of its store, with the credentials read.
///
/// # Errors
/// When a credential cannot be read.
pub fn store_spec(stack: &Stack) -> Result<StoreSpec, SecretError> {
    let spec = &stack.spec.repository;
    let read = |source: &Option<SecretSource>| source.as_ref().map(SecretSource::read).transpose();
    let mut s3 = S3Spec::default();
    if let Some(said) = &spec.s3 {
        s3.endpoint.clone_from(&said.endpoint);
        s3.region.clone_from(&said.region);
        s3.path_style = said.path_style;
        s3.ca_file.clone_from(&said.ca_file);
        if let (Some(access_key_id), Some(secret_access_key)) =
            (read(&said.access_key_id)?, read(&said.secret_access_key)?)
        {
            let session_token = read(&said.session_token)?;
            s3.credentials = Some(S3Credentials { access_key_id, secret_access_key, session_token });
        }
    }
    let default = Limits::default();
    let limits = Limits {
        upload: spec.limits.upload.map(|rate| rate.0),
        download: spec.limits.download.map(|rate| rate.0),
        concurrency: spec.limits.concurrency.unwrap_or(default.concurrency),
    };
    Ok(StoreSpec { location: spec.location.to_string(), s3, limits, ..StoreSpec::default() })
}
