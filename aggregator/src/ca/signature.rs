//! What the authority vouches for beside certificates: signatures that can be checked years later.
//!
//! In: bytes. Out: an ECDSA P-256 signature over their SHA-256, in ASN.1 as OpenSSL has it, with the public key that
//! checks it (`openssl dgst -sha256 -verify`). The key is the authority's and not the server's: the server's is
//! made anew with every certificate, each year, and what it signed could then be checked only with a certificate that
//! nobody keeps. The authority's lives for ten years, every agent and every auditor knows it by its hash, and it is
//! what a copy of the state folder must not lack in any case.
//!
//! A message begins with what it is for: a statement of one kind never passes for one of another, nor for a
//! certificate, which begins with an ASN.1 sequence.

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use shared::tls::KeyHash;

/// `SubjectPublicKeyInfo` of a P-256 key up to its point (RFC 5480 §2).
const P256_INFO: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// Longest signature: two integers of 33 bytes in a sequence.
const SIGNATURE_BYTES_MAX: usize = 72;
/// A key in its `SubjectPublicKeyInfo` form.
const KEY_BYTES: usize = 91;
/// Bytes of an encoded signature with its key, at most.
pub const ENCODED_BYTES_MAX: usize = 1 + SIGNATURE_BYTES_MAX + 1 + KEY_BYTES;

/// The key cannot be put to use, or the system gives no random bytes to sign with.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("cannot sign: {0}")]
pub struct SignError(&'static str);

/// A key that signs.
pub struct Signer {
    pair: EcdsaKeyPair,
    key: Vec<u8>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.key_hash())
    }
}

impl Signer {
    /// A signer with this private key (PKCS#8, ECDSA P-256).
    ///
    /// # Errors
    /// [`SignError`]: it is another kind of key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, SignError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &SystemRandom::new())
            .map_err(|_| SignError("the key is no ECDSA P-256 key"))?;
        let key = [&P256_INFO[..], pair.public_key().as_ref()].concat();
        Ok(Self { pair, key })
    }

    /// The name of its key.
    #[must_use]
    pub fn key_hash(&self) -> KeyHash {
        KeyHash::of(&self.key)
    }

    /// Signs.
    ///
    /// # Errors
    /// [`SignError`]: no random bytes.
    pub fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        let signed = self.pair.sign(&SystemRandom::new(), message).map_err(|_| SignError("no random bytes"))?;
        Ok(Signature { der: signed.as_ref().to_vec(), key: self.key.clone() })
    }

    /// A new key that nobody else has.
    #[cfg(test)]
    pub(crate) fn generate() -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).unwrap();
        Self::from_pkcs8(pkcs8.as_ref()).unwrap()
    }

    /// One key for all tests of a program.
    #[cfg(test)]
    pub(crate) fn of_tests() -> std::sync::Arc<Self> {
        static KEY: std::sync::LazyLock<std::sync::Arc<Signer>> =
            std::sync::LazyLock::new(|| std::sync::Arc::new(Signer::generate()));
        std::sync::Arc::clone(&KEY)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_holds_for_its_message_and_its_key_only() {
        let (signer, other) = (Signer::generate(), Signer::generate());
        let signature = signer.sign(b"what was said").unwrap();
        assert!(signature.holds(b"what was said") && !signature.holds(b"what was not"));
        assert_eq!(signature.key_hash(), signer.key_hash());
        let stranger = Signature { key: other.key.clone(), ..signature.clone() };
        assert!(!stranger.holds(b"what was said"));
        for key in [&[][..], b"no key", &signer.key[..90]] {
            assert!(!Signature { key: key.to_vec(), ..signature.clone() }.holds(b"what was said"));
        }
    }

    #[test]
    fn signature_survives_its_bytes_and_any_bytes_are_survived() {
        let signature = Signer::generate().sign(b"x").unwrap();
        let mut bytes = Vec::new();
        signature.encode(&mut bytes);
        assert!(bytes.len() <= ENCODED_BYTES_MAX);
        bytes.extend_from_slice(b"rest");
        assert_eq!(Signature::decode(&bytes), Some((signature, &b"rest"[..])));
        for len in 0..bytes.len() - 4 {
            assert_eq!(Signature::decode(&bytes[..len]), None);
        }
        assert_eq!(Signature::decode(&[255; 600]), None);
    }

    #[test]
    fn key_that_is_none_is_refused() {
        assert!(Signer::from_pkcs8(b"not a key").is_err());
    }
}
