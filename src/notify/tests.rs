//! Against a real HTTP server in this process: what is sent, how often, and what is never said.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::message::Document;
use super::*;
use crate::clock::SystemClock;
use crate::storage::LocalStore;

/// What came, and what is answered: one status after the other, the last one for ever.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    answers: Vec<u16>,
    requests: Vec<Request>,
}

#[derive(Debug, Clone)]
struct Request {
    /// `POST /hook`.
    line: String,
    headers: String,
    body: Vec<u8>,
}

impl Request {
    fn json(&self) -> Document {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self))
    }
}

impl Receiver {
    /// Its address, and itself.
    fn start() -> (String, Self) {
        let (listener, this) = (TcpListener::bind("127.0.0.1:0").unwrap(), Self::default());
        let address = listener.local_addr().unwrap();
        let shared = this.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = shared.clone();
                std::thread::spawn(move || shared.serve(&stream.unwrap()));
            }
        });
        (format!("http://{address}"), this)
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answers(&self, statuses: &[u16]) {
        self.script().answers = statuses.to_vec();
    }

    /// What came since the last time.
    fn heard(&self) -> Vec<Request> {
        std::mem::take(&mut self.script().requests)
    }

    /// 0 answers nothing at all.
    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        loop {
            let (mut line, mut headers, mut length) = (String::new(), String::new(), 0);
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).unwrap();
                if header.trim().is_empty() {
                    break;
                }
                if let Some((_, value)) = header.to_ascii_lowercase().split_once("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                headers += &header.to_ascii_lowercase();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let status = {
                let mut script = self.script();
                let line = line.trim_end_matches(" HTTP/1.1\r\n").to_owned();
                script.requests.push(Request { line, headers, body });
                if script.answers.len() > 1 {
                    script.answers.remove(0)
                } else {
                    script.answers.first().copied().unwrap_or(200)
                }
            };
            if status == 0 {
                std::thread::sleep(Duration::from_secs(5));
                return;
            }
            let location = if status == 302 { "location: /elsewhere\r\n" } else { "" };
            let answer = format!("HTTP/1.1 {status} x\r\n{location}content-length: 0\r\n\r\n");
            let mut writer = stream;
            writer.write_all(answer.as_bytes()).ok(); // it may have given up
        }
    }
}

/// A stack whose `spec` has `more`, with `URL` for the file that holds the URL.
struct Scene {
    folder: tempfile::TempDir,
    stack: Stack,
    store: SharedStore,
}

const PATIENCE: Patience = Patience {
    attempt: Duration::from_millis(500),
    total: Duration::from_secs(3),
    first_pause: Duration::from_millis(20),
};

impl Scene {
    async fn new(url: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("url"), format!("{url}\n")).unwrap();
        let text = format!(
            "{{apiVersion: drydock.dev/v1alpha1, kind: Stack, metadata: {{name: shop}}, spec: {{repository: {{location: /b, \
             password: {{fromFile: p}}}}, data: [{{name: db, volume: {{path: /u}}}}], {}}}}}",
            more.replace("URL", "{fromFile: url}")
        );
        let stack = Stack::parse(Path::new("stack.yaml"), folder.path(), &text).unwrap();
        let store = Arc::new(LocalStore::create(folder.path().join("store")).await.unwrap());
        Self { folder, stack, store }
    }

    /// One process's.
    fn notifier(&self) -> Notifier {
        self.patient(PATIENCE)
    }

    fn patient(&self, patience: Patience) -> Notifier {
        Notifier::new(&self.stack, self.store.clone(), Arc::new(SystemClock), patience).unwrap()
    }
}

fn ended(operation: &str, ending: Ending) -> RunEnded {
    RunEnded { operation: operation.into(), run: format!("{operation}-shop-1"), time: Timestamp::now(), ending }
}

fn failed(message: &str) -> Ending {
    Ending::Failed { category: Category::Unavailable, message: message.into(), hint: None }
}

fn lines(requests: &[Request]) -> Vec<&str> {
    requests.iter().map(|request| request.line.as_str()).collect()
}

