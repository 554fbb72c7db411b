//! OpenVPN, the server's side: clients that connect, fail, get an address and leave (4014), logons (3002), the service (6002).
//!
//! `[TIME ][us=N ][CLIENT/]A:p text`, in a file or behind a syslog header. Source: OpenVPN 2.6, src/openvpn/{multi,ssl,forward,sig}.c,
//! error.c.

mod status;

use shared::time::Timestamp;

use super::super::endpoint::{self, push_destination, push_source};
use super::super::outcome::{LOW, failure, success};
use super::super::remark::{life, remark};
use super::super::syslog::Header;
use super::super::text::{between, cut, number, port, unquoted, word};
use super::super::timestamp::{self, Reference, Stamp};
use super::super::{Context, attempt};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Words that only messages of OpenVPN hold: a line that has a time and nothing else before them is its own.
const MARKS: [&str; 33] = [
    "MANAGEMENT: ",
    "Delayed exit in ",
    "AEAD Decrypt error: ",
    "OpenSSL: error",
    "TLS_ERROR: ",
    "OPTIONS IMPORT: ",
    "[AF_INET",
    "TLS: ",
    "TLS Error: ",
    "TLS Auth Error",
    "MULTI: ",
    "MULTI_sva: ",
    "VERIFY ",
    "SENT CONTROL",
    "PUSH: ",
    "Peer Connection Initiated",
    "peer info: ",
    "Inactivity timeout",
    "client-instance",
    "Data Channel",
    "Control Channel",
    "Incoming Data Channel",
    "Outgoing Data Channel",
    "Initialization Sequence Completed",
    "OpenVPN 2.",
    "AUTH_FAILED",
    "Connection reset, restarting",
    "PLUGIN_CALL",
    "AUTH-PAM",
    "Bad encapsulated packet",
    "Authenticate/Decrypt",
    "SIGTERM[",
    "SIGUSR1[",
];

/// Bytes of `2026-03-16 10:00:00 ` and `Mon Mar 16 10:00:00 2026 ` before a message.
const ISO_LEN: usize = 20;
const CTIME_LEN: usize = 25;
/// Most bytes of `[-] OVPN 2`.
const SERVED_MAX: usize = 24;
/// How far a header's time may be from that of the line it carries.
const DAY_NS: u64 = 86_400_000_000_000;

/// What messages of OpenVPN about itself begin with.
const BEGINS: [&str; 30] = [
    "read UDPv",
    "write UDPv",
    "read TCPv",
    "write TCPv",
    "write to TUN/TAP",
    "read from TUN/TAP",
    "RESOLVE: ",
    "tls-crypt unwrap error",
    "TUN/TAP device ",
    "/sbin/ip ",
    "/sbin/ifconfig ",
    "/sbin/route ",
    "/usr/sbin/ip ",
    "net_route_v",
    "net_addr_",
    "net_iface_",
    "library versions: ",
    "ROUTE_GATEWAY ",
    "ROUTE: ",
    "UDPv4 link ",
    "UDPv6 link ",
    "TCPv4_",
    "TCPv6_",
    "Socket Buffers: ",
    "Diffie-Hellman initialized",
    "IFCONFIG POOL",
    "ifconfig_pool_",
    "Could not determine IPv4/IPv6 protocol",
    "WARNING: --",
    "event_wait : ",
];

/// Whether a line may be of a server's own file.
pub(crate) fn looks(text: &str) -> bool {
    if status::looks(text) {
        return true;
    }
    let message = if super::vsftpd_looks(text) {
        text.get(CTIME_LEN..)
    } else if text.as_bytes().get(4) == Some(&b'-') && text.as_bytes().get(10) == Some(&b' ') {
        text.get(ISO_LEN..)
    } else {
        None
    };
    message.is_some_and(|message| {
        speaks_of_itself(message)
            || of_peer(message)
            || BEGINS.iter().any(|mark| message.starts_with(mark))
            || MARKS.iter().any(|mark| cut(text, mark).is_some())
    })
}

