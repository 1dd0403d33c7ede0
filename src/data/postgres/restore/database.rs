//! A database itself: made with the recorded encoding and collation, given owner, privileges, settings, limit and comment.

use super::super::connect::Session;
use super::super::error::PostgresError;
use super::super::manifest::{DatabaseSetting, Properties};
use super::super::naming::{identifier, literal};
use super::super::version::Version;
use super::error::RestoreError;
use super::grants;
use super::marker::Marker;

/// Makes an empty database that carries `marker`. From `template0`, the only template that allows every encoding and
/// collation and holds nothing of its own.
pub async fn create(
    session: &Session,
    name: &str,
    properties: &Properties,
    tablespace: Option<&str>,
    marker: &Marker,
) -> Result<(), RestoreError> {
    let sql = creation(name, properties, tablespace, session.version);
    session.batch(&format!("creating database `{name}`"), &sql).await?;
    mark(session, name, Some(&marker.text())).await
}

/// Gives the empty database to `owner`, where one may: what is made in it counts on his rights (CREATE in `public`).
/// A refusal is said by [`apply`], at the end.
pub async fn give(session: &Session, name: &str, owner: &str) -> Result<(), RestoreError> {
    let (what, sql) = ownership(name, owner);
    match session.batch(&format!("giving database `{name}` its {what}"), &sql).await {
        Ok(()) | Err(PostgresError::Privilege { .. } | PostgresError::Query { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn ownership(name: &str, owner: &str) -> (String, String) {
    (format!("owner {owner}"), format!("ALTER DATABASE {} OWNER TO {}", identifier(name), identifier(owner)))
}

pub fn creation(name: &str, properties: &Properties, tablespace: Option<&str>, version: Version) -> String {
    let Properties { encoding, collate, ctype, locale_provider, locale, icu_rules, .. } = properties;
    let mut sql = format!(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}",
        identifier(name),
        literal(encoding),
        literal(collate),
        literal(ctype)
    );
    if version >= Version::V15 {
        sql.push_str(&format!(" LOCALE_PROVIDER {locale_provider}"));
    }
    match (locale_provider.as_str(), locale) {
        ("icu", Some(locale)) => sql.push_str(&format!(" ICU_LOCALE {}", literal(locale))),
        ("builtin", Some(locale)) => sql.push_str(&format!(" BUILTIN_LOCALE {}", literal(locale))),
        _ => {}
    }
    if let Some(rules) = icu_rules {
        sql.push_str(&format!(" ICU_RULES {}", literal(rules)));
    }
    if let Some(tablespace) = tablespace {
        sql.push_str(&format!(" TABLESPACE {}", identifier(tablespace)));
    }
    sql
}

/// Writes a database's comment; `None` removes it.
pub async fn mark(session: &Session, name: &str, comment: Option<&str>) -> Result<(), RestoreError> {
    Ok(session.batch(&format!("marking database `{name}`"), &comment_statement(name, comment)).await?)
}

pub fn comment_statement(name: &str, comment: Option<&str>) -> String {
    let text = comment.map_or_else(|| "NULL".to_owned(), literal);
    format!("COMMENT ON DATABASE {} IS {text}", identifier(name))
}

/// Gives database `name` everything of `properties` but the comment, which is the marker until the end. What the user
/// may not do is said and no failure: on a managed server the owner's role may be out of reach.
pub async fn apply(session: &Session, name: &str, properties: &Properties) -> Result<Vec<String>, RestoreError> {
    let mut notes = Vec::new();
    for (what, sql) in statements(name, properties) {
        match session.batch(&format!("giving database `{name}` its {what}"), &sql).await {
            Ok(()) => {}
            Err(PostgresError::Privilege { message, .. } | PostgresError::Query { message, .. }) => {
                // A role that was taken on and not given back would act in what follows.
                session.batch("taking one's own role again", "RESET ROLE").await?;
                notes.push(format!("database {name} lacks its {what}: {message}"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(notes)
}

fn statements(name: &str, properties: &Properties) -> Vec<(String, String)> {
    let database = identifier(name);
    let mut all = vec![ownership(name, &properties.owner)];
    let grants = grants::statements(&format!("DATABASE {database}"), &properties.owner, properties.grants.as_deref());
    all.extend(grants.into_iter().map(|sql| ("privileges".to_owned(), sql)));
    all.extend(properties.settings.iter().map(|setting| {
        let who = setting.role.as_ref().map_or_else(String::new, |role| format!(" for {role}"));
        (format!("setting {}{who}", setting.name), setting_statement(&database, setting))
    }));
    if properties.connection_limit != -1 {
        let limit = properties.connection_limit;
        all.push(("connection limit".into(), format!("ALTER DATABASE {database} CONNECTION LIMIT {limit}")));
    }
    if properties.template {
        all.push(("template flag".into(), format!("ALTER DATABASE {database} IS_TEMPLATE true")));
    }
    all
}

/// What a database gets once it is filled, as a script for psql.
pub fn script(name: &str, properties: &Properties) -> String {
    let statements = statements(name, properties).into_iter().map(|(_, sql)| sql);
    let comment = properties.comment.as_deref().map(|comment| comment_statement(name, Some(comment)));
    statements.chain(comment).map(|sql| format!("{sql};\n")).collect()
}

/// Settings whose catalog value is a list of quoted names. Source: `variable_is_guc_list_quote` in PostgreSQL 18's
/// `src/bin/pg_dump/dumputils.c`.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

fn setting_statement(database: &str, setting: &DatabaseSetting) -> String {
    let who = setting.role.as_ref().map_or_else(
        || format!("ALTER DATABASE {database}"),
        |role| format!("ALTER ROLE {} IN DATABASE {database}", identifier(role)),
    );
    let value = if LISTS.contains(&setting.name.to_ascii_lowercase().as_str()) {
        list(&setting.value)
    } else {
        literal(&setting.value)
    };
    let name: Vec<String> = setting.name.split('.').map(identifier).collect();
    format!("{who} SET {} TO {value}", name.join("."))
}

/// `public, "Mixed Case"` as literals: `'public', 'Mixed Case'`.
fn list(value: &str) -> String {
    let mut names = vec![String::new()];
    let (mut quoted, mut chars) = (false, value.chars().peekable());
    while let Some(c) = chars.next() {
        let last = names.last_mut().expect("there is always a last name: it begins with one and none is taken away");
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => last.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(String::new()),
            c if c.is_whitespace() && !quoted => {}
            c => last.push(c),
        }
    }
    names.iter().map(|name| literal(name)).collect::<Vec<_>>().join(", ")
}

/// Removes a database that a restore has made, with whatever sessions are left on it.
pub async fn drop(session: &Session, name: &str) -> Result<(), RestoreError> {
    let what = format!("dropping database `{name}`");
    end_sessions(session, name).await?;
    Ok(session.batch(&what, &format!("DROP DATABASE IF EXISTS {}", identifier(name))).await?)
}

/// Asks the server to end the sessions on database `name`; returns how many there were, those of superusers, which only
/// a superuser may end, among them.
pub async fn end_sessions(session: &Session, name: &str) -> Result<i64, RestoreError> {
    let sql = "SELECT count(*), count(CASE WHEN me.rolsuper OR r.rolsuper IS FALSE \
                                           THEN pg_catalog.pg_terminate_backend(a.pid) END) \
               FROM pg_catalog.pg_stat_activity a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid, \
                    pg_catalog.pg_roles me \
               WHERE a.datname = $1 AND a.pid <> pg_catalog.pg_backend_pid() AND me.rolname = current_user";
    let what = format!("ending the sessions on database `{name}`");
    Ok(session.row(&what, sql, &[&name]).await?.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties() -> Properties {
        Properties {
            owner: "app".into(),
            encoding: "UTF8".into(),
            collate: "C".into(),
            ctype: "en_US.UTF-8".into(),
            locale_provider: "icu".into(),
            locale: Some("und-x-icu".into()),
            icu_rules: None,
            collation_version: None,
            tablespace: "pg_default".into(),
            connection_limit: 7,
            template: false,
            comment: Some("x".into()),
            settings: vec![],
            grants: None,
        }
    }

    #[test]
    fn a_database_is_made_in_the_words_of_its_servers_version() {
        let older = Properties { locale_provider: "libc".into(), locale: None, ..properties() };
        assert_eq!(
            creation("a b", &older, None, Version(90_503)),
            r#"CREATE DATABASE "a b" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'en_US.UTF-8'"#
        );
        assert_eq!(
            creation("d", &properties(), Some("fast"), Version(160_000)),
            "CREATE DATABASE \"d\" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'en_US.UTF-8' \
             LOCALE_PROVIDER icu ICU_LOCALE 'und-x-icu' TABLESPACE \"fast\""
        );
    }

    #[test]
    fn lists_are_taken_apart_and_other_values_are_one_text() {
        let of = |role: Option<&str>, name: &str, value: &str| {
            let (role, name, value) = (role.map(Into::into), name.into(), value.into());
            setting_statement("\"d\"", &DatabaseSetting { role, name, value })
        };
        assert_eq!(
            of(None, "search_path", r#"public, "Mixed, ""Case""", $user"#),
            r#"ALTER DATABASE "d" SET "search_path" TO 'public', 'Mixed, "Case"', '$user'"#
        );
        assert_eq!(
            of(Some("o'r"), "my.x", "it's, so"),
            r#"ALTER ROLE "o'r" IN DATABASE "d" SET "my"."x" TO 'it''s, so'"#
        );
        assert_eq!(of(None, "search_path", "\"\""), r#"ALTER DATABASE "d" SET "search_path" TO ''"#);
    }
}
