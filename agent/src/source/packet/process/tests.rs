use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use shared::record::Value;

use super::super::decode::LinkType;
use super::super::dissect::Told;
use super::super::flow::Settings;
use super::super::flow::key::{TCP, UDP};
use super::*;

/// Raw IPv4: a first packet from one end to another; a SYN where it is TCP.
fn frame(protocol: u8, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let octets = |end: SocketAddr| match end.ip() {
        IpAddr::V4(ip) => ip.octets(),
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED.octets(),
    };
    let len: u8 = if protocol == TCP { 40 } else { 28 };
    let mut bytes = vec![0x45, 0, 0, len, 0, 0, 0, 0, 64, protocol, 0, 0];
    bytes.extend(octets(from));
    bytes.extend(octets(to));
    bytes.extend(from.port().to_be_bytes());
    bytes.extend(to.port().to_be_bytes());
    if protocol == TCP {
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 1, 0, 0, 0, 0, 0]);
    } else {
        bytes.extend([0, 8, 0, 0]);
    }
    bytes
}

/// What comes of flows with these ends when they are asked for in a turn each.
struct Bench {
    meter: Meter,
    attribution: Attribution,
    now: Timestamp,
    told: Vec<Told>,
}

impl Bench {
    fn new(mut attribution: Attribution) -> Self {
        let mut meter = Meter::new(Settings::default());
        attribution.turn(&mut meter, Timestamp(0));
        Self { meter, attribution, now: Timestamp(0), told: Vec::new() }
    }

    fn packet(&mut self, protocol: u8, from: SocketAddr, to: SocketAddr) {
        let bytes = frame(protocol, from, to);
        let len = u32::try_from(bytes.len()).unwrap();
        self.meter.frame(LinkType::RAW, self.now, &bytes, len, &mut |told| self.told.push(told));
    }

    /// Turns until nothing waits, a tick of 250 ms each.
    fn turns(&mut self) {
        for _ in 0..16 {
            self.attribution.turn(&mut self.meter, self.now);
            self.now = self.now.plus(Duration::from_millis(250));
            if self.attribution.waiting() == 0 {
                return;
            }
        }
        panic!("{} flows wait for ever", self.attribution.waiting());
    }

    fn finish(mut self) -> Vec<Told> {
        self.meter.finish(&mut |told| self.told.push(told));
        self.told
    }
}

fn value(told: &Told, key: &str) -> String {
    match told.fields.iter().find(|(known, _)| known == key) {
        Some((_, Value::String(text))) => text.clone(),
        Some((_, Value::U64(number))) => number.to_string(),
        Some((_, Value::Ip(ip))) => ip.to_string(),
        _ => String::new(),
    }
}

/// The record of the flow from this port.
fn from_port(told: &[Told], port: u16) -> &Told {
    told.iter().find(|told| value(told, "src_endpoint.port") == port.to_string()).unwrap()
}

/// This host's: by netlink, and by listings.
fn both_ways() -> [Attribution; 2] {
    [true, false].map(|netlink| Attribution::at(Path::new("/proc"), Path::new("/etc/passwd"), netlink))
}

fn own_name() -> String {
    std::fs::read_to_string("/proc/self/comm").unwrap().trim().to_owned()
}

#[test]
fn flow_of_a_socket_of_this_process_carries_its_name_and_user() {
    for attribution in both_ways() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut bench = Bench::new(attribution);
        bench.packet(TCP, stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        bench.packet(UDP, datagrams.local_addr().unwrap(), "127.0.0.1:9".parse().unwrap());
        bench.turns();
        let told = bench.finish();
        for port in [stream.local_addr().unwrap().port(), datagrams.local_addr().unwrap().port()] {
            let told = from_port(&told, port);
            assert_eq!(value(told, "actor.process.pid"), std::process::id().to_string(), "{told:?}");
            let name = value(told, "actor.process.name");
            assert_eq!(name, own_name());
            assert_eq!(value(told, "actor.process.file.path"), std::env::current_exe().unwrap().to_string_lossy());
            assert_eq!(value(told, "actor.user.uid"), rustix::process::getuid().as_raw().to_string());
            let parts = value(told, "actor.process.uid").split('-').count();
            assert_eq!(parts, 7, "boot id, number, begin");
        }
    }
}

