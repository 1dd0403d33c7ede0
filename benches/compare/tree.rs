//! An 800 MB mixed tree (text, random, 20,000 small files) against restic and tar.

use std::cell::Cell;
use std::io::Write;
use std::path::Path;

use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};

use crate::measure::{Goal, Report, medians, run, sh, timed};
use crate::stack::{Stack, size_of};
use crate::support::Folder;
use crate::support::restic::Restic;

pub fn rows(report: &mut Report) {
    if !report.wants("tree") {
        return;
    }
    let folder = Folder::unjudged("bench-tree");
    let tree = folder.path().join("tree");
    generate(&tree, crate::scale());
    let stack =
        Stack::new(&folder.path().join("ours"), &format!("  - name: tree\n    volume: {{path: {}}}\n", tree.display()));
    let theirs = folder.path().join("theirs");
    let restic = Restic::new(theirs.to_str().unwrap(), &stack.password_file());
    snapshot(report, &stack, &restic, &theirs, &tree);
    unchanged(report, &stack, &restic, &tree);
    restore(report, &stack, &restic, folder.path());
    check(report, &stack, &restic);
}

fn snapshot(report: &mut Report, stack: &Stack, restic: &Restic, theirs: &Path, tree: &Path) {
    let tree_arg = tree.to_str().unwrap();
    let tar = format!("tar -C {tree_arg} -cf - . | zstd -q -3 -T2 > {tree_arg}.tar.zst && sync {tree_arg}.tar.zst");
    let [ours, restic_time, tar_time] = medians([
        &mut || {
            stack.reset();
            run(&mut stack.drydock(&["snapshot"])).wall
        },
        &mut || {
            std::fs::remove_dir_all(theirs).ok();
            restic.run(&["init"]);
            timed(|| _ = restic.run(&["backup", tree_arg]))
        },
        &mut || sh(&tar).wall,
    ]);
    std::fs::remove_file(format!("{tree_arg}.tar.zst")).unwrap();
    report.row("tree: snapshot of 800 MB / restic backup, s", ours, restic_time, Goal::TimesAsFast(3.0));
    report.row("tree: snapshot of 800 MB / tar | zstd -3 -T2, s", ours, tar_time, Goal::TimesAsFast(1.0));
    let mib = |path: &Path| size_of(path) as f64 / f64::from(1 << 20);
    report.row("tree: repository / restic's, MiB", mib(&stack.repository()), mib(theirs), Goal::AtMost(1.05));
}

fn unchanged(report: &mut Report, stack: &Stack, restic: &Restic, tree: &Path) {
    let [ours, theirs] = medians([&mut || run(&mut stack.drydock(&["snapshot"])).wall, &mut || {
        timed(|| _ = restic.run(&["backup", tree.to_str().unwrap()]))
    }]);
    report.row("tree: the same again, unchanged / restic backup, s", ours, theirs, Goal::TimesAsFast(2.0));
}

/// Each into a folder of its own that stays until the end: ext4 does not reuse the inodes of files that were removed
/// within the last minutes, and creating 20,000 files after removing as many costs more than either restore.
fn restore(report: &mut Report, stack: &Stack, restic: &Restic, folder: &Path) {
    let restored = folder.join("restored");
    std::fs::create_dir(&restored).unwrap();
    let count = Cell::new(0);
    let fresh = || {
        count.set(count.get() + 1);
        restored.join(count.get().to_string()).to_str().unwrap().to_owned()
    };
    let [ours, theirs] = medians([
        &mut || run(&mut stack.drydock(&["restore", "--point", "latest", "--to", &fresh()])).wall,
        &mut || {
            let target = fresh();
            timed(|| _ = restic.run(&["restore", "latest", "--target", &target]))
        },
    ]);
    report.row("tree: restore with verification / restic restore, s", ours, theirs, Goal::TimesAsFast(1.5));
    std::fs::remove_dir_all(restored).unwrap();
}

fn check(report: &mut Report, stack: &Stack, restic: &Restic) {
    let [ours, theirs] = medians([&mut || run(&mut stack.drydock(&["check", "--read-data"])).wall, &mut || {
        timed(|| _ = restic.run(&["check", "--read-data"]))
    }]);
    report.row("tree: check --read-data / restic check --read-data, s", ours, theirs, Goal::TimesAsFast(1.0));
}

/// 40 % text in large files, 40 % random in large files, 20 % in 20,000 small text files.
pub fn generate(tree: &Path, scale: f64) {
    let mut random = SmallRng::seed_from_u64(7);
    let large = (20.0 * scale).ceil() as usize;
    for n in 0..large {
        std::fs::create_dir_all(tree.join("large")).unwrap();
        write(&tree.join(format!("large/{n}.log")), |file| text(&mut random, file, 16 << 20));
        write(&tree.join(format!("large/{n}.bin")), |file| {
            let mut block = vec![0; 16 << 20];
            random.fill_bytes(&mut block);
            file.write_all(&block).unwrap();
        });
    }
    for n in 0..(20_000.0 * scale) as usize {
        let folder = tree.join(format!("small/{:02}", n % 100));
        std::fs::create_dir_all(&folder).unwrap();
        let bytes = random.random_range(100..16_000);
        write(&folder.join(format!("{n}.txt")), |file| text(&mut random, file, bytes));
    }
}

fn write(path: &Path, content: impl FnOnce(&mut std::io::BufWriter<std::fs::File>)) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    content(&mut file);
    file.flush().unwrap();
}

/// Lines like those of an access log: compressible three to four times.
pub fn text(random: &mut SmallRng, into: &mut impl Write, bytes: usize) {
    const WORDS: [&str; 24] = [
        "account",
        "message",
        "conversation",
        "inbox",
        "agent",
        "contact",
        "assigned",
        "resolved",
        "GET",
        "POST",
        "200",
        "404",
        "upload",
        "avatar",
        "label",
        "webhook",
        "team",
        "created",
        "updated",
        "deleted",
        "from",
        "to",
        "by",
        "the",
    ];
    let mut written = 0;
    while written < bytes {
        let mut line = format!(
            "2026-11-{:02}T{:02}:{:02}",
            random.random_range(1..30),
            random.random_range(0..24),
            random.random_range(0..60)
        );
        for _ in 0..random.random_range(6..14) {
            line.push(' ');
            line.push_str(WORDS[random.random_range(0..WORDS.len())]);
        }
        line.push_str(&format!(" id={:08x}\n", random.next_u32()));
        into.write_all(line.as_bytes()).unwrap();
        written += line.len();
    }
}
