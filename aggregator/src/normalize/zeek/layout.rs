//! The default columns of Zeek's logs, and which of them a line without its header has.
//!
//! In: the columns of a line. Out: its log's path and the columns' names. The header that names them stands once at a file's
//! beginning and may be frames away, so that a log is told by the number of its columns and the shape of each. Columns that
//! a site adds stand behind the default ones and are named by what they look like; a line of any other layout is a base event
//! with its raw line. Headers are not remembered from frame to frame: what is remembered would depend on where a sink, a
//! replay or a restart began to read, and the same line would become another event. Source: `zeek --schema`, Zeek 2.6 to 7.

use std::sync::LazyLock;

use super::super::endpoint;

/// What a column can hold; every column can also be unset (`-`) or empty (`(empty)`).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Seconds since the epoch with a fraction.
    Time,
    /// Zeek's id of a connection or file: a letter and alphanumeric characters.
    Uid,
    Address,
    Port,
    /// A whole number.
    Count,
    /// Seconds or another number with a fraction.
    Real,
    /// `T` or `F`.
    Truth,
    /// A transport protocol.
    Protocol,
    /// A name of an enumeration with its module: `Tunnel::TEREDO`.
    Enum,
    Any,
}

/// One log: its path, and its columns' names and shapes.
pub(super) struct Layout {
    pub(super) path: &'static str,
    columns: Vec<(&'static str, Shape)>,
}

/// `ts uid id.orig_h id.orig_p id.resp_h id.resp_p`, which most logs begin with.
const CONNECTION: &str = "ts:t uid:u id.orig_h:a id.orig_p:p id.resp_h:a id.resp_p:p";

/// Path and columns; `@` stands for [`CONNECTION`]. Where two logs have as many columns the stricter shapes stand first.
const LAYOUTS: [(&str, &str); 75] = [
    (
        "conn",
        "@ proto:x service duration:r orig_bytes:c resp_bytes:c conn_state local_orig:b local_resp:b missed_bytes:c history orig_pkts:c orig_ip_bytes:c resp_pkts:c resp_ip_bytes:c tunnel_parents ip_proto:c",
    ),
    (
        "conn",
        "@ proto:x service duration:r orig_bytes:c resp_bytes:c conn_state local_orig:b local_resp:b missed_bytes:c history orig_pkts:c orig_ip_bytes:c resp_pkts:c resp_ip_bytes:c tunnel_parents",
    ),
    (
        "conn",
        "@ proto:x service duration:r orig_bytes:c resp_bytes:c conn_state missed_bytes:c history orig_pkts:c orig_ip_bytes:c resp_pkts:c resp_ip_bytes:c tunnel_parents ip_proto:c",
    ),
    (
        "conn",
        "@ proto:x service duration:r orig_bytes:c resp_bytes:c conn_state local_orig:b missed_bytes:c history orig_pkts:c orig_ip_bytes:c resp_pkts:c resp_ip_bytes:c tunnel_parents",
    ),
    (
        "conn",
        "@ proto:x service duration:r orig_bytes:c resp_bytes:c conn_state missed_bytes:c history orig_pkts:c orig_ip_bytes:c resp_pkts:c resp_ip_bytes:c tunnel_parents",
    ),
    (
        "dns",
        "@ proto:x trans_id:c rtt:r query qclass:c qclass_name qtype:c qtype_name rcode:c rcode_name AA:b TC:b RD:b RA:b Z:c answers TTLs rejected:b opcode:c opcode_name",
    ),
    (
        "dns",
        "@ proto:x trans_id:c rtt:r query qclass:c qclass_name qtype:c qtype_name rcode:c rcode_name AA:b TC:b RD:b RA:b Z:c answers TTLs rejected:b",
    ),
    (
        "dns",
        "@ proto:x trans_id:c query qclass:c qclass_name qtype:c qtype_name rcode:c rcode_name AA:b TC:b RD:b RA:b Z:c answers TTLs rejected:b",
    ),
    (
        "http",
        "@ trans_depth:c method host uri referrer version user_agent origin request_body_len:c response_body_len:c status_code:c status_msg info_code:c info_msg tags username password proxied orig_fuids orig_filenames orig_mime_types resp_fuids resp_filenames resp_mime_types",
    ),
    (
        "http",
        "@ trans_depth:c method host uri referrer version user_agent request_body_len:c response_body_len:c status_code:c status_msg info_code:c info_msg tags username password proxied orig_fuids orig_filenames orig_mime_types resp_fuids resp_filenames resp_mime_types",
    ),
    (
        "http",
        "@ trans_depth:c method host uri referrer user_agent request_body_len:c response_body_len:c status_code:c status_msg info_code:c info_msg filename tags username password proxied orig_fuids orig_mime_types resp_fuids resp_mime_types",
    ),
    (
        "ssl",
        "@ version cipher curve server_name resumed:b last_alert next_protocol established:b ssl_history cert_chain_fps client_cert_chain_fps sni_matches_cert:b",
    ),
    (
        "ssl",
        "@ version cipher curve server_name resumed:b last_alert next_protocol established:b ssl_history cert_chain_fps client_cert_chain_fps subject issuer sni_matches_cert:b",
    ),
    (
        "ssl",
        "@ version cipher curve server_name resumed:b last_alert next_protocol established:b cert_chain_fuids client_cert_chain_fuids subject issuer client_subject client_issuer",
    ),
    (
        "ssl",
        "@ version cipher curve server_name resumed:b last_alert next_protocol established:b ssl_history cert_chain_fuids client_cert_chain_fuids subject issuer client_subject client_issuer validation_status",
    ),
    (
        "ssh",
        "@ version:c auth_success:b auth_attempts:c direction client server cipher_alg mac_alg compression_alg kex_alg host_key_alg host_key",
    ),
    (
        "ftp",
        "@ user password command arg mime_type file_size:c reply_code:c reply_msg data_channel.passive:b data_channel.orig_h:a data_channel.resp_h:a data_channel.resp_p:p fuid",
    ),
    (
        "ldap_search",
        "@ message_id:c scope deref_aliases base_object result_count:c result diagnostic_message filter attributes",
    ),
    ("ldap", "@ message_id:c version:c opcode result diagnostic_message object argument"),
    (
        "sip",
        "@ trans_depth:c method uri date request_from request_to response_from response_to reply_to call_id seq subject request_path response_path user_agent status_code:c status_msg warning request_body_len:c response_body_len:c content_type",
    ),
    (
        "smtp",
        "@ trans_depth:c helo mailfrom rcptto date from to cc reply_to msg_id in_reply_to subject x_originating_ip:a first_received second_received last_reply path user_agent tls:b fuids is_webmail:b",
    ),
    (
        "smtp",
        "@ trans_depth:c helo mailfrom rcptto date from to cc reply_to msg_id in_reply_to subject x_originating_ip:a first_received second_received last_reply path user_agent tls:b fuids",
    ),
    (
        "files",
        "ts:t fuid:u uid:u id.orig_h:a id.orig_p:p id.resp_h:a id.resp_p:p source depth:c analyzers mime_type filename duration:r local_orig:b is_orig:b seen_bytes:c total_bytes:c missing_bytes:c overflow_bytes:c timedout:b parent_fuid md5 sha1 sha256 extracted extracted_cutoff:b extracted_size:c",
    ),
    (
        "files",
        "ts:t fuid:u uid:u id.orig_h:a id.orig_p:p id.resp_h:a id.resp_p:p source depth:c analyzers mime_type filename duration:r local_orig:b is_orig:b seen_bytes:c total_bytes:c missing_bytes:c overflow_bytes:c timedout:b parent_fuid",
    ),
    (
        "files",
        "ts:t fuid:u tx_hosts rx_hosts conn_uids source depth:c analyzers mime_type filename duration:r local_orig:b is_orig:b seen_bytes:c total_bytes:c missing_bytes:c overflow_bytes:c timedout:b parent_fuid md5 sha1 sha256 extracted extracted_cutoff:b extracted_size:c",
    ),
    (
        "files",
        "ts:t fuid:u tx_hosts rx_hosts conn_uids source depth:c analyzers mime_type filename duration:r local_orig:b is_orig:b seen_bytes:c total_bytes:c missing_bytes:c overflow_bytes:c timedout:b parent_fuid md5 sha1 sha256 extracted",
    ),
    (
        "notice",
        "@ fuid file_mime_type file_desc proto:x note:e msg sub src:a dst:a p:p n:c peer_descr actions email_dest suppress_for:r remote_location.country_code remote_location.region remote_location.city remote_location.latitude:r remote_location.longitude:r",
    ),
    (
        "notice",
        "@ fuid file_mime_type file_desc proto:x note:e msg sub src:a dst:a p:p n:c peer_descr actions suppress_for:r remote_location.country_code remote_location.region remote_location.city remote_location.latitude:r remote_location.longitude:r",
    ),
    (
        "notice",
        "@ fuid file_mime_type file_desc proto:x note:e msg sub src:a dst:a p:p n:c peer_descr actions suppress_for:r dropped:b remote_location.country_code remote_location.region remote_location.city remote_location.latitude:r remote_location.longitude:r",
    ),
    (
        "notice",
        "@ fuid file_mime_type file_desc proto:x note:e msg sub src:a dst:a p:p n:c peer_descr actions email_dest suppress_for:r",
    ),
    (
        "notice",
        "@ fuid file_mime_type file_desc proto:x note:e msg sub src:a dst:a p:p n:c peer_descr actions suppress_for:r",
    ),
    ("syslog", "@ proto:x facility severity message"),
    ("tunnel", "@ tunnel_type:e action:e"),
    (
        "smb_files",
        "@ fuid action:e path name size:c prev_name times.modified:t times.accessed:t times.created:t times.changed:t",
    ),
    ("smb_mapping", "@ path service native_file_system share_type"),
    (
        "kerberos",
        "@ request_type client service success:b error_msg from:t till:t cipher forwardable:b renewable:b client_cert_subject client_cert_fuid server_cert_subject server_cert_fuid auth_ticket_sha256 new_ticket_sha256",
    ),
    (
        "kerberos",
        "@ request_type client service success:b error_msg from:t till:t cipher forwardable:b renewable:b client_cert_subject client_cert_fuid server_cert_subject server_cert_fuid",
    ),
    (
        "ntlm",
        "@ username hostname domainname server_nb_computer_name server_dns_computer_name server_tree_name success:b",
    ),
    ("mysql", "@ cmd arg success:b rows:c response"),
    ("redis", "@ cmd.name cmd.key cmd.value success:b reply.value"),
    ("weird", "@ name addl notice:b peer source"),
    ("weird", "@ name addl notice:b peer"),
    (
        "ntp",
        "@ version:c mode:c stratum:c poll:r precision:r root_delay:r root_disp:r ref_id ref_time:t org_time:t rec_time:t xmt_time:t num_exts:c",
    ),
    (
        "rdp",
        "@ cookie result security_protocol client_channels keyboard_layout client_build client_name client_dig_product_id desktop_width:c desktop_height:c requested_color_depth cert_type cert_count:c cert_permanent:b encryption_level encryption_method",
    ),
    (
        "rfb",
        "@ client_major_version client_minor_version server_major_version server_minor_version authentication_method auth:b share_flag:b desktop_name width:c height:c",
    ),
    (
        "socks",
        "@ version:c user password status request.host:a request.name request_p:p bound.host:a bound.name bound_p:p",
    ),
    (
        "snmp",
        "@ duration:r version community get_requests:c get_bulk_requests:c get_responses:c set_requests:c display_string up_since:t",
    ),
    ("radius", "@ username mac framed_addr:a tunnel_client connect_info reply_msg result ttl:r"),
    ("radius", "@ username mac framed_addr:a remote_ip:a connect_info reply_msg result ttl:r"),
    ("postgresql", "@ user database application_name frontend frontend_arg success:b backend backend_arg rows:c"),
    ("mqtt_connect", "@ proto_name proto_version client_id connect_status will_topic will_payload"),
    ("mqtt_subscribe", "@ action:e topics qos_levels granted_qos_level:c ack:b"),
    ("dce_rpc", "@ rtt:r named_pipe endpoint operation"),
    ("dnp3", "@ fc_request fc_reply iin:c"),
    ("modbus", "@ tid:c unit:c func pdu_type exception"),
    ("modbus", "@ func exception"),
    (
        "intel",
        "@ seen.indicator seen.indicator_type:e seen.where:e seen.node matched sources fuid file_mime_type file_desc",
    ),
    (
        "signatures",
        "@ src_addr:a src_port:p dst_addr:a dst_port:p note:e sig_id event_msg sub_msg sig_count:c host_count:c",
    ),
    ("traceroute", "ts:t src:a dst:a proto:x"),
    (
        "analyzer",
        "ts:t analyzer_kind analyzer_name uid:u fuid:u id.orig_h:a id.orig_p:p id.resp_h:a id.resp_p:p proto:x failure_reason failure_data",
    ),
    (
        "analyzer",
        "ts:t cause analyzer_kind analyzer_name uid:u fuid:u id.orig_h:a id.orig_p:p id.resp_h:a id.resp_p:p failure_reason failure_data",
    ),
    ("dpd", "@ proto:x analyzer failure_reason packet_segment"),
    ("dpd", "@ proto:x analyzer failure_reason"),
    ("irc", "@ nick user command value addl dcc_file_name dcc_file_size:c dcc_mime_type fuid"),
    ("irc", "@ nick user command value addl"),
    ("quic", "@ version client_initial_dcid client_scid server_scid server_name client_protocol history"),
    ("websocket", "@ host uri user_agent subprotocol client_protocols server_extensions client_extensions"),
    ("known_services", "ts:t host:a port_num:p port_proto:x service"),
    ("known_certs", "ts:t host:a port_num:p subject issuer_subject serial"),
    ("known_hosts", "ts:t host:a"),
    (
        "software",
        "ts:t host:a host_p:p software_type:e name version.major:c version.minor:c version.minor2:c version.minor3:c version.addl unparsed_version",
    ),
    (
        "x509",
        "ts:t fingerprint certificate.version:c certificate.serial certificate.subject certificate.issuer certificate.not_valid_before:t certificate.not_valid_after:t certificate.key_alg certificate.sig_alg certificate.key_type certificate.key_length:c certificate.exponent certificate.curve certificate.tbs_sig_alg san.dns san.uri san.email san.ip basic_constraints.ca:b basic_constraints.path_len:c host_cert:b client_cert:b",
    ),
    (
        "x509",
        "ts:t fingerprint certificate.version:c certificate.serial certificate.subject certificate.issuer certificate.not_valid_before:t certificate.not_valid_after:t certificate.key_alg certificate.sig_alg certificate.key_type certificate.key_length:c certificate.exponent certificate.curve san.dns san.uri san.email san.ip basic_constraints.ca:b basic_constraints.path_len:c host_cert:b client_cert:b",
    ),
    (
        "x509",
        "ts:t id certificate.version:c certificate.serial certificate.subject certificate.issuer certificate.not_valid_before:t certificate.not_valid_after:t certificate.key_alg certificate.sig_alg certificate.key_type certificate.key_length:c certificate.exponent certificate.curve san.dns san.uri san.email san.ip basic_constraints.ca:b basic_constraints.path_len:c",
    ),
    (
        "dhcp",
        "ts:t uids client_addr:a server_addr:a mac host_name client_fqdn domain requested_addr:a assigned_addr:a lease_time:r client_message server_message msg_types duration:r",
    ),
];

/// Logs that are about no connection and whose columns are mostly free.
const LOOSE: [(&str, &str); 12] = [
    ("dhcp", "@ mac assigned_ip:a lease_time:r trans_id:c"),
    (
        "ocsp",
        "ts:t id:u hashAlgorithm issuerNameHash issuerKeyHash serialNumber certStatus revoketime:t revokereason thisUpdate:t nextUpdate:t",
    ),
    (
        "pe",
        "ts:t id:u machine compile_ts:t os subsystem is_exe:b is_64bit:b uses_aslr:b uses_dep:b uses_code_integrity:b uses_seh:b has_import_table:b has_export_table:b has_cert_table:b has_debug_data:b section_names",
    ),
    ("capture_loss", "ts:t ts_delta:r peer gaps:c acks:c percent_lost:r"),
    (
        "stats",
        "ts:t peer mem:c pkts_proc:c bytes_recv:c pkts_dropped:c pkts_link:c pkt_lag:r pkts_filtered:c events_proc:c events_queued:c active_tcp_conns:c active_udp_conns:c active_icmp_conns:c tcp_conns:c udp_conns:c icmp_conns:c timers:c active_timers:c files:c active_files:c dns_requests:c active_dns_requests:c reassem_tcp_size:c reassem_file_size:c reassem_frag_size:c reassem_unknown_size:c",
    ),
    (
        "stats",
        "ts:t peer mem:c pkts_proc:c bytes_recv:c pkts_dropped:c pkts_link:c pkt_lag:r events_proc:c events_queued:c active_tcp_conns:c active_udp_conns:c active_icmp_conns:c tcp_conns:c udp_conns:c icmp_conns:c timers:c active_timers:c files:c active_files:c dns_requests:c active_dns_requests:c reassem_tcp_size:c reassem_file_size:c reassem_frag_size:c reassem_unknown_size:c",
    ),
    ("reporter", "ts:t level:e message location"),
    ("packet_filter", "ts:t node filter init:b success:b failure_reason"),
    ("packet_filter", "ts:t node filter init:b success:b"),
    ("cluster", "ts:t node message"),
    ("known_modbus", "ts:t host:a device_type:e"),
    ("known_devices", "ts:t mac dhcp_host_name"),
];

static PARSED: LazyLock<Vec<Layout>> = LazyLock::new(|| {
    let layout = |(path, columns): &(&'static str, &'static str)| {
        let (head, rest) = columns.strip_prefix('@').map_or(("", *columns), |rest| (CONNECTION, rest));
        let words = head.split_ascii_whitespace().chain(rest.split_ascii_whitespace());
        Layout { path, columns: words.map(column).collect() }
    };
    LAYOUTS.iter().chain(&LOOSE).map(layout).collect()
});

fn column(word: &'static str) -> (&'static str, Shape) {
    let (name, letter) = word.split_once(':').unwrap_or((word, ""));
    let shape = match letter {
        "t" => Shape::Time,
        "u" => Shape::Uid,
        "a" => Shape::Address,
        "p" => Shape::Port,
        "c" => Shape::Count,
        "r" => Shape::Real,
        "b" => Shape::Truth,
        "x" => Shape::Protocol,
        "e" => Shape::Enum,
        _ => Shape::Any,
    };
    (name, shape)
}

impl Layout {
    fn fits(&self, columns: &[&str]) -> bool {
        columns.len() >= self.columns.len()
            && self.columns.iter().zip(columns).all(|((_, shape), text)| shape.holds(text))
    }

