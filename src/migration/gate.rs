//! Data gates: whether a data set can be used by the application whose credentials these are, and how far its migrations
//! are. Asked from where the application runs, for network policies may let nobody else.

mod environment;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::facts::{self, Asked};
use super::kong;
use crate::context::Context;
use crate::data::postgres::ask;
use crate::data::{DataError, redis};
use crate::failure::{Category, Failure};
use crate::stack::{PostgresSpec, RedisSpec};

pub use environment::{NoServer, gates};

/// Between two questions to what may be healthy later.
const AGAIN: Duration = Duration::from_millis(500);

/// What is asked of which server.
#[derive(Debug, Clone)]
pub enum Gate {
    /// It answers a query in this database.
    Postgres(PostgresSpec),
    /// It answers PING, and is not loading.
    Redis(RedisSpec),
    Kong(PostgresSpec),
    Chatwoot(PostgresSpec),
    Strapi(PostgresSpec),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    Healthy,
    /// Unreachable, starting or loading: the same question may be answered later.
    NotYet,
    /// It answers, and waiting changes nothing: a wrong password, no such database, a table that may not be read.
    Refused,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answer {
    pub state: State,
    /// Of Kong, Chatwoot and Strapi: the adapter's `Database`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Asks all of them, again and again for as long as `wait` while one is not healthy yet; the answer is the last one's, or that
/// of the first that is not healthy.
pub async fn open_all(gates: &[Gate], wait: Duration, cx: &Context) -> Answer {
    let begun = Instant::now();
    loop {
        let mut answer = Answer::healthy(None);
        for gate in gates {
            answer = open(gate, cx).await;
            if answer.state != State::Healthy {
                break;
            }
        }
        if answer.state != State::NotYet || begun.elapsed() >= wait || cx.cancel.is_cancelled() {
            return answer;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

impl Answer {
    fn healthy(facts: Option<Value>) -> Self {
        Self { state: State::Healthy, facts, reason: None, hint: None }
    }

    fn failed(error: &DataError) -> Self {
        let state = match error.category() {
            Category::Unavailable | Category::Locked | Category::Interrupted => State::NotYet,
            _ => State::Refused,
        };
        Self { reason: Some(said(error)), hint: error.hint(), state, ..Self::healthy(None) }
    }
}

/// Does to Kong's database what no command of Kong's does, then asks how far it is.
pub async fn mend_kong(server: &PostgresSpec, mend: &kong::Mend, cx: &Context) -> Answer {
    match facts::mend(asked(server, cx), mend).await {
        Ok(()) => open(&Gate::Kong(server.clone()), cx).await,
        Err(error) => Answer::failed(&error.into()),
    }
}

/// Asks once; never an error, for what fails is the answer.
pub async fn open(gate: &Gate, cx: &Context) -> Answer {
    match look(gate, cx).await {
        Ok(facts) => Answer::healthy(facts),
        Err(error) => Answer::failed(&error),
    }
}

fn said(error: &DataError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

async fn look(gate: &Gate, cx: &Context) -> Result<Option<Value>, DataError> {
    fn json(facts: impl Serialize) -> Option<Value> {
        Some(serde_json::to_value(facts).expect("texts, numbers and maps by name are JSON"))
    }
    match gate {
        Gate::Redis(server) => Ok(redis::ping(server).await.map(|()| None)?),
        Gate::Postgres(server) => {
            let asked = asked(server, cx);
            ask(asked.server, asked.database, "SELECT 1", facts::LIMIT, cx).await?;
            Ok(None)
        }
        Gate::Kong(server) => Ok(json(facts::kong(asked(server, cx)).await?)),
        Gate::Chatwoot(server) => Ok(json(facts::chatwoot(asked(server, cx)).await?)),
        Gate::Strapi(server) => Ok(json(facts::strapi(asked(server, cx)).await?)),
    }
}

/// The database that is named, or as PostgreSQL's own clients do it the one with the login's name.
fn asked<'a>(server: &'a PostgresSpec, cx: &'a Context) -> Asked<'a> {
    Asked { server, database: server.database.as_deref().unwrap_or(&server.user), cx }
}
