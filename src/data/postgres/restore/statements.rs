//! Cuts SQL text into statements and the comments between them, as psql does; executes nothing.
//! Source of the rules: PostgreSQL 18 `src/fe_utils/psqlscan.l` (`standard_conforming_strings` is on: every script of
//! `pg_dump` and `pg_restore` sets it so).

/// What stands at the top level of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// One `--` line, without its dashes and line end.
    Comment(&'a str),
    /// A psql command such as `\restrict`, one line.
    Meta(&'a str),
    /// A statement without its semicolon.
    Statement(&'a str),
}

/// A script that ends inside of something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the script ends inside of {inside}, begun at byte {at}")]
pub struct Unterminated {
    pub inside: &'static str,
    pub at: usize,
}

/// The pieces of `sql` in order; after an error there are no more.
pub fn split(sql: &str) -> Pieces<'_> {
    Pieces { sql, at: 0, failed: false }
}

#[derive(Debug)]
pub struct Pieces<'a> {
    sql: &'a str,
    at: usize,
    failed: bool,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<Piece<'a>, Unterminated>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let piece = self.piece().transpose()?;
        self.failed = piece.is_err();
        Some(piece)
    }
}

impl<'a> Pieces<'a> {
    fn piece(&mut self) -> Result<Option<Piece<'a>>, Unterminated> {
        loop {
            let rest = &self.sql.as_bytes()[self.at..];
            match rest {
                [] => return Ok(None),
                [b'-', b'-', ..] => return Ok(Some(Piece::Comment(self.line(2)))),
                [b'\\', ..] => return Ok(Some(Piece::Meta(self.line(0)))),
                [b'/', b'*', ..] => self.at = block_comment(self.sql.as_bytes(), self.at)?,
                [b';', ..] => self.at += 1,
                [byte, ..] if byte.is_ascii_whitespace() => self.at += 1,
                _ => return self.statement().map(|text| Some(Piece::Statement(text))),
            }
        }
    }

    /// The rest of the line behind `skip` bytes.
    fn line(&mut self, skip: usize) -> &'a str {
        let start = self.at + skip;
        let end = self.sql[start..].find('\n').map_or(self.sql.len(), |n| start + n);
        self.at = end;
        &self.sql[start..end]
    }

    fn statement(&mut self) -> Result<&'a str, Unterminated> {
        let bytes = self.sql.as_bytes();
        let start = self.at;
        let mut at = start;
        let mut parentheses = 0usize;
        let mut routine = Routine::default();
        while at < bytes.len() {
            match bytes[at] {
                b';' if parentheses == 0 && !routine.in_body() => {
                    self.at = at + 1;
                    return Ok(self.sql[start..at].trim_end());
                }
                b'(' => parentheses += 1,
                b')' => parentheses = parentheses.saturating_sub(1),
                _ => {}
            }
            let (next, word) = token(bytes, at)?;
            if let Some(word) = word {
                routine.word(word, parentheses);
            }
            at = next;
        }
        if parentheses > 0 || routine.in_body() {
            return Err(Unterminated { inside: "a statement", at: start });
        }
        self.at = at;
        Ok(self.sql[start..].trim_end())
    }
}

/// The tokens of one statement with their places, without spaces and comments.
pub fn tokens(statement: &str) -> Result<Vec<(usize, &str)>, Unterminated> {
    let bytes = statement.as_bytes();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let (end, _) = token(bytes, at)?;
        // Everything outside of ASCII is part of a word, a string or a comment, so `end` is a border of a character.
        let text = &statement[at..end];
        if !text.starts_with("--") && !text.starts_with("/*") && !bytes[at].is_ascii_whitespace() {
            tokens.push((at, text));
        }
        at = end;
    }
    Ok(tokens)
}

