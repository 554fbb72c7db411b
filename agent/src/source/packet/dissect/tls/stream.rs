//! The handshake of one connection: records of both sides in, one record out.

use shared::time::Timestamp;

use super::super::{Dissector, Side, Tell, Want};
use super::fingerprint::Transport;
use super::handshake::{Ending, Handshake};
use super::hello::ClientHello;
use super::messages::Messages;
use super::records::{self, ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, Kind, Piece, Records};
use super::{ENTRY, flag, names};

/// Most bytes of a side until both hold keys. Real handshakes are below 16 KiB.
pub const HANDSHAKE_BYTES_MAX: u64 = 512 << 10;
/// The content of an encrypted alert of TLS 1.3: level, description, type, tag (RFC 8446, 5.2). No other message of a
/// handshake is that short.
const TLS13_ALERT_LEN: usize = 2 + 1 + 16;
const ALERT_FATAL: u8 = 2;

/// One side of a connection.
#[derive(Debug)]
struct Lane {
    records: Records,
    messages: Messages,
    /// The framing of `SSLv2`: what there is of its hello.
    v2: Vec<u8>,
    alert_level: Option<u8>,
    bytes: u64,
    /// `change_cipher_spec` was sent.
    changed_cipher: bool,
    /// A message under new keys was sent: `Finished` of TLS ≤ 1.2.
    finished: bool,
    /// Records of application data were sent.
    protected: bool,
    /// Bytes are missing: messages can no longer be told apart.
    broken: bool,
    /// Bytes are missing: it is not known where the next record begins.
    lost: bool,
}

impl Lane {
    fn new(side: Side) -> Self {
        Self {
            records: Records::new(),
            messages: Messages::new(side),
            v2: Vec::new(),
            alert_level: None,
            bytes: 0,
            changed_cipher: false,
            finished: false,
            protected: false,
            broken: false,
            lost: false,
        }
    }
}

/// Why no more bytes are taken.
#[derive(Debug)]
enum Stop {
    Ended(Ending),
    NotTls,
}

/// TLS on one connection.
#[derive(Debug)]
pub struct Tls {
    handshake: Handshake,
    client: Lane,
    server: Lane,
    told: bool,
}

