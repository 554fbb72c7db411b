use serde_json::json;

use super::super::testing::normalized;

fn columns(rest: &str) -> serde_json::Value {
    let line = format!("1773651600.250000 CHhAvVGS1DHFjwGM9 192.0.2.7 4444 198.51.100.9 80 {rest}");
    normalized(&line.replace(' ', "\t").replace('_', " "))
}

#[test]
fn a_connection_of_columns_is_network_activity() {
    let event = columns("tcp http 1.5 300 200 SF T F 0 ShADadFf 3 420 2 280 - 6");
    assert_eq!(event["type_uid"], 400_102);
    assert_eq!(event["time"], 1_773_651_600_250_i64);
    assert_eq!(event["duration"], 1500);
    assert_eq!(event["traffic"]["bytes_out"], 300);
    assert_eq!(event["connection_info"]["protocol_num"], 6);
    assert_eq!(event["connection_info"]["direction_id"], 2);
    assert_eq!(event["dst_endpoint"], json!({"ip": "198.51.100.9", "port": 80}));
    assert_eq!(columns("tcp - - - - REJ T F 0 Sr 1 60 1 40 - 6")["type_uid"], 400_105);
}

#[test]
fn the_same_log_as_json_says_the_same() {
    let event = normalized(
        r#"{"_path":"dns","ts":1773651600.25,"uid":"CHhAvVGS1DHFjwGM9","id.orig_h":"192.0.2.7","id.orig_p":4444,"id.resp_h":"198.51.100.9","id.resp_p":53,"proto":"udp","trans_id":5,"rtt":0.1,"query":"a.example.com","qtype_name":"A","rcode":3,"rcode_name":"NXDOMAIN","answers":["192.0.2.1","192.0.2.2"],"TTLs":[60.0,5.0]}"#,
    );
    assert_eq!(event["type_uid"], 400_306);
    assert_eq!(event["answers"], json!([{"rdata": "192.0.2.1", "ttl": 60}, {"rdata": "192.0.2.2", "ttl": 5}]));
    assert_eq!((event["rcode_id"].as_u64(), event["status_id"].as_u64()), (Some(3), Some(2)));
    let event = normalized(
        r#"{"ts":1773651600.25,"uid":"C1","id.orig_h":"192.0.2.7","id.orig_p":4,"id.resp_h":"198.51.100.9","id.resp_p":22,"version":2,"auth_attempts":0,"client":"SSH-2.0-x"}"#,
    );
    assert_eq!(event["class_uid"], 4007);
}

#[test]
fn headers_and_notices_are_read() {
    let event = normalized("#path\tconn");
    assert_eq!(event["unmapped"]["path"], "conn");
    assert_eq!(event["metadata"]["log_format"], "zeek");
    let event = normalized(
        r#"{"ts":1773651600.25,"note":"Scan::Port_Scan","msg":"192.0.2.7 scanned","src":"192.0.2.7","dst":"198.51.100.9","p":22,"actions":["Notice::ACTION_LOG"],"suppress_for":3600.0}"#,
    );
    assert_eq!(event["class_uid"], 2004);
    assert_eq!(event["finding_info"]["title"], "Scan::Port_Scan");
    assert_eq!(event["evidences"][0]["src_endpoint"]["ip"], "192.0.2.7");
}

#[test]
fn commands_of_smb_name_user_and_share() {
    let event = normalized(
        r#"{"ts":1773651600.25,"uid":"C1","id.orig_h":"192.0.2.7","id.orig_p":5,"id.resp_h":"198.51.100.9","id.resp_p":445,"command":"CREATE","status":"SUCCESS","rtt":0.1,"tree":"share-1","username":"bob"}"#,
    );
    assert_eq!((&event["type_uid"], &event["command"]), (&json!(400_699), &json!("CREATE")));
    assert_eq!((&event["actor"]["user"]["name"], &event["share"]), (&json!("bob"), &json!("share-1")));
}

