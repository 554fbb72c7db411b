//! `picket-fuzz list`, `picket-fuzz seeds FOLDER`, `picket-fuzz run TARGET FILE…`: what a fuzzer begins with, and one of its
//! finds again without it.

use std::path::Path;

use anyhow::Context;
use picket_tests::fuzz::{TARGETS, target_named};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list"] => TARGETS.iter().for_each(|target| println!("{}", target.name)),
        ["seeds", folder] => write_seeds(Path::new(folder))?,
        ["run", name, files @ ..] if !files.is_empty() => {
            let target =
                target_named(name).with_context(|| format!("no target is called {name}; see picket-fuzz list"))?;
            for file in files {
                (target.body)(&std::fs::read(file).with_context(|| format!("read {file}"))?);
                println!("{file}: the promise holds");
            }
        }
        _ => anyhow::bail!("picket-fuzz list | seeds FOLDER | run TARGET FILE…"),
    }
    Ok(())
}

/// A folder of seeds and a dictionary for each target.
fn write_seeds(folder: &Path) -> anyhow::Result<()> {
    for target in TARGETS {
        let seeds = folder.join(target.name);
        std::fs::create_dir_all(&seeds).with_context(|| format!("create {}", seeds.display()))?;
        for (number, bytes) in (target.seeds)().iter().enumerate() {
            std::fs::write(seeds.join(format!("seed-{number:03}")), bytes)?;
        }
        let quoted = |word: &&[u8]| {
            let bytes: String = word.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            format!("\"{bytes}\"\n")
        };
        let words: String = target.words.iter().map(quoted).collect();
        std::fs::write(folder.join(format!("{}.dict", target.name)), words)?;
    }
    Ok(())
}