#[tokio::test]
async fn a_failure_is_told_once_over_retries_and_restarts_until_the_operation_succeeds() {
    let (url, receiver) = Receiver::start();
    let scene = Scene::new(&format!("{url}/hook?token=1"), "notifications: [{webhook: {url: URL}}]").await;
    receiver.answers(&[500, 429, 200]);
    let told = scene.notifier().run_ended(&ended("snapshot", failed("cannot reach `db`: PID 7"))).await;
    let heard = receiver.heard();
    assert_eq!((told, lines(&heard)), (Vec::new(), vec!["POST /hook?token=1"; 3]));
    assert!(heard[0].headers.contains("content-type: application/json\r\n"), "{}", heard[0].headers);
    let document = heard[0].json();
    assert_eq!((document.kind.as_str(), document.message.as_deref()), ("failure", Some("cannot reach `db`: PID 7")));
    assert_eq!([&heard[1].body, &heard[2].body], [&heard[0].body, &heard[0].body], "the same message, with its id");

    let again = scene.notifier(); // a daemon that begins anew
    again.run_ended(&ended("snapshot", failed("cannot reach `db`: PID 8"))).await;
    again.run_ended(&ended("drill", Ending::Succeeded)).await;
    again.run_ended(&ended("snapshot", Ending::Stopped)).await;
    assert_eq!(lines(&receiver.heard()), [""; 0]);
    again
        .run_ended(&RunEnded { run: "snapshot-shop-2".into(), ..ended("snapshot", failed("cannot reach `cache`")) })
        .await;
    scene.notifier().run_ended(&ended("snapshot", Ending::Succeeded)).await;
    scene.notifier().run_ended(&ended("snapshot", Ending::Succeeded)).await;
    let heard: Vec<Document> = receiver.heard().iter().map(Request::json).collect();
    let kinds: Vec<(&str, u64)> = heard.iter().map(|one| (one.kind.as_str(), one.times)).collect();
    assert_eq!(kinds, [("failure", 2), ("recovery", 2)], "the run that was seen twice counts once");
}

