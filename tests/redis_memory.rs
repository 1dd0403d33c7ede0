//! Memory, in a process of its own: what other tests hold beside it would count too.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "redis/helpers.rs"]
mod helpers;
mod support;

use drydock::context::Context;
use drydock::data::redis;

use helpers::{EMPTY, Store, role, spec, target};

/// 100 MB through a small process; nothing of the scratch server is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_not_grow_with_the_data() {
    let store = Store::new().await;
    let source = target("7.0", &["--rdbcompression", "no"]);
    source.cli(&["debug", "populate", "100000", "key", "1000"]);
    source.cli(&["eval", "for i = 1, 300000 do redis.call('SADD', 'one', 'member ' .. i) end", "0"]);
    let begun = std::time::Instant::now();
    std::fs::write("/proc/self/clear_refs", "5").unwrap(); // the high-water mark begins anew
    let captured = store.capture(&spec(source.port)).await.unwrap();
    assert!(captured.bytes > 100_000_000, "{}", captured.bytes);
    let goal = target("7.0", &[]);
    let restored =
        redis::restore(&store.repository, &captured.tree, &spec(goal.port), &EMPTY, &Context::default()).await.unwrap();
    assert!(restored.comparison.holds());
    assert_eq!(goal.digest(), source.digest());
    assert_eq!(role(&goal), "master");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().split(' ').next().unwrap();
    let peak = peak.parse::<u64>().unwrap() / 1024;
    println!("restored after {:?}", begun.elapsed());
    println!("peak {peak} MiB for {} bytes of RDB", captured.bytes);
    assert!(peak < 256, "{peak} MiB");
    assert_eq!(scratch_servers(), 0);
}

/// The scratch servers that this process has started and not ended.
fn scratch_servers() -> usize {
    let prefix = format!("drydock-scratch-{}-", std::process::id());
    std::fs::read_dir(std::env::temp_dir())
        .unwrap()
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().starts_with(&prefix))
        .count()
}
