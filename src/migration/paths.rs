//! The way from one version to another: mandatory stops, which are data (`paths.yaml`, each with its source), and the
//! refusal of everything that leads backwards. No application refuses its own downgrade.

use std::cmp::Ordering;
use std::sync::LazyLock;

use serde::Deserialize;

use super::version::Version;
use crate::failure::{Category, Failure};
use crate::stack::Migration;

static PATHS: LazyLock<Paths> = LazyLock::new(|| {
    let paths: Paths = serde_saphyr::from_str(include_str!("paths.yaml")).expect("a unit test reads the same bytes");
    assert_eq!(paths.format_version, 1, "paths.yaml is built in");
    paths
});

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Paths {
    format_version: u32,
    kong: Path,
    chatwoot: Path,
    strapi: Path,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Path {
    #[serde(default)]
    stops: Vec<Written>,
    #[serde(default)]
    needs: Vec<Need>,
}

/// One stop or a row of them.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Written {
    At {
        at: Version,
        why: String,
        source: String,
    },
    /// Every minor version from the first to the last.
    Every {
        every: (Version, Version),
        why: String,
        source: String,
    },
}

/// A version that nobody may jump over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// A series: `2.8` is its newest release.
    pub at: Version,
    pub why: &'static str,
    pub source: &'static str,
}

/// What a database must have from a version on.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    pub from: Version,
    /// A PostgreSQL extension.
    pub extension: String,
    pub why: String,
    pub source: String,
}

/// Why there is no way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{to} is older than {from}, to which the database was migrated, and no application notices that itself")]
    Downgrade { from: Version, to: Version },
    #[error("whether {to} comes before or after {from} cannot be told")]
    Inexact { from: Version, to: Version },
}

impl Failure for Refused {
    fn category(&self) -> Category {
        Category::Usage
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Downgrade { from, .. } => {
                format!("deploy {from} or later, or restore a recovery point that was taken before {from}")
            }
            Self::Inexact { .. } => "give the image a tag with all its numbers, such as `3.9.1`".into(),
        })
    }
}

fn path(adapter: Migration) -> Option<&'static Path> {
    match adapter {
        Migration::Kong => Some(&PATHS.kong),
        Migration::Chatwoot => Some(&PATHS.chatwoot),
        Migration::Strapi => Some(&PATHS.strapi),
        Migration::Job => None, // whose migrations are not known
    }
}

/// The stops of an adapter, ascending.
#[must_use]
pub fn stops(adapter: Migration) -> Vec<Stop> {
    let written = path(adapter).map(|path| path.stops.as_slice()).unwrap_or_default();
    written
        .iter()
        .flat_map(|written| match written {
            Written::At { at, why, source } => vec![Stop { at: at.clone(), why, source }],
            Written::Every { every: (first, last), why, source } => {
                minors(first, last).map(|at| Stop { at, why, source }).collect()
            }
        })
        .collect()
}

fn minors(first: &Version, last: &Version) -> impl Iterator<Item = Version> {
    let pair = |version: &Version| {
        let text = version.to_string();
        let (major, minor) = text.split_once('.').expect("a unit test sees both ends as two numbers");
        (major.parse::<u64>().expect("as above"), minor.parse::<u64>().expect("as above"))
    };
    let ((major, from), (_, to)) = (pair(first), pair(last));
    (from..=to).map(move |minor| format!("{major}.{minor}").parse().expect("two numbers are a version"))
}

/// Every version that must run, in order, to come from `from` to `to`; the last is `to`, those before it are series, of which
/// the newest release is meant. Empty where both are the same.
///
/// # Errors
/// Backwards, or a tag that may stand for both sides.
pub fn hops(adapter: Migration, from: &Version, to: &Version) -> Result<Vec<Version>, Refused> {
    let inexact = || Refused::Inexact { from: from.clone(), to: to.clone() };
    match from.compared_with(to).ok_or_else(inexact)? {
        Ordering::Equal => return Ok(Vec::new()),
        Ordering::Greater => return Err(Refused::Downgrade { from: from.clone(), to: to.clone() }),
        Ordering::Less => {}
    }
    let mut hops = Vec::new();
    for stop in stops(adapter) {
        let before = from.compared_with_series(&stop.at);
        let after = to.compared_with_series(&stop.at);
        match (before, after) {
            (Some(Ordering::Less), Some(Ordering::Greater)) => hops.push(stop.at),
            (None, Some(Ordering::Greater)) | (Some(Ordering::Less), None) => return Err(inexact()),
            _ => {}
        }
    }
    hops.push(to.clone());
    Ok(hops)
}

