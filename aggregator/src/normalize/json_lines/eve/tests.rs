use serde_json::json;

use super::super::super::testing::normalized;

const HEAD: &str = r#""timestamp":"2026-03-16T09:00:00.250000+0000","flow_id":7,"in_iface":"eth0","vlan":[12],"src_ip":"192.0.2.7","src_port":4444,"dest_ip":"198.51.100.9","dest_port":80,"proto":"TCP","community_id":"1:abc=""#;

#[test]
fn an_alert_is_a_finding_with_evidence() {
    let event = normalized(&format!(
        r#"{{{HEAD},"event_type":"alert","alert":{{"action":"blocked","gid":1,"signature_id":2034125,"rev":4,"signature":"an attempt","category":"Attempted Administrator Privilege Gain","severity":1,"metadata":{{"mitre_technique_id":["T1190"]}}}},"http":{{"hostname":"www.example.com","url":"/x","http_method":"GET","status":400}},"app_proto":"http"}}"#
    ));
    assert_eq!(event["type_uid"], 200_401);
    assert_eq!(event["severity_id"], 4);
    assert_eq!(event["time"], 1_773_651_600_250_i64);
    assert_eq!(event["finding_info"]["uid"], "1:2034125:7");
    assert_eq!(event["finding_info"]["title"], "an attempt");
    assert_eq!(event["finding_info"]["analytic"]["uid"], "2034125");
    assert_eq!(event["finding_info"]["attacks"], json!([{"technique": {"uid": "T1190"}}]));
    assert_eq!(
        event["evidences"][0]["src_endpoint"],
        json!({"ip": "192.0.2.7", "port": 4444, "interface_name": "eth0"})
    );
    assert_eq!(event["evidences"][0]["url"]["url_string"], "/x");
    assert_eq!((event["action_id"].as_u64(), event["disposition_id"].as_u64()), (Some(2), Some(2)));
}

#[test]
fn the_handshake_and_the_cards_that_an_alert_saw_are_evidence() {
    let event = normalized(&format!(
        r#"{{{HEAD},"ether":{{"src_mac":"00:00:5e:00:53:01","dest_mac":"00:00:5e:00:53:02"}},"event_type":"alert","tx_id":3,"alert":{{"action":"allowed","signature_id":5,"signature":"s","severity":2,"metadata":{{"mitre_attack":["t1190"]}}}},"tls":{{"sni":"h.example","ja3":{{"hash":"0cc1"}},"issuerdn":"CN=a","serial":"0A","subject":"CN=b"}}}}"#
    ));
    assert_eq!(event["finding_info"]["uid"], "1:5:7:3");
    let evidence = &event["evidences"][0];
    assert_eq!(
        evidence["tls"],
        json!({
            "version": "Unknown",
            "sni": "h.example",
            "ja3_hash": {"algorithm": "MD5", "algorithm_id": 1, "value": "0cc1"},
            "certificate": {"issuer": "CN=a", "subject": "CN=b", "serial_number": "0A"},
        })
    );
    assert_eq!(evidence["dst_endpoint"]["mac"], "00:00:5e:00:53:02");
    assert_eq!(event["finding_info"]["attacks"], json!([{"technique": {"uid": "T1190"}}]));
}

#[test]
fn a_flow_is_counted_both_ways() {
    let event = normalized(&format!(
        r#"{{{HEAD},"event_type":"flow","flow":{{"pkts_toserver":3,"pkts_toclient":2,"bytes_toserver":300,"bytes_toclient":200,"start":"2026-03-16T08:59:58.000000+0000","end":"2026-03-16T09:00:00.000000+0000","state":"closed","reason":"timeout"}},"tcp":{{"tcp_flags":"1b","state":"closed"}}}}"#
    ));
    assert_eq!(event["type_uid"], 400_102);
    assert_eq!(
        event["traffic"],
        json!({"bytes_in": 200, "bytes_out": 300, "bytes": 500, "packets_in": 2, "packets_out": 3, "packets": 5})
    );
    assert_eq!(event["duration"], 2000);
    assert_eq!(event["connection_info"]["tcp_flags"], 0x1b);
    assert_eq!(event["connection_info"]["community_uid"], "1:abc=");
    assert_eq!(event["src_endpoint"]["vlan_uid"], "12");
}

