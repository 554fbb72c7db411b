use serde_json::{Value, json};

use super::super::testing::normalized;

#[test]
fn relays_zones_and_years_may_stand_before_the_host() {
    for (header, time) in [
        ("Mar 16 10:00:00 relay Mar 16 09:59:59 web-2 sshd[7]: ", 1_773_651_599),
        ("Mar 16 10:00:00 relay <86>Mar 16 09:59:59 web-2 sshd[7]: ", 1_773_651_599),
        ("Mar 16 10:00:00 relay 1 2026-03-16T09:59:59Z web-2 sshd 7 - - ", 1_773_655_199),
        ("2026-03-16T10:00:00Z relay <86>Mar 16 09:59:59 web-2 sshd[7]: ", 1_773_651_599),
        ("Mar 16 10:00:00 relay web-2 sshd[7]: ", 1_773_651_600),
        ("Mar 16 10:00:00 EET web-2 sshd[7]: ", 1_773_648_000),
        ("<86>Mar 16 10:00:00 +02:00 web-2 sshd[7]: ", 1_773_648_000),
        ("<86>2026 Mar 16 10:00:00 web-2 sshd[7]: ", 1_773_651_600),
        ("<86>Mar 16 10:00:00 web-2: sshd[7]: ", 1_773_651_600),
        ("<86>2026-03-16T10:00:00Z web-2: sshd[7]: ", 1_773_655_200),
        ("MAR 16 10:00:00 web-2 sshd[7]: ", 1_773_651_600),
        ("mar 16 10:00:00 web-2 sshd[7]: ", 1_773_651_600),
        ("2026-03-16 10:00:00\tAuth.Info\tweb-2\tsshd[7]: ", 1_773_651_600),
        ("2026-03-16 10:00:00\tAuth.Info\t192.0.2.9\tMar 16 10:00:00 web-2 sshd[7]: ", 1_773_651_600),
        ("Mar 16 10:00:00 relay Message forwarded from web-2: sshd[7]: ", 1_773_651_600),
    ] {
        let event = normalized(&format!("{header}Accepted password for bob from 192.0.2.1 port 5 ssh2"));
        assert_eq!(event["user"]["name"], "bob", "{header}");
        assert_eq!(event["unmapped"]["hostname"], "web-2", "{header}");
        assert_eq!(event["time"].as_i64().map(|ms| ms / 1000), Some(time), "{header}");
    }
}

#[test]
fn a_thread_may_stand_behind_the_process() {
    let event = normalized("Mar 16 10:00:00 h someone[21/0x7f]: something");
    assert_eq!(event["actor"]["process"], json!({"name": "someone", "pid": 21}));
    assert_eq!(event["unmapped"]["thread"], "0x7f");
}

#[test]
fn what_syslogd_says_of_itself_is_its_own() {
    for (line, count) in [
        ("Mar 16 10:00:00 web-2 last message repeated 3 times", Some(3)),
        ("Mar 16 10:00:00 web-2 sshd[7]: last message repeated 4 times", Some(4)),
        ("Mar 16 10:00:00 web-2 -- MARK --", None),
    ] {
        let event = normalized(line);
        assert_eq!((event["class_uid"].as_i64(), event["count"].as_i64()), (Some(1008), count), "{line}");
    }
}

/// `[program, pid, host, message]` as the event has them.
fn header(line: &str) -> Value {
    let event = normalized(line);
    let pid = &event["actor"]["process"]["pid"];
    json!([event["metadata"]["log_provider"], pid, event["unmapped"]["hostname"], event["message"]])
}

