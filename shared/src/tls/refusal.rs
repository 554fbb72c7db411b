//! Why a handshake was refused, in words: by us, or by the other end.
//!
//! Each end has one enum for what it finds wrong with the other. What crosses the wire is a TLS alert (RFC 8446
//! §6); over QUIC it is the close code `0x100 + alert` (RFC 9001 §4.8). [`Alert`] gives the words for it.

use std::fmt;

use rustls::CertificateError as Rustls;

use super::{DialName, KeyHash, unix_time};
use crate::identity::AgentId;
use crate::time::Timestamp;

/// What an aggregator finds wrong with whoever knocks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgentRefused {
    /// `picket/1` without a certificate.
    #[error("no certificate was shown: this host is not enrolled, run `picket-agent enroll` with a token there")]
    NoCertificate,
    /// Neither of our protocols.
    #[error("neither picket/1 nor picket-enroll/1 was asked for: this is not an agent, or one of another version")]
    Protocol,
    /// Signed by somebody else.
    #[error(
        "the agent's certificate was not issued by this aggregator's authority: it was enrolled elsewhere, enroll it \
         again with a token made here"
    )]
    Authority,
    /// Ours, but not an agent's.
    #[error("the certificate that was shown is not an agent's ({0}): enroll the host, do not copy certificates")]
    NotAnAgent(String),
    /// Ended before `now - renew_grace`.
    #[error(
        "the certificate of agent {agent} ended at {not_after}, more than {grace_days} days ago: it can no longer be \
         renewed, enroll the host again with a new token"
    )]
    Expired {
        /// Whose.
        agent: AgentId,
        /// Its end.
        not_after: Timestamp,
        /// The grace, in days.
        grace_days: u64,
    },
    /// Revoked.
    #[error("agent {agent} is revoked: if that was a mistake, enroll the host again with a new token")]
    Revoked {
        /// Which.
        agent: AgentId,
    },
}

impl AgentRefused {
    pub(super) fn into_rustls(self, now: Timestamp) -> rustls::Error {
        rustls::Error::InvalidCertificate(match self {
            Self::Authority => Rustls::UnknownIssuer,
            Self::Expired { not_after, .. } => {
                Rustls::ExpiredContext { time: unix_time(now), not_after: unix_time(not_after) }
            }
            Self::Revoked { .. } => Rustls::Revoked,
            Self::NoCertificate | Self::Protocol | Self::NotAnAgent(_) => Rustls::InvalidPurpose,
        })
    }
}

/// What an agent finds wrong with the aggregator that it dialed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AggregatorRefused {
    /// Signed by somebody else.
    #[error(
        "the aggregator's certificate was not issued by the authority that this agent was enrolled with: check the \
         address, or enroll again with a token of that aggregator"
    )]
    Authority,
    /// No authority with the key that the token names.
    #[error(
        "the aggregator's authority is not the one that the token names (key {expected}): the token is for another \
         aggregator, or somebody stands in between"
    )]
    TokenAuthority {
        /// The hash in the token.
        expected: KeyHash,
    },
    /// A certificate that is no aggregator's.
    #[error("the certificate at that address is not an aggregator's ({0}): check the address")]
    NotAnAggregator(String),
    /// Another name than the one dialed.
    #[error(
        "the aggregator's certificate is for {presented}, not for {dialed}: dial one of these names, or make the \
         certificate with `--name {dialed}`"
    )]
    Name {
        /// What was dialed.
        dialed: String,
        /// Every name in the certificate.
        presented: String,
    },
    /// Ended before the latest proven moment.
    #[error(
        "the aggregator's certificate ended at {not_after}, and it is proven to be later than {proven}: the aggregator \
         has to renew it (see its log); if an aggregator's clock was wrong, remove `identity/proven` in this agent's \
         state folder"
    )]
    Expired {
        /// Its end.
        not_after: Timestamp,
        /// The latest proven moment.
        proven: Timestamp,
    },
}

