//! Promise: what a host's network says is seen from packets: flows with their bytes and direction, nothing of the agent's
//! own, only what the filter lets through, and what was not seen is said.
//!
//! Both programs and the traffic are in network namespaces of the test's own; where none may be made it is skipped.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing on the spot"
)]

mod clients;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use picket_tests::harness::{Namespace, Pair, Place, await_until, skip};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use xtask::loopback::pause;

const DEADLINE: Duration = Duration::from_secs(60);
/// The host that is watched, and another one.
const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 77, 0, 1));
const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 77, 0, 2));

/// The host's namespace, with `pk0`, and the other's, with `pk1`.
fn joined() -> Option<(Namespace, Namespace)> {
    let (host, other) = Namespace::make().zip(Namespace::make())?;
    host.join(("pk0", HOST), &other, ("pk1", OTHER)).unwrap();
    Some((host, other))
}

fn fleet(sources: &str) -> String {
    format!("version: 1\ndefaults:\n  sources:\n{sources}")
}

/// Waits until every source captures.
fn await_open(pair: &Pair, captures: u64) {
    await_until("open captures", DEADLINE, || {
        let metrics = pair.agent.metrics()?;
        Ok((metrics.count("picket_agent_capture_open", &[]) == captures).then_some(()))
    })
    .unwrap();
}

/// How every test here ends, its agent stopped: what it kept is delivered, and the books add up. Only the wire is captured
/// meanwhile: what the harness asks over loopback would never come to an end.
fn finish(host: &Namespace, mut pair: Pair) {
    host.run(move || {
        pair.agent.set_fleet(&fleet("    wire: { type: packet, interface: pk0 }\n")).unwrap();
        pair.agent.start().unwrap();
        pair.finish(DEADLINE).unwrap();
    });
}

/// The typed records in the spool of a source, acked ones of its newest segment too.
fn spooled(pair: &Pair, source: &str) -> Vec<Value> {
    spooled_in(pair, "bulk", source)
}

fn spooled_in(pair: &Pair, lane: &str, source: &str) -> Vec<Value> {
    let text = pair.agent.command(&["spool", "dump", "--lane", lane]).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.filter(|row| row["source"] == source).map(|row| row["fields"].clone()).collect()
}

fn flows(records: &[Value], protocol: &str, port: u16) -> Vec<Value> {
    let is = |record: &&Value| {
        record["connection_info.protocol_name"] == protocol
            && record["dst_endpoint.port"] == port
            && !record["traffic.packets"].is_null()
    };
    records.iter().filter(is).cloned().collect()
}

/// A conversation over TCP in which the client says and hears so many bytes; its socket, still open.
fn converse(client: &Namespace, server: &Namespace, to: SocketAddr, said: usize, heard: usize) -> TcpStream {
    let listener = server.run(|| TcpListener::bind(to).unwrap());
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut vec![0; said]).unwrap();
        stream.write_all(&vec![b'y'; heard]).unwrap();
    });
    let mut stream = client.run(|| TcpStream::connect(to).unwrap());
    stream.write_all(&vec![b'x'; said]).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answering.join().unwrap();
    assert_eq!(answer.len(), heard);
    stream
}

