use super::*;

/// A database with `rows` of (subsystem, executed, pending), unlocked.
fn database(rows: &[(&str, &[&str], &[&str])]) -> Database {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let row = |(subsystem, executed, pending): &(&str, &[&str], &[&str])| {
        ((*subsystem).to_owned(), Recorded { executed: set(executed), pending: set(pending) })
    };
    Database { schema_meta: Some(rows.iter().map(row).collect()), has_locks: true, ..Database::default() }
}

fn parts(all: &[(&str, &[&str])]) -> Vec<Subsystem> {
    let part = |(subsystem, names): &(&str, &[&str])| Subsystem {
        subsystem: (*subsystem).to_owned(),
        migrations: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    all.iter().map(part).collect()
}

fn status(executed: &[(&str, &[&str])], pending: &[(&str, &[&str])], new: &[(&str, &[&str])]) -> Status {
    Status {
        needs_bootstrap: false,
        executed_migrations: parts(executed),
        pending_migrations: parts(pending),
        missing_migrations: Vec::new(),
        new_migrations: parts(new),
    }
}

fn next(database: &Database, status: &Status, goal: Goal) -> Result<Next, Refused> {
    decide(&Facts { database, status, list: None, lock_is_abandoned: false }, goal, None)
}

const CORE: &[&str] = &["000_base", "016_280_to_300"];

#[test]
fn an_empty_database_is_bootstrapped_and_one_that_was_not_empty_is_not() {
    let (empty, nothing) = (Database::default(), Status { needs_bootstrap: true, ..Status::default() });
    let facts = Facts { database: &empty, status: &nothing, list: Some(3), lock_is_abandoned: false };
    assert_eq!(decide(&facts, Goal::Finished, None), Ok(Next::Run(Command::Bootstrap)));
    let vanished = decide(&facts, Goal::Finished, Some("3.9.1")).unwrap_err();
    assert_eq!(vanished.to_string(), "the database holds nothing of Kong, but a former release migrated it to 3.9.1");
    assert_eq!(
        vanished.hint().unwrap(),
        "look whether this is the right database; if its data is lost, restore a recovery point"
    );
    let ancient = Database { is_before_one: true, ..Database::default() };
    let facts = Facts { database: &ancient, ..facts };
    assert_eq!(decide(&facts, Goal::Finished, None), Err(Refused::BeforeOne));
}

#[test]
fn an_interrupted_bootstrap_is_completed_wherever_it_was_cut_off() {
    let all: &[(&str, &[&str])] = &[("core", &["000_base", "016_280_to_300"]), ("acme", &["000_base_acme"])];
    // Before `locks` was made: bootstrap would say "already bootstrapped", and `up` would fail for want of the table.
    let bare = Database { has_locks: false, ..database(&[]) };
    assert_eq!(next(&bare, &status(&[], &[], all), Goal::Finished), Ok(Next::Mend(Mend::CreateLocks)));
    // Before the first migration.
    assert_eq!(next(&database(&[]), &status(&[], &[], all), Goal::Finished), Ok(Next::Run(Command::Up)));
    // Between a migration and its teardown: `up` would refuse.
    let half = database(&[("core", &["000_base"], &["016_280_to_300"])]);
    let seen = status(&[("core", &["000_base"])], &[("core", &["016_280_to_300"])], &[("acme", &["000_base_acme"])]);
    assert_eq!(next(&half, &seen, Goal::Finished), Ok(Next::Run(Command::Finish)));
    let torn_down = database(&[("core", CORE, &[])]);
    let seen = status(&[("core", CORE)], &[], &[("acme", &["000_base_acme"])]);
    assert_eq!(next(&torn_down, &seen, Goal::Finished), Ok(Next::Run(Command::Up)));
    let whole = database(&[("core", CORE, &[]), ("acme", &["000_base_acme"], &[])]);
    assert_eq!(next(&whole, &status(all, &[], &[]), Goal::Finished), Ok(Next::Done));
    for (database, status, holds) in [(&bare, status(&[], &[], all), false), (&whole, status(all, &[], &[]), true)] {
        assert_eq!(Command::Bootstrap.holds(database, &status), holds, "whatever its exit code was");
    }
}

#[test]
fn between_up_and_finish_both_versions_run() {
    let old = database(&[("core", CORE, &[])]);
    let seen = status(&[("core", CORE)], &[], &[("core", &["023_360_to_370"])]);
    assert_eq!(next(&old, &seen, Goal::Expanded), Ok(Next::Run(Command::Up)));
    assert!(!Command::Up.holds(&old, &seen), "another node held the lock: exit code 0, and nothing has happened");
    let expanded = database(&[("core", CORE, &["023_360_to_370"])]);
    let seen = status(&[("core", CORE)], &[("core", &["023_360_to_370"])], &[]);
    assert!(Command::Up.holds(&expanded, &seen));
    assert_eq!(next(&expanded, &seen, Goal::Expanded), Ok(Next::Done));
    assert_eq!(next(&expanded, &seen, Goal::Finished), Ok(Next::Run(Command::Finish)));
    assert!(!Command::Finish.holds(&expanded, &seen));
}

#[test]
fn a_forgotten_finish_is_not_done_under_nodes_that_need_it_undone() {
    let forgotten = database(&[("core", CORE, &["023_360_to_370"])]);
    let seen = status(&[("core", CORE)], &[("core", &["023_360_to_370"])], &[("core", &["024_380_to_390"])]);
    let refused = next(&forgotten, &seen, Goal::Expanded).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "core 023_360_to_370 still wait for `kong migrations finish`, and `up` refuses to run before it"
    );
    assert_eq!(
        refused.hint().unwrap(),
        "once no node of the version before the last `up` runs: kong migrations finish"
    );
    assert_eq!(next(&forgotten, &seen, Goal::Finished), Ok(Next::Run(Command::Finish)), "with everything fenced");
}

