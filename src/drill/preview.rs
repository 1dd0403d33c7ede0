//! What a drill would do; makes nothing.

use std::path::PathBuf;

use serde::Serialize;

use super::plan::DrillPlan;
use super::room::{Room, room};
use super::{DrillError, discard};
use crate::context::Context;
use crate::point::{DataWord, Home, PointId};
use crate::stack::Name;

/// For `--dry-run`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    pub point: PointId,
    pub is_whole: bool,
    pub data: Vec<PartPreview>,
    pub folder: PathBuf,
    pub room: Room,
    /// `sql of shop-db`, in their order.
    pub assertions: Vec<String>,
    pub not_asked: Vec<String>,
    /// Sandboxes that people keep: their runs.
    pub kept: Vec<String>,
}

/// One data set's.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartPreview {
    pub data: Name,
    pub kind: DataWord,
    pub bytes: u64,
    pub items: u64,
    /// What would run it; none for a folder.
    pub server: Option<String>,
}

/// Finds out whether it could begin.
///
/// # Errors
/// As [`room`].
pub async fn preview(home: &Home, plan: &DrillPlan, cx: &Context) -> Result<Preview, DrillError> {
    let room = room(home, plan, cx).await?;
    let server = |data: &str| room.servers.iter().find(|(name, _)| name == data).map(|(_, server)| server.clone());
    let data = plan.parts.iter().map(|part| PartPreview {
        data: part.name().clone(),
        kind: part.member.kind,
        bytes: part.member.bytes,
        items: part.member.items,
        server: server(part.name().as_str()),
    });
    let assertions = plan.asked.iter().map(|asked| match asked.assertion.data() {
        Some(data) => format!("{} of {data}", asked.assertion.word()),
        None => asked.assertion.word().to_owned(),
    });
    Ok(Preview {
        point: plan.point,
        is_whole: plan.is_whole,
        data: data.collect(),
        folder: plan.folder(),
        assertions: assertions.collect(),
        not_asked: plan.not_asked.clone(),
        kept: discard::kept(&plan.root).await?.into_iter().map(|(_, owner)| owner.run).collect(),
        room,
    })
}
