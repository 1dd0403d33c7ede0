//! Kong's contract (its stand-in) on a real PostgreSQL: prepared by the first deploy, migrated when told to, never back.

use std::net::TcpStream;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::support::{cache, free_port, wait_until};
use crate::world::{LIMIT, World, documents, image};

pub fn database() -> String {
    let labels = json!({"app": "db"});
    documents(&[
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"password": "not-so-secret"}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db"},
            "spec": {"selector": labels, "ports": [{"port": 5432}], "clusterIP": "None"}}),
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}, "spec": {"serviceName": "db",
        "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
        "terminationGracePeriodSeconds": 1, "containers": [{"name": "postgres", "image": image("postgres-16:16.14"),
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": "POSTGRES_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
            {"name": "POSTGRES_DB", "value": "kong"}],
        "readinessProbe": {"exec": {"command": ["pg_isready", "-U", "postgres", "-h", "127.0.0.1"]}, "periodSeconds": 1}
        }]}}}}),
    ])
}

pub fn kong(version: &str) -> String {
    let labels = json!({"app": "kong"});
    documents(&[
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "kong"}, "spec": {"replicas": 2,
        "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
        "terminationGracePeriodSeconds": 1, "containers": [{"name": "proxy", "image": image(&format!("kong:{version}")),
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": "KONG_PG_HOST", "value": "db"}, {"name": "KONG_PG_USER", "value": "postgres"},
            {"name": "KONG_STATUS_LISTEN", "value": "0.0.0.0:8100"},
            {"name": "KONG_PG_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}],
        "readinessProbe": {"httpGet": {"path": "/status", "port": 8100}, "periodSeconds": 1}}]}}}}),
    ])
}

pub fn phases(data: &[&str]) -> Value {
    json!([{"name": "data", "manifests": ["data.yaml"]}, {"name": "gateway", "manifests": ["kong.yaml"], "components":
        [{"name": "kong", "workload": "Deployment/kong", "migration": "kong", "data": data}]}])
}

/// What Kong has on record of its migrations.
pub fn schema(world: &World) -> String {
    let ask = "SELECT subsystem, last_executed, executed, pending FROM schema_meta ORDER BY 1";
    world.kubectl(&["exec", "db-0", "--", "psql", "-U", "postgres", "kong", "-Atc", ask])
}

/// Forwards a port of this machine to the database; ends with it.
struct Forward(Child, u16);

impl Forward {
    fn to_database(world: &World) -> Self {
        let port = free_port();
        let mut command = world.kubectl_command(&["port-forward", "pod/db-0", &format!("{port}:5432")]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let forward = Self(child, port);
        wait_until("the forwarded port", LIMIT, || TcpStream::connect(("127.0.0.1", port)).is_ok());
        forward
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_first_deploy_prepares_a_later_one_is_told_to_migrate_and_none_goes_back() {
    let Some(world) = World::open("kong") else { return };
    world.stack(phases(&[]));
    world.write("data.yaml", &database());
    world.write("kong.yaml", &kong("3.4.2"));
    let first = world.json(&["deploy"]);
    assert_eq!(first["migrations"][0]["did"], json!(["bootstrap"]), "{first}");
    let former = schema(&world);
    assert!(former.lines().count() > 1, "{former}");

    world.write("kong.yaml", &kong("3.9.1"));
    world.drydock(&["deploy"]).failed(2, &["3.4.2", "3.9.1", "--migrate"]);
    world.drydock(&["deploy", "--migrate"]).failed(2, &["no recovery point can be taken"]);

    let forward = Forward::to_database(&world);
    let data = json!([{"name": "kong-db", "postgres": {"host": "127.0.0.1", "port": forward.1, "database": "kong",
        "user": "postgres", "password": {"fromEnv": "DBPASS"}, "clientBinaries": cache().join("pg-16/bin")}}]);
    world.stack_with(json!({"data": data, "phases": phases(&["kong-db"])}));
    let deploy = |args: &[&str]| {
        let output = world.begin(args).env("DBPASS", "not-so-secret").output().unwrap();
        crate::world::Said::of(&output)
    };
    let said = deploy(&["deploy", "--migrate", "-o", "json"]).well();
    let migrated: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(migrated["migrations"][0]["version"], "3.9.1", "{migrated}");
    assert_ne!(schema(&world), former);
    assert!(schema(&world).lines().all(|line| line.ends_with("|{}")), "nothing is pending: {}", schema(&world));
    let points = deploy(&["points", "-o", "json"]).well().out;
    assert!(points.contains("kong-db"), "a recovery point was taken before: {points}");

    let newer = schema(&world);
    world.write("kong.yaml", &kong("3.4.2"));
    deploy(&["deploy", "--migrate"]).failed(2, &["3.9.1", "3.4.2"]);
    deploy(&["rollback", "--to", "1"]).failed(2, &["3.9.1", "3.4.2"]);
    assert_eq!(schema(&world), newer);
}
