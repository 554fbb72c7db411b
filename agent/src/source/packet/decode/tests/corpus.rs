//! Claims about captures of other projects.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::super::file::{CaptureError, CaptureFile};
use super::super::{Decoder, ReassemblyLimits};
use super::*;

/// The folder with captures, if it is there.
fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("PICKET_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from)
        .join("pcap");
    if !folder.is_dir() {
        println!("skipped: no corpus");
        return None;
    }
    Some(folder)
}

/// All files below a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    entries.sort();
    entries.into_iter().flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// What captures hold.
#[derive(Clone, Copy, Default, Debug)]
struct Tally {
    files: u64,
    truncated: u64,
    damaged: u64,
    frames: u64,
    packets: u64,
    with_ip: u64,
    cut: u64,
    bad: u64,
    deep: u64,
    fragments: u64,
    overlaps: u64,
    unknown: u64,
    tunneled: u64,
}

impl Tally {
    fn note(&mut self, packet: &Packet<'_>) {
        let has = |flaws| u64::from(packet.flaws.has(flaws));
        self.packets += 1;
        self.with_ip += u64::from(packet.ip.is_some());
        self.cut += has(Flaws::CAPTURE_CUT);
        self.bad += has(Flaws(Flaws::BAD_LENGTH.0 | Flaws::BAD_HEADER.0));
        self.deep += has(Flaws::TOO_DEEP);
        self.fragments += has(Flaws::FRAGMENT);
        self.overlaps += has(Flaws::FRAGMENT_OVERLAP);
        self.unknown += has(Flaws::UNKNOWN);
        self.tunneled += u64::from(packet.tunnels[0] != Tunnel::None);
    }

    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.truncated += other.truncated;
        self.damaged += other.damaged;
        self.frames += other.frames;
        self.packets += other.packets;
        self.with_ip += other.with_ip;
        self.cut += other.cut;
        self.bad += other.bad;
        self.deep += other.deep;
        self.fragments += other.fragments;
        self.overlaps += other.overlaps;
        self.unknown += other.unknown;
        self.tunneled += other.tunneled;
    }
}

/// Decodes a file, or says why it is no capture; every frame is in one packet.
fn decode_file(bytes: &[u8]) -> Result<Tally, CaptureError> {
    let mut file = CaptureFile::open(bytes)?;
    let mut decoder = Decoder::new(ReassemblyLimits::default());
    let mut tally = Tally { files: 1, ..Tally::default() };
    let (mut given, mut told) = ((0, 0), (0, 0));
    loop {
        let frame = match file.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            Err(_) => {
                tally.damaged = 1;
                break;
            }
        };
        given = (given.0 + 1, given.1 + u64::from(frame.wire_len));
        decoder.packet(frame.link, frame.at, frame.bytes, frame.wire_len, &mut |packet| {
            tally.note(packet);
            told = (told.0 + u64::from(packet.frames), told.1 + u64::from(packet.wire_len));
        });
    }
    decoder.finish(&mut |packet| {
        tally.note(packet);
        told = (told.0 + u64::from(packet.frames), told.1 + u64::from(packet.wire_len));
    });
    assert_eq!(given, told);
    tally.frames = given.0;
    tally.truncated = u64::from(file.truncated());
    Ok(tally)
}

#[test]
fn every_capture_is_decoded_in_bounded_time() {
    let Some(folder) = corpus() else { return };
    let verbose = std::env::var_os("PICKET_VERBOSE").is_some();
    let mut all = Tally::default();
    println!(
        "{:18} {:>6} {:>6} {:>6} {:>8} {:>8} {:>8} {:>6} {:>6} {:>5} {:>5} {:>8} {:>8} {:>8}",
        "corpus",
        "files",
        "trunc.",
        "damag.",
        "frames",
        "packets",
        "ip",
        "cut",
        "bad",
        "deep",
        "frag.",
        "overlaps",
        "unknown",
        "tunneled"
    );
    for source in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        let mut sum = Tally::default();
        for path in files(&source) {
            let bytes = fs::read(&path).unwrap();
            let started = Instant::now();
            let Ok(tally) = decode_file(&bytes) else { continue };
            if verbose {
                println!("{} {tally:?}", path.display());
            }
            let bound = Duration::from_secs(5) + Duration::from_micros(50) * u32::try_from(tally.frames).unwrap();
            assert!(started.elapsed() < bound, "{}: {:?}", path.display(), started.elapsed());
            sum.add(tally);
        }
        print(&source.file_name().unwrap().to_string_lossy(), sum);
        all.add(sum);
    }
    print("all", all);
    assert!(all.files > 1000 && all.with_ip * 10 > all.packets * 9);
}

