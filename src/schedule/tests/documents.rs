use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::failure::{Category, Failure};
use crate::stack::{MaxUnused, Name, ReadData, Stack};

#[test]
fn a_small_document_is_enough() {
    let Spec { operation, stacks, timing, jitter, concurrency_policy, starting_deadline, suspend, history } =
        schedule("15 2 * * *", "").spec;
    assert_eq!(operation, Operation::Snapshot(Snapshot::default()));
    assert_eq!((stacks, timing.cron.as_str(), timing.zone.name()), (None, "15 2 * * *", "UTC"));
    assert_eq!((jitter, starting_deadline, suspend), (Duration::ZERO, None, false));
    assert_eq!(concurrency_policy, ConcurrencyPolicy::Forbid);
    assert_eq!(history, History { successful: 100, failed: 100 });
}

#[test]
fn every_field_there_is_can_be_read() {
    let text = include_str!("../../../tests/fixtures/formats/schedule.v1alpha1.yaml");
    let parsed = parse(Path::new("all.yaml"), text);
    assert_eq!(parsed.problems, []);
    let [snapshot, drill, check, sample, forget] = parsed.schedules.as_slice() else { panic!("{parsed:?}") };
    let name = |text: &str| -> Name { text.parse().unwrap() };
    let Spec { operation, stacks, timing, jitter, concurrency_policy, starting_deadline, suspend, history } =
        &snapshot.spec;
    assert_eq!(snapshot.name.as_str(), "databases-hourly");
    assert_eq!((snapshot.place.line, snapshot.place.column), (5, 3));
    assert_eq!(
        *operation,
        Operation::Snapshot(Snapshot { data: vec![name("chatwoot-db"), name("kong-db")], reread: true })
    );
    assert_eq!(*stacks, Some(vec![name("papg"), name("shop")]));
    assert_eq!((timing.cron.as_str(), timing.zone.name()), ("5 * * * mon-fri", "Europe/Berlin"));
    assert_eq!((*jitter, *starting_deadline), (Duration::from_secs(600), Some(Duration::from_secs(2_700))));
    assert_eq!((*concurrency_policy, *suspend), (ConcurrencyPolicy::Replace, true));
    assert_eq!(*history, History { successful: 200, failed: 400 });
    let month = Duration::from_secs(30 * 86_400);
    assert_eq!(
        drill.spec.operation,
        Operation::Drill(Drill { point: DrillPoint::Random(month), data: vec![name("kong-db")] })
    );
    assert_eq!(drill.spec.concurrency_policy, ConcurrencyPolicy::Queue);
    assert_eq!(check.spec.operation, Operation::Check(Check { read_data: true, read_data_subset: None }));
    let part = Some(ReadData::Percent(2.5));
    assert_eq!(sample.spec.operation, Operation::Check(Check { read_data: false, read_data_subset: part }));
    let unused = Some(MaxUnused::Percent(10.0));
    assert_eq!(forget.spec.operation, Operation::ForgetAndPrune(ForgetAndPrune { max_unused: unused }));
    let said: Vec<String> = parsed.schedules.iter().map(|schedule| schedule.spec.operation.to_string()).collect();
    assert_eq!(
        said,
        [
            "snapshot --data chatwoot-db,kong-db --reread",
            "drill --point random:30d --data kong-db",
            "check --read-data",
            "check --read-data-subset 2.5%",
            "forget, prune --max-unused 10%",
        ]
    );
}

/// What to replace in the good document, and by what.
const BROKEN: &[(&str, &str, &str)] = &[
    ("unknown field", "cron:", "crom:"),
    ("unknown field of an option", "{snapshot: {}}", "{snapshot: {dtaa: [db]}}"),
    ("unknown operation", "{snapshot: {}}", "{backup: {}}"),
    ("two operations", "{snapshot: {}}", "{snapshot: {}, check: {}}"),
    ("an operation without its value", "{snapshot: {}}", "\n    snapshot:"),
    ("no operation", "  operation: {snapshot: {}}\n", ""),
    ("an operation without braces", "{snapshot: {}}", "snapshot"),
    ("no time", "  cron: 15 2 * * *\n", ""),
    ("a day that never comes", "15 2 * * *", "0 0 30 2 *"),
    ("an hour that never comes", "15 2 * * *", "15 26 * * *"),
    ("stars without quotes", "15 2 * * *", "*/15 2 * * *"),
    ("five stars without quotes", "15 2 * * *", "* * * * *"),
    ("cron and zone wrong at once", "15 2 * * *", "15 2 * *\n  timeZone: Europe/Berln"),
    ("a zone by its city", "15 2 * * *", "15 2 * * *\n  timeZone: berlin"),
    ("an offset for a zone", "15 2 * * *", "15 2 * * *\n  timeZone: '+02:00'"),
    ("no zone", "15 2 * * *", "15 2 * * *\n  timeZone: ''"),
    ("a wrong policy", "15 2 * * *", "15 2 * * *\n  concurrencyPolicy: allow"),
    ("a wrong duration", "15 2 * * *", "15 2 * * *\n  jitter: 10 minutes"),
    ("too much jitter", "15 2 * * *", "15 2 * * *\n  jitter: 2d"),
    ("too punctual", "15 2 * * *", "15 2 * * *\n  startingDeadline: 1s"),
    ("no history", "15 2 * * *", "15 2 * * *\n  history: {successful: 0, failed: 0}"),
    ("no stacks", "15 2 * * *", "15 2 * * *\n  stacks: []"),
    ("a stack twice", "15 2 * * *", "15 2 * * *\n  stacks: [a, b, a]"),
    ("a wrong point", "{snapshot: {}}", "{drill: {point: newest}}"),
    ("a point of no age", "{snapshot: {}}", "{drill: {point: 'random:0s'}}"),
    ("all and a part", "{snapshot: {}}", "{check: {readData: true, readDataSubset: 5%}}"),
    ("a wrong part", "{snapshot: {}}", "{check: {readDataSubset: most}}"),
    ("a wrong limit", "{snapshot: {}}", "{forgetAndPrune: {maxUnused: some}}"),
    ("a bad name", "name: nightly", "name: Nightly"),
    ("a name like an instant", "name: nightly", "name: x-20261124t021500z"),
    ("a newer version", "v1alpha1", "v1"),
    ("a kind misspelt", "kind: Schedule", "kind: Schedul"),
    ("someone else's kind", "drydock.dev/v1alpha1", "velero.io/v1"),
    ("no kind", "kind: Schedule\n", ""),
    ("not YAML", "{name: nightly}", "{name: nightly"),
];

