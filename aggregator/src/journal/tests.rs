use shared::batch::Line;
use shared::identity::FrameHash;
use shared::log::ModelFs;
use shared::protocol::{Absent, Placing, place};
use shared::time::ManualClock;

use super::*;

const SEGMENT_BYTES: u64 = 80 << 10;
const CHAIN: ChainId = ChainId { agent: AgentId([1; 16]), lane: Lane::Normal, epoch: Epoch(7) };

struct Bench {
    fs: ModelFs,
    journal: Journal,
    view: ChainState,
    sealer: Sealer,
}

fn open(fs: &ModelFs, segments: u64) -> Journal {
    open_behind(fs, segments, 0)
}

/// Opens it below sinks of which the furthest stands at `floor`.
fn open_behind(fs: &ModelFs, segments: u64, floor: u64) -> Journal {
    let config = JournalConfig {
        dir: PathBuf::from("/journal"),
        max_bytes: segments * SEGMENT_BYTES,
        retain: Duration::from_secs(3_600),
        block_interval: Duration::from_secs(5),
        aggregator: AgentId([9; 16]),
        host: HostContext::default(),
        signer: Signer::of_tests(),
        floor,
    };
    let clock = Clock::Manual(ManualClock::new(Timestamp::from_seconds(100)));
    Journal::open_on(Arc::new(fs.clone()), config, SEGMENT_BYTES, clock).unwrap()
}

impl Bench {
    fn new(segments: u64) -> Self {
        let fs = ModelFs::new(1);
        let journal = open(&fs, segments);
        Self { fs, journal, view: ChainState::EMPTY, sealer: Sealer::new().unwrap() }
    }

    /// Appends and commits a frame of about 1 KiB; gives its position.
    fn frame(&mut self) -> Result<u64, JournalError> {
        let frame = if self.view.through == 0 {
            let notice = GenesisNotice { reason: GenesisReason::NewSpool, previous: None };
            self.sealer.genesis(CHAIN, Timestamp(1), &notice).unwrap()
        } else {
            let mut batch = Batch::default();
            let origin = batch.origin(&Arc::new(Origin::default()));
            let bytes: Vec<u8> = (0..1_000u64)
                .map(|i| (i + self.view.through).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0])
                .collect();
            batch.push_line(origin, Timestamp(1), Line { bytes: &bytes, offset: 0, full_size: 1_000, flags: 0 });
            let ChainState { through, head, next_record } = self.view;
            let place = Place {
                chain: CHAIN,
                sequence: through + 1,
                first_record: next_record,
                prev: head,
                sealed_at: Timestamp(1),
            };
            let sealer = &mut self.sealer;
            batch.with_columns(&HostContext::default(), |n, columns| sealer.data(&place, n, columns)).unwrap()
        };
        let Placing::Next(after) = place(&self.view, &frame, &mut Default::default()) else { panic!("{frame:?}") };
        let received = Received { at: Timestamp(5), peer: "192.0.2.1:1".parse().unwrap(), serial: vec![1] };
        let position = self.journal.numbers.position;
        self.journal.append(&JournalEntry::Frame { frame, before: self.view, after }, received)?;
        self.journal.commit()?;
        self.view = after;
        Ok(position)
    }

    fn fill(&mut self) -> JournalError {
        loop {
            if let Err(error) = self.frame() {
                return error;
            }
        }
    }

    fn read(&self, after: u64) -> (Vec<u64>, u32) {
        let mut reader = JournalReader::after_on(Arc::new(self.fs.clone()), self.journal.dir(), after).unwrap();
        let (mut positions, mut damaged) = (Vec::new(), 0);
        while let Some(journaled) = reader.next(self.journal.committed_offset()).unwrap() {
            match journaled {
                Journaled::Frame(wrap, _) => positions.push(wrap.position),
                Journaled::Damage { .. } => damaged += 1,
            }
        }
        (positions, damaged)
    }

    fn segment(&self, number: usize) -> PathBuf {
        let segments = self.fs.files(Path::new("/journal")).into_iter().map(|(path, _)| path);
        segments.filter(|path| path.extension().is_some_and(|ending| ending == "seg")).nth(number).unwrap()
    }
}

