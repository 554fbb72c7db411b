//! `run`: the aggregator itself.

use shared::exit::Exit;

use crate::cli::Options;
use crate::{app, config};

/// Reads the configuration and runs until a signal.
///
/// # Errors
/// Exit code 78 for a configuration with problems, and what [`app::run`] says.
pub fn run(options: &Options) -> Result<(), Exit> {
    let path = options.config_path();
    let loaded = config::load(path)?;
    loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let bytes = std::fs::read(path).unwrap_or_default();
    let hash = shared::tls::sha256(&bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    app::run(&loaded.config, hash)
}
