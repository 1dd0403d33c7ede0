//! `drydock restore`

mod kept;
mod preview;
mod report;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;

use super::Done;
use super::confirm::confirm;
use super::lock_wait::LockWait;
use super::report::Failed;
use super::session::Session;
use crate::failure::Category;
use crate::operation::{EndRestore, Request, RestoreRequest, learned};
use crate::point::{Home, PointId, load};
use crate::restore::{Options, Report, RestorePlan, Target, mended, plan, preview as look};
use crate::run::RunId;
use crate::stack::{DataKind, Name, Stack};

/// Bring a recovery point back, or a part of it, and compare it with what was recorded
///
/// With --to the files of every data set go into a folder. With --to-database databases are made beside the live ones.
/// Either is there as a whole or, when it fails or `drydock runs undo` says so, not at all; what was there before stays.
/// With --in-place what is live is replaced: first a complete recovery point of it is taken, then everything is filled
/// and verified beside, rows that point at files are compared with them, then all is swapped; the former databases and folders are kept until told otherwise. Stop what writes to
/// them meanwhile.
///
/// If anything fails or differs before all of it is live, all of it is brought back to what it was. Exit code 20 when
/// anything differs from what was recorded; the report says what is live then.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock restore -f stack.yaml --point latest --to /tmp/look
  drydock restore -f stack.yaml --point latest --data chatwoot-db --to-database chatwoot_yesterday
  drydock restore -f stack.yaml --point 3f9a --data chatwoot-db --to-database chatwoot=old_chatwoot
  drydock restore -f stack.yaml --point latest --in-place --dry-run
  drydock restore -f stack.yaml --point latest --in-place
  drydock restore -f stack.yaml --list                 what earlier restores have kept
  drydock restore -f stack.yaml --discard RUN          remove what one has kept")]
pub struct Args {
    /// The beginning of the point's id, `latest`: the newest that is complete, or `latest-proven`: the newest that a drill
    /// has restored
    #[arg(long, value_name = "POINT", required_unless_present = "manage")]
    point: Option<String>,
    /// Only these data sets
    #[arg(long, value_name = "NAME", value_delimiter = ',', num_args = 1.., requires = "point")]
    data: Vec<Name>,
    #[command(flatten)]
    target: TargetArgs,
    /// Show what would happen, and what speaks against it; change nothing
    #[arg(long, requires = "point")]
    dry_run: bool,
    /// Do not ask before what is live is replaced
    #[arg(long)]
    yes: bool,
    /// Also set roles and Redis users that the server has already; otherwise only missing ones are created
    #[arg(long, requires = "point")]
    roles: bool,
    /// Restore into a folder or database that holds something; what goes there is not taken back
    #[arg(long, requires = "point", conflicts_with = "in_place")]
    allow_not_empty: bool,
    /// Go live although rows point at files that are not there, which the point did not record; still exit code 20
    #[arg(long, requires = "in_place")]
    allow_gaps: bool,
    #[command(flatten)]
    manage: Manage,
    #[command(flatten)]
    lock: LockWait,
}

#[derive(Debug, clap::Args)]
#[group(id = "target", required = false, multiple = false, conflicts_with = "manage")]
struct TargetArgs {
    /// Write every data set's files below `DIR/<data set>`
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Restore databases under their own names, under a new NAME, or as `recorded=new`
    #[arg(long, value_name = "NAME", num_args = 0.., value_delimiter = ',')]
    to_database: Option<Vec<String>>,
    /// Replace what is live
    #[arg(long)]
    in_place: bool,
}

#[derive(Debug, clap::Args)]
#[group(id = "manage", multiple = false, conflicts_with = "point")]
struct Manage {
    /// List what in-place restores have kept or left unfinished
    #[arg(long)]
    list: bool,
    /// Bring an unfinished in-place restore to its end
    #[arg(long, value_name = "RUN")]
    resume: Option<String>,
    /// Bring back what was live before, also after the restore was finished
    #[arg(long, value_name = "RUN")]
    undo: Option<String>,
    /// Remove what an in-place restore has kept: former databases and folders
    #[arg(long, value_name = "RUN")]
    discard: Option<String>,
}

pub async fn run(args: &Args, session: &Session) -> Done {
    if let Some((run, step)) = args.manage.step() {
        return kept::end(run, step, args.yes, args.lock.lock_wait, session).await;
    }
    match &args.point {
        Some(point) => bring_back(args, point, session).await,
        None => kept::list(session).await,
    }
}

impl Manage {
    fn step(&self) -> Option<(&str, EndRestore)> {
        let named =
            [(&self.resume, EndRestore::Resume), (&self.undo, EndRestore::Undo), (&self.discard, EndRestore::Discard)];
        named.into_iter().find_map(|(run, step)| Some((run.as_deref()?, step)))
    }
}

