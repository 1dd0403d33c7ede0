//! Documents as people write them, right and wrong.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::failure::{Category, Failure};

const GOOD: &str = "\
apiVersion: drydock.dev/v1alpha1
kind: Stack
metadata: {name: shop}
spec:
  repository:
    location: /var/backups/shop
    password: {fromFile: password}
  data:
  - name: db
    postgres: {host: localhost, database: shop, user: drydock}
  - name: cache
    redis: {host: localhost}
  - name: uploads
    volume: {path: /srv/shop}
";

fn parse(text: &str) -> Result<Stack, DocumentError> {
    Stack::parse(Path::new("stack.yaml"), Path::new("/etc/drydock"), text)
}

fn refusal(text: &str) -> String {
    let error = parse(text).expect_err(text);
    assert_eq!(error.category(), Category::Usage);
    error.to_string()
}

#[test]
fn a_small_document_is_enough() {
    let stack = parse(GOOD).unwrap();
    assert_eq!(stack.name.as_str(), "shop");
    let kinds: Vec<&str> = stack.spec.data.iter().map(|set| set.kind.word()).collect();
    assert_eq!(kinds, ["postgres", "redis", "volume"]);
    assert_eq!(stack.text, GOOD);
}

#[test]
fn relative_paths_begin_at_the_documents_folder() {
    let text = GOOD.replace("/var/backups/shop", "./backups").replace("path: /srv/shop", "path: ../shop/./files");
    let stack = parse(&text).unwrap();
    assert_eq!(stack.spec.repository.location, Location::Folder("/etc/drydock/backups".into()));
    assert_eq!(stack.spec.repository.password, SecretSource::FromFile("/etc/drydock/password".into()));
    let DataKind::Volume(volume) = &stack.spec.data[2].kind else { panic!("{stack:?}") };
    assert_eq!(volume.path, Some(PathBuf::from("/etc/shop/files")));
}

