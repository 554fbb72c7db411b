use super::*;
use crate::identity::{AgentId, Epoch, Lane};
use crate::record::LossReason;

fn place(sequence: u64) -> Place {
    let chain = ChainId { agent: AgentId([7; 16]), lane: Lane::Normal, epoch: Epoch(0x0102_0304_0506_0708) };
    Place {
        chain,
        sequence,
        first_record: 10,
        prev: FrameHash([9; 32]),
        sealed_at: Timestamp::from_seconds(1_700_000_000),
    }
}

fn sample() -> Frame {
    let text = b"a line of a log, a line of a log, a line of a log, a line of a log".repeat(4);
    let columns: [Column<'_>; 2] = [(9, COLUMN_TYPE_BYTES, &text), (999, 77, b"of a later version")];
    Sealer::new().unwrap().data(&place(2), 3, &columns).unwrap()
}

#[test]
fn sealed_frame_opens_to_the_same_columns() {
    let frame = Frame::parse(sample().into_bytes()).unwrap();
    assert_eq!(frame.header().codec, Codec::Zstd);
    let mut opener = Opener::default();
    let columns = frame.open(&mut opener).unwrap();
    assert_eq!(columns.len(), 2);
    assert_eq!((columns[0].0, columns[0].2.len()), (9, 66 * 4));
    assert_eq!(columns[1], (999, 77, &b"of a later version"[..]));
}

#[test]
fn every_flipped_bit_is_noticed() {
    let good = sample().into_bytes();
    for i in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[i] ^= 1 << bit;
            assert!(Frame::parse(bad).is_err(), "byte {i} bit {bit}");
        }
    }
    for len in 0..good.len() {
        assert!(Frame::parse(good[..len].to_vec()).is_err(), "cut to {len}");
    }
}

#[test]
fn body_that_does_not_shrink_is_stored() {
    let noise: Vec<u8> = (0..64u8).map(|i| i.wrapping_mul(167) ^ 0x5a).collect();
    let frame = Sealer::new().unwrap().data(&place(2), 1, &[(1, COLUMN_TYPE_BYTES, &noise)]).unwrap();
    assert_eq!(frame.header().codec, Codec::Stored);
    assert_eq!(frame.open(&mut Opener::default()).unwrap()[0].2, &noise[..]);
}

#[test]
fn newer_version_is_told_apart_from_damage() {
    let recrc = |mut bytes: Vec<u8>| {
        let crc = crc32c::crc32c(&bytes[..HEADER_LEN - 4]);
        bytes[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
        Frame::parse(bytes)
    };
    let mut newer = sample().into_bytes();
    newer[4] = 2;
    assert_eq!(recrc(newer), Err(FrameError::Newer { version: 2, flags: 0 }));
    let mut flagged = sample().into_bytes();
    flagged[10] = 0x80;
    assert_eq!(recrc(flagged), Err(FrameError::Newer { version: 1, flags: 0x8000 }));
    let mut harmless = sample().into_bytes();
    harmless[9] = 0x40;
    assert!(recrc(harmless).is_ok(), "a flag in the low byte may be ignored");
}

#[test]
fn lying_headers_are_out_of_bounds() {
    type Lie = fn(&mut Header);
    let cases: [(&str, Lie); 9] = [
        ("raw_len", |h| h.raw_len = u32::MAX),
        ("body_len", |h| h.body_len = h.raw_len + 1),
        ("sequence", |h| h.sequence = 0),
        ("sequence", |h| h.sequence = u64::MAX),
        ("first_record", |h| h.first_record = u64::MAX),
        ("first_record", |h| h.first_record = 0),
        ("span", |h| h.span = 2),
        ("records", |h| h.records = 0),
        ("sequence", |h| h.sequence = 1),
    ];
    for (field, lie) in cases {
        let mut header = sample().header().clone();
        lie(&mut header);
        assert_eq!(Header::parse(&header.encode()), Err(FrameError::Bounds { field }));
    }
}

#[test]
fn raw_len_bounds_what_a_bomb_can_unpack_to() {
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
    let mut header = sample().header().clone();
    header.raw_len = u32::try_from(FRAME_RAW_BYTES_MAX).unwrap();
    header.body_len = u32::try_from(bomb.len()).unwrap();
    header.body_crc = crc32c::crc32c(&bomb);
    let frame = Frame::parse([&header.encode()[..], &bomb].concat()).unwrap();
    let mut opener = Opener::default();
    assert!(matches!(frame.open(&mut opener), Err(FrameError::Body { .. })));
    assert!(opener.raw.capacity() <= FRAME_RAW_BYTES_MAX);
}

#[test]
fn notices_survive_and_move_the_head() {
    let mut sealer = Sealer::new().unwrap();
    let mut opener = Opener::default();
    let (first_time, last_time) = (Timestamp(1), Timestamp(2));
    let notice = LossNotice { reason: LossReason::DropOldest, first_time, last_time, last_hash: FrameHash([3; 32]) };
    let loss = sealer.loss(&place(5), 4, 70, &notice).unwrap();
    assert_eq!((loss.header().next_sequence(), loss.header().next_record()), (9, 80));
    assert_eq!(loss.loss_notice(&mut opener), Ok(notice));
    assert_eq!(loss.head_after(&mut opener), Ok(FrameHash([3; 32])));
    let previous = Some(PreviousEpoch { epoch: Epoch(5), next: None, head: Some(FrameHash([1; 32])) });
    let genesis = GenesisNotice { reason: GenesisReason::Fork, previous };
    let frame = sealer.genesis(place(1).chain, Timestamp(3), &genesis).unwrap();
    assert_eq!(frame.genesis_notice(&mut opener), Ok(genesis));
    assert_eq!(frame.head_after(&mut opener), Ok(frame.hash()));
    assert!(frame.loss_notice(&mut opener).is_err());
}

#[test]
fn resealed_frame_keeps_its_body() {
    let old = sample();
    let new = old.reseal(&Place { prev: FrameHash([1; 32]), first_record: 1, ..place(2) }).unwrap();
    assert_eq!(new.header().flags & FLAG_RESEALED, FLAG_RESEALED);
    assert_eq!(new.bytes()[HEADER_LEN..], old.bytes()[HEADER_LEN..]);
    assert_ne!(new.hash(), old.hash());
    assert_eq!(Frame::parse(new.bytes().to_vec()), Ok(new));
}
