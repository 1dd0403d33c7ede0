use super::*;

fn v(text: &str) -> Version {
    text.parse().unwrap()
}

fn database(tables: u64, hashes: Option<&[&str]>) -> Database {
    let schema_hashes = hashes.map(|hashes| hashes.iter().map(|hash| (*hash).to_owned()).collect());
    Database { tables, schema_hashes, migrations: BTreeMap::new() }
}

fn pod(name: &str, is_ours: bool, is_ready: bool) -> Pod {
    Pod { name: name.to_owned(), is_ours, is_ready }
}

/// 5.54.0 on what `migrated_to` left, whose hash was `9f0c`.
fn next(found: &Database, pods: &[Pod], migrated_to: Option<&str>) -> Result<Next, Refused> {
    let before = database(40, Some(&["9f0c"]));
    let migrated_to = migrated_to.map(v);
    let version = v("5.54.0");
    let migrated_to = migrated_to.as_ref();
    decide(&Facts { database: found, pods, version: &version, migrated_to, before: &before, expected: None })
}

#[test]
fn an_upgrade_stops_all_starts_one_and_waits_for_its_schema() {
    let old = database(40, Some(&["9f0c"]));
    let former = [pod("strapi-a", false, true), pod("strapi-b", false, true)];
    assert_eq!(next(&old, &former, Some("5.0.6")), Ok(Next::Stop(vec!["strapi-a".into(), "strapi-b".into()])));
    assert_eq!(next(&old, &[], Some("5.0.6")), Ok(Next::StartOne(Why::Upgrade)));
    // At work: the row is deleted before the DDL and inserted after it.
    let starting = [pod("strapi-c", true, false)];
    assert_eq!(next(&database(43, Some(&[])), &starting, Some("5.0.6")), Ok(Next::Wait { pod: "strapi-c".into() }));
    let ready = [pod("strapi-c", true, true)];
    let done = |schema| Ok(Next::Done(Done { schema, ran_twice: Vec::new() }));
    assert_eq!(next(&database(46, Some(&["77aa"])), &ready, Some("5.0.6")), done(Schema::Changed));
    assert_eq!(next(&old, &ready, Some("5.53.0")), done(Schema::Unchanged), "a release that changed no type");
}

#[test]
fn a_first_start_fills_an_empty_database_and_no_other() {
    assert_eq!(next(&database(0, None), &[], None), Ok(Next::StartOne(Why::Empty)));
    assert_eq!(
        next(&database(12, None), &[], None).unwrap_err().to_string(),
        "the database has 12 tables, and nothing of Strapi among them"
    );
    assert_eq!(next(&database(0, None), &[], Some("5.0.6")), Err(Refused::Vanished(v("5.0.6"))));
}

#[test]
fn an_upgrade_that_died_half_way_is_recognised_and_only_continued_forwards() {
    let half = database(43, Some(&[]));
    assert_eq!(next(&half, &[], Some("5.54.0")), Ok(Next::StartOne(Why::HalfDone)));
    let (version, migrated_to) = (v("4.26.2"), v("5.54.0"));
    let facts = Facts {
        database: &half,
        pods: &[],
        version: &version,
        migrated_to: Some(&migrated_to),
        before: &half,
        expected: None,
    };
    assert!(matches!(decide(&facts), Err(Refused::Older { .. })));
}

#[test]
fn an_older_image_which_would_drop_columns_is_never_started() {
    let refused = next(&database(46, Some(&["77aa"])), &[], Some("5.60.0")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Strapi 5.54.0 is older than 5.60.0, which the database was migrated to: it would start and drop what it does not know"
    );
    assert_eq!(
        refused.hint().unwrap(),
        "deploy 5.60.0 or later, or restore a recovery point of database and uploads from before 5.60.0"
    );
    assert!(matches!(next(&database(46, Some(&["77aa"])), &[], Some("5.54")), Err(Refused::Inexact { .. })));
}

#[test]
fn two_pods_at_once_are_stopped_and_what_they_did_twice_is_named() {
    let found = database(46, Some(&["77aa"]));
    let two = [pod("strapi-c", true, true), pod("strapi-d", true, false)];
    assert_eq!(next(&found, &two, Some("5.0.6")), Ok(Next::Stop(vec!["strapi-c".into(), "strapi-d".into()])));
    let mut doubled = found.clone();
    doubled.migrations =
        [("5.0.0-01-convert-identifiers".to_owned(), 2), ("5.0.0-02-document-id".to_owned(), 1)].into();
    let done = next(&doubled, &[pod("strapi-c", true, true)], Some("5.0.6"));
    let ran_twice = vec!["5.0.0-01-convert-identifiers".to_owned()];
    assert_eq!(done, Ok(Next::Done(Done { schema: Schema::Changed, ran_twice })));
    let refused = next(&database(46, Some(&["77aa", "9f0c"])), &[], Some("5.0.6")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "strapi_database_schema has 2 rows where Strapi keeps one: two pods changed the schema at the same time"
    );
}

#[test]
fn what_was_rehearsed_is_what_must_come_out() {
    let (found, before, version) = (database(46, Some(&["77aa"])), database(40, Some(&["9f0c"])), v("5.54.0"));
    let pods = [pod("strapi-c", true, true)];
    let judged = |expected| {
        decide(&Facts {
            database: &found,
            pods: &pods,
            version: &version,
            migrated_to: None,
            before: &before,
            expected,
        })
    };
    assert_eq!(judged(Some("77aa")), Ok(Next::Done(Done { schema: Schema::AsExpected, ran_twice: Vec::new() })));
    assert_eq!(
        judged(Some("c0de")).unwrap_err().to_string(),
        "the schema has the hash 77aa where the rehearsal had c0de: this is not the image or the content that was rehearsed"
    );
}

#[test]
fn alone_a_deployment_recreates_and_a_set_has_one() {
    let rolling = json!({"kind": "Deployment", "spec": {"replicas": 3, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
    assert_eq!(
        alone(&rolling),
        json!({"kind": "Deployment", "spec": {"replicas": 1, "strategy": {"type": "Recreate"}}})
    );
    let set = json!({"kind": "StatefulSet", "spec": {"replicas": 2}});
    assert_eq!(alone(&set), json!({"kind": "StatefulSet", "spec": {"replicas": 1}}));
}
