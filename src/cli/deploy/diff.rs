//! `drydock diff`

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::Value;

use super::target::{self, Input, Target};
use crate::cli::Done;
use crate::cli::output;
use crate::cli::session::Session;
use crate::cluster::{Applying, Change, Cluster, ClusterError, FieldChange, Manifest, changes};
use crate::deploy::{DeployError, Release, acting, check, leave_to_them};
use crate::failure::{Category, Failure};
use crate::stack::Stack;

/// Requests under way at a time.
const TOGETHER: usize = 16;

/// Show what a deploy would change, object by object; what Secrets hold is masked
///
/// The API server itself is asked what it would make of each object, with defaults and admission, and changes nothing.
/// Exit code 2 when it would refuse one.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock diff -f stack.yaml
  kustomize build overlays/production | drydock diff -f stack.yaml --release -
  drydock diff -f stack.yaml -o json | jq '.objects[] | select(.change != \"unchanged\") | .object'")]
pub struct Args {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    target: Target,
}

pub async fn run(args: &Args, session: &Session) -> Done {
    show(&args.input, &args.target, session, &session.stack()?).await
}

/// What `diff` prints, and `deploy --dry-run`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Diff {
    digest: String,
    namespace: String,
    objects: Vec<Line>,
    /// Green for what comes, yellow for what changes, red for what goes or is refused.
    #[serde(skip)]
    paints: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    phase: String,
    object: String,
    origin: String,
    /// None where the API server would refuse it.
    change: Option<Change>,
    fields: Vec<FieldChange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

pub async fn show(input: &Input, target: &Target, session: &Session, stack: &Stack) -> Done {
    let mut release = input.read(stack)?;
    let own = target.connect().await?;
    let namespace = target::namespace(stack, &own);
    check(&release, stack, &namespace)?;
    let digest = release.digest();
    leave_to_them(&mut release);
    let cluster = acting(&own, stack, &namespace)?;
    let coming = Coming::of(&release);
    let all: Vec<(&String, &Manifest)> =
        release.phases.iter().flat_map(|phase| phase.manifests.iter().map(|one| (&phase.name, one))).collect();
    let objects: Vec<Line> = stream::iter(all.into_iter().map(|(phase, manifest)| {
        let (cluster, namespace, coming) = (&cluster, &namespace, &coming);
        async move { line(cluster, namespace, phase, manifest, coming).await }
    }))
    .buffered(TOGETHER)
    .try_collect()
    .await?;
    let refused = objects.iter().any(|line| line.refused.is_some());
    session
        .print_with(&Diff { digest, namespace, objects, paints: session.paints() }, refused.then_some(Category::Usage))
}

/// What the release itself brings and others of its objects need.
struct Coming {
    kinds: BTreeSet<String>,
    namespaces: BTreeSet<String>,
}

impl Coming {
    fn of(release: &Release) -> Self {
        let of = |kind: &'static str| release.manifests().filter(move |one| one.id.kind == kind);
        let kinds = of("CustomResourceDefinition").filter_map(|one| one.value["spec"]["names"]["kind"].as_str());
        Self {
            kinds: kinds.map(str::to_owned).collect(),
            namespaces: of("Namespace").map(|one| one.id.name.clone()).collect(),
        }
    }

    fn explains(&self, error: &ClusterError, namespace: &str) -> bool {
        match error {
            ClusterError::UnknownKind { id } => self.kinds.contains(&id.kind),
            ClusterError::Namespace { id, .. } => {
                self.namespaces.contains(id.namespace.as_deref().unwrap_or(namespace))
            }
            _ => false,
        }
    }
}

