use super::super::testing::normalized;

#[test]
fn what_no_act_says_the_name_says() {
    for (name, extension, type_uid) in [
        ("Connection_Refused", "src=192.0.2.7 dst=198.51.100.9", 400_105),
        ("Metadata_login", "src=192.0.2.7 suser=bob", 300_201),
        ("Metadata_logout", "src=192.0.2.7 suser=bob", 300_202),
    ] {
        let event = normalized(&format!("CEF:0|V|P|1.0|7|{name}|0|{extension}"));
        assert_eq!(
            (&event["type_uid"], &event["src_endpoint"]["ip"]),
            (&type_uid.into(), &"192.0.2.7".into()),
            "{name}"
        );
    }
    let addresses =
        "c6a2=2001:db8::7 c6a2Label=Source IPv6 Address c6a3=2001:db8::9 c6a3Label=Destination IPv6 Address";
    let event = normalized(&format!("CEF:0|V|P|1.0|7|flow|0|{addresses}"));
    assert_eq!(
        (&event["src_endpoint"]["ip"], &event["dst_endpoint"]["ip"]),
        (&"2001:db8::7".into(), &"2001:db8::9".into())
    );
}

#[test]
fn what_was_done_is_told_in_the_words_of_each_product() {
    let ends = "src=192.0.2.7 dst=198.51.100.9";
    for (head, extension, class_uid, action) in [
        ("F|W|1|7|Connection_Refused|0", format!("act=Refuse {ends}"), 4001, 2),
        ("T|A|1|7|Intrusion rule|3", format!("act=IDS:Reset {ends}"), 2004, 3),
        ("C|N|1|APPFW|APPFW_X|6", format!("act=blocked request=http://a.example/x {ends}"), 2004, 2),
        ("C|N|1|APPFW|APPFW_X|6", format!("act=not blocked request=http://a.example/x {ends}"), 2004, 1),
    ] {
        let event = normalized(&format!("CEF:0|{head}|{extension}"));
        assert_eq!(
            (event["class_uid"].as_u64(), event["action_id"].as_u64()),
            (Some(class_uid), Some(action)),
            "{head} {extension}"
        );
        assert_eq!(class_uid == 4001, event["status_id"] == 2, "{head}");
    }
}

#[test]
fn files_that_changed_and_connections_that_ended_have_their_classes() {
    let event = normalized(r"CEF:0|T|A|1|30|New Integrity Rule|6|act=deleted filePath=c:\\x\\a.dll suser=ann");
    assert_eq!((&event["type_uid"], &event["file"]["name"]), (&100_104.into(), &"a.dll".into()));
    assert_eq!((&event["actor"]["user"]["name"], &event["status_id"]), (&"ann".into(), &1.into()));
    assert!(event.get("action_id").is_none());
    let event =
        normalized("CEF:0|F|W|1|7|Connection_Closed|0|proto=6 deviceOutboundInterface=255 suser=ann in=32 out=27");
    assert_eq!((&event["type_uid"], &event["status_id"]), (&400_102.into(), &1.into()));
    assert_eq!((&event["traffic"]["bytes_in"], &event["actor"]["user"]["name"]), (&32.into(), &"ann".into()));
    let event = normalized("CEF:0|T|A|1|7|Events|8|src=192.0.2.7 duser=(no user) msg=logon failures");
    assert!(event.get("user").is_none() && event.get("actor").is_none());
    for (code, status) in [("Auth_Success", 1), ("Auth_Failure", 2)] {
        let event = normalized(&format!("LEEF:1.0|V|P|1|{code}|src=192.0.2.7\tusrName=ann"));
        assert_eq!((&event["class_uid"], &event["status_id"]), (&3002.into(), &status.into()), "{code}");
    }
}

#[test]
fn header_and_extension_are_unescaped_and_labels_are_keys() {
    let event = normalized(
        r"Mar 16 10:00:00 fw CEF:0|Ven\|dor|Prod\\uct|1.0|100|a name|3|src=192.0.2.7 spt=1232 dst=198.51.100.9 dpt=443 proto=TCP act=blocked rt=1773651600250 cs1Label=Virus Name cs1=a \= b c cs2Label=Rule cs2=r 1 msg=it is\nso  in=5",
    );
    assert_eq!(event["class_uid"], 4001);
    assert_eq!(event["time"], 1_773_651_600_250_i64);
    assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "192.0.2.7", "port": 1232}));
    assert_eq!(event["message"], "it is\nso");
    assert_eq!(event["unmapped"]["Virus_Name"], "a = b c");
    assert_eq!(event["unmapped"]["vendor"], "Ven|dor");
    assert_eq!(event["metadata"]["log_provider"], r"Prod\uct");
    assert_eq!((event["action_id"].as_u64(), event["status_id"].as_u64()), (Some(2), Some(2)));
    assert_eq!(event["traffic"]["bytes_in"], 5);
    assert_eq!(event["firewall_rule"]["name"], "r 1");
}

