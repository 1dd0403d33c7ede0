//! What a capture leaves out: the spec's patterns, and at the volume's root `.drydock` and `lost+found`.

use globset::{Candidate, Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use super::VolumeError;

/// Entries of a volume's root that are in no snapshot and that no restore touches: our own work in progress, and what
/// the file system itself owns.
pub(super) const RESERVED: [&[u8]; 2] = [b".drydock", b"lost+found"];

/// Patterns relative to the folder. One without a slash matches a name at any depth (`*.tmp`, `node_modules`), one with
/// a slash from the folder down (`cache/*`, `/tmp`); `*` stops at a slash, `**` does not. What lies below a folder that
/// matches is left out with it.
#[derive(Debug)]
pub(super) struct Excludes {
    patterns: GlobSet,
}

impl Excludes {
    pub(super) fn new(patterns: &[String]) -> Result<Self, VolumeError> {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            set.add(glob(pattern)?);
        }
        let patterns = set.build().map_err(|e| refused("", &e))?;
        Ok(Self { patterns })
    }

    /// Whether there are no patterns of the spec's.
    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether the entry at `path` below the volume is left out.
    pub(super) fn leave_out(&self, path: &[u8]) -> bool {
        RESERVED.contains(&path)
            || (!self.patterns.is_empty() && self.patterns.is_match_candidate(&Candidate::from_bytes(path)))
    }
}

fn glob(pattern: &str) -> Result<Glob, VolumeError> {
    let trimmed = pattern.strip_suffix('/').unwrap_or(pattern);
    let rooted = trimmed.strip_prefix('/').unwrap_or(trimmed);
    if rooted.is_empty() {
        return Err(VolumeError::Pattern { pattern: pattern.into(), reason: "it matches the whole folder".into() });
    }
    let whole = if trimmed.contains('/') { rooted.to_owned() } else { format!("**/{rooted}") };
    GlobBuilder::new(&whole).literal_separator(true).build().map_err(|e| refused(pattern, &e))
}

fn refused(pattern: &str, error: &globset::Error) -> VolumeError {
    VolumeError::Pattern { pattern: pattern.into(), reason: error.kind().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(patterns: &[&str], path: &[u8]) -> bool {
        let patterns: Vec<_> = patterns.iter().map(|p| (*p).to_owned()).collect();
        Excludes::new(&patterns).unwrap().leave_out(path)
    }

    #[test]
    fn a_name_matches_at_any_depth_and_a_path_from_the_folder_down() {
        assert!(left_out(&["*.tmp"], b"a/b/c.tmp"));
        assert!(left_out(&["node_modules/"], b"web/node_modules"));
        assert!(left_out(&["/cache"], b"cache"));
        assert!(!left_out(&["/cache"], b"a/cache"));
        assert!(left_out(&["logs/*.gz"], b"logs/1.gz"));
        assert!(!left_out(&["logs/*.gz"], b"logs/old/1.gz"), "a star stops at a slash");
        assert!(left_out(&["logs/**/*.gz"], b"logs/old/1.gz"));
        assert!(left_out(&["*.tmp"], b"\xff\xfe.tmp"), "names need not be UTF-8");
        assert!(!left_out(&[], b"anything"));
    }

    #[test]
    fn our_own_folder_and_the_file_systems_are_left_out_at_the_root_alone() {
        assert!(left_out(&[], b".drydock") && left_out(&[], b"lost+found"));
        assert!(!left_out(&[], b"a/.drydock") && !left_out(&[], b"a/lost+found"));
    }

    #[test]
    fn a_pattern_that_cannot_be_read_is_refused_with_the_reason() {
        let error = Excludes::new(&["a[".into()]).unwrap_err();
        assert_eq!(error.to_string(), "`a[` is no pattern for `exclude`: unclosed character class; missing ']'");
        assert!(Excludes::new(&["/".into()]).is_err());
    }
}
