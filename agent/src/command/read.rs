//! `read FILE…`: what the file source would read, once, as NDJSON.

use std::fmt::Write as _;
use std::io::Write;

use shared::exit::{Exit, Reason};
use shared::limits::LINE_BYTES_DEFAULT;
use shared::table::Output;

use crate::cli::{Options, ReadArgs};
use crate::source::file::read::read;

/// Reads every file and prints its lines.
///
/// # Errors
/// Exit code 74 when a file could not be read to its end (the others were), 64 for a form that it does not have; the writer's.
pub fn run(options: &Options, arguments: &ReadArgs, mut out: impl Write) -> Result<(), Exit> {
    if options.rows()? == Output::Json {
        return Err(Exit::new(Reason::Usage, "read prints NDJSON: leave --output away"));
    }
    let summary = read(&arguments.files, LINE_BYTES_DEFAULT, &mut out)?;
    if summary.failed.is_empty() {
        return Ok(());
    }
    let mut message = String::new();
    for (path, error) in &summary.failed {
        let _ = writeln!(message, "cannot read {}: {error}", path.display());
    }
    Err(Exit::new(Reason::Io, message))
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;

    #[test]
    fn lines_of_readable_files_come_and_the_others_are_74() {
        let scratch = Scratch::new("read");
        scratch.file("a.log", "one\ntwo\n");
        let options = scratch.agent("", "table");
        let arguments = ReadArgs { files: vec![scratch.path("none.log"), scratch.path("a.log")] };
        let mut out = Vec::new();
        let exit = run(&options, &arguments, &mut out).unwrap_err();
        assert_eq!(exit.reason, Reason::Io);
        let message = exit.message.unwrap();
        assert!(message.starts_with(&format!("cannot read {}: ", scratch.path("none.log").display())), "{message}");
        let lines: Vec<serde_json::Value> =
            String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.iter().map(|line| line["line"].as_str().unwrap()).collect::<Vec<_>>(), ["one", "two"]);
    }

    #[test]
    fn an_array_is_refused() {
        let scratch = Scratch::new("read-json");
        let options = scratch.agent("", "json");
        let exit = run(&options, &ReadArgs { files: vec![scratch.path("agent.yaml")] }, Vec::new()).unwrap_err();
        assert_eq!(exit.reason, Reason::Usage);
    }
}
