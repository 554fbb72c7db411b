use std::future::pending;
use std::thread::JoinHandle;

use shared::identity::{AgentId, Lane};
use shared::time::Timestamp;

use super::*;
use crate::limits::LimitsReport;
use crate::source::health::HealthSnapshot;
use crate::spool::{LaneStatus, SpoolStatus};
use crate::steering::ConfigStatus;

/// An agent that is well.
pub(crate) fn report() -> StatusReport {
    let at = Timestamp::from_seconds(1_773_653_400);
    let lane = |observed| LaneStatus { bytes: 1 << 20, observed, acked: observed, ..LaneStatus::default() };
    let lanes = Lane::ALL.map(|name| (name.name().to_owned(), lane(10))).into();
    let health =
        HealthSnapshot { lines: 10, last_turn: Some(at), files: 1, files_open: 1, ..HealthSnapshot::default() };
    StatusReport {
        version: "0.1.0 (abc)".into(),
        agent: AgentId([7; 16]),
        hostname: "web-1".into(),
        at,
        uptime_seconds: 60,
        uplink: serde_json::json!({
            "connected": true, "aggregator": "agg1:7443 (192.0.2.1:7443)", "since": at.0 - 50_000_000_000,
            "sent_frames": [3, 2, 1], "acked_frames": [3, 2, 1], "sent_bytes": 2_048,
            "ack_latency_p50": 0.0012, "ack_latency_p99": 0.25,
        }),
        sources: vec![SourceStatus { name: "auth".into(), kind: "file".into(), lane: Lane::High, health }],
        unavailable: Vec::new(),
        config: ConfigStatus::default(),
        limits: LimitsReport::default(),
        configurations_refused: 0,
        spool: Some(SpoolStatus { bytes: 4 << 20, max_bytes: 1 << 30, error: None, lanes }),
        certificate_end: Some(Timestamp::from_seconds(1_773_653_400 + 60 * 86_400)),
    }
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("picket-admin-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("run/agent.sock")
    }

    fn bind(&self) -> Result<Socket, BindError> {
        bind(&self.socket(), &Writer::for_owner_of(&self.0).unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running server, stopped when dropped.
struct Server(Stop, Option<JoinHandle<()>>);

impl Server {
    fn start(folder: &Folder, patience: Duration, answers: bool) -> Self {
        let (socket, stop) = (folder.bind().unwrap(), Stop::new());
        let stopping = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            // A handler need not be Send.
            let well = std::rc::Rc::new(report());
            let status = || async { if answers { well.as_ref().clone() } else { pending().await } };
            runtime.block_on(serve_within(patience, socket, status, &stopping)).unwrap();
        });
        Self(stop, Some(thread))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.signal();
        self.1.take().unwrap().join().unwrap();
    }
}

/// What the server says to these bytes.
fn said(folder: &Folder, request: &[u8]) -> String {
    let mut stream = StdStream::connect(folder.socket()).unwrap();
    stream.write_all(request).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

#[test]
fn report_comes_over_the_socket_as_it_was_made() {
    let folder = Folder::new("report");
    let _server = Server::start(&folder, PATIENCE, true);
    assert_eq!(ask(&folder.socket()).unwrap(), report());
    assert!(said(&folder, b"{\"request\":\"status\"}\n").starts_with("{\"ok\":{\"version\""));
}

#[test]
fn socket_is_for_owner_and_group_and_goes_at_the_end() {
    let folder = Folder::new("mode");
    let server = Server::start(&folder, PATIENCE, true);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&folder.socket()), mode(folder.socket().parent().unwrap())), (0o660, 0o750));
    drop(server);
    assert!(!folder.socket().exists());
    let error = ask(&folder.socket()).unwrap_err();
    assert!(matches!(error, AskError::Absent { .. }) && error.to_string().contains("picket-agent run"), "{error}");
}

