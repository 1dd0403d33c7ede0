//! Which files were read and found to have their rows' checksums: 16 bytes a file, kept beside the recovery point, so
//! that the next one computes a checksum only where row or content is new. Exact: it stands for row, checksum and the
//! list of blobs, and relies on no clock. What the blobs hold is `check --read-data`'s business.

use super::ReferenceError;

const HEADER: &[u8; 8] = b"DRYDMD5\x01";
const MARK: usize = 16;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    marks: Vec<u128>,
    sealed: bool,
}

impl Checked {
    pub(super) fn insert(&mut self, mark: u128) {
        self.marks.push(mark);
        self.sealed = false;
    }

    /// Sorts, so that it can be asked and that equal lists are equal bytes.
    pub(super) fn seal(&mut self) {
        self.marks.sort_unstable();
        self.marks.dedup();
        self.marks.shrink_to_fit();
        self.sealed = true;
    }

    pub(super) fn contains(&self, mark: u128) -> bool {
        self.sealed && self.marks.binary_search(&mark).is_ok()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Several references' marks in one list.
    pub fn absorb(&mut self, other: Self) {
        self.marks.extend(other.marks);
        self.seal();
    }

    /// The file: eight bytes of header, then the marks, sorted, little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = HEADER.to_vec();
        bytes.extend(self.marks.iter().flat_map(|mark| mark.to_le_bytes()));
        bytes
    }

    /// # Errors
    /// When it is none, or of a later format: then nothing is known.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReferenceError> {
        let marks = bytes.strip_prefix(HEADER).ok_or(ReferenceError::Checked("it is none of this format"))?;
        let (marks, rest) = marks.as_chunks::<MARK>();
        if !rest.is_empty() {
            return Err(ReferenceError::Checked("it is cut off"));
        }
        let marks: Vec<u128> = marks.iter().map(|mark| u128::from_le_bytes(*mark)).collect();
        if !marks.is_sorted() {
            return Err(ReferenceError::Checked("it is not sorted"));
        }
        Ok(Self { marks, sealed: true })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::references::judge::{Claim, Size};
    use crate::repository::BlobId;

    #[test]
    fn a_list_of_format_1_is_read_for_ever() {
        let fixture = include_bytes!("../../../tests/fixtures/formats/verified-checksums-1");
        let md5 = [0x5d, 0x41, 0x40, 0x2a, 0xbc, 0x4b, 0x2a, 0x76, 0xb9, 0x71, 0x9d, 0x91, 0x10, 0x17, 0xc5, 0x92];
        let mut checked = Checked::default();
        for (id, blobs) in [(7, vec![BlobId([7; 32])]), (8, vec![BlobId([8; 32]), BlobId([9; 32])])] {
            let row = format!("active_storage_blobs id {id}");
            let claim = Claim { row, path: vec![], size: Size::Exact(5), md5: Some(md5), has_sums: true };
            checked.insert(claim.mark(md5, &blobs));
        }
        checked.seal();
        assert_eq!(hex::encode(checked.to_bytes()), hex::encode(fixture));
        assert_eq!(Checked::from_bytes(fixture).unwrap(), checked);
    }

    proptest! {
        #[test]
        fn it_reads_back(marks in proptest::collection::vec(any::<u128>(), 0..100), absent: u128) {
            let mut checked = Checked::default();
            marks.iter().for_each(|mark| checked.insert(*mark));
            checked.seal();
            let again = Checked::from_bytes(&checked.to_bytes()).unwrap();
            prop_assert!(marks.iter().all(|mark| again.contains(*mark)));
            prop_assert_eq!(again.contains(absent), marks.contains(&absent));
            prop_assert_eq!(again, checked);
        }

        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            Checked::from_bytes(&bytes).ok();
        }
    }
}