#[test]
fn headers_deviate_and_are_read() {
    for (line, expected) in [
        ("Jun 14 10:00:00 other app[7]: text", json!(["app", 7, "other", "text"])),
        ("Jun 14 10:00:00 web-1 app: text", json!(["app", null, null, "text"])),
        ("Jun 14 10:00:00 app[7]: text", json!(["app", 7, null, "text"])),
        ("Jun 14 10:00:00 app: text", json!(["app", null, null, "text"])),
        ("Jun 14 10:00:00 other /sbin/anacron[7]: text", json!(["/sbin/anacron", 7, "other", "text"])),
        ("Jun 14 10:00:00 other app(pam_x)[7]: text", json!(["app", 7, "other", "text"])),
        ("Jun 14 10:00:00 other app[]: text", json!(["app", null, "other", "text"])),
        ("2026-03-16T09:00:00.123 other sudo: text", json!(["sudo", null, "other", "text"])),
        ("Jun 14 10:00:00 relay 192.0.2.9 sudo: text", json!(["sudo", null, "192.0.2.9", "text"])),
        ("Jun 14 10:00:00 [app]: text", json!(["app", null, null, "text"])),
        ("Jun 14 10:00:00 [app] text", json!(["app", null, null, "text"])),
        ("Jun 14 10:00:00 other some text", json!([null, null, "other", "some text"])),
        ("Jun 14 10:00:00 --- last message", json!([null, null, null, "--- last message"])),
        ("Jun 14 10:00:00 mac com.apple.xpc[1] (com.apple.x): text", json!(["com.apple.xpc", 1, "mac", "text"])),
        ("Jun 14 10:00:00 mac fw[7] <Info>: text", json!(["fw", 7, "mac", "text"])),
        ("Jun 14 10:00:00 fe80::1 app[7]: text", json!(["app", 7, "fe80::1", "text"])),
        ("<13>app[7]: text", json!(["app", 7, null, "text"])),
        ("<13>Jun 14 10:00:00 other app[7]: text", json!(["app", 7, "other", "text"])),
        ("<13>2026-03-16T09:00:00Z other app[7]: text", json!(["app", 7, "other", "text"])),
        ("2026-03-16T09:00:00.123+01:00 other app: text", json!(["app", null, "other", "text"])),
        ("2026-03-16 09:00:00.123-0700  other app[7]: text", json!(["app", 7, "other", "text"])),
        ("2026-03-16T09:00:00Z WARNING app[7]: text", json!(["app", 7, null, "text"])),
        ("srv app[7]: text", json!(["app", 7, "srv", "text"])),
        ("<13>1 2026-03-16T09:00:00Z other app 7 - - text", json!(["app", 7, "other", "text"])),
        ("<13>1 - - - - - -", json!([null, null, null, ""])),
        ("67 <13>1 2026-03-16T09:00:00Z other app 7 - - text", json!(["app", 7, "other", "text"])),
        ("Jun 14 10:00:00 <4.6> other app[7]: text", json!(["app", 7, "other", "text"])),
        ("Jun 14 10:00:00 <auth.info> other app[7]: text", json!(["app", 7, "other", "text"])),
        ("Jun 14 10:00:00 other auth|security:info app[7]: text", json!(["app", 7, "other", "text"])),
        ("Jun 14 10:00:00 other authpriv.info app[7]: text", json!(["app", 7, "other", "text"])),
        ("Jun 14 10:00:00 Message forwarded from other: app[7]: text", json!(["app", 7, "other", "text"])),
        ("Fri Jun 14 10:00:00 2019 authpriv.info app[7]: text", json!(["app", 7, null, "text"])),
        ("Mon 2026-03-16 10:00:00 CET other app[7]: text", json!(["app", 7, "other", "text"])),
        ("1773653400.123456 other app[7]: text", json!(["app", 7, "other", "text"])),
        ("- 1131566461 2005.11.09 n1 Nov 9 12:01:01 n1/n1 app[7]: text", json!(["app", 7, "n1/n1", "text"])),
        ("Jun 14 10:00:00 other (app)[7]: text", json!(["app", 7, "other", "text"])),
        ("Jun 14 10:00:00 other app][7]: text", json!(["app", 7, "other", "text"])),
        ("Jun 14 10:00:00 other app]: text", json!(["app", null, "other", "text"])),
        ("Jun 14 10:00:00 other Some App[7]: text", json!(["Some App", 7, "other", "text"])),
        ("Jun 14 10:00:00 other  -- root[7]: text", json!(["login", 7, "other", "text"])),
    ] {
        assert_eq!(header(line), expected, "{line}");
    }
}

#[test]
fn what_has_no_header_is_not_syslog() {
    for line in ["", "text", "<999>text", "<>", "key: value", "2026-03-16 09:00:00 worker: text", "10.0.0.1 - - x"] {
        let format = &normalized(line)["metadata"]["log_format"];
        assert!(format == "raw" || format == "plain", "{line}: {format}");
    }
}

#[test]
fn priority_sets_facility_and_severity() {
    let event = normalized("<34>Oct 11 22:14:15 h app: text");
    assert_eq!(event["unmapped"], json!({"facility": "auth", "severity": "crit", "hostname": "h"}));
    assert_eq!(event["severity_id"], 4);
    let message = "Failed none for root from 192.0.2.1 port 5 ssh2";
    let event = normalized(&format!("Mar 16 10:00:00 h sshd[9]: [ID 12345 auth.notice] {message}"));
    assert_eq!(event["metadata"]["event_code"], "12345");
    assert_eq!(event["unmapped"]["facility"], "auth");
    assert_eq!(event["message"], message);
    assert_eq!(event["class_uid"], 3002);
    let event = normalized(&format!("Mar 16 10:00:00 h sshd[9]: [authpriv.notice]: {message}"));
    assert_eq!((&event["message"], &event["class_uid"]), (&json!(message), &json!(3002)));
    assert_eq!(event["unmapped"]["facility"], "authpriv");
}

