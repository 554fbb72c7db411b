//! Error logs of Apache and nginx: logons that failed (3002), requests that came to nothing (4002), connections that did (4001),
//! the server's own life (6002), else what went wrong (6008) or a report (6002).
//!
//! In: a line as `apache` and `nginx` describe it. Class 6008 has no source: there the client stands in `unmapped.src_ip` and
//! `unmapped.src_port`. Rules of ModSecurity that matched are findings: `modsecurity` reads them.

mod apache;
mod logon;
mod nginx;

use super::remark::{life, report};
use super::text::{level, port};
use super::{Context, endpoint, outcome};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// `severity_id` from which a line says that something went wrong: 2, low, which a warning has.
const WARNING: u8 = 2;

/// Whether a line begins with a time in brackets or with slashes.
pub(super) fn looks(text: &str) -> bool {
    text.starts_with('[') || text.as_bytes().get(4) == Some(&b'/')
}

/// Reads a line; false where it is neither server's.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    apache::parse(text, context, event) || nginx::parse(text, context, event)
}

/// The client of a line.
#[derive(Clone, Copy)]
struct Client<'a> {
    address: &'a str,
    port: Option<i64>,
}

impl<'a> Client<'a> {
    /// `192.0.2.1`, `192.0.2.1:5`, `[2001:db8::1]:5`.
    fn read(text: &'a str) -> Option<Self> {
        if let Some(address) = endpoint::ip(text) {
            return Some(Self { address, port: None });
        }
        let (address, number) = text.rsplit_once(':')?;
        Some(Self { address: endpoint::ip(address)?, port: port(number) })
    }

    /// The source, in a class that has one.
    fn push(self, event: &mut Event<'a>) {
        if event.class.carries(Attribute::SrcEndpointIp) {
            endpoint::push_source(event, self.address, self.port);
            return;
        }
        event.unmap("src_ip", self.address);
        if let Some(port) = self.port {
            event.unmap("src_port", port.to_string());
        }
    }
}

/// The level and the severity it stands for.
fn said<'a>(word: &'a str, event: &mut Event<'a>) {
    event.push(Attribute::MetadataLogLevel, word);
    event.severity_id = level(word).unwrap_or(event.severity_id);
}

/// A connection and what became of it (4001).
fn connection(activity: u8, event: &mut Event<'_>) {
    event.class = Class::NetworkActivity;
    event.activity_id = activity;
}

/// The server, in a class that asks which application it was.
fn written_by(name: &'static str, event: &mut Event<'_>) {
    if event.class.carries(Attribute::ActorAppName) {
        event.push(Attribute::ActorAppName, name);
    }
}

/// From a warning on, something went wrong; below, a server spoke of itself.
fn weighed<'a>(name: &'static str, reason: &'a str, event: &mut Event<'a>) {
    if event.severity_id < WARNING {
        report(name, event);
        return;
    }
    event.class = Class::ApplicationError;
    event.activity_id = 1;
    outcome::failure(event, reason);
}

#[cfg(test)]
mod tests {
    use crate::normalize::testing::normalized;

    #[test]
    fn errors_of_apache_are_application_errors_with_their_client() {
        let event = normalized(
            "[Mon Mar 16 10:00:00.5 2026] [some_module:error] [pid 12:tid 34] [client [2001:db8::1]:5] AH00001: not today",
        );
        assert_eq!((event["type_uid"].as_u64(), event["severity_id"].as_u64()), (Some(600_801), Some(3)));
        assert_eq!(event["time"], 1_773_651_600_500_i64);
        assert_eq!(event["timezone_offset"], 60);
        assert_eq!(event["actor"]["process"]["pid"], 12);
        let unmapped = serde_json::json!({"module": "some_module", "src_ip": "2001:db8::1", "src_port": "5"});
        assert_eq!(event["unmapped"], unmapped);
        assert_eq!(event["status_detail"], "AH00001: not today");
        assert_eq!(event["metadata"]["event_code"], "AH00001");
        assert_eq!(event["observables"][0]["value"], "2001:db8::1");
    }

