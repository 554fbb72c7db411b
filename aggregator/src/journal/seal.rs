//! Seals and retirements: what the aggregator vouches for of its journal, with its authority's key.
//!
//! ```text
//! seal        statement 230 · signature · heads, 65 bytes each, in order of agent, lane and epoch
//! statement   version u8 · flags u8 · log id 16 · aggregator 16 · number u64 · first u64 · end u64 ·
//!             first position u64 · last position u64 · since i64 · until i64 · made at i64 · sha256 32 ·
//!             hash of the seal before 32 · heads u32 · sha256 of the heads 32 · key 32
//! head        agent 16 · lane u8 · epoch u64 · through u64 · hash of frame `through` 32
//! retirement  statement 98 · signature
//! statement   version u8 · reason u8 · log id 16 · aggregator 16 · through u64 · position u64 · seals u64 · at i64 · key 32
//! signature   length u8 · ASN.1 · length u8 · public key
//! ```
//! All little-endian. What is signed is the name of the kind and the statement ([`Seal::signed`]). A seal covers the
//! log's bytes `[first, end)` of the segment that begins at `first` ([`shared::log::SegmentDigest`]): it stands right
//! behind them, as the last record of its segment, or, where the file took nothing more, in a later one. Seals are
//! numbered from 1 and each names the hash of the one before: none can be taken out or put in.
//!
//! Bound: the heads of a segment are those of at most [`super::chains::CHAINS_MAX`] chains.

use std::collections::BTreeSet;

use shared::identity::{AgentId, ChainId, Epoch, FrameHash, Lane};
use shared::log::SegmentDigest;
use shared::time::Timestamp;
use shared::tls::{KeyHash, sha256};

use super::chains::CHAINS_MAX;
use super::wrap::Wrap;
use crate::ca::signature::{ENCODED_BYTES_MAX, SignError, Signature, Signer};

const VERSION: u8 = 1;
/// Bytes of the segment were read back from the disk at a start, not hashed as they were written.
const FLAG_REREAD: u8 = 1;
const STATEMENT_LEN: usize = 230;
const RETIREMENT_LEN: usize = 98;
const HEAD_LEN: usize = 65;
const SEAL_KIND: &[u8] = b"picket seal\0";
const RETIREMENT_KIND: &[u8] = b"picket retirement\0";

const _: () = assert!(seal_len(CHAINS_MAX) < shared::limits::LOG_RECORD_BYTES_MAX);

/// Bytes of a seal with this many heads, at most.
pub const fn seal_len(heads: usize) -> usize {
    STATEMENT_LEN + ENCODED_BYTES_MAX + heads * HEAD_LEN
}

/// Bytes of a retirement, at most.
pub const RETIREMENT_BYTES_MAX: usize = RETIREMENT_LEN + ENCODED_BYTES_MAX;

/// How far a chain has come where a segment ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SealHead {
    /// The chain.
    pub chain: ChainId,
    /// Its last sequence.
    pub through: u64,
    /// That frame's hash.
    pub head: FrameHash,
}

/// What a stretch of the journal holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Covered {
    /// Positions of its first and last frame; 0 without frames.
    pub positions: (u64, u64),
    /// When the first and the last of them was received.
    pub span: (Timestamp, Timestamp),
    /// The chains that have frames in it.
    pub chains: BTreeSet<ChainId>,
}

impl Default for Covered {
    fn default() -> Self {
        Self { positions: (0, 0), span: (Timestamp(0), Timestamp(0)), chains: BTreeSet::new() }
    }
}

impl Covered {
    /// Takes a frame.
    pub fn note(&mut self, wrap: &Wrap, chain: ChainId) {
        self.stretch((wrap.position, wrap.position), (wrap.received.at, wrap.received.at));
        self.chains.insert(chain);
    }

    /// Takes what follows.
    pub fn absorb(&mut self, later: Self) {
        self.stretch(later.positions, later.span);
        self.chains.extend(later.chains);
    }

    fn stretch(&mut self, positions: (u64, u64), span: (Timestamp, Timestamp)) {
        if self.positions.0 == 0 {
            (self.positions, self.span) = (positions, span);
        } else if positions.0 != 0 {
            self.positions.1 = positions.1;
            self.span = (self.span.0.min(span.0), self.span.1.max(span.1));
        }
    }
}

