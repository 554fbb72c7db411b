//! Promise: what real clients do over the network is told with what they said and who they were, by an agent that runs
//! as its own user with the capabilities of its unit and no others.
//!
//! Servers and clients are programs of the system: dnsmasq, python3's HTTP server, OpenSSL's and OpenSSH's.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use picket_tests::harness::{Namespace, Pair, Place, Process, await_until, skip};
use serde_json::Value;
use xtask::loopback::pause;

use super::{DEADLINE, OTHER, await_open, finish, fleet, flows, joined, spooled};

/// The agent's user; nobody else has it.
const AGENT: &str = "64123";
/// The clients' user, `nobody`: another than the agent's, and not root.
const CLIENT: &str = "65534";
/// What the unit gives.
const CAPABILITIES: [&str; 3] = ["net_raw", "sys_ptrace", "dac_read_search"];

/// Names that are answered late, soon and at once.
const NAMES: [&str; 3] = ["www.far.test", "city.test", "near.test"];
/// Of a program that ends as soon as it was answered.
const QUESTIONS: usize = 100;

/// The programs, and the argument with which each says that it is there.
const PROGRAMS: [(&str, &str); 9] = [
    ("dig", "-v"),
    ("curl", "--version"),
    ("openssl", "version"),
    ("ssh", "-V"),
    ("ssh-keygen", "-?"),
    ("sshd", "-V"),
    ("dnsmasq", "--version"),
    ("python3", "--version"),
    ("setpriv", "--version"),
];

fn program(name: &str) -> Command {
    let paths = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let found = paths.split(':').map(|folder| Path::new(folder).join(name)).find(|path| path.is_file());
    let mut command = Command::new(found.unwrap_or_else(|| name.into()));
    command.stdin(Stdio::null());
    command
}

/// Whether all of them are there; those that are not are named.
fn all_there() -> bool {
    let lacks = |(name, argument): &&(&str, &str)| program(name).arg(argument).output().is_err();
    let lacking: Vec<&str> = PROGRAMS.iter().filter(lacks).map(|(name, _)| *name).collect();
    if !lacking.is_empty() {
        skip(&format!("no {}", lacking.join(", ")));
    }
    lacking.is_empty()
}

/// Arguments of `setpriv` with which a program runs as a user with capabilities.
fn as_user(user: &str, capabilities: &[&str]) -> Vec<String> {
    let set = std::iter::once("-all".to_owned()).chain(capabilities.iter().map(|name| format!("+{name}")));
    let set = set.collect::<Vec<_>>().join(",");
    let kinds = ["inh-caps", "ambient-caps", "bounding-set"];
    let kinds = kinds.iter().map(|kind| format!("--{kind}={set}"));
    let head = ["setpriv", "--no-new-privs", "--clear-groups", "--reuid", user, "--regid", user];
    head.iter().map(|word| (*word).to_owned()).chain(kinds).collect()
}

/// A name server far away: each question it is asked is answered with [`ADDRESS`] after a while ([`pause_for`]), until it
/// goes.
struct Far {
    socket: UdpSocket,
    thread: Option<JoinHandle<()>>,
}