#[test]
fn names_are_asked_and_answered_in_every_version() {
    for (dns, type_uid) in [
        (r#"{"type":"query","id":5,"rrname":"a.example.com","rrtype":"A","tx_id":0}"#, 400_301),
        (
            r#"{"type":"answer","id":5,"rcode":"NOERROR","rrname":"a.example.com","rrtype":"A","ttl":60,"rdata":"192.0.2.1"}"#,
            400_302,
        ),
        (
            r#"{"version":2,"type":"answer","id":5,"rrname":"a.example.com","rrtype":"A","rcode":"NOERROR","answers":[{"rrname":"a.example.com","rrtype":"A","ttl":60,"rdata":"192.0.2.1"}]}"#,
            400_302,
        ),
        (
            r#"{"version":3,"type":"response","id":5,"rcode":"NOERROR","queries":[{"rrname":"a.example.com","rrtype":"A"}],"answers":[{"rrname":"a.example.com","rrtype":"A","ttl":60,"rdata":"192.0.2.1"}]}"#,
            400_302,
        ),
    ] {
        let event = normalized(&format!(r#"{{{HEAD},"event_type":"dns","dns":{dns}}}"#));
        assert_eq!(event["type_uid"], type_uid, "{dns}");
        assert_eq!(event["query"]["hostname"], "a.example.com");
        assert_eq!(event["query"]["type"], "A", "{dns}");
        if type_uid == 400_302 {
            assert_eq!(event["answers"], json!([{"rdata": "192.0.2.1", "type": "A", "ttl": 60}]), "{dns}");
            assert_eq!(event["rcode_id"], 0);
        }
    }
}

#[test]
fn each_protocol_has_its_class() {
    for (kind, rest, class) in [
        (
            "http",
            r#""http":{"hostname":"h.example","url":"/","http_method":"GET","protocol":"HTTP/1.1","status":200,"length":5}"#,
            4002,
        ),
        ("tls", r#""tls":{"version":"TLS 1.3","sni":"h.example","ja3":{"hash":"abc"}}"#, 4001),
        ("ssh", r#""ssh":{"client":{"proto_version":"2.0","software_version":"x"}}"#, 4007),
        ("smtp", r#""smtp":{"helo":"h","mail_from":"<a@example.com>","rcpt_to":["<b@example.com>"]}"#, 4009),
        ("ftp", r#""ftp":{"command":"RETR","command_data":"x.txt","completion_code":["226"]}"#, 4008),
        (
            "smb",
            r#""smb":{"id":1,"dialect":"3.11","command":"SMB2_COMMAND_CREATE","status":"STATUS_SUCCESS","filename":"x","disposition":"FILE_OPEN"}"#,
            4006,
        ),
        ("rdp", r#""rdp":{"tx_id":0,"event_type":"initial_request","cookie":"ann"}"#, 4005),
        ("dhcp", r#""dhcp":{"type":"request","id":5,"client_mac":"00:00:5e:00:53:01","dhcp_type":"request"}"#, 4004),
        ("krb5", r#""krb5":{"msg_type":"KRB_TGS_REP","cname":"ann","realm":"EXAMPLE","sname":"host/x"}"#, 3002),
        (
            "fileinfo",
            r#""app_proto":"http","http":{"url":"/x","http_method":"GET","status":200},"fileinfo":{"filename":"/x","size":5,"md5":"0cc1"}"#,
            4002,
        ),
        ("anomaly", r#""anomaly":{"type":"stream","event":"stream.pkt_invalid_timestamp"}"#, 4001),
        ("drop", r#""drop":{"len":52,"reason":"rules"}"#, 4001),
        ("mqtt", r#""mqtt":{"ping":{}}"#, 4001),
    ] {
        let event = normalized(&format!(r#"{{{HEAD},"event_type":"{kind}",{rest}}}"#));
        assert_eq!(event["class_uid"], class, "{kind}");
        assert_eq!(event["metadata"]["event_code"], kind);
    }
    let event =
        normalized(r#"{"timestamp":"2026-03-16T09:00:00.250000+0000","event_type":"stats","stats":{"uptime":5}}"#);
    assert_eq!((event["class_uid"].as_u64(), event["unmapped"]["stats"]["uptime"].as_u64()), (Some(6002), Some(5)));
}

#[test]
fn the_client_of_a_file_over_http_is_the_source_whoever_sent_it() {
    let ends = |ports: &str, method: &str| {
        let event = normalized(&format!(
            r#"{{"timestamp":"2026-03-16T09:00:00.250000+0000","flow_id":7,"event_type":"fileinfo","src_ip":"192.0.2.7","dest_ip":"198.51.100.9",{ports},"proto":"TCP","app_proto":"http","http":{{"url":"/x","http_method":"{method}","status":200}},"fileinfo":{{"filename":"/x"}}}}"#
        ));
        (event["src_endpoint"]["ip"].clone(), event["dst_endpoint"]["port"].clone())
    };
    assert_eq!(ends(r#""src_port":80,"dest_port":40000"#, "POST"), (json!("198.51.100.9"), json!(80)));
    assert_eq!(ends(r#""src_port":9000,"dest_port":40000"#, "GET"), (json!("198.51.100.9"), json!(9000)));
    assert_eq!(ends(r#""src_port":40000,"dest_port":80"#, "POST"), (json!("192.0.2.7"), json!(80)));
}

#[test]
fn an_alert_that_names_no_rule_has_no_analytic() {
    let event = normalized(
        r#"{"timestamp":"2026-03-16T10:00:00.000000+0000","event_type":"alert","src_ip":"192.0.2.7","dest_ip":"198.51.100.8","proto":"TCP","alert":{"severity":1}}"#,
    );
    assert_eq!(event["class_uid"], 2004);
    assert_eq!(event["finding_info"].get("analytic"), None);
    assert_eq!(event["evidences"][0]["src_endpoint"]["ip"], "192.0.2.7");
}

#[test]
fn an_arp_has_its_ends_inside() {
    let event = normalized(
        r#"{"timestamp":"2026-03-16T09:00:00.250000+0000","event_type":"arp","arp":{"opcode":"request","src_mac":"00:11:22:33:44:55","src_ip":"192.0.2.7","dest_mac":"00:00:00:00:00:00","dest_ip":"192.0.2.1"}}"#,
    );
    assert_eq!(event["class_uid"], 4001);
    assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.7", "mac": "00:11:22:33:44:55"}));
}