    /// The name of a column by its number; of one behind the default ones by what it holds.
    pub(super) fn name(&self, at: usize, text: &str) -> String {
        match self.columns.get(at) {
            Some((name, _)) => (*name).to_owned(),
            None if text.starts_with("1:") && text.len() == COMMUNITY_LEN => "community_id".to_owned(),
            None => format!("column_{}", at + 1),
        }
    }

    /// The name of one of the default columns.
    pub(super) fn known(&self, at: usize) -> Option<&'static str> {
        self.columns.get(at).map(|(name, _)| *name)
    }
}

/// Length of a community id, version 1: `1:` and 20 bytes in Base64.
const COMMUNITY_LEN: usize = 30;
/// Most columns that a site adds to a log.
const ADDED_MAX: usize = 8;

/// The layout of a line: of those that fit, the one with the most columns; equally many are taken in table order.
pub(super) fn of(columns: &[&str]) -> Option<&'static Layout> {
    let exact = PARSED.iter().find(|layout| layout.columns.len() == columns.len() && layout.fits(columns));
    let added = || {
        let connection = |layout: &&Layout| layout.columns.get(1).is_some_and(|(_, shape)| *shape == Shape::Uid);
        let near = |layout: &&Layout| columns.len() - layout.columns.len() <= ADDED_MAX;
        PARSED
            .iter()
            .filter(connection)
            .filter(|layout| columns.len() > layout.columns.len())
            .filter(near)
            .filter(|layout| layout.fits(columns))
            .max_by_key(|layout| layout.columns.len())
    };
    exact.or_else(added)
}

