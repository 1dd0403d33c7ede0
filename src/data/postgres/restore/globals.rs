//! Reads `globals.sql` (`pg_dumpall --globals-only`) back into roles, memberships and tablespaces. Pure; `roles.rs`
//! creates what is missing.
//! Source of the layout: PostgreSQL 18 `src/bin/pg_dump/pg_dumpall.c`.

use std::fmt;

use super::statements::{Piece, Unterminated, split};

/// What a server keeps outside of its databases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Globals {
    pub roles: Vec<Role>,
    pub memberships: Vec<Membership>,
    pub tablespaces: Vec<String>,
    /// Privileges on settings (`GRANT SET ON PARAMETER`, 15 and later), and what newer versions will add.
    pub others: Vec<String>,
}

#[derive(Clone, Default, PartialEq, Eq)]
pub struct Role {
    pub name: String,
    /// The words behind `ALTER ROLE name WITH`, the password's hash among them: never to be printed.
    attributes: Vec<String>,
    /// `ALTER ROLE name SET …` and `COMMENT ON ROLE`, as they stand.
    pub statements: Vec<String>,
}

impl fmt::Debug for Role {
    /// Without the attributes, which hold the password's hash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Role").field("name", &self.name).finish_non_exhaustive()
    }
}

/// `member` may act as `role`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub role: String,
    pub member: String,
    /// `ADMIN OPTION, INHERIT TRUE`
    pub options: Option<String>,
    pub grantor: Option<String>,
}

/// Attributes that only a superuser may give, also in their negative form before 16.
const OF_SUPERUSERS: [&str; 3] = ["SUPERUSER", "REPLICATION", "BYPASSRLS"];

impl Role {
    /// What follows `ALTER ROLE name WITH`.
    pub fn attributes(&self) -> String {
        self.attributes.join(" ")
    }

    /// The same for a user who is no superuser, and which attributes the role loses by that.
    pub fn attributes_without_superuser(&self) -> (String, Vec<&str>) {
        let lost = |word: &str| OF_SUPERUSERS.contains(&word);
        let negated = |word: &str| word.strip_prefix("NO").is_some_and(lost);
        let kept: Vec<&str> =
            self.attributes.iter().map(String::as_str).filter(|word| !lost(word) && !negated(word)).collect();
        (kept.join(" "), self.attributes.iter().map(String::as_str).filter(|word| lost(word)).collect())
    }
}

/// Reads the script.
///
/// # Errors
/// When it was cut off in the middle of a statement.
pub fn read(sql: &str) -> Result<Globals, Unterminated> {
    let mut globals = Globals::default();
    for piece in split(sql) {
        if let Piece::Statement(text) = piece? {
            globals.statement(text);
        }
    }
    Ok(globals)
}

impl Globals {
    fn statement(&mut self, text: &str) {
        if let Some((name, _)) = after(text, "CREATE ROLE ") {
            self.roles.push(Role { name, ..Role::default() });
        } else if let Some((name, rest)) = after(text, "ALTER ROLE ") {
            match (rest.strip_prefix(" WITH "), self.role(&name)) {
                (Some(attributes), Some(role)) => role.attributes = words(attributes),
                (None, Some(role)) => role.statements.push(text.to_owned()),
                (_, None) => self.others.push(text.to_owned()),
            }
        } else if let Some((name, _)) = after(text, "COMMENT ON ROLE ") {
            match self.role(&name) {
                Some(role) => role.statements.push(text.to_owned()),
                None => self.others.push(text.to_owned()),
            }
        } else if let Some((name, _)) = after(text, "CREATE TABLESPACE ") {
            self.tablespaces.push(name);
        } else if let Some(membership) = membership(text) {
            self.memberships.push(membership);
        } else if !of_the_session(text) && !about_a_tablespace(text) {
            self.others.push(text.to_owned());
        }
    }

    fn role(&mut self, name: &str) -> Option<&mut Role> {
        self.roles.iter_mut().find(|role| role.name == name)
    }
}

fn of_the_session(text: &str) -> bool {
    text.starts_with("SET ")
}

fn about_a_tablespace(text: &str) -> bool {
    ["ALTER TABLESPACE ", "COMMENT ON TABLESPACE "].iter().any(|start| text.starts_with(start))
        || text
            .split_once(" ON TABLESPACE ")
            .is_some_and(|(verb, _)| verb.starts_with("GRANT") || verb.starts_with("REVOKE"))
}

