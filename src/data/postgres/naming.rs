//! Names: of a snapshot's files after the database's objects, and quoted for SQL.

use std::fmt::Write;

/// File systems allow 255 bytes a name; schema and table may have 63 each, and escaped three times as many.
const LONGEST_NAME: usize = 240;

/// `name` with every byte outside `[A-Za-z0-9_-]` as `%XX`, so that it is a file name everywhere.
#[must_use]
pub fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}"); // writing to a String cannot fail
        }
    }
    escaped
}

/// What [`escape`] made of a name; `None` for a text that it cannot have made.
#[must_use]
pub fn unescape(escaped: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let digits = tail.get(..2).and_then(|d| std::str::from_utf8(d).ok())?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else if first.is_ascii_alphanumeric() || matches!(first, b'_' | b'-') {
            bytes.push(*first);
            rest = tail;
        } else {
            return None;
        }
    }
    String::from_utf8(bytes).ok()
}

/// The file of a table's rows: `<schema>.<table>.copy`. A name that file systems would refuse is cut and ends in
/// `~` and a hash of the whole; the manifest holds both names.
#[must_use]
pub fn table_file(schema: &str, table: &str) -> String {
    let name = format!("{}.{}", escape(schema), escape(table));
    format!("{}.copy", shortened(name))
}

/// A database's folder below `databases/`.
#[must_use]
pub fn database_folder(database: &str) -> String {
    shortened(escape(database))
}

fn shortened(name: String) -> String {
    if name.len() <= LONGEST_NAME {
        return name;
    }
    let hash = xxhash_rust::xxh3::xxh3_64(name.as_bytes());
    let mut end = LONGEST_NAME - 17;
    // Not in the middle of a `%XX`.
    while name.as_bytes()[..end].iter().rev().take(2).any(|b| *b == b'%') {
        end -= 1;
    }
    format!("{}~{hash:016x}", &name[..end])
}

/// `name` as an SQL identifier, always quoted: no keyword or case can change its meaning.
#[must_use]
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `schema.table` as SQL.
#[must_use]
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", identifier(schema), identifier(name))
}

/// `text` as an SQL string under `standard_conforming_strings = on`, which every session of ours has.
#[must_use]
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_become_files() {
        assert_eq!(table_file("public", "users"), "public.users.copy");
        assert_eq!(table_file("My Schema", "a.b/c%d\n"), "My%20Schema.a%2Eb%2Fc%25d%0A.copy");
        assert_eq!(database_folder("größe"), "gr%C3%B6%C3%9Fe");
    }

    #[test]
    fn long_names_stay_within_a_file_systems_limit_and_apart() {
        let schema = "ж".repeat(31);
        let (one, other) = (table_file(&schema, &"я".repeat(31)), table_file(&schema, &("я".repeat(30) + "ю")));
        assert!(one.len() <= 255 && other.len() <= 255 && one != other, "{one} {other}");
        let cut = one.strip_suffix(".copy").unwrap();
        assert!(cut[..cut.len() - 17].len() >= LONGEST_NAME - 20 && cut.contains('~'));
    }

    proptest! {
        #[test]
        fn escaping_is_undone_and_harmless(name in ".*") {
            let escaped = escape(&name);
            prop_assert!(escaped.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-%".contains(&b)));
            prop_assert_eq!(unescape(&escaped), Some(name));
        }
    }
}