#[test]
fn every_field_there_is_can_be_read() {
    let text = include_str!("../../tests/fixtures/formats/stack.v1alpha1.yaml");
    let spec = parse(text).unwrap().spec;
    assert_eq!(spec.evidence.unwrap().key, SecretSource::FromFile("/etc/drydock/evidence.pem".into()));
    let hooks = &spec.data[0].hooks;
    assert_eq!(
        hooks.lists().map(|(word, list)| (word, list.len())),
        [("beforeSnapshot", 2), ("afterSnapshot", 1), ("beforeLive", 1)]
    );
    let first = &hooks.before_snapshot[0];
    let run = ["/usr/local/bin/quiesce".to_owned(), "--now".to_owned()].to_vec();
    let (timeout, env) = (Duration::from_secs(30), ["KUBECONFIG".to_owned()].to_vec());
    assert_eq!(*first, Hook { run, timeout, env });
    assert_eq!(hooks.before_snapshot[1].timeout, Duration::from_secs(300));
    assert_eq!((&*hooks.after_snapshot[0].run[0], &*hooks.before_live[0].run[0]), ("/etc/drydock/resume", "systemctl"));
    let [all, some] = &spec.notifications[..] else { panic!("{:?}", spec.notifications) };
    assert_eq!(
        all.webhook,
        Webhook { url: SecretSource::FromFile("/etc/drydock/webhook-url".into()), format: WebhookFormat::Json }
    );
    assert_eq!(
        (&all.on[..], all.remind_after),
        (&[Occasion::Failure, Occasion::Recovery, Occasion::Objective][..], Duration::from_secs(86_400))
    );
    assert_eq!((some.webhook.format, some.remind_after), (WebhookFormat::Slack, Duration::from_secs(28_800)));
    assert_eq!(spec.heartbeats[0].url, SecretSource::FromFile("/etc/drydock/heartbeat-url".into()));
    assert_eq!(spec.heartbeats[1].after, [Beat::Drill, Beat::Check, Beat::ForgetAndPrune]);
    let Spec { repository, data, unprotected, references, drill, phases, retention, objectives, .. } = spec;
    assert_eq!(spec.namespaces, ["kong".parse().unwrap(), "monitoring".parse().unwrap()]);
    let service_account_name = spec.service_account_name;
    assert_eq!(service_account_name.unwrap().as_str(), "papg-deployer");
    let hours = |n: u64| Some(Duration::from_secs(n * 3_600));
    assert_eq!(objectives, Objectives { rpo: hours(24), rto: Some(Duration::from_secs(1_800)), proven: hours(192) });
    assert_eq!(repository.location, Location::S3 { bucket: "backups".into(), prefix: "papg".into() });
    assert_eq!(repository.limits.upload, Some(ByteSize(20_000_000)));
    let s3 = repository.s3.unwrap();
    assert_eq!(s3.ca_file, Some("/etc/drydock/ca.pem".into()));
    assert_eq!(s3.access_key_id, Some(SecretSource::FromEnv("S3_ACCESS_KEY_ID".into())));
    assert_eq!((data.len(), unprotected.len(), phases.len()), (5, 2, 3));
    let DataKind::Postgres(postgres) = &data[0].kind else { panic!("{data:?}") };
    let login =
        Login { user: "chatwoot".into(), password: Some(SecretSource::FromFile("/etc/drydock/chatwoot".into())) };
    assert_eq!(postgres.application, Some(login));
    assert_eq!(references[0].pair().service.as_deref(), Some("local"));
    assert_eq!(references[1].pair().database_name.as_deref(), Some("strapi"));
    let words: Vec<&str> = drill.assertions.iter().map(Assertion::word).collect();
    assert_eq!(words, ["sql", "freshness", "rows", "keys", "files", "command"]);
    assert_eq!(drill.assertions[1].data().unwrap().as_str(), "chatwoot-db");
    assert_eq!(drill.assertions[2].bounds(), Some((Some(1), None)));
    assert_eq!((drill.folder, drill.fsync), (Some("/var/tmp".into()), true));
    assert_eq!(drill.statement_timeout, Some(Duration::from_secs(60)));
    assert_eq!(postgres.server_binaries, Some("/usr/lib/postgresql/15/bin".into()));
    let retention = retention.unwrap();
    assert_eq!(retention.max_age, hours(730 * 24));
    assert_eq!(retention.keep_tags, ["before-upgrade".parse().unwrap(), "month-end,release=4.11".parse().unwrap()]);
}

#[test]
fn other_documents_of_the_file_are_left_alone_and_lines_stay_true() {
    let text = format!("kind: Secret\ndata: {{a: '---'}}\n--- # the stack\n{GOOD}...\n---\nkind: Schedule\n");
    assert_eq!(parse(&text).unwrap().name.as_str(), "shop");
    let broken = text.replace("host: localhost, database", "hots: localhost, database");
    assert!(refusal(&broken).starts_with("stack.yaml:13:16: spec.data[0].postgres.hots: "), "{}", refusal(&broken));
}

#[test]
fn a_password_in_the_wrong_place_is_not_repeated() {
    for wrong in ["password: hunter2", "password: [hunter2]", "password: {hunter2: x}", "password: {fromText: hunter2}"]
    {
        let said = refusal(&GOOD.replace("password: {fromFile: password}", wrong));
        assert!(!said.contains("hunter2") && said.contains("expected `{fromFile: PATH}`"), "{said}");
    }
}

