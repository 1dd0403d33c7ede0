//! `drydock points show`

use serde::Serialize;

use crate::cli::Done;
use crate::cli::human::{self, ms};
use crate::cli::output::Shown;
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::point::{Keep, PointRecord, Proven, ReferenceRecord, State, load};
use crate::repository::SnapshotId;
use crate::snapshot::Taken;
use crate::stack::ByteSize;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock points show -f stack.yaml latest
  drydock points show -f stack.yaml 3f9a -o json")]
pub struct Args {
    /// The beginning of the point's id, `latest`, or `latest-proven`
    point: String,
}

/// What `points show -o json` prints: the record as `docs/formats.md` describes it, and what it is worth now.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    state: &'static str,
    /// The restic snapshot that holds `point.json`.
    snapshot: SnapshotId,
    kept: Option<Keep>,
    tags: Vec<String>,
    /// The newest drill that restored it.
    proven: Option<Proven>,
    point: PointRecord,
}

pub async fn run(args: &Args, session: &Session) -> Done {
    let home = session.home().await?;
    let points = load(&home.repository, &home.stack.name).await?;
    let now = session.cx.clock.now();
    let point = points.find(&args.point, now)?;
    session.print(&Details {
        state: point.state.word(),
        snapshot: point.snapshot,
        kept: point.keep.clone().filter(|keep| keep.holds(now)),
        tags: point.tags.clone(),
        proven: point.proven.clone(),
        point: point.record()?.clone(),
    })
}

impl Details {
    /// Of a point that was taken just now.
    pub fn of(taken: Taken) -> Self {
        let state = if taken.record.is_whole() { State::Complete } else { State::Partial };
        Self {
            state: state.word(),
            snapshot: taken.snapshot,
            kept: None,
            proven: None,
            tags: taken.tags,
            point: taken.record,
        }
    }
}

impl Shown for Details {
    fn text(&self) -> String {
        let point = &self.point;
        let mut text = format!("recovery point {} of {}: {}\n", point.id, point.stack, self.state);
        let mut line = |name: &str, value: String| text += &format!("{name:<14}{value}\n");
        line("taken", format!("{} in {}", human::instant(point.time), ms(point.took_ms)));
        line("by", point.tool.clone());
        if let Some(reason) = &point.reason {
            line("reason", reason.clone());
        }
        if !self.tags.is_empty() {
            line("tags", self.tags.join(", "));
        }
        line("instants", format!("{} between the oldest and the newest", ms(point.largest_distance_ms)));
        let stored = ByteSize(point.stats.stored_bytes);
        line(
            "new data",
            format!("{} of {}, stored as {stored}", ByteSize(point.stats.new_bytes), ByteSize(point.bytes())),
        );
        line("snapshot", self.snapshot.short());
        if let Some(keep) = &self.kept {
            let until = keep.until.map_or("for ever".into(), |until| format!("until {}", human::instant(until)));
            line("kept", format!("{until} by {}: {}", keep.by, keep.reason));
        }
        if let Some(proven) = &self.proven {
            let held = human::count(proven.assertions, "assertion");
            let at = human::instant(proven.time);
            line("proven", format!("{at} by {}: restored and verified in {}, {held}", proven.run, ms(proven.rto_ms)));
        }
        if !point.omitted.is_empty() {
            let names: Vec<&str> = point.omitted.iter().map(|name| name.as_str()).collect();
            line("left out", names.join(", "));
        }
        text + "\n" + &members(point) + &remarks(point)
    }
}

fn members(point: &PointRecord) -> String {
    let mut table = Table::new(&["DATA", "SOURCE", "INSTANT", ">SIZE", ">ITEMS", ">TOOK", "SNAPSHOT"]);
    for member in &point.members {
        table.row([
            member.data.to_string(),
            member.source.clone(),
            human::instant(member.instant),
            ByteSize(member.bytes).to_string(),
            human::number(member.items),
            ms(member.took_ms),
            member.snapshot.short(),
        ]);
    }
    table.text()
}

/// How many gaps are listed as text; JSON has all that were recorded.
const LISTED: usize = 50;

fn gaps(reference: &ReferenceRecord) -> String {
    let ReferenceRecord { reference: kind, database, volume, summary, gaps, gap_count } = reference;
    let (rows, files) = (human::count(summary.rows, "row"), human::count(summary.files, "file"));
    let mut text = format!("{kind}: {rows} of {database} compared with {volume}: {files} as their rows say\n");
    for gap in gaps.iter().take(LISTED) {
        let at = if gap.file.is_empty() { gap.row.clone() } else { format!("{}: {}", gap.row, gap.file) };
        text += &format!("gap: {kind}: {at}: {}\n", gap.problem());
    }
    let more = gap_count.saturating_sub(gaps.len().min(LISTED) as u64);
    if more > 0 {
        text += &format!("and {} more gaps\n", human::number(more));
    }
    for note in &summary.notes {
        text += &format!("note: {kind}: {note}\n");
    }
    text
}

/// Warnings, notes and gaps, each with whose it is.
fn remarks(point: &PointRecord) -> String {
    let mut text = String::new();
    for member in &point.members {
        let warnings = member.warnings.iter().map(|warning| ("warning", warning));
        for (kind, remark) in warnings.chain(member.notes.iter().map(|note| ("note", note))) {
            text += &format!("{kind}: {}: {remark}\n", member.data);
        }
    }
    for reference in &point.references {
        text += &gaps(reference);
    }
    text
}