#[test]
fn stale_socket_is_replaced_and_a_live_one_or_another_file_is_not() {
    let folder = Folder::new("stale");
    drop(folder.bind().unwrap());
    // A listener of std leaves its file behind, as a killed agent does.
    drop(StdListener::bind(folder.socket()).unwrap());
    assert!(matches!(ask(&folder.socket()), Err(AskError::Absent { .. })));
    let live = folder.bind().unwrap();
    assert!(matches!(folder.bind(), Err(BindError::Taken(_))));
    drop(live);
    std::fs::write(folder.socket(), "precious").unwrap();
    assert!(matches!(folder.bind(), Err(BindError::NotASocket(_))));
    assert_eq!(std::fs::read(folder.socket()).unwrap(), b"precious");
}

#[test]
fn socket_of_another_agent_that_took_the_place_is_left() {
    let folder = Folder::new("moved");
    let first = folder.bind().unwrap();
    std::fs::remove_file(folder.socket()).unwrap();
    let second = folder.bind().unwrap();
    drop(first);
    assert!(folder.socket().exists());
    drop(second);
    assert!(!folder.socket().exists());
}

#[test]
fn path_that_is_too_long_is_refused_with_the_key_to_change() {
    let folder = Folder::new("long");
    let path = folder.0.join("x".repeat(120));
    let error = bind(&path, &Writer::for_owner_of(&folder.0).unwrap()).unwrap_err().to_string();
    assert!(error.contains("`socket` in agent.yaml"), "{error}");
}

#[test]
fn request_that_is_none_is_answered_with_what_is_wrong() {
    let folder = Folder::new("garbage");
    let _server = Server::start(&folder, PATIENCE, true);
    let long = format!("{{\"request\":\"{}\"}}\n", "x".repeat(REQUEST_BYTES_MAX));
    for (request, part) in [
        (&b"{\"request\":\"rev\\u001boke\"}\n"[..], "no such request as 'rev\\\\u{1b}oke'"),
        (b"\xff\xfe\n", "not one line of JSON"),
        (b"{}\n", "missing field"),
        (b"\n", "not one line of JSON"),
        (&long.as_bytes()[..=REQUEST_BYTES_MAX], "more than 4096 bytes"),
    ] {
        let reply = said(&folder, request);
        assert!(reply.starts_with("{\"error\":\"") && reply.contains(part), "{part}: {reply}");
    }
}

#[test]
fn those_who_say_nothing_are_let_go_and_the_next_is_answered() {
    let folder = Folder::new("silent");
    let _server = Server::start(&folder, Duration::from_millis(100), true);
    let silent: Vec<_> = (0..20).map(|_| StdStream::connect(folder.socket()).unwrap()).collect();
    assert_eq!(ask(&folder.socket()).unwrap().hostname, "web-1");
    drop(silent);
}

#[test]
fn agent_whose_spool_hangs_says_so() {
    let folder = Folder::new("hangs");
    let _server = Server::start(&folder, Duration::from_millis(200), false);
    let error = ask(&folder.socket()).unwrap_err().to_string();
    assert!(error.contains("the spool does not answer"), "{error}");
}

#[test]
fn agent_that_never_answers_is_not_waited_for() {
    let folder = Folder::new("deaf");
    let socket = folder.bind().unwrap();
    let error = ask_within(Duration::from_millis(50), &folder.socket()).unwrap_err();
    assert!(matches!(error, AskError::Silent(_)), "{error}");
    // Nobody takes connections: the queue fills, and who comes then is told at once.
    let mut waiting = Vec::new();
    while let Ok(stream) = dial(&folder.socket()) {
        waiting.push(stream);
        assert!(waiting.len() < 100_000, "the queue is bounded");
    }
    assert!(matches!(ask(&folder.socket()), Err(AskError::Silent(_))));
    drop(socket);
}

#[test]
fn reply_of_another_kind_is_not_taken_for_a_report() {
    let folder = Folder::new("other");
    let listener = StdListener::bind(folder.0.join("agent.sock")).unwrap();
    let thread = std::thread::spawn(move || {
        for reply in [&b"hello\n"[..], b""] {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 100]).unwrap();
            stream.write_all(reply).unwrap();
        }
    });
    assert!(matches!(ask(&folder.0.join("agent.sock")), Err(AskError::Unreadable(_))));
    assert!(matches!(ask(&folder.0.join("agent.sock")), Err(AskError::Silent(_))));
    thread.join().unwrap();
}