/// What the database must have before `to` migrates it.
#[must_use]
pub fn needs(adapter: Migration, to: &Version) -> Vec<&'static Need> {
    let needs = path(adapter).map(|path| path.needs.as_slice()).unwrap_or_default();
    needs.iter().filter(|need| to.compared_with_series(&need.from).is_none_or(Ordering::is_ge)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(adapter: Migration, from: &str, to: &str) -> String {
        match hops(adapter, &from.parse().unwrap(), &to.parse().unwrap()) {
            Ok(hops) => hops.iter().map(Version::to_string).collect::<Vec<_>>().join(" "),
            Err(refused) => format!("{refused}; {}", refused.hint().unwrap()),
        }
    }

    #[test]
    fn every_stop_has_a_reason_and_a_source_and_they_ascend() {
        for adapter in [Migration::Kong, Migration::Chatwoot, Migration::Strapi] {
            let stops = stops(adapter);
            for pair in stops.windows(2) {
                assert_eq!(pair[0].at.compared_with(&pair[1].at), Some(Ordering::Less), "{pair:?}");
            }
            for Stop { at, why, source } in stops {
                assert!(why.len() > 20 && source.contains('.'), "{at}: {why} ({source})");
            }
        }
        assert_eq!(stops(Migration::Chatwoot).len(), 20, "2.0 to 2.18, and 4.1");
    }

    #[test]
    fn kong_goes_by_its_long_term_versions() {
        use Migration::Kong;
        assert_eq!(way(Kong, "3.4.2", "3.9.1"), "3.9.1");
        assert_eq!(way(Kong, "2.8.5", "3.4.2"), "3.4.2", "the documented jump");
        assert_eq!(way(Kong, "2.8.5", "3.9.1"), "3.4 3.9.1");
        assert_eq!(way(Kong, "2.1.4", "3.9.1"), "2.8 3.4 3.9.1");
        assert_eq!(way(Kong, "0.13.1", "3.10.0"), "0.14 1.5 2.8 3.4 3.10.0");
        assert_eq!(way(Kong, "3.4.3.9", "3.14.0.1"), "3.10 3.14.0.1");
    }

    #[test]
    fn chatwoot_must_not_jump_over_4_1() {
        use Migration::Chatwoot;
        assert_eq!(way(Chatwoot, "v3.16.0", "v4.1.0"), "4.1.0");
        assert_eq!(way(Chatwoot, "v3.16.0", "v4.4.0"), "4.1 4.4.0");
        assert_eq!(way(Chatwoot, "v4.0.2", "v4.2.0"), "4.1 4.2.0");
        assert_eq!(way(Chatwoot, "v2.16.1", "v3.2.0"), "2.17 2.18 3.2.0");
        assert_eq!(way(Chatwoot, "1.0.0", "2.0.0"), "2.0.0");
    }

    #[test]
    fn strapi_goes_to_5_from_the_last_of_4() {
        assert_eq!(way(Migration::Strapi, "4.20.1", "5.54.0"), "4.26 5.54.0");
        assert_eq!(way(Migration::Strapi, "4.26.2", "5.54.0"), "5.54.0");
    }

    #[test]
    fn backwards_is_refused_for_all_and_a_moving_tag_is_not_guessed_at() {
        for adapter in [Migration::Kong, Migration::Chatwoot, Migration::Strapi, Migration::Job] {
            assert_eq!(
                way(adapter, "3.9.1", "3.4.2"),
                "3.4.2 is older than 3.9.1, to which the database was migrated, and no application notices that itself; \
                 deploy 3.9.1 or later, or restore a recovery point that was taken before 3.9.1"
            );
            assert_eq!(way(adapter, "3.9.1", "3.9.1-ubuntu"), "", "nothing to do");
            assert_eq!(
                way(adapter, "3.9.1", "3.9"),
                "whether 3.9 comes before or after 3.9.1 cannot be told; \
                 give the image a tag with all its numbers, such as `3.9.1`"
            );
        }
        assert_eq!(
            hops(Migration::Kong, &"2".parse().unwrap(), &"3.4.2".parse().unwrap()),
            Err(Refused::Inexact { from: "2".parse().unwrap(), to: "3.4.2".parse().unwrap() }),
            "`2` may be before or after 2.8"
        );
    }

    #[test]
    fn chatwoot_4_needs_pgvector() {
        let extensions = |version: &str| -> Vec<&str> {
            needs(Migration::Chatwoot, &version.parse().unwrap()).iter().map(|n| n.extension.as_str()).collect()
        };
        assert_eq!(extensions("v3.16.0"), Vec::<&str>::new());
        assert_eq!(extensions("v4.0.0"), ["vector"]);
        assert_eq!(extensions("v4.4.0"), ["vector"]);
    }
}
