//! Holds owners, privileges and comments against the record, where they can be.

use super::super::attributes::{FILE, differences, list, read};
use super::super::capture::is_superuser;
use super::super::connect::Session;
use super::super::manifest::Database;
use super::super::version::Version;
use super::error::RestoreError;
use super::files::Files;
use crate::data::Comparison;

/// Compares those of the database that `session` is on with what was recorded of `database` on a server of version
/// `source`; where that cannot be, says why.
pub async fn compare(
    session: &Session,
    source: Version,
    files: &Files,
    database: &Database,
    holds_more: bool,
    comparison: &mut Comparison,
) -> Result<(), RestoreError> {
    let mut not_compared = |why: &str| {
        comparison.notes.push(format!("owners, privileges and comments of {} were not compared: {why}", database.name));
    };
    if session.version.major() != source.major() {
        not_compared("they were recorded on another major version");
        return Ok(());
    }
    if !is_superuser(session).await? {
        not_compared("only a superuser can give all of them back");
        return Ok(());
    }
    let recorded = match files.read(&format!("{}/{FILE}", database.folder)).await {
        Ok(file) => read(&String::from_utf8_lossy(&file)),
        Err(RestoreError::Missing { .. }) => {
            not_compared("this snapshot has no list of them");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    for (what, recorded, found) in differences(&recorded, &list(session).await?, holds_more) {
        comparison.differs(what, recorded, found);
    }
    comparison.count("owners, privileges and comments", recorded.len() as u64);
    Ok(())
}
