//! Flows of a capture through the dissectors of TLS and QUIC: just enough of a flow table to compare with other tools.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use shared::record::Value;
use shared::time::Timestamp;

use super::super::super::{ALL, Carrier, Dissector, Entry, First, HELD_BYTES_MAX, Recognized, Side, Told, Want};
use super::capture::Packet;

/// What was told of a flow.
pub struct Seen {
    pub client: SocketAddr,
    pub server: SocketAddr,
    pub protocol: &'static str,
    pub told: Told,
}

impl Seen {
    /// A field of the record.
    pub fn value(&self, path: &str) -> Option<&Value> {
        self.told.fields.iter().find(|(name, _)| name == path).map(|(_, value)| value)
    }

    /// A field of the record, as text; empty when it is not there.
    pub fn text(&self, path: &str) -> String {
        match self.value(path) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::U64(number)) => number.to_string(),
            Some(Value::I64(number)) => number.to_string(),
            Some(Value::Bool(truth)) => truth.to_string(),
            Some(Value::List(list)) => {
                let texts = list.iter().map(|one| match one {
                    Value::String(text) => text.clone(),
                    Value::Map(fields) => fields
                        .iter()
                        .filter(|(name, _)| matches!(name.as_str(), "value" | "name"))
                        .map(|(_, value)| if let Value::String(text) = value { text.as_str() } else { "" })
                        .collect(),
                    _ => String::new(),
                });
                texts.collect::<Vec<_>>().join(",")
            }
            _ => String::new(),
        }
    }
}

/// In-order bytes of a side.
#[derive(Default)]
struct Stream {
    next: Option<u32>,
    waiting: BTreeMap<u32, Vec<u8>>,
}

struct Flow {
    ends: [SocketAddr; 2],
    streams: [Stream; 2],
    heard: Vec<(Side, Timestamp, Vec<u8>)>,
    dissector: Option<Box<dyn Dissector>>,
    over: bool,
    at: Timestamp,
}

/// What the dissectors tell of these packets.
pub fn replay(packets: &[Packet]) -> Vec<Seen> {
    let mut flows: HashMap<(bool, SocketAddr, SocketAddr), Flow> = HashMap::new();
    let mut seen = Vec::new();
    for packet in packets {
        let key = (packet.tcp.is_some(), packet.from.min(packet.to), packet.from.max(packet.to));
        let begins = packet.tcp.is_some_and(|(_, flags)| flags & 0x12 == 2);
        if begins && flows.get(&key).is_some_and(|flow| !flow.heard.is_empty() || flow.dissector.is_some()) {
            flows.remove(&key).unwrap().end(&mut seen);
        }
        let answered = packet.tcp.is_some_and(|(_, flags)| flags & 0x12 == 0x12);
        let ends = if answered { [packet.to, packet.from] } else { [packet.from, packet.to] };
        let flow = flows.entry(key).or_insert_with(|| Flow {
            ends,
            streams: Default::default(),
            heard: Vec::new(),
            dissector: None,
            over: false,
            at: packet.at,
        });
        flow.packet(packet, &mut seen);
    }
    let mut left: Vec<Flow> = flows.into_values().collect();
    left.sort_by_key(|flow| (flow.at, flow.ends));
    left.into_iter().for_each(|flow| flow.end(&mut seen));
    seen
}

impl Flow {
    fn packet(&mut self, packet: &Packet, seen: &mut Vec<Seen>) {
        self.at = packet.at;
        let side = if packet.from == self.ends[0] { Side::Client } else { Side::Server };
        let Some((sequence, flags)) = packet.tcp else {
            return self.bytes(side, packet.at, &packet.payload, seen);
        };
        let stream = &mut self.streams[usize::from(side == Side::Server)];
        if flags & 2 != 0 {
            stream.next.get_or_insert(sequence.wrapping_add(1));
        }
        if packet.payload.is_empty() {
            return;
        }
        let data = if flags & 2 != 0 { sequence.wrapping_add(1) } else { sequence };
        stream.next.get_or_insert(data);
        stream.waiting.entry(data).or_insert_with(|| packet.payload.clone());
        self.drain(side, seen);
    }

