//! Which file this is: device, inode, and a hash of its first bytes.
//!
//! An inode number alone is reused within seconds by ext4, a device number changes over reboots, and a path is
//! only today's name. So the first bytes decide, and they are compared with the file before it is trusted.
//! Invariant: `prefix_len ≤ min(1024, offset of the checkpoint)`: bytes nobody vouched for are never hashed.

use crate::handover::Checkpoint;

/// Bytes of a whole prefix.
pub const PREFIX_BYTES_MAX: usize = 1024;

/// What the kernel says a file is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileId {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
}

/// Which file a checkpoint belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fingerprint {
    /// Device and inode when it was read.
    pub file: FileId,
    /// How many first bytes are hashed, at most [`PREFIX_BYTES_MAX`].
    pub prefix_len: u16,
    /// [`hash_prefix`] of them.
    pub prefix_hash: u64,
    /// No name led to the file any more and all of it was read: its inode number is free for another file.
    pub ended: bool,
}

/// First 8 bytes of BLAKE3, little-endian.
#[must_use]
pub fn hash_prefix(bytes: &[u8]) -> u64 {
    let hash = blake3::hash(bytes);
    hash.as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

impl Fingerprint {
    /// Length of [`Self::to_bytes`].
    pub const ENCODED_LEN: usize = 27;

    /// Little-endian: device u64 · inode u64 (these 16 bytes name the row of a table) · prefix hash u64 · prefix length
    /// u16 · flags u8 (bit 0: ended).
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::ENCODED_LEN] {
        let mut out = [0; Self::ENCODED_LEN];
        let fields = self.file.device.to_le_bytes().into_iter();
        let fields = fields.chain(self.file.inode.to_le_bytes()).chain(self.prefix_hash.to_le_bytes());
        let fields = fields.chain(self.prefix_len.to_le_bytes()).chain([u8::from(self.ended)]);
        out.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        out
    }

    /// The inverse of [`Self::to_bytes`]; `None` for another length, a prefix over its bound or unknown flags.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (device, rest) = bytes.split_first_chunk()?;
        let (inode, rest) = rest.split_first_chunk()?;
        let (hash, rest) = rest.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let ended = match rest {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        let prefix_len = u16::from_le_bytes(*len);
        let file = FileId { device: u64::from_le_bytes(*device), inode: u64::from_le_bytes(*inode) };
        let fingerprint = Self { file, prefix_len, prefix_hash: u64::from_le_bytes(*hash), ended };
        (usize::from(prefix_len) <= PREFIX_BYTES_MAX).then_some(fingerprint)
    }

    /// Whether a file that begins with `head` may be this one.
    #[must_use]
    pub fn matches(&self, head: &[u8]) -> bool {
        head.get(..usize::from(self.prefix_len)).is_some_and(|prefix| hash_prefix(prefix) == self.prefix_hash)
    }

    /// Whether all of [`PREFIX_BYTES_MAX`] is hashed, so that the hash alone tells files apart.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        usize::from(self.prefix_len) == PREFIX_BYTES_MAX
    }
}

/// The first bytes of a file that is being read, as far as they were handed over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prefix {
    len: u16,
    hash: u64,
    /// The bytes themselves while there are fewer than [`PREFIX_BYTES_MAX`] and the file is open.
    bytes: Vec<u8>,
}

impl Prefix {
    /// Of the first `offset` bytes of a file that begins with `head`.
    #[must_use]
    pub fn new(head: &[u8], offset: u64) -> Self {
        let len = usize::try_from(offset).unwrap_or(PREFIX_BYTES_MAX).min(PREFIX_BYTES_MAX).min(head.len());
        let bytes = head.get(..len).unwrap_or_default().to_vec();
        let mut prefix = Self { len: 0, hash: 0, bytes };
        prefix.seal();
        prefix
    }

