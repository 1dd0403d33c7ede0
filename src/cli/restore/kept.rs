//! `drydock restore --list`, `--resume`, `--undo`, `--discard`

use serde::Serialize;

use std::time::Duration;

use crate::cli::Done;
use crate::cli::confirm::confirm;
use crate::cli::output::Shown;
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::failure::Category;
use crate::operation::{EndRestore, With, end_restore};
use crate::restore::kept::{self, Ended, Kept};
use crate::run::Stop;

#[derive(Serialize)]
struct List {
    kept: Vec<Kept>,
}

pub async fn list(session: &Session) -> Done {
    let kept = kept::list(&session.home().await?, &session.cx).await?;
    let unfinished = kept.iter().any(|one| one.unfinished);
    session.print_with(&List { kept }, unfinished.then_some(Category::NeedsOperator))
}

impl Shown for List {
    fn text(&self) -> String {
        if self.kept.is_empty() {
            return "no in-place restore has kept anything\n".into();
        }
        let mut table = Table::new(&["RUN", "DATA", "KEPT", "STATE", "NEXT"]);
        for one in &self.kept {
            let next = match (&one.run, one.unfinished) {
                (None, _) => "",
                (Some(_), true) => "--resume or --undo",
                (Some(_), false) => "--discard or --undo",
            };
            let kept = one.name.as_ref().map_or_else(|| one.kind.to_owned(), |name| format!("{} {name}", one.kind));
            let run = one.run.clone().unwrap_or_else(|| "-".into());
            table.row([run, one.data.to_string(), kept, one.state.to_owned(), next.to_owned()]);
        }
        table.text()
    }
}

#[derive(Serialize)]
struct Result {
    run: String,
    data: Vec<Ended>,
}

pub async fn end(run: &str, step: EndRestore, yes: bool, wait: Duration, session: &Session) -> Done {
    let home = session.home().await?;
    let what = match step {
        EndRestore::Resume => None,
        EndRestore::Undo => Some(format!("the former content that {run} has replaced will be live again")),
        EndRestore::Discard => Some(discarded(run, &kept::list(&home, &session.cx).await?)),
    };
    if let Some(what) = what {
        confirm(&what, home.stack.name.as_str(), yes, &session.cx).await?;
    }
    session.show_progress();
    let (stop, say) = (Stop::of(&session.cx.cancel), session.says());
    let with = With { wait, stop: &stop, cx: &session.cx, say: &say };
    let data = end_restore(&home, run, step, with).await?;
    session.print(&Result { run: run.to_owned(), data })
}

/// Names what goes, so that a person sees it before it is gone.
fn discarded(run: &str, kept: &[Kept]) -> String {
    let of_run = kept.iter().filter(|one| one.run.as_deref() == Some(run));
    let names: Vec<String> = of_run.filter_map(|one| Some(format!("{} {}", one.kind, one.name.as_ref()?))).collect();
    format!("what {run} has kept will be removed for ever: {}", names.join(", "))
}

impl Shown for Result {
    fn text(&self) -> String {
        let mut text = String::new();
        for one in &self.data {
            text += &match one.live {
                Some("untouched") => format!("{}: it is as it was\n", one.data),
                Some(live) => format!("{}: the {live} content is live\n", one.data),
                None => format!("{}: what {} had kept is removed\n", one.data, self.run),
            };
            for aside in &one.set_aside {
                text += &format!(
                    "  what had been restored is the {} {}; remove it with: drydock restore -f FILE --discard {}\n",
                    aside.kind, aside.name, self.run
                );
            }
            text += &one.note.as_ref().map(|note| format!("  note: {note}\n")).unwrap_or_default();
        }
        text
    }
}
