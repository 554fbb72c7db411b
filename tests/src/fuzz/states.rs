//! State on the aggregator's disk that somebody wrote to, with checksums that are right: journal, commit log, roster.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aggregator::ca::roster::{Book, Change, Given};
use aggregator::ca::signature::Signer;
use aggregator::journal::{Journal, JournalConfig, JournalReader, Journaled, Received, Wrap};
use aggregator::sink::parquet::Lake;
use aggregator::sink::{Sink as _, SinkError};
use shared::batch::HostContext;
use shared::enroll::TokenId;
use shared::frame::FrameKind;
use shared::identity::AgentId;
use shared::log::{Fs, Kind, Log, ModelFs, Options};
use shared::record::Value;
use shared::time::{Clock, ManualClock};
use shared::tls::{KeyHash, Serial};

use super::Input;
use super::frames::{AGENT, NOW, chain_of_frames, with_right_checksums};
use super::input::piece;

const DIR: &str = "/journal";
const SEGMENT_BYTES: u64 = 80 << 10;

/// What journals sign their seals with.
static SIGNER: LazyLock<Arc<Signer>> = LazyLock::new(|| {
    let key = rcgen::KeyPair::generate().expect("the system gives random bytes").serialize_der();
    Arc::new(Signer::from_pkcs8(&key).expect("it is a key of the right kind"))
});

/// A journal whose log holds any payloads: it opens, takes a record, and gives what it can read.
pub fn journal(bytes: &[u8]) {
    let mut input = Input(bytes);
    let fs = ModelFs::new(1);
    let disk: Arc<dyn Fs> = Arc::new(fs);
    let clock = Clock::Manual(ManualClock::new(NOW));
    let options = Options { segment_bytes: SEGMENT_BYTES, quarantine_bytes_max: 1 << 20, points: ["w", "s", "c"] };
    let state = input.piece().to_vec();
    let opened = Log::open(Arc::clone(&disk), Path::new(DIR), options, clock.clone(), &mut |_| {}, &|| state.clone());
    let mut log = opened.expect("the disk is sound").log;
    let frames = chain_of_frames();
    while !input.is_empty() {
        let kind = input.u8();
        let payload = match kind % 4 {
            0 => input.piece().to_vec(),
            1 => {
                let (position, records_before) = (input.count(), input.count());
                let serial = vec![1; input.below(3)];
                let received = Received { serial, ..Received::own(NOW) };
                let wrap = Wrap { position, records_before, received, is_cut: input.u8() & 1 == 1 };
                let frame = frames.get(input.below(frames.len())).map(|frame| frame.bytes()).unwrap_or_default();
                let mut frame = frame.to_vec();
                let (at, value) = (usize::from(input.u16()), input.u8());
                let len = frame.len().max(1);
                frame.iter_mut().skip(at % len).take(1).for_each(|byte| *byte ^= value);
                [wrap.encode(), with_right_checksums(&frame).unwrap_or(frame)].concat()
            }
            _ => {
                let wrap = Wrap {
                    position: input.count(),
                    records_before: input.count(),
                    received: Received::own(NOW),
                    is_cut: false,
                };
                [wrap.encode(), with_right_checksums(input.piece()).unwrap_or_default()].concat()
            }
        };
        let kind = [Kind::Frame, Kind::Frame, Kind::State, Kind::Seal, Kind::Mark, Kind::Checkpoint]
            .get(usize::from(kind >> 2) % 6)
            .copied()
            .unwrap_or(Kind::Frame);
        let most = if kind == Kind::Checkpoint { 512 } else { payload.len() };
        if log.append(kind, &[payload.get(..most).unwrap_or(&payload)]).is_err() {
            break;
        }
    }
    log.commit(&Vec::new).expect("the disk is sound");
    drop(log);

    let config = JournalConfig {
        dir: PathBuf::from(DIR),
        max_bytes: 64 * SEGMENT_BYTES,
        retain: Duration::from_secs(3_600),
        block_interval: Duration::from_secs(5),
        aggregator: AgentId([9; 16]),
        host: HostContext::default(),
        signer: Arc::clone(&SIGNER),
        floor: 0,
    };
    let opened = Journal::open_on(Arc::clone(&disk), config, SEGMENT_BYTES, clock);
    let mut journal = opened.expect("any state of the disk starts");
    journal.say(vec![("picket.record".to_owned(), Value::String("fuzz".to_owned()))]).expect("there is room");
    journal.cut("config").expect("there is room");
    journal.commit().expect("the disk is sound");
    for position in [0, 3, u64::MAX] {
        let reader = JournalReader::after_on(Arc::clone(&disk), Path::new(DIR), position);
        read(reader.expect("the disk reads"), &journal, position);
    }
}

