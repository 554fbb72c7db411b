//! Network namespaces of a test's own, joined by pairs of virtual interfaces: what is captured there is the test's.
//!
//! Needs `ip` (iproute2) and the right to make namespaces: root, or `CAP_SYS_ADMIN` and `CAP_NET_ADMIN`.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::panic::resume_unwind;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::skip;

/// A namespace with nothing but its loopback, which is up. It goes with its value.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

/// Runs `ip` to its end.
fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments).output().context("start ip")?;
    if output.status.success() {
        return Ok(());
    }
    bail!("`ip {}`: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim())
}

impl Namespace {
    /// A new one; `None`, and a word about it, where that is not permitted.
    #[must_use]
    pub fn make() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("picket-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        if let Err(error) = ip(&["netns", "add", &name]) {
            skip(&format!("no network namespace: {error:#}"));
            return None;
        }
        let made = Self { name };
        match made.ip(&["link", "set", "lo", "up"]) {
            Ok(()) => Some(made),
            Err(error) => {
                skip(&format!("no loopback in a network namespace: {error:#}"));
                None
            }
        }
    }

    /// Runs `ip` in it.
    ///
    /// # Errors
    /// It ends with anything but 0; its words are in the message.
    pub fn ip(&self, arguments: &[&str]) -> anyhow::Result<()> {
        ip(&[&["-n", &self.name], arguments].concat())
    }

    /// Joins it to another by a pair of interfaces: here `interface` with `address` (in a /24 or /64), there `peer` with
    /// `peer_address`. Both are up.
    ///
    /// # Errors
    /// `ip` refuses.
    pub fn join(
        &self,
        (interface, address): (&str, IpAddr),
        other: &Self,
        (peer, peer_address): (&str, IpAddr),
    ) -> anyhow::Result<()> {
        self.ip(&["link", "add", interface, "type", "veth", "peer", "name", peer, "netns", &other.name])?;
        for (namespace, interface, address) in [(self, interface, address), (other, peer, peer_address)] {
            let length = if address.is_ipv4() { 24 } else { 64 };
            namespace.ip(&["address", "add", &format!("{address}/{length}"), "dev", interface])?;
            namespace.ip(&["link", "set", interface, "up"])?;
        }
        Ok(())
    }

    /// Does `work` in it, on a thread of its own; sockets and processes that it makes stay in it.
    ///
    /// # Panics
    /// The namespace cannot be entered, or `work` panics.
    #[track_caller]
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.name);
        let enter = || {
            let file = File::open(&path)?;
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).map_err(std::io::Error::from)
        };
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                enter().expect("a namespace that was made can be entered");
                work()
            });
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = ip(&["netns", "delete", &self.name]) {
            println!("{error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn what_is_sent_in_one_namespace_comes_out_in_the_one_it_is_joined_to() {
        let Some((here, there)) = Namespace::make().zip(Namespace::make()) else { return };
        let at = |last: u8| IpAddr::from([10, 77, 0, last]);
        here.join(("pk0", at(1)), &there, ("pk1", at(2))).unwrap();
        let listening = there.run(|| UdpSocket::bind((at(2), 0)).unwrap());
        let to = listening.local_addr().unwrap();
        here.run(|| UdpSocket::bind((at(1), 0)).unwrap().send_to(b"hello", to).unwrap());
        let mut bytes = [0; 16];
        let (read, from) = listening.recv_from(&mut bytes).unwrap();
        assert_eq!((&bytes[..read], from.ip()), (&b"hello"[..], at(1)));
    }
}
