use super::*;
use crate::journal::Received;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn chain(agent: u8, lane: Lane) -> ChainId {
    ChainId { agent: AgentId([agent; 16]), lane, epoch: Epoch(0x0102_0304_0506_0708) }
}

fn heads() -> Vec<SealHead> {
    [(1, Lane::High, 0x11), (2, Lane::Bulk, 0x1122)]
        .map(|(agent, lane, through)| SealHead { chain: chain(agent, lane), through, head: FrameHash([agent; 32]) })
        .into()
}

fn statement() -> Statement {
    Statement {
        log_id: [0xa0; 16],
        aggregator: AgentId([0xa1; 16]),
        number: 7,
        digest: SegmentDigest { first: 0x100, end: 0x2_0000, sha256: [0xa2; 32] },
        positions: (41, 99),
        span: (Timestamp(1_000), Timestamp(2_000)),
        made_at: Timestamp(-3),
        previous: [0xa3; 32],
        heads: 0,
        heads_sha256: [0; 32],
        reread: true,
        key: KeyHash([0; 32]),
    }
}

fn retirement(signer: &Signer) -> Retirement {
    let signature = Signature { der: vec![], key: vec![] };
    let (log_id, aggregator, key) = ([0xb0; 16], AgentId([0xb1; 16]), KeyHash([0; 32]));
    let at = Timestamp(5);
    let reason = RetiredFor::Room;
    let said =
        Retirement { log_id, aggregator, through: 0x2_0000, position: 100, seals: 8, at, reason, key, signature };
    said.sign(signer).unwrap()
}

/// A seal and a retirement.
pub(in crate::journal) fn made(signer: &Signer) -> (Seal, Retirement) {
    (Seal::make(statement(), &heads(), signer).unwrap().0, retirement(signer))
}

#[test]
fn seal_survives_its_bytes_and_holds() {
    let signer = Signer::generate();
    let (seal, payload) = Seal::make(statement(), &heads(), &signer).unwrap();
    assert!(payload.len() <= seal_len(2));
    assert_eq!(Seal::parse(&payload), Some((seal.clone(), heads())));
    assert!(seal.holds());
    assert_eq!((seal.statement.heads, seal.statement.key), (2, signer.key_hash()));
    assert_eq!(Seal::from_signed(&seal.signed(), seal.signature.clone()), Some(seal.clone()));
    assert_eq!(Seal::decode(&seal.encode()), Some((seal, &[][..])));
}

/// The layout that stands in journals; only the signature differs from run to run.
#[test]
fn golden_bytes_of_a_statement_its_heads_and_a_retirement() {
    let mut expected = String::from("0101");
    expected += &"a0".repeat(16);
    expected += &"a1".repeat(16);
    expected += "0700000000000000";
    expected += "00010000000000000000020000000000";
    expected += "29000000000000006300000000000000";
    expected += "e803000000000000d007000000000000fdffffffffffffff";
    expected += &"a2".repeat(32);
    expected += &"a3".repeat(32);
    expected += "02000000";
    expected += &"0c".repeat(32);
    expected += &"0d".repeat(32);
    let full = Statement { heads: 2, heads_sha256: [0x0c; 32], key: KeyHash([0x0d; 32]), ..statement() };
    assert_eq!(hex(&full.encode()), expected);
    assert_eq!(full.encode().len(), STATEMENT_LEN);
    let mut expected = "01".repeat(16) + "00" + "0807060504030201" + "1100000000000000" + &"01".repeat(32);
    expected += &("02".repeat(16) + "02" + "0807060504030201" + "2211000000000000" + &"02".repeat(32));
    assert_eq!(hex(&encode_heads(&heads())), expected);
    let mut said = retirement(&Signer::generate());
    said.key = KeyHash([0x0e; 32]);
    let expected = "0101".to_owned()
        + &"b0".repeat(16)
        + &"b1".repeat(16)
        + "0000020000000000640000000000000008000000000000000500000000000000"
        + &"0e".repeat(32);
    assert_eq!(hex(&said.statement()), expected);
    assert_eq!(said.statement().len(), RETIREMENT_LEN);
    assert_eq!((SEAL_KIND, RETIREMENT_KIND), (&b"picket seal\0"[..], &b"picket retirement\0"[..]));
}

#[test]
fn no_byte_of_a_seal_can_be_changed() {
    let (seal, payload) = Seal::make(statement(), &heads(), &Signer::generate()).unwrap();
    for at in 0..payload.len() {
        let mut bytes = payload.clone();
        bytes[at] ^= 1;
        let found = Seal::parse(&bytes).filter(|(seal, _)| seal.holds());
        assert_eq!(found, None, "byte {at}");
    }
    for len in 0..payload.len() {
        assert_eq!(Seal::parse(&payload[..len]), None, "{len} bytes");
    }
    // A stranger's key, named and used in good order, is another key.
    let (stranger, _) = Seal::make(statement(), &heads(), &Signer::generate()).unwrap();
    assert!(stranger.holds() && stranger.statement.key != seal.statement.key && stranger.hash() != seal.hash());
}

#[test]
fn retirement_holds_until_a_byte_is_changed_and_is_no_seal() {
    let said = retirement(&Signer::generate());
    let bytes = said.encode();
    assert!(said.holds() && bytes.len() <= RETIREMENT_BYTES_MAX);
    assert_eq!(Retirement::decode(&bytes), Some((said, &[][..])));
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        let found = Retirement::decode(&bytes).filter(|(said, _)| said.holds());
        assert!(found.is_none(), "byte {at}");
    }
    assert_eq!(Seal::parse(&bytes), None);
}

#[test]
fn what_is_covered_adds_up() {
    let wrap =
        |position, at| Wrap { position, records_before: 0, received: Received::own(Timestamp(at)), is_cut: false };
    let (a, b) = (chain(1, Lane::High), chain(2, Lane::High));
    let mut covered = Covered::default();
    covered.absorb(Covered::default());
    assert_eq!(covered, Covered::default());
    covered.note(&wrap(5, 100), a);
    let mut later = Covered::default();
    // The clock was set back.
    later.note(&wrap(6, 90), b);
    later.note(&wrap(7, 95), a);
    covered.absorb(later);
    covered.absorb(Covered::default());
    assert_eq!(covered, Covered { positions: (5, 7), span: (Timestamp(90), Timestamp(100)), chains: [a, b].into() });
}
