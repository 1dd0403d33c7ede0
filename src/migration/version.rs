//! Versions as images carry them in their tags: `kong:3.9.1-ubuntu`, `chatwoot/chatwoot:v4.1.0-ce`,
//! `kong/kong-gateway:3.4.3.17`. The order is semver's; what is ours is only what tags add to it.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What begins a pre-release's suffix. Everything else after the numbers is a flavour of the same version (`-alpine`,
/// `-ce`), which semver would take for an *older* one.
const PRE_RELEASES: [&str; 10] =
    ["alpha", "beta", "rc", "pre", "dev", "nightly", "canary", "next", "snapshot", "experimental"];

/// A version of a component, with as many numbers as were written: `3.9` is any 3.9.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Version {
    /// A fourth number (Kong Enterprise) is its build metadata, which semver's order compares last and as a number.
    exact: semver::Version,
    /// How many numbers were written, 1 to 4.
    numbers: usize,
}

/// A tag, a digest or nothing that tells no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not tell a version such as `3.9.1`")]
pub struct UnknownVersion(pub String);

impl Version {
    /// The version in an image's tag; a digest behind it is not looked at.
    ///
    /// # Errors
    /// No tag (a digest alone tells no version), `latest`, or another word.
    pub fn of_image(image: &str) -> Result<Self, UnknownVersion> {
        let without_digest = image.split_once('@').map_or(image, |(name, _)| name);
        // A colon before the last slash is a registry's port.
        let last = without_digest.rsplit_once('/').map_or(without_digest, |(_, last)| last);
        let (_, tag) = last.split_once(':').ok_or_else(|| UnknownVersion(image.to_owned()))?;
        tag.parse().map_err(|_| UnknownVersion(image.to_owned()))
    }

    /// How this stands to `other`; none where that cannot be told: `3.9` may be before or after `3.9.1`.
    #[must_use]
    pub fn compared_with(&self, other: &Self) -> Option<Ordering> {
        let common = self.numbers.min(other.numbers);
        match self.leading(common).cmp(&other.leading(common)) {
            Ordering::Equal if self.numbers == other.numbers => Some(self.exact.cmp(&other.exact)),
            Ordering::Equal => None,
            differs => Some(differs),
        }
    }

    /// How this stands to all versions that begin with `series`: `2.8.5` is equal to `2.8`; none where this is less exact.
    #[must_use]
    pub fn compared_with_series(&self, series: &Self) -> Option<Ordering> {
        let differs =
            self.leading(self.numbers.min(series.numbers)).cmp(&series.leading(self.numbers.min(series.numbers)));
        if differs == Ordering::Equal && self.numbers < series.numbers { None } else { Some(differs) }
    }

    fn leading(&self, count: usize) -> Vec<u64> {
        let fourth = self.exact.build.as_str().parse().unwrap_or(0);
        [self.exact.major, self.exact.minor, self.exact.patch, fourth].into_iter().take(count).collect()
    }
}

impl FromStr for Version {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        let unknown = || UnknownVersion(text.to_owned());
        let bare = text.strip_prefix('v').unwrap_or(text);
        let (numbers, suffix) = bare.split_once(['-', '_', '+']).unwrap_or((bare, ""));
        let mut parts: Vec<&str> = numbers.split('.').collect();
        let count = parts.len();
        if !(1..=4).contains(&count) {
            return Err(unknown());
        }
        let fourth = if count == 4 { parts.pop() } else { None };
        parts.resize(3, "0");
        let mut exact = parts.join(".");
        if let Some(pre) = pre_release(suffix) {
            exact = format!("{exact}-{pre}");
        }
        if let Some(fourth) = fourth {
            fourth.parse::<u64>().map_err(|_| unknown())?;
            exact = format!("{exact}+{fourth}");
        }
        Ok(Self { exact: semver::Version::parse(&exact).map_err(|_| unknown())?, numbers: count })
    }
}

