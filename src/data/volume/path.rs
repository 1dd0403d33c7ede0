//! Names and paths as bytes: what the file system has, which need not be UTF-8.

use std::fmt::Write;

/// A path for people: bytes that are no UTF-8, and control characters, as `\xNN`.
pub(super) fn shown(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                let mut bytes = [0; 4];
                c.encode_utf8(&mut bytes).bytes().for_each(|b| escape(&mut text, b));
            } else {
                text.push(c);
            }
        }
        chunk.invalid().iter().for_each(|b| escape(&mut text, *b));
    }
    text
}

fn escape(text: &mut String, byte: u8) {
    write!(text, "\\x{byte:02x}").expect("writing to a String cannot fail");
}

/// `folder/name`; the root is the empty path.
pub(super) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() {
        return name.to_vec();
    }
    let mut path = Vec::with_capacity(folder.len() + 1 + name.len());
    path.extend_from_slice(folder);
    path.push(b'/');
    path.extend_from_slice(name);
    path
}

/// Folder and name of a relative path; the folder is empty for an entry of the root.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_cannot_show_is_escaped_and_the_rest_is_not() {
        assert_eq!(shown(b"caf\xc3\xa9/\xff\xfe\n\x1b[31m"), "café/\\xff\\xfe\\x0a\\x1b[31m");
    }

    #[test]
    fn a_path_is_split_where_it_was_joined() {
        for (folder, name) in [(&b""[..], &b"a"[..]), (b"a", b"b"), (b"a/b", b"\xff")] {
            assert_eq!(split(&join(folder, name)), (folder, name));
        }
    }
}
