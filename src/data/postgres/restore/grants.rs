//! Privileges on databases and large objects as statements: these two have none in `schema.dump`.

use super::super::manifest::Grant;
use super::super::naming::identifier;

/// What makes the privileges on `object` (`DATABASE "x"`, `LARGE OBJECT 7`), which `owner` owns, those of `grants`.
/// Nothing where they were the default ones.
pub fn statements(object: &str, owner: &str, grants: Option<&[Grant]>) -> Vec<String> {
    let Some(grants) = grants else { return Vec::new() };
    let mut statements = vec![
        format!("REVOKE ALL ON {object} FROM PUBLIC"),
        format!("REVOKE ALL ON {object} FROM {}", identifier(owner)),
    ];
    // The owner's first: others hand on what they were given.
    let (by_owner, by_others): (Vec<&Grant>, Vec<&Grant>) = grants.iter().partition(|grant| grant.grantor == owner);
    statements.extend(by_owner.into_iter().map(|grant| granting(object, grant)));
    for grant in by_others {
        // A superuser's GRANT counts as the owner's: only who acts as the grantor is recorded as such.
        let (grantor, granting) = (identifier(&grant.grantor), granting(object, grant));
        statements.push(format!("SET ROLE {grantor}; {granting}; RESET ROLE"));
    }
    statements
}

fn granting(object: &str, grant: &Grant) -> String {
    let grantee = grant.grantee.as_deref().map_or_else(|| "PUBLIC".to_owned(), identifier);
    let option = if grant.grantable { " WITH GRANT OPTION" } else { "" };
    format!("GRANT {} ON {object} TO {grantee}{option}", grant.privilege)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(grantor: &str, grantee: Option<&str>, privilege: &str, grantable: bool) -> Grant {
        let (grantor, grantee) = (grantor.to_owned(), grantee.map(str::to_owned));
        Grant { grantor, grantee, privilege: privilege.into(), grantable }
    }

    #[test]
    fn what_was_handed_on_is_granted_by_who_handed_it_on_and_after_he_got_it() {
        let grants = [
            grant("app", Some("other"), "CONNECT", false),
            grant("boss", Some("app"), "CONNECT", true),
            grant("boss", None, "TEMPORARY", false),
        ];
        assert_eq!(
            statements("DATABASE \"d\"", "boss", Some(&grants)),
            [
                "REVOKE ALL ON DATABASE \"d\" FROM PUBLIC",
                "REVOKE ALL ON DATABASE \"d\" FROM \"boss\"",
                "GRANT CONNECT ON DATABASE \"d\" TO \"app\" WITH GRANT OPTION",
                "GRANT TEMPORARY ON DATABASE \"d\" TO PUBLIC",
                "SET ROLE \"app\"; GRANT CONNECT ON DATABASE \"d\" TO \"other\"; RESET ROLE",
            ]
        );
        assert!(statements("DATABASE \"d\"", "boss", None).is_empty());
    }
}
