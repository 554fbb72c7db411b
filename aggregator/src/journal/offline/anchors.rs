//! Anchors: what one writes down of a journal, elsewhere, to hold it against later.
//!
//! In: the journal's folder. Out: rows (`journal heads`), of which a file makes the `HEADS` of `journal verify
//! --against`. A row is one of
//!
//! - `journal`: the log, the aggregator and when the rows were taken;
//! - `seal`: a seal, with the very bytes that are signed, the signature and the key: any program can check it;
//! - `end`: the segment that is not finished, as far as it is known to be durable, and its SHA-256;
//! - `head`: how far a chain has come there.
//!
//! Several takings may stand in one file, one after the other.
//!
//! Bound: [`FILE_BYTES_MAX`] of such a file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use shared::durable::{DurableError, read_bounded};
use shared::frame::Opener;
use shared::identity::{AgentId, ChainId, FrameHash};
use shared::log::{
    Entry, Fs as _, Kind, Reader, RealFs, SegmentDigest, segment_digests, segment_header, segment_states,
};
use shared::time::Timestamp;

use super::super::sealing::ledger_of;
use super::super::{ChainTable, Numbers, Seal, SealHead, Wrap, fold};
use super::{JournalFiles, OfflineError, segment_name};
use crate::ca::signature::Signature;

/// Largest file of anchors that is read.
pub const FILE_BYTES_MAX: u64 = 256 << 20;

/// The unfinished end of a journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndAnchor {
    /// The log.
    pub log_id: [u8; 16],
    /// The bytes of its newest segment, as far as they were known to be durable.
    pub digest: SegmentDigest,
    /// Position of the last frame among them; 0 for none.
    pub position: u64,
    /// When it was taken.
    pub taken_at: Timestamp,
}

/// What is written down of a journal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Anchors {
    /// Seals, by log and number.
    pub seals: Vec<Seal>,
    /// Unfinished ends, in the order in which they were taken.
    pub ends: Vec<EndAnchor>,
    /// How far chains had come.
    pub heads: Vec<SealHead>,
    /// The aggregator of the last taking.
    pub aggregator: Option<AgentId>,
}

/// A file of anchors that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AnchorsError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] DurableError),
    /// It is not what `journal heads` prints.
    #[error("row {row} is no anchor: {why}; make the file with `picket-aggregator journal heads --output json`")]
    Row {
        /// Counted from 1.
        row: usize,
        /// What is wrong.
        why: String,
    },
    /// A seal in it was changed.
    #[error(
        "row {row}: the signature of seal {number} does not hold, so that this file is not what `journal heads` printed"
    )]
    Changed {
        /// Counted from 1.
        row: usize,
        /// Which seal.
        number: u64,
    },
}

/// A row, as JSON has it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AnchorRow {
    /// `journal`, `seal`, `end`, `head`.
    pub anchor: String,
    /// The seal's number.
    pub number: Option<u64>,
    /// The first log offset that is covered.
    pub first: Option<u64>,
    /// The log offset behind the last.
    pub end: Option<u64>,
    /// Position of the first frame that is covered.
    pub first_position: Option<u64>,
    /// Position of the last.
    pub last_position: Option<u64>,
    /// When the first was received.
    pub since: Option<String>,
    /// When the last was received; of other rows, when they were taken.
    pub until: Option<String>,
    /// Nanoseconds since the Unix epoch of `until`.
    pub taken_at: Option<i64>,
    /// The aggregator, or the chain's agent.
    pub agent: Option<String>,
    /// The chain's lane.
    pub lane: Option<String>,
    /// The chain's epoch.
    pub epoch: Option<String>,
    /// Its last sequence.
    pub through: Option<u64>,
    /// The seal's hash (SHA-256), or that of the chain's last frame (BLAKE3).
    pub hash: Option<String>,
    /// Hash of the seal before.
    pub previous: Option<String>,
    /// SHA-256 of the bytes that are covered.
    pub sha256: Option<String>,
    /// The log's id.
    pub log: Option<String>,
    /// The bytes that are signed, in base64.
    pub signed: Option<String>,
    /// The signature over their SHA-256 (ECDSA P-256, ASN.1), in base64.
    pub signature: Option<String>,
    /// The public key (`SubjectPublicKeyInfo`), in base64.
    pub key: Option<String>,
}

