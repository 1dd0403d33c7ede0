//! Statements in the words of an older target: pg_dump writes some things of every server as its own version has them.
//! Found by restoring the torture database of 9.5 and 9.6 to themselves with pg_dump 15.

use std::borrow::Cow;

use super::super::version::Version;
use super::entries::Entry;
use super::statements::tokens;

/// `statement` of `entry` as a server of version `target` understands it.
pub fn adapted<'a>(entry: &Entry, statement: &'a str, target: Version) -> Cow<'a, str> {
    if target >= Version::V11 || !statement.starts_with("CREATE ") {
        return statement.into();
    }
    match entry.kind.as_str() {
        "EVENT TRIGGER" => replace_last(statement, "EXECUTE FUNCTION ", "EXECUTE PROCEDURE "),
        "OPERATOR" => replace_last(statement, "(\n    FUNCTION = ", "(\n    PROCEDURE = "),
        "COLLATION" if target < Version::V10 => replace_last(statement, "(provider = libc, ", "("),
        "TABLE" if target < Version::V10 => with_options(statement),
        _ => statement.into(),
    }
}

/// The last one: before it stands the object's own name, which may be anything; after it a function's name or a locale.
fn replace_last<'a>(statement: &'a str, from: &str, to: &str) -> Cow<'a, str> {
    match statement.rsplit_once(from) {
        Some((head, tail)) => format!("{head}{to}{tail}").into(),
        None => statement.into(),
    }
}

/// Columns of a table of a composite type need `WITH OPTIONS` before 10: `CREATE TABLE t OF type ("a" NOT NULL)`.
fn with_options(statement: &str) -> Cow<'_, str> {
    let Ok(tokens) = tokens(statement) else { return statement.into() };
    let Some(columns) = columns_of_typed(&tokens) else { return statement.into() };
    let (mut changed, mut copied, mut depth, mut at_column) = (String::new(), 0, 0usize, false);
    for (at, token) in &tokens[columns..] {
        if at_column && *token != "CONSTRAINT" {
            let end = at + token.len();
            changed.push_str(&statement[copied..end]);
            changed.push_str(" WITH OPTIONS");
            copied = end;
        }
        match *token {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        at_column = depth == 1 && matches!(*token, "(" | ",");
    }
    changed.push_str(&statement[copied..]);
    changed.into()
}

/// The place of the parenthesis behind `CREATE [UNLOGGED] TABLE [schema.]name OF [schema.]type`.
fn columns_of_typed(tokens: &[(usize, &str)]) -> Option<usize> {
    let word = |n: usize| tokens.get(n).map_or("", |(_, token)| *token);
    let past_name = |n: usize| if word(n + 1) == "." { n + 3 } else { n + 1 };
    let table = (0..3).find(|n| word(*n) == "TABLE")?;
    let of = past_name(table + 1);
    let columns = past_name(of + 1);
    (word(of) == "OF" && word(columns) == "(").then_some(columns)
}

#[cfg(test)]
mod tests {
    use super::super::entries::Settings;
    use super::*;

    fn of(kind: &str, statement: &str, target: Version) -> String {
        let entry = Entry {
            id: 1,
            kind: kind.into(),
            schema: "public".into(),
            name: "x".into(),
            depends_on: vec![],
            settings: Settings::default(),
            statements: vec![],
        };
        adapted(&entry, statement, target).into_owned()
    }

    const OLD: Version = Version(90_500);

    #[test]
    fn an_older_server_gets_its_own_words_and_a_newer_one_what_pg_dump_wrote() {
        for (kind, written, old) in [
            (
                "EVENT TRIGGER",
                r#"CREATE EVENT TRIGGER "EXECUTE FUNCTION x" ON sql_drop EXECUTE FUNCTION public.f()"#,
                r#"CREATE EVENT TRIGGER "EXECUTE FUNCTION x" ON sql_drop EXECUTE PROCEDURE public.f()"#,
            ),
            ("OPERATOR", "CREATE OPERATOR p.= (\n    FUNCTION = p.f,", "CREATE OPERATOR p.= (\n    PROCEDURE = p.f,"),
            (
                "COLLATION",
                "CREATE COLLATION p.c (provider = libc, locale = 'C')",
                "CREATE COLLATION p.c (locale = 'C')",
            ),
            (
                "TABLE",
                "CREATE TABLE p.t OF p.\"a (b, c\" (\n    \"House, No\" NOT NULL DEFAULT f(1, 2),\n    CONSTRAINT c CHECK (a > 0),\n    b DEFAULT 'x, y'\n)",
                "CREATE TABLE p.t OF p.\"a (b, c\" (\n    \"House, No\" WITH OPTIONS NOT NULL DEFAULT f(1, 2),\n    CONSTRAINT c CHECK (a > 0),\n    b WITH OPTIONS DEFAULT 'x, y'\n)",
            ),
            (
                "TABLE",
                "CREATE TABLE p.t (\n    \"OF\" text,\n    b integer\n)",
                "CREATE TABLE p.t (\n    \"OF\" text,\n    b integer\n)",
            ),
        ] {
            assert_eq!(of(kind, written, OLD), old);
            assert_eq!(of(kind, written, Version::V15), written);
        }
    }
}
