//! Promise: whatever is told of the state of a host and of its files becomes a valid event of its class, and nothing that is
//! said is lost.

use std::collections::BTreeMap;

use aggregator::schema::{Attribute, Class};
use picket_tests::harness::Random;
use shared::record::Value;
use shared::time::Timestamp;

use crate::network_records::{Bench, Forger};

mod real;

type Fields = Vec<(String, Value)>;

/// Every class of the host.
const CLASSES: [u64; 14] = [1001, 1002, 1006, 1007, 3001, 3002, 3006, 5001, 5003, 5004, 5019, 5020, 5040, 6002];

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn map(entries: &[(&str, Value)]) -> Value {
    Value::Map(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
}

fn hashes() -> Value {
    let entries = [("algorithm", text("SHA-256")), ("algorithm_id", Value::U64(3)), ("value", text(&"ab".repeat(32)))];
    Value::List(vec![map(&entries)])
}

fn said(class: u64, activity: u64, more: &[(&str, Value)]) -> Fields {
    let head = [
        ("picket.record", text("host")),
        ("class_uid", Value::U64(class)),
        ("activity_id", Value::U64(activity)),
        ("time", Value::Time(Timestamp::from_seconds(1_773_653_300))),
    ];
    head.iter().chain(more).map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

/// An answer about one thing of the host.
fn evidence(kind: u64, word: &str, more: &[(&str, Value)]) -> Fields {
    let head = [
        ("query_result_id", Value::U64(1)),
        ("query_evidence.query_type_id", Value::U64(kind)),
        ("query_evidence.query_type", text(word)),
    ];
    said(5040, 1, &head.iter().chain(more).cloned().collect::<Vec<_>>())
}

/// One record of each kind, as the sources make them.
#[expect(clippy::too_many_lines, reason = "a table: one record of each kind")]
fn samples() -> Vec<(u32, Fields)> {
    let number = Value::U64;
    let at = || Value::Time(Timestamp::from_seconds(1_773_600_000));
    let file = |prefix: &str| -> Vec<(String, Value)> {
        let parts = [
            ("name", text("passwd")),
            ("path", text("/etc/passwd")),
            ("type_id", number(1)),
            ("size", number(7)),
            ("modified_time", at()),
            ("owner.uid", text("0")),
            ("hashes", hashes()),
        ];
        parts.into_iter().map(|(key, value)| (format!("{prefix}.{key}"), value)).collect()
    };
    let with = |mut fields: Fields, more: Vec<Fields>| {
        fields.extend(more.into_iter().flatten());
        fields
    };
    let process = |prefix: &str| -> Vec<(String, Value)> {
        let parts = [
            ("pid", number(7)),
            ("uid", text("boot-7-1")),
            ("name", text("sh")),
            ("cmd_line", text("sh -c true")),
            ("working_directory", text("/")),
            ("file.path", text("/usr/bin/sh")),
            ("file.hashes", hashes()),
            ("user.uid", text("0")),
            ("user.name", text("root")),
            ("parent_process.pid", number(1)),
            ("container.uid", text(&"ab".repeat(32))),
            ("created_time", at()),
        ];
        parts.into_iter().map(|(key, value)| (format!("{prefix}.{key}"), value)).collect()
    };
    let components = [[("name", text("bash")), ("version", text("5")), ("purl", text("pkg:deb/debian/bash@5"))]];
    vec![
        (1001, with(said(1001, 1, &[("actor.app_name", text("picket-agent"))]), vec![file("file")])),
        (1001, with(said(1001, 3, &[]), vec![file("file"), file("file_result")])),
        (1001, said(1001, 13, &[("file.path", text("/mnt")), ("file.type_id", number(2))])),
        (1002, said(1002, 1, &[("driver.file.name", text("xfs")), ("driver.file.type_id", number(1))])),
        (
            1006,
            said(1006, 1, &[("job.name", text("run")), ("job.cmd_line", text("/x")), ("job.user.name", text("root"))]),
        ),
        (1007, with(said(1007, 1, &[("launch_type_id", number(3))]), vec![process("process")])),
        (1007, with(said(1007, 2, &[("exit_code", number(1)), ("process.pid", number(7))]), vec![])),
        (3001, said(3001, 9, &[("user.name", text("eve")), ("user.uid", text("1001"))])),
        (3001, said(3001, 99, &[("user.name", text("eve")), ("activity_name", text("Key Added"))])),
        (
            3002,
            said(
                3002,
                1,
                &[("user.name", text("eve")), ("service.name", text("login")), ("session.terminal", text("tty1"))],
            ),
        ),
        (3006, said(3006, 3, &[("group.name", text("wheel")), ("group.uid", text("10"))])),
        (
            4001,
            said(
                4001,
                7,
                &[
                    ("src_endpoint.ip", text("0.0.0.0")),
                    ("src_endpoint.port", number(22)),
                    ("connection_info.protocol_name", text("tcp")),
                    ("connection_info.direction_id", number(1)),
                ],
            ),
        ),
        (
            5001,
            said(
                5001,
                2,
                &[
                    ("device.os.name", text("Linux")),
                    ("device.os.type_id", number(200)),
                    ("device.os.edition", text("Debian GNU/Linux")),
                    ("device.os.version", text("13")),
                    ("device.type_id", number(1)),
                    ("device.hostname", text("web-1")),
                    ("device.hypervisor", text("kvm")),
                    ("device.os_machine_uuid", text("01234567-89ab-cdef-0123-456789abcdef")),
                    ("device.hw_info.cpu_count", number(1)),
                    ("device.hw_info.ram_size", number(2048)),
                    ("device.boot_time", at()),
                    (
                        "device.network_interfaces",
                        Value::List(vec![map(&[
                            ("name", text("eth0")),
                            ("mac", text("02:00:00:00:00:01")),
                            ("ip", Value::Ip([192, 0, 2, 1].into())),
                            ("subnet_prefix", number(24)),
                        ])]),
                    ),
                ],
            ),
        ),
        (
            5003,
            said(
                5003,
                2,
                &[
                    ("user.name", text("eve")),
                    ("user.uid", text("1001")),
                    ("user.full_name", text("Eve E.")),
                    ("user.groups", Value::List(vec![map(&[("name", text("wheel"))])])),
                ],
            ),
        ),
        (5004, said(5004, 2, &[("device.os.version", text("13")), ("unmapped.reboot_required", Value::Bool(true))])),
        (5019, said(5019, 2, &[("unmapped.name", text("kernel.dmesg_restrict")), ("unmapped.value", text("1"))])),
        (
            5020,
            said(
                5020,
                2,
                &[
                    ("sbom.package.name", text("Debian GNU/Linux")),
                    ("sbom.package.version", text("13")),
                    ("sbom.package.type_id", number(2)),
                    ("sbom.software_components", Value::List(components.iter().map(|one| map(one)).collect())),
                ],
            ),
        ),
        (5040, with(evidence(10, "Process", &[]), vec![process("query_evidence.process")])),
        (
            5040,
            evidence(
                7,
                "Network Connection",
                &[
                    ("query_evidence.connection_info.direction_id", number(1)),
                    ("query_evidence.connection_info.protocol_name", text("tcp")),
                    ("query_evidence.connection_info.community_uid", text("1:LQU9qZlK+B5F3KDmev6m5PMibrg=")),
                    ("unmapped.src_endpoint.ip", text("192.0.2.1")),
                    ("unmapped.src_endpoint.port", number(22)),
                    ("query_evidence.tcp_state_id", number(10)),
                    ("actor.process.pid", number(1)),
                ],
            ),
        ),
        (5040, evidence(11, "Service", &[("query_evidence.service.name", text("ssh.service"))])),
        (5040, evidence(5, "Job", &[("query_evidence.job.name", text("a.timer"))])),
        (5040, evidence(99, "Group", &[("query_evidence.group.name", text("wheel"))])),
        (5040, evidence(12, "Session", &[("query_evidence.session.uid", text("3"))])),
        (5040, evidence(13, "User", &[("query_evidence.user.name", text("root"))])),
        (
            5040,
            evidence(
                3,
                "Folder",
                &[
                    ("query_evidence.folder.path", text("/mnt")),
                    ("query_evidence.folder.name", text("mnt")),
                    ("query_evidence.folder.type_id", number(2)),
                ],
            ),
        ),
        (
            5040,
            evidence(
                6,
                "Module",
                &[
                    ("query_evidence.module.load_type_id", number(1)),
                    ("query_evidence.module.file.name", text("xfs")),
                    ("query_evidence.module.file.type_id", number(1)),
                ],
            ),
        ),
        (
            6002,
            said(
                6002,
                8,
                &[("app.name", text("bash")), ("app.version", text("5")), ("app.vendor_name", text("Debian"))],
            ),
        ),
    ]
}

#[test]
fn every_kind_of_host_record_is_a_valid_event_of_its_class_and_all_of_it_has_a_place() {
    let Some(bench) = Bench::new() else { return };
    for (class, said) in samples() {
        bench.event(&said, |event| {
            assert_eq!(event.class.uid(), class, "{said:?}");
            assert_ne!(event.text(Attribute::Message), None, "{said:?}");
            for (key, _) in &event.unmapped {
                let was_unmapped = said.iter().any(|(name, _)| name.strip_prefix("unmapped.") == Some(key));
                assert!(was_unmapped, "{class} {key} has no place: {said:?}");
            }
        });
    }
    let told: std::collections::BTreeSet<u32> = samples().into_iter().map(|(class, _)| class).collect();
    assert!(CLASSES.iter().all(|class| told.contains(&u32::try_from(*class).unwrap())));
}

#[test]
fn record_of_the_host_without_what_its_class_requires_is_a_base_event_that_has_all_of_it() {
    let Some(bench) = Bench::new() else { return };
    for class in CLASSES.into_iter().filter(|class| ![5001, 5019, 5020].contains(class)) {
        let event = bench.event(&said(class, 1, &[("x.y", text("kept"))]), |_| {});
        assert_eq!((&event["class_uid"], &event["unmapped"]["class_uid"]), (&0.into(), &class.into()));
        assert_eq!(event["unmapped"]["x"]["y"], "kept");
    }
    let two = [("query_evidence.user.name", text("a")), ("query_evidence.group.name", text("b"))];
    let event = bench.event(&evidence(13, "User", &two), |_| {});
    assert_eq!(event["class_uid"], 0, "an answer is about one thing");
}

#[test]
fn forged_records_of_the_host_are_valid_events_and_lose_no_text() {
    let Some(bench) = Bench::new() else { return };
    let seed = std::env::var("PICKET_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("PICKET_SEED={seed}");
    let mut forger = Forger { random: Random::new(seed), texts: 0 };
    let (samples, mut classes) = (samples(), BTreeMap::<u32, usize>::new());
    for round in 0..20_000 {
        let (_, mut said) = samples[forger.below(samples.len())].clone();
        forger.forged(&mut said);
        for _ in 0..forger.below(12) {
            // What the class itself carries.
            let class = Class::from_uid(u32::try_from(*forger.one_of(&CLASSES)).unwrap()).unwrap();
            let path = forger.one_of(class.attributes()).path();
            let (at, value) = (forger.below(said.len()), forger.value(3));
            said.insert(at, (path.split("[]").next().unwrap().to_owned(), value));
        }
        if round % 5 == 0 {
            said.insert(0, ("class_uid".to_owned(), Value::U64(*forger.one_of(&CLASSES))));
        }
        *classes.entry(bench.keeps_all(&said, seed)).or_default() += 1;
    }
    println!("{classes:?}");
    assert!(classes.len() >= 15, "{classes:?}");
}
