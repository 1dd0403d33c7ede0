//! What types cannot say of a `Stack`: names that are used twice, references that lead nowhere, one of two. Pure.

use std::collections::BTreeSet;

use super::{
    Assertion, DataKind, EvidenceSpec, FreshnessAssertion, Location, Name, PostgresSpec, Reference, SecretSource, Spec,
    SqlAssertion, hooks, notify,
};

/// A field's path and what is wrong there.
type Found = (String, String);

/// All that is wrong with `spec`, in the document's order; its paths are absolute.
pub fn problems(spec: &Spec) -> Vec<Found> {
    let mut found = Vec::new();
    repository(spec, &mut found);
    data(spec, &mut found);
    unprotected(spec, &mut found);
    references(spec, &mut found);
    drill(spec, &mut found);
    phases(spec, &mut found);
    retention(spec, &mut found);
    evidence(spec, &mut found);
    notify::problems(spec, &mut found);
    found
}

fn repository(spec: &Spec, found: &mut Vec<Found>) {
    let repository = &spec.repository;
    if repository.s3.is_some() && matches!(repository.location, Location::Folder(_)) {
        let message = format!("the location {} is a folder; expected an `s3://` location with it", repository.location);
        found.push(("spec.repository.s3".into(), message));
    }
    if let Some(s3) = &repository.s3 {
        if s3.access_key_id.is_some() != s3.secret_access_key.is_some() {
            let message = "expected both `accessKeyId` and `secretAccessKey`, or neither";
            found.push(("spec.repository.s3".into(), message.into()));
        }
        if s3.endpoint.as_deref().is_some_and(|e| !e.starts_with("http://") && !e.starts_with("https://")) {
            let message = "expected a URL, `https://HOST:PORT` or `http://HOST:PORT`";
            found.push(("spec.repository.s3.endpoint".into(), message.into()));
        }
    }
    let limits = &repository.limits;
    let zero = [
        ("upload", limits.upload.is_some_and(|rate| rate.0 == 0)),
        ("download", limits.download.is_some_and(|rate| rate.0 == 0)),
        ("concurrency", limits.concurrency == Some(0)),
    ];
    for (name, _) in zero.iter().filter(|(_, is_zero)| *is_zero) {
        found
            .push((format!("spec.repository.limits.{name}"), "expected more than 0; leave it out for no limit".into()));
    }
}

fn data(spec: &Spec, found: &mut Vec<Found>) {
    if spec.data.is_empty() {
        found.push(("spec.data".into(), "expected at least one data set".into()));
    }
    twice(spec.data.iter().map(|set| &set.name), "spec.data", "data set", found);
    for (n, set) in spec.data.iter().enumerate() {
        hooks::problems(set, &format!("spec.data[{n}]"), found);
        let field = format!("spec.data[{n}].{}", set.kind.word());
        match &set.kind {
            DataKind::Postgres(postgres) => postgres_server(postgres, &field, found),
            DataKind::Redis(redis) => port(redis.port, &field, found),
            DataKind::Volume(volume) => {
                one_of_two(("path", volume.path.is_some()), ("claim", volume.claim.is_some()), &field, found);
                if let (Some(folder), Location::Folder(location)) = (&volume.path, &spec.repository.location)
                    && (location.starts_with(folder) || folder.starts_with(location))
                {
                    let message = format!(
                        "the folder {} and the repository {} lie in one another; expected a repository elsewhere",
                        folder.display(),
                        location.display()
                    );
                    found.push((format!("{field}.path"), message));
                }
            }
        }
    }
}

fn postgres_server(postgres: &PostgresSpec, field: &str, found: &mut Vec<Found>) {
    one_of_two(("database", postgres.database.is_some()), ("databases", !postgres.databases.is_empty()), field, found);
    let mut seen = BTreeSet::new();
    for (n, name) in postgres.databases.iter().enumerate() {
        if !seen.insert(name) {
            found.push((format!("{field}.databases[{n}]"), format!("`{name}` is listed twice")));
        }
    }
    port(postgres.port, field, found);
    // A server has 100 connections unless told otherwise; the application needs them more than we do.
    if !(1..=16).contains(&postgres.connections) {
        found.push((format!("{field}.connections"), "expected 1 to 16".into()));
    }
}

fn port(port: u16, field: &str, found: &mut Vec<Found>) {
    if port == 0 {
        found.push((format!("{field}.port"), "expected 1 to 65535".into()));
    }
}