/// `rc1` and `rc.1` as `rc.1`, so that the tenth comes after the second; none for a flavour.
fn pre_release(suffix: &str) -> Option<String> {
    let first = suffix.split(['.', '-']).next().unwrap_or_default();
    let word = first.trim_end_matches(|c: char| c.is_ascii_digit());
    if !PRE_RELEASES.contains(&word) {
        return None;
    }
    let number = first[word.len()..].trim_start_matches('0');
    let rest = &suffix[first.len()..];
    Some(if first.len() == word.len() {
        format!("{word}{rest}")
    } else {
        format!("{word}.{}{rest}", if number.is_empty() { "0" } else { number })
    })
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.leading(self.numbers).iter().map(u64::to_string).collect();
        let pre = &self.exact.pre;
        let text = if pre.is_empty() { numbers.join(".") } else { format!("{}-{pre}", numbers.join(".")) };
        f.pad(&text)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn an_images_version_stands_in_its_tag() {
        for (image, version) in [
            ("kong:3.9.1", "3.9.1"),
            ("docker.io/library/kong:3.9.1-ubuntu", "3.9.1"),
            ("registry.example:5000/papg/kong:v3.4.2@sha256:0f1e", "3.4.2"),
            ("kong/kong-gateway:3.4.3.17", "3.4.3.17"),
            ("chatwoot/chatwoot:v4.1.0-ce", "4.1.0"),
            ("strapi:5.54.0-beta.2", "5.54.0-beta.2"),
            ("kong:3.10.0-rc2", "3.10.0-rc.2"),
            ("kong:3.9", "3.9"),
        ] {
            assert_eq!(Version::of_image(image).unwrap().to_string(), version, "{image}");
        }
    }

    #[test]
    fn what_tells_no_version_is_not_guessed_at() {
        for image in [
            "kong",
            "kong:latest",
            "localhost:5000/kong",
            "kong@sha256:0f1e",
            "kong:main-3.9",
            "kong:1.2.3.4.5",
            "kong:3.x",
        ] {
            let error = Version::of_image(image).unwrap_err();
            assert_eq!(error.to_string(), format!("`{image}` does not tell a version such as `3.9.1`"));
        }
    }

    #[test]
    fn the_order_is_that_of_releases() {
        for (older, newer) in [
            ("3.9.1", "3.10.0"),
            ("2.8", "3.0.0"),
            ("3.4.3.9", "3.4.3.17"),
            ("3.10.0-rc2", "3.10.0-rc10"),
            ("3.10.0-rc.10", "3.10.0"),
            ("5.54.0-alpha", "5.54.0-beta.1"),
        ] {
            assert_eq!(v(older).compared_with(&v(newer)), Some(Ordering::Less), "{older} {newer}");
            assert_eq!(v(newer).compared_with(&v(older)), Some(Ordering::Greater), "{newer} {older}");
        }
        assert_eq!(
            v("v3.9.1-ubuntu").compared_with(&v("3.9.1")),
            Some(Ordering::Equal),
            "a flavour is the same version"
        );
    }

    #[test]
    fn a_moving_tag_is_neither_before_nor_after_what_it_may_stand_for() {
        assert_eq!(v("3.9").compared_with(&v("3.9.1")), None);
        assert_eq!(v("3.9").compared_with(&v("3.8.4")), Some(Ordering::Greater));
        assert_eq!(v("2.8.5").compared_with_series(&v("2.8")), Some(Ordering::Equal));
        assert_eq!(v("2").compared_with_series(&v("2.8")), None);
        assert_eq!(v("3").compared_with_series(&v("2.8")), Some(Ordering::Greater));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(numbers in proptest::collection::vec(0_u64..10_000, 1..=4), pre in proptest::option::of(0_u64..20)) {
            let mut text = numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(".");
            if let Some(pre) = pre { text = format!("{text}-rc.{pre}"); }
            let version = v(&text);
            prop_assert_eq!(version.to_string(), text);
            prop_assert_eq!(version.compared_with(&version.clone()), Some(Ordering::Equal));
        }
    }
}
