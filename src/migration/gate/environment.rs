//! The servers that an application is told of by its own environment variables. Pure.
//!
//! Source: Kong's "Configuration reference" (`KONG_PG_*`, and `_FILE` of its image's entrypoint), Chatwoot's `.env.example`
//! and `config/database.yml`, the `config/database` that create-strapi-app writes.

use serde_json::{Value, json};

use super::Gate;
use crate::stack::{Migration, PostgresSpec, RedisSpec};

/// Why no server can be named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoServer {
    #[error("the environment does not set {variable}")]
    Unset { variable: &'static str },
    #[error("{variable} cannot be understood: {why}")]
    Unclear { variable: &'static str, why: String },
    #[error("there is no rule for the environment of `{adapter}`")]
    NoRule { adapter: &'static str },
}

/// What of an application is asked, its caches first: the answer that tells of its migrations is the last one's.
///
/// # Errors
/// A variable that must be there is not, or says what cannot be understood.
pub fn gates(adapter: Migration, variable: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Gate>, NoServer> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    match adapter {
        Migration::Kong => Ok(vec![Gate::Kong(kong(&set)?)]),
        Migration::Chatwoot => {
            let rails = RAILS.read(&set)?;
            Ok(redis(&set)?.map(Gate::Redis).into_iter().chain([Gate::Chatwoot(rails)]).collect())
        }
        Migration::Strapi => Ok(vec![Gate::Strapi(STRAPI.read(&set)?)]),
        Migration::Job => Err(NoServer::NoRule { adapter: adapter.word() }),
    }
}

/// The variables of an application that has one for each.
struct Names {
    host: &'static str,
    port: &'static str,
    user: (&'static str, &'static str),
    password: &'static str,
    database: (&'static str, &'static str),
    /// One that holds all of it, which is not read: it may hold the password, which then would be in a document.
    url: &'static str,
}

const RAILS: Names = Names {
    host: "POSTGRES_HOST",
    port: "POSTGRES_PORT",
    user: ("POSTGRES_USERNAME", "chatwoot_prod"),
    password: "POSTGRES_PASSWORD",
    database: ("POSTGRES_DATABASE", "chatwoot_production"),
    url: "DATABASE_URL",
};

const STRAPI: Names = Names {
    host: "DATABASE_HOST",
    port: "DATABASE_PORT",
    user: ("DATABASE_USERNAME", "strapi"),
    password: "DATABASE_PASSWORD",
    database: ("DATABASE_NAME", "strapi"),
    url: "DATABASE_URL",
};

impl Names {
    fn read(&self, set: &dyn Fn(&str) -> Option<String>) -> Result<PostgresSpec, NoServer> {
        if set(self.host).is_none() && set(self.url).is_some() {
            let why = format!("give the server as {}, {} and {} instead", self.host, self.user.0, self.password);
            return Err(NoServer::Unclear { variable: self.url, why });
        }
        let host = set(self.host).ok_or(NoServer::Unset { variable: self.host })?;
        let mut server = json!({
            "host": host,
            "port": port(self.port, set(self.port), 5432)?,
            "user": set(self.user.0).unwrap_or_else(|| self.user.1.to_owned()),
            "database": set(self.database.0).unwrap_or_else(|| self.database.1.to_owned()),
        });
        if set(self.password).is_some() {
            server["password"] = json!({"fromEnv": self.password});
        }
        spec(self.host, server)
    }
}

fn kong(set: &dyn Fn(&str) -> Option<String>) -> Result<PostgresSpec, NoServer> {
    let text = |name: &str, default: &str| set(name).unwrap_or_else(|| default.to_owned());
    let is_on = |name: &str| set(name).is_some_and(|value| matches!(value.as_str(), "on" | "true"));
    let tls = match (is_on("KONG_PG_SSL"), is_on("KONG_PG_SSL_VERIFY"), is_on("KONG_PG_SSL_REQUIRED")) {
        (_, true, _) => "verify-full",
        (_, _, true) => "require",
        (true, ..) => "prefer",
        _ => "disable",
    };
    let mut server = json!({
        "host": set("KONG_PG_HOST").ok_or(NoServer::Unset { variable: "KONG_PG_HOST" })?,
        "port": port("KONG_PG_PORT", set("KONG_PG_PORT"), 5432)?,
        "user": text("KONG_PG_USER", "kong"),
        "database": text("KONG_PG_DATABASE", "kong"),
        "tls": tls,
    });
    if set("KONG_PG_PASSWORD").is_some() {
        server["password"] = json!({"fromEnv": "KONG_PG_PASSWORD"});
    } else if let Some(file) = set("KONG_PG_PASSWORD_FILE") {
        server["password"] = json!({"fromFile": file});
    }
    spec("KONG_PG_HOST", server)
}

/// None where Chatwoot is not told of one: it then asks its own machine, where in a pod there is none.
fn redis(set: &dyn Fn(&str) -> Option<String>) -> Result<Option<RedisSpec>, NoServer> {
    const VARIABLE: &str = "REDIS_URL";
    let unclear = |why: &str| NoServer::Unclear { variable: VARIABLE, why: why.to_owned() };
    let Some(url) = set(VARIABLE) else { return Ok(None) };
    let (scheme, rest) = url.split_once("://").ok_or_else(|| unclear("expected `redis://host:port`"))?;
    let tls = match scheme {
        "redis" => "disable",
        "rediss" => "require",
        _ => return Err(unclear("expected `redis://host:port`")),
    };
    let place = rest.split('/').next().unwrap_or_default();
    if place.contains('@') {
        return Err(unclear("it holds a password: give that as REDIS_PASSWORD"));
    }
    let (host, said) = place.rsplit_once(':').map_or((place, None), |(host, said)| (host, Some(said.to_owned())));
    let mut server = json!({"host": host, "port": port(VARIABLE, said, 6379)?, "tls": tls});
    if set("REDIS_PASSWORD").is_some() {
        server["password"] = json!({"fromEnv": "REDIS_PASSWORD"});
    }
    serde_json::from_value(server).map(Some).map_err(|error| unclear(&error.to_string()))
}

fn port(variable: &'static str, said: Option<String>, default: u16) -> Result<u16, NoServer> {
    let Some(said) = said else { return Ok(default) };
    said.parse().map_err(|_| NoServer::Unclear { variable, why: format!("`{said}` is no port") })
}

fn spec(variable: &'static str, server: Value) -> Result<PostgresSpec, NoServer> {
    serde_json::from_value(server).map_err(|error| NoServer::Unclear { variable, why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::{SecretSource, Tls};

    fn many<const N: usize>(found: Result<Vec<Gate>, NoServer>) -> [Gate; N] {
        found.unwrap().try_into().unwrap()
    }

    fn read(adapter: Migration, set: &[(&str, &str)]) -> Result<Vec<Gate>, NoServer> {
        gates(adapter, &|name| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn kong_is_asked_as_kong_asks() {
        let found = read(Migration::Kong, &[("KONG_PG_HOST", "db"), ("KONG_PG_PASSWORD", "x"), ("KONG_PG_SSL", "on")]);
        let [Gate::Kong(server)] = many(found) else { panic!("another gate") };
        assert_eq!((server.host.as_str(), server.port, server.user.as_str()), ("db", 5432, "kong"));
        assert_eq!((server.database.as_deref(), server.tls), (Some("kong"), Tls::Prefer));
        assert_eq!(server.password, Some(SecretSource::FromEnv("KONG_PG_PASSWORD".into())));
        let found = read(Migration::Kong, &[("KONG_PG_HOST", "db"), ("KONG_PG_PASSWORD_FILE", "/run/password")]);
        let [Gate::Kong(server)] = many(found) else { panic!("another gate") };
        assert_eq!(server.password, Some(SecretSource::FromFile("/run/password".into())));
        assert_eq!(read(Migration::Kong, &[]).unwrap_err().to_string(), "the environment does not set KONG_PG_HOST");
    }

    #[test]
    fn chatwoot_is_asked_for_its_cache_and_its_database() {
        let set = [("POSTGRES_HOST", "db"), ("REDIS_URL", "redis://cache:6380/0"), ("REDIS_PASSWORD", "x")];
        let [Gate::Redis(cache), Gate::Chatwoot(server)] = many(read(Migration::Chatwoot, &set)) else {
            panic!("other gates")
        };
        assert_eq!((cache.host.as_str(), cache.port), ("cache", 6380));
        assert_eq!((server.user.as_str(), server.database.as_deref()), ("chatwoot_prod", Some("chatwoot_production")));
        let said = |set: &[(&str, &str)]| read(Migration::Chatwoot, set).unwrap_err().to_string();
        assert_eq!(
            said(&[("POSTGRES_HOST", "db"), ("REDIS_URL", "redis://:secret@cache")]),
            "REDIS_URL cannot be understood: it holds a password: give that as REDIS_PASSWORD"
        );
        assert!(said(&[("DATABASE_URL", "postgres://u:p@db/x")]).starts_with("DATABASE_URL cannot be understood"));
        assert_eq!(
            said(&[("POSTGRES_HOST", "db"), ("POSTGRES_PORT", "x")]),
            "POSTGRES_PORT cannot be understood: `x` is no port"
        );
    }

    #[test]
    fn strapi_is_asked_by_its_own_names() {
        let set =
            [("DATABASE_HOST", "db"), ("DATABASE_NAME", "cms"), ("DATABASE_USERNAME", "u"), ("DATABASE_PORT", "5433")];
        let [Gate::Strapi(server)] = many(read(Migration::Strapi, &set)) else { panic!("another") };
        assert_eq!((server.port, server.database.as_deref(), server.user.as_str()), (5433, Some("cms"), "u"));
        assert_eq!(server.password, None);
        assert!(matches!(read(Migration::Job, &[]), Err(NoServer::NoRule { adapter: "job" })));
    }
}
