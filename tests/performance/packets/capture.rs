//! A mixed capture: every Ethernet capture of the corpora, one after the other, over and over, an hour apart.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context;

use agent::source::packet::decode::LinkType;
use agent::source::packet::file::CaptureFile;
use picket_tests::harness::corpus;

/// Largest file that is taken in: one alone is not to be half of the mix.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Longest frame: of a card that puts segments together.
const WIRE_LEN_MAX: u32 = 14 + 65_535;

/// What was made.
pub struct Made {
    pub frames: u64,
    pub captured_bytes: u64,
}

/// Frames of a file: length on the wire, and bytes.
type Frames = Vec<(u32, Vec<u8>)>;

/// Writes at least `bytes_min` to `path`.
pub fn make(path: &Path, bytes_min: u64) -> anyhow::Result<Made> {
    let folder = corpus("pcap").context("no corpus: set PICKET_CORPUS")?;
    let mut files = Vec::new();
    walk(&folder, &mut files)?;
    files.sort();
    let mixed: Vec<Frames> = files.iter().filter_map(|file| frames(file)).collect();
    let mut out = BufWriter::new(File::create(path)?);
    // Nanoseconds, version 2.4, whole frames, Ethernet.
    for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        out.write_all(&word.to_le_bytes())?;
    }
    let (mut made, mut second, mut written) = (Made { frames: 0, captured_bytes: 0 }, 1_700_000_000_u32, 0_u64);
    while written < bytes_min {
        for frames in &mixed {
            for (at, (wire_len, bytes)) in (0_u32..).zip(frames) {
                let len = u32::try_from(bytes.len())?;
                // 10,000 frames a second.
                for word in [second + at / 10_000, at % 10_000 * 100_000, len, *wire_len] {
                    out.write_all(&word.to_le_bytes())?;
                }
                out.write_all(bytes)?;
                made.frames += 1;
                made.captured_bytes += u64::from(len);
                written += 16 + u64::from(len);
            }
            second += 60;
        }
        second += 3600;
    }
    out.flush()?;
    Ok(made)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        match entry.metadata()? {
            found if found.is_dir() => walk(&entry.path(), files)?,
            found if found.len() <= FILE_BYTES_MAX => files.push(entry.path()),
            _ => {}
        }
    }
    Ok(())
}

/// The frames of a file, if it is a capture of Ethernet that is whole.
fn frames(path: &Path) -> Option<Frames> {
    let mut file = CaptureFile::open(File::open(path).ok()?).ok()?;
    let mut frames = Vec::new();
    while let Some(frame) = file.next_frame().ok()? {
        if frame.link != LinkType::ETHERNET {
            return None;
        }
        // What no wire carries, tcpreplay does not send.
        if (1..=WIRE_LEN_MAX).contains(&frame.wire_len) && (1..=frame.wire_len as usize).contains(&frame.bytes.len()) {
            frames.push((frame.wire_len, frame.bytes.to_vec()));
        }
    }
    Some(frames)
}
