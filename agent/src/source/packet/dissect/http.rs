//! HTTP/1 (RFC 9112): a record per request and its response, several on a connection.
//!
//! Heads are read, bodies are counted: by their length, in chunks, or to the end of the connection. A request is
//! told with its response, or when the connection ends before one comes; a response without a request as well. What
//! follows an upgrade or a tunnel (`101`, a successful `CONNECT`) is no HTTP any more.
//!
//! Behind a hole in a stream the next piece that begins with a message goes on. A response there answers the last request
//! that waits, those before it are told alone: who does not pipeline asks again only after an answer.
//!
//! Bounds: a head of [`HEAD_BYTES_MAX`], [`PIPELINED_MAX`] requests that wait for their responses.

mod recognize;
mod record;
mod turned;

use std::cmp::Ordering;
use std::collections::VecDeque;

use shared::time::Timestamp;

use self::recognize::{begins_message, recognize};
use self::record::told;
use super::{Carrier, Dissector, Entry, Side, TEXT_BYTES_MAX, Tell, Want};
pub use recognize::is_turned;
pub use turned::turned;

/// Bytes of a head, start line included; a longer one ends its side.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// Requests that wait for their responses; the oldest is told alone where there are more.
pub const PIPELINED_MAX: usize = 16;

/// This dissector.
pub const ENTRY: Entry = Entry { protocol: "http", recognize, make };

fn make(_: Carrier) -> Box<dyn Dissector> {
    Box::<Http>::default()
}

/// What a body ends with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Body {
    /// So many bytes more.
    Length(u64),
    /// Chunks; the first: bytes of this chunk still to come, its line end included.
    Chunked(u64),
    /// The lines behind the last chunk, to an empty one.
    Trailer,
    /// The end of the connection.
    End,
}

/// What a side is at.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum At {
    /// A head.
    #[default]
    Head,
    Body(Body),
    /// Bytes are missing: the next piece that begins with a message is waited for.
    Lost,
    /// Nothing more is read.
    Over,
}

#[derive(Default)]
struct Half {
    at: At,
    held: Vec<u8>,
    /// Bytes of the body at hand.
    body_bytes: u64,
    /// What is wrong with it.
    flaw: Option<&'static str>,
}

#[derive(Default)]
struct Request {
    at: Timestamp,
    method: String,
    target: String,
    version: String,
    host: String,
    user_agent: String,
    referrer: String,
    forwarded_for: String,
    user: String,
    content_type: String,
    body_bytes: u64,
    raw_line: Option<String>,
    flaws: Vec<&'static str>,
}

#[derive(Default)]
struct Response {
    at: Timestamp,
    code: u16,
    version: String,
    reason: String,
    content_type: String,
    server: String,
    body_bytes: u64,
    flaws: Vec<&'static str>,
}

#[derive(Default)]
struct Http {
    halves: [Half; 2],
    waiting: VecDeque<Box<Request>>,
    /// A response whose body is being counted.
    answering: Option<Box<Response>>,
}

fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

/// A head's lines behind the first: names in lower case.
struct Headers<'a>(Vec<(&'a [u8], &'a [u8])>);

impl<'a> Headers<'a> {
    fn read(lines: &'a [u8]) -> Self {
        let lines = lines.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let named = lines.filter_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            let (name, value) = line.split_at_checked(colon)?;
            Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
        });
        Self(named.take(128).collect())
    }

    fn find(&self, wanted: &str) -> Option<&'a [u8]> {
        let found = self.0.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
        found.map(|(_, value)| *value)
    }

    fn text(&self, wanted: &str) -> String {
        self.find(wanted).map(text_of).unwrap_or_default()
    }

    /// How long its body is; none: it says nothing. An error where what it says cannot be.
    fn body(&self) -> Result<Option<Body>, &'static str> {
        let encoding = self.find("transfer-encoding").unwrap_or_default();
        if encoding.to_ascii_lowercase().ends_with(b"chunked") {
            return Ok(Some(Body::Chunked(0)));
        }
        let Some(length) = self.find("content-length") else { return Ok(None) };
        let length = str::from_utf8(length).ok().and_then(|text| text.parse().ok()).ok_or("bad_content_length")?;
        Ok(Some(Body::Length(length)))
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..TEXT_BYTES_MAX).unwrap_or(bytes)).into_owned()
}

