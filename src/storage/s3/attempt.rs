//! One attempt at a request: its body on the way out, and the watch that gives it up when nothing moves.
//! The SDK's read timeout counts the sending of the body too, and would cut every large upload on a slow line.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::client::S3Timeouts;
use crate::storage::limit::RateLimiter;

/// A frame of this size is handed over at a time, so that the watch sees a body move.
const PORTION: usize = 256 * 1024;

/// When a byte of one attempt last moved.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Mutex<Instant>>);

impl Activity {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub fn touch(&self) {
        self.touch_at(Instant::now());
    }

    /// As if a byte moved at `instant`, which may lie ahead: waiting for a rate limit is no stall.
    pub fn touch_at(&self, instant: Instant) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = instant.max(*last);
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs one attempt; the error is the reason why it was given up.
pub(super) async fn watched<T, F>(timeouts: &S3Timeouts, attempt: impl FnOnce(Activity) -> F) -> Result<T, String>
where
    F: Future<Output = T>,
{
    let activity = Activity::new();
    let mut attempt = pin!(attempt(activity.clone()));
    let end = Instant::now() + timeouts.attempt;
    loop {
        let stalled_at = activity.last() + timeouts.stall;
        tokio::select! {
            done = &mut attempt => return Ok(done),
            () = sleep_until(stalled_at.min(end)) => {}
        }
        let now = Instant::now();
        if now >= end {
            return Err(format!("not done after {}", seconds(timeouts.attempt)));
        }
        if now >= activity.last() + timeouts.stall {
            return Err(format!("no answer: nothing moved for {}", seconds(timeouts.stall)));
        }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

/// A request's body: the caller's bytes without a copy, at the pace of a limiter.
#[derive(Debug)]
pub(super) struct Outgoing {
    parts: VecDeque<Bytes>,
    left: u64,
    pace: Option<Arc<RateLimiter>>,
    /// The portion that waits for its instant.
    waiting: Option<(Pin<Box<Sleep>>, Bytes)>,
    activity: Activity,
}

impl Outgoing {
    pub fn stream(parts: Vec<Bytes>, pace: Option<Arc<RateLimiter>>, activity: Activity) -> ByteStream {
        let left = parts.iter().map(|part| part.len() as u64).sum();
        let parts = parts.into_iter().filter(|part| !part.is_empty()).collect();
        ByteStream::new(SdkBody::from_body_1_x(Self { parts, left, pace, waiting: None, activity }))
    }

    fn next_portion(&mut self) -> Option<Bytes> {
        let size = self.pace.as_ref().map_or(PORTION, |pace| pace.portion());
        let part = self.parts.front_mut()?;
        if part.len() > size { Some(part.split_to(size)) } else { self.parts.pop_front() }
    }

    fn hand_over(&mut self, portion: Bytes) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.activity.touch();
        self.left -= portion.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(portion))))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.waiting.is_none() {
            let Some(portion) = this.next_portion() else { return Poll::Ready(None) };
            let Some(pace) = &this.pace else { return this.hand_over(portion) };
            let at = pace.reserve(portion.len() as u64);
            this.activity.touch_at(at);
            this.waiting = Some((Box::pin(sleep_until(at)), portion));
        }
        if let Some((sleep, _)) = &mut this.waiting {
            std::task::ready!(sleep.as_mut().poll(cx));
        }
        match this.waiting.take() {
            Some((_, portion)) => this.hand_over(portion),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