#[test]
fn flows_have_their_bytes_and_direction_and_neither_the_agents_own_nor_what_is_filtered_is_told() {
    let Some((host, other)) = joined() else { return };
    let fleet = fleet(
        "    wire: { type: packet, interface: pk0, filter: 'not port 9999' }\n    \
         all: { type: packet, interface: any, protocols: [flow] }\n",
    );
    let mut pair = host.run(|| Pair::start_with(Place::new("capture").unwrap(), &fleet).unwrap());
    await_open(&pair, 2);

    let asking = converse(&host, &other, (OTHER, 7001).into(), 5_000, 70_000);
    drop(converse(&other, &host, (HOST, 7002).into(), 300, 1_000));
    let socket = host.run(|| UdpSocket::bind((HOST, 0)).unwrap());
    let listening = other.run(|| [7003, 9999].map(|port| UdpSocket::bind((OTHER, port)).unwrap()));
    for _ in 0..3 {
        socket.send_to(&[1; 100], (OTHER, 9999)).unwrap();
        socket.send_to(&[1; 100], (OTHER, 7003)).unwrap();
    }
    drop(listening);
    // The session is there, and says more than the flows do.
    await_until("a session", DEADLINE, || {
        let metrics = pair.agent.metrics()?;
        let acked = metrics.count("picket_agent_uplink_acked_frames_total", &[]);
        let packets = metrics.count("picket_agent_capture_packets_total", &[("source", "wire")]);
        Ok((acked > 0 && packets >= 20).then_some(()))
    })
    .unwrap();
    pair.agent.stop().unwrap();
    drop(asking);

    let wire = spooled(&pair, "wire");
    let outbound = flows(&wire, "tcp", 7001);
    assert_eq!(outbound.len(), 1, "{wire:#?}");
    let flow = &outbound[0];
    assert_eq!((&flow["src_endpoint.ip"], &flow["connection_info.direction_id"]), (&"10.77.0.1".into(), &2.into()));
    assert_eq!(flow["unmapped.payload_bytes_out"], 5_000, "{flow:#}");
    assert_eq!(flow["unmapped.payload_bytes_in"], 70_000, "{flow:#}");
    assert!(flow["traffic.bytes_in"].as_u64().unwrap() > 70_000 && flow["unmapped.interface"] == "pk0", "{flow:#}");
    assert_eq!(flow["actor.process.pid"], std::process::id(), "{flow:#}");
    let inbound = flows(&wire, "tcp", 7002);
    assert_eq!(inbound.len(), 1, "{wire:#?}");
    assert_eq!(
        (&inbound[0]["src_endpoint.ip"], &inbound[0]["connection_info.direction_id"]),
        (&"10.77.0.2".into(), &1.into())
    );
    let datagrams = flows(&wire, "udp", 7003);
    assert_eq!(
        (&datagrams[0]["traffic.packets_out"], &datagrams[0]["traffic.bytes_out"]),
        (&3.into(), &(3 * 128).into()),
        "{datagrams:#?}"
    );
    assert!(flows(&wire, "udp", 9999).is_empty(), "the filter leaves it out");

    let all = spooled(&pair, "all");
    assert!(!flows(&all, "udp", 9999).is_empty() && !flows(&all, "tcp", 7001).is_empty(), "{all:#?}");
    let aggregator = pair.aggregator.listen().port();
    let own: Vec<&Value> = all.iter().filter(|record| record["dst_endpoint.port"] == aggregator).collect();
    assert!(own.is_empty(), "{own:#?}");
    finish(&host, pair);
}

#[test]
fn packets_that_the_kernel_had_no_room_for_are_a_loss_in_packets() {
    let Some((host, other)) = joined() else { return };
    let fleet = fleet("    wire: { type: packet, interface: pk0, filter: udp port 7003, buffer_bytes: 512KiB }\n");
    let mut pair = host.run(|| Pair::start_with(Place::new("capture-drops").unwrap(), &fleet).unwrap());
    await_open(&pair, 1);
    let agent = Pid::from_raw(pair.agent.id().unwrap().try_into().unwrap()).unwrap();
    let listening = other.run(|| UdpSocket::bind((OTHER, 7003)).unwrap());
    let socket = host.run(|| UdpSocket::bind((HOST, 0)).unwrap());
    kill_process(agent, Signal::STOP).unwrap();
    for _ in 0..5_000 {
        socket.send_to(&[1; 1_400], (OTHER, 7003)).unwrap();
    }
    drop(listening);
    kill_process(agent, Signal::CONT).unwrap();
    let drops = await_until("drops", DEADLINE, || {
        let metrics = pair.agent.metrics()?;
        let drops = metrics
            .count("picket_agent_capture_dropped_packets_total", &[("source", "wire"), ("reason", "capture_drop")]);
        Ok((drops > 0).then_some(drops))
    })
    .unwrap();
    pair.agent.stop().unwrap();
    let records = spooled(&pair, "wire");
    let losses: Vec<&Value> = records.iter().filter(|record| record["reason"] == "capture_drop").collect();
    // One, or more where the ring was full again before it was emptied.
    let lost: u64 = losses.iter().map(|loss| loss["count"].as_u64().unwrap()).sum();
    assert!(lost >= drops, "{drops} by the metrics: {losses:#?}");
    assert!(losses.iter().all(|loss| loss["unit"] == "packets" && loss["path"] == "pk0"), "{losses:#?}");
    // What was seen and what was not is all that was sent.
    let seen: u64 = flows(&records, "udp", 7003).iter().map(|flow| flow["traffic.packets_out"].as_u64().unwrap()).sum();
    assert_eq!(seen + lost, 5_000);
    finish(&host, pair);
}