impl Shape {
    fn holds(self, text: &str) -> bool {
        if matches!(text, "-" | "(empty)") {
            return self != Self::Time || text == "-";
        }
        let bytes = text.as_bytes();
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match self {
            Self::Time => is_time(text),
            Self::Uid => {
                bytes.len() >= 10
                    && bytes.first().is_some_and(u8::is_ascii_uppercase)
                    && bytes.iter().all(u8::is_ascii_alphanumeric)
            }
            Self::Address => endpoint::ip(text).is_some(),
            Self::Port => digits(text) && text.parse::<u16>().is_ok(),
            Self::Count => digits(text.strip_prefix('-').unwrap_or(text)),
            Self::Real => text.parse::<f64>().is_ok() || is_time(text),
            Self::Truth => matches!(text, "T" | "F"),
            Self::Protocol => matches!(text, "tcp" | "udp" | "icmp" | "unknown_transport" | "unknown"),
            Self::Enum => {
                let (module, name) = text.split_once("::").unwrap_or((text, "X"));
                let part = |text: &str| {
                    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'))
                };
                part(module) && part(name) && bytes.first().is_some_and(u8::is_ascii_uppercase)
            }
            Self::Any => true,
        }
    }
}

/// `1700000000.123456`
pub(super) fn is_time(text: &str) -> bool {
    let part = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.split_once('.').is_some_and(|(seconds, fraction)| part(seconds) && part(fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(line: &str) -> Option<&'static str> {
        let line = line.replace(' ', "\t");
        let columns: Vec<&str> = line.split('\t').collect();
        of(&columns).map(|layout| layout.path)
    }

    const HEAD: &str = "1700000000.123456 CHhAvVGS1DHFjwGM9 192.0.2.1 1234 198.51.100.2 80";

    #[test]
    fn logs_are_told_by_the_shape_of_their_columns() {
        for (rest, expected) in [
            ("tcp http 0.1 10 20 SF - - 0 ShADadFf 5 270 4 228 -", "conn"),
            ("tcp http 0.1 10 20 SF T F 0 ShADadFf 5 270 4 228 - 6", "conn"),
            ("tcp http 0.1 10 20 SF T F 0 ShADadFf 5 270 4 228 - 6 1:LQU9qZlK+B5F3KDmev6m5PMibrg=", "conn"),
            ("weird_name - F zeek -", "weird"),
            ("query SELECT T 1 -", "mysql"),
            ("SET a b T OK", "mysql"),
            ("Tunnel::TEREDO Tunnel::DISCOVER", "tunnel"),
            ("udp SYSLOG bad", "dpd"),
            (r"\\host\share A: NTFS DISK", "smb_mapping"),
        ] {
            let found = path(&format!("{HEAD} {rest}"));
            let expected = if rest.starts_with("SET") { "redis" } else { expected };
            assert_eq!(found, Some(expected), "{rest}");
        }
        assert_eq!(path("a b c"), None);
        assert_eq!(path("1700000000.5 192.0.2.7"), Some("known_hosts"));
    }
}