fn unprotected(spec: &Spec, found: &mut Vec<Found>) {
    for (n, entry) in spec.unprotected.iter().enumerate() {
        let field = format!("spec.unprotected[{n}]");
        let said = [entry.claim.is_some(), entry.path.is_some(), entry.workload.is_some()];
        if said.iter().filter(|said| **said).count() != 1 {
            found.push((field.clone(), "expected exactly one of `claim`, `path` and `workload`".into()));
        }
        if entry.workload.as_ref().is_some_and(|workload| !workload.contains('/')) {
            found.push((format!("{field}.workload"), "expected kind and name: `StatefulSet/cache`".into()));
        }
        if entry.reason.trim().is_empty() {
            found.push((format!("{field}.reason"), "expected the reason why it is left out".into()));
        }
    }
}

fn references(spec: &Spec, found: &mut Vec<Found>) {
    for (n, reference) in spec.references.iter().enumerate() {
        let field = format!("spec.references[{n}].{}", reference.word());
        names_a(spec, "postgres", &reference.pair().database, &format!("{field}.database"), found);
        names_a(spec, "volume", &reference.pair().volume, &format!("{field}.volume"), found);
        database_name(spec, reference, &field, found);
        if reference.pair().folder.as_ref().is_some_and(|folder| !stays_inside(folder)) {
            let message = "expected a folder below the volume's root, without `..`";
            found.push((format!("{field}.folder"), message.into()));
        }
        if matches!(reference, Reference::StrapiUploads(pair) if pair.service.is_some()) {
            let message = "expected only with `activeStorage`; Strapi's rows say `provider`, and `local` is compared";
            found.push((format!("{field}.service"), message.into()));
        }
    }
}

fn stays_inside(folder: &std::path::Path) -> bool {
    folder.components().all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir))
}

fn database_name(spec: &Spec, reference: &Reference, field: &str, found: &mut Vec<Found>) {
    let pair = reference.pair();
    one_database(spec, &pair.database, pair.database_name.as_deref(), "databaseName", field, found);
}

/// Of several databases one must be named, and it must be one of them.
fn one_database(spec: &Spec, data: &Name, named: Option<&str>, word: &str, field: &str, found: &mut Vec<Found>) {
    let Some(DataKind::Postgres(postgres)) = spec.data.iter().find(|s| s.name == *data).map(|s| &s.kind) else {
        return;
    };
    let names: Vec<&String> = postgres.database.iter().chain(&postgres.databases).collect();
    let list = || names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match named {
        Some(name) if !names.iter().any(|known| *known == name) => {
            let message = format!("data set `{data}` has no database `{name}`; expected one of {}", list());
            found.push((format!("{field}.{word}"), message));
        }
        None if names.len() > 1 => {
            let message = format!("data set `{data}` has several databases; expected `{word}`, one of {}", list());
            found.push((field.to_owned(), message));
        }
        _ => {}
    }
}

fn drill(spec: &Spec, found: &mut Vec<Found>) {
    for (n, assertion) in spec.drill.assertions.iter().enumerate() {
        let field = format!("spec.drill.assertions[{n}].{}", assertion.word());
        if let (Some(name), Some(kind)) = (assertion.data(), assertion.kind()) {
            names_a(spec, kind, name, &format!("{field}.data"), found);
            if kind == "postgres" {
                one_database(spec, name, assertion.database(), "database", &field, found);
            }
        }
        if let Some(bounds) = assertion.bounds() {
            check_bounds(bounds, &field, found);
        }
        let empty = |text: &str| text.trim().is_empty();
        match assertion {
            Assertion::Sql(SqlAssertion { query, .. }) | Assertion::Freshness(FreshnessAssertion { query, .. })
                if empty(query) =>
            {
                found.push((format!("{field}.query"), "expected a query with one value".into()));
            }
            Assertion::Rows(rows) if empty(&rows.table) => {
                found.push((format!("{field}.table"), "expected a table, such as `messages`".into()));
            }
            Assertion::Keys(keys) if keys.pattern.is_empty() => {
                found.push((format!("{field}.pattern"), "expected a pattern, such as `session:*`".into()));
            }
            Assertion::Files(files) => {
                if let Err(error) = globset::Glob::new(&files.pattern) {
                    found.push((format!("{field}.pattern"), format!("no pattern for files: {}", error.kind())));
                } else if files.pattern.trim_matches('/').is_empty() {
                    found.push((format!("{field}.pattern"), "expected a pattern, such as `*.png`".into()));
                }
            }
            Assertion::Command(command) => {
                if command.run.first().is_none_or(|program| empty(program)) {
                    found.push((format!("{field}.run"), "expected a program and its arguments as a list".into()));
                }
                if command.timeout.is_some_and(|timeout| timeout.is_zero()) {
                    found.push((format!("{field}.timeout"), "expected more than 0".into()));
                }
            }
            _ => {}
        }
    }
    if spec.drill.statement_timeout.is_some_and(|timeout| timeout.is_zero()) {
        found.push(("spec.drill.statementTimeout".into(), "expected more than 0".into()));
    }
    for (n, name) in spec.drill.start.iter().enumerate() {
        if !spec.phases.iter().flat_map(|phase| &phase.components).any(|component| component.name == *name) {
            let message = format!("no phase has a component `{name}`");
            found.push((format!("spec.drill.start[{n}]"), message));
        }
    }
}

