//! SSH (RFC 4253): the banners, and the offers of both sides as HASSH (<https://github.com/salesforce/hassh>).
//!
//! A record per connection, when both offers were read or it ends before: activity 1 Open.

use std::fmt::Write as _;

use md5::{Digest, Md5};
use shared::record::Value;
use shared::time::Timestamp;

use super::{Carrier, Dissector, Entry, Fields, First, NetworkClass, Recognized, Side, Tell, Told, Want};

/// Octets of a banner, and of what may stand before a server's (RFC 4253 §4.2).
const BANNER_BYTES_MAX: usize = 255;
const LINES_BYTES_MAX: usize = 4096;
/// Octets of a packet that everybody takes (RFC 4253 §6.1).
const PACKET_BYTES_MAX: usize = 35_000;
const KEXINIT: u8 = 20;
/// OCSF `fingerprint.algorithm_id` of a HASSH.
const HASSH: u64 = 20;

/// This dissector.
pub const ENTRY: Entry = Entry { protocol: "ssh", recognize, make };

fn recognize(first: &First<'_>) -> Recognized {
    const BEGIN: &[u8] = b"SSH-";
    if first.carrier != Carrier::Stream {
        return Recognized::No;
    }
    match first.bytes {
        bytes if bytes.starts_with(BEGIN) => Recognized::Yes,
        bytes if BEGIN.starts_with(bytes) => Recognized::Perhaps,
        _ => Recognized::No,
    }
}

fn make(_: Carrier) -> Box<dyn Dissector> {
    Box::<Ssh>::default()
}

/// The offer of a side, list by list as it was sent.
#[derive(Default)]
struct Offer {
    key_exchange: String,
    /// The lists that HASSH is made of, of this side's own direction: encryption, MAC, compression.
    own: [String; 3],
    host_key: String,
}

#[derive(Default)]
struct Half {
    held: Vec<u8>,
    banner: Option<String>,
    offer: Option<Offer>,
    over: bool,
}

#[derive(Default)]
struct Ssh {
    halves: [Half; 2],
    flaws: Vec<&'static str>,
    told: bool,
}

fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

impl Half {
    /// Reads what is there. A flaw ends the half.
    fn read(&mut self, side: Side) -> Result<(), &'static str> {
        if self.banner.is_none() {
            let Some(line) = self.line()? else { return Ok(()) };
            self.banner = Some(line);
        }
        if self.offer.is_none() {
            let Some(head) = self.held.first_chunk::<6>() else { return Ok(()) };
            let [a, b, c, d, padding, kind] = *head;
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            // SSH 1 has another form, and no offers.
            if kind != KEXINIT || !(2..=PACKET_BYTES_MAX).contains(&length) {
                return Err(if self.is_version_1() { "ssh_1" } else { "no_key_exchange" });
            }
            let Some(packet) = self.held.get(6..4 + length) else { return Ok(()) };
            let payload = packet.get(..packet.len().saturating_sub(usize::from(padding))).unwrap_or_default();
            self.offer = Some(offer(payload, side).ok_or("bad_key_exchange")?);
            (self.held, self.over) = (Vec::new(), true);
        }
        Ok(())
    }

    fn is_version_1(&self) -> bool {
        self.banner.as_deref().is_some_and(|banner| banner.starts_with("SSH-1.") && !banner.starts_with("SSH-1.99"))
    }

    /// The banner; a server may send other lines before it.
    fn line(&mut self) -> Result<Option<String>, &'static str> {
        loop {
            let Some(end) = memchr::memchr(b'\n', &self.held) else {
                return if self.held.len() > LINES_BYTES_MAX { Err("no_banner") } else { Ok(None) };
            };
            let line: Vec<u8> = self.held.drain(..=end).collect();
            if line.starts_with(b"SSH-") {
                let line = line.trim_ascii_end();
                let line = line.get(..BANNER_BYTES_MAX).unwrap_or(line);
                return Ok(Some(String::from_utf8_lossy(line).into_owned()));
            }
            if line.len() > LINES_BYTES_MAX {
                return Err("no_banner");
            }
        }
    }
}

/// The lists of a key exchange, behind its cookie.
fn offer(payload: &[u8], side: Side) -> Option<Offer> {
    let mut rest = payload.get(16..)?;
    let mut lists: [String; 8] = Default::default();
    for list in &mut lists {
        let (length, more) = rest.split_first_chunk::<4>()?;
        let (text, more) = more.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        *list = String::from_utf8_lossy(text).into_owned();
        rest = more;
    }
    let [key_exchange, host_key, encrypt_out, encrypt_in, mac_out, mac_in, compress_out, compress_in] = lists;
    let own = match side {
        Side::Client => [encrypt_out, mac_out, compress_out],
        Side::Server => [encrypt_in, mac_in, compress_in],
    };
    Some(Offer { key_exchange, own, host_key })
}

impl Offer {
    /// MD5 of `kex;encryption;mac;compression`, in hexadecimal digits, and that text.
    fn hassh(&self) -> (String, String) {
        let [encryption, mac, compression] = &self.own;
        let text = format!("{};{encryption};{mac};{compression}", self.key_exchange);
        let mut hash = String::with_capacity(32);
        for byte in Md5::digest(text.as_bytes()) {
            let _ = write!(hash, "{byte:02x}");
        }
        (hash, text)
    }
}

fn text(value: impl Into<String>) -> Value {
    Value::String(value.into())
}

/// The first name that the client offers and the server has (RFC 4253 §7.1).
fn agreed<'a>(client: &'a str, server: &str) -> Option<&'a str> {
    client.split(',').find(|name| server.split(',').any(|known| known == *name)).filter(|name| !name.is_empty())
}

