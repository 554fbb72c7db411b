//! `picket-aggregator normalize`: raw lines in, OCSF NDJSON out.
//!
//! In: a reader of lines and an [`Origin`] that stands for their frame. Out: one event a line, in order, and
//! a count of how much was understood; what several lines say together is one event, where the last of them stands, or at the
//! end. A line longer than [`LINE_BYTES_MAX`] is cut and flagged, as the agent
//! would; the last line needs no line end.

use std::io::{self, BufRead, Write};

use shared::identity::{ChainId, Epoch, EventId, Lane};
use shared::time::Timestamp;

use super::join::{Group, Joiner, Part};
use super::{Line, Origin, Understood};
use crate::event::{Event, Field, json};

/// The agent's largest `max_line_bytes`.
pub const LINE_BYTES_MAX: usize = 512 * 1024;

/// What stopped the command.
#[derive(Debug, thiserror::Error)]
pub enum NormalizeError {
    /// The lines could not be read.
    #[error("cannot read lines: {0}")]
    Read(#[source] io::Error),
    /// The events could not be written; a closed pipe ends here too.
    #[error("cannot write events: {0}")]
    Write(#[source] io::Error),
}

/// How many lines there were and how much of them was understood.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Summary {
    /// Lines read.
    pub lines: u64,
    /// Events written: fewer, where several were one.
    pub events: u64,
    /// Lines with a class of their own.
    pub class: u64,
    /// Lines whose frame alone was read.
    pub frame: u64,
    /// Lines of which nothing was read.
    pub nothing: u64,
}

/// Normalizes every line of `input`; the first event's record number is `first_record`, `now` stands for
/// the times of reading, receiving and processing.
///
/// # Errors
/// When reading or writing fails; events written before stay written.
pub fn normalize(
    mut input: impl BufRead,
    mut output: impl Write,
    origin: &Origin,
    first_record: u64,
    now: Timestamp,
) -> Result<Summary, NormalizeError> {
    let chain = ChainId { agent: origin.agent, lane: Lane::Normal, epoch: Epoch(0) };
    let fields = origin.fields();
    let mut writer = Writer { output: &mut output, out: String::new(), summary: Summary::default() };
    let (mut buffer, mut joiner, mut lines) = (Vec::new(), Joiner::default(), 0);
    while let Some(full_size) = read_line(&mut input, &mut buffer).map_err(NormalizeError::Read)? {
        let id = EventId { chain, record: first_record.saturating_add(lines), part: 0 };
        let cut = (full_size > buffer.len() as u64).then_some(full_size);
        let line = Line { raw: &buffer, read_at: now, received_at: now, full_size: cut };
        let part = Part { id, line, redacted: false };
        lines += 1;
        let join = &mut |group: &Group<()>| writer.group(group, origin, &fields, now);
        if origin.format.joins() && joiner.offer(&part, &(), join)? {
            continue;
        }
        let mut event = Event::new(id, now, now);
        event.shared = &fields;
        let understood = super::line(&part.line, origin, now, &mut event);
        writer.event(&event, 1, understood)?;
    }
    joiner.flush(&mut |group| writer.group(group, origin, &fields, now))?;
    let summary = Summary { lines, ..writer.summary };
    output.flush().map_err(NormalizeError::Write)?;
    Ok(summary)
}

/// Writes events and counts.
struct Writer<'w, W> {
    output: &'w mut W,
    out: String,
    summary: Summary,
}