/// Whether a message begins with whom it is about: `192.0.2.1:5000 `, `bob/192.0.2.1:5000 `.
fn of_peer(message: &str) -> bool {
    let first = message.strip_prefix("us=").map_or(message, |rest| word(rest).1).split(' ').next().unwrap_or_default();
    first.contains(':') && !first.ends_with(':') && peer(first).is_some_and(|peer| peer.port.is_some())
}

/// Whether a message is one that the process writes as it starts and ends (options.c, init.c, tun.c, socket.c, platform.c).
fn speaks_of_itself(message: &str) -> bool {
    let (first, rest) = word(message);
    let begins: &[&str] = match first {
        "WARNING:" => {
            &["this configuration may cache", "No server certificate", "file '", "cipher with small", "Your "]
        }
        "NOTE:" | "Note:" => {
            &["the current --script", "your local LAN", "OpenVPN ", "Kernel support for", "--", "cipher "]
        }
        "DEPRECATED" => &["OPTION: ", "FEATURE: "],
        "Exiting" => &["due to fatal error"],
        "Closing" => &["TUN/TAP interface"],
        "Options" => &["error: "],
        "GID" | "UID" => &["set to "],
        "TCP/UDP:" | "TCP:" => &["Preserving ", "Incoming ", "connect to ", "Closing "],
        "TCP" | "UDP" => &["link ", "connection established"],
        "Attempting" => &["to establish TCP connection"],
        "Restart" => &["pause, "],
        "Current" => &["Parameter Settings:"],
        "Preserving" => &["previous TUN/TAP instance"],
        "CRL:" => &["loaded ", "cannot "],
        "Local" | "Expected" => &["Options String", "Remote Options"],
        "Re-using" => &["pre-shared static key", "SSL/TLS context"],
        "LZO" | "LZ4" => &["compression init"],
        "do_ifconfig," => &["ipv"],
        _ => &[],
    };
    begins.iter().any(|start| rest.starts_with(start))
}

/// Reads a line of a file.
pub(crate) fn parse_line<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    if status::looks(text) {
        return status::parse(text, event);
    }
    if !looks(text) {
        return false;
    }
    let Some((stamp, rest)) = timed(text, context.reference) else { return false };
    let (stamp, rest) = finer(stamp, rest.trim_start());
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "openvpn");
    event.push(Attribute::MetadataLogProvider, "openvpn");
    event.push(Attribute::Message, rest);
    said_or_own(rest, event)
}

/// `us=821854`: the fraction of the second, which stands behind the time.
fn finer<'a>(stamp: Stamp<'a>, rest: &'a str) -> (Stamp<'a>, &'a str) {
    let Some((micros, rest)) = rest.strip_prefix("us=").map(word) else { return (stamp, rest) };
    let micros = number(micros).filter(|micros| *micros < 1_000_000).unwrap_or_default();
    (Stamp { time: Timestamp(stamp.time.0.saturating_add(micros * 1000)), ..stamp }, rest)
}

/// What is about no client is about the server itself.
fn said_or_own<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    if attempt(|text, (), event| said(text, event), text, &(), event) {
        return true;
    }
    let mut warned = ["WARNING", "Error", "ERROR", "error", "failed"].iter();
    if warned.any(|mark| cut(text, mark).is_some()) {
        event.severity_id = event.severity_id.max(LOW);
    }
    remark("openvpn", text, event)
}

/// Reads a message of syslog.
pub(crate) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    parse_served(message, header, event) || said_or_own(message, event)
}