impl Anchors {
    /// The rows, the `journal` row first.
    #[must_use]
    pub fn rows(&self) -> Vec<AnchorRow> {
        let end = self.ends.last();
        let log = end.map(|end| HEXLOWER.encode(&end.log_id));
        let taken = end.map(|end| end.taken_at);
        let named = |anchor: &str| AnchorRow { anchor: anchor.to_owned(), log: log.clone(), ..AnchorRow::default() };
        let mut rows = vec![AnchorRow {
            agent: self.aggregator.map(|id| id.to_string()),
            until: taken.map(|at| at.to_string()),
            taken_at: taken.map(|at| at.0),
            ..named("journal")
        }];
        rows.extend(self.seals.iter().map(seal_row));
        rows.extend(self.ends.iter().map(|end| AnchorRow {
            first: Some(end.digest.first),
            end: Some(end.digest.end),
            last_position: Some(end.position),
            until: Some(end.taken_at.to_string()),
            taken_at: Some(end.taken_at.0),
            sha256: Some(HEXLOWER.encode(&end.digest.sha256)),
            ..named("end")
        }));
        rows.extend(self.heads.iter().map(|SealHead { chain, through, head }| AnchorRow {
            agent: Some(chain.agent.to_string()),
            lane: Some(chain.lane.to_string()),
            epoch: Some(chain.epoch.to_string()),
            through: Some(*through),
            hash: Some(head.to_string()),
            ..named("head")
        }));
        rows
    }

    /// Reads a file of rows: a JSON array, or NDJSON, or several of them one after the other.
    ///
    /// # Errors
    /// [`AnchorsError`].
    pub fn read(path: &Path) -> Result<Self, AnchorsError> {
        Self::parse(&read_bounded(path, FILE_BYTES_MAX)?)
    }

    /// As [`Anchors::read`], of the file's bytes.
    ///
    /// # Errors
    /// [`AnchorsError::Row`], [`AnchorsError::Changed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, AnchorsError> {
        let mut anchors = Self::default();
        let mut number = 0;
        let mut take = |value: serde_json::Value| {
            number += 1;
            let row = serde_json::from_value(value).map_err(|error| error.to_string());
            let why = match row.and_then(|row: AnchorRow| anchors.take(&row)) {
                Ok(None) => return Ok(()),
                Ok(Some(seal)) => return Err(AnchorsError::Changed { row: number, number: seal }),
                Err(why) => why,
            };
            Err(AnchorsError::Row { row: number, why })
        };
        for value in serde_json::Deserializer::from_slice(bytes).into_iter::<serde_json::Value>() {
            match value {
                Ok(serde_json::Value::Array(rows)) => rows.into_iter().try_for_each(&mut take)?,
                Ok(row) => take(row)?,
                Err(error) => return Err(AnchorsError::Row { row: number + 1, why: error.to_string() }),
            }
        }
        if anchors.seals.is_empty() && anchors.ends.is_empty() {
            return Err(AnchorsError::Row { row: number, why: "the file has no anchors".to_owned() });
        }
        anchors.seals.sort_by_key(|seal| (seal.statement.log_id, seal.statement.number));
        anchors.seals.dedup();
        Ok(anchors)
    }

    /// Takes a row; gives the number of a seal whose signature does not hold.
    fn take(&mut self, row: &AnchorRow) -> Result<Option<u64>, String> {
        match row.anchor.as_str() {
            "journal" => self.aggregator = row.agent.as_deref().and_then(|id| id.parse().ok()).or(self.aggregator),
            "seal" => {
                let signed = base64(&row.signed, "signed")?;
                let signature = Signature { der: base64(&row.signature, "signature")?, key: base64(&row.key, "key")? };
                let seal = Seal::from_signed(&signed, signature).ok_or("'signed' is not what a seal signs")?;
                if !seal.holds() {
                    return Ok(Some(seal.statement.number));
                }
                self.seals.push(seal);
            }
            "end" => self.ends.push(EndAnchor {
                log_id: hex(&row.log, "log")?,
                digest: SegmentDigest {
                    first: row.first.ok_or("'first' is missing")?,
                    end: row.end.ok_or("'end' is missing")?,
                    sha256: hex(&row.sha256, "sha256")?,
                },
                position: row.last_position.ok_or("'last_position' is missing")?,
                taken_at: Timestamp(row.taken_at.ok_or("'taken_at' is missing")?),
            }),
            "head" => {
                let field = |value: &Option<String>| value.clone().unwrap_or_default();
                let chain = ChainId {
                    agent: field(&row.agent).parse().map_err(|_| "'agent' is no id")?,
                    lane: field(&row.lane).parse().map_err(|_| "'lane' is no lane")?,
                    epoch: field(&row.epoch).parse().map_err(|_| "'epoch' is no epoch")?,
                };
                let head: FrameHash = field(&row.hash).parse().map_err(|_| "'hash' is no hash")?;
                self.heads.push(SealHead { chain, through: row.through.ok_or("'through' is missing")?, head });
            }
            other => return Err(format!("'{}' is not a kind of anchor", shared::printable::Excerpt(other))),
        }
        Ok(None)
    }
}

