//! Frames that stand in Initial packets (RFC 9000, 12.4 and 19).

use super::super::tls::reader::Reader;

/// What a frame says to a dissector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frame<'a> {
    /// Handshake bytes, from an offset on.
    Crypto(u64, &'a [u8]),
    /// The connection is over: an error code of the transport.
    Close(u64),
}

/// Walks a packet's frames; whether all of them may stand there and are whole. A packet cannot hold more frames than
/// bytes, and each is looked at once.
pub fn each<'a>(frames: &'a [u8], each: &mut dyn FnMut(Frame<'a>)) -> bool {
    let mut reader = Reader::new(frames);
    while !reader.is_empty() {
        if frame(&mut reader, each).is_none() {
            return false;
        }
    }
    true
}

fn frame<'a>(reader: &mut Reader<'a>, each: &mut dyn FnMut(Frame<'a>)) -> Option<()> {
    match reader.varint()? {
        // PADDING and PING.
        0 | 1 => {}
        // ACK, and ACK with ECN counts.
        kind @ (2 | 3) => {
            reader.varint()?;
            reader.varint()?;
            let ranges = reader.varint()?;
            reader.varint()?;
            let counts = if kind == 3 { 3 } else { 0 };
            for _ in 0..ranges.checked_mul(2)?.checked_add(counts)? {
                reader.varint()?;
            }
        }
        6 => {
            let offset = reader.varint()?;
            let len = usize::try_from(reader.varint()?).ok()?;
            each(Frame::Crypto(offset, reader.take(len)?));
        }
        0x1c => {
            let code = reader.varint()?;
            reader.varint()?;
            let len = usize::try_from(reader.varint()?).ok()?;
            each(Frame::Close(code));
            reader.take(len)?;
        }
        _ => return None,
    }
    Some(())
}
