//! STRUCTURED-DATA (RFC 5424 §6.3): `[ID NAME="VALUE" …][ID …]`.
//!
//! In: what stands before the message. Out: its end, and each parameter in `unmapped` as `ID.NAME`, its escapes undone.

use std::borrow::Cow;

use super::super::text::closing;
use crate::event::Event;

/// Most parameters that are kept apart; raw data holds the others.
const PARAMETERS_MAX: usize = 64;

/// The structured data and the message; none where it does not end as it must.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    let end = if text.starts_with('[') {
        let (mut quoted, mut escaped, mut inside) = (false, false, false);
        let mut end = text.len();
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' if inside => quoted = !quoted,
                b'[' if !quoted && !inside => inside = true,
                b']' if !quoted && inside => inside = false,
                _ if !inside => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        (!inside).then_some(end)?
    } else {
        text.starts_with('-').then_some(1)?
    };
    let (data, rest) = text.split_at_checked(end)?;
    match rest.strip_prefix(' ') {
        Some(message) => Some((data, message)),
        None => rest.is_empty().then_some((data, rest)),
    }
}

/// Whether the first element has a quote where its name would stand.
pub(super) fn is_quoted(data: &str) -> bool {
    let end = data.bytes().position(|byte| matches!(byte, b' ' | b']' | b'=' | b'"'));
    end.is_some_and(|at| data.as_bytes().get(at) == Some(&b'"'))
}

/// Sets each parameter; an element without any stands as `ID` with an empty text.
pub(super) fn unmap<'a>(data: &'a str, event: &mut Event<'a>) {
    let mut kept = 0;
    let mut rest = data;
    while let Some(element) = rest.strip_prefix('[') {
        let end = element.find([' ', ']']).unwrap_or(element.len());
        let Some((id, mut parameters)) = element.split_at_checked(end) else { return };
        if parameters.starts_with(']') {
            event.unmap(id, "");
            kept += 1;
        }
        while let Some((name, value)) = parameters.trim_start_matches(' ').split_once("=\"") {
            if parameters.starts_with(']') || kept == PARAMETERS_MAX {
                break;
            }
            let end = closing(value, b'"').unwrap_or(value.len());
            let Some((value, after)) = value.split_at_checked(end) else { return };
            event.unmap(format!("{id}.{name}"), unescaped(value));
            kept += 1;
            parameters = after.get(1..).unwrap_or_default();
        }
        if kept == PARAMETERS_MAX {
            return;
        }
        rest = parameters.trim_start_matches(' ').strip_prefix(']').unwrap_or_default();
    }
}

/// `\"`, `\\` and `\]`; another backslash is one.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let escape = c == '\\' && characters.peek().is_some_and(|next| matches!(next, '"' | '\\' | ']'));
        out.push(if escape { characters.next().unwrap_or(c) } else { c });
    }
    Cow::Owned(out)
}
