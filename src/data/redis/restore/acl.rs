//! Users: those of the snapshot that the server lacks are set, all of them where that is asked for; others are left, our
//! own is never touched.

use std::collections::BTreeSet;

use super::super::connection::Connection;
use super::super::error::RedisError;
use super::super::resp::Reply;

/// What became of the users.
#[derive(Debug, Default)]
pub(super) struct Users {
    pub(super) set: u64,
    pub(super) notes: Vec<String>,
    /// Name and the server's word.
    pub(super) refused: Vec<(String, String)>,
}

/// `lines` as `ACL LIST` tells them: `user NAME rules…`. `all`: also those that the server has.
pub(super) async fn set(connection: &mut Connection, lines: &[String], all: bool) -> Result<Users, RedisError> {
    let mut users = Users::default();
    if lines.is_empty() {
        return Ok(users);
    }
    let Some(there) = there(connection).await? else {
        users.notes.push("the snapshot's users were not set: the server does not tell its own (ACL USERS)".into());
        return Ok(users);
    };
    let ours = connection.optional(&["ACL", "WHOAMI"]).await?.and_then(|reply| reply.text());
    for line in lines {
        let mut words = line.split(' ');
        let (Some("user"), Some(name)) = (words.next(), words.next()) else {
            return Err(RedisError::NoSnapshot("acl.txt holds a line that is no user".into()));
        };
        if !all && there.contains(name) {
            continue;
        }
        if Some(name) == ours.as_deref() {
            users.notes.push(format!("the user {name} is the one of this restore and was left as it is"));
            continue;
        }
        let rules: Vec<&[u8]> =
            [&b"ACL"[..], b"SETUSER", name.as_bytes(), b"reset"].into_iter().chain(words.map(str::as_bytes)).collect();
        match connection.ask(&rules, "ACL SETUSER").await? {
            Reply::Error(said) => users.refused.push((name.to_owned(), without_rules(&said))),
            _ => users.set += 1,
        }
    }
    keep(connection, &mut users).await?;
    Ok(users)
}

/// The names of the server's users; `None` where it does not tell.
async fn there(connection: &mut Connection) -> Result<Option<BTreeSet<String>>, RedisError> {
    let names = connection.optional(&["ACL", "USERS"]).await?.and_then(|reply| reply.texts());
    Ok(names.map(|names| names.into_iter().collect()))
}

/// The server quotes the rule that it refuses, and that may be a password's hash.
fn without_rules(said: &str) -> String {
    said.rsplit(": ").next().unwrap_or_default().to_owned()
}

/// Users live in memory unless they are saved.
async fn keep(connection: &mut Connection, users: &mut Users) -> Result<(), RedisError> {
    let file = connection.setting("aclfile").await?;
    let saved = match file.as_deref() {
        Some("") | None => false,
        Some(_) => connection.optional(&["ACL", "SAVE"]).await?.is_some(),
    };
    if !saved && users.set > 0 {
        users.notes.push("the users are in the server's memory only: `CONFIG REWRITE` keeps them".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_rule_is_not_repeated() {
        let said = "ERR Error in ACL SETUSER modifier '#0a1b': Syntax error";
        assert_eq!(without_rules(said), "Syntax error");
    }
}
