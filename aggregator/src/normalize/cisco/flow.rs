//! Connections of an ASA: their ends, protocol, translation, size and duration; what was denied and by which rule.
//!
//! An end is written `interface:address/port`, `address/port`, `interface/address(port)` or an address alone, followed by
//! ` (mapped/port)`, `(DOMAIN\user, tag)`, ` (user)`. Source: Cisco Secure Firewall ASA Series Syslog Messages.

use super::super::endpoint::{self, Address};
use super::super::outcome::{Control, controlled, failure, success};
use super::super::text::{between, cut, number, port, unquoted, word};
use super::{after, duration_ms, lasted};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// One end of a connection.
#[derive(Clone, Copy, Default)]
pub(super) struct End<'a> {
    pub(super) interface: Option<&'a str>,
    pub(super) host: &'a str,
    pub(super) port: Option<i64>,
    mapped: Option<(&'a str, Option<i64>)>,
    pub(super) user: Option<&'a str>,
}

impl<'a> End<'a> {
    /// Reads an end and gives what follows it.
    pub(super) fn parse(text: &'a str) -> Option<(Self, &'a str)> {
        let text = text.trim_start();
        if let Some((address, rest)) = text.strip_prefix('(').and_then(|rest| cut(rest, ")")) {
            return Address::parse(address).map(|_| (Self { host: address, ..Self::default() }, rest));
        }
        // The device's own interface is the one whose name has spaces.
        if let Some(rest) = text.strip_prefix("NP Identity Ifc:") {
            return Self::parse(rest).map(|(end, rest)| (Self { interface: Some("NP Identity Ifc"), ..end }, rest));
        }
        let stop = text.find([' ', '(', ',', ';']).unwrap_or(text.len());
        let (head, mut rest) = text.split_at_checked(stop)?;
        let mut end = Self::head(head.trim_end_matches(['.', ':']))?;
        loop {
            let inner = rest.trim_start().strip_prefix('(').and_then(|inner| cut(inner, ")"));
            let Some((inner, next)) = inner else { break };
            let direct = rest.starts_with('(');
            if direct && let Some((mapped, after)) = next.strip_prefix(':').and_then(Self::parse) {
                // `interface(access list):address/port`, as translations write it.
                return Some((Self { interface: Some(end.host), ..mapped }, after));
            }
            if direct && port(inner).is_some() && end.port.is_none() {
                end.port = port(inner);
            } else if inner.contains('\\') && end.user.is_none() {
                end.user = Some(inner.split_once(',').map_or(inner, |(user, _)| user));
            } else if let Some((address, mapped_port)) = inner.rsplit_once('/').filter(|_| end.mapped.is_none())
                && Address::parse(address).is_some()
            {
                end.mapped = Some((address, port(mapped_port)));
            } else if end.mapped.is_none() && endpoint::ip(inner).is_some() {
                end.mapped = Some((inner, None));
            } else {
                break;
            }
            rest = next;
        }
        Some((end, rest))
    }

    /// `interface:address/port`, `interface/address`, `user@address`, without what stands in parentheses.
    fn head(head: &'a str) -> Option<Self> {
        let with_port = |text: &'a str| match text.rsplit_once('/') {
            Some((host, number)) if port(number).is_some() => (host, port(number)),
            Some((host, service)) if endpoint::ip(host).is_some() => (host, service_port(service)),
            _ => (text, None),
        };
        let plain = |text: &'a str| {
            let (host, port) = with_port(text);
            Address::parse(host).filter(|found| matches!(found, Address::Ip(_)) || !host.contains(':'))?;
            Some(Self { host, port, ..Self::default() })
        };
        if let Some((user, address)) = head.split_once('@') {
            return plain(address).map(|end| Self { user: Some(user), ..end });
        }
        if let Some(end) = plain(head) {
            return Some(end);
        }
        let mark = head.find([':', '/'])?;
        let (interface, address) = (head.get(..mark)?, head.get(mark + 1..)?);
        plain(address).map(|end| Self { interface: Some(interface).filter(|name| !name.is_empty()), ..end })
    }

    fn push(&self, event: &mut Event<'a>, at: &Places) {
        match Address::parse(self.host) {
            Some(Address::Ip(ip)) => event.push(at.ip, ip),
            Some(Address::Name(name)) => event.push(at.hostname, name),
            None => return,
        }
        if let Some(port) = self.port {
            event.push(at.port, port);
        }
        if let Some(interface) = self.interface {
            event.push(at.interface, interface);
        }
        if let Some((address, port)) = self.mapped.filter(|mapped| *mapped != (self.host, self.port)) {
            event.unmap(at.mapped_ip, address);
            if let Some(port) = port {
                event.unmap(at.mapped_port, port);
            }
        }
    }
}