/// The end of the token that begins at `at`, and the token where it is a bare word.
fn token(bytes: &[u8], at: usize) -> Result<(usize, Option<&[u8]>), Unterminated> {
    let end = match bytes[at] {
        b'\'' => quoted(bytes, at, b'\'', false)?,
        b'"' => quoted(bytes, at, b'"', false)?,
        b'$' => match dollar_tag(bytes, at) {
            Some(tag) => dollar_quoted(bytes, at, tag)?,
            None => at + 1,
        },
        b'-' if bytes.get(at + 1) == Some(&b'-') => line_end(bytes, at),
        b'/' if bytes.get(at + 1) == Some(&b'*') => block_comment(bytes, at)?,
        byte if starts_word(byte) => {
            let end = at + bytes[at..].iter().take_while(|b| continues_word(**b)).count();
            let word = &bytes[at..end];
            // E'…' is the one kind of string in which a backslash escapes.
            if matches!(word, b"e" | b"E") && bytes.get(end) == Some(&b'\'') {
                return Ok((quoted(bytes, end, b'\'', true)?, None));
            }
            return Ok((end, Some(word)));
        }
        _ => at + 1,
    };
    Ok((end, None))
}

/// A bare word begins with a letter, `_`, or any byte of a character outside ASCII.
fn starts_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn continues_word(byte: u8) -> bool {
    starts_word(byte) || byte.is_ascii_digit() || byte == b'$'
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| at + n)
}

/// The byte behind a string or quoted identifier; a doubled quote does not end it.
fn quoted(bytes: &[u8], start: usize, quote: u8, escapes: bool) -> Result<usize, Unterminated> {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match *byte {
            b'\\' if escapes => at += 2,
            b if b == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
            b if b == quote => return Ok(at + 1),
            _ => at += 1,
        }
    }
    Err(Unterminated { inside: if quote == b'"' { "a quoted identifier" } else { "a string" }, at: start })
}

/// `$$` or `$tag$` at `at`, with both dollars.
fn dollar_tag(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let rest = &bytes[at + 1..];
    let length = rest.iter().take_while(|b| starts_word(**b) || b.is_ascii_digit()).count();
    let starts_with_digit = rest.first().is_some_and(u8::is_ascii_digit);
    (rest.get(length) == Some(&b'$') && !starts_with_digit).then(|| &bytes[at..at + length + 2])
}

fn dollar_quoted(bytes: &[u8], start: usize, tag: &[u8]) -> Result<usize, Unterminated> {
    let mut at = start + tag.len();
    while let Some(next) = bytes[at..].iter().position(|b| *b == b'$') {
        at += next;
        if bytes[at..].starts_with(tag) {
            return Ok(at + tag.len());
        }
        at += 1;
    }
    Err(Unterminated { inside: "a dollar-quoted string", at: start })
}

/// Block comments nest.
fn block_comment(bytes: &[u8], start: usize) -> Result<usize, Unterminated> {
    let (mut at, mut depth) = (start + 2, 1usize);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] if depth == 1 => return Ok(at + 2),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    Err(Unterminated { inside: "a comment", at: start })
}

/// Whether we are between BEGIN and END of `CREATE [OR REPLACE] {FUNCTION|PROCEDURE} … BEGIN ATOMIC`, where semicolons
/// do not end the statement (14 and later). CASE has an END of its own.
#[derive(Debug, Default)]
struct Routine {
    first: Vec<Word>,
    depth: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Create,
    Or,
    Replace,
    Routine,
    Other,
}

impl Routine {
    fn in_body(&self) -> bool {
        self.depth > 0
    }

