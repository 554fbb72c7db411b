//! Zones as devices and servers write them behind a time.
//!
//! In: `CET`, `+0100`, `-05:30`, `GMT+02:00`. Out: minutes east of UTC.

use super::text::number;

/// Zone names that devices and servers write behind a time, with their minutes east of UTC; a name that stands for
/// several zones means the one that is meant most often.
const ZONES: [(&str, i32); 25] = [
    ("UTC", 0),
    ("GMT", 0),
    ("Z", 0),
    ("WET", 0),
    ("WEST", 60),
    ("BST", 60),
    ("CET", 60),
    ("CEST", 120),
    ("EET", 120),
    ("EEST", 180),
    ("MSK", 180),
    ("EST", -300),
    ("EDT", -240),
    ("CST", -360),
    ("CDT", -300),
    ("MST", -420),
    ("MDT", -360),
    ("PST", -480),
    ("PDT", -420),
    ("PKT", 300),
    ("JST", 540),
    ("KST", 540),
    ("AEST", 600),
    ("AEDT", 660),
    ("NZST", 720),
];

/// Minutes east of UTC of a zone: its name in any case, an offset, or an offset from a name.
pub(super) fn minutes(text: &str) -> Option<i32> {
    let Some(at) = text.find(['+', '-']) else {
        return ZONES.iter().find(|(zone, _)| zone.eq_ignore_ascii_case(text)).map(|&(_, minutes)| minutes);
    };
    let (name, offset) = text.split_at_checked(at)?;
    let base = if name.is_empty() { 0 } else { minutes(name)? };
    let (sign, digits) = (if offset.starts_with('-') { -1 } else { 1 }, offset.get(1..)?);
    let two = |digits: &str| number(digits).filter(|_| digits.len() == 2);
    let (hours, rest) = match digits.split_once(':') {
        Some((hours, rest)) => (number(hours)?, two(rest)?),
        None if digits.len() == 4 => (two(digits.get(..2)?)?, two(digits.get(2..)?)?),
        None => (number(digits)?, 0),
    };
    let east = i32::try_from(hours.checked_mul(60)? + rest).ok().filter(|east| *east <= 14 * 60)?;
    Some(base + sign * east)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_names_and_offsets() {
        for (text, east) in [
            ("CET", 60),
            ("gmt", 0),
            ("+0100", 60),
            ("-05:30", -330),
            ("GMT+02:00", 120),
            ("UTC-3", -180),
            ("+14", 840),
        ] {
            assert_eq!(minutes(text), Some(east), "{text}");
        }
        for bad in ["", "+", "XYZ", "+1x", "+99:99", "+25", "CET+", "a+b+c", "-"] {
            assert_eq!(minutes(bad), None, "{bad}");
        }
    }
}
