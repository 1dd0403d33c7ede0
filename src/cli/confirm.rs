//! Asking a person at a terminal before something live is touched.

use std::io::{self, BufRead, IsTerminal, Write};

use super::report::Failed;
use crate::context::Context;
use crate::failure::Category;

/// Goes on when `yes` or when the person at the terminal types `word`; otherwise refuses.
///
/// # Errors
/// Without a terminal and without `yes`, when something else was typed, or when told to stop meanwhile.
pub async fn confirm(what: &str, word: &str, yes: bool, cx: &Context) -> Result<(), Failed> {
    if yes {
        return Ok(());
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        let hint = "look at it with `--dry-run`, then run it with `--yes`, or at a terminal where it can ask";
        return Err(Failed::usage(format!("{what}; there is no terminal to ask at"), hint));
    }
    eprint!("{what}.\nType `{word}` to go on: ");
    // On a thread of its own: nothing ends a read but a line, and Ctrl-C must.
    let reading = tokio::task::spawn_blocking(|| {
        let mut typed = String::new();
        io::stderr().flush().and_then(|()| io::stdin().lock().read_line(&mut typed)).map(|_| typed)
    });
    let read = tokio::select! {
        () = cx.cancel.cancelled() => {
            return Err(Failed::new(Category::Interrupted, "stopped before it was confirmed; nothing was changed", None));
        }
        read = reading => read.unwrap_or_else(|error| Err(io::Error::other(error))),
    };
    match read {
        Ok(typed) if typed.trim() == word => Ok(()),
        Ok(_) => Err(Failed::new(
            Category::Usage,
            format!("not confirmed: `{word}` was not typed; nothing was changed"),
            None,
        )),
        Err(error) => Err(Failed::new(Category::Usage, format!("cannot read the answer: {error}"), None)),
    }
}
