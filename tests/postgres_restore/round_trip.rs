//! Every object and value comes back as it was, to the same version and to later ones.

use std::process::Command;

use crate::helpers::{Store, TORTURE, differences, named, server, spec, torture, unique};
use crate::support::postgres::Postgres;
use crate::support::{cache, run};

/// `pg_dump --create` of both sides by one program, the target's: what it prints is compared as text. The only thing
/// taken out is the database's name.
fn dump(server: &Postgres, database: &str, by: &str) -> Vec<String> {
    let program = cache().join(format!("pg-{by}/bin/pg_dump"));
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &server.port.to_string(), "-U", "postgres", "--create", database]);
    let lines = without_internal_options(run(&mut command))
        .lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
        .map(|line| line.replace(database, "DATABASE"))
        .collect::<Vec<_>>();
    together(lines)
}

/// PostgreSQL 15.20 keeps an option of its own on every column, which its pg_dump hides and an 18 of before prints.
fn without_internal_options(mut dump: String) -> String {
    while let Some(option) = dump.find(" SET (pg_attver=") {
        let start = dump[..option].rfind("\nALTER ").unwrap() + 1;
        let end = option + dump[option..].find(";\n").unwrap() + 2;
        dump.replace_range(start..end, "");
    }
    dump
}

/// The rows of `hashed_by_mood`'s partitions, sorted as one: where a row lies depends on the oid that its enum's value
/// has there.
fn together(lines: Vec<String>) -> Vec<String> {
    let (mut rest, mut rows, mut inside) = (Vec::new(), Vec::new(), false);
    for line in lines {
        inside = (inside || line.starts_with("COPY public.hashed_by_mood")) && line != "\\.";
        if inside && !line.starts_with("COPY ") {
            rows.push(line);
        } else {
            rest.push(line);
        }
    }
    rows.sort();
    rest.extend(rows);
    rest
}

fn client(version: &str) -> &str {
    if matches!(version, "16" | "18") { version } else { "15" }
}

/// The first lines that differ, with where they stand.
fn assert_same(original: &[String], restored: &[String]) {
    let shown: Vec<String> = original
        .iter()
        .zip(restored)
        .enumerate()
        .filter(|(_, (a, b))| a != b)
        .take(5)
        .map(|(n, (a, b))| format!("line {n}:\n  was {}\n  is  {}", cut(a), cut(b)))
        .collect();
    assert!(
        shown.is_empty() && original.len() == restored.len(),
        "{} lines were, {} are\n{}",
        original.len(),
        restored.len(),
        shown.join("\n")
    );
}

fn cut(line: &str) -> String {
    line.chars().take(300).collect()
}

async fn comes_back_to_itself(version: &'static str) {
    let server = torture(version);
    let spec = spec(server, &format!("database: {TORTURE}, connections: 2"));
    let store = Store::new().await;
    let captured = store.capture(&spec).await;
    let copy = unique("the_copy");
    let restored = store.restore(&captured.tree, &spec, &named(TORTURE, &copy)).await.unwrap();
    assert_eq!(differences(&restored.comparison), Vec::<String>::new());
    assert!(restored.promoted);
    assert!(restored.comparison.compared["rows"] > 21_000, "{:?}", restored.comparison.compared);
    assert_eq!(restored.comparison.compared["large objects"], 204);
    let by = client(version);
    assert_same(&dump(server, TORTURE, by), &dump(server, &copy, by));
}

