//! Pages in headless Chromium, by `browser.py`. `DRYDOCK_SCREENSHOTS=FOLDER` keeps what they looked like.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::run;

/// Opens `url` as people would; `name` is the folder of its screenshots.
pub fn open(url: &str, name: &str) -> Value {
    let mut command = Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/browser.py")).arg(url);
    if let Some(folder) = screenshots(name) {
        command.arg(folder);
    }
    serde_json::from_str(&run(&mut command)).unwrap()
}

/// Where screenshots of `name` are kept; none where nobody wants them.
pub fn screenshots(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("DRYDOCK_SCREENSHOTS")?).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    Some(folder)
}

/// Nothing loaded but the page itself, and of a served one what the same server has; nothing complained about, nothing to scroll sideways; light and dark are two; all
/// that can be used is reached by the tab key, and one sees where one is.
pub fn judge(seen: &Value, url: &str) {
    let loaded = seen["loaded"].as_array().unwrap();
    let served = url.strip_prefix("http://").map(|rest| format!("http://{}/", rest.split('/').next().unwrap()));
    let is_own = |one: &Value| one == url || served.as_ref().is_some_and(|own| one.as_str().unwrap().starts_with(own));
    assert!(!loaded.is_empty() && loaded.iter().all(is_own), "{url} loads {loaded:?}");
    assert_eq!(seen["complaints"], serde_json::json!([]));
    let views = seen["views"].as_array().unwrap();
    assert_eq!(views.len(), 5);
    for view in views {
        assert_eq!(view["scrollWidth"], view["width"], "it scrolls sideways because of {}", view["overflow"]);
        assert_eq!(view["overflow"], serde_json::json!([]), "at {}", view["width"]);
    }
    assert_ne!(views[0]["background"], views[1]["background"]);
    assert_eq!(seen["keyboard"]["unreached"], serde_json::json!([]), "{}", seen["keyboard"]);
    assert_eq!(seen["keyboard"]["unmarked"], serde_json::json!([]), "{}", seen["keyboard"]);
    assert!(seen["pdfBytes"].as_u64().unwrap() > 10_000);
}

/// What is read at every width and in both color schemes.
pub fn texts(seen: &Value) -> Vec<(String, String)> {
    let views = seen["views"].as_array().unwrap().iter();
    views.map(|view| (format!("{} {}", view["width"], view["scheme"]), view["text"].as_str().unwrap().into())).collect()
}