/// Where the parts of an end belong.
struct Places {
    ip: Attribute,
    hostname: Attribute,
    port: Attribute,
    interface: Attribute,
    mapped_ip: &'static str,
    mapped_port: &'static str,
}

const SOURCE: Places = Places {
    ip: Attribute::SrcEndpointIp,
    hostname: Attribute::SrcEndpointHostname,
    port: Attribute::SrcEndpointPort,
    interface: Attribute::SrcEndpointInterfaceName,
    mapped_ip: "mapped_src_ip",
    mapped_port: "mapped_src_port",
};

const DESTINATION: Places = Places {
    ip: Attribute::DstEndpointIp,
    hostname: Attribute::DstEndpointHostname,
    port: Attribute::DstEndpointPort,
    interface: Attribute::DstEndpointInterfaceName,
    mapped_ip: "mapped_dst_ip",
    mapped_port: "mapped_dst_port",
};

/// The services that these devices write in place of a port.
pub(super) fn service_port(service: &str) -> Option<i64> {
    Some(match service {
        "ssh" => 22,
        "telnet" => 23,
        "smtp" => 25,
        "domain" => 53,
        "www" | "http" => 80,
        "snmp" => 161,
        "https" => 443,
        "syslog" => 514,
        _ => return None,
    })
}

/// Sets both ends, and who was named beside them, as of a network activity.
pub(super) fn push_ends<'a>(event: &mut Event<'a>, source: Option<&End<'a>>, destination: Option<&End<'a>>) {
    event.class = Class::NetworkActivity;
    if let Some(end) = source {
        end.push(event, &SOURCE);
    }
    if let Some(end) = destination {
        end.push(event, &DESTINATION);
    }
    if let Some(user) = source.and_then(|end| end.user) {
        event.push(Attribute::ActorUserName, bare_user(user));
        if user.contains('\\') {
            event.unmap("src_user", user);
        }
    }
    if let Some(user) = destination.and_then(|end| end.user) {
        event.unmap("dst_user", user);
    }
}

/// `alice` of `LOCAL\alice`.
pub(super) fn bare_user(user: &str) -> &str {
    user.rsplit('\\').next().unwrap_or(user)
}

/// Sets the protocol that a text names first.
pub(super) fn push_protocol<'a>(event: &mut Event<'a>, text: &'a str) {
    const NAMES: [(&str, i64); 11] = [
        ("tcp", 6),
        ("udp", 17),
        ("icmp", 1),
        ("ipv6-icmp", 58),
        ("icmp6", 58),
        ("icmpv6", 58),
        ("gre", 47),
        ("esp", 50),
        ("ah", 51),
        ("igmp", 2),
        ("sctp", 132),
    ];
    let known = |word: &&str| NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).copied();
    let mut words = text.split([' ', '=', ',']).take(24);
    if let Some((name, number)) = words.find_map(|word| known(&word)) {
        event.push(Attribute::ConnectionProtocolName, name);
        event.push(Attribute::ConnectionProtocolNum, number);
        event.push(Attribute::ConnectionDirectionId, direction(text));
    } else if let Some(number) = after(text, "protocol ").and_then(number).filter(|n| *n < 256) {
        event.push(Attribute::ConnectionProtocolNum, number);
        event.push(Attribute::ConnectionDirectionId, direction(text));
    }
}

