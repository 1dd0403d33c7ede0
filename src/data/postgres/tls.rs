//! How a server's certificate is looked at: libpq's meanings of `disable`, `prefer`, `require` and `verify-full`.

use std::path::Path;
use std::sync::Arc;

use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::PostgresError;
use super::wire::Connector;
use crate::data::tls;
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
    let config = tls::client(mode, ca_file, None)
        .map_err(|problem| PostgresError::Tls { address: address.to_owned(), reason: problem.to_string() })?;
    Ok(Connector::tls(MakeRustlsConnect::new(Arc::unwrap_or_clone(config))))
}
