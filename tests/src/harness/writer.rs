//! Writes a log file as daemons and log rotation do: half lines, bursts, rename and create.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use xtask::corpus::Random;

/// A log file that is being written.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
    rotations: u32,
}

impl LogFile {
    /// Opens `path` for appending and creates it.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(Self { path: path.to_path_buf(), file: appending(path)?, rotations: 0 })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.file.write_all(bytes).with_context(|| format!("write {}", self.path.display()))
    }

    /// Writes whole lines in one go.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn write_lines(&mut self, lines: &[Vec<u8>]) -> anyhow::Result<()> {
        self.write(&joined(lines))
    }

    /// Writes lines in pieces of 1 byte to 4 KiB that end anywhere, also within a line.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn write_in_pieces(&mut self, lines: &[Vec<u8>], random: &mut Random) -> anyhow::Result<()> {
        let bytes = joined(lines);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let magnitude = 1 << random.below(12);
            let length = usize::try_from(1 + random.below(magnitude))?.min(rest.len());
            let (piece, tail) = rest.split_at(length);
            self.write(piece)?;
            rest = tail;
        }
        Ok(())
    }

    /// Rotates: renames the file to `<name>.<n>` and creates it anew; the old path.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn rotate(&mut self) -> anyhow::Result<PathBuf> {
        self.rotations += 1;
        let mut old = self.path.clone().into_os_string();
        old.push(format!(".{}", self.rotations));
        let old = PathBuf::from(old);
        std::fs::rename(&self.path, &old).with_context(|| format!("rename {}", self.path.display()))?;
        self.file = appending(&self.path)?;
        Ok(old)
    }

    /// Writes lines in pieces, rotating once with the line at `at` half written before and finished after the rename
    /// (in the old file, as a daemon that was not told yet does).
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn write_across_a_rotation(&mut self, lines: &[Vec<u8>], at: usize, random: &mut Random) -> anyhow::Result<()> {
        let (before, rest) = lines.split_at(at.min(lines.len()));
        self.write_in_pieces(before, random)?;
        let Some((split, after)) = rest.split_first() else { return Ok(()) };
        let (head, tail) = split.split_at(split.len() / 2);
        self.write(head)?;
        let mut old = self.file.try_clone().with_context(|| format!("clone {}", self.path.display()))?;
        self.rotate()?;
        old.write_all(tail)
            .and_then(|()| old.write_all(b"\n"))
            .with_context(|| format!("write {}", self.path.display()))?;
        self.write_in_pieces(after, random)
    }
}

fn joined(lines: &[Vec<u8>]) -> Vec<u8> {
    lines.iter().flat_map(|line| line.iter().copied().chain(std::iter::once(b'\n'))).collect()
}

fn appending(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new().create(true).append(true).open(path).with_context(|| format!("open {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::{Place, Seeded, lines_of};

    #[test]
    fn pieces_and_a_rotation_lose_no_byte() {
        let place = Place::new("writer").unwrap();
        let mut seeded = Seeded::new(5);
        let lines: Vec<Vec<u8>> = (0..200).map(|n| format!("line {n} of some length").into_bytes()).collect();
        let mut log = LogFile::open(&place.at("app.log")).unwrap();
        log.write_across_a_rotation(&lines, 77, &mut seeded.random).unwrap();
        let old = std::fs::read(place.at("app.log.1")).unwrap();
        let new = std::fs::read(place.at("app.log")).unwrap();
        assert_eq!(lines_of(&old), lines[..78]);
        assert_eq!(lines_of(&new), lines[78..]);
    }
}