/// Reads a line that OpenVPN Access Server passes on: `[-] OVPN 2 OUT: 'Mon Mar 16 10:00:00 2026 bob/192.0.2.1:5000 …'`. The
/// header has told the time, but for the year.
pub(crate) fn parse_served<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((before, line)) = cut(message, " OUT: ").filter(|(before, _)| before.starts_with("[-] OVPN ")) else {
        return false;
    };
    if before.len() > SERVED_MAX {
        return false;
    }
    let line = unquoted(line);
    let Some((stamp, rest)) = timed(line, header.context.reference) else { return said_or_own(line, event) };
    let (stamp, rest) = finer(stamp, rest.trim_start());
    if event.time.0.abs_diff(stamp.time.0) > DAY_NS {
        event.time = stamp.time;
    }
    said_or_own(rest, event)
}

/// The time of a line and what follows it.
fn timed(text: &str, reference: Reference) -> Option<(Stamp<'_>, &str)> {
    let day = text.get(4..).filter(|_| super::vsftpd_looks(text));
    day.and_then(|rest| timestamp::bsd(rest.trim_start(), reference)).or_else(|| timestamp::iso(text, reference))
}

/// Whom a line is about.
#[derive(Clone, Copy, Default)]
struct Peer<'a> {
    name: Option<&'a str>,
    address: &'a str,
    port: Option<i64>,
}

/// `[CLIENT/][[AF_INET]]A:p`, `tcp4-server:A:p`.
fn peer(text: &str) -> Option<Peer<'_>> {
    let (name, rest) = match text.rsplit_once('/') {
        Some((name, rest)) => (Some(name), rest),
        None => (None, text),
    };
    let rest =
        rest.rsplit_once(']').filter(|(family, _)| family.starts_with("[AF_INET")).map_or(rest, |(_, rest)| rest);
    let rest = rest.trim_end_matches([',', ':', '.']);
    if let Some(address) = endpoint::ip(rest) {
        return Some(Peer { name, address, port: None });
    }
    let (host, number) = rest.rsplit_once(':')?;
    let address = endpoint::ip(host).or_else(|| host.rsplit_once(':').and_then(|(_, host)| endpoint::ip(host)))?;
    Some(Peer { name, address, port: port(number) })
}

fn said<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let (first, rest) = word(message);
    let (known, text) = match peer(first).filter(|_| first.contains(['.', ':'])) {
        Some(peer) => (Some(peer), rest),
        None => (None, message),
    };
    let inner = text.split(' ').filter(|word| word.contains("[AF_INET")).find_map(peer);
    let who = known.or(inner);
    if let Some(found) = logon(text, who, event) {
        return found;
    }
    if service(text, event) {
        return true;
    }
    let Some(who) = who.or_else(|| learned(text)) else { return false };
    event.class = Class::TunnelActivity;
    event.push(Attribute::TunnelTypeId, 0);
    event.push(Attribute::EmailProtocolName, "OpenVPN");
    // A server with one client names its port only behind the family.
    let port = who.port.or_else(|| inner.filter(|inner| inner.address == who.address)?.port);
    push_source(event, who.address, port);
    let named = between(text, "[", "] Peer Connection Initiated").map(|(name, _)| name).filter(|name| !name.is_empty());
    if let Some(name) = who.name.or(named).or_else(|| common_name(text)) {
        event.push(Attribute::UserName, name);
    }
    act(text, event);
    true
}

/// `MULTI: Learn: 10.8.0.6 -> CLIENT/A:p`.
fn learned(text: &str) -> Option<Peer<'_>> {
    cut(text, " -> ").and_then(|(_, rest)| peer(word(rest).0))
}

/// `CN=client` of a certificate's subject.
fn common_name(text: &str) -> Option<&str> {
    let (_, rest) = cut(text, "depth=0, ")?;
    let (_, rest) = cut(rest, "CN=")?;
    rest.split([',', '/']).next().filter(|name| !name.is_empty())
}

