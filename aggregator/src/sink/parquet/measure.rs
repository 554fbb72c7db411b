//! What an event costs, measured: `cargo test --release -p picket-aggregator -- --ignored --nocapture costs_of`.

use std::fmt::Write as _;
use std::fs;

use shared::time::Timestamp;

use super::Lake;
use super::testing::{Folder, NOON, Random, files, id};
use crate::event::{Event, Field, Value};
use crate::schema::{Attribute, Class};
use crate::sink::Sink;

const EVENTS: u64 = 1 << 20;
/// Different lines; more than a row group has.
const LINES: u64 = 100_000;

/// What an sshd line says.
struct Line {
    raw: String,
    message: std::ops::Range<usize>,
    user: String,
    ip: String,
    port: i64,
    pid: i64,
}

fn line(random: &mut Random, second: u64) -> Line {
    let users = ["root", "admin", "oracle", "test", "ubuntu", "git", "postgres", "user"];
    let user = match random.below(3) {
        0 => format!("u{}", random.below(5000)),
        _ => users[usize::try_from(random.below(8)).unwrap()].to_owned(),
    };
    // Hosts come again: eight thousand addresses.
    let ip = format!("{}.{}.{}.{}", 45 + random.below(4), 10 + random.below(8), random.below(16), random.below(16));
    let (port, pid) = (1024 + random.below(60_000), 2000 + random.below(30_000));
    let mut raw = format!("Mar 16 09:{:02}:{:02} web-1 sshd[{pid}]: ", second / 60 % 60, second % 60);
    let start = raw.len();
    let _ = match random.below(3) {
        0 => write!(raw, "Accepted publickey for {user} from {ip} port {port} ssh2"),
        1 => write!(raw, "Failed password for invalid user {user} from {ip} port {port} ssh2"),
        _ => write!(raw, "Failed password for {user} from {ip} port {port} ssh2"),
    };
    let (port, pid) = (i64::try_from(port).unwrap(), i64::try_from(pid).unwrap());
    Line { message: start..raw.len(), raw, user, ip, port, pid }
}

fn shared() -> Vec<Field<'static>> {
    let text = |attribute, text: &'static str| Field { attribute, index: 0, value: text.into() };
    vec![
        text(Attribute::MetadataVersion, "1.8.0"),
        text(Attribute::MetadataProductName, "Picket"),
        text(Attribute::MetadataProductVendorName, "Picket"),
        text(Attribute::MetadataProductVersion, "0.1.0"),
        text(Attribute::MetadataProductFeatureName, "file"),
        text(Attribute::MetadataProfiles, "host"),
        text(Attribute::MetadataLogSource, "file"),
        text(Attribute::MetadataLogName, "/var/log/auth.log"),
        text(Attribute::DeviceUid, "01890a5d-ac96-774b-bcce-b302099a8057"),
        Field { attribute: Attribute::DeviceTypeId, index: 0, value: 1.into() },
        text(Attribute::DeviceHostname, "web-1"),
        text(Attribute::DeviceOsName, "Linux"),
        Field { attribute: Attribute::DeviceOsTypeId, index: 0, value: 200.into() },
    ]
}

