//! `validate`: everything that can be known to be wrong before the aggregator runs; with `--host`, what that
//! host would get from the fleet file.
//!
//! What stands beside the configuration is looked at in `checks`, one function a thing.

mod checks;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use shared::check::{Checks, Outcome};
use shared::exit::{Exit, Reason};
use shared::fleet::{Fleet, HostFacts};
use shared::table::Table;
use shared::time::Timestamp;
use shared::yaml::{Problem, Setting};

use crate::cli::{Label, Options, ValidateArgs};
use crate::config;

/// Prints every finding; or, if nothing failed and a host is named, what it would get.
///
/// # Errors
/// Exit code 78 when a check failed, 64 when a host is named and there is no fleet file, and the writer's.
pub fn run(options: &Options, arguments: &ValidateArgs, now: Timestamp, out: impl Write) -> Result<(), Exit> {
    let (checks, fleet) = look(options, arguments, now);
    match (&arguments.host, fleet) {
        (Some(name), Some(fleet)) if checks.passed() => show_host(options, arguments, name, &fleet, out),
        (Some(_), None) if checks.passed() => {
            Err(Exit::new(Reason::Usage, "--host needs a fleet file: name it with --fleet, or in aggregator.yaml"))
        }
        _ => checks.conclude(out, options.output),
    }
}

/// Every finding, and the fleet file if there is a good one.
fn look(options: &Options, arguments: &ValidateArgs, now: Timestamp) -> (Checks, Option<Fleet>) {
    let mut checks = Checks::default();
    let mut fleet_path = arguments.fleet.clone();
    if fleet_path.is_none() || options.config.is_some() {
        match config::load(options.config_path()) {
            Ok(loaded) => {
                let fine = options.config_path().display().to_string();
                checks.push_all("config", Outcome::Warn, &loaded.warnings, &fine);
                // What a host would get depends on the files alone.
                for check in checks::CHECKS.iter().filter(|_| arguments.host.is_none()) {
                    check(&loaded.config, now, &mut checks);
                }
                fleet_path = fleet_path.or(loaded.config.fleet);
            }
            Err(error) => checks.push_all("config", Outcome::Fail, &error.sentences(), ""),
        }
    }
    let fleet = fleet_path.and_then(|path| fleet(&path, &mut checks));
    (checks, fleet)
}

/// Reads the fleet file; what some host would be warned of is a warning.
fn fleet(path: &Path, checks: &mut Checks) -> Option<Fleet> {
    match config::load_fleet(path) {
        Ok(fleet) => {
            checks.push_all("fleet", Outcome::Warn, fleet.warnings(), &path.display().to_string());
            Some(fleet)
        }
        Err(error) => {
            checks.push_all("fleet", Outcome::Fail, &error.sentences(), "");
            None
        }
    }
}

/// Prints what a host would get (columns `key`, `value`, `origin`); its groups come first.
fn show_host(
    options: &Options,
    arguments: &ValidateArgs,
    name: &str,
    fleet: &Fleet,
    out: impl Write,
) -> Result<(), Exit> {
    let host = HostFacts {
        hostname: name.to_owned(),
        claimed: labels(&arguments.labels),
        granted: labels(&arguments.granted),
    };
    let loaded = fleet.resolve(&host).map_err(|problems| Exit::new(Reason::Config, problems))?;
    let mut table = Table::new(out, options.output, &["key", "value", "origin"]);
    table.row(["groups".into(), format!("[{}]", loaded.config.groups.join(", ")).into(), "match".into()])?;
    for Setting { path, value, origin } in &loaded.settings {
        table.row([path.as_str().into(), value.as_str().into(), origin.to_string().into()])?;
    }
    table.finish()?;
    for Problem { file, place, message } in &loaded.warnings {
        tracing::warn!("{file}:{place}: {message}");
    }
    Ok(())
}

