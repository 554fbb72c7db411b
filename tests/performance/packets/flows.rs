//! Tables that are full: connections with a request and its answer, or questions that nobody answers.

use std::net::Ipv4Addr;

use anyhow::Context;

use agent::source::packet::decode::LinkType;
use agent::source::packet::flow::Settings;
use agent::source::packet::meter::Meter;
use shared::time::Timestamp;

/// What a table of this name has.
pub fn words(name: &str) -> &'static str {
    match name {
        "default" => "table of 32,768 connections with HTTP",
        "connections" => "table of 100,000 connections with HTTP",
        _ => "default table, 1,000,000 SYNs of as many flows",
    }
}

/// Fills a table: KiB that were resident more, and evictions.
pub fn fill(name: &str) -> anyhow::Result<(u64, u64)> {
    let before = resident_kib()?;
    let (flows, flows_max) = match name {
        "default" => (32_768, 32_768),
        "connections" => (100_000, 100_000),
        _ => (1_000_000, 32_768),
    };
    let mut meter = Meter::new(Settings { flows_max, ..Settings::default() });
    let mut told = 0_u64;
    let mut at = Timestamp(1_700_000_000_000_000_000);
    for number in 0..flows {
        at = Timestamp(at.0 + 10_000);
        let mut frame = |bytes: Vec<u8>| {
            let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            meter.frame(LinkType::RAW, at, &bytes, len, &mut |_| told += 1);
        };
        let client = (Ipv4Addr::from(0x0a00_0000 + number / 4), u16::try_from(40_000 + number % 4)?);
        let server = (Ipv4Addr::new(192, 0, 2, 1), 80);
        frame(segment(client, server, 2, 99, b""));
        if name != "flood" {
            frame(segment(server, client, 0x12, 499, b""));
            frame(segment(client, server, 0x10, 100, b"GET /a HTTP/1.1\r\nHost: example.test\r\nAccept: */*\r\n\r\n"));
            frame(segment(server, client, 0x10, 500, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"));
        }
    }
    anyhow::ensure!(meter.flows() <= flows_max, "{} flows are more than {flows_max}", meter.flows());
    let evicted = meter.take_evicted().flows;
    let expected = u64::from(flows).saturating_sub(u64::try_from(flows_max)?);
    anyhow::ensure!(evicted == expected, "{evicted} evictions, not {expected}");
    Ok((resident_kib()?.saturating_sub(before), evicted))
}

pub(super) fn segment(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), flags: u8, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(40 + payload.len()).unwrap_or(u16::MAX);
    let mut bytes = vec![0x45, 0];
    bytes.extend(len.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 64, 6, 0, 0]);
    bytes.extend(from.0.octets());
    bytes.extend(to.0.octets());
    bytes.extend(from.1.to_be_bytes());
    bytes.extend(to.1.to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    bytes.extend(payload);
    bytes
}

fn resident_kib() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("status says VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
