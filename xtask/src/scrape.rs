//! What a program says of itself: a GET over HTTP/1.0, and the Prometheus text that comes back.
//!
//! In: an address on loopback, or text. Out: [`Metrics`]. A line that is not a sample is no error: it is left out,
//! since the text belongs to the program that wrote it.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a program may take to connect, to read and to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// No page of ours is larger.
const PAGE_BYTES_MAX: u64 = 16 << 20;

/// Status code and body of `GET path`.
///
/// # Errors
/// The connection's, or `InvalidData` when what answers does not speak HTTP.
pub fn http_get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(PAGE_BYTES_MAX).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| not_http(address))?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| not_http(address))?;
    Ok((status, body.to_owned()))
}

fn not_http(address: SocketAddr) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{address} does not answer in HTTP"))
}

/// One sample of a metric.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// Labels in the order in which they were written.
    pub labels: Vec<(String, String)>,
    /// The value; counters are whole numbers.
    pub value: f64,
}

impl Sample {
    /// The value of a label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }

    fn carries(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(name, value)| self.label(name) == Some(value))
    }
}

/// A page of samples, by metric name.
#[derive(Clone, Default, Debug)]
pub struct Metrics {
    samples: BTreeMap<String, Vec<Sample>>,
}

impl Metrics {
    /// Reads Prometheus text, version 0.0.4.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut metrics = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some((name, sample)) = sample(line) {
                metrics.samples.entry(name.to_owned()).or_default().push(sample);
            }
        }
        metrics
    }

    /// These samples and those of `other`: one page of both programs.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (name, mut samples) in other.samples {
            self.samples.entry(name).or_default().append(&mut samples);
        }
        self
    }

    /// Every sample of a metric; empty where there is none.
    #[must_use]
    pub fn of(&self, name: &str) -> &[Sample] {
        self.samples.get(name).map_or(&[], Vec::as_slice)
    }

    /// The sum over the samples that carry all of `labels`; 0 where there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.of(name).iter().filter(|sample| sample.carries(labels)).map(|sample| sample.value).sum()
    }

    /// [`sum`](Self::sum) of a counter as a whole number.
    #[must_use]
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let sum = self.sum(name, labels).round();
        // Rust's float casts saturate; counters of a run on loopback stay far below 2^53.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates by definition of the language"
        )]
        let count = sum as u64;
        count
    }

    /// Whether the metric is there at all.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.samples.contains_key(name)
    }

    /// The `q` quantile (0 to 1) of a histogram's `_bucket` samples summed over all labels, linear within a bucket as
    /// `PromQL` does it. `None` where nothing was observed.
    #[must_use]
    pub fn quantile(&self, histogram: &str, q: f64) -> Option<f64> {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for sample in self.of(&format!("{histogram}_bucket")) {
            let upto: f64 = match sample.label("le")? {
                "+Inf" => f64::INFINITY,
                le => le.parse().ok()?,
            };
            match buckets.iter_mut().find(|(le, _)| *le == upto) {
                Some((_, count)) => *count += sample.value,
                None => buckets.push((upto, sample.value)),
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let rank = q * buckets.last().map(|(_, total)| *total).filter(|total| *total > 0.0)?;
        let (mut low, mut below) = (0.0, 0.0);
        for (upto, count) in buckets {
            if count >= rank {
                let share = if count > below { (rank - below) / (count - below) } else { 1.0 };
                return Some(if upto.is_finite() { low + (upto - low) * share } else { low });
            }
            (low, below) = (upto, count);
        }
        None
    }
}

fn sample(line: &str) -> Option<(&str, Sample)> {
    let (name, labels, rest) = match line.find('{') {
        Some(open) => {
            let (name, tail) = line.split_at(open);
            let (labels, rest) = labels(tail.strip_prefix('{')?)?;
            (name, labels, rest)
        }
        None => {
            let (name, rest) = line.split_once(' ')?;
            (name, Vec::new(), rest)
        }
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some((name.trim_end(), Sample { labels, value }))
}

/// `a="b",c="d"} rest` → labels and rest.
fn labels(mut text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        text = text.trim_start_matches([',', ' ']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, tail) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = tail.char_indices();
        text = loop {
            match chars.next()? {
                (at, '"') => break tail.get(at + 1..)?,
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.push((name.trim().to_owned(), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP picket_x_total What.\n# TYPE picket_x_total counter\n\
        picket_x_total{lane=\"high\",reason=\"a \\\"b\\\" \\\\ {c}\"} 3\npicket_x_total{lane=\"bulk\"} 4 1700000000000\n\
        picket_plain 1.5e3\nnot a sample\n\
        picket_l_bucket{le=\"0.01\"} 50\npicket_l_bucket{le=\"0.1\"} 90\npicket_l_bucket{le=\"+Inf\"} 100\n";

    #[test]
    fn samples_are_summed_by_the_labels_asked_for() {
        let metrics = Metrics::parse(PAGE);
        assert_eq!(metrics.count("picket_x_total", &[]), 7);
        assert_eq!(metrics.count("picket_x_total", &[("lane", "bulk")]), 4);
        assert_eq!(metrics.count("picket_x_total", &[("reason", "a \"b\" \\ {c}")]), 3);
        assert_eq!(metrics.count("picket_plain", &[]), 1_500);
        assert_eq!(metrics.count("picket_absent", &[]), 0);
        assert!(!metrics.has("not"));
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let metrics = Metrics::parse(PAGE);
        assert_eq!(metrics.quantile("picket_l", 0.5), Some(0.01));
        let p90 = metrics.quantile("picket_l", 0.7).unwrap();
        assert!((0.05..0.06).contains(&p90), "{p90}");
        assert_eq!(metrics.quantile("picket_l", 0.99), Some(0.1));
        assert_eq!(metrics.quantile("picket_plain", 0.5), None);
    }

    #[test]
    fn a_page_is_fetched_and_its_status_told() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let read = peer.read(&mut request).unwrap();
            peer.write_all(b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 8\r\n\r\ndegraded").unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        assert_eq!(http_get(address, "/readyz").unwrap(), (503, "degraded".to_owned()));
        assert!(server.join().unwrap().starts_with("GET /readyz HTTP/1.0\r\n"));
    }
}
