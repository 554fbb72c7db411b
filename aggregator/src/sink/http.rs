//! JSON lines to a web server: events are posted in batches of `application/x-ndjson`.
//!
//! Events come in; requests go out, one at a time: at most [`Settings::batch_bytes`] each, and at a commit what is left. 2xx
//! takes the batch. 408, 425, 429, 5xx and whatever keeps an answer from coming fail the sink: its driver opens it again,
//! later and later, and everything behind the cursor comes again, with the same `metadata.uid`: at least once. Any other answer
//! refuses the batch: it is halved until the events that are refused stand alone, and these are dead letters ([`letters`]).
//! 401, 403 and 404 refuse no event, they say that the endpoint is set up wrong: the sink fails and waits.
//!
//! Invariants: a batch is answered before the next is sent; a letter is durable before the commit that counts it. TLS by
//! rustls with the system's authorities or the file of `ca`; redirects are not followed. Memory: two batches.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use shared::time::{Clock, Timestamp};
use ureq::Agent;
use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use super::cursor::{self, Cursor};
use super::letters::Letters;
use super::{Committed, Sink, SinkError};
use crate::event::{Event, json};

/// Where distributions keep the authorities that they trust.
const AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];
/// Most bytes of a file of authorities.
const AUTHORITIES_BYTES_MAX: u64 = 8 << 20;
/// Most bytes of a secret's file.
const SECRET_BYTES_MAX: u64 = 64 << 10;
/// Most of an answer's body that is read: it names the reason of a refusal.
const ANSWER_BYTES_MAX: u64 = 4 << 10;

/// A secret by reference: it never stands in a configuration file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretRef {
    /// The first line of a file.
    File(PathBuf),
    /// A variable of the environment.
    Env(String),
}

/// How the server knows who sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Auth {
    /// `Authorization: Bearer TOKEN`.
    Bearer(SecretRef),
    /// `Authorization: Basic`, of a user and a password.
    Basic(String, SecretRef),
}

/// Where events are posted, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The URL.
    pub endpoint: String,
    /// Further headers of each request.
    pub headers: Vec<(String, String)>,
    /// How the server knows who sends.
    pub auth: Option<Auth>,
    /// PEM file of the authorities that the server's certificate may be from; none: the system's.
    pub ca: Option<PathBuf>,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// Most bytes of a request's body; an event that is longer goes alone.
    pub batch_bytes: usize,
    /// The cursor's file.
    pub cursor: PathBuf,
    /// Where refused events are kept.
    pub letters: Letters,
}

impl Settings {
    pub(super) fn of_replay(&self, id: &str) -> Self {
        let mut name = self.cursor.file_name().unwrap_or_default().to_owned();
        name.push(format!(".replay-{id}"));
        Self { cursor: self.cursor.with_file_name(name), ..self.clone() }
    }

    pub(super) fn peek(&self) -> Result<u64, SinkError> {
        Ok(cursor::read(&self.cursor)?.cut)
    }

    fn wrong(&self, reason: String) -> SinkError {
        SinkError::Setup { endpoint: self.endpoint.clone(), reason }
    }

    fn unavailable(&self, reason: String) -> SinkError {
        SinkError::Unavailable { endpoint: self.endpoint.clone(), reason }
    }

    /// The value of a secret, read anew each time the sink is opened.
    fn secret(&self, secret: &SecretRef) -> Result<String, SinkError> {
        match secret {
            SecretRef::Env(name) => std::env::var(name).map_err(|_| {
                self.wrong(format!("the variable {name}, which holds its secret, is not set, or is no text"))
            }),
            SecretRef::File(path) => {
                let bytes = shared::durable::read_bounded(path, SECRET_BYTES_MAX)
                    .map_err(|error| self.wrong(format!("its secret: {error}")))?;
                let text = String::from_utf8(bytes)
                    .map_err(|_| self.wrong(format!("its secret in {} is no text", path.display())))?;
                Ok(text.lines().next().unwrap_or_default().to_owned())
            }
        }
    }

