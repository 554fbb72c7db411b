//! The commands of the pages for users are commands that both programs know.

use std::path::Path;

use aggregator::cli::Cli as AggregatorCli;
use anyhow::{Context, ensure};
use clap::Parser as _;

/// Pages whose code blocks are looked at.
const PAGES: [&str; 2] = ["README.md", "docs/install.md"];

/// The calls of our programs in the code blocks of a page, without what the shell does with them.
fn calls(page: &str) -> Vec<String> {
    let blocks = page.split("```").skip(1).step_by(2).flat_map(str::lines);
    let parts = blocks.flat_map(|line| line.split(" #").next().unwrap_or_default().split("&&"));
    let parts = parts.map(|part| part.split(['>', '|']).next().unwrap_or_default().trim());
    let parts = parts.map(|part| part.strip_prefix("sudo ").unwrap_or(part));
    parts.filter(|part| part.starts_with("picket-a")).map(str::to_owned).collect()
}

#[test]
fn every_command_of_the_pages_parses() -> anyhow::Result<()> {
    let (root, mut count) = (Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), 0);
    for page in PAGES {
        let text = std::fs::read_to_string(root.join(page)).context(page)?;
        for call in calls(&text) {
            let words = call.split_whitespace();
            let refused = match call.starts_with("picket-agent ") {
                true => agent::cli::Cli::try_parse_from(words).err(),
                false => AggregatorCli::try_parse_from(words).err(),
            };
            let refused = refused.filter(clap::Error::use_stderr).map(|error| error.to_string());
            ensure!(refused.is_none(), "{page}: `{call}`: {}", refused.unwrap_or_default());
            count += 1;
        }
    }
    ensure!(count > 15, "only {count} commands were found");
    Ok(())
}