/// Makes the event anew, in place.
fn fill<'a>(event: &mut Event<'a>, line: &'a Line, record: u64, time: Timestamp) {
    event.reset(time, time);
    (event.id, event.class, event.activity_id) = (id(1, record), Class::Authentication, 1);
    let accepted = line.raw.contains("Accepted");
    let sequence = i64::try_from(record).unwrap();
    let fields: [(Attribute, Value<'a>); 24] = [
        (Attribute::ActivityName, "Logon".into()),
        (Attribute::Message, line.raw[line.message.clone()].into()),
        (Attribute::Status, if accepted { "Success" } else { "Failure" }.into()),
        (Attribute::StatusId, if accepted { 1 } else { 2 }.into()),
        (Attribute::StatusDetail, if accepted { "key accepted" } else { "bad password" }.into()),
        (Attribute::MetadataLogProvider, "sshd".into()),
        (Attribute::MetadataLogFormat, "syslog".into()),
        (Attribute::MetadataSequence, sequence.into()),
        (Attribute::MetadataOriginalTime, line.raw[..15].into()),
        (Attribute::MetadataLoggedTime, (time.as_ms() + 3).into()),
        (Attribute::MetadataProcessedTime, (time.as_ms() / 500 * 500 + 700).into()),
        (Attribute::ActorProcessName, "sshd".into()),
        (Attribute::ActorProcessPid, line.pid.into()),
        (Attribute::UserName, line.user.as_str().into()),
        (Attribute::SrcEndpointIp, line.ip.as_str().into()),
        (Attribute::SrcEndpointPort, line.port.into()),
        (Attribute::DstEndpointHostname, "web-1".into()),
        (Attribute::DstEndpointPort, 22.into()),
        (Attribute::ServiceName, "sshd".into()),
        (Attribute::IsRemote, true.into()),
        (Attribute::LogonTypeId, 10.into()),
        (Attribute::AuthProtocolId, 99.into()),
        (Attribute::RawData, line.raw.as_str().into()),
        (Attribute::RawDataSize, i64::try_from(line.raw.len()).unwrap().into()),
    ];
    for (attribute, value) in fields {
        event.push(attribute, value);
    }
    let observables = [("src_endpoint.ip", 2, &line.ip), ("user.name", 4, &line.user)];
    for (index, (name, kind, value)) in (0..).zip(observables) {
        event.push_at(Attribute::ObservablesName, index, name);
        event.push_at(Attribute::ObservablesTypeId, index, kind);
        event.push_at(Attribute::ObservablesValue, index, value.as_str());
    }
}

/// Nanoseconds that this thread has run, from the kernel's scheduler.
fn cpu() -> u64 {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    statistics.split(' ').next().unwrap().parse().unwrap()
}

fn resident() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status
        .lines()
        .filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS"))
        .map(|line| line.replace('\t', " "))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Nanoseconds an event that zstd level 1 takes for the bare lines, in blocks of 256 KiB: the yardstick.
fn yardstick() -> u64 {
    let mut random = Random(1);
    let lines: String = (0..LINES).map(|record| line(&mut random, record / 500).raw + "\n").collect();
    let mut zstd = zstd::bulk::Compressor::new(1).unwrap();
    let before = cpu();
    for block in lines.as_bytes().chunks(256 << 10) {
        zstd.compress(block).unwrap();
    }
    (cpu() - before) / LINES
}

/// Makes the events one by one, shows each to `take`, and returns the nanoseconds that all of it took.
fn run(jitter: u64, mut take: impl FnMut(&Event<'_>)) -> u64 {
    let shared = shared();
    let mut random = Random(1);
    let lines: Vec<Line> = (0..LINES).map(|record| line(&mut random, record / 500)).collect();
    let mut event = Event { shared: &shared, ..Event::new(id(1, 0), NOON, NOON) };
    let before = cpu();
    for record in 0..EVENTS {
        let late = i64::try_from(random.below(jitter + 1)).unwrap();
        let time = Timestamp::from_ms(NOON.as_ms() + i64::try_from(record * 2).unwrap() - late);
        let line = &lines[usize::try_from(record % LINES).unwrap()];
        fill(&mut event, line, record, time);
        take(&event);
    }
    cpu() - before
}

#[test]
#[ignore = "a measurement: run it in a release build"]
fn costs_of_an_authentication_event() {
    for jitter in [0, 2000] {
        let folder = Folder::new();
        let (mut values, mut text) = (0, 0);
        let making = run(jitter, |event| {
            values = event.fields.len() + event.shared.len() + 7;
            text += event.text(Attribute::RawData).map_or(0, str::len);
        });
        let mut lake = Lake::open(&folder.0).unwrap();
        let pushing = run(jitter, |event| lake.push(event).unwrap()).saturating_sub(making);
        let before = cpu();
        lake.commit(1).unwrap();
        let commit = cpu() - before;
        let bytes: u64 = files(&folder.0, ".parquet").iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        println!(
            "times out of order by up to {jitter} ms: {values} values and {:.0} bytes of line an event: {} ns, {:.1} bytes of lake an \
             event; commit {} ms; zstd of the line alone {} ns; {}",
            text as f64 / EVENTS as f64,
            (pushing + commit) / EVENTS,
            bytes as f64 / EVENTS as f64,
            commit / 1_000_000,
            yardstick(),
            resident(),
        );
    }
}