    /// Number of hashed bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether nothing of the file is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Learns from `bytes`, which stand at `at` in the file and of which those before `through` are handed over.
    pub fn extend(&mut self, at: u64, bytes: &[u8], through: u64) {
        let known = self.bytes.len();
        if self.len() == PREFIX_BYTES_MAX || known != self.len() {
            return;
        }
        let (Ok(skip), Ok(through)) = (usize::try_from(at), usize::try_from(through.min(PREFIX_BYTES_MAX as u64)))
        else {
            return;
        };
        let Some(from) = known.checked_sub(skip) else { return };
        let upto = through.saturating_sub(skip).min(bytes.len());
        if let Some(new) = bytes.get(from..upto).filter(|new| !new.is_empty()) {
            self.bytes.extend_from_slice(new);
            self.seal();
        }
    }

    /// Compares with the beginning of the file as it is now and takes its bytes back up after [`Self::park`].
    pub fn verify(&mut self, head: &[u8]) -> bool {
        let Some(prefix) = head.get(..self.len()) else { return false };
        if hash_prefix(prefix) != self.hash {
            return false;
        }
        if self.bytes.len() != self.len() && self.len() < PREFIX_BYTES_MAX {
            self.bytes = prefix.to_vec();
        }
        true
    }

    /// Gives up the bytes while the file is closed; the hash stays.
    pub fn park(&mut self) {
        self.bytes = Vec::new();
    }

    /// The fingerprint of the file as far as it is known.
    #[must_use]
    pub fn fingerprint(&self, file: FileId, ended: bool) -> Fingerprint {
        Fingerprint { file, prefix_len: self.len, prefix_hash: self.hash, ended }
    }

    fn seal(&mut self) {
        self.len = u16::try_from(self.bytes.len()).unwrap_or(0);
        self.hash = hash_prefix(&self.bytes);
        if self.bytes.len() >= PREFIX_BYTES_MAX {
            self.bytes = Vec::new();
        }
    }
}

/// What a file that is met for the first time in this run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Known: go on at the checkpoint.
    Known(Checkpoint),
    /// Known, but shorter than what was read: it was truncated meanwhile.
    Cut,
    /// Its device and inode are known but its first bytes are others: it was replaced in place, or the old file went
    /// before all of it was read and the number was given to a new one.
    Replaced,
    /// Never seen.
    Unknown,
}

impl Origin {
    /// Whether it is surely a file of which there is a checkpoint; a replaced one may only have its inode number.
    #[must_use]
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known(_) | Self::Cut)
    }
}

/// Decides by inode. `head`: the first [`PREFIX_BYTES_MAX`] bytes of the file, or all of it. `candidates`: newest first.
#[must_use]
pub fn origin(file: FileId, size: u64, head: &[u8], candidates: &[Checkpoint]) -> Origin {
    let matching = |same_device: bool| {
        candidates.iter().find(|known| {
            (known.file().device == file.device) == same_device
                && known.file().inode == file.inode
                && known.offset >= u64::from(known.fingerprint.prefix_len)
                && known.fingerprint.matches(head)
        })
    };
    match matching(true).or_else(|| matching(false)) {
        Some(known) if known.offset <= size => Origin::Known(*known),
        Some(_) => Origin::Cut,
        None if candidates.iter().any(|known| known.file() == file && !known.fingerprint.ended) => Origin::Replaced,
        None => Origin::Unknown,
    }
}

