//! Brings a recovery point back, or a part of it. Owns the order plan → provision → fill → verify → promote over all data
//! sets, and that what is live is replaced by what was verified only; what each kind does at each step lives in `data/`.
//! Refuses to touch live data before a complete recovery point of it is there.

mod after;
mod back;
mod beside;
mod copy;
mod database;
mod error;
mod evidence;
mod folder;
mod gate;
mod in_place;
pub mod kept;
mod learned;
mod mend;
mod phases;
mod plan;
mod preview;
mod promote;
mod references;
mod report;
mod root;
mod safety;
mod trouble;
mod work;

pub use after::{After, AfterWork};
pub use copy::{Work as CopyWork, elsewhere, phases as copy_phases};
pub use error::{Left, RestoreError};
pub(crate) use evidence::{data_proof, disclosed, objectives, proven_point};
pub use in_place::phases;
pub use learned::{Learned, mended};
pub use plan::{Options, Part, RestorePlan, Target, plan};
pub use preview::{Action, PartPreview, Preview, preview};
pub use report::{ComparedReference, EvidenceLeft, Former, Report, RestoredSet, SetAside};
pub(crate) use root::of as folder_of_member;
pub use work::Work;