async fn bring_back(args: &Args, point: &str, session: &Session) -> Done {
    let home = session.home().await?;
    let plan = planned(args, point, &home, session).await?;
    if args.dry_run {
        return show(&home, &plan, session).await;
    }
    if plan.target == Target::InPlace {
        let sets = plan.names().join(", ");
        let what = format!("{sets} of the stack {} will be replaced by recovery point {}", home.stack.name, plan.point);
        confirm(&what, home.stack.name.as_str(), args.yes, &session.cx).await?;
    }
    session.show_progress();
    let RestorePlan { point, target, options, .. } = plan;
    let asked = RestoreRequest { point, data: args.data.clone(), target: target.clone(), options };
    let led = session.lead(&home, Request::Restore(Box::new(asked)), args.lock.lock_wait).await?;
    let former: Vec<RunId> = led.former.iter().map(|one| one.run.clone()).collect();
    let mut report = learned(led, &home, &session.cx).await?;
    report.mended = [mended(&home, &former, &session.cx).await?, report.mended].concat();
    told(&report, &target, session)
}

fn told(report: &Report, target: &Target, session: &Session) -> Done {
    session.print(report)?;
    if !report.holds() {
        return Err(report::differs(report, target));
    }
    Ok(ExitCode::from(report.warns().then_some(Category::Warnings).map_or(0, Category::exit_code)))
}

async fn show(home: &Home, plan: &RestorePlan, session: &Session) -> Done {
    let preview = look(home, plan, &session.cx).await?;
    let refused = preview.data.iter().any(|part| !part.refusals.is_empty());
    session.print_with(&preview, refused.then_some(Category::Usage))
}

async fn planned(args: &Args, point: &str, home: &Home, session: &Session) -> Result<RestorePlan, Failed> {
    let target = target(&args.target, &args.data, &home.stack)?;
    let points = load(&home.repository, &home.stack.name).await?;
    let point = points.find(point, session.cx.clock.now())?;
    let options = Options { roles: args.roles, allow_not_empty: args.allow_not_empty, allow_gaps: args.allow_gaps };
    let run = run_name(&home.stack.name, session.cx.clock.now());
    Ok(plan(&home.stack, point, &args.data, target, options, run)?)
}

/// `restore-papg-20261123t094122z-3f9a1c2e`: kind, stack, UTC, random; a folder's name and part of a database's comment.
fn run_name(stack: &Name, now: Timestamp) -> String {
    format!("restore-{stack}-{}-{}", now.strftime("%Y%m%dt%H%M%Sz"), PointId::random().short())
}

fn target(args: &TargetArgs, data: &[Name], stack: &Stack) -> Result<Target, Failed> {
    match (&args.to, &args.to_database, args.in_place) {
        (Some(folder), _, _) => Ok(Target::Folder(folder.clone())),
        (None, Some(names), _) => Ok(Target::Databases(names_of(names, data, stack)?)),
        (None, None, true) => Ok(Target::InPlace),
        (None, None, false) => {
            let hint = "say where to: --to DIR for the files, --to-database for databases beside the live ones, or \
                        --in-place";
            Err(Failed::usage("no target is given", hint))
        }
    }
}

/// `recorded=new` as it is; a bare `new` where the data set has one database.
fn names_of(names: &[String], data: &[Name], stack: &Stack) -> Result<BTreeMap<String, String>, Failed> {
    let mut map = BTreeMap::new();
    for name in names {
        let (recorded, new) = match name.split_once('=') {
            Some((recorded, new)) => (recorded.to_owned(), new),
            None => (only_database(data, stack)?, name.as_str()),
        };
        if recorded.is_empty() || new.is_empty() || map.insert(recorded, new.to_owned()).is_some() {
            let hint = "write a new name, or `recorded=new` for each database";
            return Err(Failed::usage(format!("`{name}` names no database, or one that is named already"), hint));
        }
    }
    Ok(map)
}

fn only_database(data: &[Name], stack: &Stack) -> Result<String, Failed> {
    let wanted = |name: &Name| data.is_empty() || data.contains(name);
    let databases: Vec<&String> = stack
        .spec
        .data
        .iter()
        .filter(|set| wanted(&set.name))
        .filter_map(|set| match &set.kind {
            DataKind::Postgres(spec) => Some(spec.database.iter().chain(&spec.databases)),
            DataKind::Redis(_) | DataKind::Volume(_) => None,
        })
        .flatten()
        .collect();
    match databases.as_slice() {
        [only] => Ok((*only).clone()),
        _ => Err(Failed::usage(
            "a new name alone does not say which database is meant",
            "choose one with --data, or write `recorded=new`",
        )),
    }
}
