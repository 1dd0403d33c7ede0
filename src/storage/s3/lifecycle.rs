//! The bucket's own rules that would take objects away behind our back.

use aws_sdk_s3::types::{ExpirationStatus, LifecycleRule, TransitionStorageClass};

use super::S3Store;
use crate::storage::StorageError;

/// What a lifecycle rule of the bucket does to objects below our prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Menace {
    /// Deletes objects: packs vanish while snapshots still name them.
    Expires { rule: String, when: String },
    /// Deletes former versions: the way back from an overwritten or deleted object gets shorter.
    ExpiresFormer { rule: String, when: String },
    /// Moves objects where a plain read fails until they are thawed.
    Archives { rule: String, class: String },
}

impl S3Store {
    /// The enabled rules that touch objects below our prefix.
    ///
    /// # Errors
    /// Where the store does not let us look or has no such rules ([`StorageError::Misconfigured`]).
    pub async fn menaces(&self) -> Result<Vec<Menace>, StorageError> {
        let rules = self
            .attempt("", "read the lifecycle rules of", |_| async {
                let request = self.client.get_bucket_lifecycle_configuration().bucket(&self.bucket);
                match request.send().await {
                    Ok(configuration) => Ok(configuration.rules.unwrap_or_default()),
                    // `NoSuchLifecycleConfiguration`, which the mapping would take for a key.
                    Err(error) => match self.failed("", "read the lifecycle rules of", error) {
                        StorageError::NotFound { .. } => Ok(Vec::new()),
                        error => Err(error),
                    },
                }
            })
            .await?;
        Ok(rules.iter().filter(|rule| self.touches(rule)).flat_map(menaces).collect())
    }

    fn touches(&self, rule: &LifecycleRule) -> bool {
        let prefix = prefix(rule);
        *rule.status() == ExpirationStatus::Enabled
            && (self.prefix.starts_with(prefix) || prefix.starts_with(&self.prefix))
    }
}

/// Where the rule holds: the filter's prefix, or the one of the old form. Filters by tag or size are taken as met: our
/// objects have no tags today, and the owner of the bucket may tag them tomorrow.
#[expect(deprecated, reason = "stores still answer with the old form")]
fn prefix(rule: &LifecycleRule) -> &str {
    let filter = rule.filter();
    filter
        .and_then(|f| f.prefix().or_else(|| f.and().and_then(|and| and.prefix())))
        .or_else(|| rule.prefix())
        .unwrap_or_default()
}

fn menaces(rule: &LifecycleRule) -> Vec<Menace> {
    let name = || rule.id().filter(|id| !id.is_empty()).unwrap_or("without a name").to_owned();
    let mut found = Vec::new();
    if let Some(expiration) = rule.expiration() {
        let when = match (expiration.days(), expiration.date()) {
            (Some(days), _) if days > 0 => Some(format!("after {days} days")),
            (_, Some(date)) => Some(format!("on {date}")),
            _ => None,
        };
        found.extend(when.map(|when| Menace::Expires { rule: name(), when }));
    }
    if let Some(former) = rule.noncurrent_version_expiration() {
        let when = former.noncurrent_days().map_or_else(|| "at once".into(), |days| format!("after {days} days"));
        found.push(Menace::ExpiresFormer { rule: name(), when });
    }
    let classes = rule.transitions().iter().filter_map(|t| t.storage_class());
    found.extend(
        classes
            .filter(|class| matches!(class, TransitionStorageClass::Glacier | TransitionStorageClass::DeepArchive))
            .map(|class| Menace::Archives { rule: name(), class: class.to_string() }),
    );
    found
}
