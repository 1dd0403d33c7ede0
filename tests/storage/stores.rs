//! The stores that the suite runs on.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use drydock::storage::fault::{Effect, Fault, Operation};
use drydock::storage::{
    Faulty, Limited, Limits, LocalStore, Retry, RetryPolicy, S3Credentials, S3Spec, S3Store, S3Timeouts, SharedStore,
};

use crate::support::seaweed::Seaweed;

/// A store of a test's own, and what must live as long.
pub struct Place {
    pub store: SharedStore,
    _folder: Option<tempfile::TempDir>,
}

pub async fn local() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(LocalStore::open(folder.path()).await.unwrap());
    Place { store, _folder: Some(folder) }
}

pub async fn s3() -> Place {
    let store = S3Store::connect(BUCKET, &prefix().await, &spec(), Limits::default()).await.unwrap();
    Place { store: Arc::new(store), _folder: None }
}

pub async fn local_decorated() -> Place {
    decorated(local().await)
}

pub async fn s3_decorated() -> Place {
    decorated(s3().await)
}

/// Few at once, at a limited rate, with every kind of operation failing now and then, before and after it was done.
fn decorated(place: Place) -> Place {
    let faulty = Faulty::new(place.store);
    for operation in [Operation::Get, Operation::GetRange, Operation::Put, Operation::Create, Operation::Delete] {
        for n in 0..10 {
            let effect = if n % 2 == 0 { Effect::FailAfter } else { Effect::FailBefore };
            faulty.inject(Fault::new(effect).on(operation).after(n).times(1));
        }
    }
    let limits = Limits { upload: Some(400 << 20), download: Some(400 << 20), concurrency: 4 };
    Place { store: Retry::new(Limited::new(faulty, limits), quick()), _folder: place._folder }
}

/// Retries without a noticeable wait.
pub fn quick() -> RetryPolicy {
    let (first_delay, longest_delay) = (Duration::from_millis(1), Duration::from_millis(5));
    RetryPolicy { attempts: 12, first_contact: 12, first_delay, longest_delay }
}

/// One server for all tests of this process; it dies with it.
pub fn seaweed() -> &'static Seaweed {
    static SERVER: OnceLock<Seaweed> = OnceLock::new();
    SERVER.get_or_init(Seaweed::start)
}

pub fn spec() -> S3Spec {
    S3Spec {
        endpoint: Some(seaweed().endpoint()),
        credentials: Some(credentials(Seaweed::ACCESS_KEY, Seaweed::SECRET_KEY)),
        ..S3Spec::default()
    }
}

pub fn credentials(id: &str, secret: &str) -> S3Credentials {
    S3Credentials { access_key_id: id.into(), secret_access_key: secret.into(), session_token: None }
}

/// Impatient, for servers that do not answer.
pub fn impatient() -> S3Timeouts {
    let (connect, stall, attempt) = (Duration::from_secs(2), Duration::from_millis(400), Duration::from_secs(20));
    S3Timeouts { connect, stall, attempt }
}

/// The bucket of all tests: SeaweedFS gives each bucket volumes of its own, and has only so many.
pub const BUCKET: &str = "tests";

/// A prefix of a test's own in [`BUCKET`].
pub async fn prefix() -> String {
    static MADE: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    let make = || async { client().create_bucket().bucket(BUCKET).send().await.map(drop).unwrap() };
    MADE.get_or_init(make).await;
    format!("a prefix/{:016x}", rand::random::<u64>())
}

/// The SDK without drydock, to set things up behind its back.
pub fn client() -> aws_sdk_s3::Client {
    use aws_sdk_s3::config::{Builder, Credentials, Region};
    let credentials = Credentials::new(Seaweed::ACCESS_KEY, Seaweed::SECRET_KEY, None, None, "test");
    let config = Builder::new()
        .endpoint_url(seaweed().endpoint())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials)
        .force_path_style(true);
    aws_sdk_s3::Client::from_conf(config.build())
}
