//! What BIND says of other servers, and of networks that it answers less: transfers, notifies, refreshes, lookups, rate limits (4003).
//!
//! `transfer of 'Z/IN' from A#53: text`, `zone Z/IN: notify from A#53: zone is up to date`, `connection refused resolving
//! 'NAME/TYPE/CLASS': A#53`, `limit NXDOMAIN responses to N/24 for NAME`. Source: BIND 9.20, lib/dns/xfrin.c, lib/dns/zone.c,
//! lib/dns/resolver.c, lib/dns/rrl.c.

use super::super::super::super::endpoint::{self, push_destination, push_source};
use super::super::super::super::outcome::{Control, controlled, failure, success};
use super::super::super::super::text::{between, cut, port, word};
use super::super::{NOTIFY, QUERY, RCODES, RESPONSE, push_rcode, question};
use super::slashed;
use crate::event::Event;
use crate::schema::Attribute;

/// `transfer of 'Z/IN' from A#53: text`.
pub(super) fn transfer<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let Some((zone, rest)) = between(text, "transfer of '", "'") else { return false };
    let Some((peer, text)) = rest.strip_prefix(" from ").and_then(|rest| cut(rest, ": ")) else { return false };
    let (name, kind, class) = slashed(zone);
    question(event, RESPONSE, name, if kind.is_empty() { "AXFR" } else { kind }, class);
    let (address, number) = peer.split_once('#').unwrap_or((peer, ""));
    push_destination(event, address, port(number));
    if cut(text, "failed").is_some() || cut(text, "error").is_some() {
        failure(event, text);
    } else {
        success(event);
        event.push(Attribute::StatusDetail, text);
    }
    true
}

/// `zone Z/IN: notify from A#53: zone is up to date`, `zone Z/IN: refused notify from non-primary: A#53`, `zone Z/IN: refresh:
/// failure trying primary A#53 (source S#0): timed out`, `… unexpected rcode (REFUSED) from primary A#53 (source S#0)`.
pub(super) fn zone<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let Some((zone, text)) = text.strip_prefix("zone ").and_then(|rest| cut(rest, ": ")) else { return false };
    let (name, _, class) = slashed(zone);
    if let Some((peer, said)) = text.strip_prefix("notify from ").map(word) {
        question(event, QUERY, name, "", class);
        event.set(Attribute::QueryOpcodeId, NOTIFY);
        success(event);
        event.push(Attribute::StatusDetail, said);
        return ended(peer).is_some_and(|(address, number)| push_source(event, address, number));
    }
    if let Some((_, peer)) = text.strip_prefix("refused notify from ").and_then(|rest| cut(rest, ": ")) {
        question(event, QUERY, name, "", class);
        event.set(Attribute::QueryOpcodeId, NOTIFY);
        controlled(event, Control::Rejected);
        failure(event, text);
        return ended(word(peer).0).is_some_and(|(address, number)| push_source(event, address, number));
    }
    let Some(problem) = text.strip_prefix("refresh: ") else { return false };
    let Some((address, number)) = problem.split(' ').find_map(ended) else { return false };
    question(event, QUERY, name, "SOA", class);
    let code = between(problem, "unexpected rcode (", ")").map(|(code, _)| code);
    if !code.is_some_and(|code| push_rcode(event, code)) {
        failure(event, problem);
    }
    push_destination(event, address, number)
}

/// `A#53`, with what a line puts behind it.
fn ended(text: &str) -> Option<(&str, Option<i64>)> {
    let (address, number) = text.split_once('#')?;
    endpoint::ip(address).map(|address| (address, port(number.trim_end_matches([':', ',']))))
}

/// `[stop ]limit[ing] NXDOMAIN responses to N/24 for NAME CLASS[ TYPE] (HASH)`, `would limit …`: one address is a client, a
/// network is not.
pub(super) fn limited<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let text = text.strip_prefix('*').unwrap_or(text);
    let marks =
        [("limit ", Control::Dropped), ("would limit ", Control::Observed), ("stop limiting ", Control::Allowed)];
    let Some((rest, control)) =
        marks.into_iter().find_map(|(mark, control)| text.strip_prefix(mark).map(|rest| (rest, control)))
    else {
        return false;
    };
    let Some((answers, rest)) = cut(rest, "responses to ") else { return false };
    let (network, rest) = word(rest);
    let (name, rest) = rest.strip_prefix("for ").map_or(("", ""), word);
    let class = word(rest).0;
    question(event, RESPONSE, name, "", if matches!(class, "IN" | "CH" | "HS") { class } else { "" });
    event.push(Attribute::StatusDetail, text);
    event.unmap("client_subnet", network);
    event.unmap("limited", answers.trim_end());
    controlled(event, control);
    match network.strip_suffix("/32").or_else(|| network.strip_suffix("/128")).and_then(endpoint::ip) {
        Some(client) => push_source(event, client, None),
        None => push_destination(event, "localhost", None),
    }
}

