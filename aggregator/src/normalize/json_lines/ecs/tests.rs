//! Categories and what they become.

use serde_json::{Value, json};

use super::super::super::testing::normalized;

fn line(rest: &str) -> Value {
    normalized(&format!(
        r#"{{"@timestamp":"2026-03-16T09:00:00.500Z","ecs":{{"version":"8.11.0"}},"message":"m",{rest}}}"#
    ))
}

#[test]
fn categories_are_classes() {
    let event = line(
        r#""event":{"category":["authentication"],"type":["start"],"action":"ssh_login","outcome":"failure"},"user":{"name":"ann"},"source":{"ip":"192.0.2.7","port":5},"process":{"name":"sshd","pid":7}"#,
    );
    assert_eq!((event["type_uid"].as_u64(), event["status_id"].as_u64()), (Some(300_201), Some(2)));
    assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "192.0.2.7", "port": 5}));
    assert_eq!(event["time"], 1_773_651_600_500_i64);
    for (rest, type_uid) in [
        (
            r#""event.category":"web","http.request.method":"GET","url.original":"/x","http.response.status_code":200,"source.ip":"192.0.2.7""#,
            400_203,
        ),
        (
            r#""event":{"category":["network"],"type":["connection"]},"source":{"ip":"192.0.2.7"},"destination":{"ip":"192.0.2.9","port":53},"network":{"transport":"udp"}"#,
            400_106,
        ),
        (
            r#""event":{"category":["network"]},"dns":{"question":{"name":"a.example.com","type":"A"}},"source":{"ip":"192.0.2.7"}"#,
            400_301,
        ),
        (
            r#""event":{"category":["process"],"type":["start"]},"process":{"pid":7,"name":"ls","executable":"/bin/ls"}"#,
            100_701,
        ),
        (r#""event":{"category":["file"],"type":["deletion"]},"file":{"path":"/etc/x"}"#, 100_104),
        (
            r#""event":{"kind":"alert","category":["intrusion_detection"]},"rule":{"name":"r","id":"5"},"source":{"ip":"192.0.2.7"}"#,
            200_401,
        ),
        (
            r#""event":{"category":["process","configuration"],"type":["change"]},"process":{"pid":7,"name":"x"}"#,
            100_700,
        ),
        (
            r#""event":{"category":["process"],"type":["start"],"action":"ran-command"},"process":{"name":"sudo","command_line":"/bin/ls"}"#,
            100_701,
        ),
        (
            r#""event":{"category":["iam"],"type":["admin","change"],"code":"1102"},"winlog":{"event_id":"1102"},"user":{"name":"ann"}"#,
            100_801,
        ),
        (
            r#""event":{"category":["iam"],"type":["user","change"],"action":"locked-out-user-account"},"user":{"name":"SYSTEM","target":{"name":"ann"}}"#,
            300_109,
        ),
        (
            r#""event":{"category":["iam"],"type":["group","change"],"action":"added-member-to-group"},"group":{"name":"g"},"user":{"name":"bob","target":{"name":"ann"}}"#,
            300_603,
        ),
        (r#""event":{"category":["iam"],"kind":"state","type":["user","info"]},"user":{"name":"ann"}"#, 500_302),
        (r#""event":{"category":["driver"],"type":["start"]},"file":{"path":"C:\\d.sys"}"#, 100_201),
        (r#""event":{"category":"web","type":"error"},"log":{"level":"error"}"#, 600_801),
        (
            r#""event":{"category":["network"],"type":["protocol"]},"dns":{"question":{"name":"a.example"}},"host":{"name":"pc"}"#,
            400_301,
        ),
        (r#""event":{"category":["authentication"]}"#, 0),
        (r#""event":{"category":["host"]}"#, 0),
    ] {
        assert_eq!(line(rest)["type_uid"], type_uid, "{rest}");
    }
}

#[test]
fn a_finding_names_its_attacks_and_its_file() {
    let attacked = |threat: &str| {
        line(&format!(
            r#""event":{{"kind":"alert"}},"rule":{{"name":"r"}},"file":{{"path":"C:\\a\\x.exe"}},"threat":{{{threat}}}"#
        ))
    };
    let event = attacked(
        r#""technique":{"id":["T1059","T1105"],"name":["a","b"]},"tactic":{"id":["TA0002"],"name":["Execution"]}"#,
    );
    let element = |uid: &str, name: &str| json!({"technique": {"uid": uid, "name": name}});
    assert_eq!(event["finding_info"]["attacks"], json!([element("T1059", "a"), element("T1105", "b")]));
    let file = json!({"name": "x.exe", "path": "C:\\a\\x.exe", "type_id": 0});
    assert_eq!(event["evidences"][0]["file"], file);
    let none = attacked(r#""technique":{"id":["T1059","no technique"]}"#);
    assert_eq!(none["finding_info"].get("attacks"), None);
}