#[tokio::test(flavor = "multi_thread")]
async fn torture_9_5_comes_back_to_9_5() {
    comes_back_to_itself("9.5").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn torture_9_6_comes_back_to_9_6() {
    comes_back_to_itself("9.6").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn torture_15_comes_back_to_15() {
    comes_back_to_itself("15").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn torture_16_comes_back_to_16() {
    comes_back_to_itself("16").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn torture_18_comes_back_to_18() {
    comes_back_to_itself("18").await;
}

/// Into a later version: pg_dump of that version reads both sides, and each line that differs must be one of those that
/// the version prints otherwise.
async fn comes_back_to_a_later(from: &'static str, to: &'static str) {
    let (source, target) = (torture(from), server(to));
    let store = Store::new().await;
    let captured = store.capture(&spec(source, &format!("database: {TORTURE}"))).await;
    let copy = unique("the_later");
    let restored = store.restore(&captured.tree, &spec(target, ""), &named(TORTURE, &copy)).await.unwrap();
    assert_eq!(differences(&restored.comparison), Vec::<String>::new());
    assert!(restored.promoted);
    let by = client(to);
    let pairs = diff(&dump(source, TORTURE, by), &dump(target, &copy, by));
    let unexpected: Vec<_> = pairs.iter().filter(|(was, is)| !is_the_versions(was, is)).collect();
    assert!(
        unexpected.is_empty(),
        "{} lines differ:\n{:#?}",
        unexpected.len(),
        &unexpected[..unexpected.len().min(20)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn torture_9_5_comes_back_to_15() {
    comes_back_to_a_later("9.5", "15").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn torture_9_5_comes_back_to_18() {
    comes_back_to_a_later("9.5", "18").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn torture_15_comes_back_to_18() {
    comes_back_to_a_later("15", "18").await;
}

/// What versions print otherwise: their own number, settings and types that the older one lacks, view columns without
/// their table's name (16), floating-point numbers in their shortest form (12), triggers' EXECUTE FUNCTION (11), and ALL
/// where it means one privilege more (MAINTAIN, 17).
fn is_the_versions(was: &str, is: &str) -> bool {
    const NEW: [&str; 3] =
        ["    multirange_type_name = ", "SET default_table_access_method = heap;", "SET transaction_timeout = 0;"];
    let without_tables =
        ["many.", "numbers.", "view_one.", "totals."].iter().fold(was.to_owned(), |w, t| w.replace(t, ""));
    (was.starts_with("-- Dumped from database version") && is.starts_with("-- Dumped from database version"))
        || (was.is_empty() && (is.is_empty() || NEW.iter().any(|new| is.starts_with(new))))
        || without_tables == is
        || was.replace("EXECUTE PROCEDURE", "EXECUTE FUNCTION") == is
        || was.replace("SELECT,INSERT,REFERENCES,DELETE,TRIGGER,TRUNCATE,UPDATE", "ALL") == is
        || same_numbers(was, is)
}

/// The same text but for numbers of the same value.
fn same_numbers(was: &str, is: &str) -> bool {
    let is_of_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | '+' | '-');
    let (a, b): (Vec<&str>, Vec<&str>) =
        (was.split(|c| !is_of_number(c)).collect(), is.split(|c| !is_of_number(c)).collect());
    let frame = |text: &str| text.chars().filter(|c| !is_of_number(*c)).collect::<String>();
    // A `real` in nine digits and in fewer is the same number only as a `real`.
    let same = |a: &str, b: &str| {
        a == b
            || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(x), Ok(y)) if x.to_bits() == y.to_bits())
            || (a.len() < 20
                && matches!((a.parse::<f32>(), b.parse::<f32>()), (Ok(x), Ok(y)) if x.to_bits() == y.to_bits()))
    };
    frame(was) == frame(is) && a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| same(a, b))
}

/// Lines that only one side has, paired in their order (`""` where there is no partner).
fn diff(original: &[String], restored: &[String]) -> Vec<(String, String)> {
    let folder = crate::support::Folder::new("diff");
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    std::fs::write(&a, original.join("\n")).unwrap();
    std::fs::write(&b, restored.join("\n")).unwrap();
    let output = Command::new("diff").arg("-a").arg(&a).arg(&b).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (mut pairs, mut left, mut right) = (Vec::new(), Vec::new(), Vec::new());
    let mut flush = |left: &mut Vec<String>, right: &mut Vec<String>| {
        let length = left.len().max(right.len());
        left.resize(length, String::new());
        right.resize(length, String::new());
        pairs.extend(left.drain(..).zip(right.drain(..)));
    };
    for line in text.lines() {
        match line.split_at_checked(2) {
            Some(("< ", line)) => left.push(line.to_owned()),
            Some(("> ", line)) => right.push(line.to_owned()),
            Some(("--", _)) => {}
            _ => flush(&mut left, &mut right),
        }
    }
    flush(&mut left, &mut right);
    pairs
}
