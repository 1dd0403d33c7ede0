//! From what the user wrote about an S3 store to a client of the SDK.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::ExposeSecret;

use crate::stack::Secret;
use crate::storage::StorageError;

/// How an S3 store is reached.
#[derive(Debug, Clone, Default)]
pub struct S3Spec {
    /// `https://minio.example.org:9000`; none = AWS.
    pub endpoint: Option<String>,
    /// Where not said: `us-east-1` with an `endpoint`, else what the environment says.
    pub region: Option<String>,
    /// `endpoint/bucket/key` instead of `bucket.endpoint/key`; where not said: true with an `endpoint`.
    pub path_style: Option<bool>,
    /// PEM certificates of the authorities that are believed instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// None = the SDK's default chain (environment, profile, web identity, container, instance).
    pub credentials: Option<S3Credentials>,
    pub timeouts: S3Timeouts,
}

#[derive(Debug, Clone)]
pub struct S3Credentials {
    pub access_key_id: Secret,
    pub secret_access_key: Secret,
    pub session_token: Option<Secret>,
}

/// When an attempt is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct S3Timeouts {
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// Without a byte moving in either direction.
    pub stall: Duration,
    /// For one whole attempt, whatever it moves.
    pub attempt: Duration,
}

impl Default for S3Timeouts {
    /// A pack of 16 MiB takes 15 minutes at 18 KiB/s: what is slower than that is no line to keep backups over.
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), stall: Duration::from_secs(30), attempt: Duration::from_secs(15 * 60) }
    }
}

/// A client and what it turned out to talk to.
pub(super) struct Connected {
    pub client: Client,
    /// For error messages: where requests go.
    pub endpoint: String,
    /// AWS computes and checks the SDK's own checksums; others get `Content-MD5`.
    pub aws: bool,
}

/// Builds the client. Reads files and the environment, and asks the credential chain nothing yet.
pub(super) async fn connect(spec: &S3Spec) -> Result<Connected, StorageError> {
    let http = http_client(spec.ca_file.as_deref())?;
    let shared = shared_config(spec, &http).await;
    let endpoint = spec.endpoint.clone().or_else(|| shared.endpoint_url().map(str::to_owned));
    if let Some(endpoint) = &endpoint {
        check_endpoint(endpoint)?;
    }
    let aws = endpoint.as_deref().is_none_or(is_aws);
    // Stores other than AWS have one region, and this is what they call it.
    let region = shared.region().cloned().or_else(|| (!aws).then(|| Region::new("us-east-1")));
    let region = region.ok_or_else(|| {
        StorageError::Misconfigured("the region of the bucket is not known: set `s3.region`, or AWS_REGION".into())
    })?;
    let (requests, responses) = if aws {
        (RequestChecksumCalculation::WhenSupported, ResponseChecksumValidation::WhenSupported)
    } else {
        // Several other stores refuse or mangle the checksums that the SDK adds by default.
        (RequestChecksumCalculation::WhenRequired, ResponseChecksumValidation::WhenRequired)
    };
    let mut config = Builder::from(&shared)
        .region(region)
        .request_checksum_calculation(requests)
        .response_checksum_validation(responses)
        .force_path_style(spec.path_style.unwrap_or(!aws))
        // Retries and the watch for stalls are ours: `retry.rs`, `attempt.rs`.
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(spec.timeouts.connect).build());
    config.set_endpoint_url(endpoint.clone());
    let endpoint = endpoint.unwrap_or_else(|| "AWS".into());
    Ok(Connected { client: Client::from_conf(config.build()), endpoint, aws })
}

async fn shared_config(spec: &S3Spec, http: &SharedHttpClient) -> aws_config::SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone());
    // Without a region said the chain would ask the cloud's metadata address, which is not there elsewhere.
    let region = spec.region.clone().or_else(|| spec.endpoint.is_some().then(|| "us-east-1".to_owned()));
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    if let Some(credentials) = &spec.credentials {
        loader = loader.credentials_provider(credentials.reveal());
    }
    loader.load().await
}

impl S3Credentials {
    fn reveal(&self) -> Credentials {
        Credentials::new(
            self.access_key_id.expose_secret(),
            self.secret_access_key.expose_secret(),
            self.session_token.as_ref().map(|token| token.expose_secret().to_owned()),
            None,
            "drydock's stack document",
        )
    }
}

fn check_endpoint(endpoint: &str) -> Result<(), StorageError> {
    let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains('@') => Ok(()),
        _ => Err(StorageError::Misconfigured(
            "the S3 endpoint must be http:// or https:// and a host, without credentials".into(),
        )),
    }
}

fn is_aws(endpoint: &str) -> bool {
    let host = endpoint.split("://").nth(1).unwrap_or(endpoint);
    let host = host.split(['/', ':']).next().unwrap_or(host);
    host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn")
}

fn http_client(ca_file: Option<&Path>) -> Result<SharedHttpClient, StorageError> {
    let trust = match ca_file {
        None => TrustStore::default(),
        Some(path) => TrustStore::empty().with_pem_certificate(certificates(path)?),
    };
    let context = TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .map_err(|error| StorageError::Misconfigured(format!("cannot set up TLS: {error}")))?;
    Ok(aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(context)
        .build_https())
}

/// Reads the file and makes sure that rustls can believe what is in it: the SDK panics where it cannot.
fn certificates(path: &Path) -> Result<Vec<u8>, StorageError> {
    let bad = |why: String| StorageError::Misconfigured(format!("cannot use the CA file {}: {why}", path.display()));
    let pem = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        roots.add(certificate).map_err(|error| bad(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(bad("it holds no certificate in PEM form".into()));
    }
    Ok(pem)
}
