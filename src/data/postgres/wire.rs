//! What lies between the socket and tokio-postgres: COPY data of many rows becomes one message. A server sends each row
//! in a message of its own; taking them apart one by one cost as much as everything else that is done with a row.
//! Source: PostgreSQL's documentation, "Message Formats": a tag, a length that counts itself, the body.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Read at once. Fits the second-level cache with what is made of it.
const BUFFER: usize = 64 << 10;
/// At most this much becomes one message: tokio-postgres grows its buffer for each.
const MERGED: usize = 32 << 10;

const COPY_DATA: u8 = b'd';
/// A tag and a length.
const HEADER: usize = 5;

/// Makes the stream that tokio-postgres speaks over: with TLS, or without. For tokio-postgres both are TLS, so that
/// there is a place for [`Merged`].
#[derive(Clone)]
pub(super) struct Connector {
    tls: Option<MakeRustlsConnect>,
}

impl Connector {
    pub fn tls(connector: MakeRustlsConnect) -> Self {
        Self { tls: Some(connector) }
    }

    /// To be used with `SslMode::Require` and `SslNegotiation::Direct`: nobody asks the server for TLS.
    pub fn plain() -> Self {
        Self { tls: None }
    }
}

type Rustls = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
type RustlsStream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

impl MakeTlsConnect<Socket> for Connector {
    type Stream = Merged<Channel>;
    type TlsConnect = Connecting;
    type Error = Infallible;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Connecting, Infallible> {
        let make = |tls: &mut MakeRustlsConnect| MakeTlsConnect::<Socket>::make_tls_connect(tls, domain);
        self.tls.as_mut().map(make).transpose().map(Connecting)
    }
}

pub(super) struct Connecting(Option<Rustls>);

impl TlsConnect<Socket> for Connecting {
    type Stream = Merged<Channel>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Stream>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let channel = match self.0 {
                Some(tls) => Channel::Tls(Box::new(tls.connect(socket).await?)),
                None => Channel::Plain(socket),
            };
            Ok(Merged::new(channel))
        })
    }
}

pub(super) enum Channel {
    Plain(Socket),
    Tls(Box<RustlsStream>),
}

impl TlsStream for Merged<Channel> {
    fn channel_binding(&self) -> ChannelBinding {
        match &self.inner {
            Channel::Plain(_) => ChannelBinding::none(),
            Channel::Tls(tls) => tls.channel_binding(),
        }
    }
}

/// Passes on what the server sends, neighbouring COPY data messages as one. Writes go through as they are.
pub(super) struct Merged<S> {
    inner: S,
    /// Read and not yet passed on: from `start` to `end`.
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    next: Next,
}

/// What comes next out of the buffer.
enum Next {
    /// A message, or several in one.
    Message,
    /// So many bytes as they are.
    Bytes(usize),
    /// The header of a merged message, from this byte on.
    Header { header: [u8; HEADER], at: usize, rest: Run },
    /// The bodies of a merged message.
    Bodies(Run),
}

/// The rest of a run of COPY data messages, all of which are in the buffer.
#[derive(Clone, Copy)]
struct Run {
    /// Bytes that are left of all bodies.
    bytes: usize,
    /// … of the current one.
    current: usize,
}

impl<S> Merged<S> {
    fn new(inner: S) -> Self {
        Self { inner, buffer: vec![0; BUFFER].into(), start: 0, end: 0, next: Next::Message }
    }

    fn waiting(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Passes on what can be; false when more has to be read first.
    fn pass_on(&mut self, out: &mut ReadBuf<'_>) -> bool {
        let before = out.remaining();
        while out.remaining() > 0 {
            match self.next {
                Next::Message => match self.look() {
                    Some(next) => self.next = next,
                    None => break,
                },
                Next::Bytes(left) => {
                    let n = left.min(out.remaining()).min(self.waiting().len());
                    if n == 0 {
                        break;
                    }
                    out.put_slice(&self.waiting()[..n]);
                    self.start += n;
                    self.next = if n == left { Next::Message } else { Next::Bytes(left - n) };
                }
                Next::Header { header, at, rest } => {
                    let n = (HEADER - at).min(out.remaining());
                    out.put_slice(&header[at..at + n]);
                    self.next =
                        if at + n == HEADER { Next::Bodies(rest) } else { Next::Header { header, at: at + n, rest } };
                }
                Next::Bodies(run) => self.next = self.bodies(run, out),
            }
        }
        out.remaining() < before
    }

    fn bodies(&mut self, mut run: Run, out: &mut ReadBuf<'_>) -> Next {
        while run.bytes > 0 {
            if run.current == 0 {
                run.current = body_length(self.waiting()).unwrap_or(run.bytes);
                self.start += HEADER;
                continue;
            }
            let n = run.current.min(out.remaining());
            if n == 0 {
                return Next::Bodies(run);
            }
            out.put_slice(&self.waiting()[..n]);
            self.start += n;
            run.bytes -= n;
            run.current -= n;
        }
        Next::Message
    }

    /// Which message begins at `start`; none when its header is not all there, or it is COPY data that is not.
    fn look(&self) -> Option<Next> {
        let waiting = self.waiting();
        let body = body_length(waiting)?;
        let whole = |waiting: &[u8], body: usize| waiting[0] == COPY_DATA && waiting.len() >= HEADER + body;
        if !whole(waiting, body) {
            let incomplete = waiting[0] == COPY_DATA && HEADER + body <= BUFFER;
            return (!incomplete).then_some(Next::Bytes(HEADER + body));
        }
        let (mut bytes, mut at, mut more) = (0, 0, Some(body));
        while let Some(body) = more.filter(|body| bytes == 0 || bytes + body <= MERGED) {
            bytes += body;
            at += HEADER + body;
            more = body_length(&waiting[at..]).filter(|body| whole(&waiting[at..], *body));
        }
        if at == HEADER + body || bytes == 0 {
            return Some(Next::Bytes(at)); // one message, or nothing but empty ones
        }
        let [a, b, c, d] = u32::try_from(bytes + HEADER - 1).ok()?.to_be_bytes();
        Some(Next::Header { header: [COPY_DATA, a, b, c, d], at: 0, rest: Run { bytes, current: 0 } })
    }
}

/// The length of the body of the message that begins here. A length that cannot be counts as none: what is there is
/// passed on, and tokio-postgres says what is wrong with it.
fn body_length(message: &[u8]) -> Option<usize> {
    let length = message.get(1..HEADER)?.try_into().map(u32::from_be_bytes).ok()?;
    Some((length as usize).saturating_sub(HEADER - 1))
}

impl<S: AsyncRead + Unpin> AsyncRead for Merged<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.pass_on(out) || out.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if ready!(this.poll_fill(cx))? == 0 {
                // the end: what is left of a message shows that it was cut
                this.next = Next::Bytes(this.waiting().len());
                this.pass_on(out);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + Unpin> Merged<S> {
    /// Reads behind what is waiting; how much.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let mut free = ReadBuf::new(&mut self.buffer[self.end..]);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut free))?;
        let read = free.filled().len();
        self.end += read;
        Poll::Ready(Ok(read))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Merged<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl AsyncRead for Channel {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, out),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, out),
        }
    }
}