    fn authorities(&self) -> Result<RootCerts, SinkError> {
        let path = match &self.ca {
            Some(path) => path.as_path(),
            None => match AUTHORITIES.iter().map(Path::new).find(|path| path.exists()) {
                Some(path) => path,
                None => {
                    let why = format!(
                        "no authorities at {}; install ca-certificates, or name a PEM file with `ca`",
                        AUTHORITIES.join(", ")
                    );
                    return Err(self.wrong(why));
                }
            },
        };
        let pem = shared::durable::read_bounded(path, AUTHORITIES_BYTES_MAX)
            .map_err(|error| self.wrong(format!("authorities: {error}")))?;
        let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err(self.wrong(format!("{} holds no certificate in PEM", path.display())));
        }
        Ok(RootCerts::new_with_certs(&certificates))
    }
}

/// An open connection to a server.
pub struct Poster {
    settings: Settings,
    agent: Agent,
    authorization: Option<String>,
    cursor: Cursor,
    /// Lines, and where each ends.
    batch: String,
    ends: Vec<usize>,
    so_far: Committed,
    refused: Vec<(String, String)>,
}

/// What a server said to a batch.
enum Answer {
    Taken,
    Refused(String),
}

impl Poster {
    /// Reads cursor, secrets and authorities; connects with the first batch.
    ///
    /// # Errors
    /// One of these is missing or wrong.
    pub fn open(settings: &Settings) -> Result<Self, SinkError> {
        let cursor = cursor::read(&settings.cursor)?;
        let uri: Uri = settings.endpoint.parse().map_err(|error| settings.wrong(format!("it is no URL: {error}")))?;
        let mut config = Agent::config_builder()
            .timeout_global(Some(settings.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("picket-aggregator/", env!("CARGO_PKG_VERSION")));
        if uri.scheme_str() == Some("https") {
            let tls = TlsConfig::builder().provider(TlsProvider::Rustls).root_certs(settings.authorities()?);
            config = config.tls_config(tls.build());
        }
        let authorization = match &settings.auth {
            None => None,
            Some(Auth::Bearer(token)) => Some(format!("Bearer {}", settings.secret(token)?)),
            Some(Auth::Basic(user, password)) => {
                let pair = format!("{user}:{}", settings.secret(password)?);
                Some(format!("Basic {}", BASE64.encode(pair)))
            }
        };
        Ok(Self {
            settings: settings.clone(),
            agent: config.build().into(),
            authorization,
            cursor,
            batch: String::new(),
            ends: Vec::new(),
            so_far: Committed::default(),
            refused: Vec::new(),
        })
    }

    /// Sends what is collected.
    fn send(&mut self) -> Result<(), SinkError> {
        let (batch, ends) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.ends));
        let sent = self.send_all(&batch, &ends);
        (self.batch, self.ends) = (batch, ends);
        self.batch.clear();
        self.ends.clear();
        sent
    }

    /// Sends lines; those that are refused are halved until the refused ones stand alone.
    fn send_all(&mut self, batch: &str, ends: &[usize]) -> Result<(), SinkError> {
        let mut pending = vec![(0, ends.len())];
        let start_of = |line: usize| line.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
        while let Some((from, to)) = pending.pop() {
            if from >= to {
                continue;
            }
            let text = batch.get(start_of(from)..start_of(to)).unwrap_or_default();
            match self.post(text)? {
                Answer::Taken => self.so_far.delivered += (to - from) as u64,
                Answer::Refused(reason) if to - from == 1 => {
                    self.so_far.rejected += 1;
                    self.refused.push((text.trim_end().to_owned(), reason));
                }
                Answer::Refused(_) => {
                    let middle = from + (to - from) / 2;
                    pending.extend([(middle, to), (from, middle)]);
                }
            }
        }
        Ok(())
    }

    fn post(&self, body: &str) -> Result<Answer, SinkError> {
        let mut request = self.agent.post(&self.settings.endpoint).header("content-type", "application/x-ndjson");
        for (name, value) in &self.settings.headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        // As long as the store takes, up to `timeout`.
        let sent = shared::pulse::waiting(|| request.send(body));
        let mut response = sent.map_err(|error| self.settings.unavailable(error.to_string()))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Answer::Taken);
        }
        let said = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).lossy_utf8(true).read_to_string();
        let said = said.unwrap_or_default();
        let reason = format!("{status}: {}", said.lines().next().unwrap_or_default());
        match status.as_u16() {
            408 | 425 | 429 | 500.. | 300..=399 | 401 | 403 | 404 | 407 => Err(self.settings.unavailable(reason)),
            _ => Ok(Answer::Refused(reason)),
        }
    }

    fn collect(&mut self, write: impl FnOnce(&mut String)) -> Result<(), SinkError> {
        let before = self.batch.len();
        write(&mut self.batch);
        self.batch.push('\n');
        if self.batch.len() > self.settings.batch_bytes && before > 0 {
            // This one begins the next batch.
            let last = self.batch.split_off(before);
            self.send()?;
            self.batch = last;
        }
        self.ends.push(self.batch.len());
        Ok(())
    }

    /// Offers dead letters again, when somebody asked for it. They are no part of the commit's count.
    fn offer_again(&mut self, now: Timestamp) -> Result<(), SinkError> {
        let events = self.settings.letters.to_offer()?;
        if events.is_empty() {
            return Ok(());
        }
        let before = self.so_far;
        for event in &events {
            self.collect(|batch| batch.push_str(event))?;
        }
        self.send()?;
        let (taken, refused) = (self.so_far.delivered - before.delivered, self.so_far.rejected - before.rejected);
        tracing::info!(endpoint = self.settings.endpoint, taken, refused, "dead letters were offered again");
        self.so_far = before;
        self.settings.letters.append(now, &std::mem::take(&mut self.refused))?;
        Ok(self.settings.letters.offered()?)
    }
}