fn seal_row(seal: &Seal) -> AnchorRow {
    let said = &seal.statement;
    let some = |position: u64| (position != 0).then_some(position);
    let moment = |at: Timestamp| (said.positions.0 != 0).then(|| at.to_string());
    AnchorRow {
        anchor: "seal".to_owned(),
        number: Some(said.number),
        first: Some(said.digest.first),
        end: Some(said.digest.end),
        first_position: some(said.positions.0),
        last_position: some(said.positions.1),
        since: moment(said.span.0),
        until: moment(said.span.1),
        taken_at: Some(said.made_at.0),
        agent: Some(said.aggregator.to_string()),
        hash: Some(HEXLOWER.encode(&seal.hash())),
        previous: Some(HEXLOWER.encode(&said.previous)),
        sha256: Some(HEXLOWER.encode(&said.digest.sha256)),
        log: Some(HEXLOWER.encode(&said.log_id)),
        signed: Some(BASE64.encode(seal.signed())),
        signature: Some(BASE64.encode(&seal.signature.der)),
        key: Some(BASE64.encode(&seal.signature.key)),
        ..AnchorRow::default()
    }
}

fn base64(field: &Option<String>, name: &str) -> Result<Vec<u8>, String> {
    let text = field.as_deref().ok_or_else(|| format!("'{name}' is missing"))?;
    BASE64.decode(text).map_err(|_| format!("'{name}' is not base64"))
}

fn hex<const N: usize>(field: &Option<String>, name: &str) -> Result<[u8; N], String> {
    let bytes = HEXLOWER.decode(field.as_deref().unwrap_or_default().as_bytes()).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| format!("'{name}' is not {N} bytes in hexadecimal"))
}

/// The unfinished segment, as far as it is durable.
struct End {
    first: u64,
    end: u64,
    position: u64,
    chains: ChainTable,
    seals: Vec<Seal>,
}

