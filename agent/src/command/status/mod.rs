//! `status`: how the running agent is. Text says first whether it is well and, if not, what to do; the other forms carry all of
//! the report: one JSON object (`json`, `ndjson`) or metrics (`prometheus`).

mod prometheus;
mod text;

use std::io::Write;

use shared::exit::{Exit, Reason};
use shared::table::json;

use crate::admin::{self, AskError, StatusReport};
use crate::cli::{Options, OutputForm};
use crate::config;

/// Asks and prints.
///
/// # Errors
/// Exit code 69 when no agent answers, 65 when its answer is not understood, 78 for a wrong configuration; the writer's.
pub fn run(options: &Options, out: impl Write) -> Result<(), Exit> {
    let config = config::load(options.config_path())?.config;
    let report = admin::ask(&config.socket).map_err(|error| {
        let reason = if matches!(error, AskError::Unreadable(_)) { Reason::Data } else { Reason::Unavailable };
        Exit::new(reason, error)
    })?;
    print(&report, options.output, out)
}

fn print(report: &StatusReport, form: OutputForm, mut out: impl Write) -> Result<(), Exit> {
    match form {
        OutputForm::Table => {
            // In one piece: a reader that has enough after three lines (`| head`) makes no failure of it.
            let mut page = Vec::new();
            text::print(report, &mut page)?;
            out.write_all(&page)?;
        }
        OutputForm::Prometheus => out.write_all(prometheus::page(report).as_bytes())?,
        OutputForm::Json | OutputForm::Ndjson => {
            let value = serde_json::to_value(report).map_err(|error| Exit::new(Reason::Internal, error))?;
            writeln!(out, "{}", json(&value))?;
        }
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;
    use crate::admin::tests::report;

    #[test]
    fn no_agent_is_69_and_says_how_to_start_one() {
        let scratch = Scratch::new("status-none");
        let options = scratch.agent("version: 1\naggregators: [a]\nstate_dir: s\n", "table");
        let exit = run(&options, Vec::new()).unwrap_err();
        assert_eq!(exit.reason, Reason::Unavailable);
        let message = exit.message.unwrap();
        assert!(message.contains("s/agent.sock") && message.contains("picket-agent run"), "{message}");
    }

    #[test]
    fn json_is_the_report_on_one_line() {
        for form in [OutputForm::Json, OutputForm::Ndjson] {
            let mut out = Vec::new();
            print(&report(), form, &mut out).unwrap();
            assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
            assert_eq!(serde_json::from_slice::<StatusReport>(&out).unwrap(), report());
        }
    }

    #[test]
    fn a_reader_that_leaves_after_its_first_read_makes_no_failure_of_it() {
        struct Leaving(bool);
        impl Write for Leaving {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                if std::mem::replace(&mut self.0, true) {
                    return Err(std::io::ErrorKind::BrokenPipe.into());
                }
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        print(&report(), OutputForm::Table, std::io::BufWriter::new(Leaving(false))).unwrap();
    }
}
