//! [`Registry`]: which formats and programs there are, and what each parser's file says of itself in its first sentence,
//! read from the source: docs/normalization.md says it in the same words.

use std::path::{Path, PathBuf};

/// A parser and the names that it answers to.
#[derive(Clone, Debug)]
pub struct Parser {
    /// A format's name; of programs all names, the first of which is the row's.
    pub names: Vec<String>,
    /// The first sentence of its file.
    pub about: String,
}

/// The tables of `normalize`.
pub struct Registry {
    /// `FORMATS`, in order.
    pub formats: Vec<Parser>,
    /// `PROGRAMS`, those of syslog, in order.
    pub programs: Vec<Parser>,
}

/// The room in this source tree.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../aggregator/src/normalize")
}

impl Registry {
    /// Reads the tables of a room.
    pub fn read(room: &Path) -> Self {
        let read = |path: &str| std::fs::read_to_string(room.join(path)).unwrap();
        let (formats, programs) = (read("formats.rs"), read("program/mod.rs"));
        let table = between(&formats, "static FORMATS", "\n];");
        let formats = table.split("name: \"").skip(1).map(|entry| {
            let name = entry.split('"').next().unwrap().to_owned();
            let module = between(entry, "parse: ", ",").split("::").next().unwrap().trim().to_owned();
            Parser { about: about(room, &module), names: vec![name] }
        });
        let table = between(&programs, "static PROGRAMS", "\n];");
        let mut arms = Vec::new();
        let mut names = Vec::new();
        for piece in table.split('"').enumerate() {
            match piece {
                (at, name) if at % 2 == 1 => names.push(name.to_owned()),
                (_, code) => {
                    if let Some((_, target)) = code.split_once("],")
                        && !names.is_empty()
                    {
                        let module = target.split("::").next().unwrap().trim();
                        let folder = if room.join("program").join(format!("{module}.rs")).exists()
                            || room.join("program").join(module).exists()
                        {
                            room.join("program")
                        } else {
                            room.to_path_buf()
                        };
                        arms.push(Parser { names: std::mem::take(&mut names), about: about(&folder, module) });
                    }
                }
            }
        }
        Self { formats: formats.collect(), programs: arms }
    }

    /// The row of a program by the name that it has in syslog: `postfix/smtpd` and `/usr/sbin/cron` are found too.
    pub fn program(&self, name: &str) -> Option<&str> {
        let base = name.rsplit('/').next().unwrap_or(name);
        let first = name.split('/').next().unwrap_or(name);
        let answers = |parser: &&Parser| {
            parser.names.iter().any(|known| known == base || known == name || known.trim_end_matches('/') == first)
        };
        self.programs.iter().find(answers).and_then(|parser| parser.names.first()).map(String::as_str)
    }
}

/// What stands between two texts; all of it behind the first where the second does not follow.
fn between<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    let rest = text.split_once(from).map_or("", |(_, rest)| rest);
    rest.split_once(to).map_or(rest, |(inside, _)| inside)
}

/// The first sentence of a module's doc.
fn about(folder: &Path, module: &str) -> String {
    let file = [folder.join(format!("{module}.rs")), folder.join(module).join("mod.rs")];
    let Some(text) = file.iter().find_map(|file| std::fs::read_to_string(file).ok()) else { return String::new() };
    let lines = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let paragraph: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    let paragraph = paragraph.join(" ");
    let end = paragraph.find(". ").unwrap_or(paragraph.len());
    paragraph.get(..end).unwrap_or_default().trim_end_matches('.').replace('|', "\\|")
}
