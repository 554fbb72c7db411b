//! A flow: who, since when, how much each way.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use shared::time::Timestamp;

use super::super::dissect::{Carrier, Side};
use super::super::process::Owner;
use super::super::{Flaws, Macs, Packet, Transport};
use super::conversation::Conversation;
use super::key::Path;
use super::lists::{Patience, Place};
use super::side;
use super::tcp::{ACK, Connection, SYN};

/// Ports that servers have: who is seen speaking from one of them first answers somebody.
const SERVER_PORTS: &[u16] = &[
    20, 21, 22, 23, 25, 53, 67, 80, 88, 110, 123, 135, 139, 143, 161, 389, 443, 445, 465, 500, 502, 587, 636, 853, 993,
    995, 1194, 1433, 3306, 3389, 3544, 5060, 5432, 5672, 6379, 8080, 8443,
];

/// What a flow is made of.
#[derive(Debug)]
pub(super) enum Kind {
    /// A connection.
    Tcp(Box<Connection>),
    /// Anything else.
    Other,
}

/// What one side sent.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Sent {
    pub(super) packets: u64,
    /// By the network header.
    pub(super) bytes: u64,
    /// Behind the transport header; of a connection in sequence space.
    pub(super) payload_bytes: u64,
}

/// Whether it was asked whose a flow is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    /// It is not of this host, or nobody names owners.
    Never,
    /// Not yet.
    Waits,
    /// It was; the answer may be late.
    Was,
}

pub(super) struct Entry {
    /// From the client to the server.
    pub(super) path: Path,
    /// Hardware addresses of the first packet.
    pub(super) macs: Option<Macs>,
    pub(super) vlan: u16,
    pub(super) began_at: Timestamp,
    pub(super) last_at: Timestamp,
    pub(super) told_at: Timestamp,
    /// The client, then the server.
    pub(super) sent: [Sent; 2],
    pub(super) flaws: Flaws,
    pub(super) kind: Kind,
    /// Made with the first payload, gone when nothing more is to be learned.
    pub(super) conversation: Option<Box<Conversation>>,
    pub(super) listened: bool,
    pub(super) protocol: Option<&'static str>,
    pub(super) updates: u32,
    /// Whose it is, of a flow of this host, once that was asked.
    pub(super) owner: Option<Arc<Owner>>,
    pub(super) asked: Asked,
    pub(super) place: Place,
}

fn to_many(ip: IpAddr) -> bool {
    ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// Whether the first packet that was seen comes from the server.
fn is_answer(path: &Path, transport: &Transport<'_>) -> bool {
    let from_server = || SERVER_PORTS.contains(&path.source.port) && !SERVER_PORTS.contains(&path.destination.port);
    match transport {
        Transport::Tcp(tcp) => match tcp.flags & (SYN | ACK) {
            SYN => false,
            both if both == SYN | ACK => true,
            _ => from_server(),
        },
        // Servers of names ask each other from their own port: the message says which one it is (RFC 1035 §4.1.1).
        Transport::Udp(udp) if (udp.source, udp.destination) == (53, 53) => {
            udp.payload.get(2).is_some_and(|flags| flags & 0x80 != 0)
        }
        // So does one about the time (RFC 5905 §7.3: mode 4).
        Transport::Udp(udp) if (udp.source, udp.destination) == (123, 123) => {
            udp.payload.first().is_some_and(|first| first & 7 == 4)
        }
        // What is sent to many answers nobody.
        Transport::Udp(_) => from_server() && !to_many(path.destination.ip),
        // An echo reply, and what answers in its way; neighbors and routers also say unasked what they are.
        Transport::Icmp(icmp) if icmp.v6 => icmp.kind == 129,
        Transport::Icmp(icmp) => matches!(icmp.kind, 0 | 14 | 16 | 18),
        _ => false,
    }
}

impl Entry {
    pub(super) fn new(path: Path, packet: &Packet<'_>) -> Self {
        let turned = is_answer(&path, &packet.transport);
        let kind = match &packet.transport {
            Transport::Tcp(_) => Kind::Tcp(Box::default()),
            _ => Kind::Other,
        };
        Self {
            path: if turned { path.turned() } else { path },
            macs: packet.link.macs,
            vlan: packet.link.vlans.into_iter().find(|vlan| *vlan != 0).unwrap_or(0),
            began_at: packet.at,
            last_at: packet.at,
            told_at: packet.at,
            sent: [Sent::default(); 2],
            flaws: Flaws::default(),
            kind,
            conversation: None,
            listened: false,
            protocol: None,
            updates: 0,
            owner: None,
            asked: Asked::Never,
            place: Place::default(),
        }
    }

    /// Counts a packet; who sent it.
    pub(super) fn count(&mut self, path: &Path, packet: &Packet<'_>) -> Side {
        let mut side = side(path, &self.path);
        if let (Kind::Tcp(connection), Transport::Tcp(tcp)) = (&mut self.kind, &packet.transport) {
            // Whoever was thought to be the server opens a connection: nothing but stragglers was seen before.
            let opens = tcp.flags & (SYN | ACK) == SYN;
            if opens && side == Side::Server && !connection.is_established() {
                self.path = self.path.turned();
                self.sent.swap(0, 1);
                connection.turn();
                if let Some(conversation) = &mut self.conversation {
                    conversation.turn();
                }
                side = Side::Client;
            }
            connection.segment(side, packet.at, tcp);
        }
        self.flaws.set(packet.flaws);
        let [client, server] = &mut self.sent;
        let sent = if side == Side::Client { client } else { server };
        // A datagram that was put together of fragments came in several frames.
        sent.packets += u64::from(packet.frames);
        sent.bytes += packet.ip.as_ref().map_or(0, |ip| u64::from(ip.total_len));
        sent.payload_bytes += match &packet.transport {
            Transport::Tcp(tcp) => u64::from(tcp.payload_len),
            Transport::Udp(udp) => u64::from(udp.payload_len),
            Transport::Icmp(icmp) => u64::from(icmp.payload_len),
            _ => 0,
        };
        side
    }

    /// The conversation that a packet's payload belongs to, taken out: it is put back when it goes on.
    pub(super) fn conversation(&mut self, transport: &Transport<'_>) -> Option<Box<Conversation>> {
        let (carrier, payload_len) = match transport {
            Transport::Tcp(tcp) => (Carrier::Stream, tcp.payload_len),
            Transport::Udp(udp) => (Carrier::Datagram, udp.payload_len),
            _ => return None,
        };
        if !self.listened && payload_len > 0 {
            self.listened = true;
            let mut conversation = Box::new(Conversation::new(carrier));
            if let Kind::Tcp(connection) = &self.kind {
                conversation.begin([Side::Client, Side::Server].map(|side| connection.half(side).first));
            }
            self.conversation = Some(conversation);
        }
        self.conversation.take()
    }

    pub(super) fn is_over(&self) -> bool {
        match &self.kind {
            Kind::Tcp(connection) => connection.is_over(),
            Kind::Other => false,
        }
    }

    /// One side spoke, once or a few times, and nobody answered.
    pub(super) fn is_unanswered(&self) -> bool {
        let [client, server] = &self.sent;
        client.packets == 0 || server.packets == 0
    }

    pub(super) fn patience(&self) -> Patience {
        match &self.kind {
            Kind::Tcp(connection) if connection.is_over() => Patience::Over,
            Kind::Tcp(connection) if connection.is_established() => Patience::Connection,
            Kind::Tcp(_) => Patience::Unanswered,
            Kind::Other => Patience::Datagrams,
        }
    }
}
