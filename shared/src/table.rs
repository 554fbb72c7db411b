//! What the reading commands print: rows of named columns as an aligned table, a JSON array or NDJSON.
//!
//! In: rows, one at a time. Out: bytes on a writer. JSON and NDJSON are streamed; a table needs widths, so
//! it is laid out [`ROWS_ALIGNED`] rows at a time: memory stays bounded whatever a command lists. Control
//! characters never reach the writer as they are, in any of the forms.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::str::FromStr;

use serde_json::Value;

use crate::printable::{Printable, drives_terminal};

/// Rows that share one layout: a table repeats its widths, not its header, after as many.
pub const ROWS_ALIGNED: usize = 1_000;

/// Columns wider than this do not widen the column for the rows around them.
const WIDTH_MAX: usize = 100;

/// The form in which a reading command prints.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Output {
    /// Aligned columns for people.
    #[default]
    Table,
    /// One array of objects.
    Json,
    /// One object a line.
    Ndjson,
}

impl Output {
    /// The words of `--output`, in the order of the variants.
    pub const NAMES: [&'static str; 3] = ["table", "json", "ndjson"];
}

/// The word after `--output` is none of [`Output::NAMES`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is not an output form (table, json, ndjson)", Printable(.0))]
pub struct UnknownOutput(String);

impl FromStr for Output {
    type Err = UnknownOutput;

