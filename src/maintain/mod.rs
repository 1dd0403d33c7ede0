//! Looking after what is stored: `init` makes a stack's home, `doctor` looks at everything that a snapshot and a
//! restore will use, `check`, `forget`, `prune`, `unlock`, `key` and `repair` keep the repository. Owns the rules about
//! recovery points in these; what a pack or an index is belongs to `repository`.

pub mod check;
mod clock;
pub mod doctor;
pub mod forget;
pub mod init;
pub mod password;
