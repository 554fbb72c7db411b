//! Real logs, where they are: outside the source tree, since their licences forbid copies in it.

use std::path::PathBuf;

/// A file or folder of the corpora by its path below them, e.g. `logs/loghub/Linux`; `None`, and a word about it, where the
/// corpora are not there.
///
/// # Panics
/// They are there, but not this one.
#[must_use]
pub fn corpus(path: &str) -> Option<PathBuf> {
    let found = crate::corpus()?.join(path);
    assert!(found.exists(), "{} is not there", found.display());
    Some(found)
}

/// The lines of a file without their line ends, `\r` included.
#[must_use]
pub fn lines_of(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> =
        bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec()).collect();
    if lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    lines
}

/// Gives each line a serial at its end (` #000017`): sets of logs contain equal lines, and a test has to tell them apart.
#[must_use]
pub fn numbered(lines: &[Vec<u8>], first: usize) -> Vec<Vec<u8>> {
    let number = |(at, line): (usize, &Vec<u8>)| {
        let mut line = line.clone();
        line.extend_from_slice(format!(" #{:06}", first + at).as_bytes());
        line
    };
    lines.iter().enumerate().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lines_are_told_apart_by_their_serials() {
        let lines = lines_of(b"a\r\n\na\n");
        assert_eq!(lines, [b"a".to_vec(), b"".to_vec(), b"a".to_vec()]);
        assert_eq!(numbered(&lines, 9), [b"a #000009".to_vec(), b" #000010".to_vec(), b"a #000011".to_vec()]);
    }
}
