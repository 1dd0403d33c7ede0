//! `drydock points diff`

use serde::Serialize;

use crate::cli::output::Shown;
use crate::cli::session::Session;
use crate::cli::{Done, human};
use crate::point::{How, PointId, SetDiff, diff, load};
use crate::stack::Name;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock points diff -f stack.yaml 3f9a latest
  drydock points diff -f stack.yaml 3f9a 77aa --data chatwoot-uploads")]
pub struct Args {
    /// The former point: the beginning of its id, or `latest`
    from: String,
    /// The latter point
    to: String,
    /// Only these data sets
    #[arg(long, value_name = "NAME", value_delimiter = ',', num_args = 1..)]
    data: Vec<Name>,
}

#[derive(Serialize)]
struct Result {
    from: PointId,
    to: PointId,
    data: Vec<SetDiff>,
}

pub async fn run(args: &Args, session: &Session) -> Done {
    let home = session.home().await?;
    let points = load(&home.repository, &home.stack.name).await?;
    let now = session.cx.clock.now();
    let (from, to) = (points.find(&args.from, now)?, points.find(&args.to, now)?);
    let mut data = diff(&home, from.record()?, to.record()?).await?;
    data.retain(|diff| args.data.is_empty() || args.data.contains(&diff.data));
    session.print(&Result { from: from.id, to: to.id, data })
}

impl Shown for Result {
    fn text(&self) -> String {
        self.data.iter().map(one).collect()
    }
}

fn one(diff: &SetDiff) -> String {
    if diff.is_empty() {
        return format!("{}: the same\n", diff.data);
    }
    let number = |n: u64| human::number(n);
    let (added, removed, changed) = (number(diff.added), number(diff.removed), number(diff.changed));
    let mut text = format!("{}: {added} added, {removed} removed, {changed} changed\n", diff.data);
    for change in &diff.changes {
        let sign = match change.how {
            How::Added => '+',
            How::Removed => '-',
            How::Changed => 'M',
        };
        let detail = change.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
        text += &format!("  {sign} {}{detail}\n", change.what);
    }
    let more = (diff.added + diff.removed + diff.changed).saturating_sub(diff.changes.len() as u64);
    if more > 0 {
        text += &format!("  and {} more\n", human::number(more));
    }
    text
}
