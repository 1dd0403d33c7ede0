//! The servers that all other tests stand on start, answer and stop.

mod support;

use support::postgres::{Postgres, VERSIONS};
use support::redis::{self, Redis};
use support::seaweed::Seaweed;

#[test]
fn every_postgres_version_answers() {
    for version in VERSIONS {
        let server = Postgres::start(version);
        let said = server.psql("postgres", "show server_version");
        assert!(said.starts_with(version), "{said} is not {version}");
    }
}

#[test]
fn every_redis_version_answers() {
    for version in redis::VERSIONS {
        let server = Redis::start(version);
        assert!(server.cli(&["info", "server"]).contains(&format!("redis_version:{version}")));
        server.cli(&["set", "a", "1"]);
        assert_eq!(server.digest().len(), 40);
    }
}

#[test]
fn seaweedfs_answers() {
    let server = Seaweed::start();
    assert!(server.endpoint().starts_with("http://127.0.0.1:"));
}
