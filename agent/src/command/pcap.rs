//! `pcap FILE…`: the network records of capture files, as NDJSON with flat keys.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value as Json};
use shared::exit::{Exit, Reason};
use shared::table::Output;

use super::plain;
use crate::cli::{Options, PcapArgs};
use crate::source::packet::dissect::Told;
use crate::source::packet::file::{CaptureError, CaptureFile};
use crate::source::packet::flow::Settings;
use crate::source::packet::meter::{Meter, fields};

/// Reads every file and prints its records.
///
/// # Errors
/// Exit code 74 for a file that could not be read, 65 for one that is damaged or no capture (the others were read, and
/// the damaged one up to its damage), 64 for a form that it does not have; the writer's.
pub fn run(options: &Options, arguments: &PcapArgs, mut out: impl Write) -> Result<(), Exit> {
    if options.rows()? == Output::Json {
        return Err(Exit::new(Reason::Usage, "pcap prints NDJSON: leave --output away"));
    }
    let (mut message, mut reason) = (String::new(), None);
    for path in &arguments.files {
        if let Err(error) = capture(path, &mut out)? {
            let _ = writeln!(message, "{}: {error}", path.display());
            let worse = if matches!(error, CaptureError::Read(_)) { Reason::Io } else { Reason::Data };
            reason = Some(if reason == Some(Reason::Io) { Reason::Io } else { worse });
        }
    }
    out.flush()?;
    reason.map_or(Ok(()), |reason| Err(Exit::new(reason, message.trim_end())))
}

/// The outer error is of `out`, the inner of the file.
fn capture(path: &Path, out: &mut impl Write) -> io::Result<Result<(), CaptureError>> {
    let opened = File::open(path).map_err(CaptureError::Read).and_then(CaptureFile::open);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) => return Ok(Err(error)),
    };
    let mut meter = Meter::new(Settings::default());
    let mut written = Ok(());
    let mut put = |told: Told| {
        if written.is_ok() {
            written = line(told, out);
        }
    };
    let ended = loop {
        match file.next_frame() {
            Ok(Some(captured)) => {
                meter.frame(captured.link, captured.at, captured.bytes, captured.wire_len, &mut put);
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    meter.finish(&mut put);
    written?;
    if file.truncated() {
        tracing::warn!(path = %path.display(), "the capture file ends within a frame");
    }
    let evicted = meter.take_evicted();
    if evicted.flows + evicted.conversations > 0 {
        tracing::warn!(
            path = %path.display(), flows = evicted.flows, untold = evicted.untold,
            conversations = evicted.conversations, "flows went before their time: the table was full"
        );
    }
    Ok(ended)
}

fn line(told: Told, out: &mut impl Write) -> io::Result<()> {
    let object: Map<String, Json> = fields(told).iter().map(|(key, value)| (key.clone(), plain(value))).collect();
    serde_json::to_writer(&mut *out, &object)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;

    /// A capture of one UDP datagram: libpcap's format, microseconds, Ethernet.
    fn capture_file() -> Vec<u8> {
        let mut file = Vec::new();
        file.extend(0xa1b2_c3d4_u32.to_le_bytes());
        file.extend([2, 0, 4, 0]);
        for word in [0_u32, 0, 65_535, 1, 1_700_000_000, 5, 47, 47] {
            file.extend(word.to_le_bytes());
        }
        file.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        file.extend([0x45, 0, 0, 33, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
        file.extend([0x9c, 0x40, 0, 9, 0, 13, 0, 0]);
        file.extend(b"hello");
        file
    }

    #[test]
    fn flows_of_a_capture_are_objects_with_flat_keys_and_what_is_no_capture_is_65() {
        let scratch = Scratch::new("pcap");
        std::fs::write(scratch.path("a.pcap"), capture_file()).unwrap();
        scratch.file("b.pcap", "no capture");
        let options = scratch.agent("", "table");
        let arguments = PcapArgs { files: vec![scratch.path("b.pcap"), scratch.path("a.pcap")] };
        let mut out = Vec::new();
        let exit = run(&options, &arguments, &mut out).unwrap_err();
        assert_eq!(exit.reason, Reason::Data);
        assert!(exit.message.unwrap().contains("b.pcap: not a pcap or pcapng file"));
        let flow: Json = serde_json::from_slice(&out).unwrap();
        assert_eq!((&flow["class_uid"], &flow["src_endpoint.ip"]), (&4001.into(), &"192.0.2.1".into()));
        assert_eq!((&flow["traffic.bytes_out"], &flow["dst_endpoint.port"]), (&33.into(), &9.into()));
    }
}
