//! A web server of the test's own on loopback: it keeps what is posted to it, and refuses what it is told to refuse.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// Why a lock of this file is never poisoned.
const UNBROKEN: &str = "nothing panics while it is held";

#[derive(Default)]
struct Kept {
    events: Mutex<Vec<Value>>,
    bytes: Mutex<Vec<u8>>,
    refuses: Mutex<Option<String>>,
    away: AtomicBool,
    ends: AtomicBool,
}

/// It goes with its value.
pub struct Server {
    address: SocketAddr,
    kept: Arc<Kept>,
}

impl Server {
    /// Takes everything that is posted to `/events`.
    pub fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let server = Self { address: listener.local_addr()?, kept: Arc::default() };
        let kept = Arc::clone(&server.kept);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if kept.ends.load(Ordering::SeqCst) {
                    return;
                }
                // A client that was killed in the middle of a request sends no whole one.
                let _ = answer(&stream, &kept);
            }
        });
        Ok(server)
    }

    pub fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// From now on a batch is refused with 400 if it holds this text.
    pub fn refuse(&self, text: Option<&str>) {
        *self.kept.refuses.lock().expect(UNBROKEN) = text.map(str::to_owned);
    }

    /// Whether it answers 503 to everything.
    pub fn away(&self, away: bool) {
        self.kept.away.store(away, Ordering::SeqCst);
    }

    /// The events that it took.
    pub fn events(&self) -> Vec<Value> {
        self.kept.events.lock().expect(UNBROKEN).clone()
    }

    /// Every byte that was posted, taken or refused.
    pub fn bytes(&self) -> Vec<u8> {
        self.kept.bytes.lock().expect(UNBROKEN).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kept.ends.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// One request on a connection: its body is kept, and answered.
fn answer(mut stream: &TcpStream, kept: &Kept) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    kept.bytes.lock().expect(UNBROKEN).extend_from_slice(&body);
    let text = String::from_utf8_lossy(&body);
    let refused = kept.refuses.lock().expect(UNBROKEN).as_ref().is_some_and(|bad| text.contains(bad.as_str()));
    let (status, said) = match (kept.away.load(Ordering::SeqCst), refused) {
        (true, _) => ("503 Service Unavailable", "later"),
        (false, true) => ("400 Bad Request", "no such field"),
        (false, false) => ("200 OK", "taken"),
    };
    if said == "taken" {
        let events = text.lines().map(|line| serde_json::from_str(line).expect("each line is an event"));
        kept.events.lock().expect(UNBROKEN).extend(events);
    }
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{said}", said.len())
}
