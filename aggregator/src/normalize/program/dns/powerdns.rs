//! PowerDNS: questions to the authoritative server and the recursor, answers of the recursor, transfers (4003).
//!
//! `Remote A wants 'NAME|TYPE', do = 0, bufsize = 512: packetcache MISS`, `3 [17/1] question for 'NAME|TYPE' from A:p`, `3 [17/1]
//! answer to question 'NAME|TYPE': 1 answers, …, rcode=0`, `3 question answered from packet cache tag=0 from A:p`, `Answer to
//! NAME|TYPE for A:p validates as Bogus`, `NAME|TYPE: RPZ Hit; PolicyName=P; Type=QName; Kind=.`, `AXFR-out zone 'NAME', client 'A:p', transfer initiated`. Source:
//! PowerDNS Authoritative Server 4.9, `common_startup.cc`, `tcpreceiver.cc`; Recursor 4 and 5, `pdns_recursor.cc`.

use super::super::super::attempt;
use super::super::super::endpoint::{ip, push_destination, push_source};
use super::super::super::outcome::{Control, controlled, failure, success};
use super::super::super::remark::remark;
use super::super::super::syslog::Header;
use super::super::super::text::{between, cut, port, word};
use super::{QUERY, RCODES, RESPONSE, push_rcode, question};
use crate::event::Event;
use crate::schema::Attribute;

/// Reads a message of either server.
pub(crate) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    attempt(asked, message, header, event)
        || attempt(answered, message, header, event)
        || attempt(cached, message, header, event)
        || attempt(validated, message, header, event)
        || attempt(policy, message, header, event)
        || attempt(transferred, message, header, event)
        || remark("pdns", message, event)
}

/// `A:p`, `[A]:p` or an address alone.
fn client<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    if let Some(address) = ip(text) {
        return push_source(event, address, None);
    }
    text.rsplit_once(':').is_some_and(|(host, digits)| push_source(event, host.trim_matches(['[', ']']), port(digits)))
}

fn asked<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let (from, asked) =
        if let Some((from, rest)) = message.strip_prefix("Remote ").and_then(|rest| cut(rest, " wants '")) {
            // A resolver may name the client whose question it is: `A<-B`.
            (from.split("<-").next().unwrap_or(from), rest)
        } else if let Some((_, rest)) = cut(message, " question for '") {
            let Some((_, from)) = cut(rest, "' from ") else { return false };
            (word(from).0, rest)
        } else {
            return false;
        };
    let Some((name, kind)) = asked.split_once('\'').and_then(|(asked, _)| asked.rsplit_once('|')) else { return false };
    question(event, QUERY, name, kind, "");
    success(event);
    push_destination(event, header.this_host(), None);
    client(from.trim_end_matches([',', ':']), event)
}

fn answered<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((_, rest)) = cut(message, " answer to question '") else { return false };
    let Some((asked, rest)) = cut(rest, "'") else { return false };
    let Some((name, kind)) = asked.rsplit_once('|') else { return false };
    question(event, RESPONSE, name, kind, "");
    push_destination(event, header.this_host(), None);
    let code = cut(rest, "rcode=").map(|(_, code)| word(code).0.trim_end_matches(','));
    let named = RCODES.iter().find(|(_, id, _)| code.and_then(|code| code.parse().ok()) == Some(*id));
    match named {
        Some((name, ..)) => push_rcode(event, name),
        None => {
            success(event);
            true
        }
    };
    true
}

/// `3 question answered from packet cache tag=0 from A:p`: what was asked does not stand there.
fn cached<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((_, rest)) = cut(message, " question answered from packet cache") else { return false };
    let Some((_, from)) = cut(rest, " from ") else { return false };
    question(event, RESPONSE, "", "", "");
    event.unmap("from_cache", true);
    success(event);
    push_destination(event, header.this_host(), None);
    client(word(from).0, event)
}

/// `Answer to NAME|TYPE for A:p validates as Bogus`.
fn validated<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((asked, rest)) = message.strip_prefix("Answer to ").and_then(|rest| cut(rest, " for ")) else {
        return false;
    };
    let (Some((name, kind)), Some((from, verdict))) = (asked.rsplit_once('|'), cut(rest, " validates as ")) else {
        return false;
    };
    question(event, RESPONSE, name, kind, "");
    push_destination(event, header.this_host(), None);
    let verdict = word(verdict).0;
    if verdict == "Bogus" {
        failure(event, verdict);
    } else {
        success(event);
        event.push(Attribute::StatusDetail, verdict);
    }
    client(from, event)
}

