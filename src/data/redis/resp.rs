//! RESP2, Redis' protocol: requests as arrays of strings, five kinds of reply. Our own hundred lines, because the
//! replication stream needs the raw socket anyway and a client crate would hide it.
//! Source: redis.io/docs/latest/develop/reference/protocol-spec.

use std::io::{Error, ErrorKind};

use bytes::Bytes;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// Longer lines are not Redis.
const LINE: usize = 64 * 1024;
/// `ACL LIST` of ten thousand users fits; nobody answers us more.
const BULK: usize = 64 << 20;
const DEPTH: usize = 8;
const ELEMENTS: usize = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Option<Bytes>),
    Array(Option<Vec<Reply>>),
}

impl Reply {
    /// The text of a string of any kind.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Simple(text) => Some(text.clone()),
            Self::Bulk(Some(bytes)) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Self::Integer(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// The texts of an array.
    pub(super) fn texts(&self) -> Option<Vec<String>> {
        match self {
            Self::Array(Some(items)) => items.iter().map(Self::text).collect(),
            _ => None,
        }
    }
}

/// One command as it goes over the wire.
pub(super) fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend(format!("${}\r\n", word.len()).bytes());
        out.extend_from_slice(word);
        out.extend(*b"\r\n");
    }
    out
}

fn invalid(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidData, what.into())
}

/// A line without its end. Replication sends bare `\n` to show that it lives.
pub(super) async fn line<S: AsyncBufRead + Unpin>(stream: &mut S) -> Result<String, Error> {
    let mut line = Vec::new();
    (&mut *stream).take(LINE as u64).read_until(b'\n', &mut line).await?;
    if line.pop() != Some(b'\n') {
        let kind = if line.len() + 1 >= LINE { ErrorKind::InvalidData } else { ErrorKind::UnexpectedEof };
        return Err(Error::new(kind, "the connection ended inside a line"));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(|_| invalid("a line that is not text"))
}

pub(super) async fn reply<S: AsyncBufRead + Unpin>(stream: &mut S) -> Result<Reply, Error> {
    // Arrays inside arrays, without recursion: each level is what is missing of it and what it has.
    let mut open: Vec<(usize, Vec<Reply>)> = Vec::new();
    loop {
        let mut done = match one(stream).await? {
            Head::Reply(reply) => reply,
            Head::Array(0) => Reply::Array(Some(Vec::new())),
            Head::Array(count) if open.len() < DEPTH => {
                open.push((count, Vec::new()));
                continue;
            }
            Head::Array(_) => return Err(invalid("a reply nested too deeply")),
        };
        loop {
            let Some((missing, mut items)) = open.pop() else { return Ok(done) };
            items.push(done);
            if missing > 1 {
                open.push((missing - 1, items));
                break;
            }
            done = Reply::Array(Some(items));
        }
    }
}

enum Head {
    Reply(Reply),
    Array(usize),
}

async fn one<S: AsyncBufRead + Unpin>(stream: &mut S) -> Result<Head, Error> {
    let line = line(stream).await?;
    let Some((kind, rest)) = line.split_at_checked(1) else { return Err(invalid("an empty line")) };
    let number = || rest.parse::<i64>().map_err(|_| invalid(format!("{line:?} where a reply is expected")));
    Ok(Head::Reply(match kind {
        "+" => Reply::Simple(rest.to_owned()),
        "-" => Reply::Error(rest.to_owned()),
        ":" => Reply::Integer(number()?),
        "$" => Reply::Bulk(match usize::try_from(number()?) {
            Err(_) => None,
            Ok(length) if length <= BULK => Some(bulk(stream, length).await?),
            Ok(length) => return Err(invalid(format!("a reply of {length} bytes"))),
        }),
        "*" => match usize::try_from(number()?) {
            Err(_) => Reply::Array(None),
            Ok(count) if count <= ELEMENTS => return Ok(Head::Array(count)),
            Ok(count) => return Err(invalid(format!("a reply of {count} elements"))),
        },
        _ => return Err(invalid(format!("{:?} where a reply is expected", line.chars().take(40).collect::<String>()))),
    }))
}

async fn bulk<S: AsyncBufRead + Unpin>(stream: &mut S, length: usize) -> Result<Bytes, Error> {
    let mut bytes = Vec::new();
    (&mut *stream).take(length as u64 + 2).read_to_end(&mut bytes).await?;
    if bytes.len() < length + 2 {
        return Err(Error::new(ErrorKind::UnexpectedEof, "the connection ended inside a reply"));
    }
    bytes.truncate(length);
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(reply: &Reply, out: &mut Vec<u8>) {
        match reply {
            Reply::Simple(text) => out.extend(format!("+{text}\r\n").bytes()),
            Reply::Error(text) => out.extend(format!("-{text}\r\n").bytes()),
            Reply::Integer(number) => out.extend(format!(":{number}\r\n").bytes()),
            Reply::Bulk(None) => out.extend(*b"$-1\r\n"),
            Reply::Bulk(Some(bytes)) => {
                out.extend(format!("${}\r\n", bytes.len()).bytes());
                out.extend_from_slice(bytes);
                out.extend(*b"\r\n");
            }
            Reply::Array(None) => out.extend(*b"*-1\r\n"),
            Reply::Array(Some(items)) => {
                out.extend(format!("*{}\r\n", items.len()).bytes());
                items.iter().for_each(|item| encode(item, out));
            }
        }
    }

    fn any_reply() -> impl Strategy<Value = Reply> {
        let leaf = prop_oneof![
            "[A-Za-z ]{0,20}".prop_map(Reply::Simple),
            "[A-Z]{1,8} [a-z ]{0,20}".prop_map(Reply::Error),
            any::<i64>().prop_map(Reply::Integer),
            proptest::option::of(proptest::collection::vec(any::<u8>(), 0..50))
                .prop_map(|bytes| Reply::Bulk(bytes.map(Bytes::from))),
            Just(Reply::Array(None)),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            proptest::collection::vec(inner, 0..6).prop_map(|v| Reply::Array(Some(v)))
        })
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    proptest! {
        #[test]
        fn every_reply_reads_back(wanted in any_reply()) {
            let mut wire = Vec::new();
            encode(&wanted, &mut wire);
            let got = run(reply(&mut &wire[..])).unwrap();
            prop_assert_eq!(got, wanted);
            let cut = &wire[..wire.len() - 1];
            prop_assert!(run(reply(&mut &cut[..])).is_err());
        }

        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            run(reply(&mut &bytes[..])).ok();
        }
    }

    #[test]
    fn a_hostile_length_is_refused_before_memory_is_taken() {
        for wire in ["$9999999999999\r\n", "*99999999\r\n", &"*1\r\n".repeat(100)] {
            assert!(run(reply(&mut wire.as_bytes())).is_err(), "{wire}");
        }
    }

    #[test]
    fn a_request_is_an_array_of_strings() {
        assert_eq!(request(&[b"PSYNC", b"?", b"-1"]), b"*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n");
    }
}