/// `connection_info.direction_id`: inbound 1, outbound 2, unknown 0.
fn direction(text: &str) -> i64 {
    let named = |word: &str| text.get(..text.len().min(48)).is_some_and(|head| cut(head, word).is_some());
    if named("nbound ") { 1 } else { i64::from(named("utbound ")) * 2 }
}

/// Two ends in whichever way a message joins them.
fn ends(message: &str) -> Option<(End<'_>, Option<End<'_>>)> {
    let mut named = None;
    for (open, closes) in [
        (" src ", ["dst ", "dest "]),
        // `for TCP flow A/p to B/p`
        (" flow ", ["to "; 2]),
        (" from ", ["to ", "to "]),
        (" for ", ["to ", "to "]),
        (" between ", ["and "; 2]),
        (" foreign_address ", ["local_address "; 2]),
        // `for through connections exceeded.A/p to B(C)/p`
        (" connections exceeded.", ["to "; 2]),
    ] {
        let Some((_, rest)) = cut(message, open) else { continue };
        let rest = rest.strip_prefix("laddr ").unwrap_or(rest);
        let Some((mut source, tail)) =
            End::parse(rest).filter(|(end, _)| !matches!(end.host, "through" | "foreign_address" | "from"))
        else {
            continue;
        };
        let close = closes.iter().find_map(|close| cut(tail, close)).filter(|(gap, _)| gap.len() < 64);
        let mut destination = close.and_then(|(_, rest)| End::parse(rest));
        if let Some((gap, _)) = close.filter(|_| source.port.is_none()) {
            source.port = port(gap.trim());
        }
        if let Some((end, rest)) = destination.as_mut().filter(|(end, _)| end.port.is_none() && source.port.is_some()) {
            end.port = port(word(rest.trim_start()).0);
        }
        let found = (source, destination.map(|(end, _)| end));
        // A word that is no address and has no other end may be anything; an address further on is better.
        if endpoint::ip(source.host).is_some() || found.1.is_some() {
            return Some(found);
        }
        named = named.or(Some(found));
    }
    if named.is_some() {
        return named;
    }
    let (source, rest) = cut(message, "src = ").and_then(|(_, rest)| End::parse(rest))?;
    Some((source, cut(rest, "dest = ").and_then(|(_, rest)| End::parse(rest)).map(|(end, _)| end)))
}

/// Whether a message names two ends of traffic by their addresses.
pub(super) fn between_ends(message: &str) -> bool {
    let known = |end: End<'_>| endpoint::ip(end.host).is_some();
    ends(message).is_some_and(|(source, destination)| known(source) && destination.is_some_and(known))
}

/// A message about traffic between two ends that the device dropped, refused or let pass.
pub(super) fn controlled_flow<'a>(message: &'a str, control: Control, event: &mut Event<'a>) -> bool {
    let Some((source, destination)) = ends(message) else { return false };
    push_ends(event, Some(&source), destination.as_ref());
    push_protocol(event, message);
    details(message, &source, event);
    controlled(event, control);
    if matches!(control, Control::Allowed | Control::Observed) {
        event.activity_id = 6;
        success(event);
    } else {
        event.activity_id = 5;
        failure(event, reason(message));
    }
    true
}

/// Why, where the message says so in passing.
fn reason(message: &str) -> &str {
    let tail = |mark| cut(message, mark).map(|(_, rest)| rest);
    let found = tail(" due to ").or_else(|| tail(": no ").map(|_| "no matching session"));
    let found = found.map(|text| cut(text, " from ").map_or(text, |(reason, _)| reason));
    let found = found.or_else(|| {
        let open = message.find(" (")?;
        let (inside, _) = between(message.get(open..)?, "(", ")")?;
        (inside.starts_with("no ") || inside.starts_with("No ")).then_some(inside)
    });
    found.or_else(|| tail("; ")).unwrap_or_default()
}