/// The user of basic authentication; never the password.
fn user_of(authorization: &[u8]) -> Option<String> {
    let (scheme, rest) = authorization.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = data_encoding::BASE64.decode(rest.trim_ascii()).ok()?;
    let user = decoded.split(|byte| *byte == b':').next()?;
    Some(text_of(user))
}

impl Request {
    fn read(line: &[u8], headers: &Headers<'_>, at: Timestamp) -> Self {
        let mut request = Self {
            at,
            host: headers.text("host"),
            user_agent: headers.text("user-agent"),
            referrer: headers.text("referer"),
            forwarded_for: headers.text("x-forwarded-for"),
            content_type: headers.text("content-type"),
            user: headers.find("authorization").and_then(user_of).unwrap_or_default(),
            ..Self::default()
        };
        let line = line.trim_ascii();
        let mut parts = line.splitn(2, |byte| *byte == b' ');
        let (method, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default().trim_ascii());
        // A target with spaces in it is wrong, and sent nevertheless.
        let (target, version) = match rest.iter().rposition(|byte| *byte == b' ') {
            Some(space) if rest.get(space + 1..).is_some_and(|last| last.starts_with(b"HTTP/")) => {
                (rest.get(..space).unwrap_or_default(), rest.get(space + 1..).unwrap_or_default())
            }
            _ if rest.starts_with(b"HTTP/") => (&b""[..], rest),
            _ => (rest, &b""[..]),
        };
        let token = |method: &[u8]| !method.is_empty() && method.iter().all(|byte| byte.is_ascii_graphic());
        if !token(method) || target.is_empty() || memchr::memchr(b' ', target).is_some() {
            request.raw_line = Some(text_of(line));
            request.flaws.push("malformed_request");
        }
        (request.method, request.target) = (text_of(method), text_of(target.trim_ascii()));
        request.version = text_of(version.strip_prefix(b"HTTP/").unwrap_or(version));
        if target.len() > TEXT_BYTES_MAX {
            request.flaws.push("text_cut");
        }
        request
    }
}

impl Response {
    fn read(line: &[u8], headers: &Headers<'_>, at: Timestamp) -> Option<Self> {
        let rest = line.trim_ascii().strip_prefix(b"HTTP/")?;
        let mut parts = rest.splitn(3, |byte| *byte == b' ');
        let (version, code) = (parts.next()?, parts.next().unwrap_or_default());
        let reason = text_of(parts.next().unwrap_or_default());
        let code = str::from_utf8(code).ok().and_then(|code| code.trim().parse().ok()).unwrap_or(0);
        let (content_type, server) = (headers.text("content-type"), headers.text("server"));
        let flaws = if (100..1000).contains(&code) { Vec::new() } else { vec!["malformed_response"] };
        Some(Self { at, code, version: text_of(version), reason, content_type, server, body_bytes: 0, flaws })
    }
}

impl Http {
    fn step(&mut self, side: Side, at: Timestamp, bytes: &mut &[u8], tell: Tell<'_>) {
        if side == Side::Server {
            self.answered_early(at, bytes, tell);
        }
        let Some(half) = self.halves.get_mut(index(side)) else { return };
        match half.at {
            At::Over => *bytes = &[],
            At::Lost if begins_message(side, bytes) => {
                half.at = At::Head;
                if side == Side::Server {
                    self.passed_over(tell);
                }
            }
            At::Lost => *bytes = &[],
            At::Head => self.head(side, at, bytes, tell),
            At::Body(body) => {
                let (taken, next) = half.body(body, bytes);
                *bytes = bytes.get(taken..).unwrap_or_default();
                half.at = next;
                if next == At::Head {
                    self.body_ended(side, tell);
                }
            }
        }
    }

