use super::*;
use crate::migration::paths::needs;
use crate::stack::Migration;

const V1: &str = "20230101000000_base.rb\n20230101000001_create_active_storage_tables.rb\n.keep\n";
const V2: &str =
    "20230101000000_base.rb\n20230101000001_create_active_storage_tables.rb\n20240601000000_sentiment.rb\n";

/// What v1 leaves.
fn v1() -> Database {
    Database {
        exists: true,
        tables: 9,
        schema_migrations: Some(["20230101000000", "20230101000001"].map(str::to_owned).into()),
        has_internal_metadata: true,
        environment: Some("production".into()),
        ..Database::default()
    }
}

fn next(database: &Database, listing: &str) -> Result<Next, Refused> {
    let image = Versions::of_listing(listing);
    decide(&Facts { database, image: &image, needs: &[], environment: "production", migrated_to: None })
}

#[test]
fn a_new_version_runs_what_is_not_on_record_and_is_done_when_it_is() {
    assert_eq!(next(&v1(), V1), Ok(Next::Done));
    assert_eq!(next(&v1(), V2), Ok(Next::Prepare(Effect::Migrate(vec!["20240601000000".into()]))));
    let mut after = v1();
    after.schema_migrations.as_mut().unwrap().insert("20240601000000".into());
    assert_eq!(next(&after, V2), Ok(Next::Done));
}

#[test]
fn an_empty_database_is_filled_unless_it_was_full_before() {
    let empty = Database { exists: true, ..Database::default() };
    assert_eq!(next(&Database::default(), V1), Ok(Next::Prepare(Effect::Create)));
    assert_eq!(next(&empty, V1), Ok(Next::Prepare(Effect::Load)));
    let image = Versions::of_listing(V1);
    let facts =
        Facts { database: &empty, image: &image, needs: &[], environment: "production", migrated_to: Some("4.1.0") };
    let refused = decide(&facts).unwrap_err();
    assert_eq!(refused.to_string(), "there is nothing in the database, but a former release migrated it to 4.1.0");
    assert_eq!(refused.category(), Category::NeedsOperator);
}

#[test]
fn a_restore_that_lost_one_small_table_is_not_wiped() {
    let partial = Database { has_internal_metadata: false, environment: None, ..v1() };
    let refused = next(&partial, V1).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "db:chatwoot_prepare would wipe the database: it has 9 tables but no `ar_internal_metadata`, \
         by which Rails tells a new database from one in use"
    );
    assert_eq!(
        refused.hint().unwrap(),
        "its 2 migrations are recorded, so it is likely a restore that lost this one table: restore a recovery point, or, \
         if all else is whole, make the table with the version that runs now: \
         RAILS_ENV=production bundle exec rails db:environment:set"
    );
    let foreign = Database { schema_migrations: None, ..partial };
    assert_eq!(
        next(&foreign, V1).unwrap_err().hint().unwrap(),
        "if it holds Chatwoot's data, restore a recovery point; if it holds nothing of worth, drop and create it"
    );
}

#[test]
fn without_a_history_every_migration_would_run_again() {
    for schema_migrations in [None, Some(BTreeSet::new())] {
        let refused = next(&Database { schema_migrations, ..v1() }, V1).unwrap_err();
        assert_eq!(refused, Refused::NoHistory { tables: 9 });
    }
}

#[test]
fn a_downgrade_which_rails_does_not_see_is_refused() {
    let mut newer = v1();
    newer.schema_migrations.as_mut().unwrap().insert("20240601000000".into());
    let refused = next(&newer, V1).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the database was migrated by a newer Chatwoot than this image: it does not have 20240601000000"
    );
    // What was squashed into the oldest file has none of its own any more.
    let mut old = v1();
    old.schema_migrations.as_mut().unwrap().insert("20190101000000".into());
    assert_eq!(next(&old, V1), Ok(Next::Done));
}

#[test]
fn a_busy_lock_is_waited_for_and_only_where_there_is_something_to_do() {
    let busy = Database { is_locked: true, ..v1() };
    assert_eq!(next(&busy, V2), Ok(Next::Wait));
    assert_eq!(next(&busy, V1), Ok(Next::Done));
    assert_eq!(advisory_lock("chatwoot_production"), 2_053_462_845 * i64::from(CRC_OF_CHATWOOT_PRODUCTION));
}

/// `python3 -c "import zlib; print(zlib.crc32(b'chatwoot_production'))"`.
const CRC_OF_CHATWOOT_PRODUCTION: u32 = 2410052488;

#[test]
fn another_environments_database_and_a_missing_extension_are_refused() {
    let development = Database { environment: Some("development".into()), ..v1() };
    assert_eq!(
        next(&development, V2).unwrap_err().to_string(),
        "the database belongs to the environment `development`, the Job runs in `production`"
    );
    let image = Versions::of_listing(V2);
    let needs = needs(Migration::Chatwoot, &"4.1.0".parse().unwrap());
    let mut database = v1();
    let said = |database: &Database| {
        decide(&Facts { database, image: &image, needs: &needs, environment: "production", migrated_to: None })
    };
    let refused = said(&database).unwrap_err();
    assert!(refused.to_string().starts_with("the server does not offer the extension `vector`: "), "{refused}");
    assert_eq!(refused.hint().unwrap(), "install it on the server, then: create extension \"vector\"");
    database.extensions.insert("vector".into());
    assert_eq!(said(&database), Ok(Next::Prepare(Effect::Migrate(vec!["20240601000000".into()]))));
}

#[test]
fn an_image_that_tells_no_migrations_is_not_taken_for_complete() {
    assert_eq!(next(&v1(), "ls: db/migrate: No such file or directory\n"), Err(Refused::NoVersions));
    assert_eq!(
        Versions::of_listing("/app/db/migrate/20230101000000_base.rb\nREADME.rb\n_x.rb\n12a_x.rb\n"),
        Versions(BTreeSet::from(["20230101000000".to_owned()]))
    );
}

#[test]
fn the_listing_tells_environment_and_migrations() {
    let listing = "RAILS_ENV=production\n20230101000000_base.rb\n";
    assert_eq!(environment(listing), "production");
    assert_eq!(Versions::of_listing(listing), Versions::of_listing("20230101000000_base.rb"));
    assert_eq!(environment("RAILS_ENV=\n"), "development");
}
