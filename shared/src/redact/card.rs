//! Numbers of payment cards.
//!
//! Digits alone, or with one space or dash between the groups that are printed on cards (4-4-4-4, 4-4-4-4-3, 4-6-5,
//! 4-6-4). The issuer's first digits and the lengths that it gives out are those of ISO/IEC 7812-1 as the networks publish
//! them: so that a time in milliseconds or a serial number is not taken for a card, one number in ten of which has a right
//! check digit.

use std::ops::Range;

const DIGITS_MIN: usize = 13;
const DIGITS_MAX: usize = 19;

/// Adds where card numbers stand.
pub(super) fn find(text: &[u8], found: &mut Vec<Range<usize>>) {
    let mut at = 0;
    while let Some(skip) = text.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)) {
        let start = at + skip;
        let end = run_end(text, start);
        if bounded(text, start, end) {
            candidate(text, start, end, found);
        }
        at = end;
    }
}

/// Where the digits end that begin at `start`, with single spaces and dashes between them.
fn run_end(text: &[u8], start: usize) -> usize {
    let mut end = start;
    while let Some(byte) = text.get(end) {
        let joins = matches!(byte, b' ' | b'-') && text.get(end + 1).is_some_and(u8::is_ascii_digit);
        if !byte.is_ascii_digit() && !joins {
            break;
        }
        end += 1;
    }
    end
}

/// Digits inside a word or a decimal fraction are no card.
fn bounded(text: &[u8], start: usize, end: usize) -> bool {
    let before = start.checked_sub(1).and_then(|at| text.get(at));
    let after = text.get(end);
    !before.is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'.' | b'+'))
        && !after.is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
}

/// One run: groups of digits. A card is one group, or some groups one behind the other.
fn candidate(text: &[u8], start: usize, end: usize, found: &mut Vec<Range<usize>>) {
    let mut from = start;
    while from < end {
        let first = group(text, from, end);
        let whole = (DIGITS_MIN..=DIGITS_MAX).contains(&first).then_some(from + first);
        let number = whole.filter(|to| is_card(text.get(from..*to))).or_else(|| grouped(text, from, end, first));
        match number {
            Some(to) => {
                found.push(from..to);
                from = to + 1;
            }
            None => from += first + 1,
        }
    }
}

/// Digits from `from` on.
fn group(text: &[u8], from: usize, end: usize) -> usize {
    text.get(from..end).map_or(0, |rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

/// The end of a number in printed groups that begins at `from` with `first` digits.
fn grouped(text: &[u8], from: usize, end: usize, first: usize) -> Option<usize> {
    const SHAPES: [&[usize]; 4] = [&[4, 4, 4, 4, 3], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4]];
    if first != 4 {
        return None;
    }
    let separator = text.get(from + 4)?;
    SHAPES.iter().find_map(|shape| {
        let mut at = from;
        for (index, digits) in shape.iter().enumerate() {
            if index > 0 {
                (text.get(at) == Some(separator)).then(|| at += 1)?;
            }
            (group(text, at, end) == *digits).then(|| at += digits)?;
        }
        is_card(text.get(from..at)).then_some(at)
    })
}

/// A known issuer, a length that it gives out, a right check digit, and not one digit all over.
fn is_card(text: Option<&[u8]>) -> bool {
    let digits = || text.unwrap_or_default().iter().filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0');
    let count = digits().count();
    let prefix = |places: usize| digits().take(places).fold(0_u32, |number, digit| number * 10 + u32::from(digit));
    issued(prefix, count) && checks(digits(), count) && digits().any(|digit| Some(digit) != digits().next())
}

fn issued(prefix: impl Fn(usize) -> u32, count: usize) -> bool {
    match prefix(4) {
        4000..=4999 => matches!(count, 13 | 16 | 19),
        5100..=5599 | 2221..=2720 => count == 16,
        3400..=3499 | 3700..=3799 => count == 15,
        3528..=3589 => (16..=19).contains(&count),
        3000..=3059 | 3095 | 3600..=3699 | 3800..=3999 => (14..=19).contains(&count),
        6011 | 6440..=6599 | 6200..=6299 => (16..=19).contains(&count),
        5000..=5099 | 5600..=5899 | 6300..=6399 | 6700..=6799 => (13..=19).contains(&count),
        2200..=2204 => (16..=19).contains(&count),
        _ => false,
    }
}

/// Luhn's check.
fn checks(digits: impl Iterator<Item = u8>, count: usize) -> bool {
    let sum: u32 = digits
        .enumerate()
        .map(|(at, digit)| {
            let doubled = (count - at).is_multiple_of(2);
            let value = u32::from(digit) * if doubled { 2 } else { 1 };
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cards(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        find(text.as_bytes(), &mut found);
        found.into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn numbers_of_cards_are_found_as_they_are_written() {
        for card in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "3782 822463 10005",
            "6011111111111117",
            "30569309025904",
            "3056 930902 5904",
            "3530111333300000",
            "6200000000000005",
        ] {
            assert_eq!(cards(card), [card]);
            assert_eq!(cards(&format!("pan={card}, exp 12/30")), [card]);
            assert_eq!(cards(&format!("\"{card}\"")), [card]);
        }
        assert_eq!(cards("7 4111 1111 1111 1111 12"), ["4111 1111 1111 1111"]);
        assert_eq!(cards("4111111111111111 5555555555554444").len(), 2);
    }

    #[test]
    fn what_only_has_the_digits_is_none() {
        for text in [
            "4111111111111112",
            "1773653400000",
            "4111 1111-1111 1111",
            "41111111 11111111",
            "id4111111111111111",
            "0.4111111111111111",
            "4444444444444444444444444444",
            "0000000000000000",
            "123e4567-4111-1111-1111-111111111111",
            "9999999999999995",
        ] {
            assert_eq!(cards(text), Vec::<&str>::new(), "{text}");
        }
    }
}
