//! The log of responses that Infoblox writes: a question and its answer in one line (4003).
//!
//! `[UDP: ]query: NAME CLASS TYPE response: RCODE FLAGS[ NAME TTL CLASS TYPE RDATA;…]`. Source: Infoblox NIOS 8.6 and 9.0,
//! Administrator Guide, "Capturing DNS Queries and Responses".

use super::super::super::super::outcome::failure;
use super::super::super::super::text::{cut, number, word};
use super::super::super::super::transport;
use super::super::{RESPONSE, push_rcode, question};
use crate::event::Event;
use crate::schema::Attribute;

/// Most answers of a line that are read.
const ANSWERS_MAX: u16 = 32;

/// Reads what follows the client's address.
pub(super) fn exchange<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let (protocol, text) = match cut(text, ": ") {
        Some(("UDP", rest)) => ("udp", rest),
        Some(("TCP", rest)) => ("tcp", rest),
        _ => ("", text),
    };
    let Some((asked, rest)) = text.strip_prefix("query: ").and_then(|rest| cut(rest, " response: ")) else {
        return false;
    };
    let (name, rest_of_question) = word(asked);
    let (class, kind) = word(rest_of_question);
    question(event, RESPONSE, name, word(kind).0, class);
    if !protocol.is_empty() {
        transport::push(event, Some(protocol));
    }
    let (code, rest) = word(rest);
    let (flags, records) = word(rest);
    if !flags.is_empty() {
        event.unmap("flags", flags);
    }
    if !push_rcode(event, code) {
        failure(event, code);
    }
    answers(records, event);
    true
}

/// `NAME TTL CLASS TYPE RDATA; NAME …;`
fn answers<'a>(records: &'a str, event: &mut Event<'a>) {
    let (mut rest, mut index) = (records, 0);
    while index < ANSWERS_MAX && !rest.is_empty() {
        let (record, after) = first(rest);
        rest = after.trim_start();
        let (ttl, record) = word(word(record.trim()).1);
        let (class, record) = word(record);
        let (kind, data) = word(record);
        let (Some(ttl), false) = (number(ttl), data.is_empty()) else { continue };
        event.push_at(Attribute::AnswersTtl, index, ttl);
        event.push_at(Attribute::AnswersClass, index, class);
        event.push_at(Attribute::AnswersType, index, kind);
        event.push_at(Attribute::AnswersRdata, index, data);
        index += 1;
    }
}

/// The first record, up to a semicolon outside of quotes, and what follows.
fn first(records: &str) -> (&str, &str) {
    let mut is_quoted = false;
    let end = records.bytes().position(|byte| {
        is_quoted ^= byte == b'"';
        byte == b';' && !is_quoted
    });
    let Some(end) = end else { return (records, "") };
    (records.get(..end).unwrap_or(records), records.get(end + 1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::super::super::testing::normalized;

    #[test]
    fn questions_are_read_with_their_answers() {
        let head = "Mar 16 10:00:00 ns named[9]: ";
        let time = "16-Mar-2026 10:00:00.123";
        for (line, rcode, status) in [
            (format!("{head}{time} client 192.0.2.1#5 UDP: query: a.example.com IN A response: NXDOMAIN +ED"), 3, 2),
            (
                format!("{head}{time} client 192.0.2.1#5: view 7: UDP: query: a.example.com IN A response: REFUSED -"),
                5,
                2,
            ),
            (
                format!(
                    "{head}infoblox-responses: {time} client 192.0.2.1#5: UDP: query: a.example.com IN A response: SERVFAIL -"
                ),
                2,
                2,
            ),
            (
                format!(
                    "Mar 16 10:00:00 ns infoblox-responses: {time} client 192.0.2.1#5: UDP: query: a.example.com IN A response: NOERROR +"
                ),
                0,
                1,
            ),
            (format!("{time} client 192.0.2.1#5: UDP: query: a.example.com IN A response: NOERROR +"), 0, 1),
        ] {
            let event = normalized(&line);
            assert_eq!(
                (&event["type_uid"], &event["time"]),
                (&json!(400_302), &json!(1_773_651_600_123_i64)),
                "{line}"
            );
            assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.1", "port": 5}), "{line}");
            assert_eq!((&event["query"]["hostname"], &event["query"]["type"]), (&json!("a.example.com"), &json!("A")));
            assert_eq!(event["connection_info"]["protocol_name"], "udp", "{line}");
            assert_eq!((&event["rcode_id"], &event["status_id"]), (&json!(rcode), &json!(status)), "{line}");
        }
    }

    #[test]
    fn a_semicolon_in_quotes_ends_no_answer() {
        let event = normalized(
            "16-Mar-2026 10:00:00.123 client 192.0.2.1#5: UDP: query: a.example.com IN TXT response: NOERROR + a.example.com. 60 IN TXT \"k=x; p=y\" \"z\"; a.example.com. 61 IN A 192.0.2.9;",
        );
        assert_eq!(
            event["answers"],
            json!([
                {"ttl": 60, "class": "IN", "type": "TXT", "rdata": "\"k=x; p=y\" \"z\""},
                {"ttl": 61, "class": "IN", "type": "A", "rdata": "192.0.2.9"},
            ])
        );
    }
}