#[test]
fn what_was_answered_is_the_outcome() {
    let said = |rest: &str| {
        normalized(&format!(
            r#"{{"ts":1773651600.25,"uid":"C1","id.orig_h":"192.0.2.7","id.orig_p":5,"id.resp_h":"198.51.100.9","id.resp_p":5,{rest}}}"#
        ))
    };
    let event = said(r#""method":"REGISTER","call_id":"a","status_code":401,"status_msg":"Unauthorized""#);
    assert_eq!((&event["status_id"], &event["status_code"]), (&json!(2), &json!("401")));
    assert_eq!(event["status_detail"], "Unauthorized");
    assert_eq!(said(r#""request_p":443,"status":"succeeded""#)["status_id"], 1);
    let event = said(r#""command":"CREATE","status":"NO_SUCH_FILE","tree":"s""#);
    assert_eq!((&event["status_id"], &event["status_code"]), (&json!(2), &json!("NO_SUCH_FILE")));
    assert_eq!(said(r#""command":"NICK","value":"a","addl":"b""#)["app_protocol_name"], "irc");
    let event = said(r#""server_name":"h.example","resumed":false,"established":false"#);
    assert_eq!(event["tls"], json!({"version": "Unknown", "sni": "h.example"}));
    let event = said(r#""command":"RETR","arg":"ftp://198.51.100.9/pub/x.txt","reply_code":226"#);
    assert_eq!((&event["file"]["name"], &event["status_id"]), (&json!("x.txt"), &json!(1)));
    let event = said(r#""username":"bob","hostname":"PC","domainname":"d","server_dns_computer_name":"s.example""#);
    assert_eq!((&event["src_endpoint"]["hostname"], &event["user"]["name"]), (&json!("PC"), &json!("bob")));
}

#[test]
fn who_was_let_in_by_a_remote_desktop_is_said() {
    for (auth, status) in [(true, 1), (false, 2)] {
        let event = normalized(&format!(
            r#"{{"ts":1773651600.25,"uid":"C1","id.orig_h":"192.0.2.7","id.orig_p":5,"id.resp_h":"198.51.100.9","id.resp_p":5900,"authentication_method":"VNC","auth":{auth}}}"#
        ));
        assert_eq!((&event["class_uid"], &event["status_id"]), (&json!(4001), &json!(status)));
    }
}

#[test]
fn what_the_sensor_says_of_itself_is_a_report_or_an_error() {
    for (line, kind) in [
        (r#"{"ts":1773651600.25,"peer":"zeek","mem":100,"pkts_proc":1,"bytes_recv":1}"#, 600_299),
        (r#"{"ts":1773651600.25,"ts_delta":900.0,"peer":"zeek","gaps":0,"acks":9,"percent_lost":0.0}"#, 600_299),
        (r#"{"ts":1773651600.25,"name":"bad_TCP_checksum","notice":false,"peer":"zeek"}"#, 600_299),
        (r#"{"ts":1773651600.25,"level":"Reporter::INFO","message":"up","location":""}"#, 600_299),
        (r#"{"ts":1773651600.25,"level":"Reporter::WARNING","message":"x","location":""}"#, 600_801),
        (
            r#"{"ts":1773651600.25,"host":"192.0.2.7","software_type":"SSH::SERVER","name":"OpenSSH","unparsed_version":"OpenSSH_9"}"#,
            400_106,
        ),
        (r#"{"ts":1773651600.25,"host":"192.0.2.7"}"#, 400_106),
        (r#"{"ts":"2026-03-16T09:00:00.250000Z","host":"192.0.2.7"}"#, 400_106),
        (r#"{"ts":1773651600.25,"host":"192.0.2.7","port_num":22,"port_proto":"tcp","service":["SSH"]}"#, 400_107),
        (r#"{"ts":1773651600.25,"host":"192.0.2.7","port_num":443,"subject":"CN=a","issuer_subject":"CN=b"}"#, 400_106),
        (r#"{"ts":1773651600.25,"src":"192.0.2.7","dst":"198.51.100.9","proto":"udp"}"#, 400_106),
        (r#"{"ts":1773651600.25,"id":"F1","machine":"I386","is_exe":true}"#, 100_199),
        (r#"{"ts":1773651600.25,"id":"F1","certificate.serial":"0A","certificate.subject":"CN=a"}"#, 100_199),
        (r#"{"ts":1773651600.25,"id":"F1","hashAlgorithm":"sha1","issuerKeyHash":"b","certStatus":"good"}"#, 100_199),
        (r#"{"ts":1773651600.25,"node":"zeek","filter":"ip or not ip","init":true,"success":true}"#, 600_299),
    ] {
        let event = normalized(line);
        assert_eq!(
            (&event["type_uid"], &event["metadata"]["log_format"]),
            (&json!(kind), &json!("zeek_json")),
            "{line}"
        );
    }
}