/// What the client is given inside the tunnel: `Learn: 10.8.0.6 -> …`, `pool returned IPv4=10.8.0.6, …`, `primary virtual IP for
/// CLIENT/A:p: 10.8.0.6`, `'PUSH_REPLY,…,ifconfig 10.8.0.6 10.8.0.5,…'`.
fn assigned(text: &str) -> Option<&str> {
    if let Some((assigned, _)) = between(text, "Learn: ", " -> ") {
        return Some(assigned);
    }
    if let Some((_, rest)) = cut(text, "pool returned IPv4=") {
        return rest.split([',', ' ']).next();
    }
    if let Some((_, rest)) = cut(text, "primary virtual IP") {
        return rest.rsplit_once(": ").map(|(_, assigned)| assigned);
    }
    let (_, pushed) = cut(text, "'PUSH_REPLY,")?;
    let (_, rest) = cut(pushed, "ifconfig ").filter(|(before, _)| before.is_empty() || before.ends_with(','))?;
    rest.split([' ', ',', '\'']).next()
}

/// What happened, by what the message says.
fn act<'a>(text: &'a str, event: &mut Event<'a>) {
    let says = |marks: &[&str]| marks.iter().any(|mark| cut(text, mark).is_some());
    if let Some(assigned) = assigned(text) {
        event.activity_id = 1;
        // A bridge learns hardware addresses.
        if let Some(assigned) = endpoint::ip(assigned) {
            event.push(Attribute::TunnelInterfaceIp, assigned);
        }
        success(event);
    } else if says(&["Peer Connection Initiated", "connection established with", "Initial packet from"]) {
        event.activity_id = 1;
        if let Some((_, session)) = cut(text, "sid=") {
            event.push(Attribute::SessionUid, session);
        }
        success(event);
    } else if says(&[
        "ERROR",
        "Error",
        "error",
        "Bad encapsulated",
        "Connection reset",
        "failed",
        "FAILED",
        "unroutable",
        "Fatal",
        "WARNING",
        "Inactivity timeout",
        "refused",
        "dropping",
    ]) {
        event.activity_id = if says(&["restarting", "Inactivity timeout"]) { 2 } else { 99 };
        if event.activity_id == 99 {
            event.push(Attribute::ActivityName, "Fail");
        }
        failure(event, text);
    } else if says(&["SIGTERM[", "SIGUSR1[", "client-instance exiting", "client-instance restarting", "disconnect"]) {
        event.activity_id = 2;
        success(event);
        event.push(Attribute::StatusDetail, text);
    } else if says(&["soft reset", "Re-using"]) {
        event.activity_id = 3;
        success(event);
    } else {
        event.activity_id = 99;
        event.push(Attribute::ActivityName, "Status");
        success(event);
    }
    if let Some((_, rest)) = cut(text, "Control Channel: ") {
        let mut parts = rest.split(", ");
        if let Some(version) = parts.next() {
            event.unmap("tls_version", version);
        }
        if let Some(cipher) = parts.next().and_then(|cipher| cipher.rsplit(' ').next()) {
            event.unmap("tls_cipher", cipher);
        }
    }
}

/// `TLS: Username/Password authentication succeeded for username 'bob'`, `TLS Auth Error: …`, `AUTH_FAILED`, `PAM … failed`.
/// None where the line is about something else.
fn logon<'a>(text: &'a str, who: Option<Peer<'a>>, event: &mut Event<'a>) -> Option<bool> {
    let good = cut(text, "authentication succeeded for username").is_some()
        || cut(text, "authentication deferred for username").is_some()
        // What pfSense's script that checks users says.
        || (text.starts_with("user '") && text.ends_with("' authenticated"));
    let bad = [
        "Auth Username/Password verification failed",
        "TLS Auth Error",
        "AUTH_FAILED",
        "failed to authenticate",
        "LDAP bind failed",
        "Incorrect password supplied",
        "AUTH-PAM: BACKGROUND: user",
        "' could not authenticate",
    ];
    let bad = bad.iter().any(|mark| cut(text, mark).is_some());
    if !good && !bad {
        return None;
    }
    let quoted = between(text, "username '", "'")
        .or_else(|| between(text, "user '", "'"))
        .or_else(|| between(text, "user \"", "\""))
        .or_else(|| between(text, "SENT CONTROL [", "]").filter(|(name, _)| *name != "UNDEF"));
    let user = quoted.map(|(user, _)| user).or_else(|| who.and_then(|who| who.name)).unwrap_or_default();
    event.class = Class::Authentication;
    event.activity_id = 1;
    event.push(Attribute::UserName, user);
    event.push(Attribute::ServiceName, "openvpn");
    event.push(Attribute::IsRemote, true);
    if let Some(who) = who {
        push_source(event, who.address, who.port);
    }
    if good {
        success(event)
    } else {
        failure(event, text)
    }
    Some(true)
}

