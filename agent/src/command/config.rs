//! `config show` and `config diff`: the values in force on this host and where they came from: agent.yaml, the local fleet
//! file or what the aggregator handed out last, the system, or a default.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use shared::exit::{Exit, Reason};
use shared::fleet::document::Document;
use shared::identity::AgentId;
use shared::table::Table;
use shared::yaml::{Origin, Problem, Setting};

use crate::cli::Options;
use crate::{config, steering};

/// Prints the values (columns `key`, `value`, `origin`); what is doubtful goes to the log.
///
/// # Errors
/// Exit code 78 with every problem when a file is wrong, and the writer's.
pub fn show(options: &Options, out: impl Write) -> Result<(), Exit> {
    let mut table = Table::new(out, options.rows()?, &["key", "value", "origin"]);
    for Setting { path, value, origin } in in_force(options)? {
        table.row([path.as_str().into(), value.as_str().into(), origin.to_string().into()])?;
    }
    Ok(table.finish()?)
}

/// Prints the values that were set and are not what they would be otherwise (columns `key`, `value`, `default`, `origin`); what is
/// set and has no default has an empty one.
///
/// # Errors
/// As of [`show`].
pub fn diff(options: &Options, out: impl Write) -> Result<(), Exit> {
    let mut table = Table::new(out, options.rows()?, &["key", "value", "default", "origin"]);
    let defaults = defaults();
    for Setting { path, value, origin } in in_force(options)? {
        let default = defaults.get(&path).map_or("", String::as_str);
        if matches!(origin, Origin::File(..) | Origin::Aggregator) && value != default {
            table.row([path.as_str().into(), value.as_str().into(), default.into(), origin.to_string().into()])?;
        }
    }
    Ok(table.finish()?)
}

/// Every value in force; warnings of the files go to the log.
fn in_force(options: &Options) -> Result<Vec<Setting>, Exit> {
    let agent = config::load(options.config_path())?;
    let (fleet_settings, fleet_warnings) = match agent.config.fleet.as_deref() {
        Some(path) => {
            let fleet = config::load_fleet(path, &agent.config)?;
            (fleet.settings, fleet.warnings)
        }
        None => (handed_out(&agent.config.state_dir)?, Vec::new()),
    };
    for Problem { file, place, message } in agent.warnings.iter().chain(&fleet_warnings) {
        tracing::warn!("{file}:{place}: {message}");
    }
    Ok(agent.settings.into_iter().chain(fleet_settings).collect())
}

/// What the aggregator handed out last.
fn handed_out(state_dir: &Path) -> Result<Vec<Setting>, Exit> {
    let exit = |reason, error: String| {
        Exit::new(
            reason,
            format!("what the aggregator handed out, kept in {}, does not read: {error}", state_dir.display()),
        )
    };
    let current = steering::current(state_dir).map_err(|error| exit(Reason::Io, error))?;
    let Some(signed) = current else { return Ok(Vec::new()) };
    let read = serde_json::from_str::<Document>(&signed.document);
    let document = read.map_err(|error| exit(Reason::Data, error.to_string()))?;
    let loaded = document.load().map_err(|error| exit(Reason::Data, error))?;
    let groups = Setting {
        path: "groups".to_owned(),
        value: format!("[{}]", document.groups.join(", ")),
        origin: Origin::Aggregator,
    };
    Ok(std::iter::once(groups).chain(loaded.settings).collect())
}

/// What holds where nobody says anything.
fn defaults() -> BTreeMap<String, String> {
    let agent = config::parse(Path::new("agent.yaml"), b"version: 1\n", &config::system_hostname());
    let layer = serde_json::Value::Object(serde_json::Map::new());
    let fleet = Document { agent: AgentId::default(), groups: Vec::new(), layer, version: 1 }.load();
    let settings = agent.into_iter().flat_map(|loaded| loaded.settings);
    let settings = settings.chain(fleet.into_iter().flat_map(|loaded| loaded.settings));
    settings.map(|setting| (setting.path, setting.value)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use shared::fleet::document::Signed;

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
    fn what_the_aggregator_handed_out_is_shown_and_what_somebody_changed_stands_out() {
        let scratch = Scratch::new("config-diff");
        let options = scratch.agent("version: 1\nhostname: h\nstate_dir: .\n", "json");
        let layer = serde_json::json!({
            "spool": { "max_bytes": "3GiB" },
            "sources": { "a": { "type": "file", "include": ["/x"], "lane": "high" } },
        });
        let document = Document { agent: AgentId::default(), groups: vec!["web".to_owned()], layer, version: 1 };
        let der = || shared::enroll::Der(vec![]);
        let signed = Signed { document: document.text(), challenge: 0, signature: der(), key: der() };
        scratch.file("fleet.json", &serde_json::json!({ "good": signed }).to_string());
        let rows = |command: fn(&Options, &mut Vec<u8>) -> Result<(), Exit>| -> Vec<Value> {
            let mut out = Vec::new();
            command(&options, &mut out).unwrap();
            serde_json::from_slice(&out).unwrap()
        };
        let shown = rows(|options, out| show(options, out));
        let origin = |key: &str| shown.iter().find(|row| row["key"] == key).map(|row| row["origin"].clone());
        assert_eq!(origin("sources.a.include"), Some("aggregator".into()));
        assert_eq!(origin("spool.max_bytes"), Some("aggregator".into()));
        assert_eq!(shown.iter().filter(|row| row["key"] == "spool.max_bytes").count(), 1);
        let differs = rows(|options, out| diff(options, out));
        let row = |key: &str| differs.iter().find(|row| row["key"] == key);
        assert!(differs.iter().all(|row| row["origin"] != "default" && row["value"] != row["default"]));
        assert_eq!(row("groups").unwrap()["value"], "[web]");
        assert_eq!(row("sources.a.lane").unwrap()["value"], "high");
        assert_eq!(row("version"), None, "it is what everybody has");
        assert_ne!(row("spool.max_bytes").unwrap()["default"], "");
        scratch.file("fleet.json", "no json");
        assert_eq!(diff(&options, Vec::new()).unwrap_err().reason, Reason::Io);
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
