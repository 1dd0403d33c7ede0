//! Makes a stack's home: first the claim (`stack.json`, created only if absent), then the repository. Twice is fine, and
//! so is being cut off in between.

use secrecy::ExposeSecret;

use super::password;
use crate::context::Context;
use crate::failure::{Category, Failure};
use crate::point::{Claim, PointError, claim, store_spec};
use crate::repository::{KeyCost, Repository, RepositoryError};
use crate::stack::Stack;

/// What `init` found or made.
#[derive(Debug)]
pub struct Made {
    pub repository: Repository,
    /// Whether the repository was made now.
    pub new: bool,
    /// Whether the prefix was claimed now; a repository that was there already has been adopted then.
    pub claimed: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error("the repository's password is too easy to guess: about {bits:.0} bits, where 60 are expected")]
    WeakPassword { bits: f64 },
    #[error(transparent)]
    Point(#[from] PointError),
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

impl Failure for InitError {
    fn category(&self) -> Category {
        match self {
            Self::WeakPassword { .. } => Category::Usage,
            Self::Point(error) => error.category(),
            Self::Repository(error) => error.category(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::WeakPassword { .. } => Some(
                "make one with `openssl rand -base64 32`, or use --allow-weak-password where nobody else can read the \
                 repository"
                    .into(),
            ),
            Self::Point(error) => error.hint(),
            Self::Repository(error) => error.hint(),
        }
    }
}

/// Makes the home of `stack` where the document says, or finds that it is there.
///
/// # Errors
/// `OtherStack` when the prefix is another's; `WrongPassword` when a repository is there that this password does not
/// open; `WeakPassword` for a new one unless `weak_allowed`.
pub async fn init(stack: &Stack, cost: KeyCost, weak_allowed: bool, cx: &Context) -> Result<Made, InitError> {
    let spec = store_spec(stack).map_err(PointError::from)?;
    let secret = stack.spec.repository.password.read().map_err(PointError::from)?;
    let store = crate::storage::create(&spec).await.map_err(PointError::from)?;
    let exists = store.stat("repository/config").await.map_err(PointError::from)?.is_some();
    if !exists && !weak_allowed {
        let bits = password::bits(secret.expose_secret(), &[stack.name.as_str()]);
        if password::is_weak(secret.expose_secret(), &[stack.name.as_str()]) {
            return Err(InitError::WeakPassword { bits });
        }
    }
    let claimed = claim(&store, &stack.name, cx.clock.now()).await? == Claim::Now;
    match Repository::create(store.clone(), &secret, cost).await {
        Ok(repository) => Ok(Made { repository, new: true, claimed }),
        Err(RepositoryError::Exists { .. }) => {
            let repository = Repository::open(store, &secret).await?;
            Ok(Made { repository, new: false, claimed })
        }
        Err(error) => Err(error.into()),
    }
}
