//! `journal export`: raw lines, rows or frames out, on standard output or into a folder with a manifest.
//!
//! In a folder stand `lines.raw` (or `lines.json`, `lines.ndjson`), or `frames.bin` (the frames one behind the other, as
//! they were sent) with `frames.ndjson` (how each came, and where it stands there); `SHA256SUMS`; and `manifest.json`.

use std::io::{self, Write};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use shared::exit::{Exit, Reason};
use shared::frame::{Frame, FrameKind};
use shared::identity::ChainId;
use shared::table::{Output, Table};
use shared::time::Timestamp;

use super::super::{card, moment, moment_or_null, named, offline_exit, open_journal, roster};
use super::parcel::{Finished, Parcel};
use crate::ca::roster::Book;
use crate::cli::{ExportArgs, Options, PROGRAM, VERSION};
use crate::config::Config;
use crate::journal::Wrap;
use crate::journal::offline::{ChainRange, ExportError, Exported, ExportedLine, JournalFiles, Selection};

/// The form of the manifest.
const MANIFEST_VERSION: u64 = 1;

/// Exports.
///
/// # Errors
/// As [`super::run`]; 64 for rows of frames and for a time that ends before it begins, 73 for a folder that is not empty.
pub(super) fn run(
    config: &Config,
    options: &Options,
    arguments: &ExportArgs,
    now: Timestamp,
    mut out: impl Write,
) -> Result<(), Exit> {
    if arguments.frames && options.output != Output::Table {
        return Err(Exit::new(Reason::Usage, "--frames gives bytes, not rows: leave --output out"));
    }
    let selection = Selection {
        uid: arguments.uid,
        agent: named(config, arguments.agent.as_deref())?,
        since: arguments.since.map(|since| since.moment(now)),
        until: arguments.until.map(|until| until.moment(now)),
    };
    if let (Some(since), Some(until)) = (selection.since, selection.until)
        && since >= until
    {
        let message = format!("the time ends ({until}) before it begins ({since}): give --since the earlier one");
        return Err(Exit::new(Reason::Usage, message));
    }
    let files = open_journal(config)?;
    let query = Query { files: &files, selection, frames: arguments.frames, output: options.output };
    let exported = match &arguments.out {
        None => query.export(&mut out, &mut |_, _, _| Ok(())).map_err(export_exit)?,
        Some(dir) => {
            let (exported, finished) = query.fill_folder(dir, arguments, &roster(config)?, now)?;
            if let Some(Finished { manifest, sha256, files }) = finished {
                let names = ["manifest", "sha256", "files", "frames", "lines", "chains"];
                let values = [
                    manifest.display().to_string().into(),
                    sha256.into(),
                    files.into(),
                    exported.frames.into(),
                    exported.lines.into(),
                    exported.chains.len().into(),
                ];
                card::print(&mut out, options.output, &names, values)?;
            }
            exported
        }
    };
    out.flush()?;
    if exported.truncated > 0 {
        tracing::warn!(lines = exported.truncated, "lines were longer than max_line_bytes: the agent had cut them");
    }
    conclude(arguments, &exported)
}

fn export_exit(error: ExportError) -> Exit {
    match error {
        ExportError::Journal(error) => offline_exit(&error),
        ExportError::Write(error) => Exit::from(error),
    }
}

/// What is asked for, and in which form.
struct Query<'a> {
    files: &'a JournalFiles,
    selection: Selection,
    frames: bool,
    output: Output,
}

impl Query<'_> {
    /// Writes everything to `out`; of frames `note` is told how they came and where they stand there.
    fn export(
        &self,
        out: &mut dyn Write,
        note: &mut dyn FnMut(&Wrap, &Frame, u64) -> io::Result<()>,
    ) -> Result<Exported, ExportError> {
        if self.frames {
            let mut offset = 0;
            return self.files.export_frames(&self.selection, &mut |wrap, frame| {
                out.write_all(frame.bytes())?;
                note(wrap, frame, offset)?;
                offset += frame.bytes().len() as u64;
                Ok(())
            });
        }
        if self.output != Output::Table {
            return rows(self.files, &self.selection, self.output, out);
        }
        self.files.export(&self.selection, &mut |line| {
            out.write_all(line.line.bytes)?;
            out.write_all(line.terminator())
        })
    }

    /// Writes everything into a folder; without a manifest when the one record that was asked for is not there.
    fn fill_folder(
        &self,
        dir: &Path,
        arguments: &ExportArgs,
        book: &Book,
        now: Timestamp,
    ) -> Result<(Exported, Option<Finished>), Exit> {
        let refused = |error: io::Error| {
            Exit::new(Reason::CannotCreate, format_args!("cannot export into {}: {error}", dir.display()))
        };
        let mut parcel = Parcel::create(dir).map_err(refused)?;
        let name = match (self.frames, self.output) {
            (true, _) => "frames.bin",
            (false, Output::Table) => "lines.raw",
            (false, Output::Json) => "lines.json",
            (false, Output::Ndjson) => "lines.ndjson",
        };
        let mut data = parcel.begin(name).map_err(refused)?;
        let mut index = if self.frames { Some(parcel.begin("frames.ndjson").map_err(refused)?) } else { None };
        let exported = self.export(&mut data, &mut |wrap, frame, offset| match &mut index {
            Some(index) => writeln!(index, "{}", how_it_came(wrap, frame, offset)),
            None => Ok(()),
        });
        let exported = exported.map_err(export_exit)?;
        if arguments.uid.is_some() && found(arguments, &exported) == 0 {
            return Ok((exported, None));
        }
        parcel.end(data).map_err(refused)?;
        index.map_or(Ok(()), |index| parcel.end(index)).map_err(refused)?;
        let manifest = self.manifest(&exported, book, now);
        let finished = parcel.finish(manifest).map_err(refused)?;
        Ok((exported, Some(finished)))
    }

    /// What was asked for, of what, by what, when, and what came of it; the files are the parcel's to add.
    fn manifest(&self, exported: &Exported, book: &Book, now: Timestamp) -> Value {
        let Selection { uid, agent, since, until } = self.selection;
        let form = if self.frames { "frames" } else { "lines" };
        let chains: Vec<Value> =
            exported.chains.iter().map(|(chain, range)| chain_entry(*chain, range, book)).collect();
        json!({
            "manifest_version": MANIFEST_VERSION,
            "made_by": format!("{PROGRAM} {VERSION}"),
            "made_at": moment(now),
            "query": {
                "agent": agent.map(|agent| agent.to_string()),
                "received_since": moment_or_null(since),
                "received_until": moment_or_null(until),
                "uid": uid.map(|uid| uid.to_string()),
                "form": form,
            },
            "counts": {
                "frames": exported.frames,
                "lines": exported.lines,
                "lines_cut_by_the_agent": exported.truncated,
                "typed_records": exported.typed,
                "unreadable_frames": exported.unreadable,
                "damaged_ranges": exported.damaged,
            },
            "chains": chains,
        })
    }
}