#[test]
fn open_flows_of_a_program_that_was_killed_are_a_loss_at_its_next_start_and_of_a_clean_one_are_not() {
    let Some((host, other)) = joined() else { return };
    let place = Place::new("capture-killed").unwrap();
    let logs = place.at("logs");
    let fleet = fleet(&format!(
        "    wire: {{ type: packet, interface: pk0 }}\n    logs: {{ type: file, include: ['{}/*.log'] }}\n",
        logs.display()
    ));
    let mut pair = host.run(|| Pair::start_with(place, &fleet).unwrap());
    await_open(&pair, 1);
    drop(converse(&host, &other, (OTHER, 7001).into(), 100, 100));
    pair.agent.stop().unwrap();
    let crashes = |pair: &Pair| spooled(pair, "wire").iter().filter(|record| record["reason"] == "crash").count();
    for (kill, expected) in [(false, 0), (true, 0), (false, 1), (false, 1)] {
        host.run(|| pair.agent.start()).unwrap();
        await_open(&pair, 1);
        if kill {
            // So that there is something behind the clean stop.
            std::fs::write(pair.logs().join("a.log"), "line\n").unwrap();
            pair.await_lines(1, DEADLINE).unwrap();
            pair.agent.kill().unwrap();
        } else {
            pair.agent.stop().unwrap();
        }
        assert_eq!(crashes(&pair), expected);
    }
    finish(&host, pair);
}

/// A configuration other than `before` runs; its name.
fn await_running(pair: &Pair, before: &Value) -> Value {
    await_until("the next configuration", DEADLINE, || {
        let text = pair.agent.command(&["status", "--output", "json"]).unwrap_or_default();
        let report: Value = serde_json::from_str(&text).unwrap_or_default();
        let running = report["config"]["running"].clone();
        let holds = running.as_str().is_some_and(|running| !running.is_empty());
        Ok((holds && running != *before).then_some(running))
    })
    .unwrap()
}

#[test]
fn no_packet_is_missed_while_other_keys_of_a_capture_change() {
    let Some((host, other)) = joined() else { return };
    let wire = |keys: &str| {
        let keys = format!("filter: udp port 7003, buffer_bytes: 16MiB{keys}");
        fleet(&format!("    wire: {{ type: packet, interface: pk0, {keys} }}\n"))
    };
    let mut pair = host.run(|| Pair::start_steered(Place::new("capture-changes").unwrap(), &wire("")).unwrap());
    await_open(&pair, 1);
    let mut running = await_running(&pair, &Value::Null);
    let listening = other.run(|| UdpSocket::bind((OTHER, 7003)).unwrap());
    let socket = host.run(|| UdpSocket::bind((HOST, 0)).unwrap());
    let stop = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut sent = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                for _ in 0..5 {
                    socket.send_to(&[1; 100], (OTHER, 7003)).unwrap();
                    sent += 1;
                }
                pause(Duration::from_millis(1));
            }
            sent
        });
        // Whatever fails below, the thread has to end.
        let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for keys in [
                ", protocols: [flow, dns]",
                ", protocols: [flow], flows_max: 2048",
                ", lane: normal",
                ", update_interval: 10m",
                "",
            ] {
                pair.aggregator.set_fleet(&wire(keys)).unwrap();
                running = await_running(&pair, &running);
            }
        }));
        stop.store(true, Ordering::Relaxed);
        let sent = sending.join().unwrap();
        changed.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        sent
    });
    drop(listening);
    // Its last packets are read when a block of the ring is due.
    await_until("the last packets", DEADLINE, || {
        let now = pair.agent.metrics()?.count("picket_agent_capture_packets_total", &[("source", "wire")]);
        pause(Duration::from_millis(300));
        let then = pair.agent.metrics()?.count("picket_agent_capture_packets_total", &[("source", "wire")]);
        Ok((now == then).then_some(()))
    })
    .unwrap();
    pair.agent.stop().unwrap();
    let lanes = ["normal", "bulk"].map(|lane| spooled_in(&pair, lane, "wire"));
    let records: Vec<Value> = lanes.into_iter().flatten().collect();
    // On a machine that is slow enough the ring is full before the next source reads: that is counted, and not a gap.
    let lost = records.iter().filter(|record| record["reason"] == "capture_drop");
    let lost: u64 = lost.map(|loss| loss["count"].as_u64().unwrap()).sum();
    let flows = flows(&records, "udp", 7003);
    let seen: u64 = flows.iter().map(|flow| flow["traffic.packets_out"].as_u64().unwrap()).sum();
    println!("{sent} packets sent during 5 changes, {seen} seen in {} flows, {lost} dropped", flows.len());
    assert_eq!(seen + lost, sent);
    assert!(flows.len() >= 6, "each change ends the flows that are open");
    let log = std::fs::read_to_string(pair.agent.log()).unwrap();
    assert_eq!((log.matches("capturing goes on").count(), log.matches("capturing").count()), (5, 6), "{log}");
    host.run(move || {
        pair.aggregator.set_fleet("version: 1\ndefaults: { sources: {} }\n").unwrap();
        pair.agent.start().unwrap();
        await_running(&pair, &running);
        pair.finish(DEADLINE).unwrap();
    });
}

