//! What a schedule does, with the options that the command of the same name has.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::stack::schema::written_as;
use crate::stack::{MaxUnused, Name, ReadData, Stack, duration, random_within};

/// One of these; each has defaults for all of its options.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Take a recovery point.
    Snapshot(Snapshot),
    /// Restore a recovery point into a sandbox, verify, measure, discard.
    Drill(Drill),
    /// Check the repository.
    Check(Check),
    /// Drop recovery points by the Stack's `retention`, then give their space back.
    ForgetAndPrune(ForgetAndPrune),
}

/// As a document says it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.snapshot), has(self.drill), has(self.check), has(self.forgetAndPrune)].filter(x, x).size() == 1",
    "message": "exactly one of `snapshot`, `drill`, `check` and `forgetAndPrune` is expected",
}]))]
pub struct Written {
    #[serde(default)]
    snapshot: Option<Snapshot>,
    #[serde(default)]
    drill: Option<Drill>,
    #[serde(default)]
    check: Option<Check>,
    #[serde(default)]
    forget_and_prune: Option<ForgetAndPrune>,
}

impl TryFrom<Written> for Operation {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { snapshot, drill, check, forget_and_prune } = written;
        let said = [
            snapshot.map(Self::Snapshot),
            drill.map(Self::Drill),
            check.map(Self::Check),
            forget_and_prune.map(Self::ForgetAndPrune),
        ];
        let mut said = said.into_iter().flatten();
        match (said.next(), said.next()) {
            (Some(Self::Check(Check { read_data: true, read_data_subset: Some(_) })), None) => {
                Err("both `readData` and `readDataSubset` are given; expected at most one of them".into())
            }
            (Some(operation), None) => Ok(operation),
            (found, _) => {
                let found = if found.is_some() { "several operations are" } else { "no operation is" };
                Err(format!(
                    "{found} given; expected exactly one of `snapshot: {{}}`, `drill: {{}}`, `check: {{}}` and \
                     `forgetAndPrune: {{}}`, with its options within the braces"
                ))
            }
        }
    }
}

/// As `drydock snapshot`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Snapshot {
    /// Only these data sets; the point is then partial and never `latest`.
    #[serde(default)]
    pub data: Vec<Name>,
    /// Read files again that look unchanged.
    #[serde(default)]
    pub reread: bool,
}

/// As `drydock drill`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Drill {
    #[serde(default)]
    pub point: DrillPoint,
    /// Only these data sets.
    #[serde(default)]
    pub data: Vec<Name>,
}

/// Which recovery point is drilled.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub enum DrillPoint {
    #[default]
    Latest,
    LatestProven,
    /// Any complete one that is not older, so that old points are proved too.
    Random(Duration),
    /// The beginning of an id.
    Id(String),
}

/// As `drydock check`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Check {
    /// Read every blob.
    #[serde(default)]
    pub read_data: bool,
    /// Read a part.
    #[serde(default, deserialize_with = "parsed")]
    #[schemars(with = "Option<String>")]
    pub read_data_subset: Option<ReadData>,
}

/// As `drydock forget` and `drydock prune`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForgetAndPrune {
    /// How much of what is kept may stay unused; prune's default where it is not said.
    #[serde(default, deserialize_with = "parsed")]
    #[schemars(with = "Option<String>")]
    pub max_unused: Option<MaxUnused>,
}

written_as!(DrillPoint, {"type": "string", "minLength": 1});

impl Operation {
    /// What its runs are called; without a dash, see [`ScheduledRun`](super::ScheduledRun).
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Snapshot(_) => "snapshot",
            Self::Drill(_) => "drill",
            Self::Check(_) => "check",
            Self::ForgetAndPrune(_) => "forget",
        }
    }

    /// Why it cannot be done on `stack`, as far as the two documents tell.
    #[must_use]
    pub fn misfits(&self, stack: &Stack) -> Vec<String> {
        let (name, mut misfits) = (&stack.name, Vec::new());
        let data = match self {
            Self::Snapshot(Snapshot { data, .. }) | Self::Drill(Drill { data, .. }) => data.as_slice(),
            Self::Check(_) | Self::ForgetAndPrune(_) => &[],
        };
        for missing in data.iter().filter(|data| !stack.spec.data.iter().any(|set| set.name == **data)) {
            misfits.push(format!("the stack `{name}` has no data set `{missing}`"));
        }
        if matches!(self, Self::ForgetAndPrune(_)) && stack.spec.retention.is_none() {
            misfits.push(format!("the stack `{name}` has no `retention` that says what to keep"));
        }
        misfits
    }
}

/// As the command that does the same.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let only = |data: &[Name]| match data {
            [] => String::new(),
            data => format!(" --data {}", data.iter().map(Name::as_str).collect::<Vec<_>>().join(",")),
        };
        match self {
            Self::Snapshot(Snapshot { data, reread }) => {
                write!(f, "snapshot{}{}", only(data), if *reread { " --reread" } else { "" })
            }
            Self::Drill(Drill { point, data }) => write!(f, "drill --point {point}{}", only(data)),
            Self::Check(Check { read_data: true, .. }) => f.write_str("check --read-data"),
            Self::Check(Check { read_data_subset: Some(part), .. }) => write!(f, "check --read-data-subset {part}"),
            Self::Check(_) => f.write_str("check"),
            Self::ForgetAndPrune(ForgetAndPrune { max_unused: None }) => f.write_str("forget, prune"),
            Self::ForgetAndPrune(ForgetAndPrune { max_unused: Some(limit) }) => {
                write!(f, "forget, prune --max-unused {limit}")
            }
        }
    }
}

impl FromStr for DrillPoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_id = (4..=16).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let window = random_within(text).map_err(|why| format!("`{text}`: {why}"))?;
        match (text, window) {
            ("latest", _) => Ok(Self::Latest),
            ("latest-proven", _) => Ok(Self::LatestProven),
            (_, Some(window)) => Ok(Self::Random(window)),
            _ if is_id => Ok(Self::Id(text.to_owned())),
            _ => Err(format!(
                "`{text}` names no recovery point: expected `latest`, `latest-proven`, `random:30d` or the beginning of an id"
            )),
        }
    }
}

impl TryFrom<String> for DrillPoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for DrillPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::LatestProven => f.write_str("latest-proven"),
            Self::Random(window) => write!(f, "random:{}", duration::exact(*window)),
            Self::Id(id) => f.write_str(id),
        }
    }
}

/// A text that its own type reads.
fn parsed<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}
