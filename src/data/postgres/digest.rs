//! A table's content as one number: the sum modulo 2^128 of XXH3-128 of each canonical COPY line without its line end.
//! Independent of the order of rows and of the table's layout; computed while the rows stream by. It notices error, not
//! malice: against malice stands the repository.

use memchr::memchr_iter;
use xxhash_rust::xxh3::xxh3_128;

use super::floats::reprint;
use super::manifest::{Column, Digest, Floats, Form, Table, TableDigest};
use super::version::Version;

/// Counts and digests COPY text that comes in pieces of any size.
#[derive(Debug)]
pub struct RowDigester {
    rows: u64,
    bytes: u64,
    sum: u128,
    lines: Lines,
    /// The beginning of a line whose end has not come yet.
    begun: Vec<u8>,
}

/// What is hashed of a line.
#[derive(Debug)]
enum Lines {
    AsTheyAre,
    Canonical(Box<Canonical>),
}

#[derive(Debug)]
struct Canonical {
    columns: Vec<Floats>,
    /// The sum with embedded columns left empty, where it is wanted beside the other.
    without_embedded: Option<u128>,
    /// Only that sum is wanted: the other server is on the other side of 12.
    leave_out_embedded: bool,
    line: Vec<u8>,
}

/// What a [`RowDigester`] has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    pub rows: u64,
    pub bytes: u64,
    pub digest: Digest,
    pub without_embedded: Option<Digest>,
}

impl Counted {
    /// Counts another part of the same table.
    pub fn absorb(&mut self, other: Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.digest = Digest(self.digest.0.wrapping_add(other.digest.0));
        self.without_embedded = match (self.without_embedded, other.without_embedded) {
            (Some(a), Some(b)) => Some(Digest(a.0.wrapping_add(b.0))),
            (a, b) => a.or(b),
        };
    }
}

/// How a table is compared with what was recorded of it.
#[derive(Debug)]
pub struct Expected {
    pub digester: RowDigester,
    pub digest: Digest,
    /// Columns that are not compared, because they embed floats and server 12 lies between.
    pub left_out: Vec<String>,
}

/// In which form rows of a server of `version` are hashed when they are recorded.
#[must_use]
pub fn recorded_form(columns: &[Column], version: Version) -> Form {
    if version < Version::V12 && columns.iter().any(|c| c.floats != Floats::None) {
        Form::ShortestFloats
    } else {
        Form::Text
    }
}

impl RowDigester {
    /// Hashes lines as they are.
    #[must_use]
    pub fn text() -> Self {
        Self::new(Lines::AsTheyAre)
    }

    /// For recording rows that a server of `version` sends.
    #[must_use]
    pub fn recording(columns: &[Column], version: Version) -> Self {
        let floats: Vec<Floats> = columns.iter().map(|c| c.floats).collect();
        match recorded_form(columns, version) {
            Form::Text => Self::text(),
            Form::ShortestFloats => {
                let without_embedded = floats.contains(&Floats::Embedded).then_some(0);
                Self::canonical(floats, without_embedded, false)
            }
        }
    }

    fn canonical(columns: Vec<Floats>, without_embedded: Option<u128>, leave_out_embedded: bool) -> Self {
        Self::new(Lines::Canonical(Box::new(Canonical {
            columns,
            without_embedded,
            leave_out_embedded,
            line: Vec::new(),
        })))
    }

    fn new(lines: Lines) -> Self {
        Self { rows: 0, bytes: 0, sum: 0, lines, begun: Vec::new() }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let mut start = 0;
        for end in memchr_iter(b'\n', bytes) {
            if self.begun.is_empty() {
                self.lines.add(&bytes[start..end], &mut self.sum);
            } else {
                self.begun.extend_from_slice(&bytes[start..end]);
                self.lines.add(&self.begun, &mut self.sum);
                self.begun.clear();
            }
            self.rows += 1;
            start = end + 1;
        }
        self.begun.extend_from_slice(&bytes[start..]);
    }

    /// Complete rows so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// A last line without its end counts as a row: a file that was cut off differs.
    #[must_use]
    pub fn finish(mut self) -> Counted {
        if !self.begun.is_empty() {
            self.lines.add(&self.begun, &mut self.sum);
            self.rows += 1;
        }
        let without_embedded = match self.lines {
            Lines::Canonical(canonical) => canonical.without_embedded.map(Digest),
            Lines::AsTheyAre => None,
        };
        Counted { rows: self.rows, bytes: self.bytes, digest: Digest(self.sum), without_embedded }
    }
}

impl Lines {
    fn add(&mut self, line: &[u8], sum: &mut u128) {
        match self {
            Self::AsTheyAre => *sum = sum.wrapping_add(xxh3_128(line)),
            Self::Canonical(canonical) => canonical.add(line, sum),
        }
    }
}

impl Canonical {
    fn add(&mut self, line: &[u8], sum: &mut u128) {
        self.rewrite(line, self.leave_out_embedded);
        *sum = sum.wrapping_add(xxh3_128(&self.line));
        if let Some(before) = self.without_embedded {
            self.rewrite(line, true);
            self.without_embedded = Some(before.wrapping_add(xxh3_128(&self.line)));
        }
    }

    /// Tabs separate columns and occur nowhere else: COPY writes one in a value as `\t`.
    fn rewrite(&mut self, line: &[u8], leave_out_embedded: bool) {
        self.line.clear();
        for (n, field) in line.split(|b| *b == b'\t').enumerate() {
            if n > 0 {
                self.line.push(b'\t');
            }
            match self.columns.get(n).copied().unwrap_or_default() {
                Floats::Single => reprint(field, true, &mut self.line),
                Floats::Double => reprint(field, false, &mut self.line),
                Floats::Embedded if leave_out_embedded => {}
                Floats::None | Floats::Embedded => self.line.extend_from_slice(field),
            }
        }
    }
}