impl Far {
    fn start(namespace: &Namespace) -> Self {
        let socket = namespace.run(|| UdpSocket::bind((OTHER, UPSTREAM)).unwrap());
        let answering = socket.try_clone().unwrap();
        let thread = std::thread::spawn(move || {
            let mut bytes = [0; 512];
            while let Ok((len, from)) = answering.recv_from(&mut bytes) {
                if len < HEADER {
                    return;
                }
                // What is asked ends with the root's 0, a type and a class; what stands behind it is left out.
                let name = bytes[HEADER..len].iter().position(|byte| *byte == 0).unwrap();
                let mut answer = bytes[..HEADER + name + 5].to_vec();
                answer[2..HEADER].copy_from_slice(&[0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
                // The name that was asked for, A, IN, a minute.
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4].iter().chain(&ADDRESS));
                pause(pause_for(&bytes[HEADER..len]));
                answering.send_to(&answer, from).unwrap();
            }
        });
        Self { socket, thread: Some(thread) }
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        // Its own socket's end can be reached from anywhere: an empty datagram ends it.
        let sent = self.socket.local_addr().and_then(|own| self.socket.send_to(&[], own));
        if let (Ok(_), Some(thread)) = (sent, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

/// The servers, which end with it.
#[expect(dead_code, reason = "they are ended when it is dropped")]
struct Servers(Vec<Process>, Far);

/// Octets of a message's header.
const HEADER: usize = 12;
const ADDRESS: [u8; 4] = [192, 0, 2, 10];

/// How long a question for a name takes: what a server in the same city does, or one on another continent.
fn pause_for(name: &[u8]) -> Duration {
    Duration::from_millis(if name.starts_with(b"\x04city") { 2 } else { 80 })
}

const UPSTREAM: u16 = 5300;
const DNS: u16 = 53;
const HTTP: u16 = 8080;
const TLS: u16 = 8443;
const SSH: u16 = 2222;

impl Servers {
    /// All of them in a namespace, once they answer.
    fn start(namespace: &Namespace, folder: &Path) -> Self {
        let site = folder.join("site");
        std::fs::create_dir_all(&site).unwrap();
        std::fs::write(site.join("found"), "a page").unwrap();
        // Where OpenSSH's server leaves its child without rights; distributions make it at boot.
        std::fs::create_dir_all("/run/sshd").unwrap();
        let at = |name: &str| folder.join(name).display().to_string();
        let (key, certificate, host_key, other) = (at("key"), at("certificate"), at("host_key"), OTHER.to_string());
        for (name, arguments) in [
            (
                "openssl",
                format!(
                    "req -x509 -nodes -newkey rsa:2048 -subj /CN=tls.example.test -keyout {key} -out {certificate}"
                ),
            ),
            ("ssh-keygen", format!("-q -t ed25519 -N  -f {host_key}")),
        ] {
            // Split at each space: the passphrase is the empty word.
            let made = program(name).args(arguments.split(' ')).output().unwrap();
            assert!(made.status.success(), "{name}: {made:?}");
        }
        let far = Far::start(namespace);
        let servers = [
            (
                "dnsmasq",
                format!(
                    "--keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --pid-file= --user=root --cache-size=0 \
                     --listen-address={other} --bind-interfaces --server=/city.test/far.test/{other}#{UPSTREAM} \
                     --host-record=near.test,192.0.2.10 --txt-record=text.near.test,one,two"
                ),
            ),
            ("python3", format!("-m http.server --bind {other} --directory {} {HTTP}", site.display())),
            (
                "openssl",
                format!("s_server -accept {other}:{TLS} -cert {certificate} -key {key} -www -alpn h2,http/1.1"),
            ),
            ("sshd", format!("-D -e -f /dev/null -h {host_key} -o PidFile=none -o ListenAddress={other}:{SSH}")),
        ];
        let start = |(name, arguments): (&str, String)| {
            Process::start(program(name).args(arguments.split(' ')), &folder.join(format!("{name}.log"))).unwrap()
        };
        let mut servers: Vec<Process> = namespace.run(|| servers.into_iter().map(start).collect());
        for (server, port) in servers.iter_mut().zip([DNS, HTTP, TLS, SSH]) {
            await_until("a server", DEADLINE, || {
                assert!(server.ended()?.is_none(), "{}", server.last_lines());
                Ok(namespace.run(|| TcpStream::connect(SocketAddr::from((OTHER, port))).ok()).map(drop))
            })
            .unwrap();
        }
        Self(servers, far)
    }
}

/// Runs a client in a namespace as [`CLIENT`]; what it printed.
fn run(namespace: &Namespace, name: &str, arguments: &str) -> String {
    let words = as_user(CLIENT, &[]);
    let client = program(name);
    let mut command = program(&words[0]);
    command.args(&words[1..]).arg(client.get_program()).args(arguments.split(' '));
    let output = namespace.run(|| command.output().unwrap());
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The agent, stopped, is its own user's from now on.
fn give_away(pair: &Pair) {
    let owner = format!("{AGENT}:{AGENT}");
    let given = Command::new("chown").args(["-R", &owner]).arg(pair.agent.folder()).status().unwrap();
    assert!(given.success());
}

/// One query, one page, one page that is not there, one handshake, one log-in that is refused.
fn all_clients(host: &Namespace) {
    let dig = run(host, "dig", &format!("@{OTHER} +tries=1 www.far.test A"));
    assert!(dig.contains("192.0.2.10"), "{dig}");
    let dig = run(host, "dig", &format!("@{OTHER} +tcp text.near.test TXT"));
    assert!(dig.contains("\"one\" \"two\""), "{dig}");
    for page in ["found?a=1", "missing"] {
        let address = format!("http://{OTHER}:{HTTP}/{page}");
        run(host, "curl", &format!("-sS -A picket-test/1.0 -H Host:www.example.test {address}"));
    }
    let arguments = format!("s_client -connect {OTHER}:{TLS} -servername tls.example.test -alpn h2,http/1.1");
    let openssl = run(host, "openssl", &arguments);
    assert!(openssl.contains("ALPN protocol: h2"), "{openssl}");
    let options = "-F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null";
    let ssh = run(host, "ssh", &format!("{options} -p {SSH} someone@{OTHER} true"));
    assert!(ssh.contains("Permission denied"), "{ssh}");
}

/// The two hosts, the agent as its own user with `capabilities`, the servers, once all is open. None where a program
/// lacks.
struct World {
    host: Namespace,
    pair: Pair,
    servers: Servers,
    // Last: the host's goes first.
    _other: Namespace,
}

impl World {
    fn start(name: &str, capabilities: &[&str]) -> Option<Self> {
        let (host, other) = joined()?;
        if !all_there() {
            return None;
        }
        let fleet = fleet("    wire: { type: packet, interface: pk0 }\n");
        let mut pair = host.run(|| Pair::start_with(Place::new(name).unwrap(), &fleet).unwrap());
        // It is enrolled by root, and up.
        await_open(&pair, 1);
        pair.agent.stop().unwrap();
        give_away(&pair);
        let servers = Servers::start(&other, &pair.place().at("logs"));
        let words = as_user(AGENT, capabilities);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        host.run(|| pair.agent.start_by(&words)).unwrap();
        await_open(&pair, 1);
        Some(Self { host, pair, servers, _other: other })
    }

    /// Stops the agent; what it said of the wire.
    fn records(&mut self) -> Vec<Value> {
        self.pair.agent.stop().unwrap();
        spooled(&self.pair, "wire")
    }

    fn finish(self) {
        drop(self.servers);
        finish(&self.host, self.pair);
    }
}

/// The one record of a class with this value; its process is checked by name, and its user.
fn the<'a>(records: &'a [Value], class: u64, key: &str, value: &str, process: &str) -> &'a Value {
    let is = |record: &&Value| record["class_uid"] == class && record[key] == value;
    let found: Vec<&Value> = records.iter().filter(is).collect();
    let [found] = found.as_slice() else { panic!("{} records of {key} {value}: {records:#?}", found.len()) };
    // Of a question alone the user is known when its socket is.
    assert_eq!((&found["actor.user.name"], &found["actor.user.uid"]), (&"nobody".into(), &CLIENT.into()), "{found:#}");
    if process.is_empty() {
        assert!(found["actor.process.name"].is_null(), "{found:#}");
        assert_eq!(found["unmapped.process_unknown"], "not_permitted", "{found:#}");
    } else {
        assert_eq!(found["actor.process.name"], process, "{found:#}");
        let path = found["actor.process.file.path"].as_str().unwrap();
        assert_eq!(Path::new(path).file_name().unwrap(), process, "{found:#}");
        assert!(found["actor.process.pid"].as_u64().unwrap() > 1, "{found:#}");
    }
    found
}

fn is_hex(text: &Value, len: usize) -> bool {
    text.as_str().is_some_and(|text| text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// What the clients said and heard.
fn assert_told(records: &[Value], named: bool) {
    let the = |class, key: &str, value: &str, process: &str| {
        the(records, class, key, value, if named { process } else { "" })
    };
    let question = the(4003, "query.hostname", "www.far.test", "dig");
    assert_eq!((&question["query.type"], &question["rcode"]), (&"A".into(), &"NoError".into()), "{question:#}");
    assert_eq!(question["answers"][0]["rdata"], "192.0.2.10", "{question:#}");
    let question = the(4003, "query.hostname", "text.near.test", "dig");
    assert_eq!((&question["query.type"], &question["connection_info.protocol_name"]), (&"TXT".into(), &"tcp".into()));
    assert_eq!(question["answers"][0]["rdata"], "\"one\" \"two\"", "{question:#}");

    for (target, status) in [("/found?a=1", 200), ("/missing", 404)] {
        let request = the(4002, "http_request.url.url_string", target, "curl");
        assert_eq!(request["http_request.http_method"], "GET", "{request:#}");
        assert_eq!(request["http_request.url.hostname"], "www.example.test", "{request:#}");
        assert_eq!(request["http_request.user_agent"], "picket-test/1.0", "{request:#}");
        assert_eq!(request["http_response.code"], status, "{request:#}");
    }

    let handshake = the(4001, "tls.sni", "tls.example.test", "openssl");
    let ja4 = &handshake["ja4_fingerprint_list"][0]["value"];
    let [head, ciphers, extensions] = ja4.as_str().unwrap().split('_').collect::<Vec<_>>()[..] else { panic!("{ja4}") };
    // TCP, TLS 1.3, a name, ALPN h2.
    assert!(head.starts_with("t13d") && head.ends_with("h2"), "{ja4}");
    assert!(is_hex(&ciphers.into(), 12) && is_hex(&extensions.into(), 12), "{ja4}");

    let login = the(4007, "connection_info.protocol_name", "tcp", "ssh");
    for side in ["client", "server"] {
        assert!(is_hex(&login[&format!("{side}_hassh.fingerprint.value")], 32), "{login:#}");
    }
    let banners = ["unmapped.client_banner", "unmapped.server_banner"].map(|key| login[key].as_str().unwrap());
    assert!(banners.iter().all(|banner| banner.starts_with("SSH-2.0-OpenSSH")), "{login:#}");

    // The flows are theirs as well.
    for (port, process) in [(HTTP, "curl"), (TLS, "openssl"), (SSH, "ssh")] {
        let flows = flows(records, "tcp", port);
        let names: Vec<&Value> = flows.iter().map(|flow| &flow["actor.process.name"]).collect();
        let is = |name: &&Value| if named { **name == process } else { name.is_null() };
        assert!(!names.is_empty() && names.iter().all(is), "{port}: {names:?}");
    }
}

#[test]
fn what_real_clients_do_is_told_with_their_process_and_user_by_an_agent_with_the_units_capabilities() {
    // A machine that does other work may let the program of a short flow end before anyone asks: then once more.
    for attempt in 1..=3 {
        let Some(mut world) = World::start("capture-clients", &CAPABILITIES) else { return };
        let status = world.pair.agent.command(&["status"]).unwrap();
        assert!(!status.contains("runs without"), "{status}");
        all_clients(&world.host);
        let records = world.records();
        world.finish();
        match std::panic::catch_unwind(|| assert_told(&records, true)) {
            Ok(()) => return,
            Err(_) if attempt < 3 => println!("attempt {attempt} missed a process"),
            Err(cause) => std::panic::resume_unwind(cause),
        }
    }
}

#[test]
fn without_the_right_to_see_processes_all_else_is_told_and_status_says_what_is_missing() {
    let Some(mut world) = World::start("capture-unnamed", &["net_raw"]) else { return };
    let status = world.pair.agent.command(&["status"]).unwrap();
    for capability in ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"] {
        assert!(status.contains(&format!("source wire runs without {capability}: ")), "{status}");
    }
    all_clients(&world.host);
    assert_told(&world.records(), false);
    world.finish();
}

#[test]
fn questions_are_their_programs_though_it_ends_as_soon_as_it_is_answered() {
    let Some(mut world) = World::start("capture-questions", &CAPABILITIES) else { return };
    for name in NAMES {
        for _ in 0..QUESTIONS {
            run(&world.host, "dig", &format!("@{OTHER} +tries=1 {name} A"));
        }
    }
    let records = world.records();
    let shares = NAMES.map(|name| {
        let mut shares = BTreeMap::<&str, usize>::new();
        for record in records.iter().filter(|record| record["query.hostname"] == name) {
            let who = record["actor.process.name"].as_str().or(record["unmapped.process_unknown"].as_str());
            *shares.entry(who.unwrap()).or_default() += 1;
        }
        println!("{QUESTIONS} questions for {name}: {shares:?}");
        assert_eq!(shares.values().sum::<usize>(), QUESTIONS, "{name}");
        shares.get("dig").copied().unwrap_or(0)
    });
    // Who answers from its memory over a wire without length is faster than a thread wakes, and on a machine that does
    // other work the same city is: those are shown only.
    assert!(shares[0] * 10 >= QUESTIONS * 9, "{} of {QUESTIONS} are dig's", shares[0]);
    world.finish();
}
