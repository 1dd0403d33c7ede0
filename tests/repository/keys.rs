//! How a repository comes to be, and who can open it.

use std::time::Duration;

use drydock::context::Context;
use drydock::failure::{Category, Failure};
use drydock::storage::Store;

use super::*;

/// Under the exclusive lock, as the command line does it.
async fn remove(repository: &Repository, key: &KeyId) -> Result<(), RepositoryError> {
    let lock = repository.lock(LockKind::Exclusive, Duration::from_secs(30), &Context::default()).await?;
    let removed = repository.remove_key(key, &lock).await;
    lock.release().await?;
    removed
}

async fn change(repository: &Repository, password: &str) -> Result<KeyId, RepositoryError> {
    let lock = repository.lock(LockKind::Exclusive, Duration::from_secs(30), &Context::default()).await?;
    let changed = repository.change_key(&password.to_owned().into(), KeyCost::negligible(), &lock).await;
    lock.release().await?;
    changed
}

async fn opens(place: &Place, password: &str) -> bool {
    match Repository::open(Arc::clone(&place.store), &password.to_owned().into()).await {
        Ok(_) => true,
        Err(RepositoryError::WrongPassword { .. }) => false,
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn where_there_is_none_init_is_what_the_error_says() {
    let place = Place::new("missing").await;
    let error = Repository::open(Arc::clone(&place.store), &secret()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("there is no repository at {}", place.path().display()));
    assert_eq!(error.category(), Category::RepositoryMissing);
    assert_eq!(error.hint().unwrap(), "create it with `drydock init -f FILE`");
}

#[tokio::test]
async fn a_wrong_password_opens_nothing_and_is_in_no_message() {
    let place = Place::new("wrong").await;
    place.create().await;
    let error = Repository::open(Arc::clone(&place.store), &"hunter2".to_owned().into()).await.unwrap_err();
    assert_eq!(error.category(), Category::WrongPassword);
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_second_create_is_refused_and_changes_nothing() {
    let place = Place::new("twice").await;
    place.create().await;
    let before = stored(&place, "");
    let error = Repository::create(Arc::clone(&place.store), &secret(), KeyCost::negligible()).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Exists { .. }), "{error:?}");
    assert_eq!(stored(&place, ""), before);
}

#[tokio::test]
async fn of_two_that_create_at_once_one_wins_and_its_password_opens() {
    for _ in 0..10 {
        let place = Place::new("race").await;
        let create = |password: &str| {
            let (store, password) = (Arc::clone(&place.store), password.to_owned().into());
            async move { Repository::create(store, &password, KeyCost::negligible()).await }
        };
        let (first, second) = tokio::join!(create("first"), create("second"));
        let (winner, loser) = if first.is_ok() { ("first", second) } else { ("second", first) };
        assert!(matches!(loser, Err(RepositoryError::Exists { .. })), "{loser:?}");
        assert!(opens(&place, winner).await);
        assert_eq!(stored(&place, "keys").len(), 1);
    }
}

/// A crash between the key and the config leaves a key that opens nothing.
#[tokio::test]
async fn what_a_crash_in_the_middle_of_create_left_is_cleared_away() {
    let place = Place::new("crash").await;
    place.create().await;
    std::fs::remove_file(place.path().join("repository/config")).unwrap();
    let leftover = stored(&place, "keys");
    assert_eq!(leftover.len(), 1);

    let again = place.create().await;
    let keys = stored(&place, "keys");
    assert_eq!(keys.len(), 1);
    assert_ne!(keys, leftover);
    assert_eq!(place.open().await.id(), again.id());
    place.restic().run(&["check"]);
}

/// The same, seen by a reader whose creator crashed after the config: a stale key with the same password comes first
/// half of the time.
#[tokio::test]
async fn a_stale_key_beside_the_right_one_does_not_keep_anybody_out() {
    for _ in 0..4 {
        let place = Place::new("stale").await;
        place.create().await;
        std::fs::remove_file(place.path().join("repository/config")).unwrap();
        let [stale] = &stored(&place, "keys")[..] else { panic!("one key") };
        let kept = std::fs::read(stale).unwrap();
        place.create().await;
        std::fs::write(stale, kept).unwrap();
        place.open().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_without_a_config_is_never_given_a_new_key() {
    let place = Place::new("headless").await;
    let repository = place.create().await;
    let writer = repository.writer(WriterOptions::default());
    store_files(&writer, &[("file".into(), b"content".to_vec())]).await;
    writer.finish().await.unwrap();
    std::fs::remove_file(place.path().join("repository/config")).unwrap();

    let before = stored(&place, "");
    let error = Repository::create(Arc::clone(&place.store), &secret(), KeyCost::negligible()).await.unwrap_err();
    assert_eq!(error.category(), Category::Integrity);
    assert!(error.to_string().starts_with("config is damaged: it is missing although index "), "{error}");
    assert_eq!(stored(&place, ""), before);
}

#[tokio::test]
async fn several_passwords_open_it_and_restic_accepts_each() {
    let place = Place::new("several").await;
    let repository = place.create().await;
    let second = repository.add_key(&"second".to_owned().into(), KeyCost::negligible()).await.unwrap();
    assert!(opens(&place, PASSWORD).await && opens(&place, "second").await);
    std::fs::write(place.path().join("password"), "second").unwrap();
    assert!(place.restic().run(&["cat", "config"]).contains(repository.id()));

    let listed: Vec<_> =
        repository.keys().await.unwrap().into_iter().map(|key| (key.id == second, key.current)).collect();
    assert_eq!(listed, [(false, true), (true, false)]);

    remove(&repository, &second).await.unwrap();
    assert!(opens(&place, PASSWORD).await && !opens(&place, "second").await);
    let error = remove(&repository, &second).await.unwrap_err();
    assert!(matches!(error, RepositoryError::NoSuchKey { .. }), "{error:?}");
}

#[tokio::test]
async fn the_key_in_use_is_not_removed_but_changed() {
    let place = Place::new("change").await;
    let repository = place.create().await;
    let key = repository.keys().await.unwrap()[0].id;
    let error = remove(&repository, &key).await.unwrap_err();
    assert!(matches!(error, RepositoryError::KeyInUse { .. }), "{error:?}");
    assert_eq!(error.category(), Category::Usage);

    let changed = change(&repository, "new").await.unwrap();
    assert!(opens(&place, "new").await && !opens(&place, PASSWORD).await);
    let keys = repository.keys().await.unwrap();
    assert_eq!(keys.iter().map(|key| (key.id, key.current)).collect::<Vec<_>>(), [(changed, true)]);
    let error = remove(&repository, &changed).await.unwrap_err();
    assert!(matches!(error, RepositoryError::KeyInUse { .. }), "the new one is in use now: {error:?}");
}

/// Each holds a password and removes the other's key: without the last look both would go, and all data with them.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_remove_each_others_key_one_is_refused_and_one_key_stays() {
    for _ in 0..5 {
        let place = Place::new("each-other").await;
        let first = place.create().await;
        let key = first.keys().await.unwrap()[0].id;
        let second_key = first.add_key(&"second".to_owned().into(), KeyCost::negligible()).await.unwrap();
        let second = Repository::open(Arc::clone(&place.store), &"second".to_owned().into()).await.unwrap();
        let (one, other) = tokio::join!(remove(&first, &second_key), remove(&second, &key));
        let (loser, refused) = if one.is_ok() { (second_key, other) } else { (key, one) };
        assert!(matches!(refused, Err(RepositoryError::KeyGone { id }) if id == loser), "{refused:?}");
        assert!(opens(&place, PASSWORD).await != opens(&place, "second").await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_change_the_key_at_once_the_first_has_decided() {
    for _ in 0..5 {
        let place = Place::new("both-change").await;
        let (first, second) = (place.create().await, place.open().await);
        let (one, other) = tokio::join!(change(&first, "one"), change(&second, "other"));
        let (winner, refused) = if one.is_ok() { ("one", other) } else { ("other", one) };
        assert!(matches!(refused, Err(RepositoryError::KeyGone { .. })), "{refused:?}");
        assert!(opens(&place, winner).await);
        assert_eq!(stored(&place, "keys").len(), 1);
    }
}

#[tokio::test]
async fn a_shared_lock_is_not_enough_to_remove_a_key() {
    let place = Place::new("shared").await;
    let repository = place.create().await;
    let second = repository.add_key(&"second".to_owned().into(), KeyCost::negligible()).await.unwrap();
    let lock = repository.lock(LockKind::Shared, Duration::ZERO, &Context::default()).await.unwrap();
    let error = repository.remove_key(&second, &lock).await.unwrap_err();
    assert!(matches!(error, RepositoryError::NotExclusive), "{error:?}");
    lock.release().await.unwrap();
    assert!(opens(&place, "second").await);
}

/// Nobody may be locked out by a store that loses what it was given.
#[tokio::test]
async fn the_former_key_stays_until_the_new_one_has_opened() {
    use drydock::storage::fault::{Effect, Fault, Operation};
    let place = Place::new("unverified").await;
    place.create().await;
    let faulty = drydock::storage::Faulty::new(Arc::clone(&place.store));
    let repository = Repository::open(faulty.clone(), &secret()).await.unwrap();
    faulty.inject(Fault::new(Effect::Corrupt(200)).on(Operation::Get).key("keys/"));
    let error = change(&repository, "new").await.unwrap_err();
    assert_eq!(error.category(), Category::Integrity);
    assert!(opens(&place, PASSWORD).await);
    assert_eq!(faulty.location(), place.store.location());
}
