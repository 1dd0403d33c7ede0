//! The metadata of a volume's own folder: the snapshot's tree names it, above the content.

use crate::data::DataError;
use crate::data::volume::VolumeError;
use crate::point::{DataWord, Home, Member};
use crate::repository::{Node, RepositoryError};

/// The folder that `member` was taken of; none for kinds that are no folder.
pub async fn of(home: &Home, member: &Member) -> Result<Option<Node>, DataError> {
    if member.kind != DataWord::Volume {
        return Ok(None);
    }
    let find = async || -> Result<Option<Node>, RepositoryError> {
        let snapshot = home.repository.snapshot(&member.snapshot).await?;
        home.repository.find(&snapshot.tree, &[member.data.as_str()]).await
    };
    find().await.map_err(|error| VolumeError::Repository(error).into())
}