impl Sink for Poster {
    fn push(&mut self, event: &Event<'_>) -> Result<(), SinkError> {
        self.collect(|batch| json::write(event, batch))
    }

    fn commit(&mut self, to: u64) -> Result<Committed, SinkError> {
        let pushed = !self.ends.is_empty() || self.so_far != Committed::default();
        if to < self.cursor.cut || (to == self.cursor.cut && pushed) {
            let (path, cursor) = (PathBuf::from(&self.settings.endpoint), self.cursor.cut);
            return Err(SinkError::Backwards { path, cursor, to });
        }
        self.send()?;
        let now = Clock::System.now();
        self.settings.letters.append(now, &std::mem::take(&mut self.refused))?;
        self.offer_again(now)?;
        let cursor = Cursor { cut: to, ..Cursor::default() };
        cursor::write(&self.settings.cursor, &cursor)?;
        self.cursor = cursor;
        Ok(std::mem::take(&mut self.so_far))
    }

    fn cursor(&self) -> u64 {
        self.cursor.cut
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write as _};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};

    use shared::identity::{AgentId, ChainId, Epoch, EventId, Lane};

    use super::super::parquet::testing::Folder;
    use super::*;

    /// A request as the server saw it: its headers, and its body's lines.
    type Request = (String, Vec<serde_json::Value>);

    /// A server on loopback that refuses bodies with an odd record number with 400, and answers `status` else.
    struct Server {
        url: String,
        seen: Arc<Mutex<Vec<Request>>>,
        status: Arc<Mutex<&'static str>>,
    }

    impl Server {
        fn start(refuses_odd: bool) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/in", listener.local_addr().unwrap());
            let (seen, status) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new("200 OK")));
            let (requests, said) = (Arc::clone(&seen), Arc::clone(&status));
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let Ok(stream) = stream else { return };
                    let mut reader = BufReader::new(stream);
                    while let Some((head, body)) = request(&mut reader) {
                        let lines: Vec<serde_json::Value> =
                            body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
                        let odd = |event: &serde_json::Value| event["metadata"]["sequence"].as_i64().unwrap() % 2 == 1;
                        let refused = refuses_odd && lines.iter().any(odd);
                        let status = if refused { "400 Bad Request" } else { *said.lock().unwrap() };
                        if status.starts_with('2') {
                            requests.lock().unwrap().push((head, lines));
                        }
                        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 3\r\n\r\nodd");
                        reader.get_mut().write_all(answer.as_bytes()).unwrap();
                    }
                }
            });
            Self { url, seen, status }
        }

        fn sequences(&self) -> Vec<i64> {
            let seen = self.seen.lock().unwrap();
            let lines = seen.iter().flat_map(|(_, lines)| lines);
            lines.map(|event| event["metadata"]["sequence"].as_i64().unwrap()).collect()
        }
    }

    fn request(reader: &mut impl BufRead) -> Option<(String, String)> {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some((head, String::from_utf8(body).unwrap()))
    }

    fn settings(folder: &Folder, server: &Server, batch_bytes: usize) -> Settings {
        let secret = folder.0.join("secret");
        std::fs::write(&secret, "s3cret\nsecond line\n").unwrap();
        Settings {
            endpoint: server.url.clone(),
            headers: vec![("x-index".to_owned(), "picket".to_owned())],
            auth: Some(Auth::Basic("u".to_owned(), SecretRef::File(secret))),
            ca: None,
            timeout: Duration::from_secs(30),
            batch_bytes,
            cursor: folder.0.join("cursors/siem"),
            letters: Letters::of(&folder.0, "siem"),
        }
    }

    fn event(record: u64) -> Event<'static> {
        let chain = ChainId { agent: AgentId::default(), lane: Lane::High, epoch: Epoch(1) };
        let mut event = Event::new(EventId { chain, record, part: 0 }, Timestamp::from_ms(5), Timestamp(0));
        event.push(crate::schema::Attribute::MetadataSequence, i64::try_from(record).unwrap());
        event
    }

    #[test]
    fn batches_are_posted_with_who_sends_them_and_the_cursor_stands_behind_them() {
        let (folder, server) = (Folder::new(), Server::start(false));
        let settings = settings(&folder, &server, 600);
        let mut sink = Poster::open(&settings).unwrap();
        (1..=20).for_each(|record| sink.push(&event(record)).unwrap());
        assert_eq!(sink.commit(3).unwrap(), Committed::all(20));
        assert_eq!(server.sequences(), (1..=20).collect::<Vec<_>>());
        let seen = server.seen.lock().unwrap();
        assert!(seen.len() > 3, "several batches");
        let head = seen[0].0.to_ascii_lowercase();
        assert!(head.contains("authorization: basic dtpzm2nyzxq=") && head.contains("x-index: picket"), "{head}");
        assert_eq!((settings.peek().unwrap(), Poster::open(&settings).unwrap().cursor()), (3, 3));
    }

    #[test]
    fn refused_events_are_found_one_by_one_kept_and_offered_again() {
        let (folder, server) = (Folder::new(), Server::start(true));
        let settings = settings(&folder, &server, 1 << 20);
        let mut sink = Poster::open(&settings).unwrap();
        (1..=9).for_each(|record| sink.push(&event(record)).unwrap());
        assert_eq!(sink.commit(3).unwrap(), Committed { delivered: 4, rejected: 5 });
        assert_eq!(server.sequences(), [2, 4, 6, 8]);
        let pile = settings.letters.pile().unwrap();
        assert_eq!((pile.letters, pile.last_reason.as_deref()), (5, Some("400 Bad Request: odd")));
        assert_eq!(settings.letters.replay().unwrap(), 5);
        let willing = Server::start(false);
        let mut sink = Poster::open(&Settings { endpoint: willing.url.clone(), ..settings.clone() }).unwrap();
        assert_eq!(sink.commit(4).unwrap(), Committed::default());
        assert_eq!(willing.sequences(), [1, 3, 5, 7, 9]);
        assert_eq!(settings.letters.pile().unwrap().letters, 0);
    }

    #[test]
    fn server_that_is_busy_wrongly_set_up_or_away_fails_the_sink_and_refuses_nothing() {
        for status in
            ["503 Service Unavailable", "429 Too Many Requests", "401 Unauthorized", "404 Not Found", "301 Moved"]
        {
            let (folder, server) = (Folder::new(), Server::start(false));
            *server.status.lock().unwrap() = status;
            let settings = settings(&folder, &server, 1 << 20);
            let mut sink = Poster::open(&settings).unwrap();
            sink.push(&event(1)).unwrap();
            let error = sink.commit(3).unwrap_err().to_string();
            assert!(error.contains(&status[..3]), "{error}");
            assert_eq!((settings.peek().unwrap(), settings.letters.pile().unwrap().letters), (0, 0));
        }
        let (folder, server) = (Folder::new(), Server::start(false));
        let settings = settings(&folder, &server, 1 << 20);
        let missing = Settings { auth: Some(Auth::Bearer(SecretRef::File("/nowhere".into()))), ..settings };
        assert!(Poster::open(&missing).err().unwrap().to_string().contains("/nowhere"));
    }
}
