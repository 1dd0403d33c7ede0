//! The settings under which rows are printed, the same when they are read and when they are compared.

use std::collections::BTreeMap;

use super::connect::Session;
use super::error::PostgresError;
use super::naming::{identifier, literal};
use super::version::Version;

/// What decides how a value becomes text, pinned so that the same value is the same text everywhere; recorded in the
/// manifest.
pub const PINNED: [(&str, &str); 9] = [
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "3"),
    ("lc_monetary", "C"),
    ("quote_all_identifiers", "off"),
    ("search_path", ""),
    ("xmlbinary", "base64"),
];

/// What decides how rows are found; no part of their text. A hidden row is an error (`row_security`), the order is that
/// of the heap, so that an unchanged table is an unchanged file (`synchronize_seqscans`), and a range of ctids is read
/// by a TID range scan and nothing else.
const READING: [(&str, &str, Version); 9] = [
    ("row_security", "off", Version::OLDEST),
    ("synchronize_seqscans", "off", Version::OLDEST),
    ("enable_seqscan", "off", Version::V14),
    ("enable_bitmapscan", "off", Version::OLDEST),
    ("enable_indexscan", "off", Version::OLDEST),
    ("enable_indexonlyscan", "off", Version::OLDEST),
    ("max_parallel_workers_per_gather", "0", Version::V9_6),
    ("jit", "off", Version::V11),
    ("default_transaction_read_only", "on", Version::OLDEST),
];

/// The pinned settings as the manifest records them.
#[must_use]
pub fn pinned() -> BTreeMap<String, String> {
    PINNED.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// `SET` statements for `settings`; lists (`search_path`, `DateStyle`) as one quoted text.
#[must_use]
pub fn set_statements(settings: &BTreeMap<String, String>) -> String {
    settings.iter().map(|(name, value)| format!("SET {} = {};\n", identifier(name), literal(value))).collect()
}

impl Session {
    /// Pins how values are printed: `settings` are a manifest's, or [`pinned`] when a new one is written.
    ///
    /// # Errors
    /// What the server says.
    pub async fn pin(&self, settings: &BTreeMap<String, String>) -> Result<(), PostgresError> {
        self.batch("pinning the session's settings", &set_statements(settings)).await
    }

    /// Makes this session one that reads tables whole and in order.
    ///
    /// # Errors
    /// What the server says.
    pub async fn settle_for_reading(&self) -> Result<(), PostgresError> {
        let sql: String = READING
            .iter()
            .filter(|(_, _, since)| self.version >= *since)
            .map(|(name, value, _)| format!("SET {name} = {value};\n"))
            .collect();
        self.batch("setting the session up for reading", &sql).await
    }
}
