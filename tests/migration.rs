//! What is read of the applications' own bookkeeping, out of real databases: of the oldest server and a newer one, and of
//! Kong's stand-in where Go can build it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "migration/gate.rs"]
mod gate;
#[path = "migration/kong.rs"]
mod kong;
#[path = "migration/rails.rs"]
mod rails;
#[path = "migration/strapi.rs"]
mod strapi;
mod support;

use std::sync::LazyLock;

use drydock::context::Context;
use drydock::stack::PostgresSpec;
use support::postgres::Postgres;

static OLD: LazyLock<Postgres> = LazyLock::new(|| Postgres::start("9.5"));
static NEW: LazyLock<Postgres> = LazyLock::new(|| Postgres::start("16"));

fn servers() -> [&'static Postgres; 2] {
    [&OLD, &NEW]
}

fn spec(server: &Postgres, database: &str, user: &str) -> PostgresSpec {
    let yaml = format!("{{host: 127.0.0.1, port: {}, database: {database}, user: {user}}}", server.port);
    serde_saphyr::from_str(&yaml).unwrap()
}

/// Reads facts of `database` as `user`.
macro_rules! facts {
    ($adapter:ident, $server:expr, $database:expr, $user:expr) => {{
        let spec = crate::spec($server, $database, $user);
        let cx = crate::cx();
        let asked = drydock::migration::facts::Asked { server: &spec, database: $database, cx: &cx };
        drydock::migration::facts::$adapter(asked).await
    }};
}
pub(crate) use facts;

fn cx() -> Context {
    Context::default()
}