#[tokio::test]
async fn what_nobody_took_is_told_at_the_next_occasion() {
    let (url, receiver) = Receiver::start();
    let scene = Scene::new(&url, "notifications: [{webhook: {url: URL, format: slack}}]").await;
    let notifier = scene.notifier();
    for (status, expected) in
        [(404, "the answer is HTTP 404"), (302, "the answer is a redirect (HTTP 302), which is not followed")]
    {
        receiver.answers(&[status]);
        let told = notifier.run_ended(&ended("check", failed("a pack is damaged"))).await;
        let field = "spec.notifications[0].webhook".to_owned();
        assert_eq!(told, [Undelivered { field, why: expected.into() }]);
        assert_eq!(lines(&receiver.heard()), ["POST /"], "such an answer stays the same");
    }
    receiver.answers(&[200]);
    assert_eq!(notifier.run_ended(&ended("check", failed("a pack is damaged"))).await, []);
    let heard = receiver.heard();
    let text = serde_json::from_slice::<Value>(&heard[0].body).unwrap()["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("shop: check failed: a pack is damaged"), "{text}");
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_given_up_and_keeps_no_other_from_hearing() {
    let (url, dead) = Receiver::start();
    dead.answers(&[0]);
    let (other, receiver) = Receiver::start();
    let scene = Scene::new(&url, "notifications: [{webhook: {url: URL}}, {webhook: {url: {fromFile: other}}}]").await;
    std::fs::write(scene.folder.path().join("other"), other).unwrap();
    let begun = std::time::Instant::now();
    let told = scene.notifier().run_ended(&ended("snapshot", failed("x"))).await;
    assert!(begun.elapsed() < 2 * PATIENCE.total, "{:?}", begun.elapsed());
    assert_eq!(told.iter().map(|one| one.why.as_str()).collect::<Vec<_>>(), ["no answer in time"]);
    assert!(dead.heard().len() > 1 && receiver.heard().len() == 1);
    dead.answers(&[200]);
    scene.notifier().run_ended(&ended("snapshot", failed("x"))).await;
    assert_eq!((dead.heard().len(), receiver.heard().len()), (1, 0), "who has heard hears nothing twice");
}

#[tokio::test]
async fn objectives_are_told_when_they_are_missed_and_met_again() {
    let (url, receiver) = Receiver::start();
    let scene = Scene::new(&url, "notifications: [{webhook: {url: URL}, on: [objective]}]").await;
    let seen = |objective, hours: Option<u64>| ObjectiveSeen {
        objective,
        goal: Duration::from_secs(24 * 3_600),
        achieved: hours.map(|hours| Duration::from_secs(hours * 3_600)),
    };
    for (rpo, proven) in [(25, None), (26, None), (1, Some(25)), (2, Some(3))] {
        let notifier = scene.notifier();
        notifier.run_ended(&ended("snapshot", failed("x"))).await;
        let undelivered =
            notifier.objectives(&[seen(Objective::Rpo, Some(rpo)), seen(Objective::Proven, proven)]).await;
        assert_eq!(undelivered, []);
    }
    let heard: Vec<Document> = receiver.heard().iter().map(Request::json).collect();
    let said: Vec<(&str, String, Option<u64>)> = heard
        .iter()
        .map(|one| (one.kind.as_str(), one.objective.as_ref().unwrap()))
        .map(|(kind, one)| (kind, one.name.clone(), one.achieved_ms.map(|ms| ms / 3_600_000)))
        .collect();
    let (missed, met) = ("objective-missed", "objective-met");
    let expected = [
        (missed, "rpo".to_owned(), Some(25)),
        (missed, "proven".to_owned(), None),
        (met, "rpo".to_owned(), Some(1)),
        (met, "proven".to_owned(), Some(3)),
    ];
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_heartbeat_is_called_after_each_success_of_its_operations_alone() {
    let (url, receiver) = Receiver::start();
    let scene = Scene::new(&format!("{url}/ping"), "heartbeats: [{url: URL, after: [snapshot, forgetAndPrune]}]").await;
    let notifier = scene.notifier();
    receiver.answers(&[503, 200]);
    for (operation, ending) in [
        ("snapshot", Ending::Succeeded),
        ("snapshot", failed("x")),
        ("snapshot", Ending::Stopped),
        ("drill", Ending::Succeeded),
        ("forget", Ending::Succeeded),
        ("snapshot", Ending::Succeeded),
    ] {
        assert_eq!(notifier.run_ended(&ended(operation, ending)).await, []);
    }
    assert_eq!(lines(&receiver.heard()), ["GET /ping"; 4], "one of them twice, because it was not taken at first");
    receiver.answers(&[410]);
    let told = notifier.run_ended(&ended("snapshot", Ending::Succeeded)).await;
    assert_eq!(told, [Undelivered { field: "spec.heartbeats[0]".into(), why: "the answer is HTTP 410".into() }]);
}

/// Everything that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_url_is_in_no_log_no_error_and_nothing_that_is_stored() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_env_filter("drydock=trace")
        .with_ansi(false)
        .with_writer(move || writer.clone());
    let _logging = tracing::subscriber::set_default(subscriber.finish());
    let (alive, receiver) = Receiver::start();
    receiver.answers(&[500]);
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let more = "notifications: [{webhook: {url: URL}}], heartbeats: [{url: URL, after: [drill]}]";
    for url in [
        format!("{alive}/T0/sesame-4711"),
        format!("http://{gone}/T0/sesame-4711"),
        "http://nowhere.invalid/sesame-4711".into(),
    ] {
        let scene = Scene::new(&url, more).await;
        let notifier = scene.patient(Patience { total: Duration::from_millis(400), ..PATIENCE });
        let mut said = format!("{notifier:?} {:?}", notifier.run_ended(&ended("snapshot", failed("x"))).await);
        said += &format!("{:?}", notifier.run_ended(&ended("drill", Ending::Succeeded)).await);
        assert!(!said.contains("sesame"), "{said}");
        let stored = std::fs::read_to_string(scene.folder.path().join("store/notifications.json")).unwrap();
        assert!(!stored.contains("sesame") && stored.contains("failing"), "{stored}");
    }
    let scene = Scene::new("sesame-4711", more).await;
    let refused = Notifier::new(&scene.stack, scene.store.clone(), Arc::new(SystemClock), PATIENCE).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "what spec.notifications[0].webhook.url leads to is no URL that can be called: it does not begin with https:// or \
         http://"
    );
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("a notification was not delivered") && logged.contains("is tried again"), "{logged}");
    assert!(logged.contains("HTTP 500") && logged.contains("refused"), "people need to know why: {logged}");
    assert!(!logged.contains("sesame") && !format!("{refused:?}").contains("sesame"), "{logged} {refused:?}");
}
