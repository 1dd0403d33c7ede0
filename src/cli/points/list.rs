//! `drydock points list`

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::output::Shown;
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::cli::{Done, human};
use crate::point::{Keep, Point, PointId, Points, Proven, State, load};
use crate::repository::SnapshotId;
use crate::stack::{ByteSize, Name, Objectives, Tags, duration};
use crate::status::Known;

#[derive(Debug, clap::Args)]
pub struct Filter {
    /// Only points with this tag; with all of `a,b`; given twice, with one or the other
    #[arg(long, value_name = "TAGS")]
    pub tag: Vec<Tags>,
}

pub async fn run(tags: &[&Tags], session: &Session) -> Done {
    let home = session.home().await?;
    let points = load(&home.repository, &home.stack.name).await?;
    let list = List::of(&points, tags, home.stack.spec.objectives, session.cx.clock.now());
    session.print(&list)
}

/// What `points -o json` prints, for whoever serves it.
pub fn json(known: &Known, now: Timestamp) -> String {
    let list = List::of(&known.points, &[], known.stack.spec.objectives, now);
    serde_json::to_string_pretty(&list).expect("names, texts and numbers are JSON") + "\n"
}

/// What `points -o json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    stack: Name,
    points: Vec<Row>,
    /// Age of the oldest instant in the newest complete point.
    achieved_rpo_seconds: Option<u64>,
    objective_rpo_seconds: Option<u64>,
    /// Snapshots of runs that were cut off, or that are under way; `forget` drops those whose run is over.
    strays: usize,
    /// Damaged snapshots of which nobody knows whose they are.
    unreadable: Vec<SnapshotId>,
    #[serde(skip)]
    now: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: PointId,
    time: Timestamp,
    /// `complete`, `partial`, `broken` or `newer` (than this drydock).
    state: &'static str,
    /// Why it is broken, or not judged.
    why: Option<String>,
    reason: Option<String>,
    data: Vec<Name>,
    omitted: Vec<Name>,
    bytes: Option<u64>,
    stored_bytes: Option<u64>,
    took_ms: Option<u64>,
    warnings: Option<u64>,
    tags: Vec<String>,
    kept: Option<Keep>,
    /// The newest drill that restored it.
    proven: Option<Proven>,
}

impl List {
    fn of(points: &Points, tags: &[&Tags], objectives: Objectives, now: Timestamp) -> Self {
        let wanted = |point: &&Point| tags.is_empty() || tags.iter().any(|tags| tags.are_all_among(&point.tags));
        let oldest = points.newest_complete().and_then(Point::record).map(|record| record.oldest_instant()).ok();
        Self {
            stack: points.stack.clone(),
            points: points.points.iter().filter(wanted).map(|point| Row::of(point, now)).collect(),
            achieved_rpo_seconds: oldest.map(|at| now.duration_since(at).as_secs().max(0).unsigned_abs()),
            objective_rpo_seconds: objectives.rpo.map(|rpo| rpo.as_secs()),
            strays: points.strays.len(),
            unreadable: points.unreadable.iter().map(|(id, _)| *id).collect(),
            now,
        }
    }

    fn verdict(&self) -> String {
        let complete = self.points.iter().filter(|row| row.state == State::Complete.word()).count();
        let mut text = format!("{complete} of {} complete", human::count(self.points.len() as u64, "recovery point"));
        if let Some(achieved) = self.achieved_rpo_seconds {
            text += &format!("; achieved RPO {}", duration::human(Duration::from_secs(achieved)));
            if let Some(objective) = self.objective_rpo_seconds {
                let verdict = if achieved <= objective { "within" } else { "MISSES" };
                text += &format!(", {verdict} the objective of {}", duration::human(Duration::from_secs(objective)));
            }
        }
        if self.strays > 0 {
            text += &format!(
                "\n{} of a run that was cut off or is under way; `drydock forget` drops what is over",
                human::count(self.strays as u64, "snapshot")
            );
        }
        if !self.unreadable.is_empty() {
            let ids: Vec<String> = self.unreadable.iter().map(SnapshotId::short).collect();
            text += &format!("\ndamaged snapshots, whose is not known: {}; see `drydock check`", ids.join(", "));
        }
        text
    }
}

impl Row {
    fn of(point: &Point, now: Timestamp) -> Self {
        let record = point.record().ok();
        let why = match &point.state {
            State::Broken(why) | State::Newer(why) => Some(why.clone()),
            State::Complete | State::Partial => None,
        };
        Self {
            id: point.id,
            time: point.time,
            state: point.state.word(),
            why,
            reason: record.and_then(|r| r.reason.clone()),
            data: point.members.keys().cloned().collect(),
            omitted: record.map(|r| r.omitted.clone()).unwrap_or_default(),
            bytes: record.map(|r| r.bytes()),
            stored_bytes: record.map(|r| r.stats.stored_bytes),
            took_ms: record.map(|r| r.took_ms),
            warnings: record.map(|r| r.warning_count()),
            tags: point.tags.clone(),
            kept: point.keep.clone().filter(|keep| keep.holds(now)),
            proven: point.proven.clone(),
        }
    }

    fn remark(&self) -> String {
        let mut remarks: Vec<String> = self.why.iter().chain(&self.reason).cloned().collect();
        if !self.tags.is_empty() {
            remarks.push(format!("tagged {}", self.tags.join(", ")));
        }
        if let Some(keep) = &self.kept {
            let until = keep.until.map(|until| format!(" until {}", human::instant(until))).unwrap_or_default();
            remarks.push(format!("kept{until}: {}", keep.reason));
        }
        if let Some(proven) = &self.proven {
            remarks.push(format!("proven {}", human::instant(proven.time)));
        }
        if !self.omitted.is_empty() {
            let names: Vec<&str> = self.omitted.iter().map(Name::as_str).collect();
            remarks.push(format!("without {}", names.join(", ")));
        }
        remarks.join("; ")
    }
}

impl Shown for List {
    fn text(&self) -> String {
        if self.points.is_empty() {
            return format!("{}\n", self.verdict());
        }
        let mut table = Table::new(&["ID", "TIME", ">AGE", "STATE", ">SIZE", ">NEW", ">TOOK", ">WARNINGS", "REMARK"]);
        for row in &self.points {
            let size = |bytes: Option<u64>| bytes.map(|n| ByteSize(n).to_string()).unwrap_or_default();
            table.row([
                row.id.short(),
                human::instant(row.time),
                human::age(row.time, self.now),
                row.state.to_owned(),
                size(row.bytes),
                size(row.stored_bytes),
                row.took_ms.map(human::ms).unwrap_or_default(),
                row.warnings.filter(|n| *n > 0).map(|n| n.to_string()).unwrap_or_default(),
                row.remark(),
            ]);
        }
        format!("{}{}\n", table.text(), self.verdict())
    }
}
