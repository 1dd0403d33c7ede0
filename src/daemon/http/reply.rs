//! An answer and the headers that every answer has.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
};
use hyper::{Method, Response, StatusCode};

/// Nothing from elsewhere, nothing inline but what the nonce names.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

const ALWAYS: [(&str, &str); 4] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// What is answered.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub content_type: &'static str,
    pub body: Bytes,
    /// The policy of a page; nothing at all is allowed without one.
    pub policy: Option<String>,
}

impl Reply {
    #[must_use]
    pub fn text(status: StatusCode, body: impl Into<String>) -> Self {
        let mut body: String = body.into();
        if !body.ends_with('\n') {
            body.push('\n');
        }
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into(), policy: None }
    }

    #[must_use]
    pub fn json(body: String) -> Self {
        Self { status: StatusCode::OK, content_type: "application/json", body: body.into(), policy: None }
    }

    /// An error as JSON, in the words of the command line.
    #[must_use]
    pub fn problem(status: StatusCode, category: &str, message: &str) -> Self {
        let body = serde_json::json!({"category": category, "message": message}).to_string();
        Self { status, ..Self::json(body) }
    }

    /// A page whose inline style and script carry `nonce`.
    #[must_use]
    pub fn page(body: String, nonce: &str) -> Self {
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
             frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        );
        Self {
            status: StatusCode::OK,
            content_type: "text/html; charset=utf-8",
            body: body.into(),
            policy: Some(policy),
        }
    }

    /// A page that brings its own policy, which allows inline style and nothing else.
    #[must_use]
    pub fn document(body: String) -> Self {
        let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
        Self {
            status: StatusCode::OK,
            content_type: "text/html; charset=utf-8",
            body: body.into(),
            policy: Some(policy.into()),
        }
    }

    /// As HTTP has it; without the body for HEAD.
    #[must_use]
    pub fn into_response(self, method: &Method) -> Response<Full<Bytes>> {
        let length = self.body.len();
        let body = if method == Method::HEAD { Bytes::new() } else { self.body };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in ALWAYS {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let policy = self.policy.as_deref().unwrap_or(NOTHING);
        if let Ok(policy) = HeaderValue::from_str(policy) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}
