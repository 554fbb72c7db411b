//! Keys of Initial packets (RFC 9001, 5; RFC 9369, 3.3): anybody who sees the client's first packet can derive them.

use ring::aead::quic::{AES_128, HeaderProtectionKey};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};

use super::super::Side;
use super::packet::Long;
use super::version::{self, V2};

/// Octets of a sample for header protection (RFC 9001, 5.4.2).
const SAMPLE_LEN: usize = 16;
/// Where it is taken, after the begin of the packet number.
const SAMPLE_AT: usize = 4;

/// Keys of both sides.
pub struct Keys {
    /// Of this version.
    pub version: u32,
    /// From this connection id.
    pub id: Vec<u8>,
    client: SideKeys,
    server: SideKeys,
}

struct SideKeys {
    packet: LessSafeKey,
    iv: [u8; 12],
    header: HeaderProtectionKey,
}

/// What an Initial packet holds.
#[derive(Debug)]
pub struct Opened {
    /// Its number.
    pub number: u64,
    /// Its frames.
    pub frames: Vec<u8>,
}

impl Keys {
    /// For the connection id to which the client sent its first packet; none of a version that cannot be read.
    #[must_use]
    pub fn derive(version: u32, id: &[u8]) -> Option<Self> {
        let secret = Salt::new(HKDF_SHA256, version::salt(version)?).extract(id);
        Some(Self {
            version,
            id: id.to_vec(),
            client: SideKeys::derive(version, &secret, b"client in")?,
            server: SideKeys::derive(version, &secret, b"server in")?,
        })
    }

    /// Removes the protection of an Initial packet of a side, the highest number of which was `largest`; none when it
    /// was not protected with these keys, or is not whole.
    #[must_use]
    pub fn open(&self, side: Side, packet: &Long<'_>, largest: Option<u64>) -> Option<Opened> {
        match side {
            Side::Client => self.client.open(packet, largest),
            Side::Server => self.server.open(packet, largest),
        }
    }
}

impl SideKeys {
    fn derive(version: u32, secret: &Prk, label: &[u8]) -> Option<Self> {
        let secret = Prk::new_less_safe(HKDF_SHA256, &expand::<32>(secret, label)?);
        let [key, iv, hp]: [&[u8]; 3] = if version == V2 {
            [b"quicv2 key", b"quicv2 iv", b"quicv2 hp"]
        } else {
            [b"quic key", b"quic iv", b"quic hp"]
        };
        Some(Self {
            packet: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &expand::<16>(&secret, key)?).ok()?),
            iv: expand(&secret, iv)?,
            header: HeaderProtectionKey::new(&AES_128, &expand::<16>(&secret, hp)?).ok()?,
        })
    }

    fn open(&self, packet: &Long<'_>, largest: Option<u64>) -> Option<Opened> {
        let sample_at = packet.number_at + SAMPLE_AT;
        let sample = packet.bytes.get(sample_at..sample_at + SAMPLE_LEN)?;
        let [first_mask, masks @ ..] = self.header.new_mask(sample).ok()?;
        let first = packet.bytes.first()? ^ (first_mask & 0x0f);
        let number_len = usize::from(first & 3) + 1;
        let (header, sealed) = packet.bytes.split_at_checked(packet.number_at + number_len)?;
        let mut header = header.to_vec();
        *header.first_mut()? = first;
        let mut short = 0_u32;
        for (octet, mask) in header.get_mut(packet.number_at..)?.iter_mut().zip(masks) {
            *octet ^= mask;
            short = short << 8 | u32::from(*octet);
        }
        let number = full_number(short, number_len, largest);
        let mut nonce = self.iv;
        for (octet, part) in nonce.iter_mut().rev().zip(number.to_le_bytes()) {
            *octet ^= part;
        }
        let mut frames = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let len = self.packet.open_in_place(nonce, Aad::from(&header), &mut frames).ok()?.len();
        frames.truncate(len);
        Some(Opened { number, frames })
    }
}

#[cfg(test)]
impl Keys {
    /// Protects frames: the reverse of [`Keys::open`]. The header ends with the packet number.
    pub fn seal(&self, side: Side, header: &[u8], number_at: usize, frames: &[u8]) -> Vec<u8> {
        let keys = if side == Side::Client { &self.client } else { &self.server };
        let mut nonce = keys.iv;
        for (octet, part) in nonce.iter_mut().rev().zip(header[number_at..].iter().rev()) {
            *octet ^= part;
        }
        let mut sealed = frames.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        keys.packet.seal_in_place_append_tag(nonce, Aad::from(header), &mut sealed).unwrap();
        let mut packet = [header, &sealed].concat();
        let mask = keys.header.new_mask(&packet[number_at + SAMPLE_AT..][..SAMPLE_LEN]).unwrap();
        packet[0] ^= mask[0] & 0x0f;
        for (at, octet) in packet[number_at..header.len()].iter_mut().enumerate() {
            *octet ^= mask[at + 1];
        }
        packet
    }
}

/// The number of which these low octets were sent (RFC 9000, A.3).
fn full_number(short: u32, len: usize, largest: Option<u64>) -> u64 {
    let expected = largest.map_or(0, |largest| largest + 1);
    let window = 1_u64 << (8 * len.min(4));
    let candidate = (expected & !(window - 1)) | u64::from(short);
    if candidate + window / 2 <= expected {
        candidate + window
    } else if candidate > expected + window / 2 && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

struct Len(usize);

impl KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label with an empty context (RFC 8446, 7.1).
fn expand<const LEN: usize>(secret: &Prk, label: &[u8]) -> Option<[u8; LEN]> {
    let len = u16::try_from(LEN).ok()?.to_be_bytes();
    let label_len = [u8::try_from(label.len() + 6).ok()?];
    let info: [&[u8]; 5] = [&len, &label_len, b"tls13 ", label, &[0]];
    let mut out = [0; LEN];
    secret.expand(&info, Len(LEN)).and_then(|okm| okm.fill(&mut out)).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::full_number;

    #[test]
    fn a_packet_number_is_completed_by_the_highest_one_seen() {
        // RFC 9000, A.3.
        assert_eq!(full_number(0x9b32, 2, Some(0xa82f_30ea)), 0xa82f_9b32);
        assert_eq!(full_number(2, 1, None), 2);
        assert_eq!(full_number(0, 1, Some(255)), 256);
        assert_eq!(full_number(0xff, 1, Some(256)), 255);
    }
}
