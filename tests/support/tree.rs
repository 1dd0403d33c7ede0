//! The torture tree, every kind of object that a folder can hold, and the comparison of two trees with tools that are
//! not ours: diff, rsync, find, getfattr, getfacl, du. Needs root for owners, devices and privileged attributes.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::run;

/// Bytes that do not compress and are the same at every call.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn sh(folder: &Path, script: &str) {
    run(Command::new("bash").args(["-euc", script]).current_dir(folder));
}

fn named(folder: &Path, name: &[u8]) -> PathBuf {
    folder.join(OsStr::from_bytes(name))
}

/// Fills `root` with all of it.
pub fn torture(root: &Path) {
    fs::create_dir_all(root).unwrap();
    contents(&root.join("contents"));
    names(&root.join("names"));
    sparse(&root.join("sparse"));
    links(root);
    if super::is_root() {
        privileged(&root.join("privileged"));
    }
    attributes(&root.join("attributes"));
    modes_and_times(&root.join("modes and times"));
    sh(
        root,
        "setfacl -m u:1234:rx,g:5678:r . && setfattr -n user.root -v 'of the folder itself' . && touch -d '2020-02-02 02:02:02.020202020 UTC' .",
    );
}

fn contents(folder: &Path) {
    fs::create_dir_all(folder.join("empty folder")).unwrap();
    fs::write(folder.join("empty"), b"").unwrap();
    fs::write(folder.join("one byte"), b"x").unwrap();
    fs::write(folder.join("all bytes"), (0..=255).collect::<Vec<u8>>()).unwrap();
    fs::write(folder.join("text"), "All work and no play makes Jack a dull boy.\n".repeat(40_000)).unwrap();
    fs::write(folder.join("several chunks"), noise(1, 6 << 20)).unwrap();
    fs::write(folder.join("the same again"), noise(1, 6 << 20)).unwrap();
    fs::write(folder.join("a border"), noise(2, 512 << 10)).unwrap();
    let many = folder.join("many");
    fs::create_dir(&many).unwrap();
    for n in 0..500 {
        fs::write(many.join(format!("{n}.txt")), format!("file number {n}\n").repeat(n % 50)).unwrap();
    }
    fs::create_dir_all(folder.join((0..60).map(|n| format!("level {n}/")).collect::<String>())).unwrap();
}

fn names(folder: &Path) {
    fs::create_dir(folder).unwrap();
    let longest = [b'n'; 255];
    let names: [&[u8]; 17] = [
        b"space and  two",
        b"new\nline",
        b"tab\tbell\x07escape\x1b[31m",
        b"quote\"apostrophe'back\\slash",
        b"\\x41 looks escaped",
        b"-rf",
        b"*?[a]{b,c}$HOME`id`",
        b"...",
        b".hidden",
        b"\xff\xfe not UTF-8",
        b"latin1 caf\xe9",
        b"broken \xe2\x82 sequence",
        "composed \u{e9}".as_bytes(),
        "decomposed e\u{301}".as_bytes(),
        "\u{202e}right to left, \u{1f600}".as_bytes(),
        "line\u{2028}separator <html> & more".as_bytes(),
        &longest,
    ];
    for name in names {
        fs::write(named(folder, name), name).unwrap();
    }
    fs::create_dir(named(folder, b"folder \xf0\x28\x8c\x28")).unwrap();
    fs::write(named(folder, b"folder \xf0\x28\x8c\x28/inside"), b"x").unwrap();
    fs::create_dir(folder.join(".drydock")).unwrap();
    fs::write(folder.join(".drydock/not at the root"), b"kept").unwrap();
}

fn sparse(folder: &Path) {
    fs::create_dir(folder).unwrap();
    sh(
        folder,
        "truncate -s 12M 'only a hole'
         printf start > 'hole at the end' && truncate -s 9M 'hole at the end'
         truncate -s 8M 'data in the middle' && printf middle | dd of='data in the middle' bs=1 seek=4000000 conv=notrunc status=none
         truncate -s 3000001 'odd length'
         head -c 300000 /dev/zero > 'zeros that are written'",
    );
    let mut pages = noise(3, 3 << 20);
    pages[100_000..900_000].fill(0);
    fs::write(folder.join("long zeros in noise"), pages).unwrap();
}

fn links(root: &Path) {
    let folder = root.join("links");
    fs::create_dir(&folder).unwrap();
    symlink("../contents/text", folder.join("relative")).unwrap();
    symlink("/etc/passwd", folder.join("absolute")).unwrap();
    symlink("nowhere at all", folder.join("dangling")).unwrap();
    symlink("..", folder.join("to the root")).unwrap();
    symlink("loop", folder.join("loop")).unwrap();
    symlink("t".repeat(4_000), folder.join("long target")).unwrap();
    symlink("ü \n\"'\\", folder.join("target with signs")).unwrap();
    symlink(OsStr::from_bytes(b"raw \xff target"), folder.join("raw target")).unwrap();
    fs::hard_link(root.join("contents/text"), folder.join("text, hard")).unwrap();
    fs::hard_link(root.join("contents/text"), root.join("text, hard, at the root")).unwrap();
    fs::hard_link(root.join("contents/several chunks"), folder.join("chunks, hard")).unwrap();
    fs::hard_link(root.join("contents/empty"), folder.join("empty, hard")).unwrap();
    sh(
        &folder,
        "mkfifo special-fifo && ln special-fifo special-fifo-hard && chmod 620 special-fifo
         ln -P dangling 'dangling, hard'
         touch -h -d '2001-02-03 04:05:06.070809010 UTC' relative",
    );
    let socket = folder.join("special-socket");
    UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o640)).unwrap();
}

