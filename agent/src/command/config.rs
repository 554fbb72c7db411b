//! `config show`: every value in force on this host and where it came from: agent.yaml, the local fleet
//! file, the system, or a default.

use std::io::Write;

use shared::exit::Exit;
use shared::table::Table;
use shared::yaml::{Problem, Setting};

use crate::cli::Options;
use crate::config;

/// Prints the values (columns `key`, `value`, `origin`); what is doubtful goes to the log.
///
/// # Errors
/// Exit code 78 with every problem when a file is wrong, and the writer's.
pub fn show(options: &Options, out: impl Write) -> Result<(), Exit> {
    let mut table = Table::new(out, options.rows()?, &["key", "value", "origin"]);
    let agent = config::load(options.config_path())?;
    let fleet = agent.config.fleet.as_deref().map(|path| config::load_fleet(path, &agent.config)).transpose()?;
    let fleet_settings = fleet.iter().flat_map(|fleet| &fleet.settings);
    for Setting { path, value, origin } in agent.settings.iter().chain(fleet_settings) {
        table.row([path.as_str().into(), value.as_str().into(), origin.to_string().into()])?;
    }
    table.finish()?;
    let fleet_warnings = fleet.iter().flat_map(|fleet| &fleet.warnings);
    for Problem { file, place, message } in agent.warnings.iter().chain(fleet_warnings) {
        tracing::warn!("{file}:{place}: {message}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use shared::exit::Reason;

    use super::super::scratch::Scratch;
    use super::*;

    #[test]
    fn values_of_both_files_are_shown_with_their_lines() {
        let scratch = Scratch::new("config-show");
        scratch.file("fleet.yaml", "version: 1\ndefaults:\n  sources:\n    a: { type: file, include: [/x] }\n");
        let options = scratch.agent("version: 1\nfleet: fleet.yaml\nhostname: h\nstate_dir: s\n", "json");
        let mut out = Vec::new();
        show(&options, &mut out).unwrap();
        let rows: Vec<Value> = serde_json::from_slice(&out).unwrap();
        let origin =
            |key: &str| rows.iter().find(|row| row["key"] == key).map(|row| row["origin"].as_str().unwrap().to_owned());
        assert_eq!(origin("hostname"), Some(format!("{}:3:11", scratch.path("agent.yaml").display())));
        assert_eq!(origin("sources.a.include"), Some(format!("{}:4:31", scratch.path("fleet.yaml").display())));
        assert_eq!(origin("spool.max_bytes").as_deref(), Some("default"));
    }

    #[test]
    fn a_wrong_file_is_78_and_prints_no_half_configuration() {
        let scratch = Scratch::new("config-show-wrong");
        let options = scratch.agent("version: 1\nfleet: missing.yaml\n", "table");
        let mut out = Vec::new();
        let exit = show(&options, &mut out).unwrap_err();
        assert_eq!((exit.reason, out.len()), (Reason::Config, 0));
        assert!(exit.message.unwrap().contains("missing.yaml"));
    }
}
