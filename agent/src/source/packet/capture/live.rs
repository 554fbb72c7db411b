//! libpcap: interfaces are opened and read, filters compiled. The only file that names the crate.
//!
//! The ring is TPACKET_V3: packets of any length share blocks of 256 KiB, a block is handed over when it is full or
//! after [`BLOCK_MS`]. The kernel wakes nobody for an empty block, so that a quiet interface costs nothing. libpcap
//! itself would wait without end for the first packet; here the descriptor is polled for as long as the caller says and
//! then read without waiting. Times are those of the kernel, in nanoseconds.

use std::net::IpAddr;
use std::time::Duration;

use pcap::{Active, Capture as Pcap, Error, Linktype, Precision};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use shared::time::Timestamp;

use super::super::decode::LinkType;
use super::ahead::FIRST;
use super::{ANY, Capture, CaptureError, Drops, Frame, Interface, PacketConfig, own};
use crate::own_traffic::OwnEnds;

/// A block that is not full is handed over after this, milliseconds. Later, the sockets of short conversations are gone
/// before anyone asks whose they were; sooner, a slow link fills the ring with blocks that hold a packet each: this way
/// 4 MiB last for a third of a second at least.
const BLOCK_MS: i32 = 20;
/// Packets that one call reads at most.
const READ_MAX: usize = 4096;
/// Of first packets the ends are looked at.
const FIRST_SNAP_LENGTH: i32 = 192;
/// Room for about a thousand of them.
const FIRST_BUFFER_BYTES: i32 = 256 << 10;
/// Addresses of this host that stand in the filter of first packets one by one.
const FIRST_ADDRESSES_MAX: usize = 64;
/// Hardware types of /sys/class/net/*/type (linux/if_arp.h): no link header.
const ARPHRD_NONE: u16 = 0xfffe;
const ARPHRD_PPP: u16 = 512;

/// Interfaces of this host.
#[derive(Clone, Copy, Debug)]
pub struct Live;

struct Opened {
    pcap: Pcap<Active>,
    link: LinkType,
    /// The last read ended at its bound: there is more without waiting.
    more: bool,
}

impl Interface for Live {
    fn open(&self, config: &PacketConfig, own: &[OwnEnds]) -> Result<Box<dyn Capture>, CaptureError> {
        let int = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        let fail = |error| failure(&config.interface, &error);
        let inactive = Pcap::from_device(config.interface.as_str()).map_err(fail)?;
        let pcap = inactive
            .snaplen(int(config.snap_length))
            .buffer_size(int(config.buffer_bytes))
            .timeout(BLOCK_MS)
            .precision(Precision::Nano)
            // libpcap answers with a warning where it is asked of all interfaces.
            .promisc(config.promiscuous && config.interface != ANY)
            .open()
            .and_then(Pcap::setnonblock)
            .map_err(fail)?;
        let link = LinkType(u16::try_from(pcap.get_datalink().0).unwrap_or(u16::MAX));
        let mut opened = Opened { pcap, link, more: false };
        opened.filter(config.filter.as_deref(), own)?;
        Ok(Box::new(opened))
    }

    fn open_first(&self, config: &PacketConfig, local: &[IpAddr]) -> Result<Option<Box<dyn Capture>>, CaptureError> {
        let fail = |error| failure(&config.interface, &error);
        let inactive = Pcap::from_device(config.interface.as_str()).map_err(fail)?;
        let inactive = inactive
            .snaplen(FIRST_SNAP_LENGTH)
            .buffer_size(FIRST_BUFFER_BYTES)
            .immediate_mode(true)
            .precision(Precision::Nano);
        let mut pcap = inactive.open().and_then(Pcap::setnonblock).map_err(fail)?;
        let filter = first(local);
        pcap.filter(&filter, true).map_err(|error| CaptureError::Filter(words(&error)))?;
        let link = LinkType(u16::try_from(pcap.get_datalink().0).unwrap_or(u16::MAX));
        Ok(Some(Box::new(Opened { pcap, link, more: false })))
    }
}

impl Capture for Opened {
    fn link(&self) -> LinkType {
        self.link
    }

