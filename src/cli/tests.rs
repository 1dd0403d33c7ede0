use std::fmt::Write as _;

use clap::CommandFactory;

use super::Arguments;

#[test]
fn the_command_line_is_well_formed() {
    Arguments::command().debug_assert();
}

/// Every command's `--help`, but for the global options, which are shown once.
#[test]
fn help_is_as_it_was_read_by_people() {
    let mut golden = String::new();
    let mut command = Arguments::command();
    write!(golden, "{}", command.render_long_help()).unwrap();
    command.build();
    add(&command, "drydock", &mut golden);
    insta::assert_snapshot!("help", golden);
}

fn add(command: &clap::Command, path: &str, golden: &mut String) {
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let path = format!("{path} {}", sub.get_name());
        let help = sub.clone().render_long_help().to_string();
        let (before, after) = help.split_once("Global options:").unwrap_or((&help, ""));
        let examples = after.find("Examples:").map_or("", |at| &after[at..]);
        write!(golden, "\n\n===== {path} --help =====\n\n{before}{examples}").unwrap();
        add(sub, &path, golden);
    }
}