async fn line(
    cluster: &Cluster,
    namespace: &str,
    phase: &str,
    manifest: &Manifest,
    coming: &Coming,
) -> Result<Line, DeployError> {
    let how = Applying { namespace, force: false, dry_run: true };
    let (phase, object, origin) = (phase.to_owned(), manifest.id.to_string(), manifest.origin.to_string());
    let mut line = Line { phase, object, origin, change: None, fields: Vec::new(), refused: None, hint: None };
    match cluster.apply(manifest, how).await {
        Ok(applied) => {
            line.change = Some(applied.change);
            line.fields = changes(&applied.former.unwrap_or_default(), &applied.live);
        }
        Err(error) if coming.explains(&error, namespace) => line.change = Some(Change::Created),
        Err(error @ (ClusterError::Unreachable { .. } | ClusterError::Busy { .. } | ClusterError::Other { .. })) => {
            return Err(error.into());
        }
        Err(error) => (line.refused, line.hint) = (Some(error.to_string()), error.hint()),
    }
    Ok(line)
}

/// SGR codes of ECMA-48.
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

impl Diff {
    fn painted(&self, text: &str, color: &str) -> String {
        if self.paints { format!("\x1b[{color}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl output::Shown for Diff {
    fn text(&self) -> String {
        let mut text = String::new();
        let mut unchanged = 0;
        for line in &self.objects {
            let (mark, color) = match line.change {
                Some(Change::Unchanged) => {
                    unchanged += 1;
                    continue;
                }
                Some(Change::Created) => ("+", GREEN),
                Some(Change::Changed) => ("~", YELLOW),
                None => ("!", RED),
            };
            let object = self.painted(&format!("{mark} {}", line.object), color);
            text += &format!("{object} ({}, {})\n", line.phase, line.origin);
            for field in &line.fields {
                let from = self.painted(&side(field.from.as_ref()), RED);
                let to = self.painted(&side(field.to.as_ref()), GREEN);
                text += &format!("    {}: {from} -> {to}\n", field.field);
            }
            if let Some(refused) = &line.refused {
                text += &format!("    {}\n", self.painted(refused, RED));
            }
            if let Some(hint) = &line.hint {
                text += &format!("    {hint}\n");
            }
        }
        let changed = self.objects.len() - unchanged;
        text + &format!("{changed} of {} objects would change in namespace {}\n", self.objects.len(), self.namespace)
    }
}

fn side(value: Option<&Value>) -> String {
    value.map_or_else(|| "(not there)".into(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::output::Shown;

    fn diff(paints: bool) -> Diff {
        let line = |object: &str, change, fields, refused: Option<&str>| Line {
            phase: "web".into(),
            object: object.into(),
            origin: "web.yaml:1".into(),
            change,
            fields,
            refused: refused.map(str::to_owned),
            hint: None,
        };
        let login = |password: &str| json!({"kind": "Secret", "data": {"password": password}});
        let objects = vec![
            line("Service shop/web", Some(Change::Created), Vec::new(), None),
            line("Secret shop/login", Some(Change::Changed), changes(&login("b2xk"), &login("bmV3")), None),
            line("ConfigMap shop/same", Some(Change::Unchanged), Vec::new(), None),
            line("Ingress shop/web", None, Vec::new(), Some("refused: no")),
        ];
        Diff { digest: "d".into(), namespace: "shop".into(), objects, paints }
    }

    #[test]
    fn what_comes_changes_and_is_refused_is_told_apart_by_colour_where_there_is_one() {
        assert_eq!(
            diff(true).text(),
            "\x1b[32m+ Service shop/web\x1b[0m (web, web.yaml:1)\n\
             \x1b[33m~ Secret shop/login\x1b[0m (web, web.yaml:1)\n\
             \x20   data.password: \x1b[31m\"***\"\x1b[0m -> \x1b[32m\"***\"\x1b[0m\n\
             \x1b[31m! Ingress shop/web\x1b[0m (web, web.yaml:1)\n    \x1b[31mrefused: no\x1b[0m\n\
             3 of 4 objects would change in namespace shop\n"
        );
        let plain = diff(false).text();
        assert!(
            plain.starts_with("+ Service shop/web (web, web.yaml:1)\n~ Secret") && !plain.contains('\x1b'),
            "{plain}"
        );
        assert_eq!(serde_json::to_string(&diff(true)).unwrap(), serde_json::to_string(&diff(false)).unwrap());
    }
}
