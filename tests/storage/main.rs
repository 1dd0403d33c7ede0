//! One suite for all stores: the local folder and S3 (a real SeaweedFS), bare and under decorators; then what each
//! does when things go wrong: an S3 that answers 403, 500, 503, half of it or nothing, a disk that is full.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "../support/mod.rs"]
mod support;

mod conformance;
mod decorators;
mod doctor;
mod evidence;
mod fake;
mod local_failures;
mod power;
mod runs;
mod s3_failures;
mod stores;
mod tls;

/// Every property holds for every store.
macro_rules! every_store {
    ($($property:ident)*) => {
        every_store!(@ local [$($property)*]);
        every_store!(@ local_decorated [$($property)*]);
        every_store!(@ s3 [$($property)*]);
        every_store!(@ s3_decorated [$($property)*]);
    };
    (@ $kind:ident [$($property:ident)*]) => {
        mod $kind {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $property() {
                    let place = crate::stores::$kind().await;
                    crate::conformance::$property(place.store.clone()).await;
                }
            )*
        }
    };
}

every_store! {
    what_was_put_comes_back
    a_large_object_comes_back
    ranges_are_exact
    an_overwrite_is_seen_whole_or_not_at_all
    of_many_creations_one_wins
    a_creation_leaves_what_is_there
    long_listings_are_complete
    odd_keys_are_kept
    deleting_twice_is_fine
    what_is_not_there_is_not_found
    many_at_once_do_not_mix
    create_if_absent_is_honoured
}
