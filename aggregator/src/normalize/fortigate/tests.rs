use serde_json::{Value, json};

use super::super::testing::normalized;

fn said(rest: &str) -> Value {
    normalized(&format!("date=2026-03-16 time=10:00:00 devname=fw devid=F1 logid=\"0000000013\" {rest}"))
}

#[test]
fn traffic_has_ends_rule_and_verdict() {
    let event = said(
        "type=\"traffic\" subtype=\"forward\" level=\"notice\" eventtime=1773653400815101919 srcip=192.0.2.1 srcport=5 srcintf=\"in\" dstip=198.51.100.2 dstport=80 dstintf=\"out\" sessionid=7 proto=6 action=\"deny\" policyid=4 service=\"HTTP\" sentbyte=10 rcvdbyte=20 duration=3",
    );
    assert_eq!((&event["type_uid"], &event["time"]), (&json!(400_105), &json!(1_773_653_400_815_i64)));
    assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.1", "port": 5, "interface_name": "in"}));
    assert_eq!(event["dst_endpoint"], json!({"ip": "198.51.100.2", "port": 80, "interface_name": "out"}));
    assert_eq!(
        (&event["firewall_rule"]["uid"], &event["disposition_id"], &event["duration"]),
        (&json!("4"), &json!(2), &json!(3000))
    );
    let event = normalized(
        "<189>Mar 16 10:00:09 gw date=2026-03-16 time=10:00:00 devname=fw devid=F1 logid=1 tz=\"-0500\" type=traffic subtype=other status=accept src=192.0.2.1 src_port=5 dst=198.51.100.2 dst_port=80 proto=17",
    );
    assert_eq!(
        (&event["type_uid"], &event["time"], &event["status_id"]),
        (&json!(400_106), &json!(1_773_673_200_000_i64), &json!(1))
    );
    assert_eq!(event["dst_endpoint"]["port"], 80);
}

#[test]
fn keys_may_stand_between_commas() {
    for line in [
        r#"date=2026-03-16,time=10:00:00,devname=fw,devid=F1,logid=0000000013,type=traffic,subtype=forward,srcip=192.0.2.1,srcport=5,dstip=198.51.100.2,dstport=80,proto=6,action=deny,msg="a, b",user="bob""#,
        r#"<189>"date=2026-03-16","time=10:00:00","devname=""fw""","devid=F1","logid=""0000000013""","type=""traffic""","srcip=192.0.2.1","srcport=5","dstip=198.51.100.2","dstport=80","proto=6","action=""deny""","msg=""a, b""","user=""bob""""#,
    ] {
        let event = normalized(line);
        assert_eq!(event["type_uid"], 400_105, "{line}");
        assert_eq!(event["time"], 1_773_651_600_000_i64);
        assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.1", "port": 5}));
        assert_eq!((&event["actor"]["user"]["name"], &event["status_detail"]), (&json!("bob"), &json!("a, b")));
    }
}

#[test]
fn filters_logons_tunnels_and_changes_have_their_classes() {
    for (rest, kind, at, value) in [
        (
            "type=utm subtype=ips severity=critical srcip=192.0.2.1 srcport=5 dstip=198.51.100.2 dstport=80 action=dropped attack=\"Bad.Thing\" attackid=9 sessionid=4",
            200_401,
            "/evidences/0/dst_endpoint/port",
            json!(80),
        ),
        (
            "type=utm subtype=webfilter srcip=192.0.2.1 dstip=198.51.100.2 action=blocked hostname=\"a.example\" url=\"/x?y\"",
            400_200,
            "/http_request/url/path",
            json!("/x"),
        ),
        (
            "type=utm subtype=dns eventtype=dns-query srcip=192.0.2.1 dstip=198.51.100.2 qname=\"a.example\" qtype=\"A\" action=pass",
            400_301,
            "/query/hostname",
            json!("a.example"),
        ),
        (
            "type=event subtype=system user=\"bob\" ui=https(192.0.2.1) action=login status=failed reason=\"name_invalid\"",
            300_201,
            "/src_endpoint/ip",
            json!("192.0.2.1"),
        ),
        (
            "type=ips subtype=signature src=192.0.2.1 dst=198.51.100.2 attack_name=\"a\" attack_id=5 status=dropped",
            200_401,
            "/finding_info/title",
            json!("a"),
        ),
        (
            "type=event subtype=ipsec action=\"install_sa\" rem_ip=192.0.2.1 loc_ip=198.51.100.2 vpn_tunnel=\"t\"",
            401_401,
            "/src_endpoint/ip",
            json!("192.0.2.1"),
        ),
        (
            "type=event subtype=user action=\"auth-lockout\" srcip=192.0.2.1 user=\"bob\"",
            300_201,
            "/status_id",
            json!(2),
        ),
        (
            "type=event subtype=vpn action=\"ssl-login-fail\" remip=192.0.2.1 user=\"bob\" reason=\"unknown\"",
            300_201,
            "/status_id",
            json!(2),
        ),
        (
            "type=event subtype=vpn action=\"tunnel-up\" remip=192.0.2.1 tunnelip=198.51.100.9 user=\"bob\"",
            401_401,
            "/tunnel_interface/ip",
            json!("198.51.100.9"),
        ),
        (
            "type=event subtype=system user=\"bob\" ui=\"GUI(192.0.2.1)\" action=Edit cfgpath=\"a.b\"",
            501_901,
            "/actor/user/name",
            json!("bob"),
        ),
        (
            "type=event subtype=system logdesc=\"FortiGate rebooted\" user=\"bob\" ui=\"ssh(192.0.2.1)\"",
            600_205,
            "/actor/user/name",
            json!("bob"),
        ),
        (
            "type=event subtype=wad level=error logdesc=\"SSL fatal alert sent\" srcip=192.0.2.1 srcport=5 dstip=198.51.100.2 dstport=636 desc=\"certificate unknown\"",
            400_104,
            "/src_endpoint/ip",
            json!("192.0.2.1"),
        ),
        (
            "type=event subtype=router level=warning logdesc=\"BGP\" msg=\"neighbor 192.0.2.1 Down Peer closed\"",
            400_102,
            "/src_endpoint/ip",
            json!("192.0.2.1"),
        ),
        (
            "type=event subtype=wireless level=warning logdesc=\"Rogue AP detected\" bssid=\"00:11:22:33:44:55\"",
            200_401,
            "/finding_info/title",
            json!("Rogue AP detected"),
        ),
        (
            "type=utm subtype=dns eventtype=dns-response srcip=192.0.2.1 qname=\"a.example\" ipaddr=\"192.0.2.2, 192.0.2.3\"",
            400_302,
            "/answers/1/rdata",
            json!("192.0.2.3"),
        ),
    ] {
        let event = said(rest);
        assert_eq!(event["type_uid"], kind, "{rest}");
        assert_eq!(event.pointer(at), Some(&value), "{rest}");
    }
}