fn labels(labels: &[Label]) -> BTreeMap<String, String> {
    labels.iter().map(|label| (label.key.clone(), label.value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::command::scratch::Scratch;

    const FLEET: &str = "version: 1\ndefaults:\n  sources: { a: { type: file, include: [/x] } }\ngroups:\n  \
        - { name: web, match: { labels: { role: web } }, sources: { a: { lane: high } } }\n";

    fn scratch(name: &str, files: &[(&str, &str)]) -> Scratch {
        let scratch = Scratch::new(&format!("validate-{name}"));
        files.iter().for_each(|(file, text)| scratch.file(file, text));
        scratch
    }

    /// Rows and exit of `validate` with these arguments.
    fn validate(scratch: &Scratch, line: &str) -> (Vec<Value>, Result<(), Exit>) {
        let (out, result) = scratch.output(&format!("validate --output json {line}"));
        (serde_json::from_slice(&out).unwrap_or_default(), result)
    }

    #[test]
    fn problems_of_both_files_are_listed_and_exit_78() {
        let files = [("aggregator.yaml", "version: 1\nfleet: f.yaml\n"), ("f.yaml", "version: 1\nx: 1\ny: 2\n")];
        let scratch = scratch("both", &files);
        let (rows, result) = validate(&scratch, "-c DIR/aggregator.yaml");
        assert_eq!(
            rows.iter().filter(|row| row["check"] == "fleet" && row["outcome"] == "fail").count(),
            2,
            "{rows:?}"
        );
        assert_eq!(result.unwrap_err().reason, Reason::Config);
    }

    #[test]
    fn five_mistakes_are_five_rows() {
        let yaml = "version: 0\nlisten: x\nhttp: y\nreduce: [{ drop: {} }]\njournal: { retain: 1 }\n";
        let (rows, result) = validate(&scratch("five", &[("a.yaml", yaml)]), "-c DIR/a.yaml");
        assert_eq!(rows.len(), 5, "{rows:?}");
        assert_eq!(result.unwrap_err().reason, Reason::Config);
    }

    #[test]
    fn a_fleet_file_is_checked_alone_and_beside_a_configuration() {
        let scratch = scratch("alone", &[("f.yaml", FLEET), ("bad.yaml", "version: 2\n")]);
        let (rows, result) = validate(&scratch, "--fleet DIR/f.yaml");
        assert_eq!((rows.len(), rows[0]["check"].as_str(), result.is_ok()), (1, Some("fleet"), true));
        let (rows, result) = validate(&scratch, "--fleet DIR/f.yaml -c DIR/bad.yaml");
        assert_eq!((rows.len(), result.is_ok()), (2, false), "{rows:?}");
    }

    #[test]
    fn a_host_is_shown_what_it_would_get_and_from_which_line() {
        let scratch = scratch("host", &[("f.yaml", FLEET)]);
        let value = |rows: &[Value], key: &str| {
            let row = rows.iter().find(|row| row["key"] == key).unwrap();
            (row["value"].as_str().unwrap().to_owned(), row["origin"].as_str().unwrap().to_owned())
        };
        let (rows, result) = validate(&scratch, "--fleet DIR/f.yaml --host h --label role=web");
        assert!(result.is_ok());
        let (lane, origin) = value(&rows, "sources.a.lane");
        assert_eq!(lane, "high");
        assert!(origin.ends_with("f.yaml:5:74"), "{origin}");
        assert_eq!(value(&rows, "groups").0, "[web]");
        let (rows, _) = validate(&scratch, "--fleet DIR/f.yaml --host h");
        assert_eq!(value(&rows, "sources.a.lane"), ("normal".to_owned(), "default".to_owned()));
    }

    #[test]
    fn a_host_without_a_fleet_file_is_a_wrong_command_line() {
        let scratch = scratch("nofleet", &[("a.yaml", "version: 1\n")]);
        let (rows, result) = validate(&scratch, "-c DIR/a.yaml --host h");
        assert_eq!((rows.len(), result.unwrap_err().reason), (0, Reason::Usage));
    }
}
