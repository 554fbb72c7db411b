//! Verdicts, and that each of them says what to do.

use serde_json::json;
use shared::exit::Reason;

use super::*;
use crate::admin::report::SinkStatus;
use crate::command::scratch::Scratch;
use crate::fleet::FleetState;
use crate::journal::JournalStatus;

const DAY: i64 = 86_400;

fn state(status: &Value) -> AgentState {
    let said = json!({
        "agent": AgentId([1; 16]), "version": "0.1.0", "hostname": "web-1", "labels": {}, "granted": {}, "desired": "a",
        "running": "a", "local_fleet": false, "clock_offset_ms": 20, "status": status, "status_at": 1,
    });
    serde_json::from_value(said).unwrap()
}

/// An aggregator that is well, with one agent that is.
fn well() -> Findings {
    let at = Timestamp::from_seconds(1_773_653_400);
    let sink = SinkStatus { name: "lake".into(), delivered: 7, ..SinkStatus::default() };
    let fleet =
        FleetState { path: "/etc/picket/fleet.yaml".into(), hash: "0123456789abcdef".into(), ..FleetState::default() };
    let report = StatusReport {
        version: "0.1.0 (abc)".into(),
        journal: JournalStatus { bytes: 1 << 30, records: 7, position: 8, ..JournalStatus::default() },
        sessions: 1,
        sinks: vec![sink],
        fleet: Some(fleet),
        ..StatusReport::default()
    };
    let disk = Disk { path: "/var/lib/picket-aggregator".into(), free: 40 << 30, is_of_journal: true };
    Findings {
        report,
        enrolled: 1,
        said: vec![state(&json!({ "remarks": [] }))],
        certificate_end: Some(Timestamp::from_seconds(at.as_seconds() + 200 * DAY)),
        disks: vec![disk],
        journal_bytes_max: 20 << 30,
        at,
        ..Findings::default()
    }
}

#[test]
fn an_aggregator_that_is_well_says_so_on_one_screen() {
    let config = Scratch::initialized("status-well");
    let config = crate::config::load(&config.dir.join("aggregator.yaml")).unwrap().config;
    let findings = well();
    let remarks = findings.remarks();
    let mut out = Vec::new();
    print(&findings, &remarks, &config, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("well\n\nversion      0.1.0 (abc)\n"), "{text}");
    assert!(text.contains("agents       1 enrolled, 1 connected, 0 away; configuration: 1 current\n"), "{text}");
    assert!(text.contains("fleet        /etc/picket/fleet.yaml 0123456789ab in force\n"), "{text}");
    assert!(text.contains("journal      1.0GiB of 20.0GiB, 7 records\n"), "{text}");
    assert!(text.lines().count() < 24, "one screen: {text}");
}

#[test]
fn each_thing_that_is_wrong_is_urgent_and_says_what_to_do() {
    type Spoil = fn(&mut Findings);
    let cases: [(Spoil, &str); 13] = [
        (|f| f.report.journal.error = Some("disk full".into()), "the journal takes nothing: disk full"),
        (|f| f.report.journal.notes.push("segments went".into()), "segments went"),
        (|f| f.report.sinks[0].last_error = Some("no room".into()), "sink lake fails: no room"),
        (|f| f.report.sinks.clear(), "there is no sink"),
        (|f| f.report.config.refused = Some("line 3".into()), "aggregator.yaml was changed and is refused"),
        (|f| f.report.fleet.as_mut().unwrap().refused = Some("line 4".into()), "the fleet file is refused"),
        (|f| f.certificate_end = None, "the server's certificate cannot be read"),
        (|f| f.certificate_end = Some(f.at), "the server's certificate has ended"),
        (
            |f| f.certificate_end = Some(Timestamp::from_seconds(f.at.as_seconds() + 89 * DAY)),
            "the server's certificate ends soon",
        ),
        (|f| f.disks[0].free = 255 << 20, "the disk of /var/lib/picket-aggregator is nearly full: 255.0MiB left"),
        (|f| f.away.push("web-1".into()), "one agent of 1 not connected: web-1"),
        (|f| f.said = vec![state(&json!({ "config": { "refused": { "hash": "a" } } }))], "one agent went back"),
        (
            |f| f.said = vec![state(&json!({ "remarks": [{ "urgent": true, "what": "x" }] }))],
            "one agent not well: web-1",
        ),
    ];
    for (spoil, begin) in cases {
        let mut findings = well();
        spoil(&mut findings);
        let remarks = findings.remarks();
        assert_eq!(remarks.len(), 1, "{begin}: {remarks:?}");
        assert!(remarks[0].is_urgent && remarks[0].what.starts_with(begin), "{begin}: {remarks:?}");
        assert!(!remarks[0].advice.is_empty(), "{begin}");
    }
}

#[test]
fn what_is_past_or_may_be_meant_is_a_note() {
    let mut findings = well();
    findings.enrolled = 20;
    findings.away = (0..7).map(|n| format!("db-{n}")).collect();
    findings.overdue.push("db-1".into());
    findings.disks[0].free = 10 << 30;
    findings.report.fleet.as_mut().unwrap().warnings.push("no such type".into());
    findings.said[0].clock_offset_ms = Some(-61_000);
    let sink = &mut findings.report.sinks[0];
    (sink.rejected, sink.unrouted, sink.lag_frames) = (3, 4, 10_001);
    let remarks = findings.remarks();
    let whats: Vec<&str> = remarks.iter().map(|remark| remark.what.as_str()).collect();
    assert!(remarks.iter().all(|remark| !remark.is_urgent && !remark.advice.is_empty()), "{remarks:?}");
    assert_eq!(whats.len(), 8, "{whats:?}");
    assert!(whats.contains(&"7 agents of 20 not connected: db-0, db-1, db-2, db-3, db-4 and 2 more"), "{whats:?}");
    let none = Findings { enrolled: 0, said: Vec::new(), ..well() };
    assert_eq!(none.remarks().len(), 1);
    assert!(none.remarks()[0].advice.contains("token create"));
}

#[test]
fn no_aggregator_is_69_and_says_how_to_start_one() {
    let scratch = Scratch::initialized("status-none");
    for form in ["table", "json"] {
        let exit = scratch.text(&format!("status --output {form}")).unwrap_err();
        assert_eq!(exit.reason, Reason::Unavailable);
        let message = exit.message.unwrap();
        assert!(message.contains("admin.sock") && message.contains("systemctl start picket-aggregator"), "{message}");
    }
}
