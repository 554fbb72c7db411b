//! A TCP connection as an observer sees it: how it began and ended, in the letters that Zeek uses; retransmissions; the
//! round trip that its handshake shows.
//!
//! History: `S` SYN, `H` SYN+ACK, `A` pure ACK, `D` data, `F` FIN, `R` RST, `T` retransmitted data, `G` a gap, `W`
//! zero window, `^` the direction was turned; capital: the client, small: the server. Each is noted once per side.

use std::time::Duration;

use shared::time::Timestamp;

use super::super::Tcp;
use super::super::dissect::Side;

/// Flags as on the wire.
pub const FIN: u8 = 1;
/// SYN.
pub const SYN: u8 = 2;
/// RST.
pub const RST: u8 = 4;
/// ACK.
pub const ACK: u8 = 16;

/// How far from its SYN's number the first segments of a connection may lie.
const BEGIN_WINDOW: u32 = 1 << 20;

/// Letters that a history has at most.
const HISTORY_MAX: usize = 20;

/// One side of a connection.
#[derive(Clone, Copy, Default, Debug)]
pub struct Half {
    /// The first sequence number, of the SYN or the first segment.
    pub first: Option<u32>,
    /// The highest sequence number behind which everything was sent.
    next: u32,
    /// Its FIN was seen; the number behind it.
    fin: Option<u32>,
    /// It sent a SYN.
    syn: bool,
    /// It sent an RST.
    rst: bool,
    /// Bytes of payload in sequence space.
    pub bytes: u64,
    /// Segments that were sent again.
    pub retransmitted: u32,
    /// Union of the flags that it sent.
    pub flags: u8,
}

/// A connection.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// The client's half, then the server's.
    halves: [Half; 2],
    history: [u8; HISTORY_MAX],
    history_len: u8,
    noted: [u16; 2],
    syn_at: Option<Timestamp>,
    syn_ack_at: Option<Timestamp>,
    /// SYN to SYN+ACK: between here and the server.
    pub server_rtt: Option<Duration>,
    /// SYN+ACK to ACK: between here and the client.
    pub client_rtt: Option<Duration>,
}

/// How a connection stands, in Zeek's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// A SYN and no answer.
    S0,
    /// Established, not ended.
    S1,
    /// The client closed, the server has not.
    S2,
    /// The server closed, the client has not.
    S3,
    /// Both closed.
    SF,
    /// A SYN, and an RST for an answer.
    Rej,
    /// The client aborted an established connection.
    RstO,
    /// The server aborted it.
    RstR,
    /// The client aborted it; no answer was seen.
    RstOS0,
    /// The server aborted it; its begin was not seen.
    RstRH,
    /// The client closed; no answer to its begin was seen.
    SH,
    /// The server closed; no begin was seen.
    ShR,
    /// Its begin was not seen.
    Oth,
}

impl State {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::S0 => "S0",
            Self::S1 => "S1",
            Self::S2 => "S2",
            Self::S3 => "S3",
            Self::SF => "SF",
            Self::Rej => "REJ",
            Self::RstO => "RSTO",
            Self::RstR => "RSTR",
            Self::RstOS0 => "RSTOS0",
            Self::RstRH => "RSTRH",
            Self::SH => "SH",
            Self::ShR => "SHR",
            Self::Oth => "OTH",
        }
    }
}

/// Whether `a` lies at or behind `b` in sequence space (RFC 1982).
pub(super) fn at_or_behind(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) < 1 << 31
}

fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

impl Connection {
    /// One side of it.
    #[must_use]
    pub fn half(&self, side: Side) -> &Half {
        let [client, server] = &self.halves;
        match side {
            Side::Client => client,
            Side::Server => server,
        }
    }

    /// Takes a segment into account.
    pub fn segment(&mut self, side: Side, at: Timestamp, tcp: &Tcp<'_>) {
        let flags = tcp.flags;
        let mut letters = [0_u8; 6];
        let mut count = 0;
        let mut note = |letter: u8| {
            if let Some(place) = letters.get_mut(count) {
                *place = letter;
                count += 1;
            }
        };
        if flags & SYN != 0 {
            note(if flags & ACK != 0 { b'h' } else { b's' });
        }
        self.settle(side, tcp);
        let Some(half) = self.halves.get_mut(index(side)) else { return };
        half.flags |= flags;
        half.syn |= flags & SYN != 0;
        half.rst |= flags & RST != 0;
        let start = tcp.sequence.wrapping_add(u32::from(flags & SYN != 0));
        let end = start.wrapping_add(tcp.payload_len);
        if half.first.is_none() && flags & RST == 0 {
            (half.first, half.next) = (Some(start), start);
        }
        if tcp.payload_len > 0 && half.first.is_some() {
            if at_or_behind(half.next, end) {
                half.retransmitted += 1;
                note(b't');
            } else {
                if at_or_behind(start, half.next.wrapping_add(1)) {
                    note(b'g');
                }
                note(b'd');
                let fresh = end.wrapping_sub(half.next);
                half.bytes += u64::from(fresh);
                half.next = end;
            }
        } else if flags & (SYN | FIN | RST | ACK) == ACK {
            note(b'a');
        }
        if flags & FIN != 0 {
            half.fin = Some(end.wrapping_add(1));
            note(b'f');
        }
        if flags & RST != 0 {
            note(b'r');
        }
        letters.iter().take(count).for_each(|letter| self.note(side, *letter));
        self.time(side, at, flags);
    }