/// What a seal says, but for its heads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Statement {
    /// The log that the segment belongs to.
    pub log_id: [u8; 16],
    /// The aggregator whose journal it is.
    pub aggregator: AgentId,
    /// 1, 2, 3 … within the log.
    pub number: u64,
    /// The bytes that are covered, and their SHA-256.
    pub digest: SegmentDigest,
    /// Positions of the first and last frame among them; 0 without frames.
    pub positions: (u64, u64),
    /// When these were received.
    pub span: (Timestamp, Timestamp),
    /// When it was made.
    pub made_at: Timestamp,
    /// Hash of seal `number − 1`; zeros for the first.
    pub previous: [u8; 32],
    /// How many heads it has.
    pub heads: u32,
    /// SHA-256 of their bytes.
    pub heads_sha256: [u8; 32],
    /// Some of the bytes were read back at a start: they are as they were found then.
    pub reread: bool,
    /// The key that signs.
    pub key: KeyHash,
}

impl Statement {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(STATEMENT_LEN);
        out.extend_from_slice(&[VERSION, u8::from(self.reread) * FLAG_REREAD]);
        out.extend_from_slice(&self.log_id);
        out.extend_from_slice(&self.aggregator.0);
        let SegmentDigest { first, end, sha256 } = self.digest;
        for number in [self.number, first, end, self.positions.0, self.positions.1] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for at in [self.span.0, self.span.1, self.made_at] {
            out.extend_from_slice(&at.0.to_le_bytes());
        }
        out.extend_from_slice(&sha256);
        out.extend_from_slice(&self.previous);
        out.extend_from_slice(&self.heads.to_le_bytes());
        out.extend_from_slice(&self.heads_sha256);
        out.extend_from_slice(&self.key.0);
        out
    }

    fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut fields = Fields(bytes);
        let [VERSION, flags @ 0..=FLAG_REREAD] = fields.take()? else { return None };
        let (log_id, aggregator) = (fields.take()?, AgentId(fields.take()?));
        let (number, first, end) = (fields.number()?, fields.number()?, fields.number()?);
        let positions = (fields.number()?, fields.number()?);
        let span = (fields.moment()?, fields.moment()?);
        let made_at = fields.moment()?;
        let digest = SegmentDigest { first, end, sha256: fields.take()? };
        let previous = fields.take()?;
        let (heads, heads_sha256) = (u32::from_le_bytes(fields.take()?), fields.take()?);
        let key = KeyHash(fields.take()?);
        let reread = flags == FLAG_REREAD;
        let statement = Self {
            log_id,
            aggregator,
            number,
            digest,
            positions,
            span,
            made_at,
            previous,
            heads,
            heads_sha256,
            reread,
            key,
        };
        Some((statement, fields.0))
    }
}

/// A seal without its heads: what the chain of seals, anchors and copies need of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seal {
    /// What it says.
    pub statement: Statement,
    /// Who says so.
    pub signature: Signature,
}

impl Seal {
    /// Signs a statement over these heads; gives the seal and the payload of its record.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn make(statement: Statement, heads: &[SealHead], signer: &Signer) -> Result<(Self, Vec<u8>), SignError> {
        let heads = encode_heads(heads);
        let count = u32::try_from(heads.len() / HEAD_LEN).unwrap_or(u32::MAX);
        let statement = Statement { heads: count, heads_sha256: sha256(&heads), key: signer.key_hash(), ..statement };
        let signature = signer.sign(&signed(SEAL_KIND, &statement.encode()))?;
        let seal = Self { statement, signature };
        let mut payload = seal.encode();
        payload.extend_from_slice(&heads);
        Ok((seal, payload))
    }

    /// The exact bytes that are signed.
    #[must_use]
    pub fn signed(&self) -> Vec<u8> {
        signed(SEAL_KIND, &self.statement.encode())
    }

    /// Its hash: what the next one names, and an anchor.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        sha256(&[self.statement.encode(), self.signature.der.clone()].concat())
    }

    /// Whether the key that it names has signed what it says.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.signature.key_hash() == self.statement.key && self.signature.holds(&self.signed())
    }

    /// The seal without heads, as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.statement.encode();
        self.signature.encode(&mut out);
        out
    }

    /// Bytes of its record's payload.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        self.encode().len() + usize::try_from(self.statement.heads).unwrap_or(0) * HEAD_LEN
    }

    /// The inverse of [`Seal::encode`], and what follows.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (statement, rest) = Statement::decode(bytes)?;
        let (signature, rest) = Signature::decode(rest)?;
        Some((Self { statement, signature }, rest))
    }

    /// A seal's record: the seal and its heads, when these are the ones that it was made with.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<(Self, Vec<SealHead>)> {
        let (seal, heads) = Self::decode(payload)?;
        let whole = heads.len() == usize::try_from(seal.statement.heads).ok()?.checked_mul(HEAD_LEN)?;
        (whole && sha256(heads) == seal.statement.heads_sha256).then_some(())?;
        Some((seal, decode_heads(heads)?))
    }

    /// The bytes that were signed and the signature, from where they were written down.
    #[must_use]
    pub fn from_signed(message: &[u8], signature: Signature) -> Option<Self> {
        let (statement, rest) = Statement::decode(message.strip_prefix(SEAL_KIND)?)?;
        rest.is_empty().then_some(Self { statement, signature })
    }
}