    #[test]
    fn a_directory_that_refuses_is_a_failed_logon() {
        let event = normalized(
            "[Mon Mar 16 10:00:00.5 2026] [authnz_ldap:info] [pid 12] [client 192.0.2.9:5] AH01695: auth_ldap authenticate: user bob authentication failed; URI / [User not found][No such object]",
        );
        assert_eq!((&event["type_uid"], &event["status_id"]), (&300_201.into(), &2.into()));
        assert_eq!((&event["user"]["name"], &event["src_endpoint"]["ip"]), (&"bob".into(), &"192.0.2.9".into()));
    }

    #[test]
    fn refusals_are_read_with_and_without_a_time() {
        for (said, source) in [
            (
                "[core:error] [pid 7] (13)Permission denied: [client ::1:50123] AH00132: file permissions deny server access: /a",
                "::1",
            ),
            (
                "[core:error] [pid 7:tid 8] (13)Permission denied [client 192.0.2.9] File does not exist: /a",
                "192.0.2.9",
            ),
            ("[error] [client 192.0.2.9] Directory index forbidden by rule: /a/", "192.0.2.9"),
        ] {
            for line in [format!("[Mon Mar 16 10:00:00 2026] {said}"), said.to_owned()] {
                let event = normalized(&line);
                assert_eq!((&event["type_uid"], &event["status_id"]), (&400_105.into(), &2.into()), "{line}");
                assert_eq!(event["src_endpoint"]["ip"], source, "{line}");
                assert_eq!(event["metadata"]["log_format"], "apache_error", "{line}");
            }
        }
    }

