//! `normalize`: raw lines in, OCSF events out, one JSON object a line: what the pipeline would make of them.
//!
//! Lines of a file carry its path as their log; times without a zone are read as UTC.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use shared::exit::{Exit, Reason};
use shared::time::Timestamp;

use crate::cli::NormalizeArgs;
use crate::config::{self, ParsersConfig};
use crate::normalize::Origin;
use crate::normalize::command::{NormalizeError, normalize};

/// Normalizes every line of the files, or of `input`; `configuration` may name parsers of users.
///
/// # Errors
/// Exit code 64 for a format that is not known, 78 for parsers with problems, 74 for a file that cannot be read, and the writer's.
pub fn run(
    configuration: Option<&Path>,
    arguments: &NormalizeArgs,
    now: Timestamp,
    mut input: impl BufRead,
    mut out: impl Write,
) -> Result<(), Exit> {
    let mut parsers = match configuration {
        Some(path) => config::load(path)?.config.parsers,
        None => ParsersConfig::default(),
    };
    parsers.paths.extend(arguments.parsers.iter().cloned());
    let parsers = parsers.load().map_err(|problems| Exit::new(Reason::Config, problems.join("\n")))?;
    let format = parsers.format(&arguments.format).map_err(|error| Exit::new(Reason::Usage, error))?;
    let stdin = [Path::new("-").to_path_buf()];
    let files = if arguments.files.is_empty() { &stdin[..] } else { &arguments.files };
    let mut first_record = 1;
    for path in files {
        let mut origin = Origin { format: format.clone(), source_name: "normalize".to_owned(), ..Origin::default() };
        let summary = if path == Path::new("-") {
            normalize(&mut input, &mut out, &origin, first_record, now)
        } else {
            origin.log_name = Some(path.display().to_string());
            let file = File::open(path).map_err(|error| unreadable(path, &error))?;
            normalize(BufReader::new(file), &mut out, &origin, first_record, now)
        };
        let summary = summary.map_err(|error| match error {
            NormalizeError::Read(error) => unreadable(path, &error),
            NormalizeError::Write(error) => Exit::from(error),
        })?;
        first_record += summary.lines;
        tracing::info!(
            file = %path.display(), lines = summary.lines, understood = summary.class,
            frame_only = summary.frame, kept_as_they_are = summary.nothing, "normalized"
        );
    }
    Ok(())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Exit {
    Exit::new(Reason::Io, format_args!("cannot read lines of {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::command::scratch::Scratch;

    fn normalized(files: &[&Path], format: &str, stdin: &[u8]) -> Result<Vec<Value>, Exit> {
        let files = files.iter().map(|path| path.to_path_buf()).collect();
        let (arguments, mut out) =
            (NormalizeArgs { format: format.to_owned(), parsers: Vec::new(), files }, Vec::new());
        run(None, &arguments, Timestamp::from_seconds(1_795_000_000), stdin, &mut out)?;
        let lines = out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok(lines.map(|line| serde_json::from_slice(line).unwrap()).collect())
    }

    #[test]
    fn files_and_standard_input_are_read_in_order_and_numbered_on() {
        let scratch = Scratch::new("normalize");
        scratch.file("a.log", "Dec 10 06:55:48 h sshd[1]: Connection closed by 192.0.2.1\nb\n");
        let file = scratch.dir.join("a.log");
        let events = normalized(&[&file, Path::new("-")], "auto", b"from stdin\n").unwrap();
        let raw: Vec<_> = events.iter().map(|event| event["raw_data"].as_str().unwrap()).collect();
        assert_eq!(raw[1..], ["b", "from stdin"]);
        assert_eq!(events[2]["metadata"]["sequence"], 3);
        assert_eq!(events[0]["metadata"]["log_name"], file.to_str().unwrap());
        assert_eq!(normalized(&[], "auto", b"x\ny\n").unwrap().len(), 2);
        assert_eq!(normalized(&[], "raw", b"").unwrap().len(), 0);
    }

    #[test]
    fn an_unknown_format_is_64_and_a_missing_file_74() {
        let exit = normalized(&[], "sylog", b"").unwrap_err();
        assert_eq!(exit.reason, Reason::Usage);
        assert!(exit.to_string().contains("syslog"), "{exit}");
        let exit = normalized(&[Path::new("/nonexistent/a.log")], "auto", b"").unwrap_err();
        assert_eq!(exit.reason, Reason::Io);
        assert!(exit.to_string().contains("/nonexistent/a.log"), "{exit}");
    }
}
