//! A tiny S3 in memory that misbehaves as it is told: for the next requests a queue of replies, else it serves.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drydock::storage::{Limits, S3Spec, S3Store};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::stores::{credentials, impatient};

/// What to do with one request instead of serving it.
#[derive(Debug, Clone)]
pub enum Reply {
    /// An answer with this status, these header lines and this body.
    Answer(u16, &'static str, String),
    /// The request is read, and no answer comes.
    Hang,
    /// The request is served, but the connection ends before the answer.
    ServeAndCut,
    /// The answer announces the object's length, sends this much and ends.
    CutBody(usize),
    /// As [`Reply::CutBody`], but the connection stays open without a further byte.
    StallBody(usize),
    /// The request's body is not read to its end; the connection ends.
    Reset,
}

impl Reply {
    /// As S3 says it.
    pub fn error(status: u16, code: &str) -> Self {
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>said the fake</Message></Error>");
        Self::Answer(status, "", body)
    }
}

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    queue: VecDeque<Reply>,
    requests: Vec<Request>,
    lifecycle: Option<String>,
    ignores_conditions: bool,
    refuses_deletes: bool,
}

/// A running fake; its tasks end with the test's runtime.
#[derive(Clone)]
pub struct Fake {
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// With TLS if there is an acceptor.
    pub async fn start_with(tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let endpoint = format!("{scheme}://localhost:{}", listener.local_addr().unwrap().port());
        let state = Arc::new(Mutex::new(State::default()));
        let fake = Self { endpoint, state: Arc::clone(&state) };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (state, tls) = (Arc::clone(&state), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, state).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, state).await;
                            }
                        }
                    }
                });
            }
        });
        fake
    }

    /// The next requests get these replies.
    pub fn next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.lock().unwrap().queue.extend(replies);
    }

    /// The requests so far, and forgets them.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    pub fn put(&self, key: &str, content: impl Into<Vec<u8>>) {
        self.state.lock().unwrap().objects.insert(format!("/bucket/{key}"), content.into());
    }

    pub fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.state.lock().unwrap().objects.get(&format!("/bucket/{key}")).cloned()
    }

    /// Answers the question for lifecycle rules with this.
    pub fn lifecycle(&self, configuration: String) {
        self.state.lock().unwrap().lifecycle = Some(configuration);
    }

    /// Takes every creation for an ordinary write.
    pub fn ignore_conditions(&self) {
        self.state.lock().unwrap().ignores_conditions = true;
    }

    pub fn refuse_deletes(&self) {
        self.state.lock().unwrap().refuses_deletes = true;
    }

    pub fn spec(&self) -> S3Spec {
        let (endpoint, credentials) = (Some(self.endpoint.clone()), Some(credentials("id", "secret")));
        S3Spec { endpoint, credentials, timeouts: impatient(), ..S3Spec::default() }
    }

    /// A store of it, without retries.
    pub async fn store(&self) -> S3Store {
        S3Store::connect("bucket", "", &self.spec(), Limits::default()).await.unwrap()
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<Mutex<State>>) {
    let mut stream = BufReader::new(stream);
    while let Some(head) = read_head(&mut stream).await {
        let reply = state.lock().unwrap().queue.pop_front();
        if matches!(reply, Some(Reply::Reset)) {
            return;
        }
        let Some(request) = read_request(&mut stream, &head).await else { return };
        state.lock().unwrap().requests.push(request.clone());
        match reply {
            Some(Reply::Hang) => return tokio::time::sleep(Duration::from_secs(3600)).await,
            Some(Reply::Answer(status, headers, body)) => {
                answer(&mut stream, status, headers, request.method == "HEAD", body.as_bytes()).await;
            }
            Some(Reply::ServeAndCut) => {
                act(&state, &request);
                return;
            }
            Some(Reply::CutBody(sent)) => return part_of(&mut stream, &state, &request, sent).await,
            Some(Reply::StallBody(sent)) => {
                part_of(&mut stream, &state, &request, sent).await;
                return tokio::time::sleep(Duration::from_secs(3600)).await;
            }
            Some(Reply::Reset) => unreachable!(),
            None => {
                let (status, body) = act(&state, &request);
                let length = (request.method == "HEAD").then_some(body.len());
                let body = if length.is_some() { &[][..] } else { &body };
                let headers =
                    length.map(|n| format!("content-length: {n}\r\nlast-modified: {}\r\n", now())).unwrap_or_default();
                answer(&mut stream, status, &headers, length.is_some(), body).await;
            }
        }
    }
}