#[test]
fn what_is_wrong_is_said_with_line_field_and_what_was_expected() {
    let mut golden = String::new();
    for (title, from, to) in BROKEN {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{title} changes nothing");
        let parsed = parse(Path::new("a.yaml"), &text);
        assert!(parsed.schedules.is_empty() && !parsed.problems.is_empty(), "{title}: {parsed:?}");
        writeln!(golden, "# {title}").unwrap();
        for problem in parsed.problems {
            writeln!(golden, "{problem}").unwrap();
        }
    }
    insta::assert_snapshot!("refusals", golden);
}

#[test]
fn other_documents_are_left_alone_and_every_schedule_of_a_file_is_read() {
    let text = format!(
        "kind: ConfigMap\napiVersion: v1\n---\n{GOOD}---\nkind: Stack\napiVersion: drydock.dev/v1alpha1\n---\n{}",
        GOOD.replace("nightly", "second")
    );
    let parsed = parse(Path::new("a.yaml"), &text);
    let found: Vec<_> = parsed.schedules.iter().map(|s| (s.name.as_str(), s.place.line)).collect();
    assert_eq!((found, parsed.problems), (vec![("nightly", 6), ("second", 16)], vec![]));
    let stack_only = parse(Path::new("a.yaml"), "kind: Stack\napiVersion: drydock.dev/v1alpha1\n");
    assert_eq!(
        (stack_only.schedules.len(), stack_only.problems.len()),
        (0, 0),
        "the folder of stack.yaml may be given"
    );
}

#[test]
fn every_problem_of_every_file_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("a.yaml", GOOD);
    write("b.yml", &format!("{}---\n{}", GOOD.replace("15 2", "15 26"), GOOD.replace("cron:", "crom:")));
    write("c.yaml", &format!("# a comment\n{GOOD}"));
    write("d.yaml", "{");
    write("notes.txt", "{");
    write(".hidden.yaml", "{");
    std::fs::create_dir(folder.path().join("folder.yaml")).unwrap();
    std::fs::write(folder.path().join("latin1.yaml"), b"# \xe4\n").unwrap();
    let error = load(folder.path()).unwrap_err();
    assert_eq!(error.category(), Category::Usage);
    let said = error.to_string().replace(&format!("{}/", folder.path().display()), "");
    insta::assert_snapshot!("folder", said);
}

#[test]
fn a_folder_gives_its_schedules_by_name() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(load(folder.path()).unwrap(), []);
    std::fs::write(folder.path().join("1.yaml"), GOOD.replace("nightly", "weekly")).unwrap();
    std::fs::write(folder.path().join("2.yaml"), GOOD).unwrap();
    let loaded = load(folder.path()).unwrap();
    let found: Vec<_> =
        loaded.iter().map(|s| (s.name.as_str(), s.file.file_name().unwrap().to_str().unwrap())).collect();
    assert_eq!(found, [("nightly", "2.yaml"), ("weekly", "1.yaml")]);
    let error = load(&folder.path().join("nothing")).unwrap_err();
    assert!(error.to_string().ends_with("/nothing") && error.hint().unwrap().contains("--schedules DIR"), "{error}");
}

#[test]
fn what_a_stack_lacks_is_said() {
    let document = "apiVersion: drydock.dev/v1alpha1\nkind: Stack\nmetadata: {name: shop}\nspec:\n  \
                    repository: {location: /r, password: {fromEnv: P}}\n  data: [{name: db, volume: {path: /db}}]\n";
    let stack = Stack::parse(Path::new("stack.yaml"), &PathBuf::from("/"), document).unwrap();
    let misfits = |operation: &str| {
        let text = GOOD.replace("{snapshot: {}}", operation);
        parse(Path::new("a.yaml"), &text).schedules.remove(0).spec.operation.misfits(&stack)
    };
    assert_eq!(misfits("{snapshot: {data: [db]}}"), [""; 0]);
    assert_eq!(misfits("{drill: {data: [db, cache]}}"), ["the stack `shop` has no data set `cache`"]);
    assert_eq!(misfits("{forgetAndPrune: {}}"), ["the stack `shop` has no `retention` that says what to keep"]);
}
