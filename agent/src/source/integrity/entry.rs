//! What is known of one path, how paths are ordered, and their bytes in a baseline.
//!
//! Invariant: paths are in the order of a walk, in which a folder stands right before all that is below it: `/` comes
//! before every other byte.

use std::cmp::Ordering;

use super::attributes::{Attributes, Extended};

/// The longest path that is looked at, bytes: Linux's `PATH_MAX`.
pub const PATH_BYTES_MAX: usize = 4_096;

/// An [`Entry::changed`] that no file has: it is hashed again at the next look.
pub const UNSETTLED: i64 = i64::MIN;

/// What stands at a path.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum FileKind {
    /// A regular file.
    File = 1,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A block device.
    Block,
    /// A character device.
    Character,
}

impl FileKind {
    const ALL: [Self; 7] =
        [Self::File, Self::Folder, Self::Link, Self::Fifo, Self::Socket, Self::Block, Self::Character];

    /// OCSF's `file.type_id`.
    #[must_use]
    pub fn type_id(self) -> u64 {
        match self {
            Self::File => 1,
            Self::Folder => 2,
            Self::Character => 3,
            Self::Block => 4,
            Self::Fifo => 5,
            Self::Socket => 6,
            Self::Link => 7,
        }
    }
}

/// Why a file has no hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Unhashed {
    /// It is larger than `hash_bytes_max`.
    TooLarge = 1,
    /// It may not be read, or reading failed.
    Unreadable,
    /// It changed while it was read, twice.
    Changing,
}

impl Unhashed {
    const ALL: [Self; 3] = [Self::TooLarge, Self::Unreadable, Self::Changing];

    /// The word in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Unreadable => "unreadable",
            Self::Changing => "changing",
        }
    }
}

/// What a path holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// Nothing that is compared.
    Nothing,
    /// SHA-256 of a file.
    Sha256([u8; 32]),
    /// A file that was not hashed.
    Unhashed(Unhashed),
    /// Where a link leads.
    Target(Box<[u8]>),
}

/// What is known of one path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits with set-uid, set-gid and sticky: `0o7777` at most.
    pub mode: u32,
    /// Owner.
    pub user: u32,
    /// Group.
    pub group: u32,
    /// Bytes; 0 of a folder, whose size only its filesystem understands.
    pub size: u64,
    /// `st_mtim`, nanoseconds since the epoch.
    pub modified: i64,
    /// `st_ctim`, nanoseconds since the epoch; [`UNSETTLED`] where it was so young that a later change may bear it, too.
    pub changed: i64,
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
    /// What it holds.
    pub content: Content,
    /// Its extended attributes; none of a link.
    pub extended: Extended,
}

impl Entry {
    /// Whether nothing was written to it since: then its hash holds. Not the device: its number changes over reboots.
    #[must_use]
    pub fn is_untouched_since(&self, old: &Self) -> bool {
        let of = |e: &Self| (e.kind, e.size, e.modified, e.changed, e.inode);
        of(self) == of(old)
    }
}

/// A path and what stands there.
pub type Named = (Box<[u8]>, Entry);

/// The order of a walk.
#[must_use]
pub fn order(a: &[u8], b: &[u8]) -> Ordering {
    let rank = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
    a.iter().map(rank).cmp(b.iter().map(rank))
}

/// Whether `path` is `root` or stands below it.
#[must_use]
pub fn is_within(path: &[u8], root: &[u8]) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// A path in the order of a walk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TreePath(pub Box<[u8]>);

impl PartialOrd for TreePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TreePath {
    fn cmp(&self, other: &Self) -> Ordering {
        order(&self.0, &other.0)
    }
}

fn put(mut number: u64, out: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0);
        number >>= 7;
        if number == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

/// Reads fields from the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits || (shift > 0 && byte == 0) {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }
}

/// Of attributes, in a byte: of those that guard in the low half, of users' in the high one.
const NONE: u8 = 0;
const DIGEST: u8 = 1;
const UNREADABLE: u8 = 2;

fn put_extended(extended: &Extended, out: &mut Vec<u8>) {
    let both = [&extended.guard, &extended.user];
    let [guard, user] = both.map(|attributes| match attributes {
        Attributes::None => NONE,
        Attributes::Sha256(_) => DIGEST,
        Attributes::Unreadable => UNREADABLE,
    });
    out.push(guard | user << 4);
    for attributes in both {
        if let Attributes::Sha256(digest) = attributes {
            out.extend_from_slice(digest);
        }
    }
}

fn read_extended(fields: &mut Fields<'_>) -> Option<Extended> {
    let kinds = fields.byte()?;
    let mut read = |kind| match kind {
        NONE => Some(Attributes::None),
        DIGEST => Some(Attributes::Sha256(*fields.bytes(32)?.first_chunk()?)),
        UNREADABLE => Some(Attributes::Unreadable),
        _ => None,
    };
    Some(Extended { guard: read(kinds & 0xf)?, user: read(kinds >> 4)? })
}

