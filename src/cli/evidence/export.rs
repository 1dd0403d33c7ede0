//! `drydock evidence export`

use std::path::PathBuf;

use serde::Serialize;

use super::place;
use crate::cli::output::Shown;
use crate::cli::report::Failed;
use crate::cli::session::Session;
use crate::cli::{Done, human};
use crate::evidence::page;
use crate::failure::Category;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock evidence export -f stack.yaml --html evidence.html
  drydock evidence export -f stack.yaml --html evidence.html --last 52 --key auditors-copy.pem")]
pub struct Args {
    /// Write one self-contained page here: no outside assets, no script; a former one is replaced
    #[arg(long, value_name = "FILE", required = true)]
    html: PathBuf,

    /// Only the newest this many records
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    last: Option<u64>,

    /// Believe this public key and no other; may be repeated
    #[arg(long, value_name = "PUBLIC")]
    key: Vec<PathBuf>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Exported {
    file: PathBuf,
    bytes: u64,
    records: u64,
    verified: bool,
    faults: Vec<String>,
}

pub async fn run(args: &Args, session: &Session) -> Done {
    let trust = place::trust(&args.key)?;
    let (_, chain) = place::chain(session).await?;
    let examined = chain.examine(args.last, &trust, &[]).await?;
    let html = page(&examined, session.cx.clock.now());
    write(&args.html, &html).map_err(|error| {
        let message = format!("cannot write {}: {error}", args.html.display());
        Failed::new(Category::Unavailable, message, None)
    })?;
    let exported = Exported {
        file: args.html.clone(),
        bytes: html.len() as u64,
        records: examined.entries.len() as u64,
        verified: examined.holds(),
        faults: examined.faults(),
    };
    session.print_with(&exported, place::category(&examined))
}

/// Whole or not at all: a full disk must not leave half a page that looks like one.
fn write(file: &std::path::Path, html: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    let readable = std::fs::Permissions::from_mode(0o644); // made to be shown
    let mut temporary = tempfile::Builder::new().permissions(readable).tempfile_in(folder)?;
    temporary.write_all(html.as_bytes())?;
    temporary.persist(file)?;
    Ok(())
}

impl Shown for Exported {
    fn text(&self) -> String {
        let records = human::count(self.records, "record");
        let text = format!("wrote {} with {records}\n", self.file.display());
        if self.verified {
            return text;
        }
        let faults: String = self.faults.iter().map(|fault| format!("  {fault}\n")).collect();
        format!("{text}DOES NOT VERIFY, and the page says so:\n{faults}")
    }
}
