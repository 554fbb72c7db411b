//! Baselines of file integrity that somebody wrote to, with checksums that are right.

use agent::source::integrity::attributes::{Attributes, Extended};
use agent::source::integrity::baseline;
use agent::source::integrity::entry::{Content, Entry, FileKind, Unhashed, decode, encode, order};

use super::Input;
use super::input::piece;

const MAGIC: &[u8] = b"PKTFIM02";

/// A file of pieces: tag and payload of each, checksums right.
fn file(pieces: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    for (tag, payload) in pieces {
        let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let sum = crc32c::crc32c_append(crc32c::crc32c(&[*tag]), payload);
        file.extend(len.to_le_bytes().into_iter().chain(sum.to_le_bytes()).chain([*tag]));
        file.extend_from_slice(payload);
    }
    file
}

/// Reads the bytes as a file, as one block, and as pieces of a file whose blocks are compressed and whose sums are right.
pub fn baseline(bytes: &[u8]) {
    read(bytes);
    if let Some(entries) = decode(bytes, b"") {
        let (mut again, mut before) = (Vec::new(), Vec::new());
        for (path, entry) in &entries {
            encode(&before, path, entry, &mut again);
            before = path.to_vec();
        }
        assert_eq!(decode(&again, b"").as_ref(), Some(&entries), "what was read is written and read the same");
    }
    let mut input = Input(bytes);
    let mut pieces = vec![(0, b"{}".to_vec())];
    while !input.is_empty() && pieces.len() < 64 {
        let tag = input.u8() % 4;
        let payload = input.piece().to_vec();
        let payload = if tag == 1 { zstd::bulk::compress(&payload, 1).unwrap_or_default() } else { payload };
        pieces.push((tag, payload));
    }
    let entries: u64 = pieces
        .iter()
        .filter(|(tag, _)| *tag == 1)
        .filter_map(|(_, block)| decode(&zstd::bulk::decompress(block, 1 << 20).ok()?, b""))
        .map(|block| block.len() as u64)
        .sum();
    pieces.push((2, entries.to_le_bytes().to_vec()));
    read(&file(&pieces));
}

fn read(mut bytes: &[u8]) {
    let (mut last, mut count) = (Vec::new(), 0);
    let found = baseline::read(&mut bytes, |path, _| {
        assert!(order(&last, path).is_lt(), "entries are in order");
        last = path.to_vec();
        count += 1;
    });
    match found {
        Ok(contents) => assert_eq!(contents.entries, count),
        Err(unusable) => assert!(!unusable.to_string().is_empty()),
    }
}

fn entry(inode: u64, content: Content) -> Entry {
    Entry {
        kind: FileKind::File,
        mode: 0o644,
        user: 0,
        group: 0,
        size: 1,
        modified: 2,
        changed: 3,
        device: 4,
        inode,
        content,
        extended: Extended { guard: Attributes::Sha256([1; 32]), user: Attributes::Unreadable },
    }
}

/// A whole file, and its block as it stands in other files.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let entries = [
        ("/etc", entry(1, Content::Nothing)),
        ("/etc/passwd", entry(2, Content::Sha256([7; 32]))),
        ("/etc/shadow", entry(3, Content::Unhashed(Unhashed::Unreadable))),
        ("/etc/tab", entry(4, Content::Target(b"../proc".as_slice().into()))),
    ];
    let (mut block, mut before) = (Vec::new(), "");
    for (path, entry) in &entries {
        encode(before.as_bytes(), path.as_bytes(), entry, &mut block);
        before = path;
    }
    let whole = file(&[
        (0, b"{\"generation\":1,\"paths\":[\"/etc\"],\"exclude\":[]}".to_vec()),
        (1, zstd::bulk::compress(&block, 1).unwrap_or_default()),
        (2, 4_u64.to_le_bytes().to_vec()),
    ]);
    vec![whole, [vec![1], piece(&block)].concat(), block]
}