fn check_bounds((min, max): (Option<u64>, Option<u64>), field: &str, found: &mut Vec<Found>) {
    match (min, max) {
        (None, None) => {
            found.push((field.to_owned(), "neither `min` nor `max` is given; expected at least one of them".into()));
        }
        (Some(min), Some(max)) if min > max => {
            found.push((format!("{field}.max"), format!("expected at least `min`, which is {min}")));
        }
        _ => {}
    }
}

fn phases(spec: &Spec, found: &mut Vec<Found>) {
    twice(spec.phases.iter().map(|phase| &phase.name), "spec.phases", "phase", found);
    let mut seen = BTreeSet::new();
    for (n, phase) in spec.phases.iter().enumerate() {
        for (m, component) in phase.components.iter().enumerate() {
            let field = format!("spec.phases[{n}].components[{m}]");
            if !seen.insert(&component.name) {
                let message = format!("the component name `{}` is used twice", component.name);
                found.push((format!("{field}.name"), message));
            }
            let parts = component.workload.split_once('/');
            if !parts.is_some_and(|(kind, name)| !kind.is_empty() && name.parse::<Name>().is_ok()) {
                let message =
                    format!("`{}` is no workload: expected for example `Deployment/kong`", component.workload);
                found.push((format!("{field}.workload"), message));
            }
            for (k, name) in component.data.iter().enumerate() {
                if !spec.data.iter().any(|set| set.name == *name) {
                    found.push((format!("{field}.data[{k}]"), no_data_set(spec, name)));
                }
            }
        }
    }
}

fn retention(spec: &Spec, found: &mut Vec<Found>) {
    let Some(retention) = &spec.retention else { return };
    if !retention.keeps() && retention.max_age.is_none() {
        let message = "no rule keeps anything; expected at least one, such as `keepLast: 7`";
        found.push(("spec.retention".into(), message.into()));
    }
    if let (Some(within), Some(age)) = (retention.keep_within, retention.max_age)
        && within > age
    {
        let message = "`keepWithin` is longer than `maxAge`, which wins; expected it not to be";
        found.push(("spec.retention.keepWithin".into(), message.into()));
    }
}

fn evidence(spec: &Spec, found: &mut Vec<Found>) {
    if let (Some(EvidenceSpec { key: SecretSource::FromFile(key) }), Location::Folder(location)) =
        (&spec.evidence, &spec.repository.location)
        && key.starts_with(location)
    {
        let message =
            format!("the key {} lies in the store {}; expected it elsewhere", key.display(), location.display());
        found.push(("spec.evidence.key".into(), message));
    }
}

fn one_of_two(a: (&str, bool), b: (&str, bool), field: &str, found: &mut Vec<Found>) {
    let message = match (a.1, b.1) {
        (true, true) => format!("both `{}` and `{}` are given; expected exactly one of them", a.0, b.0),
        (false, false) => format!("neither `{}` nor `{}` is given; expected exactly one of them", a.0, b.0),
        _ => return,
    };
    found.push((field.to_owned(), message));
}

fn twice<'a>(names: impl Iterator<Item = &'a Name>, field: &str, what: &str, found: &mut Vec<Found>) {
    let mut seen = BTreeSet::new();
    for (n, name) in names.enumerate() {
        if !seen.insert(name) {
            found.push((format!("{field}[{n}].name"), format!("the {what} name `{name}` is used twice")));
        }
    }
}

fn names_a(spec: &Spec, kind: &str, name: &Name, field: &str, found: &mut Vec<Found>) {
    let message = match spec.data.iter().find(|set| set.name == *name) {
        None => no_data_set(spec, name),
        Some(set) if set.kind.word() != kind => {
            format!("data set `{name}` is a {}; expected one that is a {kind}", set.kind.word())
        }
        Some(_) => return,
    };
    found.push((field.to_owned(), message));
}

fn no_data_set(spec: &Spec, name: &Name) -> String {
    let names: Vec<String> = spec.data.iter().map(|set| format!("`{}`", set.name)).collect();
    format!("there is no data set `{name}`; expected one of {}", names.join(", "))
}
