use std::collections::VecDeque;
use std::net::UdpSocket;
use std::sync::Mutex;

use shared::record::Value;
use shared::time::ManualClock;

use super::*;
use crate::handover::{Chunk, Loss, Records, Stopped, Untaken};
use crate::own_traffic::UDP;

type Fields = Vec<(String, Value)>;

/// What a fake interface does next.
enum Step {
    Packets(Vec<Vec<u8>>),
    Drops(Drops),
    Pass(Duration),
    Fail(CaptureError),
    Stop(Arc<Wake>),
}

/// An interface whose captures do what they are told, then ask the source to end.
struct Fake {
    opens: Mutex<VecDeque<Result<Vec<Step>, CaptureError>>>,
    filters: Arc<Mutex<Vec<String>>>,
    clock: ManualClock,
    wake: Arc<Wake>,
    own: OwnTraffic,
}

struct FakeCapture {
    steps: VecDeque<Step>,
    drops: Drops,
    filters: Arc<Mutex<Vec<String>>>,
    clock: ManualClock,
    wake: Arc<Wake>,
}

impl Interface for Fake {
    fn open(&self, config: &PacketConfig, own: &[OwnEnds]) -> Result<Box<dyn Capture>, CaptureError> {
        let mut opens = self.opens.lock().unwrap();
        let Some(next) = opens.pop_front() else {
            self.wake.stop();
            return Err(CaptureError::Failed("no more".into()));
        };
        let (steps, drops, filters) = (next?.into(), Drops::default(), Arc::clone(&self.filters));
        let mut capture =
            FakeCapture { steps, drops, filters, clock: self.clock.clone(), wake: Arc::clone(&self.wake) };
        capture.filter(config.filter.as_deref(), own)?;
        Ok(Box::new(capture))
    }

    fn open_first(&self, _: &PacketConfig, _: &[IpAddr]) -> Result<Option<Box<dyn Capture>>, CaptureError> {
        Ok(None)
    }
}

impl Capture for FakeCapture {
    fn link(&self) -> LinkType {
        LinkType::RAW
    }

    fn filter(&mut self, filter: Option<&str>, own: &[OwnEnds]) -> Result<(), CaptureError> {
        self.filters.lock().unwrap().push(own::filter(filter, own));
        Ok(())
    }

    fn read(&mut self, _: Duration, take: &mut dyn FnMut(Frame<'_>)) -> Result<usize, CaptureError> {
        match self.steps.pop_front() {
            Some(Step::Packets(packets)) => {
                let at = Clock::Manual(self.clock.clone()).now();
                for packet in &packets {
                    take(Frame { at, captured: packet, wire_len: packet.len().try_into().unwrap() });
                }
                return Ok(packets.len());
            }
            Some(Step::Drops(drops)) => self.drops = drops,
            Some(Step::Pass(time)) => self.clock.advance(time),
            Some(Step::Fail(error)) => return Err(error),
            Some(Step::Stop(wake)) => wake.stop(),
            None => self.wake.stop(),
        }
        Ok(0)
    }

    fn drops(&mut self) -> Result<Drops, CaptureError> {
        Ok(self.drops)
    }
}

/// Keeps records, or has no room for them.
#[derive(Default)]
struct Kept {
    records: Vec<Fields>,
    full: bool,
    /// What was refused, and how long the source would have waited for room.
    refused: Vec<(usize, Duration)>,
}

impl Outlet for Kept {
    fn lines(&mut self, _: Chunk) -> Result<(), Stopped> {
        Err(Stopped)
    }
    fn records(&mut self, records: Records, patience: Duration) -> Result<(), Untaken> {
        if self.full {
            self.refused.push((records.len(), patience));
            return Err(Untaken::Full);
        }
        self.records.extend(records.records().iter().cloned());
        Ok(())
    }
    fn loss(&mut self, _: Loss) -> Result<(), Stopped> {
        panic!("it would wait for room")
    }
}

/// UDP from 192.0.2.1.
fn udp(source: u16, destination: ([u8; 4], u16), payload: &[u8]) -> Vec<u8> {
    let length = |more: usize| u16::try_from(payload.len() + more).unwrap().to_be_bytes();
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1];
    packet[2..4].copy_from_slice(&length(28));
    packet.extend(destination.0);
    packet.extend(source.to_be_bytes());
    packet.extend(destination.1.to_be_bytes());
    packet.extend(length(8));
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}

const SERVER: ([u8; 4], u16) = ([192, 0, 2, 2], 9000);