    /// Which number a side begins with, as long as it sent nothing: that of its last SYN, and of several, of which
    /// another than the last was answered, the one that it acknowledges the answer with.
    fn settle(&mut self, side: Side, tcp: &Tcp<'_>) {
        let [client, server] = &mut self.halves;
        let (half, other) = if side == Side::Client { (client, server) } else { (server, client) };
        if half.bytes > 0 {
            return;
        }
        let Some(first) = half.first else { return };
        if tcp.flags & SYN != 0 {
            half.first = None;
        } else if tcp.flags & (RST | ACK) == ACK
            && half.syn
            && other.syn
            && other.first == Some(tcp.acknowledgment)
            && (BEGIN_WINDOW..u32::MAX - BEGIN_WINDOW).contains(&tcp.sequence.wrapping_sub(first))
        {
            (half.first, half.next) = (Some(tcp.sequence), tcp.sequence);
        }
    }

    fn time(&mut self, side: Side, at: Timestamp, flags: u8) {
        match (side, flags & (SYN | ACK)) {
            (Side::Client, SYN) => self.syn_at = Some(at),
            (Side::Server, both) if both == SYN | ACK => {
                self.server_rtt = self.server_rtt.or(self.syn_at.map(|syn| at.since(syn)));
                self.syn_ack_at = Some(at);
            }
            (Side::Client, ACK) => self.client_rtt = self.client_rtt.or(self.syn_ack_at.map(|answer| at.since(answer))),
            _ => {}
        }
    }

    /// Notes a letter once per side.
    fn note(&mut self, side: Side, letter: u8) {
        const LETTERS: &[u8] = b"shadfrtgw";
        let Some(bit) = LETTERS.iter().position(|known| *known == letter) else { return };
        let Some(noted) = self.noted.get_mut(index(side)) else { return };
        if *noted & 1 << bit != 0 {
            return;
        }
        *noted |= 1 << bit;
        let letter = if side == Side::Client { letter.to_ascii_uppercase() } else { letter };
        if let Some(place) = self.history.get_mut(usize::from(self.history_len)) {
            *place = letter;
            self.history_len += 1;
        }
    }

    /// Bytes of a side never came.
    pub fn gap(&mut self, side: Side) {
        self.note(side, b'g');
    }

    /// What happened, in the order in which it first did.
    #[must_use]
    pub fn history(&self) -> &str {
        let letters = self.history.get(..usize::from(self.history_len)).unwrap_or_default();
        str::from_utf8(letters).unwrap_or_default()
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> State {
        let [client, server] = &self.halves;
        // A SYN+ACK that the client goes on after stands for a SYN that was not seen.
        let opened = client.syn || server.syn && client.first.is_some();
        let answered = server.syn;
        match (client.rst, server.rst, client.fin.is_some(), server.fin.is_some()) {
            // An RST behind both FINs is how some stacks close.
            (_, _, true, true) => State::SF,
            (true, reset, ..) if answered || !reset => {
                if answered {
                    State::RstO
                } else {
                    State::RstOS0
                }
            }
            (_, true, ..) if client.syn && !answered => State::Rej,
            (_, true, ..) if opened => State::RstR,
            (_, true, ..) => State::RstRH,
            (_, _, true, _) if answered => State::S2,
            (_, _, true, _) => State::SH,
            (_, _, _, true) if opened => State::S3,
            (_, _, _, true) => State::ShR,
            _ if opened && answered => State::S1,
            _ if client.syn && server.first.is_none() => State::S0,
            _ => State::Oth,
        }
    }

    /// Nothing more is expected: both sides closed, or one aborted.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let [client, server] = &self.halves;
        client.rst || server.rst || (client.fin.is_some() && server.fin.is_some())
    }

    /// Both sides agreed to it.
    #[must_use]
    pub fn is_established(&self) -> bool {
        let [client, server] = &self.halves;
        client.first.is_some() && server.first.is_some()
    }

