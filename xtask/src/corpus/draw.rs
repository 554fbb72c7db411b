//! Draws what a brace of a shape stands for.

use super::random::Random;
use super::shapes::{
    ACTIONS, BROWSERS, COMMANDS, DIRECTORIES, DOMAINS, Field, GUESSES, METHODS, PAGES, REFERRERS, SERVICES, STATUSES,
    UNITS, USERS,
};
use super::stamps::Stamps;

/// Peers that come back; strangers are drawn anew.
const KNOWN_PEERS: u64 = 3_000;
/// One line in this many is of a stranger.
const STRANGER_ONE_IN: u64 = 12;
/// A child process writes about this many lines.
const LINES_PER_PID: u64 = 4;

/// The generator with what it remembers between lines.
pub(super) struct Drawer {
    pub(super) random: Random,
    pub(super) stamps: Stamps,
    host: String,
    peers: Vec<String>,
    daemons: [u64; 6],
    pid: u64,
    session: u64,
    uptime_us: u64,
}

impl Drawer {
    pub(super) fn new(seed: u64, unix_s: u64) -> Self {
        let mut random = Random::new(seed);
        let host = format!("web-{:02}", random.between(1, 40));
        let peers = (0..KNOWN_PEERS).map(|_| stranger(&mut random)).collect();
        let daemons = [(); 6].map(|()| random.between(400, 2_000));
        let pid = random.between(2_000, 20_000);
        Self {
            stamps: Stamps::new(unix_s),
            host,
            peers,
            daemons,
            pid,
            session: random.between(100, 9_000),
            uptime_us: random.between(1, 1 << 40),
            random,
        }
    }

    /// Appends what `field` stands for in this line.
    pub(super) fn draw(&mut self, field: Field, out: &mut Vec<u8>) {
        let random = &mut self.random;
        match field {
            Field::Stamp => out.extend_from_slice(self.stamps.syslog.as_bytes()),
            Field::AccessStamp => out.extend_from_slice(self.stamps.access.as_bytes()),
            Field::IsoStamp => {
                out.extend_from_slice(self.stamps.iso.as_bytes());
                out.push(b'.');
                padded(self.stamps.millis(), 3, out);
                out.push(b'Z');
            }
            Field::Host => out.extend_from_slice(self.host.as_bytes()),
            Field::Pid => {
                if random.one_in(LINES_PER_PID) {
                    self.pid = if self.pid > 60_000 { 2_000 } else { self.pid + random.between(1, 9) };
                }
                decimal(self.pid, out);
            }
            Field::DaemonPid => decimal(pick(&self.daemons, random).unwrap_or(1), out),
            Field::Peer => self.peer(out),
            Field::Port => decimal(random.between(32_768, 61_000), out),
            Field::Terminal => decimal(random.below(4), out),
            Field::Bytes => {
                let magnitude = 1 << random.between(7, 17);
                decimal(random.below(magnitude), out);
            }
            Field::Millis => {
                let magnitude = 1 << random.between(3, 12);
                decimal(random.below(magnitude), out);
            }
            Field::Small => decimal(random.between(1, 120), out),
            Field::Local => local(random, out),
            Field::Session => {
                self.session += u64::from(random.one_in(2));
                decimal(self.session, out);
            }
            Field::Uptime => {
                self.uptime_us += random.below(400_000);
                decimal(self.uptime_us / 1_000_000, out);
                out.push(b'.');
                padded(self.uptime_us % 1_000_000, 6, out);
            }
            Field::Queue => hex(random.bits() | 1 << 39, 10, b"0123456789ABCDEF", out),
            Field::Hex8 => hex(random.bits(), 8, b"0123456789abcdef", out),
            Field::Hex16 => hex(random.bits(), 16, b"0123456789abcdef", out),
            Field::Mac => mac(random, out),
            Field::Fingerprint => fingerprint(random, out),
            Field::Page => page(random, out),
            listed => out.extend_from_slice(choice(listed, random).as_bytes()),
        }
    }

