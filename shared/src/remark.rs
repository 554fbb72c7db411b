//! What `status` of either program says first: whether it is well, and if not, what to do.
//!
//! In: remarks from any room. Out: a verdict of one line, then each remark with its advice, the urgent ones first. Control characters
//! never reach the writer as they are. Bound: [`SHOWN_MAX`] remarks are printed.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::printable::Printable;

/// Remarks that are printed; JSON has all of them.
pub const SHOWN_MAX: usize = 20;

/// Something that a person should know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Remark {
    /// Until it is mended the program does not do all of its work. Otherwise it has happened, or is meant so.
    #[serde(rename = "urgent")]
    pub is_urgent: bool,
    /// What it is.
    pub what: String,
    /// What to do; empty for nothing.
    #[serde(default)]
    pub advice: String,
}

impl Remark {
    /// The program does not do all of its work until this is mended.
    pub fn urgent(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { is_urgent: true, what: what.into(), advice: advice.into() }
    }

    /// It has happened, or may be meant so.
    pub fn note(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { is_urgent: false, what: what.into(), advice: advice.into() }
    }
}

/// The urgent ones first, in their order.
pub fn sort(remarks: &mut [Remark]) {
    remarks.sort_by_key(|remark| !remark.is_urgent);
}

/// Prints the verdict and what it comes from.
///
/// # Errors
/// The writer's.
pub fn print(remarks: &[Remark], out: &mut impl Write) -> io::Result<()> {
    match remarks.iter().filter(|remark| remark.is_urgent).count() {
        0 => writeln!(out, "well")?,
        1 => writeln!(out, "degraded: one thing needs a person")?,
        several => writeln!(out, "degraded: {several} things need a person")?,
    }
    for remark in remarks.iter().take(SHOWN_MAX) {
        let (mark, colon) = if remark.is_urgent { ("!", "") } else { ("-", "note: ") };
        writeln!(out, "  {mark} {colon}{}", Printable(&remark.what))?;
        if !remark.advice.is_empty() {
            writeln!(out, "      {}", Printable(&remark.advice))?;
        }
    }
    if remarks.len() > SHOWN_MAX {
        writeln!(out, "  … and {} more; --output json has all of it", remarks.len() - SHOWN_MAX)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(remarks: &[Remark]) -> String {
        let mut out = Vec::new();
        print(remarks, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_first_line_says_whether_it_is_well_and_the_urgent_come_first() {
        assert_eq!(printed(&[]), "well\n");
        assert!(printed(&[Remark::note("n", "")]).starts_with("well\n  - note: n\n"));
        let mut remarks = [Remark::note("n", "m"), Remark::urgent("u\u{1b}[31m", "do"), Remark::urgent("v", "")];
        sort(&mut remarks);
        let text = printed(&remarks);
        let expected = "degraded: 2 things need a person\n  ! u\\u{1b}[31m\n      do\n  ! v\n  - note: n\n      m\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn no_more_than_a_screen_is_printed_and_the_rest_is_counted() {
        let text = printed(&vec![Remark::note("n", ""); SHOWN_MAX + 3]);
        assert_eq!(text.lines().count(), 1 + SHOWN_MAX + 1);
        assert!(text.ends_with("  … and 3 more; --output json has all of it\n"), "{text}");
    }
}
