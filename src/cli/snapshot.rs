//! `drydock snapshot`

use std::collections::BTreeSet;

use serde::Serialize;

use super::lock_wait::LockWait;
use super::output::Shown;
use super::points::Details;
use super::report::Failed;
use super::session::Session;
use super::table::Table;
use super::{Done, human};
use crate::failure::Category;
use crate::hook::{self, When};
use crate::operation::{Report, Request, SnapshotRequest};
use crate::point::{Home, load};
use crate::repository::WriterOptions;
use crate::snapshot::{Forecast, SnapshotPlan, forecast, plan};
use crate::stack::{ByteSize, Name, Tag, duration};

/// Take a recovery point of all data sets
///
/// All data sets stand for instants as close together as can be: databases are held at one instant each before anything
/// is read, then files are read, then caches. The point is listed when all of it is stored and was opened again, or not
/// at all. What the repository has already is not stored again.
///
/// Exit code 3: the point is whole, but there is something to know (rows without their file, a file that never held
/// still), or a clock is or was wrong.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock snapshot -f stack.yaml --dry-run            how much it is, and how long it will take
  drydock snapshot -f stack.yaml
  drydock snapshot -f stack.yaml --tag before-upgrade --tag release=4.11
  drydock snapshot -f stack.yaml --data chatwoot-db   a partial point, never `latest`")]
pub struct Args {
    /// Take only these data sets; the point is then partial and never `latest`
    #[arg(long, value_name = "NAME", value_delimiter = ',', num_args = 1..)]
    data: Vec<Name>,
    /// Tag the point: list points with `points --tag`, keep them with `forget --keep-tag` or `retention.keepTags`
    #[arg(long, value_name = "TAG", value_delimiter = ',')]
    tag: Vec<Tag>,
    /// Reach and measure everything, store nothing
    #[arg(long)]
    dry_run: bool,
    /// Read files again that look unchanged by size, times and inode
    #[arg(long)]
    reread: bool,
    /// Do not open what was stored again before the source is let go of
    #[arg(long)]
    no_self_check: bool,
    /// zstd's level, 1 (fast) to 19 (small)
    #[arg(long, value_name = "LEVEL", default_value_t = WriterOptions::default().compression_level, value_parser = clap::value_parser!(i32).range(1..=19))]
    compression: i32,
    #[command(flatten)]
    lock: LockWait,
}

pub async fn run(args: &Args, session: &Session) -> Done {
    let home = session.home().await?;
    if args.dry_run {
        return dry_run(args, &home, session).await;
    }
    let asked = SnapshotRequest {
        data: args.data.clone(),
        tags: tags(args),
        reread: args.reread,
        self_check: !args.no_self_check,
        compression: args.compression,
    };
    session.show_progress();
    let led = session.lead(&home, Request::Snapshot(asked), args.lock.lock_wait).await?;
    for report in led.done()? {
        if let Report::Snapshot(taken) = report {
            let warned = taken.record.warning_count() > 0 || taken.clock.is_some();
            return session.print_with(&Details::of(*taken), warned.then_some(Category::Warnings));
        }
    }
    unreachable!("a snapshot that succeeded here has taken a recovery point")
}

/// One said twice is one.
fn tags(args: &Args) -> Vec<Tag> {
    args.tag.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

async fn dry_run(args: &Args, home: &Home, session: &Session) -> Done {
    let plan = planned(args, home).await?;
    let forecast = forecast(&plan, &session.cx).await?;
    let hooks = hook::named(&plan.sets, &[When::BeforeSnapshot, When::AfterSnapshot]);
    session.print(&DryRun { dry_run: true, forecast, hooks })
}

async fn planned(args: &Args, home: &Home) -> Result<SnapshotPlan, Failed> {
    let points = load(&home.repository, &home.stack.name).await?;
    let plan = plan(&home.stack, &args.data, points.newest_complete().ok())?;
    Ok(SnapshotPlan { reread: args.reread, tags: tags(args), ..plan })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DryRun {
    dry_run: bool,
    #[serde(flatten)]
    forecast: Forecast,
    /// What would be run around it, and was not.
    hooks: Vec<hook::Named>,
}

impl Shown for DryRun {
    fn text(&self) -> String {
        let mut table = Table::new(&["DATA", "KIND", ">SIZE", ">ITEMS", ">TIME"]);
        for expected in &self.forecast.data {
            table.row([
                expected.data.to_string(),
                expected.kind.as_str().to_owned(),
                ByteSize(expected.bytes).to_string(),
                human::number(expected.items),
                expected.expected_ms.map(human::ms).unwrap_or_default(),
            ]);
        }
        let hooks = self.hooks.iter().map(|hook| format!("hook {hook}\n")).collect::<String>();
        format!("{}{hooks}{}; nothing was stored\n", table.text(), sentence(&self.forecast))
    }
}

/// `about 3.40 GiB in 3 data sets, about 41s by what the last recovery point took`.
pub fn sentence(forecast: &Forecast) -> String {
    let sets = human::count(forecast.data.len() as u64, "data set");
    let size = format!("about {} in {sets}", ByteSize(forecast.bytes));
    match forecast.expected() {
        Some(time) => format!("{size}, about {} by what the last recovery point took", duration::human(time)),
        None => format!("{size}; no recovery point tells how long that takes"),
    }
}