impl Tls {
    /// Of a connection that said nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            handshake: Handshake::new(Transport::Tcp),
            client: Lane::new(Side::Client),
            server: Lane::new(Side::Server),
            told: false,
        }
    }

    fn lane(&mut self, side: Side) -> &mut Lane {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    fn take(&mut self, side: Side, at: Timestamp, mut bytes: &[u8]) -> Result<(), Stop> {
        let lane = self.lane(side);
        lane.bytes = lane.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if lane.lost {
            if !records::begins_record(bytes) {
                return self.within_bound(side);
            }
            lane.lost = false;
        }
        while !bytes.is_empty() {
            match self.lane(side).records.next(&mut bytes) {
                Piece::Header => {}
                Piece::Begins(kind, len) => self.begin(side, at, kind, len)?,
                Piece::Content(Kind::Tls(HANDSHAKE), part, _) => self.handshake(side, at, part)?,
                Piece::Content(Kind::Tls(ALERT), part, last) => self.alert(side, part, last)?,
                Piece::Content(Kind::V2Hello, part, last) => {
                    let lane = self.lane(side);
                    lane.v2.extend_from_slice(part);
                    if last {
                        let message = std::mem::take(&mut lane.v2);
                        self.handshake.client = Some(side);
                        self.handshake.client_hello(at, ClientHello::parse_v2(&message), true);
                    }
                }
                Piece::Content(..) => {}
                Piece::Garbage => return Err(self.garbage(side)),
            }
        }
        self.within_bound(side)
    }

    fn within_bound(&mut self, side: Side) -> Result<(), Stop> {
        if self.lane(side).bytes <= HANDSHAKE_BYTES_MAX {
            return Ok(());
        }
        flag(&mut self.handshake.flaws, "handshake_too_long");
        Err(Stop::Ended(self.unfinished()))
    }

    fn garbage(&mut self, side: Side) -> Stop {
        if self.handshake.offer.is_none() && self.handshake.answer.is_none() {
            return Stop::NotTls;
        }
        let answered = self.handshake.answer.is_some();
        if !answered && !self.handshake.is_client(side) {
            flag(&mut self.handshake.flaws, "reply_not_tls");
            return Stop::Ended(Ending::Failed("the reply is not TLS".to_owned()));
        }
        flag(&mut self.handshake.flaws, "record_malformed");
        Stop::Ended(self.unfinished())
    }

    /// A record begins.
    fn begin(&mut self, side: Side, at: Timestamp, kind: Kind, len: usize) -> Result<(), Stop> {
        match kind {
            Kind::Tls(CHANGE_CIPHER_SPEC) => {
                self.lane(side).changed_cipher = true;
                if !self.handshake.is_client(side) {
                    self.handshake.server_changed_cipher();
                }
            }
            Kind::Tls(HANDSHAKE) if self.is_encrypted(side) => {
                self.lane(side).finished = true;
                if self.client.finished && self.server.finished {
                    return Err(Stop::Ended(Ending::Established));
                }
            }
            Kind::Tls(APPLICATION_DATA) => return self.application_data(side, len),
            Kind::V2Hello => {
                let header = *self.lane(side).records.header();
                self.handshake.started.get_or_insert(at);
                self.lane(side).v2 = header.get(2..).unwrap_or_default().to_vec();
            }
            Kind::V2Answer => {
                flag(&mut self.handshake.flaws, "sslv2");
                return Err(Stop::Ended(self.unfinished()));
            }
            Kind::Tls(_) => {}
        }
        Ok(())
    }

    /// Whether a side's handshake messages are encrypted: with TLS ≤ 1.2 they are after `change_cipher_spec`. With 1.3
    /// that says nothing, and what is encrypted looks like application data.
    fn is_encrypted(&mut self, side: Side) -> bool {
        let plain = self.handshake.is_tls13() || self.handshake.retried;
        self.lane(side).changed_cipher && !plain
    }

    fn application_data(&mut self, side: Side, len: usize) -> Result<(), Stop> {
        let first = !std::mem::replace(&mut self.lane(side).protected, true);
        if !self.handshake.is_tls13() {
            // Of TLS ≤ 1.2 it follows both Finished; one of them may not have been captured.
            let done = self.lane(side).changed_cipher && self.handshake.answer.is_some();
            return if done { Err(Stop::Ended(Ending::Established)) } else { Ok(()) };
        }
        if !self.handshake.is_client(side) {
            return Ok(());
        }
        let early = self.handshake.offer.as_ref().is_none_or(|offer| offer.early_data);
        if first && len == TLS13_ALERT_LEN && !early {
            return Err(Stop::Ended(Ending::Failed("encrypted alert of the client".to_owned())));
        }
        Err(Stop::Ended(Ending::Established))
    }

    fn handshake(&mut self, side: Side, at: Timestamp, part: &[u8]) -> Result<(), Stop> {
        if self.is_encrypted(side) || self.lane(side).broken {
            return Ok(());
        }
        self.handshake.started.get_or_insert(at);
        let handshake = &mut self.handshake;
        let mut sound = true;
        let lane = match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        };
        lane.messages.feed(part, &mut |message| sound &= sound && handshake.message(side, at, message));
        if sound {
            return Ok(());
        }
        lane.broken = true;
        if self.handshake.offer.is_none() && self.handshake.answer.is_none() {
            return Err(Stop::NotTls);
        }
        flag(&mut self.handshake.flaws, "message_unknown");
        Ok(())
    }

    fn alert(&mut self, side: Side, part: &[u8], last: bool) -> Result<(), Stop> {
        let encrypted = self.is_encrypted(side);
        let lane = self.lane(side);
        for octet in part {
            let Some(level) = lane.alert_level.take() else {
                lane.alert_level = Some(*octet);
                continue;
            };
            // An encrypted one has neither; neither has what is left of one after a gap.
            if encrypted || lane.broken || level > ALERT_FATAL {
                continue;
            }
            self.handshake.alert(*octet);
            if level == ALERT_FATAL {
                return Err(Stop::Ended(Ending::Failed(format!("alert: {}", names::alert(*octet)))));
            }
            return Ok(());
        }
        if last {
            lane.alert_level = None;
        }
        Ok(())
    }

    /// How it ended, when it ends without both sides holding keys.
    fn unfinished(&self) -> Ending {
        if self.handshake.answer.is_some() || self.handshake.flaws.contains(&"sslv2") {
            return Ending::Incomplete;
        }
        let early = self.handshake.offer.as_ref().is_none_or(|offer| offer.early_data);
        let turned = !self.handshake.is_client(Side::Client);
        let (client, server) = if turned { (&self.server, &self.client) } else { (&self.client, &self.server) };
        if server.bytes == 0 && (client.finished || client.protected && !early) {
            return Ending::Incomplete;
        }
        Ending::Failed(match self.handshake.alert {
            Some(alert) => format!("alert: {}", names::alert(alert)),
            None => "no ServerHello".to_owned(),
        })
    }

    /// Reads what there is of messages that will not be completed.
    fn cut(&mut self, side: Side, at: Timestamp) {
        let handshake = &mut self.handshake;
        let lane = match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        };
        lane.messages.cut(&mut |message| {
            handshake.message(side, at, message);
        });
    }

    fn stop(&mut self, at: Timestamp, stop: Stop, tell: Tell<'_>) -> Want {
        match stop {
            Stop::NotTls => Want::NotMine,
            Stop::Ended(ending) => {
                self.told = true;
                tell(self.handshake.tell(&ending, at));
                *self = Self { told: true, ..Self::new() };
                Want::Enough
            }
        }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self::new()
    }
}

impl Dissector for Tls {
    fn protocol(&self) -> &'static str {
        ENTRY.protocol
    }

    fn data(&mut self, side: Side, at: Timestamp, bytes: &[u8], tell: Tell<'_>) -> Want {
        if self.told {
            return Want::Enough;
        }
        match self.take(side, at, bytes) {
            Ok(()) => Want::More,
            Err(stop) => self.stop(at, stop, tell),
        }
    }

    fn gap(&mut self, side: Side, bytes: u64, _tell: Tell<'_>) -> Want {
        if self.told {
            return Want::Enough;
        }
        flag(&mut self.handshake.flaws, "stream_gap");
        let at = self.handshake.started.unwrap_or_default();
        self.cut(side, at);
        let lane = self.lane(side);
        lane.bytes = lane.bytes.saturating_add(bytes);
        lane.lost |= !lane.records.skip(bytes);
        lane.broken = true;
        lane.v2 = Vec::new();
        Want::More
    }

    fn end(&mut self, at: Timestamp, tell: Tell<'_>) {
        if self.told {
            return;
        }
        self.cut(Side::Client, at);
        self.cut(Side::Server, at);
        let ending = self.unfinished();
        self.stop(at, Stop::Ended(ending), tell);
    }

    fn held_bytes(&self) -> usize {
        let lanes = [&self.client, &self.server];
        let lanes: usize = lanes.iter().map(|lane| lane.messages.held_bytes() + lane.v2.capacity()).sum();
        lanes + self.handshake.held_bytes()
    }
}
