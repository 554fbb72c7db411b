//! fail2ban's logs: `# failJSON: {"time", "match", "host", "user"}` before the line that it is about.

use std::path::Path;

use serde_json::Value;

use super::super::case::{Case, SOURCE, USER, What, text};
use super::read;

/// Each line that is no comment, with what the comment before it expects.
pub fn cases(path: &Path, file: &str) -> Vec<Case> {
    let (bytes, mut cases, mut expected) = (read(path), Vec::new(), Value::Null);
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        if let Some(json) = line.strip_prefix(b"# failJSON:") {
            expected = serde_json::from_slice(json).unwrap_or_default();
            continue;
        }
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let expected = expected.take();
        let mut case = Case::plain(file, number, line);
        if expected["match"] == true {
            for (key, what, paths) in
                [("time", What::Time, &[][..]), ("host", What::Address, SOURCE), ("user", What::User, USER)]
            {
                if let Some(value) = expected.get(key).filter(|value| !value.is_null()) {
                    case.expect(what, key, &text(value), paths);
                }
            }
        }
        cases.push(case);
    }
    cases
}
