//! `drydock check`

use super::lock_wait::LockWait;
use super::output::Shown;
use super::session::Session;
use super::table::Table;
use super::{Done, human};
use crate::maintain::check::Checked;
use crate::operation::{Report, Request};
use crate::repository::check::{Damage, Object, ReadData};
use crate::stack::{ByteSize, Name};

/// Check the repository, and name the recovery points that damage touches
///
/// Without options the structure is checked: everything that a recovery point names is there, with its size. With
/// --read-data every blob is read, decrypted, decompressed and hashed. Exit code 20 when anything is damaged.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock check -f stack.yaml
  drydock check -f stack.yaml --read-data
  drydock check -f stack.yaml --read-data-subset 5%     a random sample
  drydock check -f stack.yaml --read-data-subset 2/7    the second of seven parts")]
pub struct Args {
    /// Read everything
    #[arg(long, conflicts_with = "read_data_subset")]
    read_data: bool,
    /// Read a part: `5%`, `2/7` or `10G`
    #[arg(long, value_name = "PART")]
    read_data_subset: Option<ReadData>,
    #[command(flatten)]
    lock: LockWait,
}

pub async fn run(args: &Args, session: &Session) -> Done {
    let read_data = if args.read_data { ReadData::All } else { args.read_data_subset.unwrap_or_default() };
    let home = session.home().await?;
    session.show_progress();
    let mut led = session.lead(&home, Request::Check(read_data), args.lock.lock_wait).await?;
    for report in std::mem::take(&mut led.reports) {
        // What is damaged is told in full, and is no other failure beside.
        if let Report::Check(checked) = report {
            return session.print_with(checked.as_ref(), checked.category());
        }
    }
    led.done()?;
    unreachable!("a check that succeeded here has found something out")
}

impl Shown for Checked {
    fn text(&self) -> String {
        let mut text = damage(self) + &points(self);
        let report = &self.repository;
        for unread in &report.unread {
            text += &format!("not read: {}: {}\n", unread.what, unread.why);
        }
        let read = match report.packs_read {
            0 => "no data was read (see --read-data)".to_owned(),
            packs => format!("{} in {packs} packs read and hashed", ByteSize(report.bytes_read)),
        };
        text += &format!(
            "{} snapshots, {} folders, {} in {} packs; {read}\n",
            report.snapshots,
            human::number(report.trees),
            ByteSize(report.pack_bytes),
            report.packs
        );
        if report.unused_packs > 0 {
            let unused = ByteSize(report.unused_bytes);
            text +=
                &format!("{unused} in {} packs belong to nothing; `drydock prune` removes them\n", report.unused_packs);
        }
        text + &verdict(self)
    }
}

fn damage(checked: &Checked) -> String {
    let report = &checked.repository;
    let mut text = String::new();
    for damage in &report.damage {
        text += &format!("damaged: {}: {}\n", damage.object, damage.problems.join("; "));
    }
    let listed = report.damage.len() as u64;
    if report.damage_count > listed {
        text += &format!("and {} more damaged objects\n", human::number(report.damage_count - listed));
    }
    if report.damage.iter().any(|damage| matches!(damage.object, Object::Index(_))) {
        text += "a damaged index can be made again from the packs: `drydock repair index -f FILE`\n";
    }
    text += &repair_packs(&report.damage);
    text
}

/// The next move where packs are damaged: as many names as can be copied by hand, else all packs are read for it.
fn repair_packs(damage: &[Damage]) -> String {
    let packs = damage.iter().filter_map(|damage| match damage.object {
        Object::Pack(pack) => Some(pack.to_string()),
        _ => None,
    });
    let packs: Vec<String> = packs.map(|pack| format!(" {}", &pack[..16])).collect();
    if packs.is_empty() {
        return String::new();
    }
    let names = if packs.len() <= 8 { packs.concat() } else { String::new() };
    format!(
        "what can still be read of damaged packs is saved by `drydock repair packs -f FILE{names}`; what is lost the next \
         `drydock snapshot -f FILE` stores again where the data is as it was\n"
    )
}

fn points(checked: &Checked) -> String {
    if checked.points.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["DAMAGED POINT", "TIME", "DATA SETS", "WHY"]);
    for point in &checked.points {
        let data: Vec<&str> = point.data.iter().map(Name::as_str).collect();
        let why = point.why.clone().unwrap_or_default();
        table.row([point.id.short(), human::instant(point.time), data.join(", "), why]);
    }
    table.text()
}

fn verdict(checked: &Checked) -> String {
    let whole = human::count(checked.whole_points as u64, "recovery point");
    match (checked.repository.damage_count, checked.points.len(), checked.repository.unread_count) {
        (0, 0, 0) => format!("no damage; {whole} whole\n"),
        (0, 0, unread) => format!("no damage found, but {unread} things could not be read; try again\n"),
        (_, 0, _) => format!("damage that touches no recovery point; {whole} whole\n"),
        (_, broken, _) => {
            let broken = human::count(broken as u64, "recovery point");
            format!("{broken} cannot be restored whole; {whole} can\n")
        }
    }
}