impl AggregatorRefused {
    pub(super) fn name(dialed: &DialName, presented: &[DialName]) -> Self {
        let presented: Vec<_> = presented.iter().map(ToString::to_string).collect();
        let presented = if presented.is_empty() { "no name".to_owned() } else { presented.join(", ") };
        Self::Name { dialed: dialed.to_string(), presented }
    }

    pub(super) fn to_rustls(&self) -> rustls::Error {
        rustls::Error::InvalidCertificate(match self {
            Self::Authority | Self::TokenAuthority { .. } => Rustls::UnknownIssuer,
            Self::NotAnAggregator(_) => Rustls::InvalidPurpose,
            Self::Name { .. } => Rustls::NotValidForName,
            Self::Expired { not_after, proven } => {
                Rustls::ExpiredContext { time: unix_time(*proven), not_after: unix_time(*not_after) }
            }
        })
    }
}

/// Who reads an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The agent; the alert came from an aggregator.
    Agent,
    /// The aggregator; the alert came from an agent.
    Aggregator,
}

/// A TLS alert by which the other end closed the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Who reads it.
    pub reader: Side,
    /// Its number (RFC 8446 §6.2).
    pub code: u8,
}

impl Alert {
    /// From the close code of a QUIC connection, when that is an alert.
    #[must_use]
    pub fn from_quic(reader: Side, close_code: u64) -> Option<Self> {
        let code = close_code.checked_sub(0x100).and_then(|code| u8::try_from(code).ok())?;
        Some(Self { reader, code })
    }

    /// From an error of a TLS stream, when that is an alert of the other end.
    #[must_use]
    pub fn from_rustls(reader: Side, error: &rustls::Error) -> Option<Self> {
        match error {
            rustls::Error::AlertReceived(alert) => Some(Self { reader, code: u8::from(*alert) }),
            _ => None,
        }
    }

    fn words(self) -> Option<&'static str> {
        let of_agent = self.reader == Side::Agent;
        Some(match self.code {
            42 if of_agent => "the aggregator cannot read this agent's certificate: enroll again with a new token",
            42 => "the agent dialed a name that is not in this aggregator's certificate",
            43 if of_agent => {
                "the aggregator says that this agent's certificate is not an agent's: enroll again with a new token"
            }
            43 => "the agent says that this aggregator's certificate is not an aggregator's",
            44 if of_agent => {
                "the aggregator has revoked this agent: if that was a mistake, enroll again with a new token"
            }
            45 if of_agent => {
                "this agent's certificate ended longer ago than the aggregator's renew_grace: enroll again with a new \
                 token"
            }
            45 => "the agent says that this aggregator's certificate has ended",
            48 if of_agent => {
                "this agent was enrolled with another authority than this aggregator's: check the address, or enroll \
                 again with a token made there"
            }
            48 => "the agent was enrolled with another authority, or its token is for another one",
            51 => "the other end has a private key that is not the one in the certificate",
            70 => "no common version of TLS: 1.3 is needed",
            116 => "the aggregator wants a certificate: enroll this host with a token",
            120 => "the other end speaks none of our protocols: another service, or another version of picket",
            _ => return None,
        })
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words() {
            Some(words) => f.write_str(words),
            None => write!(f, "the other end ended the handshake with tls alert {}", self.code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_found_in_quic_close_codes() {
        let alert = Alert::from_quic(Side::Agent, 0x12c).unwrap();
        assert_eq!(alert.code, 44);
        assert!(alert.to_string().contains("revoked"));
        assert_eq!(Alert::from_quic(Side::Agent, 0x0a), None);
        assert_eq!(Alert::from_quic(Side::Agent, 0x200), None);
        assert_eq!(
            Alert { reader: Side::Agent, code: 80 }.to_string(),
            "the other end ended the handshake with tls alert 80"
        );
    }
}