#[test]
fn what_failed_what_began_here_and_who_asked_is_told() {
    for (rest, kind, at, value) in [
        (
            "type=traffic subtype=forward level=warning srcip=192.0.2.1 dstip=198.51.100.2 proto=17 action=\"ip-conn\"",
            400_104,
            "/status_id",
            json!(2),
        ),
        (
            "type=event subtype=vpn action=negotiate remip=198.51.100.2 locip=192.0.2.1 remport=500 locport=500 init=\"local\" status=success",
            401_499,
            "/src_endpoint/ip",
            json!("192.0.2.1"),
        ),
        (
            "type=event subtype=router level=warning logdesc=\"Routing log\" msg=\"OSPF: RECV[Hello]: From 192.0.2.1 via port9:198.51.100.2: Invalid Area ID 0.0.0.0\"",
            400_104,
            "/status_id",
            json!(2),
        ),
        (
            "type=utm subtype=ssh srcip=192.0.2.1 srcport=5 dstip=198.51.100.2 dstport=22 proto=6 action=blocked login=\"bob\" channeltype=shell",
            400_705,
            "/actor/user/name",
            json!("bob"),
        ),
        (
            "type=event subtype=rest-api user=\"bob\" ui=\"GUI(192.0.2.69)\" method=\"GET\" status=\"200\" url=\"/api/v2/x?y=z\" logdesc=\"REST API request success\"",
            400_203,
            "/src_endpoint/ip",
            json!("192.0.2.69"),
        ),
        (
            "type=event subtype=endpoint logdesc=\"FortiClient connection closed\" action=close status=success connection_type=sslvpn user=bob ip=192.0.2.7 name=\"pc-1\"",
            401_402,
            "/src_endpoint/hostname",
            json!("pc-1"),
        ),
    ] {
        let event = said(rest);
        assert_eq!(event["type_uid"], kind, "{rest}");
        assert_eq!(event.pointer(at), Some(&value), "{rest}");
    }
    let event = said("type=traffic subtype=forward srcip=192.0.2.1 dstip=198.51.100.2 proto=17 action=\"dns\"");
    assert_eq!((&event["type_uid"], event.get("action_id")), (&json!(400_104), None));
}