/// Appends an entry to a block. `before`: the path before it in the block, empty for the first.
pub fn encode(before: &[u8], path: &[u8], entry: &Entry, out: &mut Vec<u8>) {
    let shared = before.iter().zip(path).take_while(|(a, b)| a == b).count();
    let rest = path.get(shared..).unwrap_or_default();
    put(shared as u64, out);
    put(rest.len() as u64, out);
    out.extend_from_slice(rest);
    out.push(entry.kind as u8);
    for number in [u64::from(entry.mode), u64::from(entry.user), u64::from(entry.group), entry.size] {
        put(number, out);
    }
    for number in [zigzag(entry.modified), zigzag(entry.changed), entry.device, entry.inode] {
        put(number, out);
    }
    match &entry.content {
        Content::Nothing => out.push(0),
        Content::Sha256(hash) => {
            out.push(1);
            out.extend_from_slice(hash);
        }
        Content::Unhashed(why) => out.extend([2, *why as u8]),
        Content::Target(target) => {
            out.push(3);
            put(target.len() as u64, out);
            out.extend_from_slice(target);
        }
    }
    put_extended(&entry.extended, out);
}

/// Reads the entries of a block in order; `None`: it is none, or its paths are not in order behind `last`.
#[must_use]
pub fn decode(block: &[u8], last: &[u8]) -> Option<Vec<Named>> {
    let (mut fields, mut entries) = (Fields(block), Vec::new());
    let mut before: Box<[u8]> = Box::default();
    while !fields.0.is_empty() {
        let shared = usize::try_from(fields.number()?).ok()?;
        let len = usize::try_from(fields.number()?).ok()?;
        let mut path = before.get(..shared)?.to_vec();
        path.extend_from_slice(fields.bytes(len)?);
        let previous = if entries.is_empty() { last } else { &before };
        let is_path = path.len() <= PATH_BYTES_MAX && path.first() == Some(&b'/') && !path.contains(&0);
        if !is_path || order(previous, &path) != Ordering::Less {
            return None;
        }
        let kind = fields.byte()?;
        let kind = FileKind::ALL.into_iter().find(|known| *known as u8 == kind)?;
        let mode = fields.small().filter(|mode| *mode <= 0o7777)?;
        let (user, group, size) = (fields.small()?, fields.small()?, fields.number()?);
        let (modified, changed) = (unzigzag(fields.number()?), unzigzag(fields.number()?));
        let (device, inode) = (fields.number()?, fields.number()?);
        let content = match fields.byte()? {
            0 => Content::Nothing,
            1 => Content::Sha256(*fields.bytes(32)?.first_chunk()?),
            2 => {
                let why = fields.byte()?;
                Content::Unhashed(Unhashed::ALL.into_iter().find(|known| *known as u8 == why)?)
            }
            3 => {
                let len = usize::try_from(fields.number()?).ok().filter(|len| *len <= PATH_BYTES_MAX)?;
                Content::Target(fields.bytes(len)?.into())
            }
            _ => return None,
        };
        before = path.into_boxed_slice();
        let extended = read_extended(&mut fields)?;
        let entry = Entry { kind, mode, user, group, size, modified, changed, device, inode, content, extended };
        entries.push((before.clone(), entry));
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn entry(inode: u64, content: Content) -> Entry {
        Entry {
            kind: FileKind::File,
            mode: 0o4755,
            user: 7,
            group: u32::MAX,
            size: 300,
            modified: -1,
            changed: i64::MAX,
            device: u64::MAX,
            inode,
            content,
            extended: Extended { guard: Attributes::Sha256([8; 32]), user: Attributes::Unreadable },
        }
    }

    #[test]
    fn folder_stands_right_before_what_is_below_it() {
        let mut paths = ["/a-b", "/a/b", "/a", "/a/b/c", "/a.c", "/b"].map(|path| TreePath(path.as_bytes().into()));
        paths.sort();
        let sorted: Vec<_> = paths.iter().map(|path| std::str::from_utf8(&path.0).unwrap()).collect();
        assert_eq!(sorted, ["/a", "/a/b", "/a/b/c", "/a-b", "/a.c", "/b"]);
        assert!(is_within(b"/a/b", b"/a") && is_within(b"/a", b"/a") && !is_within(b"/a-b", b"/a"));
    }

    #[test]
    fn entries_come_back_as_they_were() {
        let entries = [
            ("/a", entry(1, Content::Nothing)),
            ("/a/b", entry(0, Content::Sha256([9; 32]))),
            ("/a/bc", entry(u64::MAX, Content::Unhashed(Unhashed::Changing))),
            ("/b", entry(3, Content::Target(b"../x\xff".as_slice().into()))),
        ];
        let (mut block, mut before) = (Vec::new(), "");
        for (path, entry) in &entries {
            encode(before.as_bytes(), path.as_bytes(), entry, &mut block);
            before = path;
        }
        let read = decode(&block, b"").unwrap();
        assert_eq!(read.len(), 4);
        assert!(read.iter().zip(&entries).all(|(a, b)| (&*a.0, &a.1) == (b.0.as_bytes(), &b.1)));
        assert_eq!(decode(&block, b"/a"), None, "not in order behind what came before");
        for cut in 1..block.len() {
            let whole = decode(&block[..cut], b"").unwrap_or_default();
            assert!(whole.len() < 4);
        }
    }
}