    /// A request line without a version and nothing behind it is a whole request, and its answer a body without a
    /// head (HTTP/0.9, <https://www.w3.org/Protocols/HTTP/AsImplemented.html>).
    fn answered_early(&mut self, at: Timestamp, bytes: &[u8], tell: Tell<'_>) {
        let [client, server] = &mut self.halves;
        if server.at != At::Head || !server.held.is_empty() || !self.waiting.is_empty() || bytes.starts_with(b"H") {
            return;
        }
        let line_end = memchr::memchr(b'\n', &client.held);
        if client.at != At::Head || line_end.is_none_or(|end| end + 1 != client.held.len()) {
            return;
        }
        self.cut_request(at, tell);
        let [_, server] = &mut self.halves;
        if self.waiting.front().is_some_and(|request| request.version.is_empty()) {
            (server.at, server.body_bytes) = (At::Body(Body::End), 0);
            self.answering = Some(Box::new(Response { at, version: "0.9".to_owned(), ..Response::default() }));
        }
    }

    /// A head that does not end is read as far as its last whole line.
    fn cut_request(&mut self, at: Timestamp, tell: Tell<'_>) {
        let [client, _] = &mut self.halves;
        let held = std::mem::take(&mut client.held);
        let Some(whole) = memchr::memrchr(b'\n', &held).and_then(|end| held.get(..end)) else { return };
        if client.at != At::Head || whole.trim_ascii().is_empty() {
            return;
        }
        client.at = At::Over;
        let head = whole.trim_ascii_start();
        let line = head.get(..memchr::memchr(b'\n', head).unwrap_or(head.len())).unwrap_or(head);
        let mut request = Request::read(line, &Headers::read(head.get(line.len()..).unwrap_or_default()), at);
        if !request.version.is_empty() {
            request.flaws.push("head_cut");
        }
        self.await_response(request, tell);
    }

    /// Collects a head and reads it once it is whole.
    fn head(&mut self, side: Side, at: Timestamp, bytes: &mut &[u8], tell: Tell<'_>) {
        let Some(half) = self.halves.get_mut(index(side)) else { return };
        let before = half.held.len();
        let room = HEAD_BYTES_MAX + 4 - before.min(HEAD_BYTES_MAX + 4);
        half.held.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        // Empty lines before a request are passed over (RFC 9112 §2.2).
        let blank = half.held.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let head = half.held.get(blank..).unwrap_or_default();
        let from = before.saturating_sub(blank).saturating_sub(3);
        let Some(end) = end_of_head(head, from) else {
            *bytes = &[];
            if half.held.len() > HEAD_BYTES_MAX {
                self.fail(side, at, "head_too_long", tell);
            }
            return;
        };
        let taken = (blank + end).saturating_sub(before);
        *bytes = bytes.get(taken..).unwrap_or_default();
        let mut held = std::mem::take(&mut half.held);
        held.truncate(blank + end);
        half.body_bytes = 0;
        let head = held.get(blank..).unwrap_or_default();
        let line = head.get(..memchr::memchr(b'\n', head).unwrap_or(head.len())).unwrap_or(head);
        let headers = Headers::read(head.get(line.len()..).unwrap_or_default());
        match side {
            Side::Client => self.request(Request::read(line, &headers, at), &headers, tell),
            Side::Server => match Response::read(line, &headers, at) {
                Some(response) => self.response(response, &headers, tell),
                None => self.fail(side, at, "malformed_response", tell),
            },
        }
    }

    fn request(&mut self, mut request: Request, headers: &Headers<'_>, tell: Tell<'_>) {
        let body = headers.body().unwrap_or_else(|flaw| {
            request.flaws.push(flaw);
            None
        });
        let [client, _] = &mut self.halves;
        client.at = match body {
            Some(Body::Length(0)) | None => At::Head,
            Some(body) => At::Body(body),
        };
        self.await_response(request, tell);
    }

    fn await_response(&mut self, request: Request, tell: Tell<'_>) {
        if self.waiting.len() >= PIPELINED_MAX
            && let Some(oldest) = self.oldest()
        {
            tell(told(Some(oldest), None));
        }
        self.waiting.push_back(Box::new(request));
    }

