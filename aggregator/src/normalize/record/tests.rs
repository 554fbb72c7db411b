//! What records become.

use shared::identity::{AgentId, ChainId, Epoch, EventId};
use shared::record::LossReason;

use super::*;
use crate::event::json;
use crate::event::loss::unit;

const AT: Timestamp = Timestamp::from_seconds(1_773_653_400);

fn empty() -> Event<'static> {
    let chain = ChainId { agent: AgentId::default(), lane: Lane::Bulk, epoch: Epoch(1) };
    Event::new(EventId { chain, record: 7, part: 0 }, AT, AT)
}

fn shown(event: &Event<'_>) -> serde_json::Value {
    let mut out = String::new();
    json::write(event, &mut out);
    serde_json::from_str(&out).unwrap()
}

#[test]
fn a_loss_says_how_many_from_when_to_when_and_why() {
    let lost = Loss {
        reason: LossReason::DropOldest.name(),
        unit: RECORDS,
        count: Some(42),
        first_record: Some(5),
        lane: Lane::Bulk,
        first_at: Timestamp::from_seconds(1),
        last_at: Timestamp::from_seconds(2),
    };
    let origin = Origin::default();
    let mut event = empty();
    loss(&lost, AT, &origin, AT, &mut event);
    let event = shown(&event);
    assert_eq!(event["type_uid"], 100_899);
    assert_eq!(event["activity_name"], "Lost");
    assert_eq!(event["message"], "42 records of lane bulk lost: drop_oldest");
    assert_eq!(event["count"], 42);
    assert_eq!((event["start_time"].as_u64(), event["end_time"].as_u64()), (Some(1_000), Some(2_000)));
    assert_eq!(event["log_name"], "picket-agent");
    assert_eq!(event["unmapped"], serde_json::json!({"records": 42, "first_record": 5, "lane": "bulk"}));
}

#[test]
fn what_fits_an_attribute_stands_there_and_the_rest_is_kept() {
    let inner = Recorded::Map(vec![("a\"".to_owned(), Recorded::Bytes(vec![255]))]);
    let fields = [
        ("class_uid", Recorded::U64(1008)),
        ("activity_id", Recorded::U64(5)),
        ("time", Recorded::Time(Timestamp::from_seconds(3))),
        ("log_name", Recorded::String("/var/log/a".to_owned())),
        ("status_id", Recorded::String("not a number".to_owned())),
        ("device.os.type_id", Recorded::U64(7)),
        ("user.name", Recorded::String("bob".to_owned())),
        ("device.uid", Recorded::String("forged".to_owned())),
        ("spool.bytes", Recorded::U64(u64::MAX)),
        ("lanes", Recorded::List(vec![inner, Recorded::Null])),
    ]
    .map(|(key, value)| (key.to_owned(), value));
    let origin = Origin::default();
    let shared = origin.fields();
    let mut event = empty();
    event.shared = &shared;
    record(&fields, AT, AT, &origin, AT, &mut event);
    let event = shown(&event);
    assert_eq!(event["type_uid"], 100_805);
    assert_eq!(event["time"], 3_000);
    assert_eq!(event["log_name"], "/var/log/a");
    assert_eq!(event["device"]["uid"], AgentId::default().to_string());
    assert_eq!(
        event["unmapped"],
        serde_json::json!({
            "status_id": "not a number", "device": {"os": {"type_id": 7}, "uid": "forged"}, "user": {"name": "bob"},
            "spool": {"bytes": u64::MAX.to_string()}, "lanes": r#"[{"a\"":"/w=="},null]"#
        })
    );
}

/// The event of a record, of a host that is called `web-1`.
fn told(fields: &[(&str, Recorded)]) -> serde_json::Value {
    let origin = Origin { hostname: "web-1".to_owned(), source_type: "packet".to_owned(), ..Origin::default() };
    let shared = origin.fields();
    let mut event = empty();
    event.shared = &shared;
    record(fields, AT, AT, &origin, AT, &mut event);
    shown(&event)
}

fn text(text: &str) -> Recorded {
    Recorded::String(text.to_owned())
}

