//! `run`: the aggregator itself.

use shared::exit::Exit;
use shared::yaml::LoadError;

use crate::cli::Options;
use crate::{app, config};

/// Reads the configuration and runs until a signal.
///
/// # Errors
/// Exit code 78 for a configuration with problems, and what [`app::run`] says.
pub fn run(options: &Options) -> Result<(), Exit> {
    let path = options.config_path();
    let bytes = config::read(path)?;
    let loaded = config::parse(path, &bytes).map_err(LoadError::from)?;
    loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    app::run(&loaded.config, (path, &bytes))
}
