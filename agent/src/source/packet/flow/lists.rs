//! Which flow was silent longest: a doubly linked list per patience, threaded through the entries.
//!
//! All flows of a list may be silent equally long, so that the head is always the next to go: nothing is searched.

use std::time::Duration;

use shared::time::Timestamp;

use super::entry::Entry;

/// How long a flow may be silent.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Patience {
    /// A question that nobody answered, yet.
    #[default]
    Unanswered,
    /// A connection that is over: stragglers only.
    Over,
    /// Datagrams and messages.
    Datagrams,
    /// A connection.
    Connection,
}

/// Every list, in the order in which flows are given up where there is no room.
pub(super) const ALL: &[Patience] = &[Patience::Unanswered, Patience::Over, Patience::Datagrams, Patience::Connection];

impl Patience {
    pub(super) fn time(self) -> Duration {
        match self {
            Self::Over => Duration::from_secs(5),
            Self::Unanswered => Duration::from_secs(30),
            Self::Datagrams => Duration::from_secs(60),
            Self::Connection => Duration::from_secs(300),
        }
    }
}

/// Where an entry stands.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Place {
    list: Option<Patience>,
    before: Option<u32>,
    behind: Option<u32>,
}

#[derive(Clone, Copy, Default)]
struct List {
    oldest: Option<u32>,
    newest: Option<u32>,
}

/// The lists.
#[derive(Default)]
pub(super) struct Lists([List; 4]);

impl Lists {
    fn of(&mut self, patience: Patience) -> &mut List {
        let [unanswered, over, datagrams, connection] = &mut self.0;
        match patience {
            Patience::Unanswered => unanswered,
            Patience::Over => over,
            Patience::Datagrams => datagrams,
            Patience::Connection => connection,
        }
    }

    /// The flow of a list that was silent longest.
    pub(super) fn oldest(&self, patience: Patience) -> Option<u32> {
        let [unanswered, over, datagrams, connection] = &self.0;
        match patience {
            Patience::Unanswered => unanswered.oldest,
            Patience::Over => over.oldest,
            Patience::Datagrams => datagrams.oldest,
            Patience::Connection => connection.oldest,
        }
    }

    /// Moves an entry to the end of a list: something of it came `at` that time.
    pub(super) fn put(&mut self, entry: u32, patience: Patience, at: Timestamp, entries: &mut [Entry]) {
        let known = entries.get(entry as usize).map(|known| known.place);
        if known.is_some_and(|place| place.list == Some(patience) && place.behind.is_none()) {
            return touch(entry, at, entries);
        }
        self.take(entry, entries);
        let list = self.of(patience);
        let before = list.newest.replace(entry);
        match before {
            Some(before) => change(entries, before, |place| place.behind = Some(entry)),
            None => list.oldest = Some(entry),
        }
        change(entries, entry, |place| *place = Place { list: Some(patience), before, behind: None });
        touch(entry, at, entries);
    }

    /// Takes an entry out of its list.
    pub(super) fn take(&mut self, entry: u32, entries: &mut [Entry]) {
        let Some(place) = entries.get(entry as usize).map(|known| known.place) else { return };
        let Some(patience) = place.list else { return };
        let list = self.of(patience);
        match place.before {
            Some(before) => change(entries, before, |known| known.behind = place.behind),
            None => list.oldest = place.behind,
        }
        match place.behind {
            Some(behind) => change(entries, behind, |known| known.before = place.before),
            None => list.newest = place.before,
        }
        change(entries, entry, |known| *known = Place::default());
    }
}

fn change(entries: &mut [Entry], entry: u32, change: impl FnOnce(&mut Place)) {
    if let Some(entry) = entries.get_mut(entry as usize) {
        change(&mut entry.place);
    }
}

fn touch(entry: u32, at: Timestamp, entries: &mut [Entry]) {
    if let Some(entry) = entries.get_mut(entry as usize) {
        entry.last_at = entry.last_at.max(at);
    }
}
