//! A daemon's whole life: points, a drill, what it shows, documents that change, the end.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::http::ask;
use crate::scene::{Daemon, Scene};

#[test]
fn points_are_taken_and_drilled_and_it_shows() {
    let scene = Scene::whole("life");
    let manager = Manager::at(&scene.path("notify"));
    scene.schedule("snap", "{snapshot: {}}", "@hourly", 5);
    let mut daemon = scene.daemon_with(&[], |command| {
        command.env("NOTIFY_SOCKET", scene.path("notify")).env("WATCHDOG_USEC", "2000000");
    });
    manager.hears("READY=1");
    let status = daemon.until_status("a scheduled point", |status| !status["recoveryPoints"]["complete"].is_null());
    assert_eq!(status["recoveryPoints"]["completeCount"], 1, "{status}");
    daemon.until("it is ready", "/readyz", |answer| answer.status == 200);

    // a new file in the folder is a new schedule
    scene.schedule("drilled", "{drill: {}}", "@hourly", 5);
    daemon.says("the documents were read again and are in force");
    let status = daemon.until_status("a drill", |status| !status["recoveryPoints"]["proven"].is_null());
    assert_eq!(status["drills"]["newest"][0]["outcome"], "passed", "{status}");
    assert_eq!(status["exitCode"], 0, "{}", status["findings"]);
    daemon.until_status("nothing goes on", |status| status["runs"]["open"].as_array().unwrap().is_empty());

    let runs = scene.runs();
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert!(runs.iter().all(|(_, standing)| standing == "succeeded"), "{runs:?}");
    assert!(runs.iter().any(|(run, _)| run.starts_with("snapshot-shop-") && run.ends_with("z-snap")), "{runs:?}");

    says_what_the_command_line_says(&scene, &daemon);
    shows_pages(&daemon, &runs);
    tells_metrics(&daemon);
    println!("resident after a snapshot and a drill: {} KiB", daemon.resident_kib());

    // a broken document is refused, and mended
    scene
        .write("schedules/drilled.yaml", "kind: Schedule\napiVersion: drydock.dev/v1alpha1\nmetadata: {name: '<b>'}\n");
    daemon.signal("HUP");
    manager.hears("RELOADING=1");
    daemon.says("the documents are refused; the former stay in force");
    let metrics =
        daemon.until("the refusal shows", "/metrics", |answer| value(&answer.body, "drydock_documents_refused") == 1.0);
    assert_eq!(value(&metrics.body, "drydock_document_reload_failures_total"), 1.0);
    assert_eq!(metrics.body.matches("drydock_schedule_lag_seconds{").count(), 2, "the former stay in force");
    let page = daemon.get("/").body;
    assert!(page.contains("drilled.yaml:3") && page.contains("&#60;b&#62;") && !page.contains("<b>"), "{page}");
    scene.schedule("drilled", "{drill: {}}", "@hourly", 5);
    daemon.until("it is mended", "/metrics", |answer| value(&answer.body, "drydock_documents_refused") == 0.0);

    manager.hears("WATCHDOG=1");
    daemon.signal("TERM");
    assert_eq!(daemon.code(), Some(0), "{}", daemon.log());
    manager.hears("STOPPING=1");
    assert_eq!(scene.runs().len(), 2);
    assert!(std::fs::read_dir(scene.path("sandboxes")).unwrap().next().is_none(), "a sandbox is left");
}

/// What the service manager was told, in order.
struct Manager(Receiver<String>);

impl Manager {
    /// Listens at `path` as systemd does: always.
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        let (sender, told) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if text.lines().any(|line| sender.send(line.to_owned()).is_err()) {
                    return;
                }
            }
        });
        Self(told)
    }

    /// Waits until it is told `word`.
    fn hears(&self, word: &str) {
        while self.0.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|e| panic!("never told {word}: {e}")) != word
        {
        }
    }
}

/// Ages grow while one asks; nothing else may differ.
fn without_ages(mut document: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields
                    .retain(|name, _| !matches!(name.as_str(), "ageMs" | "achievedMs" | "achievedRpoSeconds" | "time"));
                fields.values_mut().for_each(strip);
            }
            Value::Array(values) => values.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut document);
    document
}

