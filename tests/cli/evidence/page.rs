//! The exported page in headless Chromium. `DRYDOCK_SCREENSHOTS=FOLDER` keeps it and what it looked like.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::story;
use crate::support::browser;
use crate::world::World;

fn export(world: &World, code: i32) -> PathBuf {
    let html = world.path("evidence.html");
    let ran = world.run(&["evidence", "export", "--html", html.to_str().unwrap()]);
    assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
    html
}

fn open(html: &Path, name: &str) -> Value {
    if let Some(folder) = browser::screenshots(name) {
        std::fs::copy(html, folder.join("page.html")).unwrap();
    }
    browser::open(&url(html), name)
}

fn url(html: &Path) -> String {
    format!("file://{}", html.display())
}

fn judge(seen: &Value, html: &Path) {
    browser::judge(seen, &url(html));
}

#[test]
fn an_auditor_reads_it_on_any_screen() {
    let world = story::world("page");
    story::tell(&world, 40);
    let html = export(&world, 0);
    let seen = open(&html, "verified");
    judge(&seen, &html);
    for view in seen["views"].as_array().unwrap() {
        let text = view["text"].as_str().unwrap();
        for said in ["The evidence verifies", "Newest proof", " ago\n", "failed", "late", "restore"] {
            assert!(text.contains(said), "{said} at {}: {text}", view["width"]);
        }
        let newest = story::record(40, 40).point.id[..8].to_owned();
        assert!(text.contains(&newest), "{newest} at {}: {text}", view["width"]);
    }
    // Tables stay tables for who listens to the page, also where they are drawn as cards.
    let rows = seen["roles"]["row"].as_u64().unwrap();
    assert!(rows >= 41, "{}", seen["roles"]);
    assert!(seen["roles"]["columnheader"].as_u64().unwrap() >= 8, "{}", seen["roles"]);
}

#[test]
fn a_broken_chain_is_what_one_sees_first() {
    let world = story::world("broken-page");
    story::tell(&world, 6);
    std::fs::remove_file(world.path("store/evidence/000003.json")).unwrap();
    let damaged = world.path("store/evidence/000005.json");
    let mut bytes = std::fs::read(&damaged).unwrap();
    bytes[900] ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    let html = export(&world, 20);
    let seen = open(&html, "broken");
    judge(&seen, &html);
    for view in seen["views"].as_array().unwrap() {
        let text = view["text"].as_str().unwrap();
        assert!(text.find("The evidence does not verify").unwrap() < text.find("Records").unwrap(), "{text}");
        assert!(text.contains("evidence/000003.json: missing"), "{text}");
        assert!(text.contains("evidence/000005.json: altered"), "{text}");
    }
}

#[test]
fn long_and_hostile_names_neither_break_the_page_nor_run() {
    use drydock::evidence::{Chain, Disclosed, Outcome, Reason};
    let world = story::world("hostile");
    let attack = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">";
    let long = "a-table-whose-name-has-no-place-to-break-".repeat(7);
    let mut record = story::record(1, 1);
    record.outcome = Outcome::Failed;
    record.reasons = vec![Reason::NotRestored { data: None, why: Disclosed::name(attack) }];
    record.assertions[0].name = Disclosed::name(attack);
    record.assertions[1].name = Disclosed::name(&long);
    record.achieved.parts[0].name = Disclosed::name(&long);
    record.data[0].kind = Disclosed::name(&long);
    record.data[0].comparison.notes = vec![Disclosed::name(&long), Disclosed::name(attack)];
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = std::sync::Arc::new(drydock::storage::LocalStore::open(world.path("store")).await.unwrap());
        let chain = Chain::new(store, "shop".parse().unwrap());
        chain.append(&record, &story::key(&world), record.finished).await.unwrap();
    });
    let html = export(&world, 0);
    // Details are closed when a page opens; here everything must be drawn.
    let opened = std::fs::read_to_string(&html).unwrap().replace("<details ", "<details open ");
    std::fs::write(&html, opened).unwrap();
    let seen = open(&html, "hostile");
    judge(&seen, &html);
    let text = seen["views"][0]["text"].as_str().unwrap();
    assert!(text.contains(attack), "it is shown as the text that it is: {text}");
}
