//! The index made again from the logs: checkpoints and places of frames. The logs are only read.
//!
//! In: the spool's folder, of an agent that does not run. Out: an index that the next start trusts. Whatever was there
//! is thrown away: it is a view of the logs, and what the logs say holds.

use std::path::Path;

use shared::frame::Header;
use shared::identity::Lane;
use shared::log::{Index, Kind, Record};

use super::checkpoints::Table;
use super::lane::INDEX_STRIDE_BYTES;
use super::offline::{OfflineError, scan_whole};

/// What was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rebuilt {
    /// Files of which the index says how far they were read.
    pub checkpoints: u64,
    /// Places of frames.
    pub places: u64,
}

/// The places that one log gives, as [`super::lane`] notes them.
#[derive(Default)]
struct Places {
    noted_at: u64,
    found: Vec<(u64, u64, u64)>,
}

impl Places {
    fn take(&mut self, record: &Record<'_>) {
        if record.kind != Kind::Frame || record.offset < self.noted_at + INDEX_STRIDE_BYTES {
            return;
        }
        if let Ok(header) = Header::parse(record.payload) {
            self.found.push((header.chain.epoch.0, header.sequence, record.offset));
            self.noted_at = record.offset;
        }
    }
}

/// Rebuilds the index of the spool in `dir`. The caller holds the lock of the state folder.
///
/// # Errors
/// [`OfflineError`]: a log cannot be read, or the index not be written.
pub fn rebuild_index(dir: &Path) -> Result<Rebuilt, OfflineError> {
    let path = dir.join("index");
    let mut scans = Vec::new();
    for lane in Lane::ALL {
        scans.push((lane, scan_whole(dir, lane, Places::default, Places::take)?));
    }
    let failed = |source| OfflineError::Unreadable { path: path.clone(), source };
    match std::fs::remove_dir_all(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let (index, _) = Index::open(&path).map_err(failed)?;
    let mut rebuilt = Rebuilt::default();
    for (lane, (_, places)) in &scans {
        for (epoch, sequence, offset) in &places.found {
            let noted = index.note_place(*lane as u8, *epoch, *sequence, *offset);
            noted.map_err(|error| failed(std::io::Error::other(error)))?;
            rebuilt.places += 1;
        }
    }
    let table = Table::new(index);
    for (_, (scan, _)) in scans {
        scan.rows.into_values().for_each(|row| table.commit(row));
    }
    if table.with_index(|_| ()).is_none() {
        return Err(failed(std::io::Error::other("it failed while it was written")));
    }
    rebuilt.checkpoints = Lane::ALL.into_iter().map(|lane| table.count_of(lane) as u64).sum();
    table.close();
    Ok(rebuilt)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Dir, block_on, chunk, committed, start};
    use super::*;
    use crate::fingerprint::{FileId, Fingerprint};
    use crate::handover::{Checkpoint, Checkpoints, Outlet};

    fn checkpoint(inode: u64, offset: u64) -> Checkpoint {
        let file = FileId { device: 1, inode };
        Checkpoint { fingerprint: Fingerprint { file, prefix_len: 0, prefix_hash: 0, ended: false }, offset }
    }

    #[test]
    fn index_that_is_made_again_holds_what_the_old_one_held() {
        let dir = Dir::new("rebuild");
        let spool = start(&dir);
        let mut outlet = spool.outlet();
        for i in 0..40 {
            let lane = if i % 2 == 0 { Lane::Normal } else { Lane::High };
            let mut chunk = chunk(lane, i * 10, 10, 9_000);
            // The last file is in both lanes: one of them has the later generation.
            chunk.checkpoint = Some(checkpoint(if i > 30 { 99 } else { i }, 1_000 + i));
            outlet.lines(chunk).unwrap();
        }
        block_on(committed(&spool.port(), Lane::Normal, 200));
        block_on(committed(&spool.port(), Lane::High, 200));
        let newest = spool.checkpoints().by_inode(99);
        spool.stop();
        let open = || {
            let (index, trusted) = Index::open(&dir.0.join("index")).unwrap();
            assert!(trusted);
            let mut values = Vec::new();
            index.each(&mut |key, value| values.push((key.to_vec(), value.to_vec()))).unwrap();
            let epoch = |lane: Lane| super::super::offline::stat(&dir.0).unwrap()[lane.index()].epochs[0].epoch.clone();
            let places = [Lane::High, Lane::Normal].map(|lane| {
                let epoch = epoch(lane).parse::<shared::identity::Epoch>().unwrap();
                index.place(lane as u8, epoch.0, u64::MAX).unwrap()
            });
            index.close().unwrap();
            (values, places)
        };
        let before = open();
        assert!(before.0.len() == 32 && before.1.iter().all(Option::is_some), "{before:?}");
        for how in 0..3 {
            match how {
                0 => std::fs::remove_dir_all(dir.0.join("index")).unwrap(),
                1 => std::fs::write(dir.0.join("index/db"), b"not an index").unwrap(),
                _ => {}
            }
            let rebuilt = rebuild_index(&dir.0).unwrap();
            assert_eq!(rebuilt.checkpoints, 32);
            assert!(rebuilt.places >= 2, "{rebuilt:?}");
            assert_eq!(open(), before);
        }
        let spool = start(&dir);
        assert_eq!(spool.checkpoints().by_inode(99), newest);
        spool.stop();
    }

    #[test]
    fn spool_that_is_not_there_is_not_made() {
        let dir = Dir::new("rebuild-none");
        assert!(matches!(rebuild_index(&dir.0), Err(OfflineError::Missing(_))));
        assert!(!dir.0.exists());
    }
}
