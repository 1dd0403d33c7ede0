//! Reads what is in the sandbox now and compares it with what the recovery point recorded: nothing is believed because it
//! was written.

use std::collections::BTreeMap;
use std::time::Instant;

use super::DrillError;
use super::fill::refuted_or_failed;
use super::plan::Part;
use super::report::{Refuted, ms};
use super::sandbox::{Holds, Sandbox};
use crate::context::Context;
use crate::data::postgres::restore as postgres;
use crate::data::volume::{self, CompareOptions};
use crate::data::{Comparison, DataError};
use crate::point::Home;
use crate::restore::folder_of_member;

/// Compares one data set; may be called any number of times.
///
/// # Errors
/// What kept it from being compared. What cannot be read although its server runs is the inner error: the drill's
/// verdict. What differs is in the comparison.
pub async fn verify(
    home: &Home,
    sandbox: &Sandbox,
    part: &Part,
    cx: &Context,
) -> Result<Result<(Comparison, u64), Refuted>, DrillError> {
    let Some(place) = sandbox.places.get(part.name()) else {
        let why = "it is not in the sandbox".to_owned();
        return Ok(Err(Refuted { data: part.name().clone(), what: "cannot be compared", why }));
    };
    let begun = Instant::now();
    match compare(home, part, &place.holds, cx).await {
        Ok(comparison) => Ok(Ok((comparison, ms(begun.elapsed())))),
        Err(error) => refuted_or_failed(part, "cannot be compared", error).map(Err),
    }
}

async fn compare(home: &Home, part: &Part, holds: &Holds, cx: &Context) -> Result<Comparison, DataError> {
    let (repository, tree) = (&home.repository, &part.member.tree);
    Ok(match holds {
        Holds::Postgres { spec, .. } => postgres::compare(repository, tree, spec, &BTreeMap::new(), cx).await?,
        Holds::Redis(server) => server.verify(repository, tree, cx).await?,
        Holds::Volume(folder) => {
            let root = folder_of_member(home, &part.member).await?;
            let options = CompareOptions { root, allow_more: false };
            volume::compare(repository, tree, folder, &options, cx).await?
        }
    })
}