/// Rule, interface, flags, kind of ICMP.
fn details<'a>(message: &'a str, source: &End<'a>, event: &mut Event<'a>) {
    if let Some((rule, _)) = between(message, "access-group \"", "\"") {
        event.push(Attribute::FirewallRuleName, rule);
    } else if let Some(rule) = after(message, "outbound list ") {
        event.push(Attribute::FirewallRuleName, rule);
    }
    if source.interface.is_none()
        && let Some(interface) = after(message, " on interface ")
            .or_else(|| after(message, " on ").filter(|_| message.ends_with("interface")))
    {
        event.push(Attribute::SrcEndpointInterfaceName, interface.trim_end_matches('.'));
    }
    if let Some((_, flags)) = cut(message, " flags ") {
        let end = flags.find(" on ").unwrap_or(flags.len());
        event.unmap("tcp_flags", flags.get(..end).unwrap_or(flags).trim_end());
    }
    let kind = after(message, "type=").or_else(|| after(message, "(type ")).or_else(|| after(message, " type "));
    if let Some(kind) = kind.and_then(number) {
        event.unmap("icmp_type", kind);
    }
    let code = after(message, "code=").or_else(|| after(message, ", code ")).or_else(|| after(message, " code "));
    if let Some(code) = code.and_then(|code| number(code.trim_end_matches(')'))) {
        event.unmap("icmp_code", code);
    }
}

/// `access-list NAME permitted|denied|est-allowed PROTOCOL [for user U] IFC/A(p)(user) -> IFC/B(p) hit-cnt N first hit [h, h]`.
pub(super) fn access_list<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((rule, rest)) = message.strip_prefix("access-list ").map(word) else { return false };
    let (verdict, rest) = word(rest);
    let (protocol, rest) = word(rest);
    let (user, rest) = match rest.strip_prefix("for user ").map(word) {
        Some((user, rest)) => (Some(user), rest),
        None => (None, rest),
    };
    let Some((mut source, rest)) = End::parse(rest) else { return false };
    let rest = rest.trim_start().strip_prefix("->").unwrap_or(rest);
    let Some((destination, rest)) = End::parse(rest) else { return false };
    source.user = source.user.or(user.map(unquoted));
    push_ends(event, Some(&source), Some(&destination));
    push_protocol(event, protocol);
    event.push(Attribute::FirewallRuleName, rule);
    if let Some(hits) = after(rest, "hit-cnt ").and_then(number) {
        event.push(Attribute::Count, hits.max(1));
    }
    verdicted(matches!(verdict, "permitted" | "est-allowed"), event);
    true
}

/// What an access list let through or not.
pub(super) fn verdicted(permitted: bool, event: &mut Event<'_>) {
    if permitted {
        event.activity_id = 6;
        controlled(event, Control::Allowed);
        success(event);
    } else {
        event.activity_id = 5;
        controlled(event, Control::Blocked);
        failure(event, "");
    }
}

