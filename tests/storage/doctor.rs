//! What `doctor` finds in good and in bad stores.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, ExpirationStatus, LifecycleExpiration, LifecycleRule, LifecycleRuleFilter,
};
use drydock::clock::Clock;
use drydock::context::Context;
use drydock::finding::{Finding, Severity};
use drydock::storage::{S3Spec, StoreSpec, doctor};
use jiff::{SignedDuration, Timestamp};

use crate::fake::{Fake, Reply};
use crate::local_failures::SmallDisk;
use crate::stores::{self, BUCKET, credentials};

fn folder(path: &Path) -> StoreSpec {
    StoreSpec { location: path.display().to_string(), ..StoreSpec::default() }
}

fn chmod(mode: &str, path: &Path) {
    assert!(Command::new("chmod").arg(mode).arg(path).status().unwrap().success());
}

fn bad(findings: &[Finding]) -> Vec<(Severity, String)> {
    findings.iter().filter(|f| f.severity != Severity::Good).map(|f| (f.severity, f.detail.clone())).collect()
}

fn good(findings: &[Finding]) -> Vec<&str> {
    findings.iter().filter(|f| f.severity == Severity::Good).map(|f| f.detail.as_str()).collect()
}

#[tokio::test]
async fn a_good_folder_is_found_good_and_left_as_it_was() {
    let place = tempfile::tempdir().unwrap();
    chmod("700", place.path());
    let findings = doctor(&folder(place.path()), &Context::default()).await;
    let bad: Vec<_> = bad(&findings).into_iter().filter(|(_, detail)| !detail.contains(" free")).collect();
    assert_eq!(bad, [], "but for the space, which is this machine's");
    let it = place.path().display().to_string();
    assert!(good(&findings).contains(&format!("{it} creates an object only once").as_str()), "{findings:?}");
    assert!(
        good(&findings).contains(&format!("the clock of {it} agrees with this machine's").as_str()),
        "{findings:?}"
    );
    let left: Vec<_> = std::fs::read_dir(place.path().join("probe")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_missing_folder_an_open_one_and_one_in_memory_are_told_with_the_fix() {
    let place = tempfile::tempdir().unwrap();
    let missing = doctor(&folder(&place.path().join("none")), &Context::default()).await;
    let detail = format!("the folder cannot be opened: {}/none does not exist", place.path().display());
    let fix = "mount the disk that holds it, or create it with `drydock init -f FILE`";
    assert_eq!(missing, [Finding::problem("repository", detail, fix)]);

    chmod("755", place.path());
    let open = doctor(&folder(place.path()), &Context::default()).await;
    let detail = format!("{} is open to everybody on this machine (mode 0755)", place.path().display());
    let fix = format!("chmod 700 {}", place.path().display());
    assert!(open.contains(&Finding::warning("repository", detail, fix)), "{open:?}");

    let Some(disk) = SmallDisk::mount("8m") else { return };
    let small = doctor(&folder(disk.path()), &Context::default()).await;
    let it = disk.path().display();
    assert_eq!(
        bad(&small),
        [
            (Severity::Warning, format!("{it} has 8 MiB of 8 MiB free")),
            (Severity::Problem, format!("{it} lies in memory (tmpfs) and is gone after a restart")),
        ]
    );
}

#[derive(Debug)]
struct Ahead(SignedDuration);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        Timestamp::now() + self.0
    }
}

