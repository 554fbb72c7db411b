//! A reader with what is ahead of it in memory.

use std::io::{self, ErrorKind, Read};
use std::ops::Range;

/// Read at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// Bytes of a file, from where it was read to.
pub struct Input<R> {
    reader: R,
    buffer: Vec<u8>,
    ahead: Range<usize>,
    /// Offset in the file of what is ahead.
    pub offset: u64,
    /// The file ended within something.
    pub truncated: bool,
}

impl<R: Read> Input<R> {
    /// At the beginning of a file.
    pub fn new(reader: R) -> Self {
        Self { reader, buffer: vec![0; BUFFER_BYTES], ahead: 0..0, offset: 0, truncated: false }
    }

    /// Sees to it that at least `wanted` bytes are ahead, or all that the file has.
    pub fn fill(&mut self, wanted: usize) -> io::Result<()> {
        if self.ahead.len() >= wanted {
            return Ok(());
        }
        self.buffer.copy_within(self.ahead.clone(), 0);
        self.ahead = 0..self.ahead.len();
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted.next_multiple_of(BUFFER_BYTES), 0);
        }
        while self.ahead.len() < wanted {
            match self.reader.read(self.buffer.get_mut(self.ahead.end..).unwrap_or_default()) {
                Ok(0) => break,
                Ok(length) => self.ahead.end += length,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What is ahead.
    pub fn ahead(&self) -> &[u8] {
        self.buffer.get(self.ahead.clone()).unwrap_or_default()
    }

    /// The next `N` bytes, which stay ahead. None at the end of the file; if there are fewer it is truncated.
    pub fn peek<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        self.fill(N)?;
        let head = self.ahead().first_chunk::<N>().copied();
        self.truncated |= head.is_none() && !self.ahead.is_empty();
        Ok(head)
    }

    /// Takes the next `length` bytes, or as many as the file has: then it is truncated. [`Self::taken`] has them until
    /// more is read.
    pub fn take(&mut self, length: usize) -> io::Result<Range<usize>> {
        self.fill(length)?;
        self.truncated |= self.ahead.len() < length;
        let start = self.ahead.start;
        self.advance(length.min(self.ahead.len()));
        Ok(start..self.ahead.start)
    }

    /// Bytes that were taken.
    pub fn taken(&self, range: Range<usize>) -> &[u8] {
        self.buffer.get(range).unwrap_or_default()
    }

    /// Passes over `length` bytes, or as many as the file has: then it is truncated.
    pub fn skip(&mut self, mut length: u64) -> io::Result<()> {
        while length > 0 {
            self.fill(1)?;
            let step = usize::try_from(length).unwrap_or(usize::MAX).min(self.ahead.len());
            if step == 0 {
                self.truncated = true;
                break;
            }
            self.advance(step);
            length -= step as u64;
        }
        Ok(())
    }

    /// Memory that is held.
    #[cfg(test)]
    pub fn held_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    fn advance(&mut self, length: usize) {
        self.ahead.start += length;
        self.offset += length as u64;
    }
}
