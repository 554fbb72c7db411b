//! The smallest `agent.yaml`, for a host that has none when it enrolls.
//!
//! In: the aggregator that was dialed. Out: a file from which `run` works, or the one that was there, untouched.

use std::path::Path;

use shared::durable::{DurableError, PUBLIC, STATE_FOLDER, Writer};

use crate::config::Endpoint;

/// Writes the smallest `agent.yaml` when there is none. `false`: there is one, and it stays as it is. `state_dir`
/// (absolute) is written when given: leave it out when it is the default.
///
/// # Errors
/// [`DurableError`].
pub fn write_first_config(
    path: &Path,
    aggregator: &Endpoint,
    state_dir: Option<&Path>,
    writer: &Writer,
) -> Result<bool, DurableError> {
    // A JSON string is a YAML string, with every character that YAML would read otherwise escaped.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut yaml = format!("version: 1\naggregators: [{}]\n", quoted(&aggregator.to_string()));
    if let Some(state_dir) = state_dir {
        yaml.push_str(&format!("state_dir: {}\n", quoted(&state_dir.to_string_lossy())));
    }
    if let Some(folder) = path.parent() {
        writer.folder(folder, STATE_FOLDER)?;
    }
    match writer.create(path, yaml.as_bytes(), PUBLIC) {
        Ok(()) => Ok(true),
        Err(e) if e.already_exists() => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_is_written_once_as_run_reads_it_and_never_over_another() {
        let dir = std::env::temp_dir().join(format!("picket-config-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let writer = Writer::for_owner_of(&dir).unwrap();
        let path = dir.join("etc/agent.yaml");
        let endpoint: Endpoint = "[::1]:7443".parse().unwrap();
        assert!(write_first_config(&path, &endpoint, Some(Path::new("/srv/a \"b\": #")), &writer).unwrap());
        assert!(!write_first_config(&path, &"b:1".parse().unwrap(), None, &writer).unwrap());
        let config = crate::config::load(&path).unwrap().config;
        assert_eq!((config.aggregators, config.state_dir.as_path()), (vec![endpoint], Path::new("/srv/a \"b\": #")));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
