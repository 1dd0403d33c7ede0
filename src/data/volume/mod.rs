//! Folders of files: read into a tree, written back, compared. Owns all metadata of Unix files, holes, hard links, and
//! the exchange of a restored copy with a live folder; refuses to follow a symbolic link anywhere below the folder that
//! it was given.
//!
//! All of it is Linux: `openat2`, `statx`, `renameat2`, `SEEK_HOLE`, `/proc/self/fd`.

mod attributes;
mod beneath;
mod blocking;
mod capture;
mod compare;
mod doctor;
mod error;
mod estimate;
mod exclude;
mod folder;
mod in_place;
mod limits;
mod mounts;
mod owners;
mod path;
mod preview;
mod restore;
mod status;
mod trees;
mod zeros;

pub use capture::{CaptureOptions, capture};
pub use compare::{CompareOptions, compare};
pub use doctor::doctor;
pub use error::VolumeError;
pub use estimate::estimate;
pub use in_place::{
    Beside, Exchanged, InPlaceRun, Outcome, Stage, discard_former, fill_beside, restore_in_place, resume, runs,
    set_aside, undo, unfinished,
};
pub use preview::{Into, RestorePreview, plan_restore};
pub use restore::{RestoreOptions, TargetState, is_made_by, release, restore_to, take_back, target_state};
