//! The bytes of an RDB file in order, checked by their CRC-64 on the way. Nothing in the file decides how much memory
//! is taken: what is long is handed out in pieces of the buffer.

use std::io::Read;

use super::RdbError;

/// Read at once; large enough that the calls do not show, small enough for the second-level cache.
const BUFFER: usize = 128 * 1024;

/// Redis' CRC-64 (Jones, reflected, initial value 0). Source: redis `src/crc64.c`.
static CRC64: crc::Crc<u64, crc::Table<16>> = crc::Crc::<u64, crc::Table<16>>::new(&crc::CRC_64_REDIS);

/// How the last eight bytes of the file compare with its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checksum {
    /// Equal.
    Verified,
    /// Zero: the server runs with `rdbchecksum no`, so nothing but our own hashes guards these bytes.
    Disabled,
    /// Versions below 5 have none.
    Absent,
}

pub(super) struct Source<R> {
    input: R,
    buffer: Vec<u8>,
    position: usize,
    end: usize,
    /// Where in the buffer the bytes begin that the checksum has not seen.
    unsummed: usize,
    crc: crc::Digest<'static, u64, crc::Table<16>>,
    /// Bytes of the file before the buffer.
    before: u64,
    /// What a compressed string is unpacked into; kept, so that a million of them share it.
    pub(super) unpacked: Vec<u8>,
}

impl<R: Read> Source<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            buffer: vec![0; BUFFER],
            position: 0,
            end: 0,
            unsummed: 0,
            crc: CRC64.digest(),
            before: 0,
            unpacked: Vec::new(),
        }
    }

    /// How far into the file the next byte lies.
    pub(super) fn offset(&self) -> u64 {
        self.before + self.position as u64
    }

    fn refill(&mut self) -> Result<(), RdbError> {
        self.crc.update(&self.buffer[self.unsummed..self.end]);
        self.before += self.end as u64;
        (self.position, self.end, self.unsummed) = (0, 0, 0);
        loop {
            match self.input.read(&mut self.buffer) {
                Ok(0) => return Err(RdbError::Truncated { offset: self.offset() }),
                Ok(n) => {
                    self.end = n;
                    return Ok(());
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => return Err(RdbError::Read { offset: self.offset(), source }),
            }
        }
    }

    pub(super) fn byte(&mut self) -> Result<u8, RdbError> {
        if self.position == self.end {
            self.refill()?;
        }
        let byte = self.buffer[self.position];
        self.position += 1;
        Ok(byte)
    }

    /// The next bytes, at least one and at most `limit` of them.
    pub(super) fn piece(&mut self, limit: u64) -> Result<&[u8], RdbError> {
        if self.position == self.end {
            self.refill()?;
        }
        let available = self.end - self.position;
        let n = usize::try_from(limit).map_or(available, |limit| limit.min(available));
        let piece = &self.buffer[self.position..self.position + n];
        self.position += n;
        Ok(piece)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], RdbError> {
        let mut array = [0; N];
        self.fill(&mut array)?;
        Ok(array)
    }

    pub(super) fn fill(&mut self, mut into: &mut [u8]) -> Result<(), RdbError> {
        while !into.is_empty() {
            let piece = self.piece(into.len() as u64)?;
            let (head, rest) = into.split_at_mut(piece.len());
            head.copy_from_slice(piece);
            into = rest;
        }
        Ok(())
    }

    pub(super) fn skip(&mut self, mut bytes: u64) -> Result<(), RdbError> {
        while bytes > 0 {
            bytes -= self.piece(bytes)?.len() as u64;
        }
        Ok(())
    }

    /// Reads the eight bytes after the end mark and compares them with the sum of all before.
    pub(super) fn check_sum(&mut self) -> Result<Checksum, RdbError> {
        self.crc.update(&self.buffer[self.unsummed..self.position]);
        self.unsummed = self.position;
        let computed = self.crc.clone().finalize();
        match u64::from_le_bytes(self.array()?) {
            0 => Ok(Checksum::Disabled),
            stored if stored == computed => Ok(Checksum::Verified),
            stored => Err(RdbError::Checksum { stored, computed }),
        }
    }

    /// Refuses bytes after the end: what is restored must be what was understood.
    pub(super) fn expect_end(&mut self) -> Result<(), RdbError> {
        match self.byte() {
            Err(RdbError::Truncated { .. }) => Ok(()),
            Ok(_) => Err(self.malformed("bytes follow after the end mark")),
            Err(error) => Err(error),
        }
    }

    pub(super) fn malformed(&self, what: impl Into<String>) -> RdbError {
        RdbError::Malformed { offset: self.offset(), what: what.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_redis() {
        assert_eq!(CRC64.checksum(b"123456789"), 0xe9c6_d914_c4b8_d9ca); // redis src/crc64.c, its own test
    }

    #[test]
    fn the_sum_is_right_wherever_the_reads_fall() {
        let content: Vec<u8> = (0..400_000u32).map(|i| (i * 7) as u8).collect();
        let mut file = content.clone();
        file.extend(CRC64.checksum(&content).to_le_bytes());
        for step in [1, 7, 4096, 1 << 20] {
            let mut source = Source::new(Steps { file: &file, step });
            source.skip(content.len() as u64).unwrap();
            assert_eq!(source.check_sum().unwrap(), Checksum::Verified, "in steps of {step}");
            source.expect_end().unwrap();
        }
    }

    struct Steps<'a> {
        file: &'a [u8],
        step: usize,
    }

    impl Read for Steps<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let n = self.step.min(into.len()).min(self.file.len());
            let (head, rest) = self.file.split_at(n);
            into[..n].copy_from_slice(head);
            self.file = rest;
            Ok(n)
        }
    }
}
