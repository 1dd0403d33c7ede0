//! A worker: compresses a blob, seals it, opens it again, compares, and puts it into a pack.

use std::io::Read;
use std::sync::Arc;

use zstd::bulk::{Compressor, Decompressor};

use super::super::crypto::Cipher;
use super::super::pack::{self, ClosedPack, LENGTH_FIELD, OpenPack};
use super::super::{FileKind, RepositoryError};
use super::Pipeline;
use super::queue::Job;
use super::state::State;
use super::upload::Message;

/// Above this the self-check decompresses in pieces, and buffers are given back after use: only the tree of a huge
/// folder is larger than the largest chunk.
const LARGE: usize = 9 << 20;

/// Starts worker `number`; it ends when the queue is closed.
pub fn start(number: usize, pipeline: Arc<Pipeline>) {
    std::thread::Builder::new()
        .name(format!("repository-{number}"))
        .spawn(move || run(&pipeline))
        .expect("a process that may not start a thread can do nothing at all");
}

fn run(pipeline: &Pipeline) {
    let state = &pipeline.state;
    let mut worker = Worker::new(state.options.compression_level);
    while let Some(job) = state.queue.pop() {
        let _done = Done(state);
        if let Err(error) = worker.store(pipeline, &job) {
            state.fail(error);
        }
        state.chunks.give(job.data);
    }
}

/// Answers a job, also when the worker panics: nobody may wait for it for ever.
struct Done<'a>(&'a State);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(RepositoryError::WorkerLost);
        }
        self.0.queue.done();
    }
}

/// Contexts and buffers that live as long as the worker: a new zstd context costs a small blob half its time.
struct Worker {
    compressor: Compressor<'static>,
    decompressor: Decompressor<'static>,
    compressed: Vec<u8>,
    sealed: Vec<u8>,
    again: Vec<u8>,
}

impl Worker {
    fn new(level: i32) -> Self {
        Self {
            compressor: Compressor::new(level).expect("zstd takes any level and a context of a few megabytes"),
            decompressor: Decompressor::new().expect("zstd gets a context of a few hundred kilobytes"),
            compressed: Vec::new(),
            sealed: Vec::new(),
            again: Vec::new(),
        }
    }

    fn store(&mut self, pipeline: &Pipeline, job: &Job) -> Result<(), RepositoryError> {
        let state = &pipeline.state;
        let cipher = state.repository.cipher();
        let uncompressed = self.seal(cipher, &job.data);
        if state.options.self_check && !self.reads_back(cipher, &job.data, uncompressed.is_some()) {
            return Err(RepositoryError::SelfCheck { what: format!("blob {}", job.id) });
        }
        state.count_new(job.data.len(), self.sealed.len());
        let slot = || pipeline.runtime.block_on(state.upload_slot());
        let full = pipeline.packs.push((job.kind, job.id), &self.sealed, uncompressed, &state.packs, slot)?;
        if job.data.len() > LARGE {
            (self.compressed, self.sealed, self.again) = Default::default();
        }
        let Some((pack, slot)) = full else { return Ok(()) };
        let closed = close(state, pack)?;
        pipeline.uploads.send(Message::Pack(closed, slot)).map_err(|_| state.failed())
    }

    /// Fills `sealed`; the plain length if it was worth compressing.
    fn seal(&mut self, cipher: &Cipher, data: &[u8]) -> Option<u32> {
        self.compressed.clear();
        self.compressed.reserve(zstd::zstd_safe::compress_bound(data.len()));
        let length = self
            .compressor
            .compress_to_buffer(data, &mut self.compressed)
            .expect("the buffer has the room that zstd says it needs");
        self.sealed.clear();
        let worth_it = length < data.len();
        cipher.seal(if worth_it { &self.compressed } else { data }, &mut self.sealed);
        worth_it.then(|| u32::try_from(data.len()).expect("blobs are far smaller than 4 GiB"))
    }

    /// Whether what was sealed opens to exactly `data`: a defect of memory, processor or compressor is found while the
    /// source is still there.
    fn reads_back(&mut self, cipher: &Cipher, data: &[u8], compressed: bool) -> bool {
        // what was compressed is in `sealed` now, so its buffer is free
        let Self { compressed: opened, decompressor, sealed, again, .. } = self;
        if cipher.open(sealed, opened).is_err() {
            return false;
        }
        if !compressed {
            return opened == data;
        }
        if data.len() > LARGE {
            return decompresses_to(opened, data);
        }
        again.clear();
        again.reserve(data.len());
        decompressor.decompress_to_buffer(opened, again).is_ok() && again == data
    }
}

/// As a comparison of the whole, without a second copy of it.
fn decompresses_to(compressed: &[u8], mut data: &[u8]) -> bool {
    let Ok(mut decoder) = zstd::stream::read::Decoder::with_buffer(compressed) else { return false };
    let mut piece = vec![0; 128 << 10];
    loop {
        match decoder.read(&mut piece) {
            Ok(0) => return data.is_empty(),
            Ok(n) => match data.split_at_checked(n) {
                Some((expected, rest)) if *expected == piece[..n] => data = rest,
                _ => return false,
            },
            Err(_) => return false,
        }
    }
}

/// Appends the header and reads it back.
pub fn close(state: &State, pack: OpenPack) -> Result<ClosedPack, RepositoryError> {
    let cipher = state.repository.cipher();
    let blob_bytes = pack.bytes.len();
    let closed = pack.close(cipher);
    let header = &closed.bytes[blob_bytes..closed.bytes.len() - LENGTH_FIELD];
    match pack::read_header(cipher, header, blob_bytes as u64) {
        Ok(blobs) if blobs == closed.blobs => Ok(closed),
        _ => Err(RepositoryError::SelfCheck { what: FileKind::Pack.name(&closed.id.0) }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::crypto::KeyMaterial;
    use super::*;

    fn cipher() -> Cipher {
        Cipher::new(KeyMaterial::from_bytes(&[3; 64]))
    }

    /// Text that compresses, noise that does not, nothing at all, and the tree of a huge folder.
    fn blobs() -> Vec<Vec<u8>> {
        let mut noise = vec![0; 5_000];
        rand::fill(&mut noise[..]);
        vec![b"again and ".repeat(1_000), noise, Vec::new(), b"{\"name\":\"a file\"},".repeat(LARGE / 10)]
    }

    #[test]
    fn what_is_sealed_reads_back() {
        let mut worker = Worker::new(1);
        for blob in blobs() {
            let uncompressed = worker.seal(&cipher(), &blob);
            assert!(worker.sealed.len() <= blob.len() + 32, "never larger than it was, but for the nonce and the MAC");
            assert!(worker.reads_back(&cipher(), &blob, uncompressed.is_some()));
        }
    }

    #[test]
    fn a_byte_that_changed_on_the_way_is_found_before_the_source_is_gone() {
        let mut worker = Worker::new(1);
        for blob in blobs().into_iter().filter(|blob| !blob.is_empty()) {
            let compressed = worker.seal(&cipher(), &blob).is_some();
            let sealed = worker.sealed.clone();
            for at in [0, 16, sealed.len() / 2, sealed.len() - 1] {
                worker.sealed[at] ^= 1;
                assert!(!worker.reads_back(&cipher(), &blob, compressed), "byte {at} of {}", sealed.len());
                worker.sealed.clone_from(&sealed);
            }
            // a compressor or a cipher that did its work well, on other bytes
            for other in [[&blob[..], b"x"].concat(), blob[1..].to_vec(), blob.iter().map(|b| b ^ 1).collect()] {
                assert!(!worker.reads_back(&cipher(), &other, compressed));
            }
        }
    }
}
