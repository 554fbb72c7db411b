//! What crosses the wire for identity: tokens, requests for certificates, their replies, trust bundles.
//!
//! In: bytes of a message or text of a token. Out: plain values, or an error; nothing here is trusted yet. All
//! messages are JSON, unknown fields are ignored, every size is bounded before anything is decoded.
//!
//! ```text
//! picket-enroll/1   agent ─▶ EnrollRequest ─▶ aggregator ─▶ Reply ─▶ agent       one request, one reply, both to the end
//!                                                                                of their direction of the stream
//! picket/1          agent ─▶ RenewRequest  ─▶ aggregator ─▶ Reply ─▶ agent       in message Renew, both ways
//!                                             aggregator ─▶ TrustBundle          in message TrustBundle
//! ```

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE32_NOPAD, BASE64};
use serde::{Deserialize, Serialize};

use crate::identity::AgentId;
use crate::time::Timestamp;
use crate::tls::{DER_BYTES_MAX, KeyHash, hexadecimal, sha256};

/// Largest message of this page, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Largest text of a token that is looked at, in bytes; one of ours has 98.
pub const TOKEN_BYTES_MAX: usize = 256;
/// Longest claimed hostname that is kept, in bytes (POSIX `HOST_NAME_MAX` is at most 255).
pub const HOSTNAME_BYTES_MAX: usize = 255;
/// What every token starts with.
const TOKEN_PREFIX: &str = "picket1.";
const TOKEN_RAW_BYTES: usize = 32 + 8 + 16;

/// Name of a token: says nothing about its secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TokenId(pub [u8; 8]);

hexadecimal!(TokenId, 16, "a token id");

/// Leave to enroll: `picket1.` and the base32 (RFC 4648 §6, without padding, printed in lower case, read in any) of
/// the authority's key hash (32 bytes), the id (8) and the secret (16).
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// SHA-256 of the key of the authority that the agent is going to trust.
    pub authority: KeyHash,
    /// Which token.
    pub id: TokenId,
    secret: [u8; 16],
}

/// Text that is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// Nothing at all.
    #[error("the token is empty: paste the one line that `picket-aggregator token create` printed")]
    Empty,
    /// Something else.
    #[error(
        "this is not a token: one starts with `picket1.`, paste the line that `picket-aggregator token create` printed"
    )]
    Prefix,
    /// The right start, and then not what belongs there.
    #[error("the token is damaged or cut off: copy the whole line that `picket-aggregator token create` printed")]
    Damaged,
}

impl Token {
    /// A token with this secret.
    #[must_use]
    pub fn new(authority: KeyHash, id: TokenId, secret: [u8; 16]) -> Self {
        Self { authority, id, secret }
    }

    /// What is stored instead of the secret. It has 128 random bits: a plain hash is enough.
    #[must_use]
    pub fn secret_sha256(&self) -> [u8; 32] {
        sha256(&self.secret)
    }

    /// The text that a person pastes. It is a secret.
    #[must_use]
    pub fn reveal(&self) -> String {
        let raw = [&self.authority.0[..], &self.id.0, &self.secret].concat();
        format!("{TOKEN_PREFIX}{}", BASE32_NOPAD.encode(&raw).to_ascii_lowercase())
    }
}

impl FromStr for Token {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        let text = text.trim();
        if text.is_empty() {
            return Err(BadToken::Empty);
        }
        let encoded = text.strip_prefix(TOKEN_PREFIX).ok_or(BadToken::Prefix)?;
        if text.len() > TOKEN_BYTES_MAX {
            return Err(BadToken::Damaged);
        }
        let raw = BASE32_NOPAD.decode(encoded.to_ascii_uppercase().as_bytes()).map_err(|_| BadToken::Damaged)?;
        let raw: [u8; TOKEN_RAW_BYTES] = raw.try_into().map_err(|_| BadToken::Damaged)?;
        let (authority, rest) = raw.split_first_chunk::<32>().ok_or(BadToken::Damaged)?;
        let (id, secret) = rest.split_first_chunk::<8>().ok_or(BadToken::Damaged)?;
        let secret = secret.try_into().map_err(|_| BadToken::Damaged)?;
        Ok(Self { authority: KeyHash(*authority), id: TokenId(*id), secret })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.id)
    }
}

/// DER on the wire: base64 text, at most [`DER_BYTES_MAX`] bytes of it decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct Der(pub Vec<u8>);

impl fmt::Debug for Der {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Der({} bytes)", self.0.len())
    }
}

impl Serialize for Der {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Der {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let der = BASE64.decode(String::deserialize(deserializer)?.as_bytes()).map_err(serde::de::Error::custom)?;
        if der.len() > DER_BYTES_MAX {
            return Err(serde::de::Error::custom("larger than a certificate may be"));
        }
        Ok(Self(der))
    }
}

/// An agent asks for its first certificate.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollRequest {
    /// The token's text.
    pub token: String,
    /// The certificate request (PKCS#10): only its key counts, and its signature.
    pub csr: Der,
    /// What the host calls itself. Claimed, for people who look at lists.
    #[serde(default)]
    pub hostname: String,
}

impl fmt::Debug for EnrollRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnrollRequest(hostname {:?})", self.hostname)
    }
}

