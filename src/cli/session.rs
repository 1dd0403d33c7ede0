//! What one run of a command stands on: the document, the context, the output.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::output::{self, Format, Shown};
use super::progress::{Display, Mode};
use super::report::{Failed, Report};
use super::screen::Screen;
use super::signals::{self, StopReason};
use super::{Done, Global, snapshot};
use crate::context::Context;
use crate::failure::Category;
use crate::operation::{self, Found, Led, Order, Request, Said, TakenUp};
use crate::point::Home;
use crate::run::Stop;
use crate::stack::Stack;

pub struct Session {
    pub cx: Context,
    pub format: Format,
    pub stopped: StopReason,
    pub screen: Screen,
    global: Global,
    display: RefCell<Option<Display>>,
}

impl Session {
    /// Begins to listen to signals.
    pub fn begin(global: Global, screen: &Screen) -> Result<Self, Failed> {
        let cx = Context::default();
        let stopped = signals::watch(&cx.cancel, global.timeout, screen)
            .map_err(|error| Failed::new(Category::Unavailable, format!("cannot listen to signals: {error}"), None))?;
        let (format, screen) = (global.output, screen.clone());
        Ok(Self { cx, format, stopped, screen, global, display: RefCell::default() })
    }

    /// For a daemon, which listens to signals by itself: they mean other things to it.
    #[expect(clippy::unnecessary_wraps, reason = "as `begin`")]
    pub fn of_a_daemon(global: Global, screen: &Screen) -> Result<Self, Failed> {
        let (format, screen, stopped) = (global.output, screen.clone(), StopReason::default());
        Ok(Self { cx: Context::default(), format, stopped, screen, global, display: RefCell::default() })
    }

    /// Where the document of `-f` lies.
    pub fn file(&self) -> Option<&Path> {
        self.global.file.as_deref()
    }

    /// `--timeout`
    pub fn timeout(&self) -> Option<Duration> {
        self.global.timeout
    }

    /// The document of `-f`.
    pub fn stack(&self) -> Result<Stack, Failed> {
        let Some(file) = &self.global.file else {
            let hint = "say where the Stack document is: `-f stack.yaml`, or the environment variable DRYDOCK_FILE";
            return Err(Failed::usage("no Stack document is given", hint));
        };
        Ok(Stack::load(file)?)
    }

    /// The document of `-f`, for commands that can do without.
    pub fn stack_if_given(&self) -> Result<Option<Stack>, Failed> {
        self.global.file.as_ref().map(|_| self.stack()).transpose()
    }

    /// The stack of `-f`, opened.
    pub async fn home(&self) -> Result<Home, Failed> {
        let stack = self.stack()?;
        Ok(Home::open(stack).await?)
    }

    /// Whether what is printed may have colours: on a terminal, unless `--no-color` or `NO_COLOR` is said.
    pub fn paints(&self) -> bool {
        let wanted = !self.global.no_color && std::env::var_os("NO_COLOR").is_none_or(|said| said.is_empty());
        wanted && std::io::stdout().is_terminal()
    }

    /// Does what is asked, as a run, and says meanwhile what somebody who waits wants to know.
    pub async fn lead(&self, home: &Home, request: Request, wait: Duration) -> Result<Led, Failed> {
        let run = operation::run_id(request.word(), &home.stack.name, self.cx.clock.now());
        let order = Order { run, by: operation::asker(), request, wait, found: Found::Undo };
        let stop = Stop::of(&self.cx.cancel);
        Ok(operation::lead(home, order, &stop, &self.cx, &self.says()).await?)
    }

    /// Tells on the screen what a run says.
    pub fn says(&self) -> impl Fn(Said) {
        let (screen, mode) = (self.screen.clone(), self.global.progress);
        move |said| tell(&screen, mode, &said)
    }

    /// `failed` with the document that was given where a hint says `FILE`.
    pub fn with_file(&self, mut report: Report) -> Report {
        report.hint = report.hint.map(|hint| self.name_file(&hint));
        report
    }

    /// `text` with the document that was given in place of `FILE`, so that a command can be typed as it stands.
    pub fn name_file(&self, text: &str) -> String {
        match &self.global.file {
            Some(file) => text.replace("-f FILE", &format!("-f {}", file.display())),
            None => text.to_owned(),
        }
    }

    /// Shows progress from now on; not before a person was asked, whose answer bars would overwrite.
    pub fn show_progress(&self) {
        let display = Display::start(self.global.progress, &self.cx.progress, &self.screen);
        self.display.replace(Some(display));
    }

    pub fn end_progress(&self) {
        self.display.replace(None);
    }

    /// Prints `result` and ends with 0.
    pub fn print(&self, result: &impl Shown) -> Done {
        self.print_with(result, None)
    }

    /// Prints `result` and ends with 0, or with `category`'s code.
    pub fn print_with(&self, result: &impl Shown, category: Option<Category>) -> Done {
        self.end_progress();
        output::print(self.format, result, |text| self.name_file(text)).map_err(|error| {
            Failed::new(Category::Unavailable, format!("cannot write to standard output: {error}"), None)
        })?;
        Ok(ExitCode::from(category.map_or(0, Category::exit_code)))
    }
}

fn tell(screen: &Screen, mode: Mode, said: &Said) {
    let line = match said {
        Said::Moved { .. } => return,
        Said::Expects(_) if mode == Mode::None => return,
        Said::Expects(forecast) if mode == Mode::Json => {
            serde_json::json!({"event": "estimate", "estimate": forecast}).to_string()
        }
        Said::Expects(forecast) => snapshot::sentence(forecast),
        Said::Waiting(held) => format!("waiting: {} is at the run {}", held.holder, held.run),
        Said::TakesUp { run, found: Found::Undo, .. } => {
            format!("the run {run} was cut off; what it left is brought in order first")
        }
        Said::TakesUp { run, found: Found::Resume, .. } => format!("the run {run} was cut off; it goes on"),
        Said::TookUp(TakenUp { run, outcome: Some(outcome) }) => format!("the run {run} is over: {}", outcome.word()),
        Said::TookUp(TakenUp { run, outcome: None }) => {
            format!("the run {run} waits for a person: `drydock runs show {run}` says why")
        }
    };
    let line = match (mode, said) {
        (Mode::Json, Said::Expects(_)) => line,
        (Mode::Json, _) => serde_json::json!({"event": "note", "note": line}).to_string(),
        _ => line,
    };
    screen.line(&line);
}
