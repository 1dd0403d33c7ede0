//! The read-only window: health, metrics, JSON, pages. GET and HEAD alone; nothing that comes in changes anything. Bounded
//! in connections, header size and time, because whoever can reach the port may be anybody on the machine.

mod probes;
mod reply;
mod route;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use probes::Probes;
pub use reply::Reply;
pub use route::Window;

/// A browser holds six, Prometheus one.
const CONNECTIONS: usize = 64;
/// Who does not say what they want, or says nothing more.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// What hyper needs at least is 8 KiB.
const HEADER_BYTES: usize = 16 * 1024;
/// What answers that are under way have for it when the daemon leaves.
const LAST: Duration = Duration::from_secs(2);

/// What is shown.
#[async_trait]
pub trait Answers: Send + Sync + 'static {
    /// Never fails.
    async fn answer(&self, method: &Method, uri: &Uri) -> Reply;
}

/// Serves until `gone`.
pub async fn serve(listener: TcpListener, window: Arc<impl Answers>, gone: &CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let place = tokio::select! {
            () = gone.cancelled() => break,
            place = places.clone().acquire_owned() => place.expect("nobody closes it"),
        };
        let stream = tokio::select! {
            () = gone.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Such as too many open files: what is open goes on, and room may come.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            },
        };
        let (window, gone) = (window.clone(), gone.clone());
        connections.spawn(async move {
            let _place = place;
            let answer = service_fn(move |request: Request<Incoming>| {
                let window = window.clone();
                async move {
                    let reply = window.answer(request.method(), request.uri()).await;
                    Ok::<_, Infallible>(reply.into_response(request.method()))
                }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .max_buf_size(HEADER_BYTES)
                .serve_connection(TokioIo::new(stream), answer);
            tokio::pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => {} // whoever went away is no concern of ours
                () = gone.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
        });
    }
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST, all).await; // the rest is cut off with the process
}