#[test]
fn flow_of_a_child_is_the_childs() {
    let script = "import socket,sys\ns=socket.socket()\ns.connect(('127.0.0.1',int(sys.argv[1])))\nsys.stdin.read()";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let child = Command::new("python3").args(["-c", script, &port]).stdin(Stdio::piped()).spawn();
    let Ok(mut child) = child else { return println!("skipped: no python3") };
    let (_accepted, peer) = listener.accept().unwrap();
    let mut bench = Bench::new(Attribution::new());
    bench.packet(TCP, peer, listener.local_addr().unwrap());
    bench.turns();
    let told = bench.finish();
    let told = from_port(&told, peer.port());
    assert_eq!(value(told, "actor.process.pid"), child.id().to_string(), "{told:?}");
    assert!(value(told, "actor.process.name").starts_with("python3"), "{told:?}");
    drop(child.stdin.take());
    child.wait().unwrap();
}

#[test]
fn socket_closed_before_it_was_asked_for_says_so_and_a_servers_flow_is_its_listeners() {
    for attribution in both_ways() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut bench = Bench::new(attribution);
        bench.packet(UDP, gone, "192.0.2.1:53".parse().unwrap());
        // From elsewhere: the accepted socket is gone, or never was.
        bench.packet(TCP, "192.0.2.7:40000".parse().unwrap(), listener.local_addr().unwrap());
        bench.turns();
        let told = bench.finish();
        assert_eq!(value(from_port(&told, gone.port()), "unmapped.process_unknown"), "no_socket");
        assert_eq!(value(from_port(&told, 40_000), "actor.process.pid"), std::process::id().to_string());
    }
}

#[test]
fn flows_of_others_are_not_asked_for_and_one_that_ends_first_says_so() {
    let mut bench = Bench::new(Attribution::new());
    bench.packet(UDP, "192.0.2.1:1000".parse().unwrap(), "192.0.2.2:53".parse().unwrap());
    bench.packet(UDP, "127.0.0.1:1001".parse().unwrap(), "192.0.2.2:53".parse().unwrap());
    let told = bench.finish();
    let actors = |told: &Told| told.fields.iter().any(|(key, _)| key.starts_with("actor.") || key.contains("process"));
    assert!(!actors(from_port(&told, 1000)));
    assert_eq!(value(from_port(&told, 1001), "unmapped.process_unknown"), "not_asked");
}