    fn from_str(text: &str) -> Result<Self, UnknownOutput> {
        match text {
            "table" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            "ndjson" => Ok(Self::Ndjson),
            other => Err(UnknownOutput(other.to_owned())),
        }
    }
}

/// Prints rows of fixed columns. [`Table::finish`] must be called: it writes what is still held.
#[derive(Debug)]
pub struct Table<W> {
    writer: W,
    output: Output,
    columns: Vec<&'static str>,
    held: Vec<Vec<Value>>,
    header_due: bool,
    rows: u64,
}

impl<W: Write> Table<W> {
    /// A table on `writer` with these columns; their names are the JSON keys.
    pub fn new(writer: W, output: Output, columns: &[&'static str]) -> Self {
        Self { writer, output, columns: columns.to_vec(), held: Vec::new(), header_due: true, rows: 0 }
    }

    /// Adds a row: one value per column, in their order. Missing values are null, surplus ones are ignored.
    ///
    /// # Errors
    /// The writer's.
    pub fn row<const N: usize>(&mut self, values: [Value; N]) -> io::Result<()> {
        match self.output {
            Output::Table => {
                self.held.push(values.into());
                if self.held.len() >= ROWS_ALIGNED {
                    self.lay_out()?;
                }
            }
            Output::Json => {
                let open = if self.rows == 0 { "[\n" } else { ",\n" };
                write!(self.writer, "{open}{}", object(&self.columns, &values))?;
            }
            Output::Ndjson => writeln!(self.writer, "{}", object(&self.columns, &values))?,
        }
        self.rows += 1;
        Ok(())
    }

    /// Writes what is held and the end of the form. No rows: a header, `[]`, or nothing.
    ///
    /// # Errors
    /// The writer's.
    pub fn finish(mut self) -> io::Result<()> {
        match self.output {
            Output::Table => self.lay_out()?,
            Output::Json if self.rows == 0 => writeln!(self.writer, "[]")?,
            Output::Json => writeln!(self.writer, "\n]")?,
            Output::Ndjson => {}
        }
        self.writer.flush()
    }

    /// Prints the held rows with one width per column.
    fn lay_out(&mut self) -> io::Result<()> {
        let mut lines: Vec<Vec<Shown>> = Vec::with_capacity(self.held.len() + 1);
        if self.header_due {
            lines.push(self.columns.iter().map(|name| Shown::left(name.to_uppercase())).collect());
            self.header_due = false;
        }
        lines.extend(self.held.drain(..).map(|row| row.iter().map(shown).collect()));
        let mut widths = vec![0; self.columns.len()];
        for (width, cell) in lines.iter().flat_map(|line| widths_of(line)) {
            if let Some(widest) = widths.get_mut(cell) {
                *widest = (*widest).max(width.min(WIDTH_MAX));
            }
        }
        for line in &lines {
            let mut text = String::new();
            for (cell, &width) in line.iter().zip(&widths) {
                let pad = width.saturating_sub(cell.width());
                let (before, after) = if cell.right { (pad, 0) } else { (0, pad) };
                let _ = write!(text, "{:before$}{}{:after$}  ", "", cell.text, "");
            }
            writeln!(self.writer, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

/// A cell as a person sees it.
struct Shown {
    text: String,
    right: bool,
}

impl Shown {
    fn left(text: String) -> Self {
        Self { text, right: false }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

fn widths_of(line: &[Shown]) -> impl Iterator<Item = (usize, usize)> {
    line.iter().enumerate().map(|(column, cell)| (cell.width(), column))
}

fn shown(value: &Value) -> Shown {
    match value {
        Value::Null => Shown::left("-".to_owned()),
        Value::Bool(truth) => Shown::left(if *truth { "yes" } else { "no" }.to_owned()),
        Value::Number(number) => Shown { text: number.to_string(), right: true },
        Value::String(text) => Shown::left(Printable(text).to_string()),
        Value::Array(items) => Shown::left(items.iter().map(|item| shown(item).text).collect::<Vec<_>>().join(", ")),
        Value::Object(_) => Shown::left(json(value)),
    }
}

fn object(columns: &[&'static str], values: &[Value]) -> String {
    let mut text = String::from("{");
    for (i, name) in columns.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let value = values.get(i).unwrap_or(&Value::Null);
        let _ = write!(text, "{comma}{}:{}", json(&Value::from(*name)), json(value));
    }
    text.push('}');
    text
}

/// JSON on one line in which not even the controls that JSON allows (DEL, C1, bidirectional) stand as they
/// are. Outside strings none of them occurs, so a `\u` escape is right wherever one is found.
#[must_use]
pub fn json(value: &Value) -> String {
    let plain = value.to_string();
    if !plain.chars().any(drives_terminal) {
        return plain;
    }
    let mut safe = String::with_capacity(plain.len() + 16);
    for c in plain.chars() {
        if drives_terminal(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(output: Output, rows: &[[Value; 3]]) -> String {
        let mut out = Vec::new();
        let mut table = Table::new(&mut out, output, &["lane", "bytes", "open"]);
        for row in rows {
            table.row(row.clone()).unwrap();
        }
        table.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    fn two() -> [[Value; 3]; 2] {
        [["high".into(), 5.into(), true.into()], ["normal".into(), 12_345.into(), Value::Null]]
    }

    #[test]
    fn a_table_is_aligned_and_numbers_stand_right() {
        assert_eq!(printed(Output::Table, &two()), "LANE    BYTES  OPEN\nhigh        5  yes\nnormal  12345  -\n");
        assert_eq!(printed(Output::Table, &[]), "LANE  BYTES  OPEN\n");
    }

    #[test]
    fn json_is_one_array_and_ndjson_one_object_a_line() {
        let json: Value = serde_json::from_str(&printed(Output::Json, &two())).unwrap();
        assert_eq!(json[1]["bytes"], 12_345);
        assert_eq!(printed(Output::Json, &[]), "[]\n");
        let lines = printed(Output::Ndjson, &two());
        assert_eq!(lines.lines().next(), Some(r#"{"lane":"high","bytes":5,"open":true}"#));
        assert_eq!(lines.lines().count(), 2);
        assert_eq!(printed(Output::Ndjson, &[]), "");
    }

    #[test]
    fn no_form_lets_a_control_character_through() {
        let hostile = "\x1b]0;owned\x07\u{9b}31m\u{7f}\u{202e}\n";
        for output in [Output::Table, Output::Json, Output::Ndjson] {
            let text = printed(output, &[[hostile.into(), Value::from(vec![hostile]), Value::Null]]);
            assert!(!text.chars().any(|c| drives_terminal(c) && c != '\n'), "{output:?}: {text:?}");
        }
        let line = printed(Output::Ndjson, &[[hostile.into(), Value::Null, Value::Null]]);
        let back: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(back["lane"], hostile);
    }

    #[test]
    fn many_rows_keep_one_header_and_lose_none() {
        let rows: Vec<[Value; 3]> = (0..ROWS_ALIGNED * 2 + 1).map(|i| ["x".into(), i.into(), Value::Null]).collect();
        let text = printed(Output::Table, &rows);
        assert_eq!(text.lines().count(), rows.len() + 1);
        assert_eq!(text.matches("LANE").count(), 1);
    }

    #[test]
    fn an_unknown_form_is_refused_by_name() {
        assert_eq!("ndjson".parse(), Ok(Output::Ndjson));
        assert_eq!(
            "xml".parse::<Output>().unwrap_err().to_string(),
            "'xml' is not an output form (table, json, ndjson)"
        );
    }
}
