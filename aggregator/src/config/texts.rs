//! [`Texts`]: a configuration as it stands in its files at one moment: aggregator.yaml and the files of its parsers.
//!
//! In: the files, each read once. Out: what is done with events, its hash, and bytes of which the same is made again when the
//! files say something else, or are gone. The bytes are a JSON object: `file` is the text of aggregator.yaml, `parsers` a list
//! of a path and a text each.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Config, Downstream};
use crate::normalize::custom::Parsers;

/// The texts of a configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Texts {
    file: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parsers: Vec<(String, String)>,
}

impl Texts {
    /// What `config`, which was made of the bytes `file` of the file at `path`, stands in; and what it says is done with events.
    ///
    /// # Errors
    /// Every problem of its parsers.
    pub fn of(config: &Config, path: &Path, file: &[u8]) -> Result<(Self, Downstream), Vec<String>> {
        let (parsers, files) = config.parsers.read()?;
        let text = |path: &Path, bytes: Vec<u8>| {
            String::from_utf8(bytes).map_err(|_| vec![format!("{} is not UTF-8", path.display())])
        };
        let file = text(path, file.to_vec())?;
        let files = files.into_iter().map(|(path, bytes)| Ok((path.display().to_string(), text(&path, bytes)?)));
        Ok((Self { file, parsers: files.collect::<Result<_, Vec<String>>>()? }, with(config, parsers)))
    }

    /// The bytes that are kept of it.
    ///
    /// # Panics
    /// Never: a list of texts is JSON.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a list of texts is JSON")
    }

    /// SHA-256 of [`to_bytes`](Self::to_bytes), in hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        shared::tls::sha256(&self.to_bytes()).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    /// What the configuration of these [`to_bytes`](Self::to_bytes) says is done with events; `path` is where its file stood.
    ///
    /// # Errors
    /// They are none, or are no configuration any more.
    pub fn downstream(path: &Path, bytes: &[u8]) -> Result<Downstream, String> {
        let kept: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let loaded = super::parse(path, kept.file.as_bytes()).map_err(|problems| problems.to_string())?;
        let files: Vec<(PathBuf, Vec<u8>)> =
            kept.parsers.into_iter().map(|(path, text)| (path.into(), text.into_bytes())).collect();
        let parsers = loaded.config.parsers.compile(&files).map_err(|problems| problems.join("\n"))?;
        Ok(with(&loaded.config, parsers))
    }
}

/// What is done with events, with these parsers.
fn with(config: &Config, parsers: Parsers) -> Downstream {
    Downstream { parsers: Arc::new(parsers), ..config.downstream.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::scratch::Scratch;

    const PARSER: &str = "parsers:\n  - { name: one, class: base_event, regex: '^one (?<n>\\d+)' }\n";
    const FILE: &str = "version: 1\nparsers: [p.yaml]\n";

    fn texts(scratch: &Scratch) -> Result<(Texts, Downstream), Vec<String>> {
        let path = scratch.dir.join("aggregator.yaml");
        let config = super::super::parse(&path, FILE.as_bytes()).unwrap().config;
        Texts::of(&config, &path, FILE.as_bytes())
    }

    #[test]
    fn what_is_kept_is_made_again_when_its_files_say_something_else_or_are_gone() {
        let scratch = Scratch::new("texts");
        scratch.file("p.yaml", PARSER);
        let (kept, made) = texts(&scratch).unwrap();
        let names = |made: &Downstream| made.parsers.names().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(names(&made), ["one"]);
        scratch.file("p.yaml", &PARSER.replace("one", "two"));
        let (changed, _) = texts(&scratch).unwrap();
        assert_ne!(changed.hash(), kept.hash(), "a change of a parser's file is a change");
        std::fs::remove_file(scratch.dir.join("p.yaml")).unwrap();
        assert!(texts(&scratch).unwrap_err()[0].contains("p.yaml"));
        let again = Texts::downstream(&scratch.dir.join("aggregator.yaml"), &kept.to_bytes()).unwrap();
        assert_eq!(names(&again), ["one"]);
        scratch.file("p.yaml", PARSER);
        assert_eq!(texts(&scratch).unwrap().0.hash(), kept.hash(), "the same files are the same configuration");
    }

    #[test]
    fn bytes_that_are_no_configuration_are_refused() {
        for bytes in ["", "version: 1", r#"{"file":"version: 2"}"#, r#"{"file":"version: 1","parsers":[["p","x: 1"]]}"#]
        {
            let made = Texts::downstream(Path::new("a.yaml"), bytes.as_bytes());
            assert!(made.is_err(), "{bytes}");
        }
    }
}