fn says_what_the_command_line_says(scene: &Scene, daemon: &Daemon) {
    for (path, args) in
        [("/api/v1/points", &["points"][..]), ("/api/v1/runs", &["runs"]), ("/api/v1/evidence", &["evidence"])]
    {
        assert_eq!(without_ages(daemon.json(path)), without_ages(scene.json(args)), "{path}");
    }
    let run = scene.runs()[0].0.clone();
    assert_eq!(daemon.json(&format!("/api/v1/runs/{run}")), scene.json(&["runs", "show", &run]));
    let schedules = scene.path("schedules");
    let status = scene.json(&["status", "--schedules", schedules.to_str().unwrap()]);
    let served = without_ages(daemon.json("/api/v1/status"));
    for field in ["recoveryPoints", "drills", "runs", "findings", "objectives"] {
        assert_eq!(served[field], without_ages(status[field].clone()), "{field}");
    }
}

fn shows_pages(daemon: &Daemon, runs: &[(String, String)]) {
    let page = daemon.get("/");
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let nonce = page.body.split("<style nonce=\"").nth(1).unwrap().split('"').next().unwrap();
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; ") && policy.contains(&format!("script-src 'nonce-{nonce}'")),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(!page.body.contains(" style=\"") && !page.body.contains("http://") && !page.body.contains("https://"));
    assert_ne!(
        daemon.get("/").body.split("nonce=\"").nth(1),
        page.body.split("nonce=\"").nth(1),
        "a nonce is used once"
    );
    for words in ["All is well", "Data at risk (RPO)", "@hourly", "drilled", "passed"] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    for (run, _) in runs {
        let page = daemon.get(&format!("/runs/{run}")).body;
        assert!(page.contains(run) && page.contains("verified"), "{page}");
        assert!(daemon.get("/runs").body.contains(run));
    }
    assert!(daemon.get("/points").body.contains("complete"));
    assert!(daemon.get("/evidence").body.contains("No evidence yet"));
    assert!(!daemon.get("/fragment").body.contains("<html"));

    let head = ask(daemon.port, "HEAD", "/");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(head.header("content-length").parse::<usize>().unwrap() > 1_000);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let refused = ask(daemon.port, method, "/api/v1/runs");
        assert_eq!((refused.status, refused.header("allow")), (405, "GET, HEAD"), "{method}");
    }
    for path in ["/nothing", "/runs/../x", "/api/v1/runs/none-such", "/runs/%3Cb%3E"] {
        assert_eq!(daemon.get(path).status, 404, "{path}");
    }
    assert_eq!(daemon.get("/healthz").status, 200);
}

fn tells_metrics(daemon: &Daemon) {
    let answer = daemon.get("/metrics");
    let text = &answer.body;
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert_eq!(value(text, "drydock_ready"), 1.0);
    assert_eq!(
        value(text, "drydock_runs_total{stack=\"shop\",operation=\"snapshot\",outcome=\"succeeded\"}"),
        1.0,
        "{text}"
    );
    assert_eq!(value(text, "drydock_runs_total{stack=\"shop\",operation=\"drill\",outcome=\"succeeded\"}"), 1.0);
    assert_eq!(value(text, "drydock_objective_seconds{stack=\"shop\",objective=\"rpo\"}"), 86_400.0);
    assert_eq!(value(text, "drydock_recovery_points{stack=\"shop\",state=\"complete\"}"), 1.0);
    let age = value(text, "drydock_complete_point_age_seconds");
    assert!((0.0..120.0).contains(&age) && value(text, "drydock_proven_point_age_seconds") >= age - 0.1, "{text}");
    assert!(value(text, "drydock_achieved_rto_seconds") > 0.0);
    assert!(value(text, "drydock_repository_bytes") > 1_000.0);
    assert!(value(text, "drydock_schedule_next_run_timestamp_seconds{stack=\"shop\",schedule=\"snap\"}") > 1e9);
    crate::deploy::every_metric_is_told(text);
}

/// The value of the first series that begins so.
pub fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(series)).unwrap_or_else(|| panic!("no {series} in {text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}
