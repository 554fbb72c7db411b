//! SHA-256 over the records of a segment, for an owner that vouches for what it keeps (the journal's seals).
//!
//! It covers the log's bytes `[first, end)` as they stand in the file behind its header: records with their own
//! headers and padding. The header is left out, since a start may have to write it anew ([`super::recovery`]); the log
//! id and `first` stand beside the digest wherever one is kept. While a log is written the digest grows with each
//! piece: no byte is read again for it.

use std::io;
use std::path::Path;

use ring::digest::{Context, SHA256};

use super::recovery::each_piece;
use super::{Fs, SEGMENT_HEADER_LEN, segment_name};

/// The digest of a segment, or of its begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentDigest {
    /// Log offset of the segment's first record.
    pub first: u64,
    /// Log offset behind the last byte that is covered.
    pub end: u64,
    /// SHA-256.
    pub sha256: [u8; 32],
}

/// A digest that grows.
#[derive(Clone)]
pub(super) struct Running {
    first: u64,
    end: u64,
    context: Context,
}

impl Running {
    /// Of a segment that begins at log offset `first`.
    pub(super) fn new(first: u64) -> Self {
        Self { first, end: first, context: Context::new(&SHA256) }
    }

    /// Takes what follows.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
        self.end += bytes.len() as u64;
    }

    /// The digest of what was taken.
    pub(super) fn value(&self) -> SegmentDigest {
        let digest = self.context.clone().finish();
        let sha256 = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
        SegmentDigest { first: self.first, end: self.end, sha256 }
    }

    /// Takes the bytes up to log offset `end` from the segment's file; false when it has fewer, or does not give them.
    pub(super) fn read_to(&mut self, fs: &dyn Fs, dir: &Path, end: u64) -> io::Result<bool> {
        let file = fs.open_read(&dir.join(segment_name(self.first)))?;
        let place = |offset: u64| offset - self.first + SEGMENT_HEADER_LEN;
        let (from, to) = (place(self.end), place(end.max(self.end)));
        let read = each_piece(file.as_ref(), from, to, |piece, _| {
            self.take(piece);
            Ok(())
        });
        Ok(read.is_ok() && self.end >= end)
    }
}

/// The digests of the segment that begins at log offset `first`, up to each of `ends`, which rise. `None` where the
/// file is shorter, or is not read that far.
///
/// # Errors
/// The file cannot be opened.
pub fn segment_digests(fs: &dyn Fs, dir: &Path, first: u64, ends: &[u64]) -> io::Result<Vec<Option<SegmentDigest>>> {
    let mut running = Running::new(first);
    let mut digest = |end: &u64| Ok(running.read_to(fs, dir, *end)?.then(|| running.value()));
    ends.iter().map(&mut digest).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::super::*;
    use super::*;
    use crate::time::Clock;

    const OPTIONS: Options = Options { segment_bytes: 80 << 10, quarantine_bytes_max: 0, points: ["w", "s", "c"] };

    fn open(fs: &ModelFs) -> Log {
        let fs = Arc::new(fs.clone());
        Log::open(fs, Path::new("/log"), OPTIONS, Clock::System, &mut |_| {}, &|| b"fresh".to_vec()).unwrap().log
    }

    fn on_disk(fs: &ModelFs, digest: SegmentDigest) -> [u8; 32] {
        let found = segment_digests(fs, Path::new("/log"), digest.first, &[digest.end]).unwrap();
        found[0].expect("the file has these bytes").sha256
    }

    #[test]
    fn digest_that_grew_with_the_commits_is_that_of_the_file() {
        let fs = ModelFs::new(1);
        let mut log = open(&fs);
        assert_eq!(log.digest(), None, "nobody asked for it");
        log.keep_digest().unwrap();
        let mut of_finished = Vec::new();
        for i in 0..60u8 {
            if !log.fits(Kind::Frame, 900) {
                of_finished.push(log.digest().unwrap());
                log.roll(b"state", 0).unwrap();
            }
            if i == 33 {
                // The file fails: what was pending goes to a new segment, and what came before it stays as it was.
                of_finished.push(log.digest().unwrap());
                fs.fail_sync_at(1);
            }
            log.append(Kind::Frame, &[&[i; 900]]).unwrap();
            let before = log.digest();
            assert_eq!(before.unwrap().end, log.committed(), "what is pending does not count");
            log.commit(&|| b"state".to_vec()).unwrap();
        }
        of_finished.push(log.digest().unwrap());
        assert_eq!(log.digest().unwrap().end, log.committed());
        assert!(of_finished.len() >= 4);
        for digest in of_finished {
            assert_eq!(on_disk(&fs, digest), digest.sha256);
        }
        let (kept, committed) = (log.digest().unwrap(), log.committed());
        let mut again = open(&fs);
        again.keep_digest().unwrap();
        assert_eq!((again.digest(), again.committed()), (Some(kept), committed));
    }

    #[test]
    fn file_that_is_shorter_than_asked_for_has_no_digest() {
        let fs = ModelFs::new(1);
        let log = open(&fs);
        let end = log.committed();
        let dir = PathBuf::from("/log");
        let found = segment_digests(&fs, &dir, 0, &[8, end, 1 << 30]).unwrap();
        assert!(found[0].is_some() && found[1].is_some() && found[2].is_none());
        assert_ne!(found[0].unwrap().sha256, found[1].unwrap().sha256);
        assert!(segment_digests(&fs, &dir, 8, &[16]).is_err(), "there is no such segment");
    }

    #[test]
    fn room_that_is_kept_free_is_for_seals() {
        let fs = ModelFs::new(1);
        let mut log = open(&fs);
        log.keep_free(10_000);
        let mut frames = 0;
        while log.append(Kind::Frame, &[&[7; 500]]).is_ok() {
            frames += 1;
        }
        assert!(frames > 5);
        assert!(!log.fits(Kind::Frame, 500) && log.fits(Kind::Seal, 9_900) && log.fits(Kind::Mark, 9_900));
        assert!(log.segment_size(100, 70_000) > 145_000, "a new segment has it too");
    }
}
