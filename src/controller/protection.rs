//! What in a stack's namespaces holds data and is in no recovery point. Pure.

use crate::cluster::{Holdings, Workload};
use crate::stack::{DataKind, Spec};

/// What an image's last name part holds when it is a server of these; what stands beside one is none.
const SERVERS: [&str; 8] = ["postgres", "postgis", "pgvector", "timescale", "redis", "valkey", "keydb", "dragonfly"];
const BESIDE: [&str; 12] = [
    "exporter",
    "bouncer",
    "pgpool",
    "admin",
    "commander",
    "insight",
    "backup",
    "operator",
    "postgrest",
    "proxy",
    "sentinel",
    "graphile",
];

/// Each claim, database and cache that is neither a data set nor left out on purpose: `PersistentVolumeClaim web/uploads`.
#[must_use]
pub fn gaps(spec: &Spec, found: &[Holdings]) -> Vec<String> {
    let mut gaps = Vec::new();
    for (n, holdings) in found.iter().enumerate() {
        let own = n == 0; // the stack's own namespace comes first; a data set's claim is there
        let covered: Vec<&Workload> =
            holdings.workloads.iter().filter(|workload| is_covered(spec, workload, holdings, own)).collect();
        for workload in &holdings.workloads {
            if is_server(workload) && !covered.contains(&workload) {
                gaps.push(format!("{} {}/{}", workload.kind, holdings.namespace, workload.name));
            }
        }
        for claim in &holdings.claims {
            let by_workload = covered.iter().any(|workload| uses(workload, claim));
            let by_document = own && is_named(spec, claim);
            if !by_workload && !by_document {
                gaps.push(format!("PersistentVolumeClaim {}/{claim}", holdings.namespace));
            }
        }
    }
    gaps
}

/// A data set's server, or left out on purpose: its claims go with it.
fn is_covered(spec: &Spec, workload: &Workload, holdings: &Holdings, own: bool) -> bool {
    let named = format!("{}/{}", workload.kind, workload.name);
    if spec.unprotected.iter().any(|entry| own && entry.workload.as_ref() == Some(&named)) {
        return true;
    }
    let hosts = spec.data.iter().filter_map(|data| match &data.kind {
        DataKind::Postgres(postgres) => Some(postgres.host.as_str()),
        DataKind::Redis(redis) => Some(redis.host.as_str()),
        DataKind::Volume(_) => None,
    });
    is_server(workload) && hosts.into_iter().any(|host| leads_to(host, workload, holdings, own))
}

/// Whether a Service's name, or a pod's, is one of this workload: `db`, `db.web`, `db-0.db.web.svc.cluster.local`.
fn leads_to(host: &str, workload: &Workload, holdings: &Holdings, own: bool) -> bool {
    let parts: Vec<&str> = host.split('.').collect();
    let here = |rest: Option<&&str>| rest.map_or(own, |namespace| *namespace == holdings.namespace);
    let selects = |service: &str| {
        let selector = holdings.services.get(service).filter(|selector| !selector.is_empty());
        selector.is_some_and(|selector| selector.iter().all(|(key, value)| workload.labels.get(key) == Some(value)))
    };
    let by_service = selects(parts[0]) && here(parts.get(1));
    let by_pod = parts.len() > 1
        && workload.service.as_deref() == Some(parts[1])
        && parts[0].rsplit_once('-').is_some_and(|(set, _)| set == workload.name)
        && here(parts.get(2));
    by_service || by_pod
}