/// `connection refused resolving 'NAME/TYPE/CLASS': A#53`, `DNS format error from A#53 resolving NAME/TYPE: text`, `REFUSED unexpected RCODE resolving …`.
pub(super) fn resolving<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let Some((problem, rest)) = cut(text, "resolving ") else { return false };
    let (asked, rest) = match rest.strip_prefix('\'').and_then(|rest| cut(rest, "'")) {
        Some(found) => found,
        None => word(rest),
    };
    let (name, kind, class) = match slashed(asked.trim_end_matches(':')) {
        (name, "", kind) => (name, kind, ""),
        found => found,
    };
    question(event, RESPONSE, name, kind, class);
    let peer = between(problem, " from ", " ")
        .map(|(peer, _)| peer)
        .or_else(|| rest.rsplit(' ').find(|word| word.contains('#')));
    let Some((address, number)) = peer.and_then(|peer| peer.split_once('#')) else { return false };
    push_destination(event, address, port(number.trim_end_matches(':')));
    if let Some((client, number)) = cut(rest, "for client ").and_then(|(_, rest)| word(rest).0.split_once('#')) {
        push_source(event, client, port(number.trim_end_matches(':')));
    }
    let problem = problem.trim();
    let code = problem.split([' ', '(', ')']).find(|word| RCODES.iter().any(|(code, ..)| code == word));
    if !code.is_some_and(|code| push_rcode(event, code)) {
        failure(event, problem);
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::super::super::testing::normalized;

    #[test]
    fn a_zones_peers_are_named() {
        for (text, end, opcode, status) in [
            ("notify from 192.0.2.7#4242: zone is up to date", "src_endpoint", 4, 1),
            ("refused notify from non-primary: 192.0.2.7#4242", "src_endpoint", 4, 2),
            ("refresh: failure trying primary 192.0.2.7#4242 (source 0.0.0.0#0): timed out", "dst_endpoint", 0, 2),
            (
                "refresh: unexpected rcode (REFUSED) from primary 192.0.2.7#4242 (source 0.0.0.0#0)",
                "dst_endpoint",
                0,
                2,
            ),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 ns named[9]: zone example.com/IN: {text}"));
            assert_eq!(
                (&event["type_uid"], &event["query"]["hostname"]),
                (&json!(400_301), &json!("example.com")),
                "{text}"
            );
            assert_eq!(event[end], json!({"ip": "192.0.2.7", "port": 4242}), "{text}");
            assert_eq!((&event["query"]["opcode_id"], &event["status_id"]), (&json!(opcode), &json!(status)), "{text}");
        }
        let event = normalized("Mar 16 10:00:00 ns named[9]: zone example.com/IN: sending notifies (serial 7)");
        assert_eq!(event["type_uid"], 600_299);
    }

    #[test]
    fn limits_name_their_network() {
        for (text, disposition) in [
            ("limit NXDOMAIN responses to 192.0.2.0/24 for example.com IN  (0012ab34)", 6),
            ("stop limiting NXDOMAIN responses to 192.0.2.0/24 for example.com IN  (0012ab34)", 1),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 ns named[9]: rate-limit: info: {text}"));
            assert_eq!(
                (&event["type_uid"], &event["query"]["hostname"]),
                (&json!(400_302), &json!("example.com")),
                "{text}"
            );
            assert_eq!(
                (&event["disposition_id"], &event["unmapped"]["client_subnet"]),
                (&json!(disposition), &json!("192.0.2.0/24"))
            );
        }
        let event = normalized("16-Mar-2026 10:00:00.123 limit error responses to 192.0.2.7/32");
        assert_eq!((&event["type_uid"], &event["src_endpoint"]["ip"]), (&json!(400_302), &json!("192.0.2.7")));
    }
}
