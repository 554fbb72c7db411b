//! `picket-agent read FILE…`: what the file source would read, once, as NDJSON.
//!
//! In: paths. Out: one object a line, `{"log_name", "offset", "size", "flags", "line"}`; a line that is not UTF-8 has U+FFFD
//! in `line` and its bytes as hexadecimal in `bytes`. The end of a file counts as the end of its last line.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::reader::{self, Reader, TurnEnd, TurnFailure};
use super::tracker::Position;
use crate::handover::{Lines, Stopped, flag};

/// What was read.
#[derive(Debug, Default)]
pub struct Summary {
    /// Lines written.
    pub lines: u64,
    /// Files that could not be read to their end, and why.
    pub failed: Vec<(PathBuf, io::Error)>,
}

#[derive(Serialize)]
struct Row<'a> {
    log_name: &'a str,
    offset: u64,
    size: u64,
    flags: Vec<&'static str>,
    line: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
}

/// Reads every file once and writes its lines to `out`.
///
/// # Errors
/// Those of `out`. A file that cannot be read is no error: it stands in [`Summary::failed`].
pub fn read(paths: &[PathBuf], line_bytes_max: usize, out: &mut impl Write) -> io::Result<Summary> {
    let mut reader = Reader::new(line_bytes_max);
    let mut summary = Summary::default();
    for path in paths {
        if let Err(error) = read_one(path, &mut reader, out, &mut summary.lines)? {
            summary.failed.push((path.clone(), error));
        }
    }
    out.flush()?;
    Ok(summary)
}

/// The outer error is of `out`, the inner of the file.
fn read_one(path: &Path, reader: &mut Reader, out: &mut impl Write, count: &mut u64) -> io::Result<io::Result<()>> {
    let file = match reader::open(path) {
        Ok((file, _)) => file,
        Err(error) => return Ok(Err(error)),
    };
    let log_name = path.to_string_lossy();
    let mut position = Position::new(0, &[]);
    let mut broken = Ok(());
    let end = reader.turn(&file, &mut position, u64::MAX, |_, lines| {
        *count += lines.marks.len() as u64;
        broken = write_lines(out, &log_name, &lines);
        broken.as_ref().map_err(|_| Stopped).copied()
    });
    broken?;
    match end {
        Ok(TurnEnd::Shrank) => return Ok(Err(io::Error::other("it shrank while it was read"))),
        Err(TurnFailure::Read(error)) => return Ok(Err(error)),
        Ok(TurnEnd::End | TurnEnd::More) | Err(TurnFailure::Stopped(_)) => {}
    }
    match reader.finish(&file, &mut position) {
        Ok(lines) => {
            *count += lines.marks.len() as u64;
            write_lines(out, &log_name, &lines).map(Ok)
        }
        Err(error) => Ok(Err(error)),
    }
}

fn write_lines(out: &mut impl Write, log_name: &str, lines: &Lines) -> io::Result<()> {
    for (mark, bytes) in lines.iter() {
        let line = String::from_utf8_lossy(bytes);
        let hex = matches!(line, Cow::Owned(_)).then(|| {
            bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            })
        });
        let flags = flag::names(mark.flags).collect();
        let row = Row { log_name, offset: mark.offset, size: mark.full_size, flags, line, bytes: hex };
        serde_json::to_writer(&mut *out, &row)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::source::scratch::Folder;

    #[test]
    fn lines_come_as_ndjson_and_unreadable_files_are_named() {
        let folder = Folder::new();
        fs::write(folder.path("a"), b"one\r\n\nth\xffree\nlong line here\nhalf").unwrap();
        let mut out = Vec::new();
        let summary = read(&[folder.path("none"), folder.path("a"), folder.path("")], 9, &mut out).unwrap();
        let rows: Vec<serde_json::Value> =
            String::from_utf8(out).unwrap().lines().map(|row| serde_json::from_str(row).unwrap()).collect();
        let shape = |row: &serde_json::Value| {
            format!("{} {} {} {} {}", row["offset"], row["size"], row["flags"], row["line"], row["bytes"])
        };
        assert_eq!(
            rows.iter().map(shape).collect::<Vec<_>>(),
            [
                r#"0 3 ["crlf"] "one" null"#,
                r#"5 0 [] "" null"#,
                "6 6 [] \"th\u{fffd}ree\" \"7468ff726565\"",
                r#"13 14 ["truncated"] "long line" null"#,
                r#"28 4 ["unterminated"] "half" null"#,
            ]
        );
        assert_eq!((summary.lines, summary.failed.len()), (5, 2));
    }

    #[test]
    fn broken_pipe_is_an_error() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let folder = Folder::new();
        fs::write(folder.path("a"), b"one\n").unwrap();
        assert_eq!(read(&[folder.path("a")], 9, &mut Broken).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
