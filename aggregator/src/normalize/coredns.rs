//! CoreDNS: the queries that its `log` plugin prints (4003), and what the server says of itself (6002, 6008).
//!
//! `[INFO] CLIENT:PORT - ID "TYPE CLASS NAME PROTOCOL SIZE DO BUFSIZE" RCODE FLAGS SIZE SECONDSs`, `[ERROR] plugin/errors: …`.
//! Source: CoreDNS, `plugin/log/README.md` (Common Log Format), `plugin/errors/README.md`.

use super::endpoint;
use super::json_lines::push_rcode;
use super::remark::remark;
use super::text::{between, level, port, word};
use super::{Context, transport};
use crate::event::Event;
use crate::schema::{Attribute, Class};

const LEVELS: [&str; 5] = ["INFO", "ERROR", "WARNING", "DEBUG", "FATAL"];

/// The level, and what follows it.
fn leveled(text: &str) -> Option<(&'static str, &str)> {
    let rest = text.strip_prefix('[')?;
    LEVELS.into_iter().find_map(|level| Some((level, rest.strip_prefix(level)?.strip_prefix("] ")?)))
}

/// Whether a level begins the line, and a query or a plugin of the server follows it.
pub(super) fn looks(text: &str) -> bool {
    leveled(text).is_some_and(|(_, rest)| is_own(rest) || word(word(rest).1).0 == "-")
}

/// Whether the server speaks of a plugin.
fn is_own(rest: &str) -> bool {
    rest.starts_with("plugin/") || rest.starts_with("CoreDNS-")
}

/// Reads a line; false where it is neither.
pub(super) fn parse<'a>(text: &'a str, _: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((word_of_level, rest)) = leveled(text) else { return false };
    event.push(Attribute::MetadataLogFormat, "coredns");
    event.push(Attribute::MetadataLogLevel, word_of_level);
    event.push(Attribute::MetadataLogProvider, "coredns");
    event.severity_id = level(word_of_level).unwrap_or(1);
    event.push(Attribute::Message, rest);
    if is_own(rest) {
        return remark("coredns", rest, event);
    }
    query(rest, event).is_some()
}

/// A query and how it was answered.
fn query<'a>(text: &'a str, event: &mut Event<'a>) -> Option<()> {
    let (client, rest) = word(text);
    let (host, number) = client.rsplit_once(':')?;
    let (address, number) = (endpoint::ip(host)?, port(number)?);
    let (id, _) = word(word(rest).1);
    let (asked, rest) = between(rest, "\"", "\" ")?;
    let mut words = asked.split(' ');
    let (kind, class, name, protocol) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let (code, rest) = word(rest);
    event.class = Class::DnsActivity;
    event.activity_id = 2;
    event.push(Attribute::SrcEndpointIp, address);
    event.push(Attribute::SrcEndpointPort, number);
    transport::push(event, Some(protocol));
    event.push(Attribute::QueryHostname, name);
    event.push(Attribute::QueryType, kind);
    event.push(Attribute::QueryClass, class);
    event.push(Attribute::QueryPacketUid, id.parse::<u16>().map(i64::from).unwrap_or_default());
    push_rcode(event, code.into());
    let (flags, rest) = word(rest);
    event.unmap("flags", flags);
    event.unmap("response_size", word(rest).0);
    event.unmap("duration", word(word(rest).1).0);
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::normalized;

    #[test]
    fn queries_have_client_name_and_code() {
        let event = normalized(
            r#"[INFO] 192.0.2.7:4711 - 9 "AAAA IN a.example.com. udp 39 false 512" NXDOMAIN qr,aa,rd 132 0.00021s"#,
        );
        assert_eq!((&event["type_uid"], &event["rcode_id"]), (&json!(400_302), &json!(3)));
        assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.7", "port": 4711}));
        assert_eq!(
            event["query"],
            json!({"hostname": "a.example.com.", "type": "AAAA", "class": "IN", "packet_uid": 9})
        );
        assert_eq!(event["connection_info"]["protocol_name"], "udp");
        let event = normalized(
            r#"2026-03-16T09:00:00.123456789Z stdout F [INFO] [2001:db8::7]:4711 - 9 "A IN a. tcp 39 false 512" NOERROR qr 132 0.1s"#,
        );
        assert_eq!((&event["type_uid"], &event["src_endpoint"]["ip"]), (&json!(400_302), &json!("2001:db8::7")));
    }

    #[test]
    fn what_the_server_says_has_a_class_by_its_weight() {
        for (line, kind) in [
            ("[ERROR] plugin/errors: 2 a.example. A: read udp 192.0.2.7:5->192.0.2.53:53: i/o timeout", 600_801),
            ("[INFO] plugin/reload: Running configuration MD5 = abc", 600_299),
            ("[INFO] CoreDNS-1.11.1", 600_299),
            ("[INFO] words", 0),
        ] {
            assert_eq!(normalized(line)["type_uid"], kind, "{line}");
        }
    }
}
