//! Text from the wire.

use super::super::TEXT_BYTES_MAX;
use super::flag;

/// As UTF-8 with replacement characters, cut at [`TEXT_BYTES_MAX`] and flagged `text_cut`.
#[must_use]
pub fn text(bytes: &[u8], flaws: &mut Vec<&'static str>) -> String {
    let kept = bytes.get(..TEXT_BYTES_MAX).unwrap_or(bytes);
    cut(String::from_utf8_lossy(kept).into_owned(), kept.len() < bytes.len(), flaws)
}

/// A text cut at [`TEXT_BYTES_MAX`] and flagged `text_cut`, also where it was `already` cut.
#[must_use]
pub fn cut(mut text: String, already: bool, flaws: &mut Vec<&'static str>) -> String {
    if already || text.len() > TEXT_BYTES_MAX {
        flag(flaws, "text_cut");
    }
    text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    text
}