    /// A SYN came from who was thought to be the server.
    pub fn turn(&mut self) {
        self.halves.swap(0, 1);
        self.noted.swap(0, 1);
        (self.client_rtt, self.server_rtt) = (self.server_rtt, self.client_rtt);
        for letter in &mut self.history {
            *letter =
                if letter.is_ascii_uppercase() { letter.to_ascii_lowercase() } else { letter.to_ascii_uppercase() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(flags: u8, sequence: u32, payload: &[u8]) -> Tcp<'_> {
        let payload_len = u32::try_from(payload.len()).unwrap();
        Tcp {
            source: 1,
            destination: 2,
            sequence,
            acknowledgment: 0,
            flags,
            window: 1,
            options: &[],
            payload_len,
            payload,
        }
    }

    fn told(segments: &[(Side, u8, u32, &[u8])]) -> Connection {
        let mut connection = Connection::default();
        for (number, (side, flags, sequence, payload)) in (0..).zip(segments) {
            connection.segment(*side, Timestamp(number * 1_000_000), &segment(*flags, *sequence, payload));
        }
        connection
    }

    use Side::{Client, Server};

    #[test]
    fn connection_is_told_from_its_handshake_to_its_end() {
        let whole = told(&[
            (Client, SYN, 99, b""),
            (Server, SYN | ACK, u32::MAX, b""),
            (Client, ACK, 100, b""),
            (Client, ACK, 100, b"ask"),
            (Server, ACK, 0, b"answer"),
            (Client, ACK, 100, b"ask"),
            (Client, FIN | ACK, 103, b""),
            (Server, FIN | ACK, 6, b""),
            (Client, ACK, 104, b""),
        ]);
        assert_eq!((whole.history(), whole.state()), ("ShADdTFf", State::SF));
        assert_eq!((whole.half(Client).bytes, whole.half(Server).bytes), (3, 6));
        assert_eq!((whole.half(Client).retransmitted, whole.is_over()), (1, true));
        assert_eq!(whole.server_rtt, Some(Duration::from_millis(1)));
        assert_eq!(whole.client_rtt, Some(Duration::from_millis(1)));
    }

    #[test]
    fn of_several_begins_the_answered_one_counts() {
        let last = told(&[(Client, SYN, 9_000_000, b""), (Client, SYN, 99, b""), (Client, ACK, 100, b"ask")]);
        assert_eq!((last.half(Client).first, last.half(Client).bytes), (Some(100), 3));
        let refused_first = told(&[
            (Client, SYN, 99, b""),
            (Server, RST | ACK, 0, b""),
            (Server, FIN | ACK, 0, b""),
            (Server, SYN | ACK, 5_000_000, b""),
            (Server, ACK, 5_000_001, b"answer"),
        ]);
        assert_eq!((refused_first.half(Server).first, refused_first.half(Server).bytes), (Some(5_000_001), 6));
        let mut earlier = told(&[(Client, SYN, 70_000_000, b""), (Client, SYN, 99, b""), (Server, SYN | ACK, 4, b"")]);
        let ack = Tcp { acknowledgment: 5, ..segment(ACK, 70_000_001, b"ask") };
        earlier.segment(Client, Timestamp(9), &ack);
        assert_eq!((earlier.half(Client).first, earlier.half(Client).bytes), (Some(70_000_001), 3));
        let middle = told(&[(Client, SYN, 99, b""), (Client, ACK, 100, b"ask"), (Client, SYN, 5_000_000, b"")]);
        assert_eq!(middle.half(Client).first, Some(100));
    }

    #[test]
    fn connections_that_fail_say_how() {
        assert_eq!(told(&[(Client, SYN, 1, b"")]).state(), State::S0);
        assert_eq!(told(&[(Client, SYN, 1, b""), (Server, RST | ACK, 0, b"")]).state(), State::Rej);
        assert_eq!(told(&[(Client, SYN, 1, b""), (Client, RST, 2, b"")]).state(), State::RstOS0);
        assert_eq!(
            told(&[(Client, SYN, 1, b""), (Server, SYN | ACK, 1, b""), (Server, RST, 2, b"")]).state(),
            State::RstR
        );
        assert_eq!(told(&[(Client, ACK, 1, b"in the middle")]).state(), State::Oth);
        assert_eq!(told(&[(Client, ACK, 1, b"in the middle"), (Server, RST, 2, b"")]).state(), State::RstRH);
    }

    #[test]
    fn answer_stands_for_the_begin_that_was_not_seen() {
        let open = [(Server, SYN | ACK, 1, &b""[..]), (Client, ACK, 1, b"ask"), (Server, ACK, 2, b"answer")];
        assert_eq!(told(&open).state(), State::S1);
        assert_eq!(told(&open[..1]).state(), State::Oth);
        let ended = [open[0], open[1], (Client, FIN | ACK, 4, b""), (Server, FIN | ACK, 2, b"")];
        assert_eq!(told(&ended).state(), State::SF);
    }
}
