//! `spool stat|ls|dump|verify`: what lies in the spool, read from its files; an agent may run meanwhile or not.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};
use shared::batch::Body;
use shared::check::Outcome;
use shared::durable::Writer;
use shared::exit::{Exit, Reason};
use shared::identity::Lane;
use shared::owner::may_write_in;
use shared::table::{Output, Table};

use super::plain;
use crate::app;
use crate::cli::{LaneArgs, Options, SpoolCommand};
use crate::config::{self, Config};
use crate::handover::flag;
use crate::spool::offline::{self, EpochStat, FrameRow, LaneStat, OfflineError, SpooledRecord};
use crate::spool::{Rebuilt, rebuild_index};

impl From<OfflineError> for Exit {
    fn from(error: OfflineError) -> Self {
        match error {
            OfflineError::Output(error) => error.into(),
            other => Self::new(Reason::Io, other),
        }
    }
}

/// Does what the command says.
///
/// # Errors
/// Exit code 65 when something does not read as it was written, 74 when there is no spool or it cannot be read, 78 for a wrong
/// configuration; the writer's.
pub fn run(options: &Options, command: &SpoolCommand, out: impl Write) -> Result<(), Exit> {
    let config = config::load(options.config_path())?.config;
    let spool = config.spool_dir();
    let output = options.rows()?;
    match command {
        SpoolCommand::Stat => stat(&spool, output, out),
        SpoolCommand::Ls(LaneArgs { lane }) => list(&spool, *lane, output, out),
        SpoolCommand::Dump(LaneArgs { lane }) => dump(&spool, *lane, output, out),
        SpoolCommand::Verify(arguments) => verify(&config, arguments.repair, output, out),
    }
}

fn stat(spool: &Path, output: Output, out: impl Write) -> Result<(), Exit> {
    let columns = [
        "lane",
        "bytes",
        "segments",
        "frames",
        "records",
        "unacked_frames",
        "observed",
        "excluded",
        "spooled",
        "acked",
        "lost",
        "checkpoints",
        "clean",
        "epochs",
    ];
    let mut table = Table::new(out, output, &columns);
    for lane in offline::stat(spool)? {
        let [lost, epochs] = nested(&lane, output)?;
        table.row([
            lane.lane.name().into(),
            lane.bytes.into(),
            lane.segments.into(),
            lane.frames.into(),
            lane.records.into(),
            lane.unacked_frames.into(),
            lane.observed.into(),
            lane.excluded.into(),
            lane.spooled.into(),
            lane.acked.into(),
            lost,
            lane.checkpoints.into(),
            lane.clean.into(),
            epochs,
        ])?;
    }
    Ok(table.finish()?)
}

/// Losses and epochs: in words in a table, whole elsewhere.
fn nested(lane: &LaneStat, output: Output) -> Result<[Value; 2], Exit> {
    if output != Output::Table {
        let epochs = serde_json::to_value(&lane.epochs).map_err(|error| Exit::new(Reason::Internal, error))?;
        return Ok([json!(lane.lost), epochs]);
    }
    let lost: Vec<String> = lane.lost.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    let lost = if lost.is_empty() { Value::from(0) } else { lost.into() };
    let epochs: Vec<String> = lane.epochs.iter().map(epoch_in_words).collect();
    Ok([lost, epochs.into()])
}

fn epoch_in_words(epoch: &EpochStat) -> String {
    let last = epoch.next_sequence.saturating_sub(1);
    let mut words = format!("{} acked through {} of {last}", epoch.epoch, epoch.acked_through);
    for hole in &epoch.holes {
        let (reason, first, end) = (hole.reason.name(), hole.sequence, hole.end().saturating_sub(1));
        words += &format!(", {first} to {end} lost ({reason}, {} records)", hole.records);
    }
    words
}

fn list(spool: &Path, lane: Option<Lane>, output: Output, out: impl Write) -> Result<(), Exit> {
    let columns =
        ["lane", "epoch", "sequence", "kind", "first_record", "records", "sealed_at", "raw", "body", "acked", "lost"];
    let mut table = Table::new(out, output, &columns);
    offline::frames(spool, lane, &mut |frame: &FrameRow| {
        table.row([
            frame.lane.name().into(),
            frame.epoch.as_str().into(),
            frame.sequence.into(),
            frame.kind.into(),
            frame.first_record.into(),
            frame.records.into(),
            frame.sealed_at.to_string().into(),
            frame.raw.into(),
            frame.body.into(),
            frame.acked.into(),
            frame.lost.into(),
        ])
    })?;
    Ok(table.finish()?)
}

