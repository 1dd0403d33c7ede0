//! How many files this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lifts the soft limit (often 1,024) to the hard one: a walk holds one handle for each level that it is deep, and a
/// restore many files at once. Where that is refused the walk fails at its depth, with the path.
pub(super) fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).ok();
    }
}
