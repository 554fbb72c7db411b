//! What a difference is, and how two of them are one rename.
//!
//! In: what a path was and is. Out: changes. Invariant: telling what was and applying the changes gives what is; nothing
//! is told of a path that is as it was.

use std::collections::HashMap;

use super::entry::{Content, Entry, FileKind, Named};

/// Halves of renames that wait for their other half.
pub const HALVES_MAX: usize = 4_096;

/// What differs between two looks at a path.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Differs {
    /// What it holds; where there is no hash to compare: its size or time.
    pub content: bool,
    /// Permission bits.
    pub mode: bool,
    /// User or group.
    pub owner: bool,
    /// Extended attributes that guard it: ACLs, capabilities, labels.
    pub guard: bool,
    /// Extended attributes of users.
    pub attributes: bool,
    /// The time of its last change, and nothing that it holds.
    pub time: bool,
}

impl Differs {
    /// Between two entries of one kind.
    #[must_use]
    pub fn between(old: &Entry, new: &Entry) -> Self {
        let is_file = new.kind == FileKind::File;
        let moved = is_file && old.modified != new.modified;
        let content = match (&old.content, &new.content) {
            (Content::Sha256(a), Content::Sha256(b)) => a != b,
            (Content::Target(a), Content::Target(b)) => a != b,
            // A hash that comes or goes by itself says nothing.
            _ => is_file && (moved || old.size != new.size),
        };
        Self {
            content,
            mode: new.kind != FileKind::Link && old.mode != new.mode,
            owner: (old.user, old.group) != (new.user, new.group),
            guard: old.extended.guard.differ(&new.extended.guard),
            attributes: old.extended.user.differ(&new.extended.user),
            time: moved && !content,
        }
    }

    /// Nothing does.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }

    /// The words for what does.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [
            (self.content, "content"),
            (self.mode, "mode"),
            (self.owner, "owner"),
            (self.guard, "security_attributes"),
            (self.attributes, "user_attributes"),
            (self.time, "time"),
        ];
        all.into_iter().filter_map(|(differs, name)| differs.then_some(name))
    }
}

/// Something that happened to a path between two looks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// It came.
    Created(Box<[u8]>, Entry),
    /// It went.
    Deleted(Box<[u8]>, Entry),
    /// It is not what it was.
    Altered(Box<[u8]>, Box<(Entry, Entry)>, Differs),
    /// It went from one path to another.
    Renamed(Box<[u8]>, Box<[u8]>, Box<(Entry, Entry)>),
}

/// Paths that came and went during one look: what went there and came here under one inode was renamed.
#[derive(Debug, Default)]
pub struct Halves {
    gone: HashMap<(u64, u64), Named>,
    come: HashMap<(u64, u64), Named>,
}

/// Whether one is the other under another name: an inode number alone is given to the next file, so it must be of the same
/// kind and age and hold the same.
fn is_same(gone: &Entry, come: &Entry) -> bool {
    let of = |e: &Entry| (e.kind, e.size, e.modified);
    let holds = match (&gone.content, &come.content) {
        (Content::Sha256(a), Content::Sha256(b)) => a == b,
        (Content::Target(a), Content::Target(b)) => a == b,
        _ => true,
    };
    of(gone) == of(come) && holds
}

fn id(entry: &Entry) -> (u64, u64) {
    (entry.device, entry.inode)
}

impl Halves {
    /// Something came; what there is to tell now.
    pub fn came(&mut self, path: Box<[u8]>, entry: Entry) -> Option<Change> {
        if self.gone.get(&id(&entry)).is_some_and(|(_, gone)| is_same(gone, &entry))
            && let Some((from, gone)) = self.gone.remove(&id(&entry))
        {
            return Some(Change::Renamed(from, path, Box::new((gone, entry))));
        }
        if self.come.len() >= HALVES_MAX {
            return Some(Change::Created(path, entry));
        }
        let before = self.come.insert(id(&entry), (path, entry));
        before.map(|(path, entry)| Change::Created(path, entry))
    }

    /// Something went; what there is to tell now.
    pub fn went(&mut self, path: Box<[u8]>, entry: Entry) -> Option<Change> {
        if self.come.get(&id(&entry)).is_some_and(|(_, come)| is_same(&entry, come))
            && let Some((to, come)) = self.come.remove(&id(&entry))
        {
            return Some(Change::Renamed(path, to, Box::new((entry, come))));
        }
        if self.gone.len() >= HALVES_MAX {
            return Some(Change::Deleted(path, entry));
        }
        let before = self.gone.insert(id(&entry), (path, entry));
        before.map(|(path, entry)| Change::Deleted(path, entry))
    }

    /// What found no other half, those that went first.
    pub fn left(&mut self) -> impl Iterator<Item = Change> {
        let gone = self.gone.drain().map(|(_, (path, entry))| Change::Deleted(path, entry));
        gone.chain(self.come.drain().map(|(_, (path, entry))| Change::Created(path, entry)))
    }
}
