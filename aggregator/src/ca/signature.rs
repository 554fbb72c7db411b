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
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use shared::tls::KeyHash;

use shared::signature::P256_INFO;
pub use shared::signature::{ENCODED_BYTES_MAX, Signature};

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
