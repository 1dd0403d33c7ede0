//! What the stack's own people say must be true of what was restored. An assertion that cannot be asked has failed, with
//! the reason; none ends the drill, and none shows what is in a row.

mod command;
mod count;
mod sql;

use std::time::Instant;

use super::DrillError;
use super::plan::{Asked, DrillPlan};
use super::report::{Asserted, Verdict, ms};
use super::sandbox::{Holds, Sandbox};
use crate::context::Context;
use crate::failure::{Category, Failure};
use crate::stack::Assertion;

/// What an assertion has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    holds: bool,
    expected: String,
    found: String,
    note: Option<String>,
}

impl Shown {
    fn new(holds: bool, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { holds, expected: expected.into(), found: found.into(), note: None }
    }
}

/// Why an assertion could not be asked.
#[derive(Debug)]
enum Unasked {
    Because(String),
    Cancelled,
}

impl<E: Failure + 'static> From<E> for Unasked {
    fn from(error: E) -> Self {
        match error.category() {
            Category::Interrupted => Self::Cancelled,
            _ => Self::Because(super::fill::chain(&error)),
        }
    }
}

/// Asks one assertion inside the sandbox.
///
/// # Errors
/// Cancelled; whatever else goes wrong is what the assertion has shown.
pub async fn ask(plan: &DrillPlan, asked: &Asked, sandbox: &Sandbox, cx: &Context) -> Result<Asserted, DrillError> {
    let begun = Instant::now();
    let shown = match &asked.assertion {
        Assertion::Sql(one) => {
            let database = postgres(sandbox, &asked.assertion)?;
            sql::is_true(database, &one.query, plan.statement_timeout, cx).await
        }
        Assertion::Freshness(one) => {
            let database = postgres(sandbox, &asked.assertion)?;
            sql::is_fresh(database, one, asked.instant, plan.statement_timeout, cx).await
        }
        Assertion::Rows(one) => {
            let database = postgres(sandbox, &asked.assertion)?;
            count::rows(database, one, plan.statement_timeout, cx).await
        }
        Assertion::Keys(one) => count::keys(sandbox, one, cx).await,
        Assertion::Files(one) => count::files(sandbox, one, cx).await,
        Assertion::Command(one) => command::run(plan, sandbox, one, cx).await,
    };
    let (verdict, shown) = match shown {
        Ok(shown) => (if shown.holds { Verdict::Holds } else { Verdict::Fails }, shown),
        Err(Unasked::Cancelled) => return Err(DrillError::Cancelled),
        Err(Unasked::Because(why)) => (Verdict::Errs, Shown::new(false, "an answer", why)),
    };
    Ok(Asserted {
        kind: asked.assertion.word(),
        data: asked.assertion.data().cloned(),
        what: what(&asked.assertion),
        verdict,
        expected: shown.expected,
        found: shown.found,
        note: shown.note,
        took_ms: ms(begun.elapsed()),
    })
}

/// A database in the sandbox.
struct Database<'a> {
    spec: &'a crate::stack::PostgresSpec,
    name: &'a str,
}

/// The data set's database that the assertion means. The document was checked, but a point may hold other databases than
/// the document lists today: then whoever asks is told by the server.
fn postgres<'a>(sandbox: &'a Sandbox, assertion: &'a Assertion) -> Result<Database<'a>, DrillError> {
    let place = assertion.data().and_then(|data| sandbox.places.get(data));
    let Some(Holds::Postgres { spec, .. }) = place.map(|place| &place.holds) else {
        unreachable!("the document's check has put a database here, and the plan asks only what is drilled")
    };
    let first = spec.databases.first().map_or("postgres", String::as_str);
    Ok(Database { spec, name: assertion.database().unwrap_or(first) })
}

/// What people call it.
fn what(assertion: &Assertion) -> String {
    match assertion {
        Assertion::Sql(one) => one.query.clone(),
        Assertion::Freshness(one) => one.query.clone(),
        Assertion::Rows(one) => format!("rows of {}", one.table),
        Assertion::Keys(one) => format!("keys {} of database {}", one.pattern, one.database),
        Assertion::Files(one) => format!("files {}", one.pattern),
        Assertion::Command(one) => one.name.to_string(),
    }
}
