//! docs/normalization.md: what stands between its marks is written here, with `PICKET_WRITE_DOCS=1`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::case::What;
use super::known::SHORT;
use super::registry::{Parser, Registry};
use super::table::{Row, Table};

/// In front of what is written here, and behind it.
const MARKS: [&str; 2] = ["<!-- written by the coverage test: begin -->", "<!-- written by the coverage test: end -->"];

/// The page.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/normalization.md")
}

/// The page's three parts: before the first mark, between the marks, behind the second.
pub fn parts(page: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = page.split_once(MARKS[0])?;
    let (between, behind) = rest.split_once(MARKS[1])?;
    Some((before, between, behind))
}

/// The page with another middle.
pub fn joined((before, _, behind): (&str, &str, &str), middle: &str) -> String {
    format!("{before}{}\n\n{middle}\n{}{behind}", MARKS[0], MARKS[1])
}

/// How the row of a parser begins: what does not depend on the corpora.
pub fn beginning(name: &str, parser: &Parser) -> String {
    let others: Vec<String> = parser.names.iter().skip(1).map(|name| format!("`{name}`")).collect();
    let others = if others.is_empty() { String::new() } else { format!(" (also {})", others.join(", ")) };
    format!("| `{name}`{others} | {} |", parser.about)
}

/// The tables.
pub fn middle(registry: &Registry, table: &Table) -> String {
    let mut page = String::new();
    let empty = Row::default();
    let mut shown = BTreeSet::new();
    let head = "reads | lines | class | ≥ 5 | user | address | port | outcome | time | classes |\n\
                |---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|\n";
    let _ = write!(page, "### Formats\n\n| name in `format:` | {head}");
    for parser in &registry.formats {
        let name = &parser.names[0];
        let _ = writeln!(page, "{}", line(&beginning(name, parser), table.0.get(name).unwrap_or(&empty)));
        shown.insert(name.clone());
    }
    let _ = write!(page, "\n### Programs of syslog\n\n| program | {head}");
    for parser in &registry.programs {
        let name = &parser.names[0];
        let row = format!("syslog {name}");
        let _ = writeln!(page, "{}", line(&beginning(name, parser), table.0.get(&row).unwrap_or(&empty)));
        shown.insert(row);
    }
    let _ = write!(page, "\n### Kinds of lines that formats tell apart (`metadata.log_format`)\n\n| kind | {head}");
    let kinds = table.0.iter().filter(|(name, _)| !shown.contains(*name) && !name.ends_with(')'));
    for (name, row) in kinds {
        let _ = writeln!(page, "{}", line(&format!("| `{name}` | |"), row));
    }
    let _ = write!(page, "\n### Below 95 %\n\nOf lines with a class, or of expected values, and why.\n\n");
    for (name, reason) in SHORT {
        let _ = writeln!(page, "- **{name}**: {reason}.");
    }
    let _ = write!(page, "\n### Attributes\n\nBeside message, raw line and metadata, most frequent first.\n\n");
    for (name, row) in table.0.iter().filter(|(name, row)| !name.ends_with(')') && !row.attributes.is_empty()) {
        let mut attributes: Vec<_> = row.attributes.iter().collect();
        attributes.sort_by_key(|(path, times)| (usize::MAX - **times, **path));
        let attributes: Vec<String> = attributes.iter().map(|(path, _)| format!("`{path}`")).collect();
        let _ = writeln!(page, "- **{name}**: {}", attributes.join(", "));
    }
    page
}

fn line(beginning: &str, row: &Row) -> String {
    if row.class.of == 0 {
        return format!("{beginning} 0 | | | | | | | | |");
    }
    let mut line =
        format!("{beginning} {} | {:.0} % | {:.0} % |", row.class.of, row.class.percent(), row.filled.percent());
    for what in What::ALL.into_iter().filter(|what| *what != What::Detail) {
        let share = row.value(what);
        let _ = if share.of == 0 { write!(line, " |") } else { write!(line, " {:.0} % |", share.percent()) };
    }
    let mut classes: Vec<_> = row.classes.iter().filter(|(name, _)| **name != "base_event").collect();
    classes.sort_by_key(|(name, times)| (usize::MAX - **times, **name));
    let classes: Vec<&str> = classes.iter().map(|(name, _)| **name).collect();
    format!("{line} {} |", classes.join(", "))
}
