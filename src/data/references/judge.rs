//! One row's claim against one file. Pure.

use xxhash_rust::xxh3::Xxh3;

use super::Checked;
use super::files::Found;
use super::outcome::{Gap, What};
use crate::repository::BlobId;

/// What a row says of a file's size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Size {
    Exact(u64),
    /// Kilobytes of 1,000 bytes rounded to a hundredth: five bytes up or down. Source: Strapi
    /// `packages/core/utils/src/file.ts` (`bytesToKbytes`).
    Kilobytes(f64),
    Unknown,
}

impl Size {
    fn fits(self, bytes: u64) -> bool {
        match self {
            Self::Exact(exact) => exact == bytes,
            #[expect(clippy::cast_precision_loss, reason = "exact up to 9 petabytes")]
            Self::Kilobytes(kilobytes) => (bytes as f64 - kilobytes * 1000.0).abs() <= 5.001,
            Self::Unknown => true,
        }
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(bytes) => write!(f, "{bytes} bytes"),
            Self::Kilobytes(kilobytes) => write!(f, "{kilobytes} kB"),
            Self::Unknown => f.write_str("any size"),
        }
    }
}

/// What a row says, and what of it makes no sense: one odd row must not keep a recovery point from being taken.
#[derive(Debug, Default)]
pub struct Said {
    pub claims: Vec<Claim>,
    pub odd: Vec<Gap>,
}

impl Said {
    pub(super) fn odd(mut self, row: &str, how: impl Into<String>) -> Self {
        self.odd.push(Gap::unreadable(row, how));
        self
    }
}

/// A file that a row says is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// `active_storage_blobs id 7`.
    pub row: String,
    /// The names from the volume's root to the file.
    pub path: Vec<Vec<u8>>,
    pub size: Size,
    pub md5: Option<[u8; 16]>,
    /// Rows of this kind have checksums.
    pub has_sums: bool,
}

impl Claim {
    fn file(&self) -> String {
        self.path.iter().map(|name| String::from_utf8_lossy(name)).collect::<Vec<_>>().join("/")
    }

    pub(super) fn gap(&self, what: What, expected: impl ToString, found: impl ToString) -> Gap {
        let (row, file) = (self.row.clone(), self.file());
        Gap { row, file, what, expected: expected.to_string(), found: found.to_string() }
    }

    /// Stands for "this row's checksum is that of this content".
    pub(super) fn mark(&self, md5: [u8; 16], content: &[BlobId]) -> u128 {
        let mut hash = Xxh3::new();
        hash.update(self.row.as_bytes());
        hash.update(&[0]);
        hash.update(&md5);
        for blob in content {
            hash.update(&blob.0);
        }
        hash.digest128()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Gap(Gap),
    Fine,
    /// The same content was verified for the same row before.
    Known(u128),
    /// Its content must be read; afterwards it may be marked.
    Unverified(u128, [u8; 16]),
}

pub(super) fn judge(claim: &Claim, file: Option<&Found>, known: &Checked) -> Verdict {
    let Some(file) = file else { return Verdict::Gap(claim.gap(What::Missing, "", "")) };
    if !claim.size.fits(file.bytes) {
        return Verdict::Gap(claim.gap(What::Size, claim.size, Size::Exact(file.bytes)));
    }
    let Some(md5) = claim.md5 else { return Verdict::Fine };
    let mark = claim.mark(md5, &file.content);
    if known.contains(mark) { Verdict::Known(mark) } else { Verdict::Unverified(mark, md5) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(size: Size, md5: Option<[u8; 16]>) -> Claim {
        Claim { row: "t id 1".into(), path: vec![b"a".to_vec(), b"b".to_vec()], size, md5, has_sums: true }
    }

    fn file(bytes: u64, blob: u8) -> Found {
        Found { bytes, content: vec![BlobId([blob; 32])] }
    }

    #[test]
    fn sizes_in_kilobytes_are_as_exact_as_strapi_rounds_them() {
        for (kilobytes, fits, does_not) in
            [(12.35, [12_345, 12_350, 12_355], [12_344, 12_356]), (0.0, [0, 3, 5], [6, 10])]
        {
            fits.iter().for_each(|b| assert!(Size::Kilobytes(kilobytes).fits(*b), "{kilobytes} {b}"));
            does_not.iter().for_each(|b| assert!(!Size::Kilobytes(kilobytes).fits(*b), "{kilobytes} {b}"));
        }
    }

    #[test]
    fn what_was_verified_is_known_until_row_or_content_change() {
        let (sum, other) = ([1; 16], [2; 16]);
        let Verdict::Unverified(mark, _) =
            judge(&claim(Size::Exact(4), Some(sum)), Some(&file(4, 7)), &Checked::default())
        else {
            panic!("known before it was read")
        };
        let mut known = Checked::default();
        known.insert(mark);
        known.seal();
        let verdict = |claim: Claim, file: Found| judge(&claim, Some(&file), &known);
        assert_eq!(verdict(claim(Size::Exact(4), Some(sum)), file(4, 7)), Verdict::Known(mark));
        assert!(matches!(verdict(claim(Size::Exact(4), Some(other)), file(4, 7)), Verdict::Unverified(..)));
        assert!(matches!(verdict(claim(Size::Exact(4), Some(sum)), file(4, 8)), Verdict::Unverified(..)));
        let mut another_row = claim(Size::Exact(4), Some(sum));
        another_row.row = "t id 2".into();
        assert!(matches!(verdict(another_row, file(4, 7)), Verdict::Unverified(..)));
    }

    #[test]
    fn a_wrong_size_says_both() {
        let Verdict::Gap(gap) = judge(&claim(Size::Exact(7), None), Some(&file(4, 1)), &Checked::default()) else {
            panic!()
        };
        assert_eq!((gap.file.as_str(), gap.problem().as_str()), ("a/b", "4 bytes where 7 bytes is recorded"));
    }
}