    #[test]
    fn answers_to_another_challenge_are_failed_logons() {
        for said in [
            "AH01788: realm mismatch - got `a' but expected `b'",
            "AH01793: invalid nonce x received - length is not 52",
        ] {
            let event = normalized(&format!(
                "[Mon Mar 16 10:00:00 2026] [auth_digest:error] [pid 7:tid 8] [client 192.0.2.9:5] {said}"
            ));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&300_201.into(), &2.into()), "{said}");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.9", "{said}");
            assert_eq!(event["metadata"]["event_code"], said.get(..7).unwrap_or_default(), "{said}");
        }
    }

    #[test]
    fn notices_are_reports() {
        let event = normalized("[Mon Mar 16 10:00:00 2026] [notice] all is well");
        assert_eq!((event["type_uid"].as_u64(), event["severity_id"].as_u64()), (Some(600_299), Some(1)));
        assert_eq!(event["message"], "all is well");
        assert_eq!(event["metadata"]["log_format"], "apache_error");
    }

    #[test]
    fn what_the_system_said_stands_before_the_client() {
        let event = normalized(
            "[Mon Mar 16 10:00:00 2026] [ssl:info] [pid 12:tid 34] (70014)End of file found: [client 192.0.2.9:5] AH02006: SSL handshake stopped: connection was closed",
        );
        assert_eq!((event["type_uid"].as_u64(), &event["status_code"]), (Some(400_104), &serde_json::json!("70014")));
        assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "192.0.2.9", "port": 5}));
        assert_eq!(event["metadata"]["event_code"], "AH02006");
    }

    #[test]
    fn in_syslog_the_header_tells_the_time() {
        for said in [
            "[core:error] [pid 7] [client 192.0.2.9:5] AH00126: Invalid URI in request GET /../a HTTP/1.1",
            "[authz_core:error] [pid 7:tid 8] [remote 192.0.2.9:5] AH01630: client denied by server configuration: /a",
            "[error] [client 192.0.2.9] File does not exist: /a",
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h apache2[7]: {said}"));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&400_105.into(), &2.into()), "{said}");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.9", "{said}");
            assert_eq!(event["time"], 1_773_651_600_000_i64, "{said}");
        }
        let event =
            normalized("[Mon Mar 16 10:00:00 2026] [proxy:error] [pid 7] (111)Connection refused: AH00957: http: x");
        assert_eq!(event["metadata"]["event_code"], "AH00957");
    }

    #[test]
    fn servers_that_begin_and_end_say_so() {
        for (line, kind) in [
            ("[Mon Mar 16 10:00:00 2026] [notice] jk2_init() Found child 7 in scoreboard slot 9", 600_203),
            (
                "[Mon Mar 16 10:00:00 2026] [mpm_event:notice] [pid 1:tid 2] AH00491: caught SIGTERM, shutting down",
                600_204,
            ),
            (
                "[Mon Mar 16 10:00:00 2026] [core:notice] [pid 1] AH00052: child pid 7 exit signal Segmentation fault (11)",
                600_801,
            ),
            ("2026/03/16 10:00:00 [notice] 1#1: start worker process 30", 600_203),
            ("2026/03/16 10:00:00 [notice] 1#1: signal 1 (SIGHUP) received, reconfiguring", 600_205),
            ("2026/03/16 10:00:00 [alert] 1#1: worker process 30 exited on signal 11 (core dumped)", 600_801),
        ] {
            assert_eq!(normalized(line)["type_uid"], kind, "{line}");
        }
    }

    #[test]
    fn errors_of_nginx_are_read() {
        let event = normalized(
            r#"2026/03/16 10:00:00 [error] 12#3: *4 no such page, client: 192.0.2.9, server: h, request: "GET /a HTTP/2.0", host: "www.example.com", referrer: "https://example.com/""#,
        );
        assert_eq!(event["type_uid"], 400_203);
        assert_eq!((&event["src_endpoint"]["ip"], &event["status_id"]), (&"192.0.2.9".into(), &2.into()));
        assert_eq!(event["http_request"]["url"]["hostname"], "www.example.com");
        assert_eq!(event["http_request"]["version"], "2.0");
        assert_eq!(event["status_detail"], "no such page");
        assert_eq!(event["actor"]["process"], serde_json::json!({"name": "nginx", "pid": 12}));
        assert_eq!(event["metadata"]["log_format"], "nginx_error");
        let event = normalized(
            "2026/03/16 10:00:00 [crit] 7#7: *5 SSL_do_handshake() failed (SSL: error) while SSL handshaking, client: 192.0.2.9, server: 0.0.0.0:443",
        );
        assert_eq!((event["type_uid"].as_u64(), event["dst_endpoint"]["port"].as_u64()), (Some(400_104), Some(443)));
    }

    #[test]
    fn logons_that_failed_and_mail_through_a_proxy_are_read() {
        for (line, kind, user, status) in [
            (
                r#"2026/03/16 10:00:00 [error] 12#3: *4 user "bob": password mismatch, client: 192.0.2.9, server: h, request: "GET /""#,
                300_201,
                "/user/name",
                2,
            ),
            (
                r#"2026/03/16 10:00:00 [error] 12#3: *4 user "bob" was not found in "/etc/p", client: 192.0.2.9, server: h"#,
                300_201,
                "/user/name",
                2,
            ),
            (
                "[Mon Mar 16 10:00:00 2026] [auth_basic:error] [pid 1] [client 192.0.2.9:5] AH01617: user bob: authentication failure for \"/\": Password Mismatch",
                300_201,
                "/user/name",
                2,
            ),
            (
                "[Mon Mar 16 10:00:00 2026] [proxy_fcgi:error] [pid 1:tid 9] [client 192.0.2.9:5] AH01071: Got error 'PHP message: user bob authentication failure for Baikal', referer: https://dav.example.com/",
                300_201,
                "/user/name",
                2,
            ),
            ("[Mon Mar 16 10:00:00 2026] [error] [client 192.0.2.9] user bob not found: /", 300_201, "/user/name", 2),
            (
                r#"2026/03/16 10:00:00 [info] 8#8: *4 client logged in, client: 192.0.2.9, server: 0.0.0.0:25, login: "bob", upstream: 198.51.100.1:25"#,
                300_201,
                "/user/name",
                1,
            ),
            (
                r#"2026/03/16 10:00:00 [info] 8#8: *4 proxied session done, client: 192.0.2.9, server: 0.0.0.0:25, login: "bob""#,
                400_102,
                "/actor/user/name",
                1,
            ),
        ] {
            let event = normalized(line);
            assert_eq!((event["type_uid"].as_u64(), event["status_id"].as_u64()), (Some(kind), Some(status)), "{line}");
            assert_eq!(event.pointer(user).and_then(|user| user.as_str()), Some("bob"), "{line}");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.9", "{line}");
        }
    }
}
