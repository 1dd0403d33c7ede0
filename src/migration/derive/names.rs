//! Names that Kubernetes takes, made of ids that may be longer than it takes.

use sha2::{Digest, Sha256};

/// RFC 1035's limit of a label, which a Job's name must keep: it becomes the value of a label and a host name.
const LONGEST: usize = 63;
const HASH: usize = 8;

/// The Job's name, the same for the same run, step and attempt. What had to be cut or changed ends in a hash of all three, so
/// that two never share a name.
pub(super) fn job(run: &str, step: &str, attempt: u32) -> String {
    let plain = format!("{run}-{step}-{attempt}");
    let clean = dns_label(&plain);
    if clean == plain && clean.len() <= LONGEST {
        return clean;
    }
    let ending = format!("-{attempt}-{}", hash(&[run, step, &attempt.to_string()]));
    let head: String = dns_label(&format!("{run}-{step}")).chars().take(LONGEST - ending.len()).collect();
    format!("{}{ending}", head.trim_end_matches('-'))
}

/// `text` as a label's value: itself where it may be one, else cut, with a hash.
pub(super) fn label(text: &str) -> String {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let end = |b: Option<&u8>| b.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    if text.len() <= LONGEST && bytes.iter().copied().all(allowed) && end(bytes.first()) && end(bytes.last()) {
        return text.to_owned();
    }
    let head: String = dns_label(text).chars().take(LONGEST - HASH - 1).collect();
    format!("{}-{}", head.trim_end_matches('-'), hash(&[text]))
}

/// Lower case, everything else a `-`, none at the ends.
fn dns_label(text: &str) -> String {
    let one = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let label: String = text.chars().map(one).collect();
    let label = label.trim_matches('-');
    if label.is_empty() { "x".into() } else { label.to_owned() }
}

fn hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    hex::encode(hasher.finalize())[..HASH].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Name;
    use proptest::prelude::*;

    #[test]
    fn a_short_name_is_readable_and_a_long_one_keeps_its_attempt() {
        assert_eq!(job("deploy-papg-20261124t0300z-a1b2", "kong-up", 2), "deploy-papg-20261124t0300z-a1b2-kong-up-2");
        let long = "deploy-a-stack-with-a-very-long-name-20261124t030000z-a1b2c3d4";
        let name = job(long, "gateway/kong/up", 3);
        assert_eq!(name.len(), 63);
        assert!(name.starts_with("deploy-a-stack-with-a-very-long-name-20261124t03"), "{name}");
        assert_eq!(&name[name.len() - 11..name.len() - 8], "-3-", "{name}");
        assert_ne!(name, job(long, "gateway/kong/finish", 3), "cut alike, yet not the same");
        assert_ne!(job("r", "a/b", 1), job("r", "a-b", 1));
    }

    proptest! {
        #[test]
        fn whatever_comes_in_is_a_name(run in ".{0,90}", step in ".{0,40}", attempt in 0_u32..100_000) {
            let name = job(&run, &step, attempt);
            prop_assert!(name.parse::<Name>().is_ok(), "{}", name);
            prop_assert_eq!(&name, &job(&run, &step, attempt));
            prop_assert_ne!(&name, &job(&run, &step, attempt + 1));
            let value = label(&run);
            prop_assert!(value.len() <= LONGEST && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
        }
    }
}
