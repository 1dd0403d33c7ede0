//! `drydock gate WHAT`: for the short Job that asks on a deploy's behalf.

use super::Done;
use super::output::Shown;
use super::report::Failed;
use super::session::Session;
use std::time::Duration;

use crate::failure::Category;
use crate::migration::gate::{self, Answer, Gate, State, open_all};
use crate::stack::{Migration, duration};

/// The variable with the server, as the Stack's `postgres` or `redis` has it: `{"host": …, "password": {"fromEnv": …}}`.
const SERVER: &str = "DRYDOCK_GATE";
const HINT: &str = "see the examples of `drydock gate --help`";

/// Ask a data set once whether an application can use it, and print the answer as one line of JSON
///
/// Reads the server from the environment variable DRYDOCK_GATE, which holds what the Stack has below `postgres` or `redis`;
/// without it from the application's own variables, as they are in its pods: KONG_PG_*, POSTGRES_* and REDIS_*, DATABASE_*.
/// Ends with 0 when it can be used, 75 when not yet, 20 when waiting will not help.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  DRYDOCK_GATE='{host: kong-postgres, database: kong, user: kong, password: {fromEnv: PGPASSWORD}}' drydock gate kong
  DRYDOCK_GATE='{host: chatwoot-redis}' drydock gate redis
  KONG_PG_HOST=kong-postgres drydock gate kong --wait 1m")]
pub struct Args {
    what: What,
    /// Ask again for this long while it is not healthy yet
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "0s")]
    wait: Duration,
    /// Do this to Kong's database before: `{"createLocks": null}`, `{"unlock": {"owner": …, "until": …}}`
    #[arg(long, value_name = "JSON")]
    mend: Option<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum What {
    /// PostgreSQL answers a query
    Postgres,
    /// Redis answers PING, and is not loading
    Redis,
    /// How far Kong's migrations are
    Kong,
    /// How far Chatwoot's migrations are
    Chatwoot,
    /// How far Strapi's schema is
    Strapi,
}

impl Shown for Answer {
    fn text(&self) -> String {
        serde_json::to_string(self).expect("texts and JSON are JSON")
    }
}

pub async fn run(args: &Args, session: &Session) -> Done {
    let gates = gates(args.what)?;
    let answer = match (&args.mend, gates.as_slice()) {
        (None, gates) => open_all(gates, args.wait, &session.cx).await,
        (Some(mend), [Gate::Kong(server)]) => {
            let wrong = |error: serde_json::Error| {
                Failed::new(Category::Usage, format!("--mend cannot be understood: {error}"), Some(HINT.into()))
            };
            gate::mend_kong(server, &serde_json::from_str(mend).map_err(wrong)?, &session.cx).await
        }
        (Some(_), _) => {
            return Err(Failed::new(Category::Usage, "--mend is for Kong's database alone", Some(HINT.into())));
        }
    };
    let category = match answer.state {
        State::Healthy => None,
        State::NotYet => Some(Category::Unavailable),
        State::Refused => Some(Category::Integrity),
    };
    session.print_with(&answer, category)
}

fn gates(what: What) -> Result<Vec<Gate>, Failed> {
    let wrong = |said: String| Failed::new(Category::Usage, said, Some(HINT.into()));
    let adapter = match what {
        What::Postgres | What::Redis => None,
        What::Kong => Some(Migration::Kong),
        What::Chatwoot => Some(Migration::Chatwoot),
        What::Strapi => Some(Migration::Strapi),
    };
    let Ok(text) = std::env::var(SERVER) else {
        let adapter = adapter.ok_or_else(|| wrong(format!("the environment variable {SERVER} is not set")))?;
        return gate::gates(adapter, &|name| std::env::var(name).ok()).map_err(|error| wrong(error.to_string()));
    };
    let read = match what {
        What::Postgres => serde_saphyr::from_str(&text).map(Gate::Postgres),
        What::Redis => serde_saphyr::from_str(&text).map(Gate::Redis),
        What::Kong => serde_saphyr::from_str(&text).map(Gate::Kong),
        What::Chatwoot => serde_saphyr::from_str(&text).map(Gate::Chatwoot),
        What::Strapi => serde_saphyr::from_str(&text).map(Gate::Strapi),
    };
    Ok(vec![read.map_err(|error| wrong(format!("{SERVER} names no server: {error}")))?])
}
