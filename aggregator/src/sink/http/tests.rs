//! What a server says, and what becomes of the events then.

use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use shared::identity::{AgentId, ChainId, Epoch, EventId, Lane};
use shared::time::Timestamp;

use super::*;
use crate::sink::parquet::testing::Folder;

/// A request as the server saw it: its headers, and its body's lines.
type Request = (String, Vec<serde_json::Value>);

/// A server on loopback.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Request>>>,
    status: Arc<Mutex<&'static str>>,
}

impl Server {
    /// One that refuses bodies with an odd record number with 400, and answers its `status` else.
    fn start(refuses_odd: bool) -> Self {
        let status = Arc::new(Mutex::new("200 OK"));
        let said = Arc::clone(&status);
        let server = Self::answering(move |body| {
            let refused = refuses_odd && body.lines().any(|line| sequence(line) % 2 == 1);
            let status = if refused { "400 Bad Request" } else { *said.lock().unwrap() };
            format!("HTTP/1.1 {status}\r\ncontent-length: 3\r\n\r\nodd")
        });
        Self { status, ..server }
    }

    /// One that says what `answer` makes of a body, byte for byte, and then waits for the next request.
    fn answering(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/in", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let mut reader = BufReader::new(stream);
                while let Some((head, body)) = request(&mut reader) {
                    let answer = answer(&body);
                    if answer.starts_with("HTTP/1.1 2") {
                        let lines = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
                        requests.lock().unwrap().push((head, lines));
                    }
                    // Whoever waits no longer is gone.
                    let _ = reader.get_mut().write_all(answer.as_bytes());
                }
            }
        });
        Self { url, seen, status: Arc::default() }
    }

    fn sequences(&self) -> Vec<i64> {
        let seen = self.seen.lock().unwrap();
        let lines = seen.iter().flat_map(|(_, lines)| lines);
        lines.map(|event| event["metadata"]["sequence"].as_i64().unwrap()).collect()
    }
}

fn sequence(line: &str) -> i64 {
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    event["metadata"]["sequence"].as_i64().unwrap()
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
    (1..=9).for_each(|record| {
        // Two of those that are refused stand for more than themselves.
        let weight = if matches!(record, 3 | 5) { 5 } else { 1 };
        sink.push(&Event { weight, ..event(record) }).unwrap();
    });
    assert_eq!(sink.commit(3).unwrap(), Committed { delivered: 4, rejected: 5, rejected_folded: 8 });
    assert_eq!(server.sequences(), [2, 4, 6, 8]);
    let pile = settings.letters.pile().unwrap();
    assert_eq!((pile.letters, pile.last_reason.as_deref()), (5, Some("400 Bad Request: odd")));
    assert_eq!(settings.letters.replay().unwrap(), 5);
    let willing = Server::start(false);
    // The server still refuses them: they lie there again.
    while sink.idle().unwrap() {}
    assert_eq!((settings.letters.pile().unwrap().letters, settings.letters.pile().unwrap().replaying), (5, 0));
    assert_eq!(settings.letters.replay().unwrap(), 5);
    let settings = Settings { endpoint: willing.url.clone(), batch_bytes: 600, ..settings };
    let mut sink = Poster::open(&settings).unwrap();
    let mut turns = 1;
    while sink.idle().unwrap() {
        turns += 1;
    }
    assert!(turns > 1, "a batch a turn");
    assert_eq!(willing.sequences(), [1, 3, 5, 7, 9]);
    assert_eq!(settings.letters.pile().unwrap().letters, 0);
    assert_eq!((sink.commit(4).unwrap(), settings.peek().unwrap()), (Committed::default(), 4));
}

#[test]
fn server_that_is_busy_wrongly_set_up_or_away_fails_the_sink_and_refuses_nothing() {
    for status in [
        "503 Service Unavailable",
        "429 Too Many Requests",
        "401 Unauthorized",
        "404 Not Found",
        "405 Method Not Allowed",
        "415 Unsupported Media Type",
        "301 Moved",
        "302 Found\r\nlocation: http://192.0.2.1:9/elsewhere",
        "503 Service Unavailable\r\ncontent-encoding: gzip",
    ] {
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

#[test]
fn batch_that_is_too_large_for_the_server_goes_in_parts() {
    let server = Server::answering(|body| {
        match body.len() {
            0..=1_000 => "HTTP/1.1 204 No Content\r\n\r\n",
            _ => "HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n",
        }
        .to_owned()
    });
    let folder = Folder::new();
    let settings = settings(&folder, &server, 1 << 20);
    let mut sink = Poster::open(&settings).unwrap();
    (1..=9).for_each(|record| sink.push(&event(record)).unwrap());
    let mut large = event(10);
    large.push(crate::schema::Attribute::Message, "x".repeat(1_000));
    sink.push(&large).unwrap();
    assert_eq!(sink.commit(3).unwrap(), Committed { delivered: 9, rejected: 1, rejected_folded: 0 });
    assert_eq!(server.sequences(), (1..=9).collect::<Vec<_>>());
    let pile = settings.letters.pile().unwrap();
    assert_eq!((pile.letters, pile.last_reason.as_deref()), (1, Some("413 Payload Too Large: ")));
}

#[test]
fn refused_events_are_kept_before_they_are_many_and_their_reason_is_short_and_safe() {
    let server = Server::answering(|_| {
        let body = format!("\u{1b}[31mno{}", "x".repeat(200_000));
        format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    });
    let folder = Folder::new();
    let settings = settings(&folder, &server, 600);
    let mut sink = Poster::open(&settings).unwrap();
    for record in 1..=20 {
        sink.push(&event(record)).unwrap();
        let held: usize = sink.refused.iter().map(|(event, _)| event.len()).sum();
        assert!(held <= 1_200, "{held}");
    }
    let kept = settings.letters.pile().unwrap().letters;
    assert!(kept > 10, "{kept}");
    assert_eq!(sink.commit(3).unwrap(), Committed { delivered: 0, rejected: 20, rejected_folded: 0 });
    let pile = settings.letters.pile().unwrap();
    let reason = pile.last_reason.unwrap();
    assert!(
        pile.letters == 20 && reason.len() < 600 && reason.starts_with("400 Bad Request: \\u{1b}[31mnox"),
        "{reason}"
    );
}

#[test]
fn batch_is_taken_by_its_status_and_nothing_else_is_an_answer() {
    let taken = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut";
    for (answer, is_taken) in [
        (taken, true),
        ("HTTP/1.1 202 Accepted\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", true),
        ("HTTP/1.1 200 OK\r\nconte", false),
        ("SSH-2.0-OpenSSH_9.6\r\n", false),
        ("", false),
    ] {
        let server = Server::answering(move |_| answer.to_owned());
        let folder = Folder::new();
        let settings = Settings { timeout: Duration::from_millis(300), ..settings(&folder, &server, 1 << 20) };
        let mut sink = Poster::open(&settings).unwrap();
        sink.push(&event(1)).unwrap();
        assert_eq!(sink.commit(3).is_ok(), is_taken, "{answer}");
        assert_eq!(settings.peek().unwrap(), if is_taken { 3 } else { 0 }, "{answer}");
        assert_eq!(settings.letters.pile().unwrap().letters, 0, "{answer}");
    }
}
