//! The commands people type. Owns words, tables, JSON, progress, signals and exit codes; what a command does is its
//! verb's. Each command is one file: its arguments, its call of the verb, how its result reads.

mod args;
mod confirm;
mod human;
mod lock_wait;
mod output;
mod progress;
mod report;
mod screen;
mod session;
mod signals;
mod since;
mod table;
mod telemetry;

mod check;
mod completions;
mod daemon;
mod deploy;
mod doctor;
mod drill;
mod evidence;
mod forget;
mod gate;
mod init;
mod key;
mod manifests;
mod points;
mod prune;
mod repair;
mod restore;
mod runs;
mod schedules;
mod snapshot;
mod status;
mod unlock;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

pub use args::{Arguments, Command, Global};
pub use output::Format;
pub use report::{Failed, Report};

use screen::Screen;
use session::Session;

/// What a command that did its work ends with: 0, or 3 when there is something to know.
pub(crate) type Done = Result<ExitCode, Failed>;

/// As much as the first thread of a program has: a daemon leads runs on threads of their own, and the futures of a restore
/// are large.
const STACK: usize = 8 << 20;

/// The whole program: parses, runs, reports; never panics on bad input.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let json = wants_json(&arguments);
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error, json),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK).enable_all().build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(run(arguments));
            // A thread that is stuck in a read of a dead disk must not hold the process.
            runtime.shutdown_timeout(std::time::Duration::from_secs(2));
            code
        }
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            ExitCode::from(crate::failure::Category::Unavailable.exit_code())
        }
    }
}

async fn run(arguments: Arguments) -> ExitCode {
    let Arguments { global, command } = arguments;
    let color = !global.no_color && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let color = color && std::io::stderr().is_terminal();
    let screen = Screen::default();
    // A daemon's log is what is left of it: what it began, what came of it.
    let serves = matches!(command, Command::Daemon(_));
    telemetry::start(global.log_format, global.verbose + u8::from(serves), color, &screen);
    let begun = if serves { Session::of_a_daemon(global, &screen) } else { Session::begin(global, &screen) };
    let session = match begun {
        Ok(session) => session,
        Err(failed) => return fail(failed.into_report(), Format::Text, color, &screen),
    };
    let format = session.format;
    let result = dispatch(command, &session).await;
    session.end_progress();
    match result {
        Ok(code) => code,
        Err(failed) => {
            let report = session.with_file(failed.into_report());
            let report = match session.stopped.get() {
                Some(reason) => report.after_stop(reason),
                None => report,
            };
            fail(report, format, color, &screen)
        }
    }
}

async fn dispatch(command: Command, session: &Session) -> Done {
    match command {
        Command::Init(args) => init::run(&args, session).await,
        Command::Doctor(args) => doctor::run(&args, session).await,
        Command::Snapshot(args) => snapshot::run(&args, session).await,
        Command::Points(args) => points::run(&args, session).await,
        Command::Restore(args) => restore::run(&args, session).await,
        Command::Deploy(args) => deploy::run(&args, session).await,
        Command::Diff(args) => deploy::diff::run(&args, session).await,
        Command::Releases(args) => deploy::releases::run(&args, session).await,
        Command::Rollback(args) => deploy::rollback::run(&args, session).await,
        Command::Drill(args) => drill::run(&args, session).await,
        Command::Check(args) => check::run(&args, session).await,
        Command::Evidence(args) => evidence::run(&args, session).await,
        Command::Forget(args) => forget::run(&args, session).await,
        Command::Prune(args) => prune::run(&args, session).await,
        Command::Repair(args) => repair::run(&args, session).await,
        Command::Unlock(args) => unlock::run(&args, session).await,
        Command::Key(args) => key::run(&args, session).await,
        Command::Runs(args) => runs::run(&args, session).await,
        Command::Status(args) => status::run(&args, session).await,
        Command::Schedules(args) => schedules::run(&args, session).await,
        Command::Daemon(args) => daemon::run(&args, session).await,
        Command::Manifests(args) => manifests::run(&args, session),
        Command::Gate(args) => gate::run(&args, session).await,
        Command::Completions(args) => completions::run(&args, session),
    }
}

fn fail(report: Report, format: Format, color: bool, screen: &Screen) -> ExitCode {
    match format {
        Format::Text => screen.line(&report.text(color)),
        Format::Json => screen.line(&serde_json::to_string(&report).expect("texts and numbers are JSON")),
    }
    ExitCode::from(report.exit_code)
}

/// clap's own words, with its exit code 2 for what is wrong and 0 for help.
fn refuse(error: &clap::Error, json: bool) -> ExitCode {
    if json && error.use_stderr() {
        let text = error.render().to_string();
        let message = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
        let report = Failed::new(crate::failure::Category::Usage, message, None).into_report();
        return fail(report, Format::Json, false, &Screen::default());
    }
    // Standard output that is gone (`drydock --help | head -1`) is no failure.
    error.print().ok();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Whether a command line that cannot be parsed asks for JSON.
fn wants_json(arguments: &[OsString]) -> bool {
    let words: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    words.iter().any(|word| matches!(*word, "-ojson" | "-o=json" | "--output=json"))
        || words.windows(2).any(|pair| matches!(pair, ["-o" | "--output", "json"]))
}