/// What to replace in the good document, and by what.
const BROKEN: &[(&str, &str, &str)] = &[
    ("unknown field", "host: localhost, database", "hots: localhost, database"),
    ("unknown field at the top", "kind: Stack", "kind: Stack\nspecs: {}"),
    ("unknown kind of data", "redis: {host: localhost}", "mysql: {host: localhost}"),
    ("wrong type: number", "database: shop", "database: shop, port: http"),
    ("wrong type: too large", "database: shop", "database: shop, port: 70000"),
    ("wrong type: flag", "path: /srv/shop", "path: /srv/shop, oneFileSystem: maybe"),
    ("wrong type: list", "database: shop", "databases: shop"),
    ("wrong type: mapping", "volume: {path: /srv/shop}", "volume: /srv/shop"),
    ("wrong type: data is no list", "  data:\n", "  data: db\n  more:\n"),
    ("nothing where text is expected", "database: shop", "database: "),
    ("missing field", "database: shop, user: drydock", "database: shop"),
    ("missing password", "    password: {fromFile: password}\n", ""),
    ("both path and claim", "path: /srv/shop", "path: /srv/shop, claim: shop"),
    ("neither path nor claim", "path: /srv/shop", "exclude: [tmp]"),
    ("both database and databases", "database: shop", "database: shop, databases: [a]"),
    ("neither database nor databases", "database: shop, ", ""),
    ("two kinds in one data set", "redis: {host: localhost}", "redis: {host: localhost}\n    volume: {path: /x}"),
    ("no kind in a data set", "    redis: {host: localhost}\n", ""),
    ("a name twice", "name: cache", "name: db"),
    ("a bad name", "name: cache", "name: My_Cache"),
    ("a bad stack name", "{name: shop}", "{name: shop.example}"),
    ("a relative location", "location: /var/backups/shop", "location: backups/shop"),
    ("no bucket", "location: /var/backups/shop", "location: s3://"),
    ("the repository inside the volume", "location: /var/backups/shop", "location: /srv/shop/backups"),
    ("s3 settings for a folder", "    password: {", "    s3: {region: x}\n    password: {"),
    (
        "half a key pair",
        "    location: /var/backups/shop\n",
        "    location: s3://b/p\n    s3: {accessKeyId: {fromEnv: A}}\n",
    ),
    ("a secret in the text", "{fromFile: password}", "correct horse battery staple"),
    ("a secret from two places", "{fromFile: password}", "{fromFile: password, fromEnv: PASSWORD}"),
    ("a secret from nowhere", "{fromFile: password}", "{}"),
    ("a key in the text", "  data:\n", "  evidence: {key: MC4CAQAwBQYDK2VwBCIEIA}\n  data:\n"),
    ("a key in the store", "  data:\n", "  evidence: {key: {fromFile: /var/backups/shop/evidence.pem}}\n  data:\n"),
    ("an unknown version", "drydock.dev/v1alpha1", "drydock.dev/v2"),
    ("an unknown kind", "kind: Stack", "kind: Stock"),
    ("someone else's group", "drydock.dev/v1alpha1", "apps/v1"),
    ("a field twice", "  data:\n", "  retention: {keepLast: 1}\n  retention: {keepLast: 2}\n  data:\n"),
    ("not YAML", "{host: localhost}", "{host: localhost"),
    ("a tab", "  data:\n", "\tdata:\n"),
    ("two stacks", "path: /srv/shop}\n", "path: /srv/shop}\n---\napiVersion: drydock.dev/v1alpha1\nkind: Stack\n"),
    (
        "a reference to nothing",
        "  data:\n",
        "  references: [{activeStorage: {database: bd, volume: uploads}}]\n  data:\n",
    ),
    (
        "a reference to the wrong kind",
        "  data:\n",
        "  references: [{strapiUploads: {database: db, volume: cache}}]\n  data:\n",
    ),
    (
        "an unknown reference",
        "  data:\n",
        "  references: [{activestorage: {database: db, volume: uploads}}]\n  data:\n",
    ),
    (
        "a drill that asks a folder",
        "  data:\n",
        "  drill: {assertions: [{sql: {data: uploads, query: x}}], start: [web]}\n  data:\n",
    ),
    ("a count without bounds", "  data:\n", "  drill: {assertions: [{rows: {data: db, table: messages}}]}\n  data:\n"),
    (
        "bounds the wrong way round",
        "  data:\n",
        "  drill: {assertions: [{keys: {data: cache, pattern: a, min: 3, max: 2}}]}\n  data:\n",
    ),
    (
        "a pattern that is none",
        "  data:\n",
        "  drill: {assertions: [{files: {data: uploads, pattern: 'a[', min: 1}}]}\n  data:\n",
    ),
    ("a command of nothing", "  data:\n", "  drill: {assertions: [{command: {name: smoke, run: []}}]}\n  data:\n"),
    ("a freshness without end", "  data:\n", "  drill: {assertions: [{freshness: {data: db, query: x}}]}\n  data:\n"),
    (
        "an assertion that is not known",
        "  data:\n",
        "  drill: {assertions: [{row: {data: db, table: x, min: 1}}]}\n  data:\n",
    ),
    (
        "another data set's database",
        "  data:\n",
        "  drill: {assertions: [{sql: {data: db, database: cms, query: x}}]}\n  data:\n",
    ),
    ("a bad duration", "  data:\n", "  objectives: {rpo: 1 day}\n  data:\n"),
    ("retention that keeps nothing", "  data:\n", "  retention: {keepLast: 0}\n  data:\n"),
    (
        "a bad workload",
        "  data:\n",
        "  phases: [{name: a, components: [{name: kong, workload: kong, data: [x]}]}]\n  data:\n",
    ),
    ("a rate that is no size", "    password: {", "    limits: {upload: fast}\n    password: {"),
    ("a hook of nothing", "path: /srv/shop}", "path: /srv/shop}\n    hooks: {afterSnapshot: [{run: []}]}"),
    (
        "a hook in one text",
        "path: /srv/shop}",
        "path: /srv/shop}\n    hooks: {beforeSnapshot: [{run: fsfreeze -f /srv}]}",
    ),
    (
        "a hook without time",
        "path: /srv/shop}",
        "path: /srv/shop}\n    hooks: {beforeLive: [{run: [stop], timeout: 0s}]}",
    ),
    ("a hook at an unknown time", "path: /srv/shop}", "path: /srv/shop}\n    hooks: {beforeRestore: [{run: [stop]}]}"),
    (
        "a hook with variables that are none",
        "path: /srv/shop}",
        "path: /srv/shop}\n    hooks: {beforeLive: [{run: [stop], env: [A=b, DRYDOCK_RUN]}]}",
    ),
    (
        "a webhook in the text",
        "  data:\n",
        "  notifications: [{webhook: {url: 'https://hooks.example.org/T0/hunter2'}}]\n  data:\n",
    ),
    (
        "a notification on nothing",
        "  data:\n",
        "  notifications: [{webhook: {url: {fromFile: u}}, on: [], remindAfter: 0s}]\n  data:\n",
    ),
    (
        "a notification on something else",
        "  data:\n",
        "  notifications: [{webhook: {url: {fromFile: u}}, on: [success]}]\n  data:\n",
    ),
    (
        "a heartbeat in the text",
        "  data:\n",
        "  heartbeats: [{url: 'https://hc.example.org/hunter2', after: [snapshot]}]\n  data:\n",
    ),
    ("a heartbeat after nothing", "  data:\n", "  heartbeats: [{url: {fromFile: u}, after: []}]\n  data:\n"),
    ("several problems at once", "port: 5432", ""),
];

#[test]
fn what_is_wrong_is_said_with_line_field_and_what_was_expected() {
    let mut golden = String::new();
    for (title, from, to) in BROKEN {
        let text = GOOD.replacen(from, to, 1);
        let text = if *title == "several problems at once" {
            text.replace("path: /srv/shop", "path: /srv/shop, claim: c").replace("name: cache", "name: db")
        } else {
            assert_ne!(text, GOOD, "{title} changes nothing");
            text
        };
        writeln!(golden, "# {title}\n{}\n", refusal(&text)).unwrap();
    }
    for (title, text) in [("empty", ""), ("a comment only", "# nothing\n"), ("a list", "- a\n"), ("a word", "stack\n")]
    {
        writeln!(golden, "# {title}\n{}\n", refusal(text)).unwrap();
    }
    assert!(!golden.contains("hunter2"), "a secret is repeated: {golden}");
    insta::assert_snapshot!("refusals", golden);
}

#[test]
fn a_file_that_is_not_there_is_said_with_its_name() {
    let error = Stack::load(Path::new("/nowhere/stack.yaml")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read /nowhere/stack.yaml");
    assert_eq!(error.category().exit_code(), 2);
}