impl Ssh {
    fn tell(&mut self, at: Timestamp, tell: Tell<'_>) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let [client, server] = &self.halves;
        let mut fields: Fields = Vec::new();
        let mut put = |key: &str, value| fields.push((key.to_owned(), value));
        let banners = [client, server].map(|half| half.banner.as_deref());
        if let Some(version) = banners.into_iter().flatten().find_map(|banner| banner.split('-').nth(1)) {
            put("protocol_ver", text(version));
        }
        for (key, banner) in ["unmapped.client_banner", "unmapped.server_banner"].into_iter().zip(banners) {
            banner.into_iter().for_each(|banner| put(key, text(banner)));
        }
        for (side, half) in ["client_hassh", "server_hassh"].into_iter().zip([client, server]) {
            if let Some(offer) = &half.offer {
                let (hash, algorithm) = offer.hassh();
                put(&format!("{side}.fingerprint.algorithm_id"), Value::U64(HASSH));
                put(&format!("{side}.fingerprint.value"), text(hash));
                put(&format!("{side}.algorithm"), text(algorithm));
            }
        }
        if let (Some(client), Some(server)) = (&client.offer, &server.offer) {
            let [cipher, mac, _] = &client.own;
            let [server_cipher, server_mac, _] = &server.own;
            let pairs = [
                ("unmapped.kex", agreed(&client.key_exchange, &server.key_exchange)),
                ("unmapped.host_key", agreed(&client.host_key, &server.host_key)),
                ("unmapped.cipher", agreed(cipher, server_cipher)),
                ("unmapped.mac", agreed(mac, server_mac)),
            ];
            for (key, name) in pairs {
                name.into_iter().for_each(|name| put(key, text(name)));
            }
        }
        tell(Told {
            class: NetworkClass::SshActivity,
            activity: 1,
            at,
            fields,
            flaws: std::mem::take(&mut self.flaws),
        });
    }
}

impl Dissector for Ssh {
    fn protocol(&self) -> &'static str {
        "ssh"
    }

    fn data(&mut self, side: Side, at: Timestamp, bytes: &[u8], tell: Tell<'_>) -> Want {
        let Some(half) = self.halves.get_mut(index(side)) else { return Want::Enough };
        if !half.over {
            half.held.extend_from_slice(bytes);
            if let Err(flaw) = half.read(side) {
                (half.held, half.over) = (Vec::new(), true);
                self.flaws.push(flaw);
            }
        }
        if self.halves.iter().all(|half| half.over) {
            self.tell(at, tell);
            return Want::Enough;
        }
        Want::More
    }

    fn gap(&mut self, side: Side, _: u64, _: Tell<'_>) -> Want {
        if let Some(half) = self.halves.get_mut(index(side))
            && !half.over
        {
            (half.held, half.over) = (Vec::new(), true);
            self.flaws.push("gap");
        }
        Want::More
    }

    fn end(&mut self, at: Timestamp, tell: Tell<'_>) {
        self.tell(at, tell);
    }

    fn held_bytes(&self) -> usize {
        self.halves.iter().map(|half| half.held.capacity()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kexinit(lists: [&str; 10]) -> Vec<u8> {
        let mut payload = vec![KEXINIT];
        payload.extend([7; 16]);
        for list in lists {
            payload.extend(u32::try_from(list.len()).unwrap().to_be_bytes());
            payload.extend(list.as_bytes());
        }
        payload.extend([0; 5]);
        let mut packet = u32::try_from(payload.len() + 1 + 4).unwrap().to_be_bytes().to_vec();
        packet.push(4);
        packet.extend(payload);
        packet.extend([0; 4]);
        packet
    }

    fn value<'a>(told: &'a Told, key: &str) -> Option<&'a Value> {
        told.fields.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    #[test]
    fn banners_and_offers_are_read_however_they_are_cut() {
        let client =
            [b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), kexinit(["a,b", "k", "c1", "c2", "m1", "m2", "n", "n", "", ""])]
                .concat();
        let server = [
            b"welcome\r\nSSH-2.0-dropbear\r\n".to_vec(),
            kexinit(["b", "k", "c1", "c9", "m1", "m9", "n", "z", "", ""]),
        ]
        .concat();
        for size in [1, 7, 1000] {
            let (mut ssh, mut all) = (make(Carrier::Stream), Vec::new());
            for (side, bytes) in [(Side::Server, &server), (Side::Client, &client)] {
                for piece in bytes.chunks(size) {
                    ssh.data(side, Timestamp(5), piece, &mut |told| all.push(told));
                }
            }
            let [told] = all.as_slice() else { panic!("{all:?}") };
            assert_eq!(value(told, "unmapped.server_banner"), Some(&text("SSH-2.0-dropbear")));
            assert_eq!(value(told, "client_hassh.algorithm"), Some(&text("a,b;c1;m1;n")));
            assert_eq!(value(told, "server_hassh.algorithm"), Some(&text("b;c9;m9;z")));
            assert_eq!(value(told, "unmapped.kex"), Some(&text("b")));
            assert!(told.flaws.is_empty());
        }
    }

    #[test]
    fn what_is_no_handshake_is_flagged_and_still_told() {
        let (mut ssh, mut all) = (make(Carrier::Stream), Vec::new());
        ssh.data(Side::Client, Timestamp(1), b"SSH-2.0-x\r\nnot a packet at all", &mut |told| all.push(told));
        ssh.end(Timestamp(2), &mut |told| all.push(told));
        assert_eq!((all.len(), all[0].flaws.as_slice()), (1, ["no_key_exchange"].as_slice()));
        let (mut ssh, long) = (make(Carrier::Stream), [b'x'; 100_000]);
        ssh.data(Side::Server, Timestamp(1), &long, &mut |_| {});
        assert_eq!(ssh.held_bytes(), 0);
    }
}
