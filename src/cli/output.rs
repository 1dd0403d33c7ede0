//! Results on standard output, for people or for scripts.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

/// What `-o` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// Aligned tables and sentences.
    #[default]
    Text,
    /// One JSON document with stable camelCase names.
    Json,
}

/// What a command found or did: as JSON by `Serialize`, as text by this.
pub trait Shown: Serialize {
    fn text(&self) -> String;
}

/// Writes `result` to standard output, its text as `finish` makes it. A reader that went away (`drydock points | head`) is no failure.
///
/// # Errors
/// When standard output cannot be written, such as a full disk behind `>`.
pub fn print(format: Format, result: &impl Shown, finish: impl Fn(&str) -> String) -> io::Result<()> {
    let mut text = match format {
        Format::Text => finish(&result.text()),
        Format::Json => serde_json::to_string_pretty(result)?,
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}
