//! Signatures of an authority, as whoever trusts it checks them: ECDSA P-256 over SHA-256, in ASN.1 as OpenSSL has it.
//!
//! In: a message, a signature and the public key that checks it. Out: whether it holds. A message begins with what it is
//! for, so that a statement of one kind never passes for one of another.

use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

use crate::tls::KeyHash;

/// `SubjectPublicKeyInfo` of a P-256 key up to its point (RFC 5480 §2).
pub const P256_INFO: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// Longest signature: two integers of 33 bytes in a sequence.
const SIGNATURE_BYTES_MAX: usize = 72;
/// A key in its `SubjectPublicKeyInfo` form.
const KEY_BYTES: usize = 91;
/// Bytes of an encoded signature with its key, at most.
pub const ENCODED_BYTES_MAX: usize = 1 + SIGNATURE_BYTES_MAX + 1 + KEY_BYTES;

/// A signature, with the key that checks it. That the key is one to be believed is for the reader to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signature {
    /// ASN.1 sequence of two integers (RFC 3279 §2.2.3).
    pub der: Vec<u8>,
    /// The public key, as `SubjectPublicKeyInfo`.
    pub key: Vec<u8>,
}

impl Signature {
    /// Whether it is this message that was signed, with this key.
    #[must_use]
    pub fn holds(&self, message: &[u8]) -> bool {
        let point = self.key.strip_prefix(&P256_INFO);
        point.is_some_and(|point| {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, &self.der).is_ok()
        })
    }

    /// The name of the key.
    #[must_use]
    pub fn key_hash(&self) -> KeyHash {
        KeyHash::of(&self.key)
    }

    /// Appends `length u8 · signature · length u8 · key`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for part in [&self.der, &self.key] {
            out.push(u8::try_from(part.len()).unwrap_or(0));
            out.extend_from_slice(part);
        }
    }

    /// The inverse of [`Signature::encode`], and what follows.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let part = |bytes: &mut &[u8]| {
            let (&len, rest) = bytes.split_first()?;
            let (part, rest) = rest.split_at_checked(usize::from(len))?;
            *bytes = rest;
            Some(part.to_vec())
        };
        let mut rest = bytes;
        let (der, key) = (part(&mut rest)?, part(&mut rest)?);
        (der.len() <= SIGNATURE_BYTES_MAX && key.len() <= KEY_BYTES).then_some((Self { der, key }, rest))
    }
}