fn config() -> PacketConfig {
    PacketConfig {
        interface: "fake0".into(),
        filter: Some("not port 22".into()),
        snap_length: 2048,
        buffer_bytes: 1 << 20,
        promiscuous: false,
        protocols: Protocol::ALL.map(|(_, protocol)| protocol).to_vec(),
        flows_max: 1024,
        update_interval: Duration::from_secs(300),
        lane: Lane::Bulk,
    }
}

struct Ran {
    kept: Kept,
    filters: Vec<String>,
    health: Arc<Health>,
    own: OwnTraffic,
}

impl Ran {
    fn capture(&self) -> CaptureSnapshot {
        self.health.snapshot().capture.unwrap()
    }

    fn of<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Value> {
        self.kept.records.iter().filter_map(move |fields| value(fields, key))
    }
}

fn value<'a>(fields: &'a Fields, key: &str) -> Option<&'a Value> {
    fields.iter().find(|(name, _)| name == key).map(|(_, value)| value)
}

/// Runs a source over what its interface does at each opening.
fn run(config: PacketConfig, full: bool, opens: Vec<Result<Vec<Step>, CaptureError>>) -> Ran {
    run_beside(OwnTraffic::default(), config, full, opens)
}

fn run_beside(own: OwnTraffic, config: PacketConfig, full: bool, opens: Vec<Result<Vec<Step>, CaptureError>>) -> Ran {
    let clock = ManualClock::new(Timestamp::from_seconds(1_700_000_000));
    let (wake, health, filters) = (Arc::new(Wake::default()), Arc::new(Health::default()), Arc::default());
    let fake = Fake {
        opens: Mutex::new(opens.into()),
        filters: Arc::clone(&filters),
        clock: clock.clone(),
        wake: Arc::clone(&wake),
        own: own.clone(),
    };
    let around = Around {
        index: SourceIndex(0),
        clock: Clock::Manual(clock),
        wake,
        health: Arc::clone(&health),
        own: own.clone(),
        baton: Arc::default(),
    };
    assert_eq!(fake.own.generation(), own.generation());
    let mut kept = Kept { full, ..Kept::default() };
    PacketSource::new(config, Arc::new(fake), None, around).run(&mut kept);
    let filters = filters.lock().unwrap().clone();
    Ran { kept, filters, health, own }
}

#[test]
fn capture_outlives_its_source_for_one_that_would_open_the_same_and_its_drops_are_told_once() {
    let clock = ManualClock::new(Timestamp::from_seconds(1_700_000_000));
    let (own, baton, wakes) =
        (OwnTraffic::default(), Arc::<Baton>::default(), [(); 3].map(|()| Arc::<Wake>::default()));
    let drops = |kernel| Step::Drops(Drops { kernel, interface: 0 });
    let stop = |number: usize| Step::Stop(Arc::clone(&wakes[number]));
    let packets = |port| Step::Packets(vec![udp(port, SERVER, b"?")]);
    let steps = vec![packets(4000), drops(3), stop(0), packets(4001), drops(5), stop(1)];
    let fake = Arc::new(Fake {
        opens: Mutex::new([Ok(steps), Ok(vec![packets(4002), drops(1), stop(2)])].into()),
        filters: Arc::default(),
        clock: clock.clone(),
        wake: Arc::default(),
        own: own.clone(),
    });
    let run = |config: PacketConfig, wake: &Arc<Wake>| {
        let (clock, wake, own, baton) =
            (Clock::Manual(clock.clone()), Arc::clone(wake), own.clone(), Arc::clone(&baton));
        let around = Around { index: SourceIndex(0), clock, wake, health: Arc::default(), own, baton };
        let mut kept = Kept::default();
        PacketSource::new(config, Arc::clone(&fake) as Arc<dyn Interface>, None, around).run(&mut kept);
        let of = |key: &str| kept.records.iter().filter_map(|fields| value(fields, key)).cloned().collect::<Vec<_>>();
        (of("src_endpoint.port"), of("count"), fake.opens.lock().unwrap().len())
    };
    let amounts = |number: u64| vec![Value::U64(number)];
    assert_eq!(run(config(), &wakes[0]), (amounts(4000), amounts(3), 1));
    let others = PacketConfig { protocols: vec![Protocol::Flow], flows_max: 2048, lane: Lane::High, ..config() };
    assert_eq!(run(others, &wakes[1]), (amounts(4001), amounts(2), 1), "the same capture goes on");
    let filtered = PacketConfig { filter: Some("udp".into()), ..config() };
    assert_eq!(run(filtered, &wakes[2]), (amounts(4002), amounts(1), 0), "another filter is another capture");
    for other in [
        PacketConfig { interface: "fake1".into(), ..config() },
        PacketConfig { snap_length: 96, ..config() },
        PacketConfig { buffer_bytes: 2 << 20, ..config() },
        PacketConfig { promiscuous: true, ..config() },
    ] {
        assert!(!config().opens_as(&other), "{other:?}");
    }
}