impl<W: Write> Writer<'_, W> {
    fn group(
        &mut self,
        group: &Group<()>,
        origin: &Origin,
        fields: &[Field<'static>],
        now: Timestamp,
    ) -> Result<(), NormalizeError> {
        let mut event = Event::new(group.id, now, now);
        event.shared = fields;
        let understood = group.read(origin, now, &mut event);
        self.event(&event, group.lines() as u64, understood)
    }

    /// Writes an event that so many lines became.
    fn event(&mut self, event: &Event<'_>, lines: u64, understood: Understood) -> Result<(), NormalizeError> {
        self.summary.events += 1;
        match understood {
            Understood::Class => self.summary.class += lines,
            Understood::Frame => self.summary.frame += lines,
            Understood::Nothing => self.summary.nothing += lines,
        }
        self.out.clear();
        json::write(event, &mut self.out);
        self.out.push('\n');
        self.output.write_all(self.out.as_bytes()).map_err(NormalizeError::Write)
    }
}

/// The next line without its end, at most [`LINE_BYTES_MAX`] of it, and its full size; none at the end.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<u64>> {
    line.clear();
    let mut size = 0_u64;
    loop {
        let available = match input.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            return Ok((size > 0).then_some(size));
        }
        let end = memchr::memchr(b'\n', available);
        let part = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
        let room = LINE_BYTES_MAX.saturating_sub(line.len()).min(part.len());
        line.extend_from_slice(part.get(..room).unwrap_or_default());
        size += part.len() as u64;
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            return Ok(Some(size));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(input: &[u8]) -> (Summary, Vec<serde_json::Value>) {
        let mut output = Vec::new();
        let summary = normalize(input, &mut output, &Origin::default(), 1, Timestamp::from_seconds(1)).unwrap();
        let lines = output.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        (summary, lines.map(|line| serde_json::from_slice(line).unwrap()).collect())
    }

    #[test]
    fn every_line_becomes_one_event_in_order() {
        let (summary, events) =
            run(b"{\"msg\":\"a\"}\n\nb\r\nDec 10 06:55:48 h sshd[1]: Connection closed by 192.0.2.1");
        assert_eq!(summary, Summary { lines: 4, events: 4, class: 1, frame: 1, nothing: 2 });
        let raw: Vec<_> = events.iter().map(|event| event["raw_data"].as_str().unwrap()).collect();
        assert_eq!(raw, ["{\"msg\":\"a\"}", "", "b\r", "Dec 10 06:55:48 h sshd[1]: Connection closed by 192.0.2.1"]);
        assert_eq!(events[3]["metadata"]["sequence"], 4);
    }

    #[test]
    fn records_of_one_audit_event_become_one_event() {
        let lines = [
            "type=SYSCALL msg=audit(1.000:7): arch=c000003e syscall=59 success=yes exit=0 ppid=1 pid=9 uid=0 comm=\"id\"",
            "text",
            "type=EXECVE msg=audit(1.000:7): argc=2 a0=\"id\" a1=\"-u\"",
            "type=CWD msg=audit(1.000:8): cwd=\"/\"",
            "type=PROCTITLE msg=audit(1.000:7): proctitle=6964002D75",
        ];
        let (summary, events) = run(lines.join("\n").as_bytes());
        assert_eq!(summary, Summary { lines: 5, events: 3, class: 4, frame: 0, nothing: 1 });
        assert_eq!(events[1]["process"]["cmd_line"], "id -u");
        assert_eq!(events[1]["metadata"]["sequence"], 1);
        assert_eq!(events[1]["raw_data"], [lines[0], lines[2], lines[4]].join("\n"));
        assert_eq!(events[1]["raw_data_size"], lines[0].len() + lines[2].len() + lines[4].len());
        assert_eq!(events[2]["raw_data"], lines[3]);
    }

    #[test]
    fn a_long_line_is_cut_and_flagged() {
        let (summary, events) = run(&[vec![b'x'; LINE_BYTES_MAX + 1], b"\ny".to_vec()].concat());
        assert_eq!(summary.lines, 2);
        assert_eq!(events[0]["raw_data_size"], LINE_BYTES_MAX);
        assert_eq!(events[0]["metadata"]["is_truncated"], true);
        assert_eq!(events[0]["metadata"]["untruncated_size"], LINE_BYTES_MAX + 1);
        assert_eq!(events[1]["raw_data"], "y");
    }
}