fn ends() -> [(&'static str, Recorded); 4] {
    [
        ("src_endpoint.ip", Recorded::Ip([192, 0, 2, 1].into())),
        ("src_endpoint.port", Recorded::U64(50_000)),
        ("dst_endpoint.ip", Recorded::Ip([192, 0, 2, 53].into())),
        ("dst_endpoint.port", Recorded::U64(53)),
    ]
}

fn head(class: u64, activity: u64) -> Vec<(&'static str, Recorded)> {
    let head = [
        ("picket.record", text("network")),
        ("class_uid", Recorded::U64(class)),
        ("activity_id", Recorded::U64(activity)),
        ("time", Recorded::Time(AT)),
    ];
    head.into_iter().chain(ends()).collect()
}

fn map<const N: usize>(entries: [(&str, Recorded); N]) -> Recorded {
    Recorded::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

#[test]
fn answers_are_a_list_and_what_an_element_lacks_or_has_besides_is_kept() {
    let mut fields = head(4003, 6);
    let flags = || Recorded::List(vec![Recorded::U64(1), Recorded::U64(3)]);
    let whole = |rdata: &str| map([("type", text("A")), ("rdata", text(rdata)), ("flag_ids", flags())]);
    fields.extend([
        ("query.hostname", text("example.net")),
        ("query.type", text("A")),
        ("rcode_id", Recorded::U64(0)),
        ("rcode", text("NoError")),
        ("answers", Recorded::List(vec![whole("192.0.2.7"), map([("type", text("TXT"))]), whole("www.example.net")])),
        ("unmapped.answer_count", Recorded::U64(3)),
        ("connection_info.direction_id", Recorded::U64(2)),
    ]);
    let event = told(&fields);
    assert_eq!((&event["type_uid"], &event["status_id"]), (&400_306.into(), &1.into()));
    let answers = serde_json::json!([{"type": "A", "rdata": "192.0.2.7"}, {"type": "A", "rdata": "www.example.net"}]);
    assert_eq!(event["answers"], answers);
    let unmapped = serde_json::json!({
        "answer_count": 3, "answers[]": {"flag_ids": "[[1,3],[1,3]]"}, "answers[1]": r#"{"type":"TXT"}"#
    });
    assert_eq!(event["unmapped"], unmapped);
    assert_eq!(event["connection_info"]["direction"], "Outbound");
    let message = "dns 192.0.2.1:50000 -> 192.0.2.53:53 A example.net, NoError: 192.0.2.7 and 1 more";
    assert_eq!(event["message"], message);
    let observed: Vec<_> = event["observables"].as_array().unwrap().iter().map(|one| &one["value"]).collect();
    assert_eq!(observed, ["192.0.2.1", "192.0.2.53", "example.net", "192.0.2.7"]);
}

#[test]
fn flow_names_its_process_and_says_how_it_ended() {
    let mut fields = head(4001, 2);
    fields.extend([
        ("connection_info.protocol_name", text("tcp")),
        ("app_protocol_name", text("tls")),
        ("traffic.bytes_out", Recorded::U64(12_650)),
        ("traffic.bytes_in", Recorded::U64(46_080)),
        ("actor.process.pid", Recorded::U64(9)),
        ("actor.process.name", text("curl")),
        ("actor.process.file.path", text("/usr/bin/curl")),
        ("actor.user.name", text("bob")),
    ]);
    let event = told(&fields);
    let message = "tcp 192.0.2.1:50000 -> 192.0.2.53:53 tls, 12.3 KiB out, 45.0 KiB in, closed";
    assert_eq!((&event["message"], &event["status"]), (&message.into(), &"Success".into()));
    let file = serde_json::json!({"name": "curl", "path": "/usr/bin/curl", "type_id": 8});
    assert_eq!(event["actor"]["process"], serde_json::json!({"name": "curl", "pid": 9, "file": file}));
    assert_eq!(event["connection_info"]["direction_id"], 0, "it is required");
    fields.retain(|(key, _)| *key != "actor.process.pid");
    let event = told(&fields);
    assert_eq!((event["actor"].get("process"), &event["unmapped"]["actor"]["process"]["name"]), (None, &"curl".into()));
    for (activity, status) in [(4, 2), (5, 2), (6, 0), (3, 0)] {
        assert_eq!(told(&head(4001, activity))["status_id"].as_u64().unwrap_or(0), status, "activity {activity}");
    }
}

#[test]
fn record_without_what_its_class_requires_is_a_base_event_that_has_all_of_it() {
    let fields = head(4001, 6).into_iter().filter(|(key, _)| !key.contains("endpoint.ip"));
    let event = told(&fields.collect::<Vec<_>>());
    assert_eq!((&event["class_uid"], &event["type_uid"]), (&0.into(), &0.into()));
    let unmapped = serde_json::json!({
        "class_uid": 4001, "activity_id": 6, "src_endpoint": {"port": 50_000}, "dst_endpoint": {"port": 53}
    });
    assert_eq!(event["unmapped"], unmapped);
    assert_eq!(event["message"], "a record of network_activity without what it requires");
    let process = [("actor.process.name", text("curl")), ("actor.process.uid", text("7-9-1"))];
    let event = told(&[head(4001, 6).swap_remove(1)].into_iter().chain(process).collect::<Vec<_>>());
    assert_eq!(event.get("actor"), None, "a base event has no `actor.process.uid`, and so no process");
}

#[test]
fn numbers_and_words_that_ocsf_does_not_know_are_kept_in_unmapped() {
    let mut fields = head(4002, 42);
    fields.extend([
        ("http_request.http_method", text("BREW")),
        ("http_response.code", Recorded::U64(503)),
        ("connection_info.direction_id", Recorded::U64(99)),
        ("connection_info.protocol_ver_id", Recorded::U64(5)),
        ("src_endpoint.mac", text("no address")),
        ("unmapped.x_forwarded_for", text("192.0.2.9, ::1")),
    ]);
    let event = told(&fields);
    assert_eq!((&event["activity_id"], &event["severity_id"]), (&0.into(), &2.into()));
    assert_eq!((&event["status_id"], &event["status_code"]), (&2.into(), &"503".into()));
    let unmapped = serde_json::json!({
        "activity_id": 42, "http_request": {"http_method": "BREW"}, "src_endpoint": {"mac": "no address"},
        "connection_info": {"direction_id": 99, "protocol_ver_id": 5}
    });
    assert_eq!(event["unmapped"], unmapped);
    assert_eq!(event["http_request"], serde_json::json!({"x_forwarded_for": ["192.0.2.9", "::1"]}));
}

#[test]
fn client_of_dhcp_is_the_end_at_port_68() {
    for (source, destination, client) in
        [(68, 67, Some("src_endpoint")), (67, 68, Some("dst_endpoint")), (67, 67, None)]
    {
        let fields = [
            ("class_uid", Recorded::U64(4004)),
            ("activity_id", Recorded::U64(5)),
            ("src_endpoint.ip", text("192.0.2.1")),
            ("src_endpoint.port", Recorded::U64(source)),
            ("dst_endpoint.ip", text("192.0.2.2")),
            ("dst_endpoint.port", Recorded::U64(destination)),
            ("unmapped.client_mac", text("02:00:00:00:00:09")),
            ("unmapped.client_hostname", text("printer")),
            ("relay.ip", text("192.0.2.3")),
        ];
        let event = told(&fields);
        let place = client.map_or(&event["unmapped"]["client_mac"], |end| &event[end]["mac"]);
        assert_eq!((place, &event["relay"]["ip"]), (&"02:00:00:00:00:09".into(), &"192.0.2.3".into()));
        assert_eq!(event["unmapped"].get("client_hostname").is_none(), client.is_some());
    }
}

#[test]
fn loss_of_packets_is_said_in_packets() {
    let lost = Loss {
        reason: "capture_drop",
        unit: unit(Some("packets")),
        count: Some(9),
        first_record: None,
        lane: Lane::Bulk,
        first_at: AT,
        last_at: AT,
    };
    let origin = Origin::default();
    let mut event = empty();
    loss(&lost, AT, &origin, AT, &mut event);
    let more = [("unit", text("packets")), ("count", Recorded::U64(9)), ("interface", text("eth0"))];
    besides(&more, &mut event);
    let event = shown(&event);
    assert_eq!(
        (&event["message"], &event["status_detail"]),
        (&"9 packets lost: capture_drop".into(), &"capture_drop".into())
    );
    let unmapped = serde_json::json!({"packets": 9, "lane": "bulk", "unit": "packets", "interface": "eth0"});
    assert_eq!(event["unmapped"], unmapped);
    assert_eq!([None, Some("records"), Some("bottles")].map(unit), ["records", "records", "units"]);
}

#[test]
fn answer_of_a_time_server_says_what_it_is() {
    let mut fields = head(4013, 4);
    assert_eq!(told(&fields)["class_uid"], 0, "OCSF requires the version");
    fields.extend([("version", text("4")), ("stratum_id", Recorded::U64(1)), ("precision", Recorded::I64(-23))]);
    let event = told(&fields);
    assert_eq!((&event["type_uid"], &event["stratum"]), (&401_304.into(), &"Primary Server".into()));
    assert_eq!(event["message"], "ntp 192.0.2.1:50000 -> 192.0.2.53:53 version 4, Primary Server");
}
