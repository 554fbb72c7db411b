//! Enrollment's handler: the bytes of one request in, the bytes of one reply out. It holds the authority and
//! nothing else, so that nobody who has only a token, or not even that, comes near the journal.

use std::net::SocketAddr;
use std::sync::Arc;

use shared::enroll::{EnrollRequest, Refused, RefusedCode, Reply, decode, encode};
use shared::time::Timestamp;

use crate::ca::enrollment::Enrollment;

/// Answers `picket-enroll/1`.
#[derive(Clone)]
pub(super) struct EnrollHandler(Arc<Enrollment>);

impl EnrollHandler {
    pub(super) fn new(enrollment: &Arc<Enrollment>) -> Self {
        Self(Arc::clone(enrollment))
    }

    /// Answers one request. It syncs files: not for a task of the runtime.
    pub(super) fn answer(&self, peer: SocketAddr, request: &[u8], now: Timestamp) -> Vec<u8> {
        let reply = match decode::<EnrollRequest>(request) {
            Ok(request) => {
                let (reply, error) = self.0.enroll(&request, now);
                match (&reply, error) {
                    (Reply::Issued(issued), _) => tracing::info!(%peer, agent = %issued.agent, "enrolled"),
                    (_, Some(error)) => tracing::warn!(%peer, %error, "enrollment refused"),
                    (_, None) => tracing::warn!(%peer, "enrollment refused"),
                }
                reply
            }
            Err(error) => {
                tracing::warn!(%peer, %error, "enrollment refused");
                Reply::Refused(Refused { code: RefusedCode::Final, message: error.to_string() })
            }
        };
        encode(&reply).unwrap_or_default()
    }
}
