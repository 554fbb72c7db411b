//! A slow link: a relay of UDP packets that lets so many bytes a second through from the agent, and drops what its queue
//! does not hold, as the last mile of a branch office does.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent::config::Endpoint;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Bytes that wait in the relay; more is dropped.
const QUEUE_BYTES: usize = 64 << 10;
/// Largest UDP payload.
const PACKET_BYTES: usize = 65_535;

/// A relay between one agent and an aggregator.
pub struct SlowLink {
    address: SocketAddr,
    tasks: JoinSet<()>,
}

impl SlowLink {
    /// Relays to `aggregator`; `bytes_per_second` upwards, at once downwards.
    pub async fn to(aggregator: SocketAddr, bytes_per_second: u32) -> Self {
        let inner = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let outer = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = outer.local_addr().unwrap();
        inner.connect(aggregator).await.unwrap();
        let mut tasks = JoinSet::new();
        let (say_agent, agent) = tokio::sync::watch::channel(None);
        let (up, down) = (Arc::clone(&inner), Arc::clone(&outer));
        tasks.spawn(async move {
            let mut packet = vec![0; PACKET_BYTES];
            while let Ok(length) = inner.recv(&mut packet).await {
                let to: Option<SocketAddr> = *agent.borrow();
                if let Some(to) = to {
                    let _ = down.send_to(&packet[..length], to).await;
                }
            }
        });
        tasks.spawn(async move {
            let mut packet = vec![0; PACKET_BYTES];
            let (mut queue, mut queued, mut free_at) = (VecDeque::<Vec<u8>>::new(), 0, Instant::now());
            loop {
                tokio::select! {
                    received = outer.recv_from(&mut packet) => {
                        let Ok((length, from)) = received else { continue };
                        say_agent.send_replace(Some(from));
                        if queued + length <= QUEUE_BYTES {
                            queued += length;
                            free_at = if queue.is_empty() { free_at.max(Instant::now()) } else { free_at };
                            queue.push_back(packet[..length].to_vec());
                        }
                    }
                    () = tokio::time::sleep_until(free_at), if !queue.is_empty() => {
                        let packet = queue.pop_front().unwrap();
                        queued -= packet.len();
                        free_at += Duration::from_secs(1) * u32::try_from(packet.len()).unwrap() / bytes_per_second;
                        let _ = up.send(&packet).await;
                    }
                }
            }
        });
        Self { address, tasks }
    }

    /// Where the agent finds it.
    pub fn endpoint(&self) -> Endpoint {
        self.address.to_string().parse().unwrap()
    }

    /// The link is gone.
    pub async fn cut(mut self) {
        self.tasks.shutdown().await;
    }
}
