//! `random:30d`: any recovery point that is at most so old.

use std::time::Duration;

use super::duration;

/// The window that `text` names; `None` where it names a point in another way.
///
/// # Errors
/// What is wrong with the window.
pub fn random_within(text: &str) -> Result<Option<Duration>, String> {
    match text.split_once(':') {
        None if text == "random" => Err("say how far back: `random:30d`".into()),
        None => Ok(None),
        Some(("random", window)) => match duration::parse(window)? {
            Duration::ZERO => Err("no point is that young; expected for example `random:30d`".into()),
            window => Ok(Some(window)),
        },
        Some(_) => Err("only `random:` takes a window".into()),
    }
}
