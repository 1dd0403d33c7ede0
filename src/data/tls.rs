//! TLS as a client, with libpq's meanings of `require` and `verify-full`, and as the listener of a restore. rustls only.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};

use crate::stack::Tls;

/// What is wrong with the certificates that were named; a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TlsProblem(pub String);

/// A certificate of our own and its key, both as PEM files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity<'a> {
    pub certificate: &'a Path,
    pub key: &'a Path,
}

impl<'a> Identity<'a> {
    /// Both or neither of `certFile` and `keyFile`.
    ///
    /// # Errors
    /// When one is named without the other.
    pub fn of(certificate: Option<&'a PathBuf>, key: Option<&'a PathBuf>) -> Result<Option<Self>, TlsProblem> {
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(Self { certificate, key })),
            (None, None) => Ok(None),
            _ => Err(TlsProblem("`certFile` and `keyFile` go together: one of them is missing".into())),
        }
    }

    fn load(self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsProblem> {
        let chain = certificates(self.certificate, "certFile")?;
        let key = PrivateKeyDer::from_pem_file(self.key)
            .map_err(|e| TlsProblem(format!("cannot read `keyFile` {}: {e}", self.key.display())))?;
        Ok((chain, key))
    }
}

/// How to connect under `mode`; [`Tls::VerifyFull`] checks the name and the authority, the others take any certificate.
///
/// # Errors
/// When a file cannot be read, or there is no authority to trust.
pub fn client(mode: Tls, ca_file: Option<&Path>, own: Option<Identity<'_>>) -> Result<Arc<ClientConfig>, TlsProblem> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| TlsProblem(e.to_string()))?;
    let builder = if mode == Tls::VerifyFull {
        builder.with_root_certificates(authorities(ca_file)?)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate { provider }))
    };
    let config = match own {
        Some(own) => {
            let (chain, key) = own.load()?;
            builder.with_client_auth_cert(chain, key).map_err(|e| TlsProblem(format!("`certFile`: {e}")))?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// How to listen with a certificate of our own; the peer is not asked for one.
///
/// # Errors
/// When a file cannot be read, or key and certificate do not belong together.
pub fn server(own: Identity<'_>) -> Result<Arc<ServerConfig>, TlsProblem> {
    let (chain, key) = own.load()?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| TlsProblem(e.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| TlsProblem(format!("`certFile` and `keyFile`: {e}")))?;
    Ok(Arc::new(config))
}

fn certificates(path: &Path, field: &str) -> Result<Vec<CertificateDer<'static>>, TlsProblem> {
    let shown = path.display();
    let read = CertificateDer::pem_file_iter(path)
        .map_err(|e| TlsProblem(format!("cannot read `{field}` {shown}: {e}")))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| TlsProblem(format!("`{field}` {shown} is damaged: {e}")))?;
    if read.is_empty() {
        return Err(TlsProblem(format!("`{field}` {shown} holds no certificate")));
    }
    Ok(read)
}

fn authorities(ca_file: Option<&Path>) -> Result<RootCertStore, TlsProblem> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        for certificate in certificates(path, "caFile")? {
            let shown = path.display();
            roots
                .add(certificate)
                .map_err(|e| TlsProblem(format!("`caFile` {shown} holds no usable authority: {e}")))?;
        }
    } else {
        // Some of a system's authorities may be unreadable or of unknown kinds; only none at all is a failure.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(TlsProblem("this machine trusts no authority; install ca-certificates or set `caFile`".into()));
        }
    }
    Ok(roots)
}

/// Takes any certificate; the handshake's signature is still verified, so that the peer holds the key of what it shows.
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