/// `NAME|TYPE: RPZ Hit; PolicyName=P; Trigger=T; Hit=H; Type=QName; Kind=.`: what the policy put in the answer's place.
fn policy<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((asked, rest)) = cut(message, ": RPZ Hit; ") else { return false };
    let Some((name, kind)) = asked.rsplit_once('|') else { return false };
    question(event, RESPONSE, name, kind, "");
    let pairs = rest.split("; ").filter_map(|pair| pair.split_once('='));
    let mut action = "";
    for (key, value) in pairs {
        match key {
            "PolicyName" => event.push(Attribute::FirewallRuleName, value),
            "Trigger" => event.unmap("rpz_trigger", value),
            "Hit" => event.unmap("rpz_hit", value),
            "Type" => event.unmap("rpz_type", value),
            "Kind" => action = value.trim(),
            _ => {}
        }
    }
    let control = match action {
        _ if action.starts_with("rpz-passthru") => Control::Allowed,
        _ if action.starts_with("rpz-drop") => Control::Dropped,
        _ => Control::Blocked,
    };
    controlled(event, control);
    event.unmap("rpz_action", action);
    if control == Control::Allowed {
        success(event);
    } else {
        failure(event, "RPZ Hit");
    }
    push_destination(event, header.this_host(), None) || push_destination(event, "localhost", None)
}

fn transferred<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((kind, rest)) = cut(message, "-out zone '") else { return false };
    let (Some((zone, _)), Some((from, rest))) = (cut(rest, "'"), between(rest, "client '", "'")) else { return false };
    if !matches!(kind, "AXFR" | "IXFR") {
        return false;
    }
    question(event, QUERY, zone, kind, "");
    success(event);
    event.push(Attribute::StatusDetail, rest.trim_start_matches([',', ' ']));
    client(from, event)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::super::testing::normalized;

    #[test]
    fn policies_validations_and_the_cache_are_read() {
        let read = |message: &str| normalized(&format!("Mar 16 10:00:00 ns pdns_recursor[7]: {message}"));
        let event = read("a.example.com|A: RPZ Hit; PolicyName=ads; Trigger=a.example.com; Type=QName; Kind=.");
        assert_eq!((&event["type_uid"], &event["query"]["type"]), (&json!(400_302), &json!("A")));
        assert_eq!((&event["firewall_rule"]["name"], &event["disposition_id"]), (&json!("ads"), &json!(2)));
        let event = read("a.example.com|A: RPZ Hit; PolicyName=ads; Type=QName; Kind=rpz-passthru.");
        assert_eq!((&event["disposition_id"], &event["status_id"]), (&json!(1), &json!(1)));
        let event = read("Answer to a.example.com|AAAA for [2001:db8::7]:4913 validates as Bogus");
        assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(400_302), &json!(2)));
        assert_eq!(event["src_endpoint"], json!({"ip": "2001:db8::7", "port": 4913}));
        let event = read("3 question answered from packet cache tag=0 from 192.0.2.7:4913 ");
        assert_eq!((&event["type_uid"], &event["query"]), (&json!(400_302), &json!(null)));
        assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.7", "port": 4913}));
    }

    #[test]
    fn questions_answers_and_transfers_are_read() {
        for (program, message, kind, source) in [
            (
                "pdns_server",
                "Remote 192.0.2.7 wants 'example.com|A', do = 0, bufsize = 512: packetcache MISS",
                400_301,
                json!({"ip": "192.0.2.7"}),
            ),
            (
                "pdns_recursor",
                "3 [17/1] question for 'example.com|A' from 192.0.2.7:41222",
                400_301,
                json!({"ip": "192.0.2.7", "port": 41222}),
            ),
            (
                "pdns_recursor",
                "3 [17/1] answer to question 'example.com|A': 1 answers, 0 additional, took 3 packets, rcode=3",
                400_302,
                json!(null),
            ),
            (
                "pdns",
                "AXFR-out zone 'example.com', client '[2001:db8::7]:41222', transfer initiated",
                400_301,
                json!({"ip": "2001:db8::7", "port": 41222}),
            ),
            ("pdns", "Done launching threads, ready to distribute questions", 600_299, json!(null)),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 ns {program}[7]: {message}"));
            assert_eq!(event["type_uid"], kind, "{message}");
            assert_eq!(event["src_endpoint"], source, "{message}");
            if kind / 100 == 4003 {
                assert_eq!(event["query"]["hostname"], "example.com", "{message}");
            }
            if message.contains("rcode=3") {
                assert_eq!((&event["rcode_id"], &event["status_id"]), (&json!(3), &json!(2)));
            }
        }
    }
}