fn uses(workload: &Workload, claim: &str) -> bool {
    let of_template = |prefix: &String| {
        claim
            .strip_prefix(prefix.as_str())
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    workload.claims.iter().any(|used| used == claim) || workload.templates.iter().any(of_template)
}

/// By the document: a `volume`, or under `unprotected`.
fn is_named(spec: &Spec, claim: &str) -> bool {
    let of_data = |kind: &DataKind| matches!(kind, DataKind::Volume(volume) if volume.claim.as_deref() == Some(claim));
    spec.data.iter().any(|data| of_data(&data.kind))
        || spec.unprotected.iter().any(|entry| entry.claim.as_ref().is_some_and(|name| name.as_str() == claim))
}

fn is_server(workload: &Workload) -> bool {
    workload.images.iter().any(|image| {
        let last = image.rsplit('/').next().unwrap_or(image);
        let name = last.split([':', '@']).next().unwrap_or(last);
        SERVERS.iter().any(|server| name.contains(server)) && !BESIDE.iter().any(|word| name.contains(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Stack;

    fn spec(data: &str, unprotected: &str) -> Spec {
        let text = format!(
            "apiVersion: drydock.dev/v1alpha1\nkind: Stack\nmetadata: {{name: shop}}\nspec:\n  repository: {{location: /r, \
             password: {{fromEnv: P}}}}\n  data: {data}\n  unprotected: {unprotected}\n"
        );
        Stack::parse("stack.yaml".as_ref(), "/".as_ref(), &text).unwrap().spec
    }

    fn workload(kind: &str, name: &str, image: &str) -> Workload {
        Workload {
            kind: kind.into(),
            name: name.into(),
            images: vec![image.into()],
            labels: [("app".to_owned(), name.to_owned())].into(),
            ..Workload::default()
        }
    }

    /// A database by a StatefulSet, a cache by a Deployment, an application with uploads and an exporter.
    fn namespace() -> Holdings {
        let database = Workload {
            templates: vec!["data-db-".into()],
            service: Some("db".into()),
            ..workload("StatefulSet", "db", "docker.io/bitnami/postgresql:16@sha256:ab")
        };
        let web =
            Workload { claims: vec!["uploads".into()], ..workload("Deployment", "web", "example.com/redis/web:1") };
        Holdings {
            namespace: "web".into(),
            claims: ["data-db-0", "data-db-backup", "uploads"].map(str::to_owned).into(),
            workloads: vec![
                database,
                workload("Deployment", "cache", "redis:7"),
                web,
                workload("Deployment", "metrics", "oliver006/redis_exporter:v1"),
            ],
            services: [("db", "db"), ("cache", "cache")]
                .map(|(name, app)| (name.to_owned(), [("app".to_owned(), app.to_owned())].into()))
                .into(),
        }
    }

    #[test]
    fn what_no_recovery_point_holds_is_named() {
        let spec = spec("[{name: other, volume: {claim: other}}]", "[]");
        assert_eq!(
            gaps(&spec, &[namespace()]),
            [
                "StatefulSet web/db",
                "Deployment web/cache",
                "PersistentVolumeClaim web/data-db-0",
                "PersistentVolumeClaim web/data-db-backup",
                "PersistentVolumeClaim web/uploads",
            ]
        );
    }

    #[test]
    fn data_sets_and_what_is_left_out_on_purpose_are_no_gaps() {
        let data = |host: &str| {
            format!(
                "[{{name: db, postgres: {{host: {host}, database: shop, user: u}}}}, {{name: files, volume: {{claim: uploads}}}}]"
            )
        };
        let unprotected = "[{claim: data-db-backup, reason: old}, {workload: Deployment/cache, reason: a cache}]";
        for host in ["db", "db.web", "db.web.svc.cluster.local", "db-0.db", "db-0.db.web.svc"] {
            assert_eq!(gaps(&spec(&data(host), unprotected), &[namespace()]), [""; 0], "{host}");
        }
        for host in ["db.elsewhere", "cache", "db-0.cache"] {
            let found = gaps(&spec(&data(host), unprotected), &[namespace()]);
            assert_eq!(found, ["StatefulSet web/db", "PersistentVolumeClaim web/data-db-0"], "{host}");
        }
    }

    #[test]
    fn in_a_further_namespace_a_host_says_which() {
        let mut further = namespace();
        (further.namespace, further.claims) = ("data".into(), vec!["data-db-0".into()]);
        further.workloads.truncate(1);
        let empty = Holdings { namespace: "web".into(), ..Holdings::default() };
        let of = |host: &str| {
            let spec = spec(&format!("[{{name: db, postgres: {{host: {host}, database: shop, user: u}}}}]"), "[]");
            gaps(&spec, &[empty.clone(), further.clone()])
        };
        assert_eq!(of("db.data"), [""; 0]);
        assert_eq!(of("db"), ["StatefulSet data/db", "PersistentVolumeClaim data/data-db-0"]);
    }
}