/// A made-up `/proc`.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("picket-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("net")).unwrap();
        Self(path)
    }

    fn process(&self, pid: u32, name: &str, inodes: impl Iterator<Item = u64>) {
        let folder = self.0.join(pid.to_string());
        std::fs::create_dir_all(folder.join("fd")).unwrap();
        let tail = "S 1".to_owned() + &" 0".repeat(17) + " 777 0";
        std::fs::write(folder.join("stat"), format!("{pid} ({name}) {tail}")).unwrap();
        for (descriptor, inode) in inodes.enumerate() {
            std::os::unix::fs::symlink(format!("socket:[{inode}]"), folder.join(format!("fd/{descriptor}"))).unwrap();
        }
    }

    /// UDP sockets of 127.0.0.1, from port 1000 on, with inodes from 1 on.
    fn sockets(&self, count: u64, uid: u32) {
        let lines = (0..count)
            .map(|at| format!("{at}: 0100007F:{:04X} 00000000:0000 07 0:0 0:0 0 {uid} 0 {} 2 0\n", 1000 + at, at + 1));
        std::fs::write(self.0.join("net/udp"), "head\n".to_owned() + &lines.collect::<String>()).unwrap();
    }

    fn attribution(&self) -> Attribution {
        Attribution::at(&self.0, &self.0.join("passwd"), false)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn end(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[test]
fn sweeps_and_tables_are_bounded_and_go_on_where_they_stopped() {
    let place = Place::new("sweeps");
    let (processes, each) = (30_u64, 700_u64);
    for number in 0..processes {
        let first = number * each + 1;
        place.process(100 + u32::try_from(number).unwrap(), "many", first..first + each);
    }
    place.process(5000, "last", std::iter::once(1_000_000));
    place.sockets(1, rustix::process::geteuid().as_raw());
    std::fs::write(
        place.0.join("net/tcp"),
        format!(
            "head\n0: 0100007F:07D0 0200007F:0050 01 0:0 0:0 0 {} 0 1000000 1\n",
            rustix::process::geteuid().as_raw()
        ),
    )
    .unwrap();
    // All may be seen.
    std::fs::create_dir_all(place.0.join("self")).unwrap();
    std::fs::write(place.0.join("self/status"), "CapEff:\t000001ffffffffff\n").unwrap();
    let mut bench = Bench::new(place.attribution());
    bench.packet(TCP, end(2000), "127.0.0.2:80".parse().unwrap());
    bench.attribution.turn(&mut bench.meter, bench.now);
    assert_eq!((bench.attribution.waiting(), bench.attribution.holders.links()), (1, 0), "what may be read is read");
    bench.turns();
    assert!(bench.attribution.holders.len() <= holders::INODES_MAX);
    let told = bench.finish();
    assert_eq!(value(from_port(&told, 2000), "actor.process.name"), "last");
}

#[test]
fn sockets_that_nobody_holds_end_the_search_and_are_not_searched_for_again() {
    let place = Place::new("nobody");
    place.process(7, "other", std::iter::once(99));
    place.sockets(2, rustix::process::geteuid().as_raw());
    std::fs::write(place.0.join("passwd"), format!("me:x:{}:0::/:/\n", rustix::process::geteuid().as_raw())).unwrap();
    let mut bench = Bench::new(place.attribution());
    bench.packet(UDP, end(1000), end(9));
    bench.turns();
    let sweeps = bench.attribution.holders.sweeps();
    bench.packet(UDP, end(1000), end(10));
    bench.turns();
    assert_eq!(bench.attribution.holders.sweeps(), sweeps);
    let told = bench.finish();
    for told in &told {
        assert_eq!(value(told, "unmapped.process_unknown"), "not_held");
        assert_eq!(value(told, "actor.user.name"), "me");
    }
    assert_eq!(told.len(), 2);
}

#[test]
fn without_capabilities_the_user_of_anothers_socket_is_told_and_what_lacks() {
    let place = Place::new("refused");
    let other = rustix::process::geteuid().as_raw() + 1;
    place.sockets(1, other);
    let mut bench = Bench::new(place.attribution());
    assert_eq!(bench.attribution.missing(), [Missing::Ptrace, Missing::ReadSearch, Missing::SockDiag]);
    bench.packet(UDP, end(1000), end(9));
    bench.turns();
    let told = bench.finish();
    assert_eq!(value(&told[0], "unmapped.process_unknown"), "not_permitted");
    assert_eq!(value(&told[0], "actor.user.uid"), other.to_string());
}

#[test]
fn more_flows_than_may_wait_are_told_as_too_many() {
    let place = Place::new("flood");
    place.process(7, "other", std::iter::once(u64::MAX));
    place.sockets(2000, rustix::process::geteuid().as_raw());
    let mut bench = Bench::new(place.attribution());
    for port in 1000..3000 {
        bench.packet(UDP, end(port), end(9));
    }
    bench.turns();
    let told = bench.finish();
    let count = |word| told.iter().filter(|told| value(told, "unmapped.process_unknown") == word).count();
    assert_eq!((count("not_held"), count("too_many")), (WAITING_MAX, 2000 - WAITING_MAX));
}