#[test]
fn what_is_said_decides_the_class() {
    let line = |name: &str, rest: &str| normalized(&format!("CEF:0|V|P|1|id|{name}|8|{rest}"));
    let event = line("User login failed", "duser=ann src=192.0.2.7 outcome=failure reason=bad password");
    assert_eq!((event["type_uid"].as_u64(), event["status_id"].as_u64()), (Some(300_201), Some(2)));
    assert_eq!(event["status_detail"], "bad password");
    let event = line("Malware found", "src=192.0.2.7 fname=x.exe filePath=/tmp/x.exe suser=ann");
    assert_eq!(event["class_uid"], 2004);
    assert_eq!(event["evidences"][0]["file"]["name"], "x.exe");
    assert_eq!(line("Started", "cnt=1")["class_uid"], 2004);
    assert_eq!(normalized("CEF:0|V|P|1|id|Started|1|suser=ann")["type_uid"], 600_299);
    let event = line("User Signed In", "suser=ann src=192.0.2.7");
    assert_eq!((&event["type_uid"], &event["service"]["name"]), (&300_201.into(), &"P".into()));
    assert_eq!(line("Insight", "act=Logout duser=ann src=192.0.2.7")["class_uid"], 3002);
}

#[test]
fn times_name_their_zone_and_vendors_their_own_keys() {
    for line in [
        "CEF:0|V|P|1|id|n|1|src=192.0.2.7 rt=Mar 16 2026 10:00:00 GMT+01:00",
        "CEF:0|V|P|1|id|n|1|src=192.0.2.7 rt=16 March 2026 10:00:00",
        "<134>Mar 16 10:00:00 fw CEF:0|V|P|1|id|n|1|src=192.0.2.7",
        "<134>1 2026-03-16T09:00:00Z fw app - - - CEF:0|V|P|1|id|n|1|src=192.0.2.7",
        "Mar 16 10:00:00 fw LEEF:1.0|V|P|1|id|src=192.0.2.7",
    ] {
        assert_eq!(normalized(line)["time"], 1_773_651_600_000_i64, "{line}");
    }
    let event = normalized("<134>Mar 16 10:00:00 fw CEF:0|V|P|1|7|Logon|7|suser=ann src=192.0.2.7 reason=Invalid PIN");
    assert_eq!((&event["status_id"], &event["unmapped"]["hostname"]), (&2.into(), &"fw".into()));
    let event = normalized(
        "CEF:0|V|P|1|id|n|1|c6a2=2001:db8::7 c6a2Label=Source IPv6 Address spt=5 suser=N/A duser=\"ann\" method=GET url=http://a.example/",
    );
    assert_eq!((&event["type_uid"], &event["src_endpoint"]["ip"]), (&400_203.into(), &"2001:db8::7".into()));
    assert_eq!((&event["actor"]["user"]["name"], &event["src_endpoint"]["port"]), (&"ann".into(), &5.into()));
    let event = normalized(
        "CEF:0|V|P|1|id|n|1|src=192.0.2.7 shost=pc dst=198.51.100.9 dhost=a.example request=https://a.example/b",
    );
    assert_eq!((&event["class_uid"], &event["dst_endpoint"]["hostname"]), (&4002.into(), &"a.example".into()));
    assert_eq!(event["src_endpoint"]["hostname"], "pc");
    let event = normalized(
        "CEF:0|Incapsula|SIEM|1|1|Normal|0|src=192.0.2.7 cpt=5 sip=198.51.100.9 spt=443 request=\"a.example/x\" requestMethod=GET act=REQ_BLOCKED_ACL",
    );
    assert_eq!((event["src_endpoint"]["port"].as_i64(), event["dst_endpoint"]["port"].as_i64()), (Some(5), Some(443)));
    assert_eq!(event["http_request"]["url"]["url_string"], "a.example/x");
    assert_eq!(event["action_id"], 2);
    let event = normalized("LEEF:1.0|V|P|1|1|src=192.0.2.7\tusrName=ann\tcat=failed logon");
    assert_eq!((event["class_uid"].as_i64(), event["status_id"].as_i64()), (Some(3002), Some(2)));
}

#[test]
fn leef_names_its_delimiter() {
    for line in [
        "LEEF:1.0|V|P|1|login|src=192.0.2.7\tusrName=ann\tdevTime=Mar 16 2026 10:00:00\tcat=Authentication",
        "LEEF:2.0|V|P|1|login|^|src=192.0.2.7^usrName=ann^devTime=Mar 16 2026 10:00:00^cat=Authentication",
        "LEEF:2.0|V|P|1|login|x5E|src=192.0.2.7^usrName=ann^devTime=Mar 16 2026 10:00:00^cat=Authentication",
    ] {
        let event = normalized(line);
        assert_eq!(event["class_uid"], 3002, "{line}");
        assert_eq!(event["user"]["name"], "ann");
        assert_eq!(event["src_endpoint"]["ip"], "192.0.2.7");
        assert_eq!(event["time"], 1_773_651_600_000_i64);
    }
}