fn print(name: &str, sum: Tally) {
    println!(
        "{name:18} {:6} {:6} {:6} {:8} {:8} {:8} {:6} {:6} {:5} {:5} {:8} {:8} {:8}",
        sum.files,
        sum.truncated,
        sum.damaged,
        sum.frames,
        sum.packets,
        sum.with_ip,
        sum.cut,
        sum.bad,
        sum.deep,
        sum.fragments,
        sum.overlaps,
        sum.unknown,
        sum.tunneled
    );
}

/// tcpdump numbers the packets that it prints: the last number is their count, unless a filter or a limit stands in its
/// arguments.
#[test]
fn tcpdump_counts_the_same_frames() {
    let Some(folder) = corpus().map(|folder| folder.join("tcpdump")) else { return };
    let (mut compared, mut differ) = (0, Vec::new());
    for line in fs::read_to_string(folder.join("INDEX.tsv")).unwrap().lines().skip(1) {
        let &[name, capture, expected, arguments] = line.split('\t').collect::<Vec<_>>().as_slice() else { continue };
        let limited = arguments.split_whitespace().any(|argument| !argument.starts_with('-') || argument.contains('c'));
        let Ok(text) = fs::read(folder.join("expected").join(expected)) else { continue };
        let Ok(bytes) = fs::read(folder.join(capture)) else { continue };
        let text = String::from_utf8_lossy(&text);
        let printed = text.lines().fold(0, |count, line| {
            let next = line.get(..7).is_some_and(|number| number == format!("{:5}  ", count + 1));
            count + u64::from(next)
        });
        if limited || printed == 0 {
            continue;
        }
        let Ok(tally) = decode_file(&bytes) else { continue };
        compared += 1;
        if tally.frames != printed {
            differ.push(format!("{name}: {} for {printed}", tally.frames));
        }
    }
    println!("{compared} captures compared, {} differ: {differ:#?}", differ.len());
    assert!(compared > 400 && differ.is_empty());
}

/// `cargo test --release speed -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn decode_speed() {
    // the best of many short rounds: a busy machine does not count
    let (rounds, frames_per_round) = (500, 10_000_u32);
    let frames = [
        ("UDP, 60 bytes", ethernet(0x0800, &ip4(17, &udp(1, 53, &[0; 18])))),
        ("TCP, 74 bytes", ethernet(0x0800, &ip4(6, &tcp(1, 443, &[1; 20], b"")))),
        ("TCP over IPv6, 94 bytes", ethernet(0x86dd, &ip6(6, &tcp(1, 443, &[1; 20], b"")))),
        ("TCP in VLAN, 1518 bytes", ethernet(0x8100, &join(&[&[0, 1, 8, 0], &ip4(6, &tcp(1, 443, &[], &[0; 1460]))]))),
        (
            "UDP in VXLAN, 110 bytes",
            ethernet(
                0x0800,
                &ip4(
                    17,
                    &udp(
                        9,
                        4789,
                        &join(&[&[8, 0, 0, 0, 0, 0, 5, 0], &ethernet(0x0800, &ip4(17, &udp(1, 53, &[0; 18])))]),
                    ),
                ),
            ),
        ),
    ];
    for (name, bytes) in &frames {
        let length = u32::try_from(bytes.len()).unwrap();
        let (mut decoder, mut sum) = (Decoder::new(ReassemblyLimits::default()), 0_u64);
        let mut best = Duration::MAX;
        for _ in 0..rounds {
            let started = Instant::now();
            for second in 0..frames_per_round {
                let bytes = std::hint::black_box(bytes.as_slice());
                decoder.packet(LinkType::ETHERNET, Timestamp(i64::from(second)), bytes, length, &mut |packet| {
                    sum += u64::from(packet.ip.map_or(0, |ip| ip.payload_len));
                });
            }
            best = best.min(started.elapsed());
        }
        let each = best.as_secs_f64() * 1e9 / f64::from(frames_per_round);
        println!("{name:26} {each:6.1} ns  {:6.1} Gbit/s  {sum}", f64::from(length) * 8.0 / each);
    }
}

/// `cargo test --release speed -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn read_and_decode_speed() {
    let frames = 1_000_000_u32;
    let frame = ethernet(0x0800, &ip4(6, &tcp(1, 443, &[1; 20], &[0; 400])));
    let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
    let record = join(&[&[0; 8], &length, &length, &frame]);
    let mut capture = join(&[&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0], &[0; 12], &[1, 0, 0, 0]]);
    capture.extend((0..frames).flat_map(|_| record.iter().copied()));
    let best = (0..5)
        .map(|_| {
            let started = Instant::now();
            assert_eq!(decode_file(&capture).unwrap().frames, u64::from(frames));
            started.elapsed()
        })
        .min()
        .unwrap();
    let each = best.as_secs_f64() * 1e9 / f64::from(frames);
    println!(
        "{} bytes a frame: {each:.1} ns, {:.1} Gbit/s",
        frame.len(),
        f64::from(u32::try_from(frame.len()).unwrap()) * 8.0 / each
    );
}
