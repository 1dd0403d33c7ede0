//! From what a person types to one run.

use super::place::Place;
use crate::cli::report::Failed;
use crate::failure::Category;
use crate::run::RunId;
use crate::status::newest_first;

/// Which run.
#[derive(Debug, Clone, clap::Args)]
pub struct Which {
    /// A run's id, its beginning or its end, or `latest`
    #[arg(value_name = "RUN")]
    pub run: String,
}

/// As many are named where several are meant.
const NAMED: usize = 5;

/// The run that `wanted` names.
pub async fn find(place: &Place, wanted: &str) -> Result<RunId, Failed> {
    let mut runs = place.journals.list().await?;
    newest_first(&mut runs);
    choose(runs, wanted).map_err(|message| {
        let hint = "see what there is with `drydock runs -f FILE`".to_owned();
        Failed::new(Category::Usage, format!("{message} of the stack `{}`", place.stack.name), Some(hint))
    })
}

/// Of `runs`, the newest first.
fn choose(runs: Vec<RunId>, wanted: &str) -> Result<RunId, String> {
    let wanted = wanted.to_ascii_lowercase();
    if wanted == "latest" {
        return runs.into_iter().next().ok_or_else(|| "there is no run yet".to_owned());
    }
    let of = |run: &RunId| {
        let id = run.as_str();
        !wanted.is_empty() && (id.starts_with(&wanted) || id.ends_with(&wanted))
    };
    let found: Vec<&RunId> = match runs.iter().find(|run| run.as_str() == wanted) {
        Some(exact) => vec![exact],
        None => runs.iter().filter(|run| of(run)).collect(),
    };
    match found.as_slice() {
        [] => Err(format!("there is no run `{wanted}`")),
        [run] => Ok((*run).clone()),
        several => {
            let named: Vec<&str> = several.iter().take(NAMED).map(|run| run.as_str()).collect();
            let more = several.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            Err(format!("`{wanted}` names {} runs ({}{more})", several.len(), named.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_by_its_beginning_or_its_end_and_never_guessed() {
        let runs = || -> Vec<RunId> {
            [
                "snapshot-shop-20261124t021500z-nightly",
                "snapshot-shop-20261123t021500z-nightly",
                "drill-shop-20261122t043000z-1a2b",
            ]
            .map(|id| id.parse().unwrap())
            .into()
        };
        assert_eq!(choose(runs(), "latest").unwrap(), runs()[0]);
        assert_eq!(choose(runs(), "drill").unwrap(), runs()[2]);
        assert_eq!(choose(runs(), "1A2B").unwrap(), runs()[2]);
        assert_eq!(choose(runs(), "snapshot-shop-20261123").unwrap(), runs()[1]);
        let said = choose(runs(), "nightly").unwrap_err();
        assert!(said.starts_with("`nightly` names 2 runs (snapshot-shop-20261124t021500z-nightly, "), "{said}");
        assert_eq!(choose(runs(), "prune").unwrap_err(), "there is no run `prune`");
        assert_eq!(choose(runs(), "").unwrap_err(), "there is no run ``");
        assert_eq!(choose(vec![], "latest").unwrap_err(), "there is no run yet");
    }
}
