use std::io::Read;

use super::*;

/// Writes numbers in one byte order.
#[derive(Clone, Copy)]
struct Order(bool);

impl Order {
    fn four(self, number: u32) -> [u8; 4] {
        if self.0 { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn two(self, number: u16) -> [u8; 2] {
        if self.0 { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn pcap(self, magic: u32, link: u32) -> Vec<u8> {
        let version = [self.two(2), self.two(4)].concat();
        let numbers = [0, 0, 65_535, link].map(|number| self.four(number)).concat();
        [&self.four(magic)[..], &version, &numbers].concat()
    }

    fn record(self, seconds: u32, fraction: u32, wire_len: u32, bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).unwrap();
        let header = [seconds, fraction, length, wire_len].map(|number| self.four(number)).concat();
        [&header, bytes].concat()
    }

    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        let length = self.four(u32::try_from(12 + body.len() + padding.len()).unwrap());
        [&self.four(kind)[..], &length, body, &padding, &length].concat()
    }

    fn section(self) -> Vec<u8> {
        let version = [self.two(1), self.two(0)].concat();
        self.block(0x0a0d_0d0a, &[&self.four(0x1a2b_3c4d)[..], &version, &[0xff; 8]].concat())
    }

    fn interface(self, link: u16, snap_len: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = [&self.two(link)[..], &[0, 0], &self.four(snap_len)].concat();
        for (kind, value) in options {
            body.extend([self.two(*kind), self.two(u16::try_from(value.len()).unwrap())].concat());
            body.extend_from_slice(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        self.block(1, &body)
    }

    fn packet(self, interface: u32, ticks: u64, wire_len: u32, bytes: &[u8]) -> Vec<u8> {
        let (high, low) = (u32::try_from(ticks >> 32).unwrap(), u32::try_from(ticks & 0xffff_ffff).unwrap());
        let length = u32::try_from(bytes.len()).unwrap();
        let header = [interface, high, low, length, wire_len].map(|number| self.four(number)).concat();
        self.block(6, &[&header, bytes].concat())
    }
}

const LITTLE: Order = Order(false);
const BIG: Order = Order(true);

/// A frame: link, nanoseconds, wire length, bytes, interface.
type Frame = (u16, i64, u32, Vec<u8>, u32);

/// All frames, the error that ended them, and whether the file was cut.
fn read(bytes: &[u8]) -> (Vec<Frame>, Option<CaptureError>, bool) {
    read_from(bytes)
}

fn read_from(reader: impl Read) -> (Vec<Frame>, Option<CaptureError>, bool) {
    let mut file = match CaptureFile::open(reader) {
        Ok(file) => file,
        Err(error) => return (Vec::new(), Some(error), false),
    };
    let mut frames = Vec::new();
    loop {
        match file.next_frame() {
            Ok(Some(frame)) => {
                frames.push((frame.link.0, frame.at.0, frame.wire_len, frame.bytes.to_vec(), frame.interface));
            }
            Ok(None) => return (frames, None, file.truncated()),
            Err(error) => return (frames, Some(error), file.truncated()),
        }
    }
}

/// Gives one byte at a time.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.len().min(buffer.len()).min(1);
        let (now, later) = self.0.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.0 = later;
        Ok(length)
    }
}

#[test]
fn pcap_of_either_byte_order_and_unit_is_read() {
    for order in [LITTLE, BIG] {
        for (magic, unit) in [(0xa1b2_c3d4, 1000), (0xa1b2_3c4d, 1)] {
            let file =
                [order.pcap(magic, 113), order.record(7, 5, 90, b"first"), order.record(8, 6, 6, b"second")].concat();
            let expected = vec![
                (113, 7_000_000_000 + 5 * unit, 90, b"first".to_vec(), 0),
                (113, 8_000_000_000 + 6 * unit, 6, b"second".to_vec(), 0),
            ];
            let (frames, error, truncated) = read(&file);
            assert_eq!((frames, error.is_none(), truncated), (expected.clone(), true, false));
            assert_eq!(read_from(Trickle(&file)).0, expected);
        }
    }
}

#[test]
fn modified_pcap_and_check_sequence_bits_are_read() {
    let mut record = LITTLE.record(7, 5, 5, b"frame");
    record.splice(16..16, [0, 0, 0, 2, 8, 0, 0, 0]);
    let file = [LITTLE.pcap(0xa1b2_cd34, 0x4400_0001), record.clone(), record].concat();
    let (frames, ..) = read(&file);
    assert_eq!(frames, vec![(1, 7_000_005_000, 5, b"frame".to_vec(), 0); 2]);
}

#[test]
fn pcapng_of_either_byte_order_is_read_with_each_interface_as_it_is() {
    for order in [LITTLE, BIG] {
        let offset = if order.0 { 100_i64.to_be_bytes() } else { 100_i64.to_le_bytes() };
        let file = [
            order.section(),
            order.interface(1, 0, &[(2, b"eth0"), (9, &[9]), (0, b"")]),
            order.interface(101, 3, &[(9, &[0x8a]), (14, &offset)]),
            order.block(5, b"statistics"),
            order.packet(0, 1_700_000_000_123_456_789, 5, b"first"),
            order.packet(1, 3 * 1024 + 512, 90, b"second"),
            order.block(0x8000_0001, b"unknown"),
        ]
        .concat();
        let expected = vec![
            (1, 1_700_000_000_123_456_789, 5, b"first".to_vec(), 0),
            (101, 103_500_000_000, 90, b"second".to_vec(), 1),
        ];
        let (frames, error, truncated) = read(&file);
        assert_eq!((frames, error.is_none(), truncated), (expected.clone(), true, false));
        assert_eq!(read_from(Trickle(&file)).0, expected);
    }
}

#[test]
fn simple_and_obsolete_packets_are_read() {
    let simple = [&LITTLE.four(9)[..], b"cut"].concat();
    let numbers = [[1, 0, 0, 0], LITTLE.four(0), LITTLE.four(2_000_000), LITTLE.four(3), LITTLE.four(9)].concat();
    let obsolete = [&numbers, &b"old"[..]].concat();
    let file = [
        LITTLE.section(),
        LITTLE.interface(1, 3, &[]),
        LITTLE.interface(228, 0, &[]),
        LITTLE.block(2, &obsolete),
        LITTLE.block(3, &simple),
    ]
    .concat();
    let expected = vec![(228, 2_000_000_000, 9, b"old".to_vec(), 1), (1, 2_000_000_000, 9, b"cut".to_vec(), 0)];
    assert_eq!(read(&file).0, expected);
}

#[test]
fn each_section_has_its_own_interfaces_and_byte_order() {
    let file = [
        LITTLE.section(),
        LITTLE.interface(1, 0, &[]),
        LITTLE.packet(0, 1, 1, b"a"),
        BIG.section(),
        BIG.packet(0, 1, 1, b"of no interface"),
        BIG.interface(101, 0, &[]),
        BIG.packet(0, 2, 1, b"b"),
    ]
    .concat();
    let mut reader = CaptureFile::open(file.as_slice()).unwrap();
    let mut links = Vec::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        links.push((frame.link.0, frame.at.0));
    }
    assert_eq!((links, reader.skipped()), (vec![(1, 1000), (101, 2000)], 1));
}

#[test]
fn a_cut_file_gives_what_is_there() {
    let pcap =
        [LITTLE.pcap(0xa1b2_c3d4, 1), LITTLE.record(1, 0, 5, b"first"), LITTLE.record(2, 0, 6, b"second")].concat();
    let pcapng = [
        LITTLE.section(),
        LITTLE.interface(1, 0, &[]),
        LITTLE.packet(0, 1, 5, b"first"),
        LITTLE.packet(0, 2, 6, b"second"),
    ]
    .concat();
    for (file, head, ends) in [(&pcap, 24, vec![24, 45, 67]), (&pcapng, 28, vec![28, 48, 88, 128])] {
        for cut in head..file.len() {
            let (frames, error, truncated) = read(&file[..cut]);
            assert!(error.is_none() && frames.len() <= 2, "cut to {cut}: {error:?}");
            assert_eq!(truncated, !ends.contains(&cut), "cut to {cut}");
        }
    }
    let (frames, ..) = read(&pcap[..64]);
    assert_eq!(frames[1], (1, 2_000_000_000, 6, b"sec".to_vec(), 0), "shorter than its length: cut by the capture");
}

#[test]
fn what_is_no_capture_is_refused() {
    for bytes in [&b""[..], b"\x1f\x8b\x08", b"[]\n", &[0; 64], b"\x0a\x0d\x0d\x0a\x1c\0\0\0abcdefgh"] {
        let (frames, error, _) = read(bytes);
        assert!(frames.is_empty() && matches!(error, Some(CaptureError::Format(_))), "{bytes:?}: {error:?}");
    }
    let mut version = LITTLE.pcap(0xa1b2_c3d4, 1);
    version[4] = 9;
    assert!(matches!(read(&version).1, Some(CaptureError::Version(9, 4))));
}

#[test]
fn damage_is_an_error_that_says_where() {
    let mut record = LITTLE.record(1, 0, 5, b"first");
    record[11] = 0x7f;
    let file = [LITTLE.pcap(0xa1b2_c3d4, 1), LITTLE.record(1, 0, 5, b"first"), record].concat();
    let (frames, error, _) = read(&file);
    assert_eq!(frames.len(), 1);
    assert!(matches!(error, Some(CaptureError::Record { offset: 45, length: 0x7f00_0005 })), "{error:?}");

    let start = [LITTLE.section(), LITTLE.interface(1, 0, &[])].concat();
    for (index, value) in [(4, 41), (4, 8), (36, 1)] {
        let mut packet = LITTLE.packet(0, 1, 5, b"first");
        packet[index] = value;
        let mut file = CaptureFile::open(io::Cursor::new([&start[..], &packet, &packet].concat())).unwrap();
        let error = loop {
            match file.next_frame() {
                Ok(frame) => assert!(frame.is_some()),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, CaptureError::Block { offset: 48, .. }), "{error:?}");
        assert!(file.next_frame().is_err(), "the error stays");
    }
}

#[test]
fn huge_blocks_and_lying_lengths_cost_no_memory() {
    let body = vec![7; 1 << 20];
    let file = [
        LITTLE.section(),
        LITTLE.interface(1, 0, &[]),
        LITTLE.block(77, &body),
        LITTLE.packet(0, 1, 2 << 20, &body),
        LITTLE.packet(0, 2, 5, b"after"),
    ]
    .concat();
    let mut reader = CaptureFile::open(file.as_slice()).unwrap();
    let frame = reader.next_frame().unwrap().unwrap();
    assert_eq!((frame.bytes.len(), frame.wire_len), (RECORD_BYTES_MAX, 2 << 20));
    assert_eq!(reader.next_frame().unwrap().unwrap().bytes, b"after");
    assert!(reader.input.held_bytes() <= RECORD_BYTES_MAX + (64 << 10));

    let mut lying = LITTLE.packet(0, 1, 5, b"first");
    lying[20] = 0xff;
    let file = [LITTLE.section(), LITTLE.interface(1, 0, &[]), lying].concat();
    assert_eq!(read(&file).0[0].3, b"first\0\0\0", "no further than its block");
}