    fn filter(&mut self, filter: Option<&str>, own: &[OwnEnds]) -> Result<(), CaptureError> {
        if let Some(filter) = filter {
            // Alone first: what is no filter by itself could become one behind ours.
            self.pcap.compile(filter, true).map_err(|error| CaptureError::Filter(words(&error)))?;
        }
        let whole = own::filter(filter, own);
        self.pcap.filter(&whole, true).map_err(|error| CaptureError::Filter(format!("{}: {whole}", words(&error))))
    }

    fn read(&mut self, patience: Duration, take: &mut dyn FnMut(Frame<'_>)) -> Result<usize, CaptureError> {
        if !self.more {
            let timeout = Timespec::try_from(patience).ok();
            let mut ends = [PollFd::new(&self.pcap, PollFlags::IN)];
            match poll(&mut ends, timeout.as_ref()) {
                Err(rustix::io::Errno::INTR) => return Ok(0),
                // libpcap is asked when nothing came, too: that an interface went down wakes once, and that it was taken away
                // a moment later is found by looking.
                Ok(_) => {}
                Err(error) => return Err(CaptureError::Failed(format!("poll: {error}"))),
            }
        }
        let read = self.pcap.dispatch(Some(READ_MAX), |packet| {
            let (seconds, nanoseconds) = (packet.header.ts.tv_sec, packet.header.ts.tv_usec);
            let at = Timestamp(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds));
            take(Frame { at, captured: packet.data, wire_len: packet.header.len });
        });
        match read {
            Ok(count) => {
                self.more = count >= READ_MAX;
                Ok(count)
            }
            Err(error) => Err(failure("the interface", &error)),
        }
    }

    fn drops(&mut self) -> Result<Drops, CaptureError> {
        let stat = self.pcap.stats().map_err(|error| CaptureError::Failed(words(&error)))?;
        Ok(Drops { kernel: stat.dropped, interface: stat.if_dropped })
    }
}

/// A filter that lets through what begins flows of a host with these addresses. Many would make it long; what is sent is
/// then known by its direction, which has two gaps: loopback is seen as it comes in only, and libpcap does not know
/// directions where it applies a filter itself, which it does to the first packet.
fn first(local: &[IpAddr]) -> String {
    let mut own = String::from("net 127.0.0.0/8 or src host ::1");
    if local.len() > FIRST_ADDRESSES_MAX {
        own.push_str(" or outbound");
    } else {
        local.iter().for_each(|ip| own.push_str(&format!(" or src host {ip}")));
    }
    format!("({own}) and ({FIRST})")
}

/// Whether a filter can be used on an interface, without opening it.
///
/// # Errors
/// [`CaptureError::Filter`], in libpcap's words.
pub fn check_filter(interface: &str, filter: &str) -> Result<(), CaptureError> {
    let fail = |error: Error| CaptureError::Filter(words(&error));
    Pcap::dead(Linktype(likely_link(interface))).and_then(|dead| dead.compile(filter, true)).map(drop).map_err(fail)
}

/// The link type that an interface has when it is opened, as far as that can be known before.
fn likely_link(interface: &str) -> i32 {
    if interface == ANY {
        return i32::from(LinkType::LINUX_SLL.0);
    }
    let hardware = std::fs::read_to_string(format!("/sys/class/net/{interface}/type"));
    let link = match hardware.ok().and_then(|text| text.trim().parse::<u16>().ok()) {
        Some(ARPHRD_NONE) => LinkType::DLT_RAW,
        Some(ARPHRD_PPP) => LinkType::LINUX_SLL,
        _ => LinkType::ETHERNET,
    };
    i32::from(link.0)
}

/// What libpcap says, without what the crate says around it.
fn words(error: &Error) -> String {
    match error {
        Error::PcapError(text) => text.clone(),
        other => other.to_string(),
    }
}