/// NDJSON unless an array is asked for.
fn dump(spool: &Path, lane: Option<Lane>, output: Output, out: impl Write) -> Result<(), Exit> {
    let output = if output == Output::Json { Output::Json } else { Output::Ndjson };
    let columns =
        ["uid", "lane", "source", "log_name", "read_at", "offset", "size", "flags", "raw", "raw_base64", "fields"];
    let mut table = Table::new(out, output, &columns);
    let unopened = offline::records(spool, lane, &mut |record| table.row(cells(record)))?;
    table.finish()?;
    if unopened.count == 0 {
        return Ok(());
    }
    let left = unopened.count - unopened.named.len() as u64;
    let more = if left > 0 { format!("\nand {left} more") } else { String::new() };
    Err(Exit::new(Reason::Data, format_args!("these do not open:\n{}{more}", unopened.named.join("\n"))))
}

fn cells(record: &SpooledRecord<'_>) -> [Value; 11] {
    let SpooledRecord { uid, origin, read_at, body } = record;
    let null = || Value::Null;
    let [offset, size, flags, raw, raw_base64, fields] = match body {
        Body::Line(line) => {
            let (text, base64) = match std::str::from_utf8(line.bytes) {
                Ok(text) => (text.into(), null()),
                Err(_) => (null(), data_encoding::BASE64.encode(line.bytes).into()),
            };
            let flags: Vec<&str> = flag::names(line.flags).collect();
            [line.offset.into(), line.full_size.into(), flags.into(), text, base64, null()]
        }
        Body::Typed(fields) => {
            let fields: Map<String, Value> =
                fields.iter().map(|(key, value)| ((*key).to_owned(), plain(value))).collect();
            [null(), null(), null(), null(), null(), fields.into()]
        }
    };
    [
        uid.to_string().into(),
        uid.chain.lane.name().into(),
        origin.source.as_str().into(),
        origin.log_name.as_str().into(),
        read_at.to_string().into(),
        offset,
        size,
        flags,
        raw,
        raw_base64,
        fields,
    ]
}

fn verify(config: &Config, repair: bool, output: Output, out: impl Write) -> Result<(), Exit> {
    // The lock is kept: no agent starts while the spool is read.
    let rebuilt = repair.then(|| rebuild(config)).transpose()?;
    let mut table = Table::new(out, output, &["lane", "outcome", "part", "detail"]);
    if let Some((_lock, Rebuilt { checkpoints, places })) = &rebuilt {
        let detail = format!("made anew from the segments: {checkpoints} checkpoints, {places} places of frames");
        table.row([Value::Null, "ok".into(), "index".into(), detail.into()])?;
    }
    let mut damaged = false;
    for finding in offline::verify(&config.spool_dir())? {
        damaged |= finding.outcome == Outcome::Fail;
        let lane = finding.lane.map_or(Value::Null, |lane| lane.name().into());
        table.row([lane, finding.outcome.name().into(), finding.part.into(), finding.detail.into()])?;
    }
    table.finish()?;
    if damaged { Err(Exit::silent(Reason::Data)) } else { Ok(()) }
}

/// Makes the index anew, with the lock that a running agent holds.
fn rebuild(config: &Config) -> Result<(std::fs::File, Rebuilt), Exit> {
    let cannot = |error: &dyn std::fmt::Display| Exit::new(Reason::CannotCreate, error);
    // A spool that is not there is not made, nor a lock for it.
    offline::glance(&config.spool_dir())?;
    may_write_in(&config.state_dir).map_err(|error| cannot(&error))?;
    let writer = Writer::for_owner_of(&config.state_dir).map_err(|error| cannot(&error))?;
    let lock = app::lock(&config.state_dir, &writer)
        .map_err(|exit| Exit::new(Reason::Unavailable, format_args!("{exit}; stop the agent before --repair")))?;
    let rebuilt = rebuild_index(&config.spool_dir())?;
    Ok((lock, rebuilt))
}