    fn word(&mut self, word: &[u8], parentheses: usize) {
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword.as_bytes());
        if self.first.len() < 4 {
            self.first.push(match () {
                () if is("create") => Word::Create,
                () if is("or") => Word::Or,
                () if is("replace") => Word::Replace,
                () if is("function") || is("procedure") => Word::Routine,
                () => Word::Other,
            });
        }
        if parentheses > 0 || !self.is_routine() {
            return;
        }
        if is("begin") || (is("case") && self.depth > 0) {
            self.depth += 1;
        } else if is("end") {
            self.depth = self.depth.saturating_sub(1);
        }
    }

    fn is_routine(&self) -> bool {
        use Word::{Create, Or, Replace, Routine};
        self.first.starts_with(&[Create, Routine]) || self.first.starts_with(&[Create, Or, Replace, Routine])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::postgres::naming::{identifier, literal};

    fn statements(sql: &str) -> Vec<&str> {
        split(sql)
            .filter_map(|piece| match piece.unwrap() {
                Piece::Statement(text) => Some(text),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn semicolons_in_strings_identifiers_comments_and_parentheses_end_nothing() {
        let sql = r#"select 'a;''b', E'a\';b', U&'x;', "c;""d"; select $$ ; $x$ ; $$, $x$ ; $$ $x$ /* ; /* ; */ ; */;
            create rule r as on insert to t do (insert into a values (1); insert into b values (2));
            select a$b$c; -- ; nothing
            select 1 -- ; inside
            , 2"#;
        assert_eq!(
            statements(sql),
            [
                r#"select 'a;''b', E'a\';b', U&'x;', "c;""d""#,
                "select $$ ; $x$ ; $$, $x$ ; $$ $x$ /* ; /* ; */ ; */",
                "create rule r as on insert to t do (insert into a values (1); insert into b values (2))",
                "select a$b$c",
                "select 1 -- ; inside\n            , 2",
            ]
        );
    }

    #[test]
    fn a_body_in_sql_is_one_statement() {
        let sql = "CREATE OR REPLACE FUNCTION f(begin_ int) RETURNS int\n BEGIN ATOMIC\n SELECT CASE WHEN true THEN 1 ELSE 2 END AS \"case\";\n SELECT 4;\nEND;\nselect 5; begin; end";
        let found = statements(sql);
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].ends_with("SELECT 4;\nEND"));
        assert_eq!(found[1..], ["select 5", "begin", "end"]);
    }

    #[test]
    fn comments_and_psql_commands_are_told_apart_from_what_looks_like_them() {
        let sql = "--\n-- Name: t\n\\restrict abc\n\nselect $x$\n-- Name: no\n\\unrestrict\n$x$;\n\\connect db";
        let pieces: Vec<_> = split(sql).map(Result::unwrap).collect();
        assert_eq!(
            pieces,
            [
                Piece::Comment(""),
                Piece::Comment(" Name: t"),
                Piece::Meta("\\restrict abc"),
                Piece::Statement("select $x$\n-- Name: no\n\\unrestrict\n$x$"),
                Piece::Meta("\\connect db"),
            ]
        );
    }

    #[test]
    fn a_script_that_was_cut_off_is_noticed() {
        for (sql, inside) in [
            ("select 'a", "a string"),
            ("select E'a\\'", "a string"),
            ("select \"a", "a quoted identifier"),
            ("select $a$ $b$", "a dollar-quoted string"),
            ("/* /* */", "a comment"),
            ("create rule r as (select 1;", "a statement"),
            ("create function f() begin atomic select 1;", "a statement"),
        ] {
            let error = split(sql).find_map(Result::err).unwrap_or_else(|| panic!("{sql} passed"));
            assert_eq!(error.inside, inside, "{sql}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_quoted_comes_out_as_one_statement(text in "[ -~\\n;'\"$\\\\é]{0,40}", name in "[ -~;'\"$é]{1,20}") {
            let tag = if text.contains("$q") { None } else { Some(format!("$q${text}$q$")) };
            let mut parts = vec![literal(&text), identifier(&name)];
            // A text that ends in `$` would eat into the closing tag; pg_dump chooses another tag then.
            parts.extend(tag.filter(|_| !text.ends_with('$')));
            let script = parts.iter().map(|p| format!("select {p};\n")).collect::<String>();
            let expected: Vec<String> = parts.iter().map(|p| format!("select {p}")).collect();
            proptest::prop_assert_eq!(statements(&script), expected.iter().map(|s| s.trim_end()).collect::<Vec<_>>());
        }

        #[test]
        fn no_text_makes_the_splitter_panic(text in "\\PC{0,60}") {
            let _ = split(&text).count();
        }
    }
}