/// Does what S3 does, as far as these tests go.
fn act(state: &Mutex<State>, request: &Request) -> (u16, Vec<u8>) {
    let mut state = state.lock().unwrap();
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let path = path.to_owned();
    if query.starts_with("lifecycle") {
        return match &state.lifecycle {
            Some(configuration) => (200, configuration.clone().into()),
            None => (404, b"<Error><Code>NoSuchLifecycleConfiguration</Code></Error>".to_vec()),
        };
    }
    if query.contains("list-type=2") {
        return (200, listing(&state.objects, query));
    }
    if query.starts_with("uploads") {
        return (200, b"<ListMultipartUploadsResult></ListMultipartUploadsResult>".to_vec());
    }
    let there = state.objects.get(&path).cloned();
    match (request.method.as_str(), there) {
        ("PUT", Some(_)) if request.headers.contains_key("if-none-match") && !state.ignores_conditions => {
            (412, b"<Error><Code>PreconditionFailed</Code></Error>".to_vec())
        }
        ("PUT", _) => {
            state.objects.insert(path, request.body.clone());
            (200, Vec::new())
        }
        ("DELETE", _) if state.refuses_deletes => (403, b"<Error><Code>AccessDenied</Code></Error>".to_vec()),
        ("DELETE", _) => {
            state.objects.remove(&path);
            (204, Vec::new())
        }
        ("HEAD", _) if path == "/bucket" || path == "/bucket/" => (200, Vec::new()),
        ("GET", Some(content)) if request.headers.contains_key("range") => {
            let range = request.headers["range"].strip_prefix("bytes=").unwrap();
            let (start, end) = range.split_once('-').unwrap();
            match content.get(start.parse().unwrap()..=end.parse().unwrap()) {
                Some(part) => (206, part.to_vec()),
                None => (416, b"<Error><Code>InvalidRange</Code></Error>".to_vec()),
            }
        }
        (_, Some(content)) => (200, content),
        (_, None) => (404, b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
    }
}

/// One page of everything below the prefix; the keys of these tests need no escaping.
fn listing(objects: &BTreeMap<String, Vec<u8>>, query: &str) -> Vec<u8> {
    let prefix = query.split('&').find_map(|p| p.strip_prefix("prefix=")).unwrap_or_default().replace("%2F", "/");
    let below = objects.iter().filter_map(|(path, content)| Some((path.strip_prefix("/bucket/")?, content)));
    let entries = below.filter(|(key, _)| key.starts_with(&prefix)).map(|(key, content)| {
        let size = content.len();
        format!(
            "<Contents><Key>{key}</Key><Size>{size}</Size><LastModified>2024-05-01T00:00:00Z</LastModified></Contents>"
        )
    });
    format!("<ListBucketResult>{}<IsTruncated>false</IsTruncated></ListBucketResult>", entries.collect::<String>())
        .into()
}

/// As HTTP writes times.
fn now() -> String {
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&jiff::Timestamp::now()).unwrap()
}

async fn part_of(stream: &mut (impl AsyncWrite + Unpin), state: &Mutex<State>, request: &Request, sent: usize) {
    let (_, body) = act(state, request);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.ok();
    stream.write_all(&body[..sent]).await.ok();
    stream.flush().await.ok();
}

async fn answer(stream: &mut (impl AsyncWrite + Unpin), status: u16, headers: &str, bodiless: bool, body: &[u8]) {
    let length = if bodiless { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let head = format!("HTTP/1.1 {status} Said\r\n{headers}{length}\r\n");
    stream.write_all(head.as_bytes()).await.ok();
    if !bodiless {
        stream.write_all(body).await.ok();
    }
    stream.flush().await.ok();
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin), head: &str) -> Option<Request> {
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: BTreeMap<String, String> =
        lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_lowercase(), v.to_owned())).collect();
    let length = headers.get("content-length").map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { method, path, headers, body })
}
