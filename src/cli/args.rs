//! The command line: options that every command takes, and the commands.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, Subcommand};

use super::{
    check, completions, daemon, deploy, doctor, drill, evidence, forget, gate, init, key, manifests, output, points,
    progress, prune, repair, restore, runs, schedules, snapshot, status, telemetry, unlock,
};
use crate::stack::duration;

/// Keeps a self-hosted stack upgradable and recoverable
///
/// Drydock takes verified recovery points of PostgreSQL databases, Redis servers and folders into a repository that
/// stock restic can read, and restores them verified: what is there afterwards is compared with what was recorded.
#[derive(Debug, Parser)]
#[command(name = "drydock", version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
#[command(after_long_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  drydock init -f stack.yaml                              create the repository
  drydock snapshot -f stack.yaml                          take a recovery point
  drydock points -f stack.yaml                            list recovery points
  drydock restore -f stack.yaml --point latest --to /tmp/look
  drydock restore -f stack.yaml --point latest --data chatwoot-db --in-place
  drydock drill -f stack.yaml                             prove that the latest one restores
  drydock status -f stack.yaml                            how it stands, and what to type
  drydock deploy -f stack.yaml                            a release into the cluster, phase by phase

Exit codes:
  0 done   1 a defect of drydock   2 usage   3 done, with warnings
  10 no repository   11 locked   12 wrong password
  20 integrity: damage, or a restore that differs from what was recorded
  21 a drill that is not verified   22 verified, but later than the objectives allow
  30 a person has to decide   75 unavailable, try again   130 interrupted or --timeout, safe to run again";

/// What every command takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// The Stack document
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "DRYDOCK_FILE",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub file: Option<PathBuf>,

    /// Results on standard output as `text`, or as one `json` document with stable names
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true,
        help_heading = "Global options"
    )]
    pub output: output::Format,

    /// Progress on standard error: `bar`, `plain` lines, `json` events, `none`; `auto` is `bar` on a terminal
    #[arg(
        long,
        global = true,
        value_name = "MODE",
        default_value = "auto",
        hide_possible_values = true,
        help_heading = "Global options"
    )]
    pub progress: progress::Mode,

    /// Logs on standard error as `text`, or as `json` objects, one a line
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true,
        help_heading = "Global options"
    )]
    pub log_format: telemetry::LogFormat,

    /// Log more: -v what happens, -vv details, -vvv everything
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,

    /// Stop as Ctrl-C does when it takes longer: `90s`, `2h`; exit code 130
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration::parse, help_heading = "Global options")]
    pub timeout: Option<Duration>,

    /// No colors, as does the environment variable NO_COLOR
    #[arg(long, global = true, help_heading = "Global options")]
    pub no_color: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Init(init::Args),
    Doctor(doctor::Args),
    Snapshot(snapshot::Args),
    Points(points::Args),
    Restore(restore::Args),
    Drill(drill::Args),
    Deploy(deploy::Args),
    Diff(deploy::diff::Args),
    Releases(deploy::releases::Args),
    Rollback(deploy::rollback::Args),
    Check(check::Args),
    Evidence(evidence::Args),
    Forget(forget::Args),
    Prune(prune::Args),
    Runs(runs::Args),
    Status(status::Args),
    Schedules(schedules::Args),
    Unlock(unlock::Args),
    Key(key::Args),
    Repair(repair::Args),
    Daemon(daemon::Args),
    Manifests(manifests::Args),
    Completions(completions::Args),
    #[command(hide = true)] // a deploy's Jobs call it, not people
    Gate(gate::Args),
}
