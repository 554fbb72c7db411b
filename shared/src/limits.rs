//! Every bound of the system, and how the bounds hang together (asserted at compile time).

/// Largest uncompressed body of a frame, bytes. Checked before anything is allocated for it.
pub const FRAME_RAW_BYTES_MAX: usize = 1 << 20;

/// A batch is sealed when its raw bytes reach this. Larger frames compress hardly better (zstd's level 1
/// window is 512 KiB) and cost memory on every host.
pub const FRAME_RAW_BYTES_SEAL: usize = 256 << 10;

/// Most records in one frame: keeps record columns within `u32` and a hostile header from claiming more.
pub const FRAME_RECORDS_MAX: u32 = 1 << 20;

/// Largest line that a source may keep whole (`max_line_bytes`), bytes.
pub const LINE_BYTES_MAX: usize = 512 << 10;

/// Default of `max_line_bytes`.
pub const LINE_BYTES_DEFAULT: usize = 256 << 10;

/// Largest hand-over from a source: a read buffer and one line carried over from the one before.
pub const CHUNK_BYTES_MAX: usize = 768 << 10;

/// Origins (source and file) named in one frame's context.
pub const FRAME_ORIGINS_MAX: usize = 256;

/// Columns of one frame's body: known ones and those of a later version.
pub const FRAME_COLUMNS_MAX: usize = 64;

/// Levels of lists and maps in a typed record.
pub const VALUE_DEPTH_MAX: usize = 16;

/// Largest payload of a log record: a segment's state with a full checkpoint table stays below it.
pub const LOG_RECORD_BYTES_MAX: usize = (16 << 20) - 1;

/// Checkpoints kept per spool; the longest-gone file is dropped first.
pub const CHECKPOINTS_MAX: usize = 10_000;

/// Reasons of holes kept per lane; a hole without one reads as `damage`.
pub const HOLES_MAX: usize = 64;

/// Loss records remembered per lane until they are acked; one more makes the oldest count as heard.
pub const TOLD_MAX: usize = 64;

/// Aggregators remembered per lane in marks, to tell `elsewhere` from `unknown`.
pub const DELIVERIES_MAX: usize = 8;

/// Left free at the end of a segment, so that a full disk can always take the marks that trim it.
pub const SEGMENT_RESERVE_BYTES: u64 = 64 << 10;

/// Smallest `spool.max_bytes`.
pub const SPOOL_BYTES_MIN: u64 = 32 << 20;

/// Bytes of frames that an agent may have unacked before it asks for credit.
pub const CREDIT_BASE_BYTES: u64 = 32 << 10;

/// Largest frame on the wire, bytes: a header of any version (its length is one byte) and the largest body.
pub const FRAME_BYTES_MAX: u64 = (FRAME_RAW_BYTES_MAX + 255) as u64;

/// Smallest global credit budget of an aggregator, bytes.
pub const CREDIT_BUDGET_BYTES_MIN: u64 = 4 * FRAME_BYTES_MAX;

/// Chains (epochs of all lanes) that an agent names in one Hello: with their deliveries they fit a message.
pub const CHAINS_MAX: usize = 192;

/// Largest message on the control stream, body only.
pub const MESSAGE_BYTES_MAX: usize = 256 << 10;

// A chunk always fits an empty frame, with room for its columns (≤ 1/4 on top of the text for lines of
// 8 bytes and more; shorter lines are counted by `Batch::raw_len`).
const _: () = assert!(CHUNK_BYTES_MAX <= FRAME_RAW_BYTES_MAX - FRAME_RAW_BYTES_MAX / 4);
const _: () = assert!(LINE_BYTES_DEFAULT <= LINE_BYTES_MAX && LINE_BYTES_MAX < CHUNK_BYTES_MAX);
const _: () = assert!(FRAME_RAW_BYTES_SEAL <= FRAME_RAW_BYTES_MAX);
const _: () = assert!(FRAME_RAW_BYTES_MAX < LOG_RECORD_BYTES_MAX);
// A summary is below 500 bytes of JSON, a delivery below 100.
const _: () = assert!(CHAINS_MAX * (500 + DELIVERIES_MAX * 100) < MESSAGE_BYTES_MAX);