#[cfg(test)]
mod tests {
    use shared::batch::{HostContext, Origin};
    use shared::identity::AgentId;
    use shared::time::{Clock, Timestamp};

    use super::super::scratch::Scratch;
    use super::*;
    use crate::cli::SpoolVerifyArgs;
    use crate::handover::{Chunk, Lines, Outlet, SourceIndex};
    use crate::spool::{OnFull, Spool, SpoolConfig};

    /// An agent.yaml whose spool holds two lines, one of them no text, and the books of a clean stop.
    fn scratch(name: &str, form: &str) -> (Scratch, Options) {
        let scratch = Scratch::new(name);
        let options = scratch.agent("version: 1\naggregators: [a]\nstate_dir: s\n", form);
        let spool = Spool::start(
            SpoolConfig {
                dir: scratch.path("s/spool"),
                max_bytes: 32 << 20,
                on_full: [OnFull::Block; 3],
                agent: AgentId([7; 16]),
                machine_id: String::new(),
                host: HostContext::default(),
                utc_offset_minutes: || 0,
                sources: vec![Origin { source: "logs".into(), kind: "file".into(), ..Origin::default() }],
            },
            Clock::System,
        );
        let spool = spool.unwrap();
        let mut lines = Lines::default();
        lines.push("grüß\u{202e} dich".as_bytes(), 0, 14, flag::CRLF);
        lines.push(b"\xff\xfe", 16, 2_000, flag::TRUNCATED);
        let (source, read_at) = (SourceIndex(0), Timestamp::from_seconds(1));
        let chunk = Chunk { source, lane: Lane::High, read_at, log_name: "/l".into(), lines, checkpoint: None };
        spool.outlet().lines(chunk).unwrap();
        spool.stop();
        (scratch, options)
    }

    fn output(options: &Options, command: &SpoolCommand) -> (String, Result<(), Exit>) {
        let mut out = Vec::new();
        let result = run(options, command, &mut out);
        (String::from_utf8(out).unwrap(), result)
    }

    fn rows(text: &str) -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn stat_has_a_row_per_lane_and_nested_epochs_outside_tables() {
        let (_scratch, options) = scratch("spool-stat", "ndjson");
        let rows = rows(&output(&options, &SpoolCommand::Stat).0);
        assert_eq!(
            rows.iter().map(|row| row["lane"].as_str().unwrap()).collect::<Vec<_>>(),
            ["high", "normal", "bulk"]
        );
        assert_eq!(
            (&rows[0]["records"], &rows[0]["unacked_frames"], &rows[0]["observed"]),
            (&2.into(), &2.into(), &2.into())
        );
        assert_eq!((&rows[0]["epochs"][0]["next_sequence"], &rows[0]["clean"]), (&3.into(), &true.into()));
        let (_scratch, options) = scratch("spool-stat-table", "table");
        let (text, result) = output(&options, &SpoolCommand::Stat);
        assert!(result.is_ok() && text.starts_with("LANE ") && text.contains("acked through 0 of 2"), "{text}");
    }

