//! What PostgreSQL's log says, in every form that it has.

use serde_json::json;

use super::super::super::testing::normalized;

#[test]
fn prefixes_are_read_by_the_shape_of_their_words() {
    let said = r#"FATAL:  password authentication failed for user "ann""#;
    for prefix in [
        "2026-03-16 09:00:00.500 UTC [7] ann@shop ",
        "192.0.2.7 2026-03-16 09:00:00.500 UTC [7] ann@shop ",
        "2026-03-16 09:00:00.500 UTC [7]: [3-1] user=ann,db=shop,app=[unknown],client=192.0.2.7 ",
        "2026-03-16 09:00:00.500 GMT 192.0.2.7(4444) ann shop [7-1] ann@shop ",
    ] {
        let event = normalized(&format!("{prefix}{said}"));
        assert_eq!((event["type_uid"].as_u64(), event["status_id"].as_u64()), (Some(300_201), Some(2)), "{prefix}");
        assert_eq!(event["user"]["name"], "ann");
        assert_eq!(event["time"], 1_773_651_600_500_i64, "{prefix}");
        assert_eq!(event["unmapped"]["database"], "shop");
        if prefix.contains("192.0.2.7") {
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.7", "{prefix}");
        }
    }
    let event = normalized(&format!("Mar 16 10:00:00 db postgres[7]: [3-1] {said}"));
    assert_eq!(event["class_uid"], 3002);
}

#[test]
fn times_and_sessions_are_read_in_rarer_prefixes() {
    for (line, kind) in [
        ("1773651600.500 [7] ann@shop FATAL:  password authentication failed for user \"ann\"", 300_201),
        ("2026-03-16 09:00:00 UTC-69b7c2d0.1a0-FATAL:  password authentication failed for user \"ann\"", 300_201),
        ("2026-03-16 09:00:00 UTC-69b7c2d0.1a0-LOG:  connection received: host=192.0.2.7 port=4444 pid=7", 400_101),
        ("2026-03-16 09:00:00 UTC [7] LOG:  replication connection authorized: user=ann", 300_201),
        (
            "2026-03-16 09:00:00 UTC:192.0.2.7(44):ann@shop:[7]:FATAL: password authentication failed for user \"ann\"",
            300_201,
        ),
    ] {
        let event = normalized(line);
        assert_eq!(
            (&event["type_uid"], &event["metadata"]["log_format"]),
            (&kind.into(), &"postgresql".into()),
            "{line}"
        );
        assert_eq!(event["time"].as_i64().map(|ms| ms / 1000), Some(1_773_651_600), "{line}");
    }
}

#[test]
fn a_code_before_the_message_is_the_events() {
    for (rest, kind, code) in [
        ("LOG:  00000: connection authorized: user=ann database=shop", 300_201, json!("00000")),
        ("FATAL:  28P01: password authentication failed for user \"ann\"", 300_201, json!("28P01")),
        ("LOG:  00000: statement: SELECT 1", 600_501, json!("00000")),
        ("ERROR:  42P01: relation \"t\" does not exist", 600_801, json!("42P01")),
        ("ERROR:  ABCDE: is none", 600_801, json!(null)),
    ] {
        let event = normalized(&format!("2026-03-16 09:00:00.500 UTC [7] {rest}"));
        assert_eq!((&event["type_uid"], &event["metadata"]["event_code"]), (&json!(kind), &code), "{rest}");
    }
}

#[test]
fn sessions_statements_and_errors_have_their_class() {
    let line = |rest: &str| normalized(&format!("2026-03-16 09:00:00.500 UTC [7] ann@shop 192.0.2.7(44) {rest}"));
    for (rest, type_uid) in [
        ("LOG:  connection received: host=192.0.2.7 port=4444", 400_101),
        ("LOG:  connection authorized: user=ann database=shop application_name=psql", 300_201),
        ("LOG:  disconnection: session time: 0:00:01.5 user=ann database=shop host=192.0.2.7 port=4444", 300_202),
        ("LOG:  statement: SELECT 1", 600_501),
        ("LOG:  duration: 0.2 ms  execute <unnamed>: DELETE FROM t", 600_507),
        ("LOG:  AUDIT: SESSION,1,1,WRITE,INSERT,TABLE,public.t,insert into t values (1),<none>", 600_505),
        ("ERROR:  relation \"t\" does not exist at character 15", 600_801),
        ("LOG:  database system is ready to accept connections", 600_203),
        ("LOG:  checkpoint starting: time", 600_299),
    ] {
        assert_eq!(line(rest)["type_uid"], type_uid, "{rest}");
    }
    let event = line("LOG:  statement: SELECT 1");
    assert_eq!(event["query_info"]["query_string"], "SELECT 1");
    assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "192.0.2.7", "port": 44}));
    assert_eq!(event["actor"]["user"]["name"], "ann");
}

#[test]
fn csv_and_json_say_the_same() {
    let csv = normalized(
        r#"2026-03-16 09:00:00.500 UTC,"ann","shop",7,"192.0.2.7:4444",62.1,3,"authentication",2026-03-16 09:00:00 UTC,3/1,0,FATAL,28P01,"password authentication failed for user ""ann""","Role ""x"".",,,,,,,,"","client backend",,0"#,
    );
    let json = normalized(
        r#"{"timestamp":"2026-03-16 09:00:00.500 UTC","user":"ann","dbname":"shop","pid":7,"remote_host":"192.0.2.7","remote_port":4444,"session_id":"62.1","line_num":3,"error_severity":"FATAL","state_code":"28P01","message":"password authentication failed for user \"ann\"","backend_type":"client backend"}"#,
    );
    for event in [csv, json] {
        assert_eq!(event["class_uid"], 3002);
        assert_eq!(event["time"], 1_773_651_600_500_i64);
        assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "192.0.2.7", "port": 4444}));
        assert_eq!(event["metadata"]["event_code"], "28P01");
    }
}

