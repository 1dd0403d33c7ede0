//! Files whose content is fetched together: enough of them that packs are read in long runs, few enough that memory is
//! bounded whatever the snapshot's size.

use std::sync::atomic::{AtomicBool, AtomicU32};

use crate::repository::{BlobId, Node};

/// Pieces of files in a batch: 128 GiB of large files, in about 10 MB of memory.
const MOST_PIECES: usize = 1 << 17;
/// Files in a batch, about 500 bytes each.
const MOST_FILES: usize = 1 << 15;

#[derive(Debug, Default)]
pub(super) struct Batch {
    pub files: Vec<Unfinished>,
    /// Sorted by blob once the batch is [sealed](Self::seal).
    pub pieces: Vec<Piece>,
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Unfinished {
    /// Below the target.
    pub path: Vec<u8>,
    /// Without its content, which is in the pieces.
    pub node: Node,
    pub bytes: u64,
    /// Pieces that are still to come in this batch.
    pub left: AtomicU32,
    pub exists: AtomicBool,
    /// More pieces come in a later batch.
    pub goes_on: bool,
    /// It is all in one piece.
    pub whole: bool,
}

/// Where a blob belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub blob: BlobId,
    pub offset: u64,
    /// Position in [`Batch::files`].
    pub file: u32,
}

impl Batch {
    pub(super) fn is_full(&self) -> bool {
        self.pieces.len() >= MOST_PIECES || self.files.len() >= MOST_FILES
    }

    /// Adds as many of the file's blobs as there is room for; how many that were, and the offset after them.
    pub(super) fn add(
        &mut self,
        path: &[u8],
        node: &Node,
        bytes: u64,
        content: &[(BlobId, u64)],
        offset: u64,
        exists: bool,
    ) -> (usize, u64) {
        let taken = content.len().min(MOST_PIECES.saturating_sub(self.pieces.len()).max(1));
        let file = u32::try_from(self.files.len()).expect("a batch holds fewer than 2^32 files");
        let mut end = offset;
        for (blob, length) in &content[..taken] {
            self.pieces.push(Piece { blob: *blob, offset: end, file });
            end += length;
        }
        self.files.push(Unfinished {
            path: path.to_vec(),
            node: node.clone(),
            bytes,
            left: AtomicU32::new(u32::try_from(taken).expect("a batch holds fewer than 2^32 pieces")),
            exists: AtomicBool::new(exists),
            goes_on: taken < content.len(),
            whole: offset == 0 && taken == 1 && content.len() == 1,
        });
        (taken, end)
    }

    /// Sorts the pieces, so that those of a blob are found together, and names each blob once.
    pub(super) fn seal(&mut self) -> Vec<BlobId> {
        self.pieces.sort_unstable_by_key(|piece| (piece.blob, piece.file, piece.offset));
        let mut wanted: Vec<_> = self.pieces.iter().map(|piece| piece.blob).collect();
        wanted.dedup();
        wanted
    }

    pub(super) fn pieces_of(&self, blob: &BlobId) -> &[Piece] {
        let from = self.pieces.partition_point(|piece| piece.blob < *blob);
        let length = self.pieces[from..].partition_point(|piece| piece.blob == *blob);
        &self.pieces[from..from + length]
    }
}
