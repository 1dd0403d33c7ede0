//! How a server's certificate is looked at: libpq's meanings of `disable`, `prefer`, `require` and `verify-full`.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::PostgresError;
use super::wire::Connector;
use crate::stack::Tls;

/// Bundles of authorities as distributions place them; libpq before 16 has no word for "the system's".
pub(super) const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A connector for `mode`. `address` is for messages.
///
/// # Errors
/// `Tls` where `verify-full` finds no authority to trust.
pub(super) fn connector(mode: Tls, ca_file: Option<&Path>, address: &str) -> Result<Connector, PostgresError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| PostgresError::Tls { address: address.to_owned(), reason: e.to_string() })?;
    let config = if mode == Tls::VerifyFull {
        builder.with_root_certificates(authorities(ca_file, address)?).with_no_client_auth()
    } else {
        let verifier = Arc::new(AnyCertificate { provider });
        builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
    };
    Ok(Connector::tls(MakeRustlsConnect::new(config)))
}

fn authorities(ca_file: Option<&Path>, address: &str) -> Result<RootCertStore, PostgresError> {
    let fail = |reason: String| PostgresError::Tls { address: address.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        let shown = path.display();
        for certificate in
            CertificateDer::pem_file_iter(path).map_err(|e| fail(format!("cannot read `caFile` {shown}: {e}")))?
        {
            let certificate = certificate.map_err(|e| fail(format!("`caFile` {shown} is damaged: {e}")))?;
            roots.add(certificate).map_err(|e| fail(format!("`caFile` {shown} holds no usable authority: {e}")))?;
        }
        if roots.is_empty() {
            return Err(fail(format!("`caFile` {shown} holds no certificate")));
        }
    } else {
        // Some of a system's authorities may be unreadable or of unknown kinds; only none at all is a failure.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(fail("this machine trusts no authority; install ca-certificates or set `caFile`".into()));
        }
    }
    Ok(roots)
}

/// Takes any certificate, as libpq does for `prefer` and `require`; the handshake's signature is still verified, so
/// that the peer holds the key of what it shows.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
