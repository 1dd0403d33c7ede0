//! Buffers that are used again: a fresh one of a megabyte costs 256 page faults before its first byte is useful, and
//! glibc keeps what other threads have freed (measured: 220 MB where 90 MB were in use).

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Spare buffers of about one size.
#[derive(Debug)]
pub struct Pool {
    spare: Mutex<Vec<Vec<u8>>>,
    /// What a new buffer has room for; one that has grown to more than twice of it is let go.
    capacity: usize,
    most: usize,
}

impl Pool {
    pub const fn new(capacity: usize, most: usize) -> Self {
        Self { spare: Mutex::new(Vec::new()), capacity, most }
    }

    /// An empty buffer.
    pub fn take(&self) -> Vec<u8> {
        self.take_for(0)
    }

    /// An empty buffer that has room for so many bytes.
    pub fn take_for(&self, bytes: usize) -> Vec<u8> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        match spare.iter().rposition(|buffer| buffer.capacity() >= bytes) {
            Some(at) => spare.swap_remove(at),
            None => Vec::with_capacity(self.capacity.max(bytes)),
        }
    }

    pub fn give(&self, mut buffer: Vec<u8>) {
        if (self.capacity..=2 * self.capacity).contains(&buffer.capacity()) {
            let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
            if spare.len() < self.most {
                buffer.clear();
                spare.push(buffer);
            }
        }
    }

    /// The buffer's bytes; it comes back when the last slice of them is gone.
    pub fn lend(self: &Arc<Self>, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { buffer, pool: Arc::clone(self) })
    }
}

struct Lent {
    buffer: Vec<u8>,
    pool: Arc<Pool>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.pool.give(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_comes_back_empty_and_what_does_not_is_let_go() {
        let pool = Pool::new(100, 1);
        for (given, comes_back) in [(99, false), (150, true), (201, false)] {
            let mut buffer = Vec::with_capacity(given);
            buffer.push(1);
            pool.give(buffer);
            let taken = pool.take();
            assert!(taken.is_empty() && taken.capacity() >= 100);
            assert_eq!(taken.capacity() == given, comes_back, "a buffer of {given}");
        }
        pool.give(Vec::with_capacity(100));
        pool.give(Vec::with_capacity(100));
        assert_eq!(pool.spare.lock().unwrap().len(), 1);
        assert!(pool.take_for(170).capacity() >= 170, "the spare one is too small");
        assert_eq!(pool.take_for(100).capacity(), 100, "but it is still there");
    }

    #[test]
    fn what_is_lent_comes_back_with_its_last_slice() {
        let pool = Arc::new(Pool::new(100, 4));
        let mut buffer = pool.take();
        buffer.extend_from_slice(b"some bytes");
        let lent = pool.lend(buffer);
        let slice = lent.slice(5..);
        drop(lent);
        assert_eq!((&slice[..], pool.spare.lock().unwrap().len()), (&b"bytes"[..], 0));
        drop(slice);
        assert_eq!(pool.spare.lock().unwrap().len(), 1);
    }
}