#[test]
fn who_holds_the_lock_is_waited_for_and_a_dead_one_is_not() {
    let lock = Lock { owner: "8f1c".into(), until: "2026-11-24T03:30:00Z".parse().unwrap() };
    let locked = Database { lock: Some(lock.clone()), ..database(&[("core", &["000_base"], &[])]) };
    let seen = status(&[("core", &["000_base"])], &[], &[("core", &["016_280_to_300"])]);
    assert_eq!(next(&locked, &seen, Goal::Expanded), Ok(Next::Wait(lock.clone())));
    let facts = Facts { database: &locked, status: &seen, list: Some(5), lock_is_abandoned: true };
    assert_eq!(decide(&facts, Goal::Expanded, None), Ok(Next::Mend(Mend::Unlock(lock))));
    let done = status(&[("core", &["000_base"])], &[], &[]);
    assert_eq!(next(&locked, &done, Goal::Finished), Ok(Next::Done), "nobody waits who has nothing to do");
}

#[test]
fn a_newer_database_is_refused_which_kong_itself_does_not_notice() {
    let newer = database(&[("core", &["000_base", "016_280_to_300", "024_380_to_390"], &["025_390_to_3100"])]);
    let seen = status(&[("core", CORE)], &[], &[]);
    let refused = next(&newer, &seen, Goal::Finished).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the database was migrated by a newer Kong than this image: it does not know core 024_380_to_390, core 025_390_to_3100"
    );
    assert_eq!(refused.category(), Category::Usage);
    // A build that lists them as missing says the same.
    let listed = Status { missing_migrations: parts(&[("core", &["024_380_to_390"])]), ..seen.clone() };
    assert!(matches!(next(&newer, &listed, Goal::Finished), Err(Refused::Newer(_))));
    // What a plugin left that is switched off now is no sign of it.
    let switched_off = database(&[("core", CORE, &[]), ("acme", &["000_base_acme"], &[])]);
    assert_eq!(next(&switched_off, &seen, Goal::Finished), Ok(Next::Done));
}

#[test]
fn a_hole_in_the_history_is_for_a_person() {
    let holed = database(&[("core", &["000_base", "020_330_to_340"], &[])]);
    let mut seen = status(&[("core", &["000_base", "020_330_to_340"])], &[], &[]);
    seen.missing_migrations = parts(&[("core", &["016_280_to_300"])]);
    let refused = next(&holed, &seen, Goal::Finished).unwrap_err();
    assert_eq!(refused, Refused::Gap("core 016_280_to_300".into()));
    assert_eq!(refused.category(), Category::NeedsOperator);
}

#[test]
fn a_gate_and_a_job_that_see_different_databases_are_found_out() {
    let seen = status(&[("core", CORE)], &[], &[]);
    let said = |database: &Database, status: &Status, list| {
        let facts = Facts { database, status, list, lock_is_abandoned: false };
        decide(&facts, Goal::Finished, None).unwrap_err().to_string()
    };
    assert_eq!(
        said(&Database::default(), &seen, None),
        "the gate and the Job look at different databases: the gate's has no table schema_meta, the Job sees one"
    );
    let nothing = Status { needs_bootstrap: true, ..Status::default() };
    assert_eq!(
        said(&database(&[("core", CORE, &[])]), &nothing, Some(3)),
        "the gate and the Job look at different databases: the gate's has a table schema_meta, the Job sees none"
    );
    assert_eq!(
        said(&database(&[("core", CORE, &[])]), &seen, Some(5)),
        "the gate and the Job look at different databases: `list` ends with 5 where `status` stands for 0"
    );
}

#[test]
fn the_locks_life_is_longer_than_the_jobs() {
    assert_eq!(
        Command::Up.arguments(Duration::from_secs(1_800)),
        ["kong", "migrations", "up", "--db-timeout", "1800", "--lock-timeout", "1920"]
    );
    assert_eq!(Command::Finish.arguments(Duration::ZERO)[4], "60", "never below the default");
}

#[test]
fn the_status_is_read_as_kong_prints_it() {
    let output = "2026/11/24 03:00:00 [debug] {not json}\n\
        {\"new_migrations\":[{\"namespace\":\"kong.db.migrations.core\",\"subsystem\":\"core\",\"migrations\":[\"024_380_to_390\"]}],\
        \"missing_migrations\":[{\"subsystem\":\"acme\",\"migrations\":[{\"name\":\"003_350_to_360\",\"postgres\":{\"up\":\"…\"}}]}],\
        \"executed_migrations\":[{\"subsystem\":\"core\",\"migrations\":{}}],\"needs_bootstrap\":false}\n";
    let status = Status::parse(output).unwrap();
    assert_eq!(status.new_migrations, parts(&[("core", &["024_380_to_390"])]));
    assert_eq!(status.missing_migrations, parts(&[("acme", &["003_350_to_360"])]));
    assert_eq!(status.executed_migrations, parts(&[("core", &[])]));
    assert_eq!(
        Status::parse("Error: connection refused").unwrap_err().to_string(),
        "`kong migrations status` printed no state of migrations"
    );
    let odd = Status::parse("{\"needs_bootstrap\":1}").unwrap_err().to_string();
    assert!(odd.starts_with("`kong migrations status` printed no state of migrations: invalid type: integer"), "{odd}");
}