#[test]
fn open_flows_are_told_at_a_stop_and_silent_ones_when_they_are() {
    let idle = Duration::from_secs(3600);
    let ran = run(
        config(),
        false,
        vec![Ok(vec![
            Step::Packets(vec![udp(4000, SERVER, b"first"), udp(4000, SERVER, b"again")]),
            Step::Pass(idle),
            Step::Packets(vec![]),
            Step::Packets(vec![udp(4001, SERVER, b"second")]),
        ])],
    );
    let ports: Vec<&Value> = ran.of("src_endpoint.port").collect();
    assert_eq!(ports, [&Value::U64(4000), &Value::U64(4001)]);
    assert_eq!(ran.of("traffic.packets_out").collect::<Vec<_>>(), [&Value::U64(2), &Value::U64(1)]);
    assert_eq!(value(&ran.kept.records[0], "unmapped.interface"), Some(&Value::String("fake0".into())));
    assert_eq!((ran.capture().packets, ran.capture().flows, ran.health.snapshot().lines), (3, 0, 2));
    assert_eq!(ran.filters, ["not port 22"]);
}

#[test]
fn only_what_is_asked_for_is_told() {
    let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01";
    let steps = || vec![Ok(vec![Step::Packets(vec![udp(4000, ([192, 0, 2, 2], 53), query)])])];
    let classes = |protocols: &[Protocol]| {
        let ran = run(PacketConfig { protocols: protocols.to_vec(), ..config() }, false, steps());
        ran.of("class_uid").cloned().collect::<Vec<_>>()
    };
    assert_eq!(classes(&[Protocol::Dns]), [Value::U64(4003)]);
    assert_eq!(classes(&[Protocol::Flow]), [Value::U64(4001)]);
    assert_eq!(classes(&[Protocol::Tls, Protocol::Arp]), []);
}

#[test]
fn own_traffic_is_left_out_of_filter_and_records_from_the_moment_it_is_declared() {
    let own = OwnTraffic::default();
    let ends = OwnEnds { protocol: UDP, local_port: 4000, remote: SERVER.into() };
    own.declare(ends);
    let mut back = udp(9000, ([192, 0, 2, 1], 4000), b"ack");
    back[12..16].copy_from_slice(&[192, 0, 2, 2]);
    let packets = vec![udp(4000, SERVER, b"frame"), back, udp(4001, SERVER, b"someone else")];
    let ran = run_beside(own, config(), false, vec![Ok(vec![Step::Packets(packets)])]);
    assert_eq!(ran.of("src_endpoint.port").collect::<Vec<_>>(), [&Value::U64(4001)]);
    assert_eq!(
        ran.filters,
        ["not ((greater 40 and ((ip dst host 192.0.2.2 and udp src port 4000 and udp dst port 9000) or \
          (ip src host 192.0.2.2 and udp dst port 4000 and udp src port 9000)))) and (not port 22)"]
    );
    assert_eq!(ran.own.generation(), 1);
}

#[test]
fn drops_are_losses_in_packets_said_at_once_then_once_a_minute_and_at_the_end() {
    let drops = |kernel, interface| Step::Drops(Drops { kernel, interface });
    let second = || Step::Pass(Duration::from_secs(1));
    let steps = vec![
        drops(u32::MAX, 0),
        second(),
        // The counter comes round.
        drops(9, 2),
        second(),
        drops(14, 2),
        second(),
        Step::Pass(tally::SAID_EVERY),
        drops(15, 2),
    ];
    let ran = run(config(), false, vec![Ok(steps)]);
    let losses: Vec<(&Value, &Value, &Value)> = (ran.kept.records.iter())
        .map(|loss| (value(loss, "reason").unwrap(), value(loss, "count").unwrap(), value(loss, "unit").unwrap()))
        .collect();
    let (kernel, interface) = (Value::String("capture_drop".into()), Value::String("interface_drop".into()));
    let packets = Value::String("packets".into());
    let amounts = [u64::from(u32::MAX), 2, 15, 1].map(Value::U64);
    assert_eq!(
        losses,
        [
            (&kernel, &amounts[0], &packets),
            (&interface, &amounts[1], &packets),
            (&kernel, &amounts[2], &packets),
            (&kernel, &amounts[3], &packets),
        ]
    );
    assert_eq!((ran.capture().kernel_drops, ran.capture().interface_drops), (u64::from(u32::MAX) + 16, 2));
}

