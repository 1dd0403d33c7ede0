//! Ten thousand past runs.

use std::time::{Duration, Instant};

use crate::scene::Scene;

#[test]
fn answers_take_less_than_100_ms_with_ten_thousand_past_runs() {
    let scene = Scene::files("many", "");
    scene.drydock(&["snapshot"]);
    let (run, _) = scene.runs().remove(0);
    let journal = std::fs::read(scene.path(&format!("store/runs/{run}.jsonl"))).unwrap();
    for n in 0..10_000 {
        let (day, hour, minute) = (1 + n % 28, n / 28 % 24, n / 672);
        let name = format!("store/runs/snapshot-shop-202509{day:02}t{hour:02}{minute:02}00z-nightly.jsonl");
        std::fs::write(scene.path(&name), &journal).unwrap();
    }
    scene.schedule("nightly", "{snapshot: {}}", "15 2 1 1 *", 0);
    let daemon = scene.daemon(&[]);
    daemon.until("it is ready", "/readyz", |answer| answer.status == 200);
    let all = daemon.json("/api/v1/runs")["all"].as_u64().unwrap();
    assert_eq!(all, 10_001);
    for path in ["/", "/runs", "/api/v1/status", "/api/v1/runs", "/metrics", "/healthz"] {
        let took = (0..5).map(|_| {
            let began = Instant::now();
            assert_eq!(daemon.get(path).status, 200, "{path}");
            began.elapsed()
        });
        let took = took.min().unwrap();
        println!("{path}: {took:?}");
        assert!(took < Duration::from_millis(100), "{path} took {took:?}");
    }
}
