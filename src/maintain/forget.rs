//! `forget`: drops recovery points that no rule keeps. Owns what is never dropped: the last complete point, the newest
//! that a drill restored, a point that a person keeps, one that a newer drydock wrote; and the order: the point first,
//! then its members, so that nobody sees a point that is not whole.
//!
//! Complete points are counted among themselves, and those that are not complete (partial, broken) among themselves:
//! neither takes the other's place in a rule.

mod apply;
mod plan;

use crate::context::Context;
use crate::point::{Home, PointError, load};
use crate::repository::forget::Policy;

pub use apply::apply;
pub use plan::{Fate, ForgetPlan, StrayFate, policy};

use jiff::tz::TimeZone;

/// What `policy` would drop. For [`apply`] the caller holds an exclusive lock from before this on: with it, no run is
/// under way whose members would look like leftovers.
///
/// # Errors
/// When the repository or the store's clock cannot be asked.
pub async fn plan_forget(home: &Home, policy: &Policy, cx: &Context) -> Result<ForgetPlan, PointError> {
    let now = super::clock::earlier(home, cx).await?;
    let points = load(&home.repository, &home.stack.name).await?;
    Ok(plan::plan(&points, policy, now, &TimeZone::system()))
}