/// `GRANT role TO member [WITH options] [GRANTED BY grantor]`
fn membership(text: &str) -> Option<Membership> {
    let (role, rest) = after(text, "GRANT ")?;
    let (member, mut rest) = after(rest, " TO ")?;
    let mut options = None;
    if let Some(with) = rest.strip_prefix(" WITH ") {
        let end = with.find(" GRANTED BY ").unwrap_or(with.len());
        options = Some(with[..end].to_owned());
        rest = &with[end..];
    }
    let grantor = after(rest, " GRANTED BY ").map(|(name, _)| name);
    Some(Membership { role, member, options, grantor })
}

/// The identifier behind `prefix`, and what follows it.
fn after<'a>(text: &'a str, prefix: &str) -> Option<(String, &'a str)> {
    let rest = text.strip_prefix(prefix)?;
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len());
        return (end > 0).then(|| (rest[..end].to_owned(), &rest[end..]));
    };
    let mut from = 0;
    loop {
        let quote = from + quoted[from..].find('"')?;
        if !quoted[quote + 1..].starts_with('"') {
            return Some((quoted[..quote].replace("\"\"", "\""), &quoted[quote + 1..]));
        }
        from = quote + 2;
    }
}

/// Cuts at spaces outside of strings: `PASSWORD 'a b'` is two words.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut in_string = false;
    for c in text.chars() {
        in_string ^= c == '\'';
        match words.last_mut() {
            Some(word) if c != ' ' || in_string => word.push(c),
            _ => words.push(String::new()),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLOBALS: &str = r#"
--
-- Roles
--
\restrict x
SET default_transaction_read_only = off;
CREATE ROLE app;
ALTER ROLE app WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION BYPASSRLS;
COMMENT ON ROLE app IS 'hello; ALTER ROLE x WITH SUPERUSER';
CREATE ROLE "we ""ird; TO x";
ALTER ROLE "we ""ird; TO x" WITH SUPERUSER LOGIN CONNECTION LIMIT 3 PASSWORD 'SCRAM-SHA-256$4096:a b==' VALID UNTIL '2030-01-01 00:00:00+00';
ALTER ROLE app SET search_path TO 'a', 'b';
GRANT app TO "we ""ird; TO x" WITH ADMIN OPTION, INHERIT TRUE GRANTED BY postgres;
GRANT pg_monitor TO app;
CREATE TABLESPACE fast OWNER postgres LOCATION '/fast';
ALTER TABLESPACE fast SET (random_page_cost='1');
GRANT ALL ON TABLESPACE fast TO app;
GRANT SET ON PARAMETER work_mem TO app;
"#;

    #[test]
    fn roles_memberships_and_tablespaces_are_read_back() {
        let globals = read(GLOBALS).unwrap();
        let [app, weird] = &globals.roles[..] else { panic!("{:?}", globals.roles) };
        assert_eq!(app.name, "app");
        assert_eq!(app.statements.len(), 2);
        assert_eq!(weird.name, "we \"ird; TO x");
        assert_eq!(
            weird.attributes(),
            "SUPERUSER LOGIN CONNECTION LIMIT 3 PASSWORD 'SCRAM-SHA-256$4096:a b==' VALID UNTIL '2030-01-01 00:00:00+00'"
        );
        let member = |role: &str, member: &str, options: Option<&str>, grantor: Option<&str>| Membership {
            role: role.into(),
            member: member.into(),
            options: options.map(Into::into),
            grantor: grantor.map(Into::into),
        };
        assert_eq!(
            globals.memberships,
            [
                member("app", "we \"ird; TO x", Some("ADMIN OPTION, INHERIT TRUE"), Some("postgres")),
                member("pg_monitor", "app", None, None)
            ]
        );
        assert_eq!(globals.tablespaces, ["fast"]);
        assert_eq!(globals.others, ["GRANT SET ON PARAMETER work_mem TO app"]);
    }

    #[test]
    fn who_is_no_superuser_says_which_attributes_are_lost() {
        let globals = read(GLOBALS).unwrap();
        assert!(!format!("{globals:?}").contains("SCRAM"), "a hash is printed");
        let (kept, lost) = globals.roles[0].attributes_without_superuser();
        assert_eq!(kept, "INHERIT NOCREATEROLE NOCREATEDB LOGIN");
        assert_eq!(lost, ["BYPASSRLS"]);
        let (kept, lost) = globals.roles[1].attributes_without_superuser();
        assert_eq!(
            kept,
            "LOGIN CONNECTION LIMIT 3 PASSWORD 'SCRAM-SHA-256$4096:a b==' VALID UNTIL '2030-01-01 00:00:00+00'"
        );
        assert_eq!(lost, ["SUPERUSER"]);
    }
}
