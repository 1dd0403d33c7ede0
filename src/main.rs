//! The `drydock` program; everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    drydock::cli::main(std::env::args_os())
}