impl Table {
    /// How rows of this table are digested when a server of `version` sends them again, and what must come out.
    #[must_use]
    pub fn expected(&self, version: Version) -> Expected {
        let TableDigest { form, value, without_embedded } = self.digest;
        let floats: Vec<Floats> = self.columns.iter().map(|c| c.floats).collect();
        match (form, without_embedded) {
            (Form::Text, _) => Expected { digester: RowDigester::text(), digest: value, left_out: Vec::new() },
            (Form::ShortestFloats, Some(digest)) if version >= Version::V12 => Expected {
                digester: RowDigester::canonical(floats, None, true),
                digest,
                left_out: self.embedded_columns(),
            },
            (Form::ShortestFloats, _) => {
                Expected { digester: RowDigester::canonical(floats, None, false), digest: value, left_out: Vec::new() }
            }
        }
    }

    /// Names of the columns that are not comparable across server 12.
    #[must_use]
    pub fn embedded_columns(&self) -> Vec<String> {
        self.columns.iter().filter(|c| c.floats == Floats::Embedded).map(|c| c.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn column(name: &str, floats: Floats) -> Column {
        Column { name: name.into(), type_name: "text".into(), floats, identity: false }
    }

    fn counted(mut digester: RowDigester, text: &str) -> Counted {
        digester.update(text.as_bytes());
        digester.finish()
    }

    #[test]
    fn the_digest_is_the_sum_of_xxh3_of_the_lines() {
        let counted = counted(RowDigester::text(), "1\tone\n2\ttwo\n\n");
        let sum = xxh3_128(b"1\tone").wrapping_add(xxh3_128(b"2\ttwo")).wrapping_add(xxh3_128(b""));
        assert_eq!(counted, Counted { rows: 3, bytes: 13, digest: Digest(sum), without_embedded: None });
        // A test vector for the description of the format.
        assert_eq!(Digest(xxh3_128(b"1\tone")).to_string(), "bf89842f22de3cec1fb2d57aa9a8b56c");
    }

    #[test]
    fn a_doubled_row_a_missing_row_and_a_moved_line_end_are_noticed() {
        let of = |text| counted(RowDigester::text(), text);
        let whole = of("a\nb\n");
        assert_ne!(whole, of("a\nb\nb\n"));
        assert_ne!(whole, of("a\n"));
        assert_ne!(whole, of("ab\n\n"));
        assert_ne!(whole.digest, of("a\\\nb\n").digest);
    }

    #[test]
    fn floats_of_old_and_new_servers_agree_and_embedded_ones_are_left_out() {
        let columns = [column("n", Floats::None), column("f", Floats::Double), column("c", Floats::Embedded)];
        let old = Version(90_503);
        let recorded =
            counted(RowDigester::recording(&columns, old), "x\t0.100000000000000006\t(0.100000000000000006)\n");
        let table = Table {
            schema: "public".into(),
            name: "t".into(),
            file: String::new(),
            columns: columns.to_vec(),
            unlogged: false,
            extension: None,
            condition: None,
            load_through: None,
            rows: recorded.rows,
            bytes: recorded.bytes,
            digest: TableDigest {
                form: recorded_form(&columns, old),
                value: recorded.digest,
                without_embedded: recorded.without_embedded,
            },
            parts: Vec::new(),
        };
        let again = |version: Version, text: &str| {
            let expected = table.expected(version);
            (counted(expected.digester, text).digest == expected.digest, expected.left_out)
        };
        assert_eq!(again(old, "x\t0.100000000000000006\t(0.100000000000000006)\n"), (true, vec![]));
        assert_eq!(again(old, "x\t0.100000000000000006\t(0.2)\n"), (false, vec![]));
        assert_eq!(again(Version::V18, "x\t0.1\t(0.1)\n"), (true, vec!["c".to_owned()]));
        assert_eq!(again(Version::V18, "x\t0.2\t(0.1)\n"), (false, vec!["c".to_owned()]));
        assert_eq!(again(Version::V18, "y\t0.1\t(0.1)\n"), (false, vec!["c".to_owned()]));
    }

    #[test]
    fn servers_from_12_on_are_hashed_as_they_print() {
        let columns = [column("f", Floats::Double)];
        assert_eq!(recorded_form(&columns, Version::V12), Form::Text);
        assert_eq!(recorded_form(&[column("n", Floats::None)], Version(90_503)), Form::Text);
    }

    proptest! {
        #[test]
        fn order_and_pieces_do_not_matter(
            mut rows in prop::collection::vec("[a-z0-9\t]{0,40}", 0..40),
            cuts in prop::collection::vec(0usize..2_000, 0..10),
        ) {
            let text = |rows: &[String]| rows.iter().map(|r| format!("{r}\n")).collect::<String>();
            let whole = counted(RowDigester::text(), &text(&rows));
            rows.reverse();
            let reversed = text(&rows);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(reversed.len())).collect();
            cuts.extend([0, reversed.len()]);
            cuts.sort_unstable();
            let mut digester = RowDigester::text();
            for piece in cuts.windows(2) {
                digester.update(&reversed.as_bytes()[piece[0]..piece[1]]);
            }
            prop_assert_eq!(digester.finish(), whole);
        }

        #[test]
        fn parts_add_up(one in "([a-z]{1,9}\n){0,9}", other in "([a-z]{1,9}\n){0,9}") {
            let mut sum = counted(RowDigester::text(), &one);
            sum.absorb(counted(RowDigester::text(), &other));
            prop_assert_eq!(sum, counted(RowDigester::text(), &(one + &other)));
        }
    }
}