/// Sends a UDP datagram of 5 bytes from 10.77.0.2:7000 to 10.77.0.1:7004 in a frame with VLAN 5.
const TAGGED: &str = "\
import socket
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(('pk1', 0))
ip = bytes([0x45, 0, 0, 33, 0, 0, 0, 0, 64, 17, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1])
udp = (7000).to_bytes(2, 'big') + (7004).to_bytes(2, 'big') + bytes([0, 13, 0, 0]) + b'hello'
wire.send(b'\\xff' * 6 + bytes([2, 0, 0, 0, 0, 1, 0x81, 0, 0, 5, 8, 0]) + ip + udp)
";

#[test]
fn vlan_that_the_kernel_took_off_is_told_on_a_named_interface_and_on_all() {
    let Some((host, other)) = joined() else { return };
    let fleet = fleet("    wire: { type: packet, interface: pk0 }\n    all: { type: packet }\n");
    let mut pair = host.run(|| Pair::start_with(Place::new("capture-vlan").unwrap(), &fleet).unwrap());
    await_open(&pair, 2);
    let sent = other.run(|| Command::new("python3").args(["-c", TAGGED]).status());
    match sent {
        Ok(sent) if sent.success() => {}
        other => return skip(&format!("python3 sends no tagged frame: {other:?}")),
    }
    await_until("a packet on each", DEADLINE, || {
        let metrics = pair.agent.metrics()?;
        let packets =
            ["wire", "all"].map(|name| metrics.count("picket_agent_capture_packets_total", &[("source", name)]));
        Ok(packets.iter().all(|packets| *packets > 0).then_some(()))
    })
    .unwrap();
    pair.agent.stop().unwrap();
    for source in ["wire", "all"] {
        let flows = flows(&spooled(&pair, source), "udp", 7004);
        assert_eq!(flows.len(), 1, "{source}: {flows:#?}");
        assert_eq!(flows[0]["src_endpoint.vlan_uid"], "5", "{source}: {flows:#?}");
    }
    finish(&host, pair);
}

#[test]
fn interface_that_goes_down_away_and_comes_back_is_captured_again() {
    let Some((host, other)) = joined() else { return };
    let fleet = fleet("    wire: { type: packet, interface: pk0 }\n    gone: { type: packet, interface: pk9 }\n");
    let mut pair = host.run(|| Pair::start_with(Place::new("capture-away").unwrap(), &fleet).unwrap());
    await_open(&pair, 1);
    let status = pair.agent.command(&["status"]).unwrap();
    assert!(status.contains("source gone captures nothing on pk9: there is no interface 'pk9'"), "{status}");

    host.ip(&["link", "delete", "pk0"]).unwrap();
    await_open(&pair, 0);
    host.join(("pk0", HOST), &other, ("pk1", OTHER)).unwrap();
    await_open(&pair, 1);
    host.ip(&["link", "set", "pk0", "down"]).unwrap();
    host.ip(&["link", "set", "pk0", "up"]).unwrap();
    let sent = |count: u64| {
        let listening = other.run(|| UdpSocket::bind((OTHER, 7003)).unwrap());
        let socket = host.run(|| UdpSocket::bind((HOST, 0)).unwrap());
        await_until("packets", DEADLINE, || {
            let _ = socket.send_to(&[1; 100], (OTHER, 7003));
            let metrics = pair.agent.metrics()?;
            let open = metrics.count("picket_agent_capture_open", &[]) == 1;
            let packets = metrics.count("picket_agent_capture_packets_total", &[("source", "wire")]);
            Ok((open && packets >= count).then_some(()))
        })
        .unwrap();
        drop(listening);
    };
    sent(20);
    pair.agent.stop().unwrap();
    assert!(!flows(&spooled(&pair, "wire"), "udp", 7003).is_empty());
    finish(&host, pair);
}