fn privileged(folder: &Path) {
    fs::create_dir(folder).unwrap();
    sh(
        folder,
        "mknod special-char c 1 3 && mknod special-block b 7 199 && chmod 606 special-char
         echo mine > owned && chown 1234:5678 owned && chmod 6755 owned
         echo nobody > nobody && chown nobody:nogroup nobody
         ln -s owned link && chown -h 1234:5678 link
         cp /bin/true capable && setcap cap_net_raw+ep capable
         echo trusted > trusted && setfattr -n trusted.note -v 0x00ff10 trusted
         mkdir given && echo x > given/x && chown -R 1234:5678 given && chmod 2770 given",
    );
}

fn attributes(folder: &Path) {
    fs::create_dir(folder).unwrap();
    sh(
        folder,
        "echo a > file && setfattr -n user.text -v 'some text' file && setfattr -n user.binary -v 0x00010203fffe00 file
         setfattr -n user.empty file && setfattr -n user.long -v \"$(head -c 2500 /dev/zero | tr '\\0' v)\" file
         mkdir folder && setfattr -n user.folder -v yes folder
         echo b > acl && setfacl -m u:1234:rwx,g:5678:r,m:rx acl
         mkdir defaults && setfacl -d -m u:1234:rwx,o:- defaults && setfacl -m g:5678:rx defaults
         mkdir defaults/below && echo c > defaults/inherits && chmod 604 defaults/inherits
         echo d > read-only && setfattr -n user.note -v kept read-only && chmod 400 read-only",
    );
}

fn modes_and_times(folder: &Path) {
    fs::create_dir(folder).unwrap();
    sh(
        folder,
        "for mode in 0000 0400 0111 0644 0777 4755 2755 1755 6711 7777; do echo $mode > f$mode; mkdir d$mode; done
         echo in > d0000/inside
         for mode in 0000 0400 0111 0644 0777 4755 2755 1755 6711 7777; do chmod $mode f$mode d$mode; done
         touch -d '2024-05-06 07:08:09.123456789 UTC' nanoseconds
         touch -d '1969-12-31 23:59:58.25 UTC' 'before the epoch'
         touch -d '1901-12-15 00:00:00 UTC' 'long before'
         touch -d '1970-01-01 00:00:00 UTC' epoch
         touch -d '2038-01-19 03:14:08.5 UTC' 'after 2038'
         touch -a -d '2010-10-10 10:10:10.101010101 UTC' accessed
         mkdir 'old folder' && echo x > 'old folder/new file' && touch -d '1999-09-09 09:09:09.9 UTC' 'old folder'",
    );
}

/// What two trees are compared by; the default is everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Except {
    /// What restic 0.14 cannot bring back: sockets, targets of links that are not UTF-8, hard links of what is no file,
    /// holes.
    pub gaps_of_restic: bool,
    /// The folder itself was not restored, only what is in it.
    pub root: bool,
}

/// Panics with the tools' own words where the trees differ.
pub fn assert_same(original: &Path, restored: &Path, except: Except) {
    let mut complaints = String::new();
    for (tool, output) in [
        ("diff", diff(original, restored, except)),
        ("rsync", rsync(original, restored, except)),
        ("find", two_lists(original, restored, except, listing)),
        ("getfattr", two_lists(original, restored, except, getfattr)),
        ("getfacl", two_lists(original, restored, except, getfacl)),
        ("du", if except.gaps_of_restic { String::new() } else { du(original, restored) }),
    ] {
        if !output.trim().is_empty() {
            complaints += &format!("--- {tool} ---\n{output}\n");
        }
    }
    assert!(complaints.is_empty(), "{} and {} differ:\n{complaints}", original.display(), restored.display());
}

/// diff calls two FIFOs different; those are left to rsync and find.
fn diff(original: &Path, restored: &Path, except: Except) -> String {
    let mut command = Command::new("diff");
    command.args(["-r", "--no-dereference", "-x", "special-*"]);
    if except.gaps_of_restic {
        command.args(["-x", "raw target"]);
    }
    let output = command.arg(original).arg(restored).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
        .lines()
        .filter(|l| !ours(l))
        .collect::<Vec<_>>()
        .join("\n")
}