#[test]
fn flows_that_find_no_room_in_the_table_are_a_loss_with_its_counts() {
    let packets = (0..3000_u16).map(|port| udp(10_000 + port, SERVER, b"?")).collect();
    let ran = run(config(), false, vec![Ok(vec![Step::Packets(packets)])]);
    let (losses, flows): (Vec<_>, Vec<_>) = ran.kept.records.iter().partition(|fields| value(fields, "unit").is_some());
    assert_eq!((losses.len(), flows.len()), (1, 1024));
    let of = |key| value(losses[0], key).unwrap().clone();
    assert_eq!((of("reason"), of("unit")), (Value::String("flow_evicted".into()), Value::String("flows".into())));
    assert_eq!((of("count"), of("untold")), (Value::U64(1976), Value::U64(1976)));
    assert_eq!((ran.capture().evicted_flows, ran.capture().untold_flows), (1976, 1976));
}

#[test]
fn full_lane_costs_records_that_are_counted_and_is_waited_for_once() {
    let packets = |from: u16| Step::Packets((0..400).map(|port| udp(from + port, SERVER, b"?")).collect());
    let idle = || Step::Pass(Duration::from_secs(3600));
    let ran = run(config(), true, vec![Ok(vec![packets(1000), idle(), packets(2000), idle(), packets(3000)])]);
    assert!(ran.kept.refused.len() > 2);
    assert_eq!(ran.kept.refused[0].1, ROOM_PATIENCE);
    assert_eq!(ran.kept.refused[1].1, Duration::ZERO, "it does not wait again");
    assert_eq!(ran.kept.refused.last().unwrap().1, STOP_PATIENCE, "at the end it does");
    let refused: usize = ran.kept.refused.iter().map(|(count, _)| count).sum();
    assert_eq!((refused, ran.capture().records_lost), (1200, 1200));
}

#[test]
fn capture_that_fails_is_tried_again_and_says_what_to_do() {
    let gone = CaptureError::NoInterface("fake0".into());
    let denied = CaptureError::NotPermitted("CAP_NET_RAW may be required".into());
    let opens = vec![
        Err(denied.clone()),
        Ok(vec![Step::Packets(vec![udp(4000, SERVER, b"before")]), Step::Fail(gone.clone())]),
        Ok(vec![Step::Packets(vec![udp(4000, SERVER, b"after")])]),
    ];
    let ran = run(config(), false, opens);
    let ports: Vec<&Value> = ran.of("src_endpoint.port").collect();
    assert_eq!(ports, [&Value::U64(4000); 2], "what was open when it went is told");
    let health = ran.health.snapshot();
    assert_eq!(health.count(Trouble::CaptureFailed), 2);
    assert_eq!(health.last_error.as_deref(), Some("there is no interface 'fake0'"));
    assert!(denied.advice().contains("CAP_NET_RAW") && gone.advice().contains("ip link"));
}

#[test]
fn clock_that_goes_back_does_not_end_every_flow_at_once() {
    let clock = ManualClock::new(Timestamp::from_seconds(1_700_000_000));
    let (wake, health, own) = (Arc::default(), Arc::default(), OwnTraffic::default());
    let fake = Fake {
        opens: Mutex::default(),
        filters: Arc::default(),
        clock: clock.clone(),
        wake: Arc::clone(&wake),
        own: own.clone(),
    };
    let around =
        Around { index: SourceIndex(0), clock: Clock::Manual(clock), wake, health, own, baton: Arc::default() };
    let mut source = PacketSource::new(config(), Arc::new(fake), None, around);
    let mut kept = Kept::default();
    source.latest = Timestamp::from_seconds(1_700_003_600);
    source.meter.frame(LinkType::RAW, source.latest, &udp(4000, SERVER, b"x"), 29, &mut |_| {});
    source.keep_house(&mut kept);
    assert_eq!((kept.records.len(), source.meter.flows()), (1, 0));
    assert_eq!(source.latest, Timestamp::from_seconds(1_700_000_000));
}

#[test]
fn thread_that_waits_for_packets_of_loopback_gets_them() {
    let interface = Live;
    let config = PacketConfig { interface: "lo".into(), filter: Some("udp port 54321".into()), ..config() };
    let mut capture = match interface.open(&config, &[]) {
        Ok(capture) => capture,
        Err(error) => {
            println!("skipped: {error}");
            return;
        }
    };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (mut bytes, deadline) = (0, Instant::now() + Duration::from_secs(20));
    while bytes == 0 && Instant::now() < deadline {
        socket.send_to(b"hello", "127.0.0.1:54321").unwrap();
        capture.read(Duration::from_millis(200), &mut |frame| bytes += frame.wire_len).unwrap();
    }
    assert_eq!(bytes % 47, 0, "Ethernet, IP, UDP and five bytes");
    assert!(bytes > 0);
}
