//! Recovery points as they are stored: what names them, what they record, which of them are whole. Owns `stack.json`,
//! `point.json`, `keep.json` and `proven.json` (`docs/formats.md`) and the tags by which their snapshots are found; refuses to read or
//! write a data set's bytes: that is `data`'s, and the order of doing so the verbs'.

mod clock;
mod diff;
mod error;
mod files;
mod find;
mod home;
mod id;
mod keep;
mod list;
mod owner;
mod proven;
mod record;
mod tags;
mod versioned;

pub use clock::store_time;
pub use diff::{Change, How, SetDiff, diff};
pub use error::PointError;
pub use files::{document, folder, named, user};
pub use find::CLOCK_TOLERANCE;
pub use home::{Home, store_spec};
pub use id::PointId;
pub use keep::{Keep, keep, unkeep};
pub use list::{Point, Points, State, Stray, load};
pub use owner::{Claim, Owner, claim, owner};
pub use proven::{Proven, prove};
pub use record::{DataWord, Member, PointRecord, ReferenceRecord};
pub use tags::{Role, keep_tags, member_tags, point_tags, proven_tags, tags_of_people};

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