#[test]
fn prefixes_without_spaces_and_unknown_names_are_read() {
    let event = normalized(
        r#"2026-03-16 10:00:00 UTC:192.0.2.7(52311):bob@db:[9]:FATAL:  password authentication failed for user "bob""#,
    );
    assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.7", "port": 52311}));
    assert_eq!((&event["user"]["name"], &event["unmapped"]["database"]), (&json!("bob"), &json!("db")));
    let event = normalized(
        "2026-03-16 10:00:00.123 UTC [9] [unknown]@[unknown] LOG:  could not accept SSL connection: EOF detected",
    );
    assert_eq!((&event["type_uid"], &event["actor"]["user"]), (&json!(600_801), &json!(null)));
}

#[test]
fn a_statement_whose_client_is_not_named_is_its_process_s() {
    let event = normalized("2026-03-16 10:00:00.123 UTC [9] bob@db LOG:  statement: DROP TABLE x;");
    assert_eq!((&event["type_uid"], &event["src_endpoint"]), (&json!(600_507), &json!({"uid": "9"})));
    assert_eq!(event["query_info"]["query_string"], "DROP TABLE x;");
    let event = normalized("2026-03-16 10:00:00.123 UTC [9] bob@db STATEMENT:  select * from x;");
    assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(600_501), &json!(2)));
}

#[test]
fn what_syslog_puts_before_a_line_is_no_process() {
    for said in ["2026-03-16 09:00:00.500 UTC [7] ann@shop ", ""] {
        let line =
            format!("Mar 16 10:00:00 db postgres[7]: [3-1] {said}LOG:  connection received: host=192.0.2.7 port=44");
        let event = normalized(&line);
        assert_eq!((&event["type_uid"], &event["actor"]["process"]["pid"]), (&json!(400_101), &json!(7)), "{line}");
    }
    let event = normalized("2026-03-16 09:00:00 UTC [7-1] ann@shop LOG:  duration: 1234.567 ms  statement: SELECT 1");
    assert_eq!((&event["actor"]["process"]["pid"], &event["duration"]), (&json!(7), &json!(1234)));
}

#[test]
fn words_alone_in_angle_brackets_are_user_and_database() {
    let said = r#"FATAL:  password authentication failed for user "ann""#;
    for line in [
        format!("< 2026-03-16 09:00:00.500 UTC ann 192.0.2.7(4444) shop >{said}"),
        format!("< 2026-03-16 09:00:00.500 UTC [unknown] 192.0.2.7(4444) shop > {said}"),
    ] {
        let event = normalized(&line);
        assert_eq!((&event["type_uid"], &event["time"]), (&json!(300_201), &json!(1_773_651_600_500_i64)), "{line}");
        assert_eq!((&event["user"]["name"], &event["unmapped"]["database"]), (&json!("ann"), &json!("shop")), "{line}");
        assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.7", "port": 4444}), "{line}");
    }
    let event = normalized("< 2026-03-16 09:00:00.500 UTC    >LOG:  checkpoint starting: time");
    assert_eq!(event["type_uid"], 600_299);
}

#[test]
fn an_operator_s_wrapper_holds_the_same_record() {
    let event = normalized(
        r#"{"level":"info","ts":"2026-03-16T09:00:01Z","logger":"postgres","msg":"record","logging_pod":"db-1","record":{"log_time":"2026-03-16 09:00:00.500 UTC","user_name":"ann","database_name":"shop","process_id":"7","connection_from":"192.0.2.7:4444","session_id":"62.1","error_severity":"FATAL","sql_state_code":"28P01","message":"password authentication failed for user \"ann\"","backend_type":"client backend"}}"#,
    );
    assert_eq!((&event["type_uid"], &event["time"]), (&json!(300_201), &json!(1_773_651_600_500_i64)));
    assert_eq!((&event["user"]["name"], &event["metadata"]["event_code"]), (&json!("ann"), &json!("28P01")));
    assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.7", "port": 4444}));
    assert_eq!((&event["actor"]["process"]["pid"], &event["severity_id"]), (&json!(7), &json!(4)));
}

#[test]
fn a_time_in_brackets_is_the_lines() {
    let event =
        normalized("[2026-03-16 10:00:00.250 CET] 192.0.2.7: LOG:  connection authorized: user=ann database=shop");
    assert_eq!((&event["type_uid"], &event["time"]), (&json!(300_201), &json!(1_773_651_600_250_i64)));
    assert_eq!((&event["user"]["name"], &event["src_endpoint"]["ip"]), (&json!("ann"), &json!("192.0.2.7")));
    assert_eq!(event["actor"], json!(null));
    let event = normalized("[2026-03-16 10:00:00 UTC] [77]: ERROR:  relation \"a\" does not exist");
    assert_eq!((&event["time"], &event["actor"]["process"]["pid"]), (&json!(1_773_655_200_000_i64), &json!(77)));
}

#[test]
fn zones_with_one_meaning_are_applied() {
    for (zone, ms) in [("EST", 18_000_000), ("MST", 25_200_000), ("PKT", -18_000_000_i64)] {
        let event = normalized(&format!("2026-03-16 09:00:00.500 {zone} [7] LOG:  checkpoint starting: time"));
        assert_eq!(event["time"], 1_773_651_600_500_i64 + ms, "{zone}");
        assert_eq!(event["timezone_offset"], json!(null), "{zone}");
    }
}
