//! `doctor` says what would fail, and what to do.

use drydock::context::Context;
use drydock::data::postgres;
use drydock::finding::{Finding, Severity};

use crate::helpers::{server, spec, spec_of};
use crate::support::postgres::VERSIONS;

fn told(findings: &[Finding], severity: Severity) -> Vec<&str> {
    findings.iter().filter(|f| f.severity == severity).map(|f| f.detail.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_server_is_called_good_in_every_version() {
    for version in VERSIONS {
        let server = server(version);
        let findings = postgres::doctor("app", &spec(server, "torture"), &Context::default()).await;
        assert!(findings.iter().all(|f| f.subject == "app"));
        assert_eq!(told(&findings, Severity::Problem), [""; 0], "{version}");
        assert_eq!(told(&findings, Severity::Warning), [""; 0], "{version}");
        let good = told(&findings, Severity::Good).join("\n");
        let expected = server.psql("postgres", "show server_version");
        let expected = expected.split(' ').next().unwrap();
        assert!(
            good.contains(&format!("PostgreSQL {expected} reached at 127.0.0.1:{} as `postgres`", server.port)),
            "{good}"
        );
        assert!(good.contains("pg_dump and pg_restore"), "{good}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plain_role_may_not_read_is_named_with_the_grant_that_helps() {
    for version in ["9.5", "16"] {
        let server = server(version);
        server.create_database("doctored");
        server.psql("postgres", "create role doctored_role login connection limit 3");
        server.psql(
            "doctored",
            "create table open (id serial); grant select on open to doctored_role;
            create table closed (id integer); create table hidden (id integer); grant select on hidden to doctored_role;
            alter table hidden enable row level security; select lo_create(77)",
        );
        let yaml = "host: 127.0.0.1, user: doctored_role, connections: 4, database: doctored";
        let clients = crate::helpers::clients(server);
        let spec = spec_of(&format!("{{{yaml}, port: {}, clientBinaries: {}}}", server.port, clients.display()));
        let findings = postgres::doctor("app", &spec, &Context::default()).await;
        let problems = told(&findings, Severity::Problem);
        assert_eq!(
            problems,
            [
                "a snapshot takes 7 connections, and 3 are free",
                "database doctored: `doctored_role` may not read public.closed, public.open_id_seq",
                "database doctored: `doctored_role` may not read the large objects 77",
                "database doctored: row-level security hides rows from `doctored_role` in public.hidden",
            ]
        );
        assert!(findings.iter().all(|f| f.severity == Severity::Good || f.fix.is_some()));
        let grant = findings.iter().find(|f| f.detail.contains("closed")).unwrap().fix.clone().unwrap();
        assert_eq!(grant.contains("pg_read_all_data"), version == "16", "{grant}");
        assert!(told(&findings, Severity::Warning)[0].contains("password hashes cannot be kept"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_and_a_database_that_is_not_are_problems() {
    let nobody = spec_of(&format!("{{host: 127.0.0.1, port: {}, user: x, database: y}}", crate::support::free_port()));
    let findings = postgres::doctor("app", &nobody, &Context::default()).await;
    assert!(findings[0].detail.starts_with("cannot connect to PostgreSQL at 127.0.0.1:"), "{findings:?}");
    let findings = postgres::doctor("app", &spec(server("15"), "no_such"), &Context::default()).await;
    assert!(findings[0].detail.starts_with("there is no database `no_such`"), "{findings:?}");
}
