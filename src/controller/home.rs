//! A stack's place in the store, made where it never was. One that was there and is gone is never made anew: its journals
//! say what was done already.

use super::{ControllerError, Shared};
use crate::cluster::status::StackStatus;
use crate::cluster::{Kind, Seen};
use crate::context::Context;
use crate::failure::{Category, Failure};
use crate::maintain::init::init;
use crate::point::{Home, PointError};
use crate::repository::KeyCost;
use crate::stack::Stack;

/// Whose field `status.repository` is: the rest of the status is written elsewhere.
const MANAGER: &str = "drydock-repository";

/// Opens it; `stack` knows its secrets.
///
/// # Errors
/// `RepositoryGone`, `OtherRepository`; what the store and the password say.
pub async fn open(shared: &Shared, seen: &Seen, stack: Stack, cx: &Context) -> Result<Home, ControllerError> {
    // Asked anew: what the watch holds may be older than what this process wrote.
    let now = shared.own.seen(Kind::Stack, &seen.namespace, &seen.name).await?;
    let recorded = now.filter(|now| now.uid == seen.uid).and_then(|now| now.status::<StackStatus>().repository);
    let location = stack.spec.repository.location.to_string();
    let home = match (Home::open(stack.clone()).await, &recorded) {
        (Ok(home), _) => home,
        (Err(error), None) if is_missing(&error) => {
            tracing::info!(stack = seen.name, location, "the stack's repository is made");
            init(&stack, KeyCost::default(), false, cx).await?;
            Home::open(stack).await?
        }
        (Err(error), Some(was)) if is_missing(&error) => {
            return Err(ControllerError::RepositoryGone { was: was.clone(), location });
        }
        (Err(error), _) => return Err(error.into()),
    };
    let id = home.repository.id().to_owned();
    match recorded {
        Some(was) if was != id => Err(ControllerError::OtherRepository { was, now: id, location }),
        Some(_) => Ok(home),
        None => {
            let status = StackStatus { repository: Some(id), ..StackStatus::default() };
            shared.own.publish(seen, MANAGER, &status).await?;
            Ok(home)
        }
    }
}

fn is_missing(error: &PointError) -> bool {
    error.category() == Category::RepositoryMissing
}