impl JournalFiles {
    /// Every seal that is left, and the journal's end. Reads the states of all segments and the whole newest; others
    /// only where a seal is not named by the state behind it.
    ///
    /// # Errors
    /// [`OfflineError::Io`].
    pub fn anchors(&self, now: Timestamp) -> Result<Anchors, OfflineError> {
        let failed = |error| self.failed(error);
        let newest = self.segments.last().map_or(0, |segment| segment.first);
        let header = segment_header(&RealFs, &self.dir, newest).map_err(failed)?;
        let log_id = header.map_or([0; 16], |header| header.log_id);
        // Each segment, with the seal that its state knows.
        let mut named: Vec<(u64, Option<Seal>)> = Vec::new();
        segment_states(&RealFs, &self.dir, &mut |first, payload| {
            named.push((first, ledger_of(payload).and_then(|ledger| ledger.last)));
        })
        .map_err(failed)?;
        let end = self.known_end(newest)?;
        let mut seals: BTreeMap<u64, Seal> = BTreeMap::new();
        seals.extend(named.iter().filter_map(|(_, seal)| seal.clone()).map(|seal| (seal.statement.number, seal)));
        seals.extend(end.seals.iter().map(|seal| (seal.statement.number, seal.clone())));
        for ((first, before), (next, after)) in named.iter().zip(named.iter().skip(1)) {
            let number = |seal: &Option<Seal>| seal.as_ref().map_or(0, |seal| seal.statement.number);
            if number(after) > number(before) + 1 {
                self.seals_between(*first, *next, &mut |seal| {
                    seals.insert(seal.statement.number, seal);
                })?;
            }
        }
        let digest = segment_digests(&RealFs, &self.dir, end.first, &[end.end]).map_err(failed)?;
        let end_anchor = |digest| EndAnchor { log_id, digest, position: end.position, taken_at: now };
        let heads = end.chains.all().into_iter().map(|(chain, books)| SealHead {
            chain,
            through: books.state.through,
            head: books.state.head,
        });
        let aggregator = seals.values().next_back().map(|seal| seal.statement.aggregator);
        Ok(Anchors {
            seals: seals.into_values().filter(|seal| seal.statement.log_id == log_id).collect(),
            ends: digest.into_iter().flatten().map(end_anchor).collect(),
            heads: heads.collect(),
            aggregator: aggregator.or(self.totals()?.own),
        })
    }

    fn seals_between(&self, from: u64, to: u64, visit: &mut dyn FnMut(Seal)) -> Result<(), OfflineError> {
        let mut reader = Reader::new(Arc::new(RealFs), &self.dir, from);
        while let Some(entry) = reader.next(to).map_err(|error| self.failed(error))? {
            if let Entry::Record(record) = entry
                && record.kind == Kind::Seal
                && let Some((seal, _)) = Seal::decode(record.payload)
            {
                visit(seal);
            }
        }
        Ok(())
    }

    /// Reads the newest segment up to where it is known to be durable. What a running aggregator has written and not
    /// synced may go with the power and is no anchor: so it is synced here, or else what its records vouch for counts.
    fn known_end(&self, first: u64) -> Result<End, OfflineError> {
        let synced = RealFs.open_read(&self.dir.join(segment_name(first))).and_then(|file| file.sync());
        let mut durable = if synced.is_ok() { self.end } else { first };
        if synced.is_err() {
            self.each_record(first, self.end, &mut |record| durable = durable.max(record.committed_through))?;
        }
        let (chains, mut opener) = (ChainTable::default(), Opener::default());
        let mut numbers =
            Numbers { position: 1, records: 0, own_epoch: shared::identity::Epoch(0), received_at: Timestamp(0) };
        let mut end = End { first, end: first, position: 0, chains, seals: Vec::new() };
        self.each_record(first, durable, &mut |record| {
            end.end = record.end();
            fold(&mut numbers, &end.chains, record, &mut opener);
            match record.kind {
                Kind::Seal => end.seals.extend(Seal::decode(record.payload).map(|(seal, _)| seal)),
                Kind::Frame => {
                    end.position = Wrap::split(record.payload).map_or(end.position, |(wrap, _)| wrap.position)
                }
                _ => {}
            }
        })?;
        end.position = end.position.max(numbers.position - 1);
        Ok(end)
    }

    fn each_record(
        &self,
        from: u64,
        to: u64,
        visit: &mut dyn FnMut(&shared::log::Record<'_>),
    ) -> Result<(), OfflineError> {
        let mut reader = Reader::new(Arc::new(RealFs), &self.dir, from);
        while let Some(entry) = reader.next(to).map_err(|error| self.failed(error))? {
            if let Entry::Record(record) = entry {
                visit(&record);
            }
        }
        Ok(())
    }
}
