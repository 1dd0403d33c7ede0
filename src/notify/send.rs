//! HTTP, as little as is needed. The client is the S3 store's: TLS by rustls with the system's authorities, proxies as
//! `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say; it follows no redirect, because a URL that is a secret is not to be
//! handed to whoever is named there.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{NotifyError, Undelivered};
use crate::stack::{Secret, SecretSource};

/// How long one delivery may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For one attempt, connecting included.
    pub attempt: Duration,
    /// After it nothing is tried again.
    pub total: Duration,
    /// Doubled from attempt to attempt; a random half of it is left out.
    pub first_pause: Duration,
}

impl Default for Patience {
    /// Longer than a gateway takes to restart; what is down for longer is told at the next occasion.
    fn default() -> Self {
        Self { attempt: Duration::from_secs(10), total: Duration::from_secs(120), first_pause: Duration::from_secs(1) }
    }
}

/// A URL, and what it is called where people read.
pub(super) struct Target {
    field: String,
    url: Secret,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("field", &self.field).finish_non_exhaustive()
    }
}

impl Target {
    pub(super) fn read(field: String, source: &SecretSource) -> Result<Self, NotifyError> {
        let url = match source.read() {
            Ok(url) => Secret::from(url.expose_secret().trim()),
            Err(source) => return Err(NotifyError::Secret { field, source }),
        };
        match misfit(url.expose_secret()) {
            Some(why) => Err(NotifyError::Url { field, why }),
            None => Ok(Self { field, url }),
        }
    }

    /// Tells receivers apart without naming them.
    pub(super) fn key(&self) -> String {
        hex::encode(&Sha256::digest(self.url.expose_secret())[..8])
    }

    pub(super) fn undelivered(&self, why: String) -> Undelivered {
        tracing::error!(receiver = %self.field, why, "a notification was not delivered");
        Undelivered { field: self.field.clone(), why }
    }
}

fn misfit(url: &str) -> Option<&'static str> {
    let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else {
        return Some("it does not begin with https:// or http://");
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match host {
        "" => Some("it names no host"),
        host if host.contains('@') => Some("a user name or password before the host is not understood"),
        _ => HttpRequest::get(url).err().map(|_| "it has characters that a URL cannot have"),
    }
}

pub(super) enum Method {
    Get,
    /// With a JSON document.
    Post(Vec<u8>),
}

#[derive(Debug)]
pub(super) struct Sender {
    http: Connector,
    patience: Patience,
}

/// What came of one attempt.
enum Answer {
    Taken,
    /// It may be taken later.
    Later(String),
    Never(String),
}

impl Sender {
    pub(super) fn new(patience: Patience) -> Result<Self, NotifyError> {
        let context = TlsContext::builder().with_trust_store(TrustStore::default()).build();
        let context = context.map_err(|error| NotifyError::Tls { why: error.to_string() })?;
        let http = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(context)
            .proxy_config(ProxyConfig::from_env())
            .pool_idle_timeout(Duration::from_secs(1)) // the next message comes in hours
            .build();
        Ok(Self { http, patience })
    }

    /// Calls the target until it takes it, refuses it, or patience ends.
    ///
    /// # Errors
    /// Why not, without the URL.
    pub(super) async fn send(&self, target: &Target, method: Method) -> Result<(), String> {
        let end = Instant::now() + self.patience.total;
        let mut pause = self.patience.first_pause;
        loop {
            let limit = self.patience.attempt.min(end.saturating_duration_since(Instant::now()));
            let answer = tokio::time::timeout(limit, self.once(target, &method)).await;
            let why = match answer.unwrap_or_else(|_| Answer::Later("no answer in time".into())) {
                Answer::Taken => return Ok(()),
                Answer::Never(why) => return Err(why),
                Answer::Later(why) => why,
            };
            let wait = pause.mul_f64(0.5 + 0.5 * rand::random::<f64>());
            if Instant::now() + wait >= end {
                return Err(why);
            }
            tracing::debug!(receiver = %target.field, why, "a notification is tried again");
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
    }

    async fn once(&self, target: &Target, method: &Method) -> Answer {
        let url = target.url.expose_secret();
        let request = match request(url, method) {
            Ok(request) => request,
            Err(error) => return Answer::Never(said(&*error, url)),
        };
        match self.http.call(request).await {
            Ok(response) => judge(response.status().as_u16()),
            Err(error) => Answer::Later(said(&error, url)),
        }
    }
}

fn request(url: &str, method: &Method) -> Result<HttpRequest, Box<dyn Error + Send + Sync>> {
    let mut request = HttpRequest::get(url)?;
    request.headers_mut().insert("user-agent", concat!("drydock/", env!("CARGO_PKG_VERSION")));
    if let Method::Post(body) = method {
        request.set_method("POST")?;
        request.headers_mut().insert("content-type", "application/json");
        *request.body_mut() = SdkBody::from(body.clone());
    }
    Ok(request)
}

/// 408 and 429 say so themselves, and 5xx is the other side's trouble of the moment; any other answer will stay the same.
fn judge(status: u16) -> Answer {
    match status {
        200..=299 => Answer::Taken,
        300..=399 => Answer::Never(format!("the answer is a redirect (HTTP {status}), which is not followed")),
        408 | 429 | 500..=599 => Answer::Later(format!("the answer is HTTP {status}")),
        _ => Answer::Never(format!("the answer is HTTP {status}")),
    }
}

/// The error with its causes. No client of ours prints a URL; should one begin to, it is cut out.
fn said(error: &(dyn Error + 'static), url: &str) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    let path = url.splitn(4, '/').nth(3).filter(|path| !path.is_empty());
    let text = text.replace(url, "[URL]");
    path.map_or(text.clone(), |path| text.replace(path, "[URL]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_looked_at_before_it_is_needed_and_not_repeated() {
        for (url, expected) in [
            ("https://hooks.example.org/T0/secret?x=1", None),
            ("http://127.0.0.1:1", None),
            ("hooks.example.org/secret", Some("it does not begin with https:// or http://")),
            ("https:///secret", Some("it names no host")),
            ("https://me:secret@example.org/", Some("a user name or password before the host is not understood")),
            ("https://example.org/a secret", Some("it has characters that a URL cannot have")),
        ] {
            assert_eq!(misfit(url), expected, "{url}");
        }
    }

    #[test]
    fn an_error_that_prints_the_url_is_cut() {
        let url = "https://hooks.example.org/services/T0/secret";
        let error = std::io::Error::other(format!("cannot reach {url} (/services/T0/secret)"));
        assert_eq!(said(&error, url), "cannot reach [URL] (/[URL])");
    }
}
