//! This machine: memory, temporary space, open files.

use std::fs;
use std::path::Path;

use crate::finding::Finding;
use crate::stack::{ByteSize, DataKind, Stack};

const SUBJECT: &str = "machine";

/// What drydock takes at most, whatever the size of the data (DESIGN §4, invariant 10).
const MEMORY: u64 = 256 << 20;

/// Redis' stream is never held back: what comes faster than the store takes it is spooled here, encrypted.
const SPOOL: u64 = 1 << 30;

/// Files, connections and directories of a restore with several threads; systemd's and Debian's default is 1,024.
const OPEN_FILES: u64 = 512;

pub fn look(stack: &Stack) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory(&text)));
    if stack.spec.data.iter().any(|set| matches!(set.kind, DataKind::Redis(_))) {
        findings.extend(space(&std::env::temp_dir()));
    }
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if let Some(files) = files.filter(|files| *files < OPEN_FILES) {
        let detail = format!("this process may open {files} files at once; a restore may need {OPEN_FILES}");
        findings.push(Finding::warning(SUBJECT, detail, "ulimit -n 1024, or LimitNOFILE=1024 in the unit"));
    }
    findings
}

fn memory(meminfo: &str) -> Option<Finding> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let available = ByteSize(kib << 10);
    let detail = format!("{available} of memory are available, drydock takes at most {}", ByteSize(MEMORY));
    Some(if available.0 < MEMORY {
        Finding::warning(SUBJECT, detail, "free some, or run drydock on another machine")
    } else {
        Finding::good(SUBJECT, detail)
    })
}

fn space(folder: &Path) -> Option<Finding> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    let free = ByteSize(stat.f_bavail.saturating_mul(stat.f_frsize));
    let detail = format!("{free} are free in {}, where Redis' data may have to wait for the store", folder.display());
    Some(if free.0 < SPOOL {
        Finding::warning(SUBJECT, detail, "free some, or set TMPDIR to a folder with more")
    } else {
        Finding::good(SUBJECT, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;

    #[test]
    fn little_memory_is_a_warning() {
        let severity = |kib: u64| memory(&format!("MemTotal: 9 kB\nMemAvailable:  {kib} kB\n")).unwrap().severity;
        assert_eq!((severity(100 << 10), severity(1 << 20)), (Severity::Warning, Severity::Good));
        assert_eq!(memory("nonsense"), None);
    }
}
