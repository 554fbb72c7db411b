//! One line of each kind.

use serde_json::json;

use super::super::testing::normalized;

const BEGINS: &str = "Mar 16 10:00:01 pa 1,2026/03/16 10:00:01,0123";
const ENDS: &str = "2026/03/16 10:00:00,192.0.2.7,198.51.100.9,0.0.0.0,0.0.0.0,web,ex\\ann,,ssl,vsys1,untrust,trust,ethernet1/1,ethernet1/2,fwd,2026/03/16 10:00:00,77,1,41222,443,0,0,0x19,tcp";

#[test]
fn sessions_have_ends_zones_rule_and_counts() {
    for (action, kind, status) in [("allow", 400_102, 1), ("deny", 400_105, 2), ("reset-both", 400_105, 2)] {
        let event = normalized(&format!(
            "{BEGINS},TRAFFIC,end,2561,{ENDS},{action},1234,600,634,10,2026/03/16 09:59:50,10,any,,1,0x0,DE,US,,5,5,tcp-fin"
        ));
        assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(kind), &json!(status)), "{action}");
        assert_eq!(event["time"], 1_773_651_600_000_i64);
        assert_eq!(
            event["src_endpoint"],
            json!({"ip": "192.0.2.7", "port": 41222, "zone": "untrust", "interface_name": "ethernet1/1"})
        );
        assert_eq!(
            (&event["dst_endpoint"]["ip"], &event["dst_endpoint"]["port"]),
            (&json!("198.51.100.9"), &json!(443))
        );
        assert_eq!(
            (&event["firewall_rule"]["name"], &event["actor"]["user"]["name"]),
            (&json!("web"), &json!("ex\\ann"))
        );
        assert_eq!(event["traffic"], json!({"bytes": 1234, "bytes_out": 600, "bytes_in": 634, "packets": 10}));
        assert_eq!(event["duration"], 10_000);
    }
}

#[test]
fn threats_are_findings_and_urls_requests() {
    let event = normalized(&format!(
        r#"{BEGINS},THREAT,vulnerability,2561,{ENDS},reset-both,"a,b.php",SQL Injection(12345),any,critical,client-to-server,9,0x0,DE,US,,"#
    ));
    assert_eq!((&event["type_uid"], &event["severity_id"]), (&json!(200_401), &json!(5)));
    assert_eq!(event["finding_info"]["analytic"]["uid"], "12345");
    assert_eq!(event["finding_info"]["title"], "SQL Injection");
    assert_eq!(event["evidences"][0]["src_endpoint"], json!({"ip": "192.0.2.7", "port": 41222}));
    assert_eq!((&event["disposition_id"], &event["unmapped"]["file_or_url"]), (&json!(21), &json!("a,b.php")));
    let event = normalized(&format!(
        r#"{BEGINS},THREAT,url,2561,{ENDS},block-url,"www.example.com/a?b",(9999),gambling,informational,client-to-server,9,0x0,DE,US,,"#
    ));
    assert_eq!((&event["class_uid"], &event["action_id"]), (&json!(4002), &json!(2)));
    assert_eq!(event["http_request"]["url"]["url_string"], "www.example.com/a?b");
}

#[test]
fn logons_changes_and_the_device_itself_have_their_class() {
    for (rest, kind, status) in [
        (
            r#"SYSTEM,auth,2561,2026/03/16 10:00:00,,auth-fail,,0,0,general,medium,"failed authentication for user 'ann'. Reason: Invalid username/password. From: 192.0.2.7.",1,0x0"#,
            300_201,
            2,
        ),
        (
            r#"SYSTEM,general,2561,2026/03/16 10:00:00,,general,,0,0,general,informational,"User ann logged in via Web from 192.0.2.7 using https",1,0x0"#,
            300_201,
            1,
        ),
        (
            r#"GLOBALPROTECT,0,2561,2026/03/16 10:00:00,vsys1,gateway-auth,login,LDAP,,ann,DE,PC1,192.0.2.7,,0.0.0.0,,host,serial,5.2,Windows,"Windows 10",1,,,"",failure,,0,user-logon,0,gp,1,0x0"#,
            300_201,
            2,
        ),
    ] {
        let event = normalized(&format!("{BEGINS},{rest}"));
        assert_eq!((&event["type_uid"], &event["user"]["name"]), (&json!(kind), &json!("ann")), "{rest}");
        assert_eq!(event["src_endpoint"]["ip"], "192.0.2.7", "{rest}");
        assert_eq!(event["status_id"], status, "{rest}");
    }
    for (name, stage, kind) in [
        ("gateway-hip-check", "host-info", 401_499),
        ("gateway-getconfig", "configuration", 401_499),
        ("gateway-config-release", "configuration", 401_402),
    ] {
        let event = normalized(&format!(
            r#"{BEGINS},GLOBALPROTECT,0,2561,2026/03/16 10:00:00,vsys1,{name},{stage},,,ann,DE,PC1,192.0.2.7,,0.0.0.0,,host,serial,5.2,Windows,"Windows 10",1,,,"",success,,0,,0,gp,1,0x0"#
        ));
        assert_eq!((&event["type_uid"], &event["user"]["name"]), (&json!(kind), &json!("ann")), "{name}");
    }
    let event = normalized(&format!(
        "{BEGINS},CONFIG,0,2561,2026/03/16 10:00:00,192.0.2.7,,set,ann,Web,Succeeded,config devices,1,0x0"
    ));
    assert_eq!((&event["class_uid"], &event["actor"]["user"]["name"]), (&json!(5019), &json!("ann")));
    let event = normalized(&format!(
        "{BEGINS},SYSTEM,ntpd,2561,2026/03/16 10:00:00,,restart,,0,0,general,informational,NTP restarted,1,0x0"
    ));
    assert_eq!(event["type_uid"], 600_299);
}

#[test]
fn decrypted_sessions_and_correlated_events_are_read_and_a_host_may_be_missing() {
    for begins in [BEGINS, "Mar 16 10:00:01 1,2026/03/16 10:00:01,0123", "1,2026/03/16 10:00:01,0123"] {
        let event = normalized(&format!("{begins},DECRYPTION,0,2561,{ENDS},allow,N/A,,,,,u,S,C,TLS1.2,ECDHE"));
        assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(400_106), &json!(1)), "{begins}");
        assert_eq!(event["src_endpoint"]["ip"], "192.0.2.7", "{begins}");
        assert_eq!(event["unmapped"]["tls_version"], "TLS1.2", "{begins}");
        assert_eq!(event["time"], 1_773_651_600_000_i64, "{begins}");
        let event = normalized(&format!(
            "{begins},CORRELATION,0,2304,2026/03/16 10:00:00,192.0.2.7,ex\\ann,vsys1,compromised-host,medium,0,0,0,0,,pa,1,Beacon Detection,6005,\"Host visited a, b\""
        ));
        assert_eq!((&event["type_uid"], &event["severity_id"]), (&json!(200_401), &json!(3)), "{begins}");
        assert_eq!(event["finding_info"]["title"], "Beacon Detection", "{begins}");
        assert_eq!(event["evidences"][0]["src_endpoint"]["ip"], "192.0.2.7", "{begins}");
    }
}