/// A part of a chain in the manifest: `prev` is the head before its first frame, `head` the one behind its last.
fn chain_entry(chain: ChainId, range: &ChainRange, book: &Book) -> Value {
    let hostname = book.agent(chain.agent).map(|entry| entry.hostname.as_str());
    json!({
        "agent": chain.agent.to_string(),
        "hostname": hostname,
        "lane": chain.lane.name(),
        "epoch": chain.epoch.to_string(),
        "frames": range.frames,
        "first_sequence": range.first_sequence,
        "last_sequence": range.end.through,
        "first_record": range.first_record,
        "next_record": range.end.next_record,
        "first_position": range.positions.0,
        "last_position": range.positions.1,
        "first_received": moment(range.received.0),
        "last_received": moment(range.received.1),
        "prev": range.prev.to_string(),
        "head": range.end.head.to_string(),
        "unbroken": range.unbroken,
    })
}

/// A line of `frames.ndjson`.
fn how_it_came(wrap: &Wrap, frame: &Frame, offset: u64) -> Value {
    let header = frame.header();
    let kind = match header.kind {
        FrameKind::Data => "data",
        FrameKind::Loss => "loss",
        FrameKind::Genesis => "genesis",
    };
    json!({
        "offset": offset,
        "bytes": frame.bytes().len(),
        "position": wrap.position,
        "received_at": moment(wrap.received.at),
        "peer": wrap.received.peer.to_string(),
        "certificate_serial": HEXLOWER.encode(&wrap.received.serial),
        "agent": header.chain.agent.to_string(),
        "lane": header.chain.lane.name(),
        "epoch": header.chain.epoch.to_string(),
        "kind": kind,
        "sequence": header.sequence,
        "span": header.span,
        "first_record": header.first_record,
        "records": header.records,
        "sealed_at": moment(header.sealed_at),
        "prev": header.prev.to_string(),
        "hash": frame.hash().to_string(),
    })
}

fn rows(files: &JournalFiles, selection: &Selection, output: Output, out: impl Write) -> Result<Exported, ExportError> {
    let columns = ["uid", "agent", "log_name", "offset", "read_at", "full_size", "raw", "raw_base64"];
    let mut table = Table::new(out, output, &columns);
    let exported = files.export(selection, &mut |exported| {
        let ExportedLine { uid, log_name, read_at, line } = exported;
        let (raw, raw_base64) = match str::from_utf8(line.bytes) {
            Ok(text) => (text.into(), Value::Null),
            Err(_) => (Value::Null, BASE64.encode(line.bytes).into()),
        };
        table.row([
            uid.to_string().into(),
            uid.chain.agent.to_string().into(),
            (*log_name).into(),
            line.offset.into(),
            moment(*read_at),
            line.full_size.into(),
            raw,
            raw_base64,
        ])
    })?;
    table.finish()?;
    Ok(exported)
}

/// How much came of what was asked for.
fn found(arguments: &ExportArgs, exported: &Exported) -> u64 {
    if arguments.frames { exported.frames } else { exported.lines }
}

/// What was asked for and is not there, and what does not read back.
fn conclude(arguments: &ExportArgs, exported: &Exported) -> Result<(), Exit> {
    if let Some(uid) = arguments.uid.filter(|_| found(arguments, exported) == 0) {
        let why = match exported.lost {
            Some(reason) => format!("the agent lost it ({})", reason.name()),
            None if exported.typed > 0 => "it is no line but a typed record: export its frame with --frames".to_owned(),
            None if exported.unreadable > 0 => "its frame does not open; export that with --frames".to_owned(),
            None => "it is not in the journal: never received, or older than what is kept; see `gaps`".to_owned(),
        };
        return Err(Exit::new(Reason::Data, format_args!("there is no line of {uid}: {why}")));
    }
    if exported.damaged + exported.unreadable > 0 {
        let message = format!(
            "{} ranges of the journal do not read back and {} frames do not open: run `picket-aggregator journal verify`",
            exported.damaged, exported.unreadable
        );
        return Err(Exit::new(Reason::Data, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