    #[test]
    fn ls_has_a_row_per_frame() {
        let (_scratch, options) = scratch("spool-ls", "ndjson");
        let rows = rows(&output(&options, &SpoolCommand::Ls(LaneArgs { lane: Some(Lane::High) })).0);
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (&rows[0]["kind"], &rows[1]["kind"], &rows[1]["records"]),
            (&"genesis".into(), &"data".into(), &2.into())
        );
        assert_eq!((&rows[1]["acked"], &rows[1]["lost"]), (&false.into(), &Value::Null));
    }

    #[test]
    fn dump_is_ndjson_of_text_bytes_and_fields_without_control_characters() {
        let (_scratch, options) = scratch("spool-dump", "table");
        let (text, result) = output(&options, &SpoolCommand::Dump(LaneArgs { lane: None }));
        assert!(result.is_ok() && !text.contains('\u{202e}'), "{text}");
        let rows = rows(&text);
        let agent = AgentId([7; 16]).to_string();
        assert!(
            rows[0]["uid"].as_str().unwrap().starts_with(&agent)
                && rows[0]["uid"].as_str().unwrap().ends_with("-high-1")
        );
        assert_eq!((&rows[0]["raw"], &rows[0]["flags"]), (&"grüß\u{202e} dich".into(), &json!(["crlf"])));
        assert_eq!(
            (&rows[1]["raw"], &rows[1]["raw_base64"], &rows[1]["size"]),
            (&Value::Null, &"//4=".into(), &2_000.into())
        );
        assert_eq!(
            (&rows[1]["offset"], &rows[1]["log_name"], &rows[1]["source"]),
            (&16.into(), &"/l".into(), &"logs".into())
        );
        assert_eq!(rows[1]["read_at"], "1970-01-01T00:00:01.000Z");
        assert_eq!((&rows[2]["fields"]["picket.record"], &rows[2]["raw"]), (&"health".into(), &Value::Null));
    }

    #[test]
    fn verify_is_65_for_damage_only() {
        let (scratch, options) = scratch("spool-verify", "ndjson");
        let (text, result) = output(&options, &SpoolCommand::Verify(SpoolVerifyArgs::default()));
        assert!(result.is_ok() && rows(&text).iter().all(|row| row["outcome"] == "ok"), "{text}");
        let segment = scratch.path("s/spool/high/0000000000000000.seg");
        let mut bytes = std::fs::read(&segment).unwrap();
        bytes[100] ^= 1;
        std::fs::write(&segment, bytes).unwrap();
        let (text, result) = output(&options, &SpoolCommand::Verify(SpoolVerifyArgs::default()));
        let exit = result.unwrap_err();
        assert_eq!((exit.reason, exit.message), (Reason::Data, None));
        assert!(rows(&text).iter().any(|row| row["outcome"] == "fail" && row["lane"] == "high"), "{text}");
    }

    #[test]
    fn repair_makes_the_index_anew_and_is_refused_while_an_agent_has_the_lock() {
        let (scratch, options) = scratch("spool-repair", "ndjson");
        let repair = SpoolCommand::Verify(SpoolVerifyArgs { repair: true });
        std::fs::remove_dir_all(scratch.path("s/spool/index")).unwrap();
        let (text, result) = output(&options, &repair);
        assert!(result.is_ok(), "{text}");
        let row = &rows(&text)[0];
        assert!(row["part"] == "index" && row["detail"].as_str().unwrap().contains("made anew"), "{text}");
        assert!(scratch.path("s/spool/index").is_dir());
        let running = app::lock(&scratch.path("s"), &Writer::for_owner_of(&scratch.path("s")).unwrap()).unwrap();
        let exit = output(&options, &repair).1.unwrap_err();
        assert_eq!(exit.reason, Reason::Unavailable);
        assert!(exit.message.unwrap().contains("stop the agent before --repair"));
        drop(running);
        assert!(output(&options, &repair).1.is_ok());
    }

    #[test]
    fn missing_spool_is_74_and_prometheus_is_64() {
        let scratch = Scratch::new("spool-missing");
        let options = scratch.agent("version: 1\naggregators: [a]\nstate_dir: s\n", "table");
        let exit = output(&options, &SpoolCommand::Stat).1.unwrap_err();
        assert!(exit.reason == Reason::Io && exit.message.unwrap().starts_with("there is no spool at "));
        let options = scratch.agent("version: 1\naggregators: [a]\nstate_dir: s\n", "prometheus");
        assert_eq!(output(&options, &SpoolCommand::Stat).1.unwrap_err().reason, Reason::Usage);
    }

    #[test]
    fn every_value_of_a_field_has_a_plain_form() {
        use shared::record::Value as Field;
        let fields = Field::Map(vec![
            ("a".into(), Field::List(vec![Field::Null, Field::Bool(true), Field::I64(-1), Field::U64(u64::MAX)])),
            ("b".into(), Field::Bytes(vec![0xff])),
            ("c".into(), Field::Ip([192, 0, 2, 1].into())),
            ("d".into(), Field::Time(Timestamp::from_seconds(0))),
            ("e".into(), Field::F64(f64::NAN)),
            ("f".into(), Field::String("x".into())),
        ]);
        let expected = json!({
            "a": [null, true, -1, u64::MAX], "b": { "base64": "/w==" }, "c": "192.0.2.1",
            "d": "1970-01-01T00:00:00.000Z", "e": null, "f": "x",
        });
        assert_eq!(plain(&fields), expected);
    }
}
