//! `drydock completions SHELL`

use std::io::Write;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::report::Failed;
use super::session::Session;
use super::{Arguments, Done};
use crate::failure::Category;

/// Print a shell's completion script
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock completions bash > /etc/bash_completion.d/drydock
  drydock completions zsh > \"${fpath[1]}/_drydock\"
  drydock completions fish > ~/.config/fish/completions/drydock.fish")]
pub struct Args {
    shell: Shell,
}

pub fn run(args: &Args, _session: &Session) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "drydock", &mut script);
    match std::io::stdout().write_all(&script) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failed::new(Category::Unavailable, format!("cannot write to standard output: {error}"), None))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