#[test]
fn a_priority_before_an_iso_time_is_enough() {
    let event = normalized("<86>2026-03-16T10:00:00.5 web-2 su: 'su root' failed for bob on /dev/pts/8");
    assert_eq!((&event["type_uid"], &event["time"]), (&json!(300_207), &json!(1_773_651_600_500_i64)));
    let event = normalized("<13>2026-03-16T10:00:00+01:00 web-2 the door is open");
    assert_eq!((&event["time"], &event["message"]), (&json!(1_773_651_600_000_i64), &json!("the door is open")));
    assert_eq!((&event["unmapped"]["hostname"], &event["unmapped"]["facility"]), (&json!("web-2"), &json!("user")));
}

#[test]
fn a_full_time_of_the_journal_is_in_its_zone() {
    let event = normalized("Mon 2026-03-16 10:00:00 EDT web-2 systemd[1]: Started Foo.");
    assert_eq!(event["time"], 1_773_651_600_000_i64 + 5 * 3_600_000);
    let event = normalized("Mon 2026-03-16 10:00:00 QQT web-2 systemd[1]: Started Foo.");
    assert_eq!((&event["time"], &event["class_uid"]), (&json!(1_773_651_600_000_i64), &json!(6002)));
}

#[test]
fn structured_data_ends_where_it_must() {
    let data = r#"[a@1 b="c\"]" d="e"][f@2]"#;
    let event = normalized(&format!("<165>1 2003-10-11T22:14:15.003Z h app 7 ID47 {data} \u{feff}text"));
    assert_eq!(event["unmapped"]["a@1"]["b"], "c\"]");
    assert_eq!((&event["unmapped"]["a@1"]["d"], &event["unmapped"]["f@2"]), (&json!("e"), &json!("")));
    assert_eq!(event["message"], "text");
    assert_eq!(event["metadata"]["event_code"], "ID47");
    assert_eq!(event["time"], 1_065_910_455_003_i64);
    assert!(event.get("timezone_offset").is_none());
    let event = normalized(r#"<165>1 2003-10-11T22:14:15.003Z h app 7 ID47 [a@1 b="c text"#);
    assert!(event["unmapped"].get("a@1").is_none());
    assert_eq!(event["metadata"]["log_format"], "syslog");
}

#[test]
fn times_without_a_zone_are_the_hosts() {
    let event = normalized("Mar 16 10:00:00 h app: text");
    assert_eq!(event["time"], 1_773_651_600_000_i64);
    assert_eq!(event["timezone_offset"], 60);
    assert_eq!(event["metadata"]["original_time"], "Mar 16 10:00:00");
}

#[test]
fn uncommon_times_are_read_with_their_zone() {
    for (line, seconds) in [
        ("Mar 16 10:00:00 UTC h app[7]: text", 1_773_655_200),
        ("Mon 2026-03-16 10:00:00 UTC h app[7]: text", 1_773_655_200),
        ("Mon 2026-03-16 10:00:00 CET h app[7]: text", 1_773_651_600),
        ("1773653400.5 h app[7]: text", 1_773_653_400),
        ("- 1131566461 2005.11.09 n1 Nov 9 12:01:01 n1/n1 app[7]: text", 1_131_566_461),
    ] {
        assert_eq!(normalized(line)["time"].as_i64().map(|ms| ms / 1000), Some(seconds), "{line}");
    }
    let event = normalized("Jun 14 10:00:00 <4.3> other app[7]: text");
    assert_eq!(event["severity_id"], 3);
    assert_eq!(event["unmapped"]["facility"], "auth");
}

#[test]
fn an_access_log_line_inside_syslog_is_http_activity() {
    let line = r#"192.0.2.1 - - [16/Mar/2026:10:00:00 +0100] "GET / HTTP/1.1" 200 5 "-" "curl""#;
    let event = normalized(&format!("<190>Mar 16 10:00:00 h nginx: {line}"));
    assert_eq!(event["class_uid"], 4002);
    assert_eq!(event["metadata"]["log_format"], "syslog3164");
    assert_eq!(event["http_request"]["user_agent"], "curl");
}