fn read(mut reader: JournalReader, journal: &Journal, after: u64) {
    let limit = journal.committed_offset();
    let mut position = after;
    reader.skip(limit).expect("the disk reads");
    while let Some(journaled) = reader.next(limit).expect("the disk reads") {
        match journaled {
            Journaled::Frame(wrap, frame) => {
                assert!(wrap.position > position, "{} after {position}", wrap.position);
                assert!(matches!(frame.header().kind, FrameKind::Data | FrameKind::Loss | FrameKind::Genesis));
                position = wrap.position;
            }
            Journaled::Damage { from, to } => assert!(from < to),
        }
    }
}

/// A few frames, as [`journal`] reads them.
#[must_use]
pub fn journal_seeds() -> Vec<Vec<u8>> {
    let state = piece(&[&[1], &[0; 32][..]].concat());
    let frames = (0..6).flat_map(|frame| [1, frame + 1, 2 * frame, 1, 0, frame, 0, 0, 0]);
    let raw: Vec<u8> =
        chain_of_frames().iter().flat_map(|frame| [vec![2, 9, 9], piece(frame.bytes())].concat()).collect();
    vec![[state.clone(), frames.collect()].concat(), [state.clone(), raw].concat(), [state, vec![8, 1, 0, 7]].concat()]
}

/// A commit log from any lines, each with a checksum that is right unless the line begins with `!`, in a lake in which
/// files lie about.
pub fn commit_log(bytes: &[u8]) {
    let fs = ModelFs::new(1);
    let root = Path::new("/lake");
    let folder = root.join("class=authentication/day=2026-03-16");
    let write = |path: &Path, content: &[u8]| {
        fs.create(path, 0).and_then(|file| file.write_all_at(content, 0)).expect("the disk is sound");
    };
    for folder in [&folder, &root.join("..")] {
        fs.create_dir(folder).expect("the disk is sound");
    }
    let mut input = Input(bytes);
    for _ in 0..input.below(4) {
        let (from, to, number) = (input.u8() % 8, input.u8() % 8, input.u8() % 2);
        let part = if number == 0 { String::new() } else { format!(".{number}") };
        let name =
            if input.u8() & 1 == 0 { format!("{from}.{number}.tmp") } else { format!("{from}-{to}{part}.parquet") };
        write(&folder.join(name), b"rows");
    }
    let outside = Path::new("/lake/../0.0.tmp");
    write(outside, b"not of the lake");
    let mut log = Vec::new();
    for line in input.0.split_inclusive(|byte| *byte == b'\n') {
        let body = line.strip_suffix(b"\n").unwrap_or(line);
        match body.strip_prefix(b"!") {
            Some(raw) => log.extend_from_slice(raw),
            None => log.extend([body, format!(",\"crc32c\":{}}}", crc32c::crc32c(body)).as_bytes()].concat()),
        }
        log.extend_from_slice(line.strip_prefix(body).unwrap_or_default());
    }
    write(&root.join("_commits"), &log);

    let open = || Lake::open_on(Arc::new(fs.clone()), root).map(|lake| lake.cursor());
    match open() {
        Ok(cursor) => {
            assert_eq!(open().ok(), Some(cursor), "it opens again as it is");
            let names = fs.list(&folder).expect("the folder stays");
            assert!(!names.iter().any(|name| name.ends_with(".tmp")), "something half done is left: {names:?}");
        }
        Err(error) => assert!(matches!(error, SinkError::CommitsLost { .. }), "{error}"),
    }
    assert!(fs.open_read(outside).is_ok(), "a file outside the lake was taken");
}

