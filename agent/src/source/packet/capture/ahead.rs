//! First packets of this host's flows, as they are sent, for [`super::super::process::Early`]: on a thread of its own that
//! lives as long as a capture.
//!
//! It reads a capture that wakes it for each packet, and that lets through only what begins a flow ([`FIRST`]): SYNs,
//! questions to name and time servers, Initials of QUIC. When the asker has no credit left it does not read: its small
//! ring overflows, which wakes nobody, and those flows are asked for when the large ring hands them over.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use shared::time::Clock;

use super::super::decode::{Decoder, ReassemblyLimits};
use super::super::flow::key::Path;
use super::super::process::{Asker, Early};
use super::{ADDRESSES_INTERVAL, Capture, CaptureError, Interface, PacketConfig, READ_PATIENCE, addresses};

/// What begins a flow, in pcap-filter(7)'s language. `tcp[…]` and `udp[…]` are of IPv4 only there.
pub const FIRST: &str = "(tcp[13] & 0x12 = 2) or (ip6[6] = 6 and ip6[53] & 0x12 = 2) \
     or (udp dst port 53 or udp dst port 5353 or udp dst port 5355 or udp dst port 123) \
     or (udp dst port 443 and ((ip and udp[8] & 0xc0 = 0xc0) or (ip6[6] = 17 and ip6[48] & 0xc0 = 0xc0)))";
/// How long it does not read when it spent what it may.
const PAUSE: Duration = Duration::from_millis(200);

/// The thread, as long as this lives.
pub(super) struct Ahead {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Starts it, and waits a moment until it reads.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn start(
        interface: Arc<dyn Interface>,
        config: PacketConfig,
        early: Arc<Early>,
        clock: Clock,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (reading, reads) = sync_channel(1);
        let work = move || {
            if let Err(error) = read(interface.as_ref(), &config, Asker::new(early), &clock, &stopped, &reading) {
                tracing::debug!(%error, interface = config.interface, "first packets are not captured");
            }
        };
        let thread = Builder::new().name("first-packets".to_owned()).spawn(work)?;
        // It may have ended instead, or take longer: what it sees is of use then, too.
        let _ = reads.recv_timeout(READ_PATIENCE);
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It ends within the patience of a read.
            let _ = thread.join();
        }
    }
}

/// Reads until it is asked to stop; opened anew when the host's addresses are others.
fn read(
    interface: &dyn Interface,
    config: &PacketConfig,
    mut asker: Asker,
    clock: &Clock,
    stop: &AtomicBool,
    reading: &SyncSender<()>,
) -> Result<(), CaptureError> {
    if !asker.is_able() {
        return Ok(());
    }
    asker.begin();
    while !stop.load(Ordering::Relaxed) {
        let local = addresses::local().unwrap_or_default();
        let Some(mut capture) = interface.open_first(config, &local)? else { return Ok(()) };
        // Only the first time somebody waits for it.
        let _ = reading.try_send(());
        let mut addresses_at = clock.instant() + ADDRESSES_INTERVAL;
        while !stop.load(Ordering::Relaxed) {
            turn(capture.as_mut(), &mut asker, clock)?;
            if clock.instant() >= addresses_at {
                addresses_at = clock.instant() + ADDRESSES_INTERVAL;
                if addresses::local().is_ok_and(|now| now != local) {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Asks for the flows of those packets that are there.
fn turn(capture: &mut dyn Capture, asker: &mut Asker, clock: &Clock) -> Result<(), CaptureError> {
    let link = capture.link();
    let mut decoder = Decoder::new(ReassemblyLimits::default());
    capture.read(READ_PATIENCE, &mut |frame| {
        let begun = clock.instant();
        if asker.account(Duration::ZERO, begun).is_zero() {
            return;
        }
        decoder.packet(link, frame.at, frame.captured, frame.wire_len, &mut |packet| {
            if let Some(ip) = &packet.ip {
                asker.first(&Path::of(ip, &packet.transport), clock.now());
            }
        });
        let ended = clock.instant();
        asker.account(ended.saturating_duration_since(begun), ended);
    })?;
    if asker.account(Duration::ZERO, clock.instant()).is_zero() {
        std::thread::park_timeout(PAUSE);
    }
    Ok(())
}