    fn peer(&mut self, out: &mut Vec<u8>) {
        if self.random.one_in(STRANGER_ONE_IN) {
            address(&mut self.random, out);
        } else {
            let at = self.random.skewed(KNOWN_PEERS);
            let peer = usize::try_from(at).ok().and_then(|at| self.peers.get(at));
            out.extend_from_slice(peer.map_or(b"192.0.2.1".as_slice(), |peer| peer.as_bytes()));
        }
    }
}

/// A word of the list that `field` is drawn from.
fn choice(field: Field, random: &mut Random) -> &'static str {
    let list = match field {
        Field::User => USERS,
        Field::Guess => GUESSES,
        Field::Command => COMMANDS,
        Field::Directory => DIRECTORIES,
        Field::Unit => UNITS,
        Field::Browser => BROWSERS,
        Field::Referrer => REFERRERS,
        Field::Method => METHODS,
        Field::Status => STATUSES,
        Field::Service => SERVICES,
        Field::Domain => DOMAINS,
        _ => ACTIONS,
    };
    pick(list, random).unwrap_or("-")
}

fn pick<T: Copy>(list: &[T], random: &mut Random) -> Option<T> {
    let at = random.below(u64::try_from(list.len()).ok()?);
    list.get(usize::try_from(at).ok()?).copied()
}

fn stranger(random: &mut Random) -> String {
    let mut text = Vec::new();
    address(random, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// An address outside the private and reserved first octets.
fn address(random: &mut Random, out: &mut Vec<u8>) {
    let bits = random.bits();
    decimal(11 + bits % 110, out);
    for shift in [8, 16, 24] {
        out.push(b'.');
        decimal(bits >> shift & 0xff, out);
    }
}

/// An address of the own network.
fn local(random: &mut Random, out: &mut Vec<u8>) {
    out.extend_from_slice(b"10.0.");
    decimal(random.below(4), out);
    out.push(b'.');
    decimal(random.between(2, 254), out);
}

/// A MAC address of one of 256 cards of one maker.
fn mac(random: &mut Random, out: &mut Vec<u8>) {
    let card = random.below(256).wrapping_mul(0x9e37_79b9);
    out.extend_from_slice(b"52:54:00");
    for shift in [0, 8, 16] {
        out.push(b':');
        hex(card >> shift & 0xff, 2, b"0123456789abcdef", out);
    }
}

/// One of 48 keys' fingerprints.
fn fingerprint(random: &mut Random, out: &mut Vec<u8>) {
    const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut key = Random::new(random.below(48));
    out.extend((0..43).filter_map(|_| BASE64.get(usize::try_from(key.below(64)).ok()?)));
}

/// A page whose `#` is one of some thousand items.
fn page(random: &mut Random, out: &mut Vec<u8>) {
    let page = pick(PAGES, random).unwrap_or("/");
    match page.split_once('#') {
        Some((before, after)) => {
            out.extend_from_slice(before.as_bytes());
            decimal(100 + random.skewed(5_000), out);
            out.extend_from_slice(after.as_bytes());
        }
        None => out.extend_from_slice(page.as_bytes()),
    }
}

fn decimal(number: u64, out: &mut Vec<u8>) {
    padded(number, 1, out);
}

/// `number` in decimal, at least `width` digits.
fn padded(number: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let (mut rest, mut used) = (number, 0);
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        used += 1;
        if rest == 0 && used >= width {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

/// The lowest `width` hex digits of `number`.
fn hex(number: u64, width: u32, alphabet: &[u8; 16], out: &mut Vec<u8>) {
    for place in (0..width).rev() {
        let nibble = number >> (4 * place) & 0xf;
        out.extend(usize::try_from(nibble).ok().and_then(|at| alphabet.get(at)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_whole_and_padded() {
        let mut out = Vec::new();
        decimal(0, &mut out);
        decimal(u64::MAX, &mut out);
        padded(7, 3, &mut out);
        hex(0xab, 4, b"0123456789abcdef", &mut out);
        assert_eq!(out, b"01844674407370955161500700ab");
    }
}