/// Decides by a whole prefix alone, for a file that was restored or moved between filesystems: only when one
/// candidate remains and its own file is gone. The caller sees to it that no other newcomer has the same prefix.
#[must_use]
pub fn moved_from(size: u64, candidates: &[Checkpoint], is_there: impl Fn(FileId) -> bool) -> Option<Checkpoint> {
    let mut whole = candidates.iter().filter(|known| known.fingerprint.is_whole());
    match (whole.next(), whole.next()) {
        (Some(one), None) if one.offset <= size && !is_there(one.file()) => Some(*one),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileId = FileId { device: 7, inode: 42 };

    fn checkpoint(file: FileId, head: &[u8], offset: u64) -> Checkpoint {
        Checkpoint { fingerprint: Prefix::new(head, offset).fingerprint(file, false), offset }
    }

    #[test]
    fn fingerprints_survive_their_bytes() {
        let fingerprint = checkpoint(FILE, b"abc", 2).fingerprint;
        for ended in [false, true] {
            let fingerprint = Fingerprint { ended, ..fingerprint };
            assert_eq!(Fingerprint::from_bytes(&fingerprint.to_bytes()), Some(fingerprint));
        }
        let bytes = fingerprint.to_bytes();
        assert!(Fingerprint::from_bytes(&bytes[..26]).is_none());
        assert!(Fingerprint::from_bytes(&[&bytes[..], &[0]].concat()).is_none());
        let mut unknown_flag = bytes;
        unknown_flag[26] = 2;
        assert!(Fingerprint::from_bytes(&unknown_flag).is_none());
        let mut long = bytes;
        long[24..26].copy_from_slice(&1025u16.to_le_bytes());
        assert!(Fingerprint::from_bytes(&long).is_none());
    }

    #[test]
    fn prefix_grows_with_what_was_handed_over_and_not_beyond() {
        let content: Vec<u8> = (0..3000u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let mut prefix = Prefix::new(&[], 0);
        for (at, through) in [(0u64, 10u64), (10, 400), (400, 400), (400, 2500)] {
            prefix.extend(at, &content[usize::try_from(at).unwrap()..], through);
            assert_eq!(prefix, Prefix::new(&content[..1024], through));
            prefix.park();
            assert!(prefix.verify(&content[..1024]));
        }
        assert!(prefix.bytes.is_empty());
        assert!(!prefix.verify(&content[1..1025]));
        assert!(!prefix.verify(&content[..1000]));
    }

    #[test]
    fn a_gap_leaves_the_prefix_as_it_is() {
        let mut prefix = Prefix::new(b"abc", 3);
        prefix.extend(5, b"fg", 7);
        assert_eq!(prefix, Prefix::new(b"abc", 3));
    }

    #[test]
    fn inode_with_its_prefix_is_the_file_on_any_device() {
        let known = checkpoint(FILE, b"first line\n", 11);
        let head = b"first line\nsecond\n";
        assert_eq!(origin(FILE, 18, head, &[known]), Origin::Known(known));
        assert_eq!(origin(FileId { device: 8, ..FILE }, 18, head, &[known]), Origin::Known(known));
        let here = checkpoint(FILE, head, 18);
        let there = checkpoint(FileId { device: 8, ..FILE }, head, 11);
        assert_eq!(origin(FILE, 18, head, &[there, here]), Origin::Known(here));
    }

    #[test]
    fn reused_inode_is_another_file() {
        let known = checkpoint(FILE, b"first line\n", 11);
        assert_eq!(origin(FILE, 18, b"other line\nsecond\n", &[known]), Origin::Replaced);
        let ended = Checkpoint { fingerprint: Fingerprint { ended: true, ..known.fingerprint }, ..known };
        assert_eq!(origin(FILE, 18, b"other line\nsecond\n", &[ended]), Origin::Unknown);
        assert_eq!(origin(FileId { device: 8, ..FILE }, 18, b"other line\n", &[known]), Origin::Unknown);
    }

    #[test]
    fn shorter_than_its_checkpoint_is_cut() {
        let known = Checkpoint { offset: 5000, ..checkpoint(FILE, &[b'x'; 1024], 1024) };
        assert_eq!(origin(FILE, 4999, &[b'x'; 1024], &[known]), Origin::Cut);
    }

    #[test]
    fn whole_prefix_is_trusted_only_when_unambiguous_and_the_old_file_gone() {
        let known = checkpoint(FILE, &[b'x'; 1024], 2000);
        let other = checkpoint(FileId { inode: 43, ..FILE }, &[b'x'; 1024], 3000);
        assert_eq!(moved_from(2000, &[known], |_| false), Some(known));
        assert_eq!(moved_from(1999, &[known], |_| false), None);
        assert_eq!(moved_from(2000, &[known], |file| file == FILE), None);
        assert_eq!(moved_from(3000, &[known, other], |_| false), None);
        assert_eq!(moved_from(3000, &[checkpoint(FILE, &[b'x'; 1023], 1023)], |_| false), None);
    }
}
