//! What S3 does wrong, and what comes of it: which failures are tried again, which are told at once, in which words.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use drydock::failure::{Category, Failure};
use drydock::storage::{
    Created, Limits, Retry, S3Spec, S3Store, SharedStore, StorageError, Store, StoreSpec, Swept, create, open,
};

use crate::fake::{Fake, Reply};
use crate::stores::{self, BUCKET, credentials, impatient, quick};

/// The fake's store with retries.
async fn retried(fake: &Fake) -> SharedStore {
    Retry::new(Arc::new(fake.store().await), quick())
}

#[tokio::test]
async fn a_busy_or_broken_store_is_asked_again() {
    let fake = Fake::start().await;
    let store = retried(&fake).await;
    for (status, code) in [
        (500, "InternalError"),
        (502, ""),
        (503, "SlowDown"),
        (503, ""),
        (504, ""),
        (429, "TooManyRequests"),
        (409, "ConditionalRequestConflict"),
        (400, "RequestTimeout"),
        (400, "BadDigest"),
    ] {
        fake.next([Reply::error(status, code), Reply::error(status, code)]);
        store.put("a", vec![Bytes::from(format!("{status} {code}"))]).await.unwrap();
        assert_eq!(fake.requests().len(), 3, "{status} {code}");
        assert_eq!(fake.object("a").unwrap(), format!("{status} {code}").into_bytes());
    }
}

#[tokio::test]
async fn an_answer_that_will_not_change_is_not_asked_for_again() {
    let fake = Fake::start().await;
    let store = retried(&fake).await;
    for (reply, category, text) in [
        (
            Reply::error(403, "AccessDenied"),
            Category::Usage,
            "s3://bucket refuses write of a: 403 AccessDenied: said the fake",
        ),
        (Reply::Answer(401, "", String::new()), Category::Usage, "s3://bucket refuses write of a: 401"),
        (
            Reply::error(404, "NoSuchBucket"),
            Category::Usage,
            "there is no bucket bucket at ENDPOINT: create it, or correct the repository's `location`",
        ),
        (Reply::error(507, "InsufficientStorage"), Category::Unavailable, "s3://bucket has no space left for a"),
        (Reply::error(403, "QuotaExceeded"), Category::Unavailable, "s3://bucket has no space left for a"),
        (
            Reply::error(403, "RequestTimeTooSkewed"),
            Category::Usage,
            "this machine's clock and that of s3://bucket are too far apart: set both by NTP (403 RequestTimeTooSkewed: said the fake)",
        ),
        (
            Reply::error(501, "NotImplemented"),
            Category::Usage,
            "s3://bucket does not support write of a as drydock does it: 501 NotImplemented: said the fake",
        ),
        (
            Reply::Answer(301, "x-amz-bucket-region: eu-west-1\r\n", String::new()),
            Category::Usage,
            "the bucket bucket cannot be used from here; it lies in the region eu-west-1: set `s3.region`",
        ),
    ] {
        fake.next([reply.clone()]);
        let error = store.put("a", vec![]).await.unwrap_err();
        assert_eq!(error.to_string(), text.replace("ENDPOINT", &fake.endpoint));
        assert_eq!(error.category(), category, "{error}");
        assert_eq!(fake.requests().len(), 1, "{reply:?} was asked for again");
    }
}

#[tokio::test]
async fn not_there_and_could_not_ask_are_told_apart() {
    let fake = Fake::start().await;
    let store = fake.store().await;
    fake.next([Reply::Answer(500, "", String::new())]);
    assert!(matches!(store.stat("a").await, Err(StorageError::Unavailable { .. })));
    fake.next([Reply::Answer(403, "", String::new())]);
    assert!(matches!(store.stat("a").await, Err(StorageError::Denied { .. })));
    // HEAD says 404 for a missing key and a missing bucket alike.
    fake.next([Reply::Answer(404, "", String::new()), Reply::Answer(404, "", String::new())]);
    let error = store.stat("a").await.unwrap_err();
    assert!(error.to_string().starts_with("there is no bucket bucket"), "{error}");
    assert_eq!(store.stat("a").await.unwrap(), None);
    fake.requests();
    assert_eq!(store.stat("a").await.unwrap(), None);
    assert_eq!(fake.requests().len(), 1, "a bucket that was seen is not looked for again");
}