/// diff has no pattern for a name at the root alone.
fn ours(line: &str) -> bool {
    line.starts_with("Only in")
        && (line.ends_with(": lost+found") || line.ends_with(": .drydock") && !line.contains("/names"))
}

fn rsync(original: &Path, restored: &Path, except: Except) -> String {
    let mut command = Command::new("rsync");
    command.args(["-n", "-aHAX", "--checksum", "--itemize-changes", "--delete", "--modify-window=-1"]);
    command.args(["--exclude=/.drydock", "--exclude=/lost+found"]);
    if except.gaps_of_restic {
        command.args(["--exclude=special-socket", "--exclude=raw target", "--exclude=special-fifo-hard"]);
        command.args(["--exclude=special-fifo", "--exclude=dangling*"]);
    }
    let from = format!("{}/", original.display());
    let output = command.arg(from).arg(format!("{}/", restored.display())).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    text.lines().filter(|line| !(except.root && line.ends_with(" ./"))).collect::<Vec<_>>().join("\n")
}

type Lister = fn(&Path, &str) -> String;

/// The lines that are in one list alone.
fn two_lists(original: &Path, restored: &Path, except: Except, list: Lister) -> String {
    let mut skip = String::from("-path ./.drydock -prune -o -path ./lost+found -prune -o");
    if except.root {
        skip += " -path . -o";
    }
    if except.gaps_of_restic {
        skip += " -name special-socket -o -name 'raw target' -o -name 'special-fifo*' -o -name 'dangling*' -o";
    }
    let (a, b) = (list(original, &skip), list(restored, &skip));
    assert!(a.len() > 1_000, "the tool has listed next to nothing: {a}");
    let (a, b): (Vec<_>, Vec<_>) = (a.split('\x1e').collect(), b.split('\x1e').collect());
    let only = |these: &[&str], those: &[&str], sign: &str| -> String {
        let those: std::collections::HashSet<_> = those.iter().collect();
        these.iter().filter(|line| !those.contains(line)).map(|line| format!("{sign} {line}\n")).collect()
    };
    only(&a, &b, "<") + &only(&b, &a, ">")
}

/// Kind, mode, owners, size, times, link count, target, name.
fn listing(folder: &Path, skip: &str) -> String {
    let script = format!(
        r"LC_ALL=C find . {skip} -type d -printf '%y %m %U:%G %T@ %p\x1e' -o -printf '%y %m %U:%G %s %T@ %n %l %p\x1e'"
    );
    let script = script.replace(r"\x1e", r"\036");
    output(folder, &script)
}

fn getfattr(folder: &Path, skip: &str) -> String {
    let script = format!(
        "find . {skip} -print0 | LC_ALL=C sort -z | xargs -0 getfattr -h -d -m - -e hex -- | sed 's/^$/\\x1e/'"
    );
    output(folder, &script)
}

fn getfacl(folder: &Path, skip: &str) -> String {
    let script =
        format!("find . {skip} ! -type l -print0 | LC_ALL=C sort -z | xargs -0 getfacl -n -- | sed 's/^$/\\x1e/'");
    output(folder, &script)
}

fn output(folder: &Path, script: &str) -> String {
    let output = Command::new("bash").args(["-c", script]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Files that occupy more than they did; holes may have moved to the borders of our chunks.
fn du(original: &Path, restored: &Path) -> String {
    let sizes = |folder: &Path| -> std::collections::BTreeMap<String, u64> {
        let text = output(folder, r"find . -type f -printf '%b %P\036'");
        let lines = text.split('\x1e').filter_map(|line| line.split_once(' '));
        lines.map(|(blocks, path)| (path.to_owned(), blocks.parse::<u64>().unwrap() / 2)).collect()
    };
    let (before, after) = (sizes(original), sizes(restored));
    let grown = after.iter().filter_map(|(path, kib)| {
        let was = before.get(path)?;
        (*kib > was + 128).then(|| format!("{path}: {kib} KiB where there were {was}\n"))
    });
    grown.collect()
}

/// Gives the root a time of its own again after something was made in it.
pub fn stamp_root(root: &Path) {
    sh(root, "touch -d '2020-02-02 02:02:02.020202020 UTC' .");
}

/// Changes something and gives the file its former times back, so that only the change itself tells.
pub fn damage(root: &Path, path: &str, script: &str) {
    let times = fs::symlink_metadata(root.join(path)).ok().and_then(|m| Some((m.accessed().ok()?, m.modified().ok()?)));
    sh(root, script);
    let is_plain = fs::symlink_metadata(root.join(path)).is_ok_and(|m| m.is_file() || m.is_dir());
    if let (Some((_, modified)), true, false) = (times, is_plain, script.contains("touch")) {
        fs::File::open(root.join(path)).unwrap().set_modified(modified).unwrap();
    }
}

/// Gives `path` of `there` the time that it has in `here`, after something in it was changed.
pub fn same_time(here: &Path, there: &Path, path: &str) {
    run(Command::new("touch").arg("-r").arg(here.join(path)).arg(there.join(path)));
}