/// Why segments were let go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RetiredFor {
    /// Their `retain` was over.
    Age,
    /// `max_bytes` was reached, and every required sink had them.
    Room,
}

impl RetiredFor {
    /// `age`, `room`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Room => "room",
        }
    }
}

/// What the aggregator says before it lets segments go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Retirement {
    /// The log that they belonged to.
    pub log_id: [u8; 16],
    /// Whose journal it is.
    pub aggregator: AgentId,
    /// Everything below this log offset went.
    pub through: u64,
    /// Position of the first frame that was kept.
    pub position: u64,
    /// Number of the last seal there was.
    pub seals: u64,
    /// When.
    pub at: Timestamp,
    /// Why the last of them went.
    pub reason: RetiredFor,
    /// The key that signs.
    pub key: KeyHash,
    /// Who says so.
    pub signature: Signature,
}

impl Retirement {
    /// Signs; `signature` and `key` of `said` are replaced.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn sign(mut self, signer: &Signer) -> Result<Self, SignError> {
        self.key = signer.key_hash();
        self.signature = signer.sign(&signed(RETIREMENT_KIND, &self.statement()))?;
        Ok(self)
    }

    fn statement(&self) -> Vec<u8> {
        let mut out = vec![VERSION, u8::from(self.reason == RetiredFor::Room)];
        out.extend_from_slice(&self.log_id);
        out.extend_from_slice(&self.aggregator.0);
        for number in [self.through, self.position, self.seals, self.at.0.cast_unsigned()] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.key.0);
        out
    }

    /// Whether the key that it names has signed it.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.signature.key_hash() == self.key && self.signature.holds(&signed(RETIREMENT_KIND, &self.statement()))
    }

    /// The payload of its mark.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.statement();
        self.signature.encode(&mut out);
        out
    }

    /// The inverse of [`Retirement::encode`], and what follows.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut fields = Fields(bytes);
        let [VERSION, reason @ 0..=1] = fields.take()? else { return None };
        let reason = if reason == 0 { RetiredFor::Age } else { RetiredFor::Room };
        let (log_id, aggregator) = (fields.take()?, AgentId(fields.take()?));
        let (through, position, seals) = (fields.number()?, fields.number()?, fields.number()?);
        let (at, key) = (fields.moment()?, KeyHash(fields.take()?));
        let (signature, rest) = Signature::decode(fields.0)?;
        Some((Self { log_id, aggregator, through, position, seals, at, reason, key, signature }, rest))
    }
}

fn signed(kind: &[u8], statement: &[u8]) -> Vec<u8> {
    [kind, statement].concat()
}

fn encode_heads(heads: &[SealHead]) -> Vec<u8> {
    let mut out = Vec::with_capacity(heads.len() * HEAD_LEN);
    for SealHead { chain, through, head } in heads {
        out.extend_from_slice(&chain.agent.0);
        out.push(chain.lane as u8);
        out.extend_from_slice(&chain.epoch.0.to_le_bytes());
        out.extend_from_slice(&through.to_le_bytes());
        out.extend_from_slice(&head.0);
    }
    out
}

fn decode_heads(bytes: &[u8]) -> Option<Vec<SealHead>> {
    let head = |bytes: &[u8]| {
        let mut fields = Fields(bytes);
        let (agent, [lane]) = (AgentId(fields.take()?), fields.take()?);
        let chain = ChainId { agent, lane: Lane::from_u8(lane)?, epoch: Epoch(fields.number()?) };
        Some(SealHead { chain, through: fields.number()?, head: FrameHash(fields.take()?) })
    };
    bytes.chunks_exact(HEAD_LEN).map(head).collect()
}

/// Takes fixed fields off the front of bytes.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn moment(&mut self) -> Option<Timestamp> {
        self.take().map(|bytes| Timestamp(i64::from_le_bytes(bytes)))
    }
}

#[cfg(test)]
pub(super) mod tests;
