//! The daemon's pages in headless Chromium.

use crate::scene::Scene;
use crate::support::browser::{judge, open, texts};

#[test]
fn every_page_is_read_on_any_screen_and_without_a_mouse() {
    let scene = Scene::files("browser", "  objectives: {rpo: 24h, proven: 8d}\n");
    scene.schedule("nightly-snapshot-of-everything", "{snapshot: {}}", "@hourly", 5);
    scene.schedule("monthly", "{check: {readData: true}}", "15 2 1 * *", 0);
    let daemon = scene.daemon(&[]);
    daemon.until_status("a scheduled point", |status| status["recoveryPoints"]["completeCount"] == 1);
    daemon.until_status("nothing goes on", |status| status["runs"]["open"].as_array().unwrap().is_empty());
    let run = scene.runs()[0].0.clone();
    let point = scene.json(&["points"])["points"][0]["id"].as_str().unwrap()[..8].to_owned();
    let run_page = format!("/runs/{run}");
    let pages: [(&str, &str, &[&str]); 5] = [
        (
            "/",
            "status",
            &[
                "shop",
                "no drill has proven a recovery point yet",
                "Data at risk (RPO)",
                "@hourly",
                "drydock drill -f",
                "objective 1d",
            ],
        ),
        ("/runs", "runs", &[&run, "succeeded"]),
        (&run_page, "run", &[&run, "take", "verified", "the schedule nightly-snapshot-of-everything"]),
        ("/points", "points", &[&point, "complete"]),
        ("/evidence", "evidence", &["No evidence yet"]),
    ];
    for (path, name, words) in pages {
        let url = format!("http://127.0.0.1:{}{path}", daemon.port);
        let seen = open(&url, &format!("daemon-{name}"));
        judge(&seen, &url);
        for (view, text) in texts(&seen) {
            for word in words {
                assert!(text.contains(word), "{word} at {view} of {path}: {text}");
            }
        }
        // the places at the top, at least; the evidence is an auditor's page and has the way back alone
        let least = if path == "/evidence" { 1 } else { 5 };
        assert!(seen["keyboard"]["reached"].as_u64().unwrap() >= least, "{path}: {}", seen["keyboard"]);
    }
}
