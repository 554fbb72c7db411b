//! Times of access logs, as Apache's `%t` and nginx' `$time_local`: `10/Oct/2000:13:55:36 -0700`.

use std::cell::Cell;

use shared::time::Timestamp;

use super::{Cursor, Reference, Stamp, moment, stamped};

/// The access log's `10/Oct/2000:13:55:36 -0700` (Apache HTTP Server, mod_log_config, `%t`); Proxmox writes the month's number.
pub(in super::super) fn access(text: &str, reference: Reference) -> Option<(Stamp<'_>, &str)> {
    let usual = text.split_at_checked(ACCESS_LEN).filter(|(_, rest)| rest.starts_with(']'));
    if let (Some((text, rest)), Some((known, time))) = (usual, ACCESS.get())
        && text.as_bytes() == known
    {
        return Some((Stamp { time, text, assumed_offset: None }, rest));
    }
    let found = read_access(text, reference);
    if let (Some((text, _)), Some((stamp, _))) = (usual, &found)
        && let (Some(known), None) = (text.as_bytes().first_chunk(), stamp.assumed_offset)
        && stamp.text.len() == ACCESS_LEN
    {
        ACCESS.set(Some((*known, stamp.time)));
    }
    found
}

/// `10/Oct/2000:13:55:36 -0700`.
const ACCESS_LEN: usize = 26;

thread_local! {
    /// The one with a zone that was read last, and its moment: lines come in order, most of the same second as the one before.
    static ACCESS: Cell<Option<([u8; ACCESS_LEN], Timestamp)>> = const { Cell::new(None) };
}

fn read_access(text: &str, reference: Reference) -> Option<(Stamp<'_>, &str)> {
    let mut cursor = Cursor { bytes: text.as_bytes(), at: 0 };
    let day = cursor.digits(1, 2)?;
    cursor.eat(b'/')?;
    let month = match cursor.month() {
        Some(month) => month,
        None => u8::try_from(cursor.digits(2, 2)?).ok()?,
    };
    cursor.eat(b'/')?;
    let year = cursor.digits(4, 4)?;
    cursor.eat(b':')?;
    let clock = cursor.clock()?;
    let end = cursor.at;
    let zone = cursor.eat(b' ').and_then(|()| cursor.zone());
    if zone.is_none() {
        cursor.at = end;
    }
    let time = moment(year, month, day, clock, zone.unwrap_or(reference.utc_offset_minutes))?;
    stamped(text, &cursor, time, zone.is_none().then_some(reference.utc_offset_minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_the_same_whatever_was_read_before_it() {
        let reference = Reference { read_at: Timestamp(0), utc_offset_minutes: 60 };
        let texts = [
            "16/Mar/2026:10:00:00 +0000] x",
            "16/Mar/2026:10:00:00 +0100] x",
            "16/Mar/2026:10:00:00 +0100",
            "16/Mar/2026:10:00:01 +0100] x",
            "16/Mar/2026:10:00:00] x",
            "16/Mar/2026:10:00:00.5 +0100] x",
            "16/Mar/2026:10:00:00 UTC!!!] x",
            "6/Mar/2026:10:00:00 +01:00] x",
        ];
        for first in texts {
            for second in texts {
                access(first, reference);
                assert_eq!(access(second, reference), read_access(second, reference), "{second} behind {first}");
            }
        }
    }
}
