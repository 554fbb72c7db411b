//! Wazuh's ruleset tests: `log N pass = LINE` under `[TITLE]`, with the decoder and the rule that take it. What they say of
//! a line's values is in the rules' own words; here the lines count, with the decoder's name.

use std::path::Path;

use super::super::case::Case;
use super::read;

/// The lines behind `pass =` and `fail =`.
pub fn cases(path: &Path, file: &str) -> Vec<Case> {
    let text = String::from_utf8_lossy(&read(path)).into_owned();
    let lines = (1..).zip(text.lines()).filter_map(|(number, line)| {
        let (key, line) = line.strip_prefix("log ")?.split_once('=')?;
        let mut words = key.split_whitespace();
        let tried = words.next()?.parse::<u32>().is_ok() && matches!(words.next(), Some("pass" | "fail"));
        tried.then(|| Case::plain(file, number, line.trim_start()))
    });
    lines.collect()
}