#[tokio::test]
async fn a_store_that_hangs_is_given_up_and_asked_again() {
    let fake = Fake::start().await;
    let start = Instant::now();
    fake.next([Reply::Hang]);
    let error = fake.store().await.get("a").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot read s3://bucket/a: {}: no answer: nothing moved for 0.4 s", fake.endpoint)
    );
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    fake.put("a", "content");
    fake.next([Reply::Hang, Reply::Hang]);
    assert_eq!(retried(&fake).await.get("a").await.unwrap(), "content");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_never_taken_for_whole() {
    let fake = Fake::start().await;
    let content: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    fake.put("a", content.clone());
    fake.next([Reply::CutBody(60_000)]);
    let error = fake.store().await.get("a").await.unwrap_err().to_string();
    assert!(error.starts_with("cannot read s3://bucket/a: the answer broke off after "), "{error}");
    assert!(error.contains(" of 100000 bytes: "), "{error}");
    for reply in [Reply::CutBody(60_000), Reply::CutBody(0), Reply::StallBody(99_999)] {
        fake.next([reply]);
        assert!(retried(&fake).await.get("a").await.unwrap() == content);
    }
}

#[tokio::test]
async fn an_upload_that_is_cut_is_done_again() {
    let fake = Fake::start().await;
    let content = Bytes::from(vec![5; 3 << 20]);
    fake.next([Reply::Reset, Reply::ServeAndCut]);
    retried(&fake).await.put("a", vec![content.slice(..1 << 20), content.slice(1 << 20..)]).await.unwrap();
    assert!(fake.object("a").unwrap() == content);
}

#[tokio::test]
async fn a_creation_whose_answer_was_lost_is_not_lost() {
    let fake = Fake::start().await;
    let store = retried(&fake).await;
    fake.next([Reply::ServeAndCut]);
    assert_eq!(store.create("lease", "mine".into()).await.unwrap(), Created::New);
    fake.next([Reply::Reset]);
    assert_eq!(store.create("lease", "other".into()).await.unwrap(), Created::Exists);
    assert_eq!(fake.object("lease").unwrap(), b"mine");
}

#[tokio::test]
async fn nothing_that_listens_is_said_so_soon() {
    let port = crate::support::free_port();
    let s3 = S3Spec { endpoint: Some(format!("http://127.0.0.1:{port}")), ..Fake::start().await.spec() };
    let store = open(&StoreSpec { location: "s3://bucket/p".into(), s3, ..StoreSpec::default() }).await.unwrap();
    let start = Instant::now();
    let error = store.get("a").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot read s3://bucket/p/a: no answer from http://127.0.0.1:{port}: Connection refused (os error 111)"
        )
    );
    assert_eq!(error.category(), Category::Unavailable);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_body_goes_out_as_any_store_takes_it() {
    let fake = Fake::start().await;
    let store = S3Store::connect("bucket", "/papg/", &fake.spec(), Limits::default()).await.unwrap();
    store.put("repository/config", vec![Bytes::from("a"), Bytes::from("bc")]).await.unwrap();
    store.create("stack.json", Bytes::new()).await.unwrap();
    let [put, create] = fake.requests().try_into().unwrap();
    assert_eq!((put.method.as_str(), put.body.as_slice()), ("PUT", &b"abc"[..]));
    assert_eq!(put.path.split('?').next(), Some("/bucket/papg/repository/config"), "path style, below the prefix");
    // MD5("abc"), and none of the SDK's own checksums.
    assert_eq!(put.headers["content-md5"], "kAFQmDzST7DWlj99KOF/cg==");
    let odd =
        |name: &&String| name.starts_with("x-amz-checksum") || *name == "x-amz-trailer" || *name == "content-encoding";
    assert_eq!(put.headers.keys().find(odd), None, "{:?}", put.headers);
    assert!(!put.headers.contains_key("if-none-match"));
    assert_eq!(create.headers["if-none-match"], "*");
    assert_eq!(create.headers["content-length"], "0");
}

#[tokio::test]
async fn rates_pace_bodies_and_a_slow_line_is_no_stall() {
    let fake = Fake::start().await;
    let limits = Limits { upload: Some(100_000), download: Some(200_000), ..Limits::default() };
    let store = S3Store::connect("bucket", "", &fake.spec(), limits).await.unwrap();
    let content = Bytes::from(vec![1; 150_000]);
    let start = Instant::now();
    store.put("a", vec![content.clone()]).await.unwrap();
    let up = start.elapsed().as_secs_f64();
    // The stall limit is 0.4 s: the body moved all the while.
    assert!((1.3..3.0).contains(&up), "150,000 bytes at 100,000 a second took {up} s");
    let start = Instant::now();
    assert!(store.get("a").await.unwrap() == content);
    assert!(store.get("a").await.unwrap() == content);
    let down = start.elapsed().as_secs_f64();
    assert!((0.6..3.0).contains(&down), "twice 150,000 bytes at 200,000 a second took {down} s");
}

