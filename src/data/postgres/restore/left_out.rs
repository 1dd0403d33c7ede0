//! Which line of the recorded list of schema objects belongs to an entry that the user may not create, so that exactly
//! that line may be missing. Pure.

use super::entries::Entry;

/// Whether `line` of `objects.txt` names what one of `entries` would have made.
pub fn covers(entries: &[Entry], line: &str) -> bool {
    entries.iter().any(|entry| match entry.kind.as_str() {
        "EVENT TRIGGER" => is_named(line, "event trigger ", entry),
        "PUBLICATION" => is_named(line, "publication ", entry),
        "DEFAULT ACL" => default_privileges(line).is_some_and(|line| Some(line) == default_privileges_of(entry)),
        _ => false,
    })
}

fn is_named(line: &str, kind: &str, entry: &Entry) -> bool {
    let Some((name, rest)) = line.strip_prefix(kind).and_then(name) else { return false };
    name == entry.name && matches!(rest, "" | " disabled")
}

/// Whose, in which schema (`None`: in all), on what.
type DefaultPrivileges = (String, Option<String>, char);

/// `default privileges of "Wei""rd" in public on r`
fn default_privileges(line: &str) -> Option<DefaultPrivileges> {
    let (role, rest) = name(line.strip_prefix("default privileges of ")?)?;
    let (schema, rest) = match rest.strip_prefix(" in ") {
        Some(rest) => name(rest).map(|(schema, rest)| (Some(schema), rest))?,
        None => (None, rest),
    };
    let mut what = rest.strip_prefix(" on ")?.chars();
    Some((role, schema, what.next().filter(|_| what.next().is_none())?))
}

/// The same by the entry's first statement, `ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA public …`, and its title,
/// `DEFAULT PRIVILEGES FOR TABLES`. Source of the letters: the catalog `pg_default_acl`.
fn default_privileges_of(entry: &Entry) -> Option<DefaultPrivileges> {
    let statement = entry.statements.first()?;
    let (role, _) = name(statement.strip_prefix("ALTER DEFAULT PRIVILEGES FOR ROLE ")?)?;
    let what = match entry.name.strip_prefix("DEFAULT PRIVILEGES FOR ")? {
        "TABLES" => 'r',
        "SEQUENCES" => 'S',
        "FUNCTIONS" => 'f',
        "TYPES" => 'T',
        "SCHEMAS" => 'n',
        "LARGE OBJECTS" => 'L',
        _ => return None,
    };
    let schema = (!matches!(entry.schema.as_str(), "" | "-")).then(|| entry.schema.clone());
    Some((role, schema, what))
}

/// The name that `text` begins with, as `quote_ident` writes it, and what follows. Line breaks are blanks, as pg_dump
/// has them in an entry's name.
fn name(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$'))).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let (mut name, mut rest) = (String::new(), quoted);
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((plain(&name), after)),
        }
    }
}

/// Takes back what `objects.txt` does to backslashes and line breaks.
fn plain(name: &str) -> String {
    let (mut plain, mut chars) = (String::with_capacity(name.len()), name.chars());
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('n' | 'r') => ' ',
                Some(escaped) => escaped,
                None => c,
            },
            c => c,
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn entry(kind: &str, schema: &str, name: &str, statement: &str) -> Entry {
        Entry {
            id: 1,
            kind: kind.into(),
            schema: schema.into(),
            name: name.into(),
            depends_on: vec![],
            settings: Arc::default(),
            statements: vec![statement.into()],
        }
    }

    #[test]
    fn an_event_trigger_excuses_the_one_of_its_name_and_no_other() {
        let entries = [entry("EVENT TRIGGER", "-", "a", ""), entry("EVENT TRIGGER", "-", "We\"i\\rd one", "")];
        for line in ["event trigger a", "event trigger a disabled", r#"event trigger "We""i\\rd\none""#] {
            assert!(covers(&entries, line), "{line}");
        }
        for line in
            ["event trigger audit", "event trigger \"a b\"", "event trigger \"A\"", "publication a", "trigger a"]
        {
            assert!(!covers(&entries, line), "{line}");
        }
        assert!(covers(&[entry("PUBLICATION", "-", "all", "")], "publication \"all\""));
        assert!(!covers(&[entry("PUBLICATION", "-", "all", "")], "publication all_tables"));
    }

    #[test]
    fn default_privileges_excuse_those_of_the_same_role_schema_and_kind() {
        let of = |schema: &str, what: &str, role: &str| {
            let statement = format!("ALTER DEFAULT PRIVILEGES FOR ROLE {role} IN SCHEMA s GRANT SELECT ON TABLES TO x");
            entry("DEFAULT ACL", schema, &format!("DEFAULT PRIVILEGES FOR {what}"), &statement)
        };
        let line = "default privileges of app in public on r";
        assert!(covers(&[of("public", "TABLES", "app")], line));
        assert!(covers(&[of("public", "TABLES", "\"app\"")], line));
        assert!(covers(&[of("-", "FUNCTIONS", "\"My \"\"App\"")], r#"default privileges of "My ""App" on f"#));
        for other in [of("-", "TABLES", "app"), of("public", "TYPES", "app"), of("public", "TABLES", "apps")] {
            assert!(!covers(&[other], line));
        }
    }
}