    /// Feeds what is in order.
    fn drain(&mut self, side: Side, seen: &mut Vec<Seen>) {
        loop {
            let stream = &mut self.streams[usize::from(side == Side::Server)];
            let next = stream.next.unwrap();
            let behind = |at: u32| next.wrapping_sub(at);
            let Some(&at) = stream.waiting.keys().find(|at| behind(**at) < 1 << 31) else { return };
            let segment = stream.waiting.remove(&at).unwrap();
            let known = usize::try_from(behind(at)).unwrap();
            let Some(fresh) = segment.get(known..).filter(|fresh| !fresh.is_empty()) else { continue };
            stream.next = Some(next.wrapping_add(u32::try_from(fresh.len()).unwrap()));
            let at = self.at;
            self.bytes(side, at, fresh, seen);
        }
    }

    fn bytes(&mut self, side: Side, at: Timestamp, bytes: &[u8], seen: &mut Vec<Seen>) {
        if self.over {
            return;
        }
        if self.dissector.is_some() {
            return self.feed(side, at, bytes, seen);
        }
        self.heard.push((side, at, bytes.to_vec()));
        let datagram = self.streams[0].next.is_none() && self.streams[1].next.is_none();
        let carrier = if datagram { Carrier::Datagram } else { Carrier::Stream };
        let all: Vec<u8> =
            self.heard.iter().filter(|(of, ..)| *of == side).flat_map(|(.., part)| part.clone()).collect();
        let first = First {
            carrier,
            side,
            client_port: self.ends[0].port(),
            server_port: self.ends[1].port(),
            bytes: if datagram { bytes } else { &all },
        };
        let ours = |entry: &&Entry| matches!(entry.protocol, "tls" | "quic");
        let begins =
            |bytes| ALL.iter().filter(ours).map(move |entry| (entry, (entry.recognize)(&First { bytes, ..first })));
        // Behind plaintext (STARTTLS, proxies) a segment begins with a hello.
        if !datagram
            && all.len() > bytes.len()
            && let Some((entry, _)) = begins(bytes).find(|(_, answer)| *answer == Recognized::Yes)
        {
            self.dissector = Some((entry.make)(carrier));
            self.heard.clear();
            return self.feed(side, at, bytes, seen);
        }
        let answers = begins(first.bytes);
        let answers: Vec<_> = answers.filter(|(_, answer)| *answer != Recognized::No).collect();
        match answers.first() {
            None => {
                self.over = all.len() > 8192;
            }
            Some((entry, Recognized::Yes)) => {
                self.dissector = Some((entry.make)(carrier));
                for (side, at, part) in std::mem::take(&mut self.heard) {
                    self.feed(side, at, &part, seen);
                }
            }
            Some(_) => {}
        }
    }

    fn feed(&mut self, side: Side, at: Timestamp, bytes: &[u8], seen: &mut Vec<Seen>) {
        self.with(seen, |dissector, tell| dissector.data(side, at, bytes, tell));
    }

    fn with(&mut self, seen: &mut Vec<Seen>, act: impl FnOnce(&mut dyn Dissector, &mut dyn FnMut(Told)) -> Want) {
        let Some(dissector) = self.dissector.as_deref_mut() else { return };
        let (protocol, [client, server]) = (dissector.protocol(), self.ends);
        let want = act(dissector, &mut |told| seen.push(Seen { client, server, protocol, told }));
        assert!(dissector.held_bytes() <= HELD_BYTES_MAX);
        if want != Want::More {
            self.over = true;
            self.dissector = None;
        }
    }

    fn end(mut self, seen: &mut Vec<Seen>) {
        for side in [Side::Client, Side::Server] {
            loop {
                let stream = &mut self.streams[usize::from(side == Side::Server)];
                let Some(next) = stream.next else { break };
                let Some(at) = stream.waiting.keys().copied().min_by_key(|at| at.wrapping_sub(next)) else { break };
                stream.next = Some(at);
                let missing = u64::from(at.wrapping_sub(next));
                self.with(seen, |dissector, tell| dissector.gap(side, missing, tell));
                self.drain(side, seen);
            }
        }
        let at = self.at;
        self.with(seen, |dissector, tell| {
            dissector.end(at, tell);
            Want::Enough
        });
    }
}