impl AsyncWrite for Channel {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[tag], &length.to_be_bytes()[..], body].concat()
    }

    /// What comes out when the server's bytes arrive in `pieces` and are taken `take` at a time.
    fn through(bytes: &[u8], pieces: &[usize], take: usize) -> Vec<u8> {
        let mut server = merged(bytes, pieces);
        let mut out = Vec::new();
        futures_util::FutureExt::now_or_never(async {
            let mut piece = vec![0; take];
            loop {
                match server.read(&mut piece).await.unwrap() {
                    0 => return,
                    n => out.extend_from_slice(&piece[..n]),
                }
            }
        })
        .unwrap();
        out
    }

    /// Hands out the bytes in pieces of these sizes, the last one over and over.
    struct Pieces<'a> {
        bytes: &'a [u8],
        sizes: &'a [usize],
    }

    impl AsyncRead for Pieces<'_> {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let (size, rest) = self.sizes.split_first().map_or((1, self.sizes), |(size, rest)| (*size, rest));
            let n = size.max(1).min(self.bytes.len()).min(out.remaining());
            out.put_slice(&self.bytes[..n]);
            self.bytes = &self.bytes[n..];
            if !rest.is_empty() {
                self.sizes = rest;
            }
            Poll::Ready(Ok(()))
        }
    }

    fn merged<'a>(bytes: &'a [u8], sizes: &'a [usize]) -> Merged<Pieces<'a>> {
        Merged::new(Pieces { bytes, sizes })
    }

    /// Tags and bodies; neighbouring COPY data joined. None when the bytes are not whole messages.
    fn messages(mut bytes: &[u8]) -> Option<Vec<(u8, Vec<u8>)>> {
        let mut all: Vec<(u8, Vec<u8>)> = Vec::new();
        while !bytes.is_empty() {
            let body = body_length(bytes)?;
            let (tag, text) = (bytes[0], bytes.get(HEADER..HEADER + body)?);
            match all.last_mut() {
                Some((COPY_DATA, joined)) if tag == COPY_DATA => joined.extend_from_slice(text),
                _ => all.push((tag, text.to_vec())),
            }
            bytes = &bytes[HEADER + body..];
        }
        Some(all)
    }

    #[test]
    fn rows_that_came_together_become_one_message() {
        let rows = [message(b'H', b"copy"), message(b'd', b"1\tone\n"), message(b'd', b"2\ttwo\n"), message(b'c', b"")];
        let expected = [message(b'H', b"copy"), message(b'd', b"1\tone\n2\ttwo\n"), message(b'c', b"")];
        assert_eq!(through(&rows.concat(), &[1_000], 7), expected.concat());
    }

    #[test]
    fn a_row_larger_than_the_buffer_stays_one_message() {
        let row = message(b'd', &vec![b'x'; 3 * BUFFER]);
        let bytes = [message(b'd', b"small\n"), row, message(b'd', b"small\n"), message(b'Z', b"I")].concat();
        assert_eq!(through(&bytes, &[5_000], 8_192), bytes);
    }

    #[test]
    fn the_end_within_a_message_is_passed_on() {
        let bytes = [message(b'd', b"whole\n"), message(b'd', b"a row that is cut")[..12].to_vec()].concat();
        assert_eq!(through(&bytes, &[3], 100), bytes);
        assert_eq!(through(&[b'd', 0, 0], &[1], 100), [b'd', 0, 0]);
    }

    #[test]
    fn a_length_that_cannot_be_is_passed_on() {
        let bytes = [&[b'd', 0, 0, 0, 1][..], &message(b'Z', b"I")].concat();
        assert_eq!(through(&bytes, &[100], 100)[..5], bytes[..5]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_is_moved(
            rows in prop::collection::vec((prop::sample::select(&b"dddddddDcN"[..]), prop::collection::vec(any::<u8>(), 0..40_000)), 0..12),
            sizes in prop::collection::vec(1usize..90_000, 1..8),
            take in 1usize..50_000,
        ) {
            let sent: Vec<u8> = rows.iter().flat_map(|(tag, body)| message(*tag, body)).collect();
            let passed = through(&sent, &sizes, take);
            prop_assert!(messages(&passed) == messages(&sent));
            prop_assert!(passed.len() <= sent.len());
        }
    }
}