    fn response(&mut self, mut response: Response, headers: &Headers<'_>, tell: Tell<'_>) {
        // Interim responses answer nothing (RFC 9110 §15.2), but for the one that ends HTTP.
        if (100..200).contains(&response.code) && response.code != 101 {
            return;
        }
        let method = self.waiting.front().map_or("", |request| request.method.as_str());
        let tunnel = response.code == 101 || method == "CONNECT" && (200..300).contains(&response.code);
        let empty = method == "HEAD" || matches!(response.code, 204 | 304) || tunnel;
        let body = headers.body().unwrap_or_else(|flaw| {
            response.flaws.push(flaw);
            None
        });
        let body = if empty { Body::Length(0) } else { body.unwrap_or(Body::End) };
        self.answering = Some(Box::new(response));
        let [client, server] = &mut self.halves;
        if tunnel {
            (client.at, server.at) = (At::Over, At::Over);
            self.answer(tell);
        } else if body == Body::Length(0) {
            self.answer(tell);
        } else {
            server.at = At::Body(body);
        }
    }

    fn body_ended(&mut self, side: Side, tell: Tell<'_>) {
        let Some(half) = self.halves.get_mut(index(side)) else { return };
        let (bytes, flaw) = (std::mem::take(&mut half.body_bytes), half.flaw.take());
        match side {
            Side::Client => self.waiting.iter_mut().next_back().into_iter().for_each(|last| {
                last.body_bytes = bytes;
                last.flaws.extend(flaw);
            }),
            Side::Server => {
                self.answering.iter_mut().for_each(|response| {
                    response.body_bytes = bytes;
                    response.flaws.extend(flaw);
                });
                self.answer(tell);
            }
        }
    }

    /// The request that is to be answered next. A connection that is idle holds nothing for requests.
    fn oldest(&mut self) -> Option<Request> {
        let oldest = self.waiting.pop_front();
        self.waiting.shrink_to_fit();
        oldest.map(|request| *request)
    }

    /// What answered all requests but the last was in the hole.
    fn passed_over(&mut self, tell: Tell<'_>) {
        while self.waiting.len() > 1 {
            tell(told(self.oldest(), None));
        }
    }

    /// Tells the response at hand with its request.
    fn answer(&mut self, tell: Tell<'_>) {
        if let Some(response) = self.answering.take() {
            tell(told(self.oldest(), Some(*response)));
        }
    }

    /// A side does not read any more.
    fn fail(&mut self, side: Side, at: Timestamp, flaw: &'static str, tell: Tell<'_>) {
        if let Some(half) = self.halves.get_mut(index(side)) {
            (half.at, half.held) = (At::Over, Vec::new());
        }
        match side {
            Side::Client => tell(told(Some(Request { at, flaws: vec![flaw], ..Request::default() }), None)),
            Side::Server => {
                let response = Response { at, flaws: vec![flaw], ..Response::default() };
                tell(told(self.oldest(), Some(response)));
            }
        }
    }
}

/// Where a head ends, its empty line included; looked for from `from` on.
fn end_of_head(head: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(found) = head.get(at..).and_then(|rest| memchr::memchr(b'\n', rest)) {
        let behind = at + found + 1;
        match head.get(behind..) {
            Some([b'\n', ..]) => return Some(behind + 1),
            Some([b'\r', b'\n', ..]) => return Some(behind + 2),
            _ => at = behind,
        }
    }
    None
}

