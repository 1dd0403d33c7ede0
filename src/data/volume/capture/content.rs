//! The bytes of one open file: data from disk, holes as zeros that are not read.

use std::os::fd::AsFd;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::super::VolumeError;
use super::super::folder::read_at;
use super::super::status::Status;

/// Reads of 1 MiB are best (measured); larger ones leave the processor's cache.
pub(super) const READ_BYTES: usize = 1 << 20;

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// A piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    Data { end: u64 },
    Hole { end: u64 },
}

/// How much came of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fed {
    /// Read from disk.
    pub read: u64,
    /// In all, zeros of holes included.
    pub bytes: u64,
}

/// Hands the file's bytes in order to `take`, at most as many as `status` says that it has: a log that grows as fast
/// as it is read comes to an end all the same. A file that says 0 is read to its end: some virtual ones do.
///
/// # Errors
/// What `take` returns, and what `failed` makes of an error of the file's.
pub(super) fn feed(
    fd: impl AsFd,
    status: &Status,
    buffer: &mut [u8],
    failed: impl Fn(std::io::Error) -> VolumeError,
    mut take: impl FnMut(&[u8]) -> Result<(), VolumeError>,
) -> Result<Fed, VolumeError> {
    let limit = if status.bytes == 0 { u64::MAX } else { status.bytes };
    let mut fed = Fed::default();
    while fed.bytes < limit {
        let extent = if status.is_sparse() {
            extent_at(&fd, fed.bytes, limit).map_err(|errno| failed(errno.into()))?
        } else {
            Extent::Data { end: limit }
        };
        match extent {
            Extent::Hole { end } => {
                while fed.bytes < end {
                    let zeros = &ZEROS[..at_most(ZEROS.len(), end - fed.bytes)];
                    take(zeros)?;
                    fed.bytes += zeros.len() as u64;
                }
            }
            Extent::Data { end } => {
                while fed.bytes < end {
                    let most = at_most(buffer.len(), end - fed.bytes);
                    let n = read_at(&fd, &mut buffer[..most], fed.bytes).map_err(&failed)?;
                    take(&buffer[..n])?;
                    fed.read += n as u64;
                    fed.bytes += n as u64;
                    if n < most {
                        return Ok(fed); // it has been cut meanwhile; its status afterwards tells
                    }
                }
            }
        }
    }
    Ok(fed)
}

fn at_most(buffer: usize, left: u64) -> usize {
    usize::try_from(left).map_or(buffer, |left| left.min(buffer))
}

/// What lies at `offset`; where the file system cannot say, data.
fn extent_at(fd: impl AsFd, offset: u64, limit: u64) -> Result<Extent, Errno> {
    match seek(&fd, SeekFrom::Data(offset)) {
        Ok(data) if data > offset => Ok(Extent::Hole { end: data.min(limit) }),
        Ok(_) => match seek(&fd, SeekFrom::Hole(offset)) {
            Ok(hole) if hole > offset => Ok(Extent::Data { end: hole.min(limit) }),
            Ok(_) => Ok(Extent::Data { end: limit }),
            Err(error) => Err(error),
        },
        Err(Errno::NXIO) => Ok(Extent::Hole { end: limit }),
        Err(Errno::INVAL | Errno::NOTSUP) => Ok(Extent::Data { end: limit }),
        Err(error) => Err(error),
    }
}