#[test]
fn full_journal_takes_its_own_cut_so_that_sinks_can_go_on() {
    let mut bench = Bench::new(6);
    assert!(matches!(bench.fill(), JournalError::Full { .. }));
    for _ in 0..15 {
        bench.journal.cut("config").unwrap();
    }
    bench.journal.commit().unwrap();
    assert!(bench.journal.bytes() <= 6 * SEGMENT_BYTES);
    assert!(matches!(bench.fill(), JournalError::Full { .. }), "the room that is kept is not for agents");
    let position = bench.journal.committed_numbers().0;
    while bench.frame().is_err() {
        assert_eq!(bench.journal.trim(position, true).unwrap(), 1, "a segment that its sinks have goes");
    }
}

#[test]
fn oldest_segment_without_a_state_does_not_hold_the_journal_up() {
    let mut bench = Bench::new(6);
    while bench.journal.log.segments() < 2 {
        bench.frame().unwrap();
    }
    let path = bench.segment(0);
    let ((whole, _), (all, read)) = (bench.read(0), behind(&bench, 0));
    assert_eq!(all, Behind::default());
    bench.fs.damage(&path, |bytes| bytes[70..80].fill(0xee));
    bench.journal = open(&bench.fs, 6);
    assert_eq!(bench.journal.log.segments(), 2);
    assert_eq!(bench.read(0), (whole.clone(), 1), "every frame is there, and that something is not is told");
    assert_eq!(behind(&bench, 0), (all, read));
    assert_eq!(bench.read(whole[2]).0, whole[3..], "also behind a position in it");
    let position = bench.journal.committed_numbers().0;
    bench.journal.trim(position, true).unwrap();
    assert_eq!(bench.journal.log.segments(), 1);
}

#[test]
fn damage_is_told_to_those_who_have_not_passed_it() {
    let mut bench = Bench::new(16);
    let positions: Vec<u64> = (0..6).map(|_| bench.frame().unwrap()).collect();
    let path = bench.segment(0);
    // Somewhere in the third of the agent's frames.
    bench.fs.damage(&path, |bytes| {
        let at = usize::try_from(bench.journal.committed_offset()).unwrap() - 3_500;
        bytes[at] ^= 1;
    });
    let (all, damaged) = bench.read(0);
    assert_eq!((damaged, all.len()), (1, 6), "own genesis and five of six");
    let lost = positions.iter().find(|position| !all.contains(position)).copied().unwrap();
    assert_eq!(bench.read(lost - 2), (all.iter().copied().filter(|p| *p >= lost - 1).collect(), 1));
    assert_eq!(bench.read(lost + 1), (all.into_iter().filter(|p| *p > lost + 1).collect(), 0));
}

#[test]
fn frame_that_two_sessions_bring_is_journaled_once_and_a_prefix_never_goes_back() {
    let mut bench = Bench::new(16);
    bench.frame().unwrap();
    let before = bench.view;
    bench.frame().unwrap();
    let end = bench.view;
    bench.view = before;
    let next = bench.journal.committed_numbers();
    bench.frame().unwrap();
    assert_eq!(bench.journal.committed_numbers(), next);
    let stale = Absent { chain: CHAIN, before, after: ChainState { head: FrameHash([1; 32]), ..end }, elsewhere: None };
    bench.journal.append(&JournalEntry::Absent(stale), Received::own(Timestamp(5))).unwrap();
    bench.journal.commit().unwrap();
    assert_eq!(bench.journal.chains().books(CHAIN).unwrap().state, end);
}