#[tokio::test]
async fn a_large_upload_that_fails_is_aborted() {
    let fake = Fake::start().await;
    let store = fake.store().await;
    let begun = "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>";
    let ok = |headers| Reply::Answer(200, headers, String::new());
    fake.next([
        Reply::Answer(200, "", begun.into()),
        ok("etag: \"1\"\r\n"),
        Reply::error(500, "InternalError"),
        ok(""),
    ]);
    let block = Bytes::from(vec![0; 1 << 20]);
    let error = store.put("large", vec![block; 65]).await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable { .. }), "{error}");
    let said: Vec<String> = fake.requests().iter().map(|r| format!("{} {}", r.method, r.body.len())).collect();
    assert_eq!(said, ["POST 0", "PUT 33554432", "PUT 33554432", "DELETE 0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_store_tells_wrong_keys_and_missing_buckets() {
    let connect = async |id: &str, secret: &str, bucket: &str| {
        let spec = S3Spec { credentials: Some(credentials(id, secret)), ..stores::spec() };
        S3Store::connect(bucket, "p", &spec, Limits::default()).await.unwrap()
    };
    use crate::support::seaweed::Seaweed;
    stores::prefix().await;
    for (id, secret, code) in [
        (Seaweed::ACCESS_KEY, "wrong", "403 SignatureDoesNotMatch"),
        ("nobody", Seaweed::SECRET_KEY, "403 InvalidAccessKeyId"),
    ] {
        let store = connect(id, secret, BUCKET).await;
        for error in [
            store.put("a", vec![Bytes::from("a")]).await.unwrap_err(),
            store.get("a").await.unwrap_err(),
            store.list("").await.map(drop).unwrap_err(),
            store.delete("a").await.unwrap_err(),
        ] {
            assert!(matches!(&error, StorageError::Denied { reason, .. } if reason.starts_with(code)), "{error}");
            assert!(!format!("{error:?}").contains(secret));
        }
        let error = store.stat("a").await.unwrap_err();
        assert!(matches!(error, StorageError::Denied { .. }), "{error}");
    }
    let store = connect(Seaweed::ACCESS_KEY, Seaweed::SECRET_KEY, "missing").await;
    // A write would make the bucket here: SeaweedFS lets an administrator do that.
    for error in [
        store.get("a").await.map(drop).unwrap_err(),
        store.get_range("a", 0..1).await.map(drop).unwrap_err(),
        store.stat("a").await.map(drop).unwrap_err(),
        store.list("").await.map(drop).unwrap_err(),
        store.sweep(Duration::ZERO).await.map(drop).unwrap_err(),
    ] {
        assert_eq!(
            error.to_string(),
            format!(
                "there is no bucket missing at {}: create it, or correct the repository's `location`",
                stores::seaweed().endpoint()
            )
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_never_ended_are_swept() {
    let (prefix, other, client) = (stores::prefix().await, stores::prefix().await, stores::client());
    let store = S3Store::connect(BUCKET, &prefix, &stores::spec(), Limits::default()).await.unwrap();
    for key in [format!("{prefix}/data/a"), format!("{prefix}/data/b"), format!("{other}/c")] {
        let upload = client.create_multipart_upload().bucket(BUCKET).key(&key).send().await.unwrap();
        let id = upload.upload_id().unwrap();
        let part = client.upload_part().bucket(BUCKET).key(&key).upload_id(id).part_number(1);
        part.body(vec![0; 1000].into()).send().await.unwrap();
    }
    assert_eq!(store.list("").await.unwrap(), []);
    assert_eq!(store.sweep(Duration::from_secs(3600)).await.unwrap(), Swept::default(), "they are young");
    assert_eq!(store.leftovers(Duration::ZERO).await.unwrap(), 2);
    assert_eq!(store.sweep(Duration::ZERO).await.unwrap(), Swept { objects: 2, bytes: 2000 });
    assert_eq!(store.leftovers(Duration::ZERO).await.unwrap(), 0);
    let left = client.list_multipart_uploads().bucket(BUCKET).prefix(&other).send().await.unwrap();
    assert_eq!(left.uploads().len(), 1, "another prefix's is not ours");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_location_opens_as_a_store() {
    let (folder, prefix) = (tempfile::tempdir().unwrap(), stores::prefix().await);
    let path = folder.path().join("new/store").display().to_string();
    for location in [format!("s3://{BUCKET}/{prefix}/"), path] {
        let spec = StoreSpec { location: location.clone(), s3: stores::spec(), ..StoreSpec::default() };
        create(&spec).await.unwrap().put("stack.json", vec![Bytes::from("{}")]).await.unwrap();
        let store = open(&spec).await.unwrap();
        assert_eq!(store.get("stack.json").await.unwrap(), "{}");
        assert_eq!(store.location(), location.trim_end_matches('/'));
    }
}

#[tokio::test]
async fn what_cannot_be_understood_is_said_before_anything_is_asked() {
    let connect = async |spec: S3Spec| {
        S3Store::connect("bucket", "", &spec, Limits::default()).await.map(drop).unwrap_err().to_string()
    };
    for endpoint in ["minio:9000", "ftp://minio", "https://", "http://id:key@minio:9000"] {
        let error = connect(S3Spec { endpoint: Some(endpoint.into()), ..S3Spec::default() }).await;
        assert_eq!(error, "the S3 endpoint must be http:// or https:// and a host, without credentials");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let ca_file = Some(file.path().to_owned());
    let error = connect(S3Spec { ca_file, ..S3Spec::default() }).await;
    assert_eq!(error, format!("cannot use the CA file {}: it holds no certificate in PEM form", file.path().display()));
}

#[tokio::test]
async fn secrets_are_in_no_debug_text() {
    let spec = S3Spec { credentials: Some(credentials("my-id", "my-secret")), timeouts: impatient(), ..stores_free() };
    let store = S3Store::connect("bucket", "", &spec, Limits::default()).await.unwrap();
    let text = format!("{spec:?} {store:?} {store:#?}");
    assert!(!text.contains("my-secret") && !text.contains("my-id"));
    assert!(text.contains("s3://bucket"), "{text}");
}

fn stores_free() -> S3Spec {
    S3Spec { endpoint: Some("http://127.0.0.1:1".into()), ..S3Spec::default() }
}

/// Runs this test program's ignored test `name` with `env` as all of its environment.
fn in_a_process_of_its_own(name: &str, env: &[(&str, &str)]) -> String {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", name, "--nocapture"]).env_clear();
    // The instance metadata service is not to be asked: there is no network where tests run.
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", "/nonexistent").envs(env.iter().copied());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    said
}

#[test]
fn credentials_come_from_the_environment_where_none_are_said() {
    in_a_process_of_its_own(
        "s3_failures::child::signs_with_the_environments_key",
        &[("AWS_ACCESS_KEY_ID", "id-of-the-environment"), ("AWS_SECRET_ACCESS_KEY", "secret")],
    );
    in_a_process_of_its_own("s3_failures::child::says_that_there_are_no_credentials", &[]);
    in_a_process_of_its_own("s3_failures::child::says_that_there_is_no_region", &[]);
}

mod child {
    use super::*;

    async fn put() -> (Fake, Result<(), StorageError>) {
        let fake = Fake::start().await;
        let spec = S3Spec { credentials: None, ..fake.spec() };
        let store = S3Store::connect("bucket", "", &spec, Limits::default()).await.unwrap();
        let put = store.put("a", vec![]).await;
        (fake, put)
    }

    #[tokio::test]
    #[ignore = "run by `credentials_come_from_the_environment_where_none_are_said`, with its environment"]
    async fn signs_with_the_environments_key() {
        let (fake, put) = put().await;
        put.unwrap();
        let signed = fake.requests().remove(0).headers.remove("authorization").unwrap();
        assert!(signed.contains("Credential=id-of-the-environment/"), "{signed}");
    }

    #[tokio::test]
    #[ignore = "run by `credentials_come_from_the_environment_where_none_are_said`, with its environment"]
    async fn says_that_there_are_no_credentials() {
        let (fake, put) = put().await;
        let error = put.unwrap_err();
        assert!(error.to_string().starts_with("there are no credentials for s3://bucket: "), "{error}");
        assert_eq!(error.category(), Category::Usage);
        assert_eq!(fake.requests().len(), 0);
    }

    #[tokio::test]
    #[ignore = "run by `credentials_come_from_the_environment_where_none_are_said`, with its environment"]
    async fn says_that_there_is_no_region() {
        let error = S3Store::connect("bucket", "", &S3Spec::default(), Limits::default()).await.unwrap_err();
        assert_eq!(error.to_string(), "the region of the bucket is not known: set `s3.region`, or AWS_REGION");
    }
}
