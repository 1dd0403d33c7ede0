//! `drydock runs list`

use jiff::Timestamp;
use serde::Serialize;

use super::place;
use crate::cli::output::Shown;
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::cli::{Done, human};
use crate::run::{self, RunId};
use crate::stack::Name;
use crate::status::{Known, KnownRun, RunLine, Standing, instant_of, newest_first, read_runs};

/// A screen full.
const LIMIT: usize = 30;

#[derive(Debug, Clone, Default, clap::Args)]
pub struct Filter {
    /// Only those that are not over
    #[arg(long)]
    open: bool,
    /// Only those of this kind: snapshot, drill, check, forget, prune, restore
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// At most so many, the newest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

impl Filter {
    pub fn is_empty(&self) -> bool {
        !self.open && self.kind.is_none() && self.limit.is_none()
    }

    fn limit(&self) -> usize {
        self.limit.map_or(LIMIT, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
    }
}

pub async fn run(filter: &Filter, session: &Session) -> Done {
    let place = place::open(session).await?;
    let now = session.cx.clock.now();
    let leaders = run::leaders(&place.store, now).await?;
    let mut names = place.journals.list().await?;
    newest_first(&mut names);
    if let Some(kind) = &filter.kind {
        names.retain(|name| name.as_str().split('-').next() == Some(kind));
    }
    let all = names.len();
    if !filter.open {
        names.truncate(filter.limit());
    }
    let read = read_runs(place.journals.as_ref(), names).await?;
    let rows = read.into_iter().map(|one| Row::of(one, &leaders, now));
    let mut rows: Vec<Row> = rows.filter(|row| !filter.open || row.is_open()).take(filter.limit()).collect();
    rows.sort_by_cached_key(|row| std::cmp::Reverse(row.instant()));
    let open = filter.open;
    session.print(&List { stack: place.stack.name, runs: rows, all, open, now })
}

/// What `runs -o json` prints, for whoever serves it: the newest of `all` runs.
pub fn json(known: &Known, all: usize, now: Timestamp) -> String {
    let mut sorted: Vec<RunId> = known.runs.iter().map(|one| one.run.clone()).collect();
    newest_first(&mut sorted);
    let found = sorted.iter().filter_map(|name| known.runs.iter().find(|one| one.run == *name));
    let mut runs: Vec<Row> = found.take(LIMIT).map(|one| Row::of(one.clone(), &known.leaders, now)).collect();
    runs.sort_by_cached_key(|row| std::cmp::Reverse(row.instant()));
    let list = List { stack: known.stack.name.clone(), runs, all, open: false, now };
    serde_json::to_string_pretty(&list).expect("names, texts and numbers are JSON") + "\n"
}

/// What `runs -o json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    stack: Name,
    runs: Vec<Row>,
    /// How many there are, of the kind that was asked for.
    all: usize,
    #[serde(skip)]
    open: bool,
    #[serde(skip)]
    now: Timestamp,
}

/// A run, or one whose journal cannot be understood.
#[derive(Serialize)]
#[serde(untagged)]
enum Row {
    Run(RunLine),
    #[serde(rename_all = "camelCase")]
    Damaged {
        run: RunId,
        damaged: String,
    },
}

impl Row {
    fn of(one: KnownRun, leaders: &[run::Leader], now: Timestamp) -> Self {
        match one.state {
            Ok(state) => Self::Run(RunLine::of(&one.run, &state, leaders, now)),
            Err(damaged) => Self::Damaged { run: one.run, damaged },
        }
    }

    /// Ids have whole seconds; of two of one second the journals tell which came first.
    fn instant(&self) -> (Option<String>, Option<Timestamp>) {
        match self {
            Self::Run(line) => (instant_of(&line.run).map(str::to_owned), Some(line.started)),
            Self::Damaged { run, .. } => (instant_of(run).map(str::to_owned), None),
        }
    }

    /// Of what cannot be understood it is not known.
    fn is_open(&self) -> bool {
        match self {
            Self::Run(line) => !line.standing.is_over(),
            Self::Damaged { .. } => true,
        }
    }
}

impl Shown for List {
    fn text(&self) -> String {
        if self.runs.is_empty() {
            return if self.open { "no run is open\n".into() } else { format!("no runs of {} yet\n", self.stack) };
        }
        let mut table = Table::new(&["KIND", "STARTED", ">AGE", ">TOOK", "OUTCOME", "RUN"]);
        for row in &self.runs {
            match row {
                Row::Run(line) => table.row([
                    line.kind.clone(),
                    human::instant(line.started),
                    human::age(line.started, self.now),
                    human::ms(line.took_ms),
                    outcome(line),
                    line.run.to_string(),
                ]),
                Row::Damaged { run, damaged } => table.row([
                    run.as_str().split('-').next().unwrap_or_default().to_owned(),
                    String::new(),
                    String::new(),
                    String::new(),
                    format!("journal cannot be understood: {damaged}"),
                    run.to_string(),
                ]),
            }
        }
        let more = self.all.saturating_sub(self.runs.len());
        let more = if more > 0 && !self.open {
            format!("and {} older; see --limit\n", human::number(more as u64))
        } else {
            String::new()
        };
        table.text() + &more
    }
}

fn outcome(line: &RunLine) -> String {
    let word = line.standing.word();
    match (&line.failure, line.standing) {
        (Some(failure), Standing::Failed | Standing::Waiting) => format!("{word}: {}", short(&failure.message)),
        _ if line.undoing && !line.standing.is_over() => format!("{word}, being undone"),
        _ => word.to_owned(),
    }
}

/// A table is read as a whole; `runs show` has all of it.
fn short(message: &str) -> String {
    const LONGEST: usize = 60;
    let line = message.lines().next().unwrap_or_default();
    if line.chars().count() <= LONGEST {
        return line.to_owned();
    }
    line.chars().take(LONGEST - 1).chain(['…']).collect()
}