#[test]
fn positions_of_a_journal_that_is_gone_are_not_used_again() {
    for header_only in [true, false] {
        let mut bench = Bench::new(16);
        let last = (0..6).map(|_| bench.frame().unwrap()).last().unwrap();
        let path = bench.segment(0);
        bench.fs.damage(&path, |bytes| if header_only { bytes[..64].fill(0) } else { bytes.fill(0) });
        bench.journal = open(&bench.fs, 16);
        assert!(bench.journal.committed_numbers().0 > last);
    }
}

/// What a reader that begins behind `position` says of what lies there, and the records of all that it reads.
fn behind(bench: &Bench, position: u64) -> (Behind, u64) {
    let mut reader = JournalReader::after_on(Arc::new(bench.fs.clone()), bench.journal.dir(), position).unwrap();
    let limit = bench.journal.committed_offset();
    let (behind, mut read) = (reader.skip(limit).unwrap(), 0);
    while let Some(journaled) = reader.next(limit).unwrap() {
        if let Journaled::Frame(_, frame) = journaled
            && frame.header().kind == FrameKind::Data
        {
            read += u64::from(frame.header().records);
        }
    }
    (behind, read)
}

#[test]
fn reader_knows_how_many_records_lie_behind_it_and_reads_all_others() {
    let mut bench = Bench::new(16);
    let positions: Vec<u64> = (0..200).map(|_| bench.frame().unwrap()).collect();
    assert!(bench.journal.log.segments() > 2);
    let all = bench.journal.committed_numbers().1;
    assert_eq!(behind(&bench, 0), (Behind { records: 0, expired: 0 }, all));
    assert_eq!(behind(&bench, u64::MAX), (Behind { records: all, expired: 0 }, 0), "a position that there cannot be");
    // Copies of seals stand between the agent's frames, and count.
    let mut reader = JournalReader::after_on(Arc::new(bench.fs.clone()), bench.journal.dir(), 0).unwrap();
    let mut through = BTreeMap::new();
    while let Some(journaled) = reader.next(bench.journal.committed_offset()).unwrap() {
        let Journaled::Frame(wrap, frame) = journaled else { panic!("nothing is damaged") };
        let records = if frame.header().kind == FrameKind::Data { frame.header().records } else { 0 };
        through.insert(wrap.position, wrap.records_before + u64::from(records));
    }
    for position in &positions {
        let records = through[position];
        assert_eq!(behind(&bench, *position), (Behind { records, expired: 0 }, all - records), "behind {position}");
    }
    let first = bench.segment(0);
    let (last, cursor) = (positions[199], positions[9]);
    // A frame at or before the cursor that does not read any more changes nothing.
    bench.fs.damage(&first, |bytes| {
        let at = bytes.len() / 2;
        bytes[at - 4_000..at].fill(0xee);
    });
    let (known, read) = behind(&bench, last);
    assert_eq!((known.records + read, known.expired), (all, 0));
    assert_eq!(behind(&bench, cursor).0, Behind { records: through[&cursor], expired: 0 });
    bench.journal.trim(last, true).unwrap();
    let (expired, read) = behind(&bench, 0);
    assert!(expired.records == 0 && expired.expired > 9 && expired.expired + read == all, "{expired:?}");
}

/// Names of the notices in the journal, in order.
fn notices(bench: &Bench) -> Vec<String> {
    let mut reader = JournalReader::after_on(Arc::new(bench.fs.clone()), bench.journal.dir(), 0).unwrap();
    let (mut found, mut opener) = (Vec::new(), shared::frame::Opener::default());
    while let Some(journaled) = reader.next(bench.journal.committed_offset()).unwrap() {
        let Journaled::Frame(wrap, frame) = journaled else { continue };
        own_records(&wrap, &frame, &mut opener, &mut |fields| {
            found.extend(fields.iter().filter(|(key, _)| *key == "notice").map(|(_, value)| match value {
                Value::String(name) => name.clone(),
                other => panic!("{other:?}"),
            }));
        });
    }
    found
}

