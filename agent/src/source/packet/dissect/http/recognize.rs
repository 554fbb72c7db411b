//! Whether bytes begin with a message of HTTP, and whose it is.

use super::super::{Carrier, First, Recognized, Side};

/// Bytes of a method.
const METHOD_BYTES_MAX: usize = 20;

/// Methods that a request may begin with (IANA, "HTTP Method Registry", and what proxies and tools use).
const METHODS: &[&str] = &[
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "CONNECT",
    "OPTIONS",
    "TRACE",
    "PATCH",
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "NOTIFY",
    "ORDERPATCH",
    "PRI",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SUBSCRIBE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
    "M-SEARCH",
    "RPC_IN_DATA",
    "RPC_OUT_DATA",
    "CCM_POST",
    "BITS_POST",
];

/// Whether a side's first bytes are a request or a response.
pub(super) fn recognize(first: &First<'_>) -> Recognized {
    if first.carrier != Carrier::Stream {
        return Recognized::No;
    }
    let bytes = first.bytes;
    if bytes.starts_with(b"HTTP/1.") {
        return Recognized::Yes;
    }
    if b"HTTP/1.".starts_with(bytes) {
        return Recognized::Perhaps;
    }
    match method(bytes) {
        Some(method) => {
            let known = METHODS.iter().any(|known| known.as_bytes() == method);
            // SIP and RTSP begin the same way, and say so at the end of the line.
            let line = bytes.get(..memchr::memchr(b'\n', bytes).unwrap_or(bytes.len())).unwrap_or(bytes);
            let other = [&b"SIP/2.0"[..], b"RTSP/1.0"].iter().any(|other| memchr::memmem::find(line, other).is_some());
            // HTTP/2 in plain text begins with this request, and is another protocol.
            if known && !other && method != b"PRI" { Recognized::Yes } else { Recognized::No }
        }
        None if METHODS.iter().any(|known| known.as_bytes().starts_with(bytes)) => Recognized::Perhaps,
        None => Recognized::No,
    }
}

/// The first word, where it may be a method.
fn method(bytes: &[u8]) -> Option<&[u8]> {
    let head = bytes.get(..METHOD_BYTES_MAX).unwrap_or(bytes);
    head.get(..memchr::memchr(b' ', head)?)
}

/// Whether the side that is taken for the server asks, or the one that is taken for the client answers: behind a proxy that
/// is connected from behind, or where the begin of the connection was not seen.
#[must_use]
pub fn is_turned(first: &First<'_>) -> bool {
    (first.side == Side::Server) != first.bytes.starts_with(b"HTTP/1.")
}

/// Whether a message begins here: for finding the next one behind a hole.
pub(super) fn begins_message(side: Side, bytes: &[u8]) -> bool {
    match side {
        Side::Client => method(bytes).is_some_and(|method| METHODS.iter().any(|known| known.as_bytes() == method)),
        Side::Server => bytes.starts_with(b"HTTP/1."),
    }
}