#[tokio::test]
async fn clocks_that_differ_are_told() {
    let place = tempfile::tempdir().unwrap();
    for (ahead, severity) in [
        (SignedDuration::from_secs(20), None),
        (SignedDuration::from_secs(-20), None),
        (SignedDuration::from_mins(3), Some(Severity::Warning)),
        (SignedDuration::from_mins(-3), Some(Severity::Warning)),
        (SignedDuration::from_hours(1), Some(Severity::Problem)),
    ] {
        let cx = Context { clock: Arc::new(Ahead(ahead)), ..Context::default() };
        let findings = doctor(&folder(place.path()), &cx).await;
        let told = bad(&findings).into_iter().find(|(_, detail)| detail.starts_with("the clock of "));
        assert_eq!(told.as_ref().map(|(severity, _)| *severity), severity, "{ahead}: {told:?}");
        if let Some((_, detail)) = told {
            let apart: i64 = detail.split(' ').rev().nth(2).unwrap().parse().unwrap();
            assert!((apart - ahead.as_secs().abs()).abs() <= 2, "{detail}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_bucket_is_found_good_and_left_as_it_was() {
    let prefix = stores::prefix().await;
    let spec = StoreSpec { location: format!("s3://{BUCKET}/{prefix}"), s3: stores::spec(), ..StoreSpec::default() };
    let findings = doctor(&spec, &Context::default()).await;
    assert_eq!(bad(&findings), []);
    let it = format!("s3://{BUCKET}/{prefix}");
    assert!(good(&findings).contains(&"no lifecycle rule of the bucket touches the repository"), "{findings:?}");
    assert!(good(&findings).contains(&format!("{it} creates an object only once").as_str()), "{findings:?}");
    let left = stores::client().list_objects_v2().bucket(BUCKET).prefix(&prefix).send().await.unwrap();
    assert!(left.contents().is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_buckets_expiry_below_the_repository_is_a_problem() {
    let (prefix, client) = (stores::prefix().await, stores::client());
    client.create_bucket().bucket("expiring").send().await.unwrap();
    let rule = LifecycleRule::builder()
        .id("tidy")
        .status(ExpirationStatus::Enabled)
        .filter(LifecycleRuleFilter::builder().prefix(format!("{prefix}/repository/data")).build())
        .expiration(LifecycleExpiration::builder().days(30).build());
    let rules = BucketLifecycleConfiguration::builder().rules(rule.build().unwrap()).build().unwrap();
    let put = client.put_bucket_lifecycle_configuration().bucket("expiring").lifecycle_configuration(rules);
    put.send().await.unwrap();
    let told = async |prefix: &str| {
        let spec =
            StoreSpec { location: format!("s3://expiring/{prefix}"), s3: stores::spec(), ..StoreSpec::default() };
        bad(&doctor(&spec, &Context::default()).await)
    };
    let detail = "the bucket's lifecycle rule tidy deletes the repository's objects after 30 days";
    assert_eq!(told(&prefix).await, [(Severity::Problem, detail.to_owned())]);
    assert_eq!(told("elsewhere").await, []);
}

/// The fake's answers to doctor's questions: what it serves by itself, then this configuration.
async fn lifecycle(rules: &str) -> Vec<(Severity, String)> {
    let fake = Fake::start().await;
    fake.lifecycle(format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>"));
    let spec = StoreSpec { location: "s3://bucket/papg".into(), s3: fake.spec(), ..StoreSpec::default() };
    let findings = doctor(&spec, &Context::default()).await;
    bad(&findings).into_iter().filter(|(_, detail)| detail.contains("lifecycle")).collect()
}

#[tokio::test]
async fn rules_are_judged_by_what_they_would_do_to_us() {
    let rule = |text: &str| format!("<Rule><ID>r</ID><Status>Enabled</Status>{text}</Rule>");
    let expires = "<Expiration><Days>7</Days></Expiration>";
    let whole = "the bucket's lifecycle rule r deletes the repository's objects after 7 days";
    let problem = [(Severity::Problem, whole.to_owned())];
    for (prefix, told) in [
        ("<Filter><Prefix></Prefix></Filter>", true),
        ("<Prefix>pa</Prefix>", true),
        ("<Filter><Prefix>papg/repository/</Prefix></Filter>", true),
        ("<Filter><And><Prefix>papg/</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></And></Filter>", true),
        ("<Filter><Prefix>logs/</Prefix></Filter>", false),
        ("<Prefix>papg2/</Prefix>", false),
    ] {
        let found = lifecycle(&rule(&format!("{prefix}{expires}"))).await;
        assert_eq!(found, if told { &problem[..] } else { &[] }, "{prefix}");
    }
    assert_eq!(lifecycle(&rule(expires).replace("Enabled", "Disabled")).await, []);
    let harmless = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>\
                    <Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>\
                    <Transition><Days>1</Days><StorageClass>STANDARD_IA</StorageClass></Transition>";
    assert_eq!(lifecycle(&rule(harmless)).await, []);
    let archive = "<Transition><Days>1</Days><StorageClass>DEEP_ARCHIVE</StorageClass></Transition>\
                   <NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays></NoncurrentVersionExpiration>";
    let told: Vec<_> = lifecycle(&rule(archive)).await.into_iter().map(|(severity, _)| severity).collect();
    assert_eq!(told, [Severity::Warning, Severity::Problem]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_keys_and_silence_are_problems_with_a_fix() {
    stores::prefix().await;
    let s3 = S3Spec { credentials: Some(credentials("nobody", "wrong")), ..stores::spec() };
    let spec = StoreSpec { location: format!("s3://{BUCKET}"), s3, ..StoreSpec::default() };
    let findings = doctor(&spec, &Context::default()).await;
    assert!(findings[0].detail.contains("403 InvalidAccessKeyId"), "{findings:?}");
    assert_eq!(
        findings[0].fix.as_deref(),
        Some("correct the credentials or the store's policy: get, put and list, and delete for `locks/` and `prune`")
    );
    let fake = Fake::start().await;
    fake.next(vec![Reply::Hang; 20]);
    let spec = StoreSpec { location: "s3://bucket".into(), s3: fake.spec(), ..StoreSpec::default() };
    let findings = doctor(&spec, &Context::default()).await;
    assert!(findings[0].severity == Severity::Problem && findings[0].detail.contains("nothing moved"), "{findings:?}");
}

/// A store that takes `If-None-Match` for an ordinary write, as some do.
#[tokio::test]
async fn a_store_that_ignores_create_if_absent_is_a_problem() {
    let fake = Fake::start().await;
    fake.ignore_conditions();
    let spec = StoreSpec { location: "s3://bucket".into(), s3: fake.spec(), ..StoreSpec::default() };
    let findings = doctor(&spec, &Context::default()).await;
    let detail = "s3://bucket overwrites an object that was to be created only if absent: no second drydock may work \
                  on this repository at the same time";
    assert!(bad(&findings).contains(&(Severity::Problem, detail.to_owned())), "{findings:?}");
}

#[tokio::test]
async fn credentials_that_may_not_delete_are_good_enough_for_snapshots() {
    let fake = Fake::start().await;
    fake.refuse_deletes();
    let spec = StoreSpec { location: "s3://bucket".into(), s3: fake.spec(), ..StoreSpec::default() };
    let findings = doctor(&spec, &Context::default()).await;
    let detail = "these credentials may not delete objects of s3://bucket: a probe object stays there";
    assert_eq!(bad(&findings), [(Severity::Warning, detail.to_owned())]);
    assert!(good(&findings).contains(&"s3://bucket creates an object only once"), "{findings:?}");
}

#[tokio::test]
async fn probes_of_doctors_that_were_killed_are_removed() {
    let fake = Fake::start().await;
    fake.put("probe/object-1", "of May 2024");
    fake.put("other", "kept");
    let spec = StoreSpec { location: "s3://bucket".into(), s3: fake.spec(), ..StoreSpec::default() };
    doctor(&spec, &Context::default()).await;
    assert_eq!((fake.object("probe/object-1"), fake.object("other")), (None, Some(b"kept".to_vec())));
}
