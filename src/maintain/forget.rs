//! `forget`: drops recovery points that no rule keeps, and journals of runs that are over. Owns what is never dropped: the
//! last complete point, the newest that a drill restored, a point that a person keeps, one that a run still needs which is
//! not over, one that a newer drydock wrote; and the order: the point first, then its members, so that nobody sees a point that is not whole.
//!
//! Complete points are counted among themselves, and those that are not complete (partial, broken) among themselves:
//! neither takes the other's place in a rule.

mod apply;
mod needed;
mod plan;

use crate::context::Context;
use crate::failure::{Category, Failure};
use crate::point::{Home, PointError, load};
use crate::repository::RepositoryError;
use crate::repository::forget::Policy;
use crate::run::{RunError, journal, restores};

pub use apply::apply;
pub use plan::{Fate, ForgetPlan, StrayFate, policy};

use jiff::tz::TimeZone;

/// What `policy` would drop. For [`apply`] the caller holds an exclusive lock from before this on: with it, no run is
/// under way whose members would look like leftovers.
///
/// # Errors
/// When the repository, the store's clock or the runs that are not over cannot be asked.
pub async fn plan_forget(home: &Home, policy: &Policy, cx: &Context) -> Result<ForgetPlan, ForgetError> {
    let now = super::clock::earlier(home, cx).await?;
    let needed = needed::needed(home, cx).await.map_err(ForgetError::Needed)?;
    let points = load(&home.repository, &home.stack.name).await?;
    let journals = restores::history(&*journal::of(&home.stack, &home.store)).await.unwrap_or_else(|error| {
        // A journal that a person has to look at must not keep what is due from being done.
        tracing::warn!(%error, "the journals of runs that are over stay");
        Vec::new()
    });
    Ok(ForgetPlan { journals, ..plan::plan(&points, &needed, policy, now, &TimeZone::system()) })
}

/// What keeps `forget` from doing what it planned.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    #[error(transparent)]
    Point(#[from] PointError),
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error("cannot ask which recovery points are still needed by runs that are not over")]
    Needed(#[source] RunError),
    #[error("the recovery points are dropped, but the journals of runs that are over could not be removed")]
    Journals(#[from] RunError),
}

impl Failure for ForgetError {
    fn category(&self) -> Category {
        match self {
            Self::Point(error) => error.category(),
            Self::Repository(error) => error.category(),
            Self::Needed(error) | Self::Journals(error) => error.category(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Point(error) => error.hint(),
            Self::Repository(error) => error.hint(),
            Self::Needed(error) | Self::Journals(error) => error.hint(),
        }
    }
}
