//! `drydock points keep` and `unkeep`

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::cli::lock_wait::LockWait;
use crate::cli::output::Shown;
use crate::cli::report::Failed;
use crate::cli::session::Session;
use crate::cli::{Done, human};
use crate::point::{Home, Keep, PointId, keep, load, unkeep as remove};
use crate::repository::{Lock, LockKind};
use crate::stack::duration;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock points keep -f stack.yaml 3f9a --reason 'before the audit'                        for ever
  drydock points keep -f stack.yaml latest --reason 'before the move' --until 2027-06-30
  drydock points keep -f stack.yaml 3f9a --reason 'ticket 4711' --until 90d

A keep is never shortened: `unkeep` first.")]
pub struct KeepArgs {
    /// The beginning of the point's id, or `latest`
    point: String,
    /// Why, for whoever asks later
    #[arg(long)]
    reason: String,
    /// Until when: a day (`2027-06-30`, to its end), an instant (`2027-06-30T12:00:00Z`) or a duration (`90d`)
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    #[command(flatten)]
    lock: LockWait,
}

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock points unkeep -f stack.yaml 3f9a")]
pub struct UnkeepArgs {
    /// The beginning of the point's id, or `latest`
    point: String,
    #[command(flatten)]
    lock: LockWait,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Result {
    point: PointId,
    kept: Option<Keep>,
    /// What kept it until now.
    former: Option<Keep>,
}

pub async fn keep_point(args: &KeepArgs, session: &Session) -> Done {
    let now = session.cx.clock.now();
    let until = args.until.as_deref().map(|text| until(text, now, &TimeZone::system())).transpose()?;
    let home = session.home().await?;
    let work = async |_: &Lock| store(args, until, now, &home).await;
    let (kept, former) = home.locked(LockKind::Shared, args.lock.lock_wait, &session.cx, work).await?;
    session.print(&Result { point: kept.point, kept: Some(kept), former })
}

async fn store(
    args: &KeepArgs,
    until: Option<Timestamp>,
    now: Timestamp,
    home: &Home,
) -> std::result::Result<(Keep, Option<Keep>), Failed> {
    let points = load(&home.repository, &home.stack.name).await?;
    let point = points.find(&args.point, now)?;
    Ok((keep(home, point, &args.reason, until, now).await?, point.keep.clone()))
}

pub async fn unkeep(args: &UnkeepArgs, session: &Session) -> Done {
    let home = session.home().await?;
    let work = async |_: &Lock| -> std::result::Result<(PointId, Option<Keep>), Failed> {
        let points = load(&home.repository, &home.stack.name).await?;
        let point = points.find(&args.point, session.cx.clock.now())?;
        remove(&home, point).await?;
        Ok((point.id, point.keep.clone()))
    };
    let (point, former) = home.locked(LockKind::Shared, args.lock.lock_wait, &session.cx, work).await?;
    session.print(&Result { point, kept: None, former })
}

/// A day ends when it ends in the machine's time zone.
fn until(text: &str, now: Timestamp, zone: &TimeZone) -> std::result::Result<Timestamp, Failed> {
    let hint = "write for example `2027-06-30`, `2027-06-30T12:00:00Z` or `90d`";
    let wrong = || Failed::usage(format!("`{text}` says no instant"), hint);
    let until = if let Ok(date) = text.parse::<Date>() {
        date.tomorrow().and_then(|next| next.to_zoned(zone.clone())).map_err(|_| wrong())?.timestamp()
    } else if let Ok(instant) = text.parse::<Timestamp>() {
        instant
    } else {
        let length = duration::parse(text).map_err(|_| wrong())?;
        now.checked_add(length).map_err(|_| wrong())?
    };
    if until <= now {
        return Err(Failed::usage(format!("`{text}` has passed already"), hint));
    }
    Ok(until)
}

impl Shown for Result {
    fn text(&self) -> String {
        let text = match &self.kept {
            None => format!("recovery point {} is under the retention rules again\n", self.point.short()),
            Some(keep) => {
                let until = keep.until.map_or("for ever".into(), |until| format!("until {}", human::instant(until)));
                format!("recovery point {} is kept {until}: {}\n", self.point.short(), keep.reason)
            }
        };
        match &self.former {
            None => text,
            Some(former) => text + &format!("it was kept {former}\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_lasts_to_its_end_where_the_machine_stands() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let at = |text: &str| until(text, now, &zone).map(|t| t.to_string()).map_err(|e| e.into_report().message);
        assert_eq!(at("2027-06-30").unwrap(), "2027-06-30T22:00:00Z");
        assert_eq!(at("2027-06-30T12:00:00Z").unwrap(), "2027-06-30T12:00:00Z");
        assert_eq!(at("90d").unwrap(), "2027-02-21T10:00:00Z");
        assert_eq!(at("2020-01-01").unwrap_err(), "`2020-01-01` has passed already");
        assert_eq!(at("soon").unwrap_err(), "`soon` says no instant");
    }
}
