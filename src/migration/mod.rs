//! How the components' own migrations are brought from one version to the next: what state a database is in, what comes
//! next, when it is done, and what must not be done at all. Owns the adapters' rules (Kong, Chatwoot, Strapi), the mandatory
//! stops between versions, and the Job that a migration runs in. Refuses to know runs, fences and recovery points, and never
//! believes an exit code: each adapter decides by what the database says.

pub mod chatwoot;
pub mod derive;
pub mod facts;
pub mod gate;
pub mod jobs;
pub mod kong;
pub mod paths;
pub mod strapi;
pub mod version;

pub use derive::{DeriveError, Wanted, derive};
pub use paths::{Refused, hops};
pub use version::Version;