#[test]
fn journal_that_was_deleted_goes_on_behind_its_sinks_and_says_so_once() {
    let mut bench = Bench::new(16);
    bench.fs = ModelFs::new(2);
    bench.journal = open_behind(&bench.fs, 16, 500);
    assert_eq!(bench.journal.went_back(), Some(WentBack { found: 1, floor: 500 }));
    let position = bench.frame().unwrap();
    assert_eq!(bench.read(500).0, (501..=position).collect::<Vec<_>>(), "the sink that stands at 500 gets everything");
    assert_eq!(notices(&bench), ["journal_went_back"]);
    bench.journal = open_behind(&bench.fs, 16, position - 1);
    assert_eq!(bench.journal.went_back(), None);
    assert_eq!(bench.journal.committed_numbers().0, position + 1);
    assert_eq!(notices(&bench).len(), 1);
}

#[test]
fn journal_that_was_replaced_by_an_older_copy_uses_no_position_and_no_own_sequence_again() {
    let mut bench = Bench::new(16);
    let last = (0..6).map(|_| bench.frame().unwrap()).last().unwrap();
    let own = bench.journal.numbers.own_epoch;
    let records = bench.journal.committed_numbers().1;
    for _ in 0..2 {
        bench.journal = open_behind(&bench.fs, 16, last + 100);
    }
    // The second start found it where the first had put it.
    assert_eq!((bench.journal.went_back(), notices(&bench).len()), (None, 1));
    assert_ne!(bench.journal.numbers.own_epoch, own);
    let position = bench.frame().unwrap();
    let (read, damaged) = bench.read(last + 100);
    assert_eq!((read.first(), read.last(), damaged), (Some(&(last + 101)), Some(&position), 0));
    assert_eq!(
        bench.read(0).0.iter().filter(|read| **read <= last).count() as u64,
        last,
        "what it held is still there"
    );
    assert!(bench.journal.committed_numbers().1 > records);
}

#[test]
fn new_journal_and_one_that_is_ahead_of_its_sinks_go_on_as_they_are() {
    let mut bench = Bench::new(16);
    assert_eq!((bench.journal.went_back(), bench.journal.committed_numbers().0), (None, 2));
    let last = bench.frame().unwrap();
    for floor in [1, last] {
        bench.journal = open_behind(&bench.fs, 16, floor);
        assert_eq!((bench.journal.went_back(), bench.journal.committed_numbers().0), (None, last + 1));
    }
    bench.fs = ModelFs::new(3);
    bench.journal = open_behind(&bench.fs, 16, u64::MAX);
    bench.frame().unwrap();
}

#[test]
fn segments_go_by_age_once_required_sinks_have_them_and_younger_ones_only_at_the_limit_oldest_first() {
    let mut bench = Bench::new(8);
    while bench.journal.log.segments() < 5 {
        bench.frame().unwrap();
    }
    let starts: Vec<u64> = bench.journal.starts.iter().map(|start| start.position).collect();
    let segments = |bench: &Bench| bench.journal.log.segments();
    // Younger than an hour: nothing goes, whoever has it.
    assert_eq!((bench.journal.trim(u64::MAX, false).unwrap(), segments(&bench)), (0, 5));
    // At the limit one goes, the oldest, and only if every required sink has it.
    assert_eq!((bench.journal.trim(starts[1] - 2, true).unwrap(), segments(&bench)), (0, 5));
    assert_eq!((bench.journal.trim(u64::MAX, true).unwrap(), segments(&bench)), (1, 4));
    assert_eq!(bench.journal.begins().map(|(position, _)| position), Some(starts[1]));
    // Older than `retain`: all that the sinks have go, and none is a sacrifice.
    bench.journal.config.retain = Duration::from_secs(10);
    assert_eq!((bench.journal.trim(starts[3], false).unwrap(), segments(&bench)), (0, 2));
    assert_eq!((bench.journal.trim(u64::MAX, false).unwrap(), segments(&bench)), (0, 1), "the last one stays");
}
