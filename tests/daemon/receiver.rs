//! Somebody who is told: a small HTTP server that keeps what came.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// What came.
#[derive(Debug, Clone)]
pub struct Call {
    /// `POST /hook`.
    pub line: String,
    pub body: String,
}

impl Call {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

#[derive(Default)]
struct Kept {
    /// One after the other, for a path each; afterwards 200.
    answers: Vec<(String, u16)>,
    calls: Vec<Call>,
}

pub struct Receiver {
    pub url: String,
    kept: Arc<Mutex<Kept>>,
}

impl Receiver {
    /// `answers` are given once each, to the first call of their path.
    pub fn start(answers: &[(&str, u16)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers = answers.iter().map(|(path, status)| ((*path).to_owned(), *status)).collect();
        let kept = Arc::new(Mutex::new(Kept { answers, calls: Vec::new() }));
        let shared = kept.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = shared.clone();
                std::thread::spawn(move || serve(&stream.unwrap(), &shared));
            }
        });
        Self { url, kept }
    }

    /// All calls of a path so far.
    pub fn calls(&self, path: &str) -> Vec<Call> {
        let kept = self.kept.lock().unwrap();
        kept.calls.iter().filter(|call| call.line.split(' ').nth(1) == Some(path)).cloned().collect()
    }

    /// The calls of a path, once there are `count`.
    pub fn hears(&self, path: &str, count: usize, why_not: impl Fn() -> String) -> Vec<Call> {
        let began = Instant::now();
        loop {
            let calls = self.calls(path);
            if calls.len() >= count {
                return calls;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{path} heard {calls:#?}\n{}", why_not());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn serve(mut stream: &TcpStream, kept: &Mutex<Kept>) {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line).unwrap();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        if header.trim().is_empty() {
            break;
        }
        if let Some((_, value)) = header.to_ascii_lowercase().split_once("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let line = line.trim_end_matches(" HTTP/1.1\r\n").to_owned();
    let status = {
        let mut kept = kept.lock().unwrap();
        let at = kept.answers.iter().position(|(path, _)| line.split(' ').nth(1) == Some(path));
        kept.calls.push(Call { line, body: String::from_utf8(body).unwrap() });
        at.map_or(200, |at| kept.answers.remove(at).1)
    };
    write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").ok(); // it may have gone
}