/// `Built …` and `Teardown …` of connections, translations and local hosts.
pub(super) fn connection<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((built, body)) = (match message.strip_prefix("Built ") {
        Some(body) => Some((true, body)),
        None => message.strip_prefix("Teardown ").map(|body| (false, body)),
    }) else {
        return false;
    };
    let found = if let Some((_, foreign)) = cut(body, "faddr ") {
        icmp(foreign)
    } else if let Some(host) = body.strip_prefix("local-host ") {
        End::parse(host).map(|(end, rest)| (end, None, rest))
    } else {
        two_ends(body)
    };
    let Some((mut first, mut second, tail)) = found else { return false };
    if body.starts_with("outbound ")
        && !body.starts_with("outbound ICMP")
        && let Some(local) = second.take()
    {
        second = Some(std::mem::replace(&mut first, local));
    }
    // What asks from outside is the foreign address.
    if body.starts_with("inbound ICMP")
        && requested(tail)
        && let Some(foreign) = second.take()
    {
        second = Some(std::mem::replace(&mut first, foreign));
    }
    push_ends(event, Some(&first), second.as_ref());
    push_protocol(event, body);
    event.activity_id = if built { 1 } else { 2 };
    if let Some(id) = after(body, " connection ").filter(|id| number(id).is_some() || id.parse::<u64>().is_ok()) {
        event.push(Attribute::ConnectionUid, id);
        if event.value(Attribute::ConnectionDirectionId).is_none() {
            event.push(Attribute::ConnectionDirectionId, direction(body));
        }
    }
    if let Some(ms) = after(tail, "duration ").and_then(duration_ms) {
        lasted(event, ms);
    }
    if let Some((_, bytes)) = cut(tail, "bytes ") {
        let (bytes, reason) = word(bytes);
        if let Ok(bytes) = bytes.parse::<u32>() {
            event.push(Attribute::TrafficBytes, bytes);
        }
        let reason = reason.strip_prefix("reason ").unwrap_or(reason);
        let reason = reason.rfind(" (").map_or(reason, |at| reason.get(..at).unwrap_or(reason));
        if !reason.is_empty() && !reason.starts_with('(') {
            event.push(Attribute::StatusDetail, reason);
        }
    }
    let named = tail.rfind('(').and_then(|at| between(tail.get(at..)?, "(", ")")).map(|(user, _)| user);
    // What translates an address that has no port stands in parentheses too.
    let is_name = |user: &&str| !user.is_empty() && !user.contains('/') && endpoint::ip(user).is_none();
    if let Some(user) = named.filter(is_name) {
        event.unmap("session_user", user);
        if first.user.is_none() {
            event.push(Attribute::ActorUserName, bare_user(user));
        }
    }
    success(event);
    true
}

/// Whether `type N` is a request of ICMP: for an echo, a time, information or a mask (RFC 792, RFC 950), or an echo of IPv6.
fn requested(tail: &str) -> bool {
    matches!(after(tail, "type "), Some("8" | "13" | "15" | "17" | "128"))
}

type Ends<'a> = (End<'a>, Option<End<'a>>, &'a str);

/// `… for|from A [user] to B [user] [tail]`.
fn two_ends(body: &str) -> Option<Ends<'_>> {
    let rest = cut(body, " for ").or_else(|| cut(body, " from ")).map(|(_, rest)| rest)?;
    let (mut first, rest) = End::parse(rest)?;
    let (gap, rest) = cut(rest, "to ")?;
    let (mut second, tail) = End::parse(rest)?;
    named(&mut first, gap);
    let gap = tail.find("duration ").and_then(|at| tail.get(..at)).unwrap_or_default();
    named(&mut second, gap);
    Some((first, Some(second), tail))
}

/// A user that stands as a word behind an end.
fn named<'a>(end: &mut End<'a>, gap: &'a str) {
    let gap = gap.trim();
    if end.user.is_none() && !gap.is_empty() && !gap.contains([' ', '(']) {
        end.user = Some(gap);
    }
}

/// `faddr F/n(user) gaddr G/n laddr L/n …`: from the local address to the foreign one.
fn icmp(text: &str) -> Option<Ends<'_>> {
    let (mut foreign, rest) = End::parse(text)?;
    let (_, rest) = cut(rest, "gaddr ")?;
    let (global, rest) = End::parse(rest)?;
    let (_, rest) = cut(rest, "laddr ")?;
    let (mut local, tail) = End::parse(rest)?;
    // What stands for the ports are the identifier and nothing.
    (foreign.port, local.port) = (None, None);
    if global.host != local.host {
        local.mapped = Some((global.host, None));
    }
    Some((local, Some(foreign), tail))
}
