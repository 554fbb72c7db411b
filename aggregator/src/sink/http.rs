//! JSON lines to a web server: events are posted in batches of `application/x-ndjson`.
//!
//! Events come in; requests go out, one at a time: at most [`Settings::batch_bytes`] each, and at a commit what is left. 2xx
//! takes the batch, whatever becomes of the answer's body. 4xx refuses it: it is halved until the events that are refused stand
//! alone, and these are dead letters ([`super::letters`]). Those of 4xx that say nothing of the events (`SETUP`: who sends,
//! where to, how fast), every other status and whatever keeps an answer from coming fail the sink: its driver opens it again,
//! later and later, and everything behind the cursor comes again, with the same `metadata.uid`: at least once.
//!
//! Letters that somebody wants offered again go a batch at a time whenever nothing is pushed that is not committed.
//!
//! Invariants: a batch is answered before the next is sent; a letter is durable before the commit that counts it. TLS by
//! rustls with the system's authorities or the file of `ca`; redirects are not followed. Memory: two batches, and the refused
//! events of one.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use shared::printable::Printable;
use shared::time::Clock;
use ureq::Agent;
use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use super::cursor::{self, Cursor};
use super::letters::{Letters, Offering};
use super::{Committed, Sink, SinkError};
use crate::event::{Event, json};

/// Where distributions keep the authorities that they trust.
const AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];
/// Most bytes of a file of authorities.
const AUTHORITIES_BYTES_MAX: u64 = 8 << 20;
/// Most bytes of a secret's file.
const SECRET_BYTES_MAX: u64 = 64 << 10;
/// Most of an answer's body that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// Most of the first line of an answer that is kept: it names the reason of a refusal.
const REASON_CHARS_MAX: usize = 512;
/// A connection that was idle for longer is not used again: servers close theirs without a word.
const IDLE_MAX: Duration = Duration::from_secs(1);
/// Statuses of a client's error that are none of the events': RFC 9110, section 15.5, RFC 6585, RFC 8470, RFC 7725.
const SETUP: [u16; 19] =
    [401, 402, 403, 404, 405, 406, 407, 408, 410, 411, 415, 417, 421, 425, 426, 428, 429, 431, 451];

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
    ends: Vec<End>,
    so_far: Committed,
    refused: Vec<(String, String)>,
    /// The letters that are being offered again.
    offering: Option<Offering>,
}

/// Where a line of a batch ends, and how many events it stands for.
#[derive(Clone, Copy)]
struct End {
    at: usize,
    weight: u64,
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
            .max_idle_age(IDLE_MAX)
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
            offering: None,
        })
    }

    /// Sends what is collected.
    fn send(&mut self) -> Result<(), SinkError> {
        let (batch, ends) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.ends));
        let sent = self.send_all(&batch, &ends);
        (self.batch, self.ends) = (batch, ends);
        self.batch.clear();
        self.ends.clear();
        sent?;
        let refused: usize = self.refused.iter().map(|(event, _)| event.len()).sum();
        if refused > self.settings.batch_bytes { self.keep_refused() } else { Ok(()) }
    }

    /// Sends lines; those that are refused are halved until the refused ones stand alone.
    fn send_all(&mut self, batch: &str, ends: &[End]) -> Result<(), SinkError> {
        let mut pending = vec![(0, ends.len())];
        let start_of = |line: usize| line.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |end| end.at);
        while let Some((from, to)) = pending.pop() {
            if from >= to {
                continue;
            }
            let text = batch.get(start_of(from)..start_of(to)).unwrap_or_default();
            match self.post(text)? {
                Answer::Taken => self.so_far.delivered += (to - from) as u64,
                Answer::Refused(reason) if to - from == 1 => {
                    self.so_far.rejected += 1;
                    self.so_far.rejected_folded += ends.get(from).map_or(0, |end| end.weight.saturating_sub(1));
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

    /// Refused events become letters.
    fn keep_refused(&mut self) -> Result<(), SinkError> {
        Ok(self.settings.letters.append(Clock::System.now(), &std::mem::take(&mut self.refused))?)
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
        // To its end, so that the connection can be used again. What keeps it from coming changes nothing.
        let mut said = Vec::new();
        let _ =
            shared::pulse::waiting(|| response.body_mut().as_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut said));
        if status.is_success() {
            return Ok(Answer::Taken);
        }
        let reason = format!("{status}: {}", first_line(&said));
        if status.is_client_error() && !SETUP.contains(&status.as_u16()) {
            return Ok(Answer::Refused(reason));
        }
        Err(self.settings.unavailable(reason))
    }

    fn collect(&mut self, weight: u64, write: impl FnOnce(&mut String)) -> Result<(), SinkError> {
        let before = self.batch.len();
        write(&mut self.batch);
        self.batch.push('\n');
        if self.batch.len() > self.settings.batch_bytes && before > 0 {
            // This one begins the next batch.
            let last = self.batch.split_off(before);
            self.send()?;
            self.batch = last;
        }
        self.ends.push(End { at: self.batch.len(), weight });
        Ok(())
    }

    /// Whether something was sent since the last commit.
    fn has_sent(&self) -> bool {
        self.so_far != Committed::default()
    }

    /// Whether something was pushed since the last commit.
    fn has_pushed(&self) -> bool {
        !self.ends.is_empty() || self.has_sent()
    }
}

/// The first line of what a server says, safe to show.
fn first_line(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let line: String = text.lines().next().unwrap_or_default().chars().take(REASON_CHARS_MAX).collect();
    Printable(&line).to_string()
}

impl Sink for Poster {
    fn push(&mut self, event: &Event<'_>) -> Result<(), SinkError> {
        self.collect(event.weight, |batch| json::write(event, batch))
    }

    fn commit(&mut self, to: u64) -> Result<Committed, SinkError> {
        if to < self.cursor.cut || (to == self.cursor.cut && self.has_pushed()) {
            let (path, cursor) = (PathBuf::from(&self.settings.endpoint), self.cursor.cut);
            return Err(SinkError::Backwards { path, cursor, to });
        }
        self.send()?;
        self.keep_refused()?;
        let cursor = Cursor { cut: to, ..Cursor::default() };
        cursor::write(&self.settings.cursor, &cursor)?;
        self.cursor = cursor;
        Ok(std::mem::take(&mut self.so_far))
    }

    fn cursor(&self) -> u64 {
        self.cursor.cut
    }

    /// Offers a batch of dead letters again, where somebody asked for it. They are no part of a commit's count.
    fn idle(&mut self) -> Result<bool, SinkError> {
        if self.has_pushed() {
            return Ok(false);
        }
        let begun = self.offering.take().map_or_else(|| self.settings.letters.offering(), |begun| Ok(Some(begun)));
        let Some(mut offering) = begun? else { return Ok(false) };
        let mut ended = false;
        while !ended && !self.has_sent() {
            match offering.next()? {
                Some(event) => self.collect(1, |batch| batch.push_str(&event))?,
                None => ended = true,
            }
        }
        self.send()?;
        self.keep_refused()?;
        let told = std::mem::take(&mut self.so_far);
        offering.taken += told.delivered;
        offering.refused += told.rejected;
        if !ended {
            self.offering = Some(offering);
            return Ok(true);
        }
        self.settings.letters.offered(&offering)?;
        Ok(false)
    }
}

#[cfg(test)]
mod tests;