/// `OpenVPN 2.6.8 x86_64-pc-linux-gnu …`, `Initialization Sequence Completed`, `SIGTERM[hard,] received, process exiting`,
/// `UDPv4 link local (bound): [AF_INET][undef]:1194`.
fn service<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let version = text.strip_prefix("OpenVPN 2.");
    let started = version.is_some() || text == "Initialization Sequence Completed";
    let stopped = text.starts_with("SIG") && cut(text, "process exiting").is_some();
    if !started && !stopped {
        if let Some((_, bound)) = cut(text, "link local (bound): ") {
            event.class = Class::NetworkActivity;
            event.activity_id = 7;
            success(event);
            return peer(bound).is_some_and(|peer| push_destination(event, peer.address, peer.port));
        }
        return false;
    }
    life("OpenVPN", if started { 3 } else { 4 }, event);
    if version.is_some() {
        event.push(Attribute::AppVersion, word(text.strip_prefix("OpenVPN ").unwrap_or(text)).0);
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn a_file_is_known_by_whom_its_lines_are_about_and_by_what_a_start_writes() {
        for head in ["Mon Mar 16 10:00:00 2026 ", "2026-03-16 10:00:00 "] {
            let event = normalized(&format!("{head}bob/192.0.2.1:5000 words that nobody knows"));
            assert_eq!((&event["type_uid"], &event["user"]["name"]), (&json!(401_499), &json!("bob")), "{head}");
            for message in
                ["GID set to nogroup", "Closing TUN/TAP interface", "Note: Kernel support for ovpn-dco missing"]
            {
                assert_eq!(normalized(&format!("{head}{message}"))["type_uid"], 600_299, "{head}{message}");
            }
            assert_ne!(normalized(&format!("{head}Closing shop"))["metadata"]["log_format"], "openvpn");
        }
    }

    #[test]
    fn clients_are_followed_in_files_and_syslog() {
        for (message, kind, user, status) in [
            ("192.0.2.1:5000 TLS: Initial packet from [AF_INET]192.0.2.1:5000, sid=1 2", 401_401, None, 1),
            ("TCP connection established with [AF_INET]192.0.2.1:5000", 401_401, None, 1),
            ("192.0.2.1:5000 [bob] Peer Connection Initiated with [AF_INET]192.0.2.1:5000", 401_401, Some("bob"), 1),
            ("192.0.2.1 [bob] Peer Connection Initiated with [AF_INET6]::ffff:192.0.2.1:5000", 401_401, Some("bob"), 1),
            ("bob/192.0.2.1:5000 MULTI: Learn: 198.51.100.6 -> bob/192.0.2.1:5000", 401_401, Some("bob"), 1),
            ("MULTI: Learn: 198.51.100.6 -> bob/192.0.2.1:5000", 401_401, Some("bob"), 1),
            ("192.0.2.1:5000 VERIFY OK: depth=0, CN=bob", 401_499, Some("bob"), 1),
            ("192.0.2.1:5000 TLS Error: TLS handshake failed", 401_499, None, 2),
            ("bob/192.0.2.1:5000 [bob] Inactivity timeout (--ping-restart), restarting", 401_402, Some("bob"), 2),
            ("bob/192.0.2.1:5000 SIGTERM[soft,remote-exit] received, client-instance exiting", 401_402, Some("bob"), 1),
            (
                "192.0.2.1:5000 TLS: Username/Password authentication succeeded for username 'bob'",
                300_201,
                Some("bob"),
                1,
            ),
            (
                "192.0.2.1:5000 TLS Auth Error: Auth Username/Password verification failed for peer",
                300_201,
                Some(""),
                2,
            ),
        ] {
            for line in [
                format!("Mar 16 10:00:00 h ovpn-server[9]: {message}"),
                format!("2026-03-16 10:00:00 us=123 {message}"),
                format!("Mon Mar 16 10:00:00 2026 {message}"),
            ] {
                let event = normalized(&line);
                assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(kind), &json!(status)), "{line}");
                assert_eq!(event["user"]["name"].as_str(), user, "{line}");
                assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.1", "port": 5000}), "{line}");
            }
        }
        assert_eq!(normalized("2026-03-16 10:00:00 OpenVPN 2.6.8 x86_64-pc-linux-gnu")["app"]["version"], "2.6.8");
    }

    #[test]
    fn addresses_inside_the_tunnel_and_the_time_s_fraction_are_read() {
        for said in [
            "MULTI: Learn: 198.51.100.6 -> bob/192.0.2.1:5000",
            "MULTI: primary virtual IP for bob/192.0.2.1:5000: 198.51.100.6",
            "SENT CONTROL [bob]: 'PUSH_REPLY,ping 10,ping-restart 120,ifconfig 198.51.100.6 198.51.100.5,peer-id 0' (status=1)",
        ] {
            for line in [
                format!("Mon Mar 16 10:00:00 2026 us=21854 bob/192.0.2.1:5000 {said}"),
                format!(
                    "Mar 16 10:00:00 h vpnserver: [-] OVPN 2 OUT: \"Mon Mar 16 08:00:00 2026 bob/192.0.2.1:5000 {said}\""
                ),
            ] {
                let event = normalized(&line);
                assert_eq!((&event["type_uid"], &event["user"]["name"]), (&json!(401_401), &json!("bob")), "{line}");
                assert_eq!(event["tunnel_interface"]["ip"], "198.51.100.6", "{line}");
                assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.1", "port": 5000}), "{line}");
                let ms = if line.contains(" us=") { 21 } else { 0 };
                assert_eq!(event["time"], 1_773_651_600_000_i64 + ms, "{line}");
            }
        }
        let event = normalized("Mar 16 10:00:00 h vpnserver: words of another server");
        assert_eq!(event["class_uid"], 0);
    }

    #[test]
    fn script_that_checks_users_names_them() {
        for (message, status) in [("user 'bob' authenticated", 1), ("user 'bob' could not authenticate.", 2)] {
            let event = normalized(&format!("Mar 16 10:00:00 fw openvpn[9]: {message}"));
            assert_eq!((&event["type_uid"], &event["user"]["name"]), (&json!(300_201), &json!("bob")), "{message}");
            assert_eq!(event["status_id"], status, "{message}");
        }
    }

    #[test]
    fn clients_of_a_status_file_are_read() {
        for line in [
            "CLIENT_LIST,bob,192.0.2.7:52311,10.8.0.6,,1234,5678,2026-03-16 10:00:00,1773655200,UNDEF,0,0,AES-256-GCM",
            "ROUTING_TABLE\t10.8.0.6\tbob\t192.0.2.7:52311\t2026-03-16 10:00:00\t1773655200",
        ] {
            let event = normalized(line);
            assert_eq!(event["type_uid"], 401_499, "{line}");
            assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "192.0.2.7", "port": 52311}));
            assert_eq!((&event["user"]["name"], &event["tunnel_interface"]["ip"]), (&"bob".into(), &"10.8.0.6".into()));
        }
    }
}