/// Logs of one and two commits, with their files.
#[must_use]
pub fn commit_log_seeds() -> Vec<Vec<u8>> {
    let commit = |from: u8, to: u8| {
        let path = format!("class=authentication/day=2026-03-16/{from}-{to}.parquet");
        format!(r#"{{"from":{from},"to":{to},"files":[{{"path":"{path}","size":4,"rows":1,"sha256":"00"}}]"#)
    };
    let outside = r#"{"from":0,"to":5,"files":[{"path":"../0-5.parquet","size":4,"rows":1,"sha256":"00"}]"#;
    let last = format!(r#"{{"from":0,"to":{},"files":[]"#, u64::MAX);
    vec![
        [&[1, 0, 0, 0, 0][..], commit(0, 5).as_bytes(), b"\n"].concat(),
        [&[2, 0, 5, 0, 1, 5, 0, 0, 0][..], commit(0, 5).as_bytes(), b"\n", commit(5, 7).as_bytes(), b"\n"].concat(),
        [&[1, 5, 7, 0, 1][..], commit(0, 5).as_bytes(), b"\n!garbage\n"].concat(),
        [&[0][..], outside.as_bytes(), b"\n"].concat(),
        [&[0][..], last.as_bytes(), b"\n"].concat(),
    ]
}

/// A roster from any lines, each with a checksum that is right unless it begins with `!`.
pub fn roster(bytes: &[u8]) {
    let mut log = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let body = line.strip_suffix(b"\n").unwrap_or(line);
        match body.strip_prefix(b"!") {
            Some(raw) => log.extend_from_slice(raw),
            None => log.extend([format!("{:08x} ", crc32c::crc32c(body)).as_bytes(), body].concat()),
        }
        log.extend_from_slice(line.strip_prefix(body).unwrap_or_default());
    }
    let (book, found, whole) = Book::of(&log[..]).expect("memory reads");
    assert_eq!(whole + found.torn_bytes, log.len() as u64, "every byte is in a line or torn");
    let lines = log.iter().filter(|byte| **byte == b'\n').count() as u64;
    assert!(book.agents().count() as u64 + found.damaged_lines + found.ignored_lines <= lines, "{found:?}");
    for entry in book.agents() {
        assert_eq!(book.find(&entry.agent.to_string()).ok(), Some(entry.agent));
        assert!(entry.given_today(NOW) <= u32::try_from(lines).unwrap_or(u32::MAX));
    }
}

/// A line of every kind, one torn.
#[must_use]
pub fn roster_seeds() -> Vec<Vec<u8>> {
    let given = Given { serial: Serial([1; 16]), key: KeyHash([2; 32]), not_after: NOW };
    let changes = [
        Change::Enrolled {
            agent: AGENT,
            at: NOW,
            hostname: "web-1".to_owned(),
            facts: aggregator::directory::Facts::of_group("web"),
            token: TokenId([3; 8]),
            given,
        },
        Change::Renewed { agent: AGENT, at: NOW, given },
        Change::Revoked { agent: AGENT, at: NOW, reason: "stolen".to_owned() },
    ];
    let lines: Vec<Vec<u8>> = changes.iter().filter_map(|change| serde_json::to_vec(change).ok()).collect();
    let all = lines.join(&b'\n');
    vec![[&all[..], b"\n"].concat(), all, b"!00000000 {}\n{\"kind\":\"later\"}\n".to_vec()]
}