impl Half {
    /// Takes bytes of a body: how many, and what comes next.
    fn body(&mut self, body: Body, bytes: &[u8]) -> (usize, At) {
        match body {
            Body::End => {
                self.body_bytes += bytes.len() as u64;
                (bytes.len(), At::Body(body))
            }
            Body::Length(left) => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                self.body_bytes += taken as u64;
                let left = left - taken as u64;
                (taken, if left == 0 { At::Head } else { At::Body(Body::Length(left)) })
            }
            Body::Chunked(0) => self.line(bytes, |size| match size {
                // The chunk's own line end comes with it.
                Some(size) if size > 0 => At::Body(Body::Chunked(size.saturating_add(2))),
                Some(_) => At::Body(Body::Trailer),
                None => At::Over,
            }),
            Body::Chunked(left) => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                self.pass(left, taken as u64);
                (taken, self.at)
            }
            Body::Trailer => {
                let held = self.held.is_empty();
                let (taken, next) = self.line(bytes, |_| At::Head);
                let empty = held && matches!(bytes.get(..taken), Some([b'\n'] | [b'\r', b'\n']));
                let whole = self.held.is_empty() && next == At::Head;
                let split_end = !held && whole && matches!(bytes.get(..taken), Some([b'\n']));
                (taken, if empty || split_end { At::Head } else { At::Body(Body::Trailer) })
            }
        }
    }

    /// Passes over `taken` of the `left` bytes of a chunk: its line end is no part of the body.
    fn pass(&mut self, left: u64, taken: u64) {
        let end = left.saturating_sub(taken);
        self.body_bytes += left.saturating_sub(2).saturating_sub(end.saturating_sub(2));
        self.at = At::Body(Body::Chunked(end));
    }

    /// Takes a line; what `next` makes of the number that it begins with, once it is whole.
    fn line(&mut self, bytes: &[u8], next: impl FnOnce(Option<u64>) -> At) -> (usize, At) {
        let end = memchr::memchr(b'\n', bytes);
        let taken = end.map_or(bytes.len(), |end| end + 1);
        self.held.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        if end.is_none() {
            return (taken, if self.held.len() > 1024 { At::Over } else { self.at });
        }
        let line = std::mem::take(&mut self.held);
        let digits = line.trim_ascii().iter().map_while(|byte| char::from(*byte).to_digit(16));
        // A size beyond 64 bits is read as servers read it that requests are smuggled to: what overflows is lost.
        let (mut number, mut overflow) = (None, false);
        for digit in digits {
            let before: u64 = number.unwrap_or(0);
            overflow |= before >> 60 != 0;
            number = Some(before << 4 | u64::from(digit));
        }
        if overflow {
            self.flaw = Some("chunk_size_overflow");
        }
        (taken, next(number))
    }
}

impl Dissector for Http {
    fn protocol(&self) -> &'static str {
        "http"
    }

    fn data(&mut self, side: Side, at: Timestamp, mut bytes: &[u8], tell: Tell<'_>) -> Want {
        while !bytes.is_empty() {
            self.step(side, at, &mut bytes, tell);
        }
        if self.halves.iter().all(|half| half.at == At::Over) { Want::Enough } else { Want::More }
    }

    fn gap(&mut self, side: Side, len: u64, tell: Tell<'_>) -> Want {
        let Some(half) = self.halves.get_mut(index(side)) else { return Want::Enough };
        match half.at {
            // A hole in a body is a part of it.
            At::Body(Body::Length(left)) => {
                half.body_bytes += len.min(left);
                half.at = match len.cmp(&left) {
                    Ordering::Less => At::Body(Body::Length(left - len)),
                    Ordering::Equal => At::Head,
                    Ordering::Greater => At::Lost,
                };
                if len >= left {
                    self.body_ended(side, tell);
                }
            }
            At::Body(Body::Chunked(left)) if len < left => half.pass(left, len),
            At::Body(Body::End) => half.body_bytes += len,
            At::Body(_) => {
                (half.at, half.held, half.flaw) = (At::Lost, Vec::new(), Some("stream_gap"));
                self.body_ended(side, tell);
            }
            At::Head | At::Lost => (half.at, half.held) = (At::Lost, Vec::new()),
            At::Over => {}
        }
        if self.halves.iter().all(|half| half.at == At::Over) { Want::Enough } else { Want::More }
    }

    fn end(&mut self, at: Timestamp, tell: Tell<'_>) {
        self.cut_request(at, tell);
        let [client, server] = &mut self.halves;
        let (sent, answered) = (std::mem::take(&mut client.body_bytes), std::mem::take(&mut server.body_bytes));
        if let (Some(last), true) = (self.waiting.iter_mut().next_back(), sent > 0) {
            last.body_bytes = sent;
        }
        if let Some(response) = &mut self.answering {
            response.body_bytes = answered;
        }
        self.answer(tell);
        self.waiting.drain(..).for_each(|request| tell(told(Some(*request), None)));
    }

    fn held_bytes(&self) -> usize {
        let heads: usize = self.halves.iter().map(|half| half.held.capacity()).sum();
        heads + self.waiting.len() * 512
    }
}

#[cfg(test)]
mod tests;