/// An agent with a certificate asks for the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewRequest {
    /// The certificate request, with a new key.
    pub csr: Der,
}

/// What an agent gets for either request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// A certificate.
    Issued(Issued),
    /// None.
    Refused(Refused),
}

/// A certificate and whom to trust with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The agent's id, also in the certificate.
    pub agent: AgentId,
    /// The certificate.
    pub certificate: Der,
    /// The authorities that its aggregators have certificates of, one to four.
    pub authorities: Vec<Der>,
    /// The aggregator's time: it proves that it is not earlier.
    pub time: Timestamp,
}

/// No certificate, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What kind of refusal.
    pub code: RefusedCode,
    /// In words, for a person, with what to do.
    pub message: String,
}

/// What a program can do about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedCode {
    /// The aggregator has a problem of its own: try again.
    Unavailable,
    /// The token is not good; another one is needed.
    Token,
    /// The agent is revoked.
    Revoked,
    /// Anything else, among it what a later version says: asking again gives the same.
    #[serde(other)]
    Final,
}

/// The authorities in force and the aggregator's time, said in a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustBundle {
    /// Certificates of the authorities, one to four.
    pub authorities: Vec<Der>,
    /// The aggregator's time.
    pub time: Timestamp,
}

/// Bytes that are no message of this page.
#[derive(Debug, thiserror::Error)]
pub enum BadMessage {
    /// Over [`MESSAGE_BYTES_MAX`].
    #[error("the message has {0} bytes, more than {MESSAGE_BYTES_MAX}")]
    TooLarge(usize),
    /// Not the JSON that belongs there.
    #[error("the message cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

/// Reads one message of this page.
///
/// # Errors
/// [`BadMessage`].
pub fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, BadMessage> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(BadMessage::TooLarge(bytes.len()));
    }
    Ok(serde_json::from_slice(bytes)?)
}

/// Writes one message of this page.
///
/// # Errors
/// [`BadMessage::TooLarge`], which no message made by this program is.
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, BadMessage> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > MESSAGE_BYTES_MAX { Err(BadMessage::TooLarge(bytes.len())) } else { Ok(bytes) }
}

/// A claimed hostname as it is kept: at most [`HOSTNAME_BYTES_MAX`] bytes, what a terminal would obey or not show
/// replaced by `?`.
#[must_use]
pub fn claimed_hostname(claimed: &str) -> String {
    claimed.chars().take(HOSTNAME_BYTES_MAX).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token::new(KeyHash([0xa5; 32]), TokenId([1, 2, 3, 4, 5, 6, 7, 8]), [0x3c; 16])
    }

    #[test]
    fn token_survives_its_text_in_either_case_and_with_spaces_around() {
        let text = token().reveal();
        assert_eq!(text.len(), 98);
        assert_eq!(text.parse(), Ok(token()));
        assert_eq!(format!(" {text}\r\n").parse(), Ok(token()));
        let (prefix, rest) = text.split_at(8);
        assert_eq!(format!("{prefix}{}", rest.to_uppercase()).parse(), Ok(token()));
    }

    #[test]
    fn damaged_tokens_say_what_is_wrong_and_never_show_the_secret() {
        let text = token().reveal();
        for cut in 8..text.len() {
            assert_eq!(text[..cut].parse::<Token>(), Err(BadToken::Damaged), "{cut}");
        }
        assert_eq!(" \n".parse::<Token>(), Err(BadToken::Empty));
        assert_eq!("hunter2".parse::<Token>(), Err(BadToken::Prefix));
        assert_eq!(format!("{text}a").parse::<Token>(), Err(BadToken::Damaged));
        assert_eq!("picket1.é".parse::<Token>(), Err(BadToken::Damaged));
        assert_eq!(format!("{:?}", token()), "Token(0102030405060708)");
        let request = EnrollRequest { token: text.clone(), csr: Der(vec![]), hostname: "h".to_owned() };
        assert!(!format!("{request:?}").contains(&text));
    }

    #[test]
    fn messages_ignore_what_they_do_not_know_and_refuse_what_is_too_large() {
        let request: EnrollRequest = decode(br#"{"token":"t","csr":"AQI=","later":{"a":1}}"#).unwrap();
        assert_eq!((request.csr, request.hostname.as_str()), (Der(vec![1, 2]), ""));
        let refused: Reply = decode(br#"{"refused":{"code":"of_next_year","message":"no"}}"#).unwrap();
        assert_eq!(refused, Reply::Refused(Refused { code: RefusedCode::Final, message: "no".to_owned() }));
        assert!(matches!(decode::<Reply>(&vec![b' '; MESSAGE_BYTES_MAX + 1]), Err(BadMessage::TooLarge(_))));
        let large = format!(r#"{{"csr":"{}"}}"#, BASE64.encode(&vec![0; DER_BYTES_MAX + 1]));
        assert!(decode::<RenewRequest>(large.as_bytes()).is_err());
    }

    #[test]
    fn claimed_hostname_cannot_move_a_cursor() {
        assert_eq!(claimed_hostname("web-1\x1b[2J\n"), "web-1?[2J?");
        assert_eq!(claimed_hostname(&"é".repeat(999)).len(), HOSTNAME_BYTES_MAX);
    }
}
