//! Private authorities: believed when they are named, and only then.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use drydock::storage::{Limits, S3Spec, S3Store, StorageError, Store};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::fake::Fake;
use crate::support::run;

/// Makes an authority and a certificate of it for `localhost`, with the openssl command.
fn make_certificates(folder: &Path) {
    let openssl = |args: &[&str]| run(Command::new("openssl").current_dir(folder).args(args));
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let authority = ["req", "-x509", "-subj", "/CN=drydock test", "-keyout", "ca.key", "-out", "ca.pem"];
    openssl(&[&authority[..], &key[..]].concat());
    let server = ["req", "-x509", "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem"];
    let signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=DNS:localhost"];
    let leaf = ["-addext", "basicConstraints=critical,CA:FALSE"];
    openssl(&[&server[..], &key[..], &signed[..], &leaf[..]].concat());
}

async fn fake(folder: &Path) -> Fake {
    let certificates = CertificateDer::pem_file_iter(folder.join("cert.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(certificates, key).unwrap();
    Fake::start_with(Some(Arc::new(config).into())).await
}

#[tokio::test]
async fn a_private_authority_is_believed_when_it_is_named_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    make_certificates(folder.path());
    let fake = fake(folder.path()).await;
    let connect = async |ca_file| {
        S3Store::connect("bucket", "", &S3Spec { ca_file, ..fake.spec() }, Limits::default()).await.unwrap()
    };
    let store = connect(Some(folder.path().join("ca.pem"))).await;
    store.put("a", vec![Bytes::from("over TLS")]).await.unwrap();
    assert_eq!(store.get("a").await.unwrap(), "over TLS");
    let error = connect(None).await.put("b", vec![]).await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable { .. }), "{error}");
    let expected = format!(
        "cannot write s3://bucket/b: no answer from {}: invalid peer certificate: UnknownIssuer (name its authority in `s3.caFile`)",
        fake.endpoint
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(fake.object("b"), None);
}
