//! Whoever is to be told of a run.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::scene::Scene;

#[test]
fn a_heartbeat_follows_a_scheduled_run() {
    let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = receiver.local_addr().unwrap();
    let (sender, called) = channel();
    std::thread::spawn(move || {
        for stream in receiver.incoming() {
            let (mut stream, mut buffer) = (stream.unwrap(), [0; 2048]);
            let length = stream.read(&mut buffer).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            let line = String::from_utf8_lossy(&buffer[..length]).lines().next().unwrap_or_default().to_owned();
            sender.send(line).ok();
        }
    });
    let scene = Scene::files("tell", "  heartbeats:\n  - {url: {fromFile: beat}, after: [snapshot]}\n");
    scene.write("beat", &format!("http://{address}/beat/4711\n"));
    let daemon = scene.daemon(&[]);
    daemon.until("it is ready", "/readyz", |answer| answer.status == 200);
    scene.schedule("snap", "{snapshot: {}}", "@hourly", 5);
    let line = called.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("{}", daemon.log()));
    assert_eq!(line, "GET /beat/4711 HTTP/1.1");
    daemon.until_status("the point is there", |status| status["recoveryPoints"]["completeCount"] == 1);
    assert!(!daemon.log().contains("4711"), "the URL is a secret: {}", daemon.log());
    assert!(called.recv_timeout(Duration::from_secs(2)).is_err(), "it is called once a run");
}