/// libpcap's return codes do not come through the crate; its words do.
fn failure(interface: &str, error: &Error) -> CaptureError {
    let text = words(error);
    let says = |part: &str| text.contains(part);
    if says("CAP_NET_RAW") || says("permission") || says("ermitted") {
        CaptureError::NotPermitted(text)
    } else if says("No such device") || says("disappeared") {
        CaptureError::NoInterface(interface.to_owned())
    } else if says("not up") || says("went down") {
        CaptureError::Down(interface.to_owned())
    } else {
        CaptureError::Failed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_that_does_not_compile_is_told_in_the_words_of_the_library() {
        assert!(check_filter(ANY, "not net 10.9.0.0/16").is_ok());
        let error = check_filter(ANY, "host and").unwrap_err().to_string();
        assert!(error.contains("syntax error"), "{error}");
        assert!(check_filter("lo", "a) or (b").is_err());
    }

    #[test]
    fn filter_that_leaves_the_own_traffic_out_compiles_with_any_other() {
        let ends = |remote: &str| OwnEnds { protocol: 17, local_port: 40_000, remote: remote.parse().unwrap() };
        let own = [ends("192.0.2.1:7443"), ends("[2001:db8::1]:7443")];
        for user in [None, Some("port 53"), Some("vlan and ip"), Some("host 192.0.2.7 or arp")] {
            let whole = own::filter(user, &own);
            check_filter("lo", &whole).unwrap_or_else(|error| panic!("{whole}: {error}"));
        }
        assert_eq!(own::filter(None, &[]), "");
    }

    #[test]
    fn filter_leaves_out_the_own_traffic_and_nothing_that_is_cut() {
        let ends = |remote: &str| OwnEnds { protocol: 17, local_port: 40_000, remote: remote.parse().unwrap() };
        let own = own::filter(None, &[ends("192.0.2.1:7443"), ends("[2001:db8::1]:7443")]);
        let dead = Pcap::dead(Linktype(1)).unwrap();
        let program = dead.compile(&own, true).unwrap();
        let mut v4 =
            [&[0; 12][..], &[8, 0, 0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 9, 192, 0, 2, 1]].concat();
        v4.extend([40_000_u16.to_be_bytes(), 7443_u16.to_be_bytes()].concat());
        v4.resize(64, 0);
        let mut v6 =
            [&[0; 12][..], &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 30, 17, 64], &[0; 16], &[0x20, 1, 0x0d, 0xb8]].concat();
        v6.extend([0; 11].iter().chain(&[1]));
        v6.extend([40_000_u16.to_be_bytes(), 7443_u16.to_be_bytes()].concat());
        v6.resize(84, 0);
        assert!(!program.filter(&v4) && !program.filter(&v6), "its own");
        for (packet, other) in [(&v4, 33), (&v6, 53)] {
            let mut packet = packet.clone();
            packet[other] ^= 2;
            for len in 14..packet.len() {
                assert!(program.filter(&packet[..len]), "{len} octets of another's");
            }
        }
        // Options that reach behind its end.
        let mut long_header = v4;
        (long_header[14], long_header[33]) = (0x4f, 7);
        assert!(program.filter(&long_header[..60]));
    }

    #[test]
    fn filter_of_first_packets_compiles() {
        let addresses: Vec<IpAddr> = (0..=255).map(|last| IpAddr::from([192, 0, 2, last])).collect();
        for local in [0, 1, FIRST_ADDRESSES_MAX, 256].map(|count| &addresses[..count]) {
            check_filter("lo", &first(local)).unwrap();
            check_filter(ANY, &first(&[local, &["2001:db8::1".parse().unwrap()]].concat())).unwrap();
        }
    }

    #[test]
    fn words_of_the_library_become_what_a_person_can_act_on() {
        let of = |text: &str| failure("eth9", &Error::PcapError(text.to_owned()));
        let raw = "Attempt to create packet socket failed - CAP_NET_RAW may be required";
        assert!(matches!(of(raw), CaptureError::NotPermitted(_)));
        assert_eq!(of("eth9: No such device exists").to_string(), "there is no interface 'eth9'");
        assert!(matches!(of("The interface went down"), CaptureError::Down(_)));
        assert!(matches!(of("anything else"), CaptureError::Failed(_)));
    }
}