#[test]
fn what_its_kin_say_is_read() {
    let mail = said(
        r#"type=statistics pri=information session_id="q1" client_ip="192.0.2.1" from="a@example.com" to="b@example.org" direction="in" disposition="Reject" message_length="239" subject="Hello" message_id="m@x""#,
    );
    assert_eq!((&mail["type_uid"], &mail["status_id"]), (&json!(400_901), &json!(2)), "{mail}");
    assert_eq!((&mail["email"]["from"], &mail["email"]["to"]), (&json!("a@example.com"), &json!(["b@example.org"])));
    assert_eq!((&mail["src_endpoint"]["ip"], &mail["direction_id"]), (&json!("192.0.2.1"), &json!(1)));
    let logon = said(
        "type=kevent subtype=admin pri=information user=bob ui=GUI(192.0.2.1) action=login status=failed reason=none msg=\"x\"",
    );
    assert_eq!((&logon["type_uid"], &logon["status_id"]), (&json!(300_201), &json!(2)));
    assert_eq!((&logon["user"]["name"], &logon["src_endpoint"]["ip"]), (&json!("bob"), &json!("192.0.2.1")));
    for (mode, disposition) in [("detection", 19), ("prevention", 6)] {
        let attack = normalized(&format!(
            "2026-03-16T10:00:00Z 192.0.2.9 devid=F1 date=2026-03-16 time=10:00:00 tz=UTC type=attack subtype=\"ips\" description=\"TCP invalid flags \" protocol=6 sip=192.0.2.1 dip=198.51.100.2 dropcount=3 sppoperatingmode={mode} severity=\"high\""
        ));
        assert_eq!((&attack["class_uid"], &attack["severity_id"]), (&json!(2004), &json!(4)), "{attack}");
        assert_eq!(attack["disposition_id"], disposition, "{mode}");
        assert_eq!(attack["evidences"][0]["dst_endpoint"]["ip"], "198.51.100.2");
    }
    for (status, expected) in [("Failed", json!(2)), ("Success", json!(1)), ("Pending", json!(null))] {
        let event = normalized(&format!(
            "Mar 16 10:00:00 fac db[7]:  category=\"Event\" subcategory=\"Authentication\" typeid=20001 level=\"information\" user=\"bob\" nas=\"192.0.2.9\" action=\"Authentication\" status=\"{status}\" Remote user with token"
        ));
        assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(300_201), &expected), "{event}");
        assert_eq!((&event["user"]["name"], &event["message"]), (&json!("bob"), &json!("Remote user with token")));
        assert_eq!(event["unmapped"]["nas"], "192.0.2.9");
    }
}

#[test]
fn a_sophos_firewall_has_words_of_its_own() {
    let sophos = |rest: &str| {
        normalized(&format!(
            "device=\"SFW\" date=2026-03-16 time=12:00:00 timezone=\"+02\" device_name=\"XG\" device_id=S1 log_id=010101 {rest}"
        ))
    };
    let denied = sophos(
        r#"log_type="Firewall" log_component="Firewall Rule" log_subtype="Denied" status="Deny" duration=0 fw_rule_id=14 user_name="" in_interface="Port3" src_mac=00:11:22:33:44:55 src_ip=192.0.2.1 dst_ip=198.51.100.2 protocol="TCP" src_port=5 dst_port=80 sent_bytes=10"#,
    );
    assert_eq!((&denied["type_uid"], &denied["time"]), (&json!(400_105), &json!(1_773_655_200_000_i64)), "{denied}");
    assert_eq!((&denied["src_endpoint"]["ip"], &denied["dst_endpoint"]["port"]), (&json!("192.0.2.1"), &json!(80)));
    assert_eq!((&denied["action_id"], &denied["firewall_rule"]["uid"]), (&json!(2), &json!("14")));
    assert_eq!(denied["metadata"]["log_format"], "sophos_firewall");
    for (rest, type_uid, path, expected) in [
        (
            r#"log_type="Content Filtering" log_component="HTTP" log_subtype="Denied" user_name="bob" url="http://example.com/a" src_ip=192.0.2.1 dst_ip=198.51.100.2"#,
            400_200,
            "/http_request/url/hostname",
            json!("example.com"),
        ),
        (
            r#"log_type="IDP" log_component="Anomaly" log_subtype="Drop" signature_id=7 signature_msg="A thing" src_ip=192.0.2.1 dst_ip=198.51.100.2"#,
            200_401,
            "/finding_info/title",
            json!("A thing"),
        ),
        (
            r#"log_type="Event" log_component="GUI" log_subtype="Admin" status="Failed" user_name="bob" src_ip=192.0.2.1 message="User bob failed to login to WebAdmin because of wrong credentials""#,
            300_201,
            "/user/name",
            json!("bob"),
        ),
        (
            r#"log_type="Anti-Spam" log_component="SMTP" log_subtype="Spam" from_email_address="a@example.com" to_email_address="b@example.org" src_ip=192.0.2.1 dst_ip=198.51.100.2"#,
            400_903,
            "/email/from",
            json!("a@example.com"),
        ),
        (r#"log_type="System Health" log_component="CPU" system=1"#, 600_299, "/app/name", json!("Sophos Firewall")),
    ] {
        let event = sophos(rest);
        assert_eq!((&event["type_uid"], event.pointer(path)), (&json!(type_uid), Some(&expected)), "{event}");
    }
    let newer = normalized(
        r#"<30>device_name="SFW" timestamp="2026-03-16T12:00:00+0200" device_model="XGS" log_id="0101" log_type="Firewall" log_subtype="Allowed" src_ip="192.0.2.1" dst_ip="198.51.100.2" protocol="UDP""#,
    );
    assert_eq!((&newer["type_uid"], &newer["time"]), (&json!(400_106), &json!(1_773_655_200_000_i64)), "{newer}");
}
