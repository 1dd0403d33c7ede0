//! `drydock restore --list`, `--resume`, `--undo`, `--discard`

use serde::Serialize;

use crate::cli::Done;
use crate::cli::confirm::confirm;
use crate::cli::output::Shown;
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::failure::Category;
use crate::restore::kept::{self, Ended, Kept, Step};

#[derive(Serialize)]
struct List {
    kept: Vec<Kept>,
}

pub async fn list(session: &Session) -> Done {
    let kept = kept::list(&session.stack()?, &session.cx).await?;
    let unfinished = kept.iter().any(|one| one.unfinished);
    session.print_with(&List { kept }, unfinished.then_some(Category::NeedsOperator))
}

impl Shown for List {
    fn text(&self) -> String {
        if self.kept.is_empty() {
            return "no in-place restore has kept anything in a volume\n".into();
        }
        let mut table = Table::new(&["RUN", "DATA", "FOLDER", "STATE", "NEXT"]);
        for one in &self.kept {
            let next = if one.unfinished { "--resume or --undo" } else { "--discard or --undo" };
            let folder = one.folder.display().to_string();
            table.row([one.run.clone(), one.data.to_string(), folder, one.state.to_owned(), next.to_owned()]);
        }
        table.text()
    }
}

#[derive(Serialize)]
struct Result {
    run: String,
    data: Vec<Ended>,
}

pub async fn end(run: &str, step: Step, yes: bool, session: &Session) -> Done {
    let stack = session.stack()?;
    let what = match step {
        Step::Resume => None,
        Step::Undo => Some(format!("the former content that {run} has replaced will be live again")),
        Step::Discard => Some(format!("what {run} has kept will be removed for ever")),
    };
    if let Some(what) = what {
        confirm(&what, stack.name.as_str(), yes)?;
    }
    let data = kept::end(&stack, run, step, &session.cx).await?;
    session.print(&Result { run: run.to_owned(), data })
}

impl Shown for Result {
    fn text(&self) -> String {
        let mut text = String::new();
        for one in &self.data {
            text += &match one.live {
                Some("untouched") => format!("{}: the folder is as it was\n", one.data),
                Some(live) => format!("{}: the {live} content is live\n", one.data),
                None => format!("{}: what {} had kept is removed\n", one.data, self.run),
            };
        }
        text
    }
}
