//! Real sockets in a folder: one request, one reply, and nothing else gets through.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

struct Daemon {
    dir: PathBuf,
    stop: Stop,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Daemon {
    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("picket-admin-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn start(name: &str, handler: impl Fn(Request) -> Reply + Send + Sync + 'static) -> Self {
        let (dir, stop) = (Self::folder(name), Stop::new());
        let listener = bind(&dir.join("admin.sock"), &dir).unwrap();
        let (handler, stopped): (Handler, Stop) = (Arc::new(handler), stop.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, handler, stopped)).unwrap();
        });
        Self { dir, stop, thread: Some(thread) }
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("admin.sock")
    }

    /// What comes back for these bytes.
    fn raw(&self, bytes: &[u8]) -> Value {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.write_all(bytes).unwrap();
        let mut reply = String::new();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        stream.read_to_string(&mut reply).unwrap();
        serde_json::from_str(&reply).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop.raise(Stage::Draining);
        let ended = self.thread.take().map(std::thread::JoinHandle::join);
        let _ = std::fs::remove_dir_all(&self.dir);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

fn echo(request: Request) -> Reply {
    match request {
        Request::Revoke { agent, reason } if agent == "nobody" => Reply::error(Reason::Data, reason),
        request => Reply::ok(&request),
    }
}

#[test]
fn every_request_reaches_the_aggregator_and_its_reply_comes_back() {
    let daemon = Daemon::start("ask", echo);
    let revoke = Request::Revoke { agent: "web-1".to_owned(), reason: "stolen \"laptop\"\n".to_owned() };
    for request in [revoke, Request::Sessions, Request::Status] {
        let reply = ask(&daemon.socket(), &request).unwrap();
        assert_eq!(reply, Some(serde_json::to_value(&request).unwrap()));
    }
    let revoke = Request::Revoke { agent: "nobody".to_owned(), reason: "no such agent".to_owned() };
    let error = ask(&daemon.socket(), &revoke).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.reason()), ("no such agent", Reason::Data));
    let mode = std::fs::metadata(daemon.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, MODE);
}

#[test]
fn what_is_no_request_is_refused_by_name_and_disturbs_nobody() {
    let daemon = Daemon::start("bad", echo);
    for bytes in [&b"\n"[..], b"", b"{}\n", b"{\"request\":\"dance\"}\n", b"\xff\xfe\n", b"GET / HTTP/1.1\r\n\r\n"] {
        let reply = daemon.raw(bytes);
        assert_eq!(reply["code"], 64, "{reply}");
        assert!(reply["error"].as_str().unwrap().contains("does not know"), "{reply}");
    }
    let long = [vec![b'x'; REQUEST_BYTES_MAX + 1], vec![b'\n']].concat();
    assert_eq!(daemon.raw(&long)["error"], format!("the request is longer than {REQUEST_BYTES_MAX} bytes"));
    assert!(ask(&daemon.socket(), &Request::Status).unwrap().is_some());
}

#[test]
fn without_an_aggregator_there_is_no_answer_and_a_stale_socket_is_replaced() {
    let dir = Daemon::folder("stale");
    let path = dir.join("admin.sock");
    assert_eq!(ask(&path, &Request::Status).unwrap(), None);
    drop(bind(&path, &dir).unwrap());
    assert!(path.exists());
    assert_eq!(ask(&path, &Request::Status).unwrap(), None);
    let alive = bind(&path, &dir).unwrap();
    assert!(matches!(bind(&path, &dir), Err(BindError::Answered { .. })));
    drop(alive);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(bind(&path, &dir), Err(BindError::NotASocket { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn at_most_sixteen_are_answered_at_a_time_and_all_in_the_end() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, peak) = (Arc::clone(&now), Arc::clone(&most));
    let gate = Arc::new(std::sync::Barrier::new(CONNECTIONS_MAX as usize));
    let daemon = Daemon::start("many", move |request| {
        peak.fetch_max(counted.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // All places are taken before any is given back.
        gate.wait();
        counted.fetch_sub(1, Ordering::SeqCst);
        Reply::ok(&request)
    });
    let askers: Vec<_> = (0..CONNECTIONS_MAX * 2)
        .map(|_| {
            let socket = daemon.socket();
            std::thread::spawn(move || ask(&socket, &Request::Status).unwrap())
        })
        .collect();
    for asker in askers {
        assert!(asker.join().unwrap().is_some());
    }
    assert_eq!(most.load(Ordering::SeqCst), CONNECTIONS_MAX as usize);
}

#[test]
fn a_request_that_fails_inside_is_an_error_for_whoever_asked_alone() {
    let daemon = Daemon::start("panic", |request| {
        assert_ne!(request, Request::Sessions, "the handler's own fault");
        Reply::ok(&"fine")
    });
    assert_eq!(ask(&daemon.socket(), &Request::Sessions).unwrap_err().reason(), Reason::Internal);
    assert_eq!(ask(&daemon.socket(), &Request::Status).unwrap(), Some(Value::from("fine")));
}

#[test]
fn what_answers_nonsense_is_no_aggregator() {
    let dir = Daemon::folder("nonsense");
    let path = dir.join("admin.sock");
    let listener = UnixListener::bind(&path).unwrap();
    for reply in ["", "hello\n", "{\"code\":64}\n", "[]\n"] {
        let asking = std::thread::spawn({
            let path = path.clone();
            move || ask(&path, &Request::Status).unwrap_err()
        });
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 256]).unwrap();
        stream.write_all(reply.as_bytes()).unwrap();
        drop(stream);
        assert!(matches!(asking.join().unwrap(), AskError::Garbled { .. }), "{reply}");
    }
    std::fs::remove_dir_all(dir).unwrap();
}
