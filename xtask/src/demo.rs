//! `cargo xtask demo`: the whole of Picket on this machine, in `target/demo`, made anew each time.
//!
//! Ctrl-C reaches every process of the terminal's foreground group. Both programs end cleanly on it by themselves;
//! this one has to outlive them to say where the lake is. The standard library cannot catch a signal, so
//! after the build the screen is run by a shell that ignores SIGINT, and what ignores it at its start goes on doing so.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use xtask::corpus::Corpus;
use xtask::loopback::{Agent, Aggregator, Pace, Programs, build_folder, pause};
use xtask::scrape::Metrics;
use xtask::{Failure, Naming, Result};

use crate::install::libpcap;
use crate::release::{BOTH, release};
use crate::{number, options, root, show};

/// The hidden command that the shell runs.
pub const SCREEN: &str = "demo-screen";

/// How often the screen is drawn.
const REDRAW: Duration = Duration::from_secs(1);
/// Lines that the demo itself writes at each redraw, so that a bare container shows something.
const OWN_LINES_PER_SECOND: usize = 5;
/// The source of packets.
const NETWORK: &str = "network";
/// The source of host state.
const HOST: &str = "host";
/// What has to reach the lake: sources, and what their records are of.
const NEEDED: [(&str, &str); 3] = [("demo", "files"), (NETWORK, "packets"), (HOST, "host state")];
/// What to ask of classes that packets become.
const QUERIES: [(&str, &str); 2] = [
    ("network_activity", "time, src_endpoint.ip, dst_endpoint.ip, dst_endpoint.port, app_protocol_name, traffic.bytes"),
    ("dns_activity", "time, src_endpoint.ip, query.hostname, query.type, rcode"),
];
/// How long what was read may take to reach the lake at the end.
const SETTLE: Duration = Duration::from_secs(15);

/// Builds, then runs the screen below a shell that ignores SIGINT.
pub fn run(arguments: &[&str]) -> Result<()> {
    let [seconds] = options(arguments, ["--seconds"])?;
    seconds.map(number).transpose()?;
    libpcap()?;
    show(&mut release(&BOTH)?)?;
    let own = std::env::current_exe().naming("find the running program")?;
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' INT; exec \"$0\" \"$@\""]).arg(own).arg(SCREEN).args(arguments);
    match shell.status().naming("sh")? {
        status if status.success() => Ok(()),
        status => Err(Failure::new(format!("the demo ended with {status}"))),
    }
}

/// Starts both programs, shows what they do and says where it went.
pub fn screen(arguments: &[&str]) -> Result<()> {
    let [seconds] = options(arguments, ["--seconds"])?;
    let seconds = seconds.map(number).transpose()?;
    let programs = Programs::within(&build_folder()?.with_file_name("release"))?;
    let folder = root().join("target/demo");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).naming(folder.display())?;
    }
    let mut demo = Demo::start(&programs, &folder)?;
    let ending = demo.watch(seconds)?;
    if ending == Ending::Time {
        demo.settle();
    }
    demo.stop();
    demo.farewell();
    match ending {
        Ending::Time => demo.seen.verdict(),
        Ending::Interrupt => Ok(()),
    }
}

/// Why the screen ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// `--seconds` are over.
    Time,
    /// Ctrl-C has reached the programs.
    Interrupt,
}

struct Demo {
    aggregator: Aggregator,
    agent: Agent,
    own_log: File,
    corpus: Corpus,
    begin: Instant,
    terminal: bool,
    seen: Sight,
}

/// What both programs said last.
#[derive(Default)]
struct Sight {
    agent: Metrics,
    aggregator: Metrics,
    parquet_files: usize,
    /// Records when the time was over: those of packets never end.
    target: Option<u64>,
}

impl Demo {
    fn start(programs: &Programs, folder: &Path) -> Result<Self> {
        println!("a certificate authority, an aggregator and an enrolled agent in {}", folder.display());
        let mut aggregator = Aggregator::init(programs, &folder.join("aggregator"), Pace::BRISK)?;
        aggregator.start()?;
        let own_path = folder.join("demo.log");
        let own_log = OpenOptions::new().create(true).append(true).open(&own_path).naming(own_path.display())?;
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let hostname = if hostname.trim().is_empty() { "localhost" } else { hostname.trim() };
        let mut agent = Agent::enroll(programs, &folder.join("agent"), &aggregator, hostname, &fleet(&own_path))?;
        agent.start()?;
        let now = std::fs::metadata(&own_path).and_then(|metadata| metadata.modified()).naming(own_path.display())?;
        let unix_s = now.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let corpus = Corpus::starting(unix_s, unix_s);
        let terminal = std::io::stdout().is_terminal();
        std::thread::spawn(ask_for_a_name);
        Ok(Self { aggregator, agent, own_log, corpus, begin: Instant::now(), terminal, seen: Sight::default() })
    }

    /// Draws until the time is over, or until Ctrl-C has ended a program.
    fn watch(&mut self, seconds: Option<u64>) -> Result<Ending> {
        loop {
            self.write_own_lines()?;
            pause(REDRAW);
            if let Some(ended) = self.agent.ended()?.or(self.aggregator.ended()?) {
                let logs = self.logs();
                return if ended.success() {
                    Ok(Ending::Interrupt)
                } else {
                    Err(Failure::new(format!("a program ended with {ended}: {logs}")))
                };
            }
            self.look();
            self.draw();
            if seconds.is_some_and(|seconds| self.begin.elapsed() >= Duration::from_secs(seconds)) {
                return Ok(Ending::Time);
            }
        }
    }

    fn write_own_lines(&mut self) -> Result<()> {
        let mut lines = Vec::new();
        for _ in 0..OWN_LINES_PER_SECOND {
            self.corpus.line(&mut lines);
        }
        self.own_log.write_all(&lines).naming("write target/demo/demo.log")
    }

    /// Asks both programs; of one that does not answer right now, what it said last stands.
    fn look(&mut self) {
        if let Ok(metrics) = self.agent.metrics() {
            self.seen.agent = metrics;
        }
        if let Ok(metrics) = self.aggregator.metrics() {
            self.seen.aggregator = metrics;
        }
        self.seen.parquet_files = parquet_files(&self.aggregator.lake()).len();
    }

    fn draw(&self) {
        let seconds = self.begin.elapsed().as_secs();
        if !self.terminal {
            println!("{seconds:4} s  {}", self.seen.in_a_line());
            return;
        }
        // Home, clear: the only escape sequences that a screen of plain text needs.
        print!("\x1b[H\x1b[2J");
        println!(
            "Picket demo, {seconds} s: this machine's logs, packets and state, one agent, one aggregator. Ctrl-C ends it.\n"
        );
        println!("{}", self.seen.as_table());
        println!("http://{}/metrics", self.aggregator.http());
    }

    /// Waits until what was read is in the lake.
    fn settle(&mut self) {
        let start = Instant::now();
        self.look();
        self.seen.target = Some(self.seen.records());
        loop {
            self.look();
            let gone = !matches!(self.aggregator.ended(), Ok(None));
            if self.seen.all_delivered() || gone || start.elapsed() > SETTLE {
                return;
            }
            pause(Duration::from_millis(200));
        }
    }

    /// Ends both; after Ctrl-C they are ending already.
    fn stop(&mut self) {
        for ended in [self.agent.stop(), self.aggregator.stop()] {
            if let Err(failure) = ended {
                eprintln!("{failure}");
            }
        }
    }

    fn farewell(&self) {
        let lake = self.aggregator.lake();
        println!("\nthe lake: {} ({} Parquet files)", lake.display(), parquet_files(&lake).len());
        println!("try:      duckdb -c \"{}\"", query(&lake, &self.seen));
        println!("{}", self.seen.packets(&lake));
        println!("{}", self.seen.host(&lake));
        println!("logs:     {}", self.logs());
    }

    fn logs(&self) -> String {
        format!("{} {}", self.agent.log().display(), self.aggregator.log().display())
    }
}

impl Sight {
    fn records(&self) -> u64 {
        self.agent.count("picket_agent_source_records_total", &[])
    }

    fn delivered(&self) -> u64 {
        self.aggregator.count("picket_aggregator_sink_delivered_events_total", &[("sink", "lake")])
    }

    /// What became of this machine's packets: a query for what they were, or why there are none.
    fn packets(&self, lake: &Path) -> String {
        const CLASSES: [&str; 5] =
            ["network_activity", "dns_activity", "http_activity", "ssh_activity", "dhcp_activity"];
        let of = |name: &str| self.agent.count(name, &[("source", NETWORK)]);
        if of("picket_agent_capture_open") == 0 && of("picket_agent_capture_packets_total") == 0 {
            return "packets:  none, this user may not capture; as root, or with CAP_NET_RAW, the demo shows flows and DNS"
                .to_owned();
        }
        let (packets, records) = (of("picket_agent_capture_packets_total"), of("picket_agent_source_records_total"));
        let by_class = self.by_class();
        let seen: Vec<(&str, u64)> =
            CLASSES.into_iter().filter_map(|class| Some((class, *by_class.get(class)?))).collect();
        let counts: Vec<String> = seen.iter().map(|(class, count)| format!("{count} {class}")).collect();
        let counts = if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) };
        let mut text = format!("packets:  {packets} captured, {records} records{counts}");
        for (class, columns) in QUERIES.iter().filter(|(class, _)| seen.iter().any(|(known, _)| known == class)) {
            let files = lake.join(format!("class={class}/**/*.parquet"));
            text += &format!(
                "\n          duckdb -c \"select {columns} from '{}' order by time desc limit 10\"",
                files.display()
            );
        }
        text
    }

    /// Records of a source.
    fn records_of(&self, source: &str) -> u64 {
        self.agent.count("picket_agent_source_records_total", &[("source", source)])
    }

    /// What was told of this machine's state, with a query for what runs on it.
    fn host(&self, lake: &Path) -> String {
        let records = self.records_of(HOST);
        let mut text = format!("host:     {records} records of its state");
        if self.by_class().contains_key("evidence_info") {
            let files = lake.join("class=evidence_info/**/*.parquet");
            let columns = "query_evidence.process.pid, query_evidence.process.cmd_line";
            text += &format!(
                "\n          duckdb -c \"select {columns} from '{}' where query_evidence.query_type = 'Process' limit 10\"",
                files.display()
            );
        }
        text
    }

    fn all_delivered(&self) -> bool {
        let records = self.target.unwrap_or_else(|| self.records());
        records > 0 && self.delivered() >= records && self.parquet_files > 0
    }

    /// Raw and wire bytes.
    fn bytes(&self) -> (f64, f64) {
        let raw = self.aggregator.sum("picket_aggregator_ingest_raw_bytes_total", &[]);
        (raw, self.aggregator.sum("picket_aggregator_ingest_frame_bytes_total", &[]))
    }

    fn latency(&self) -> String {
        let at = |q| self.agent.quantile("picket_agent_uplink_ack_latency_seconds", q);
        match (at(0.5), at(0.99)) {
            (Some(p50), Some(p99)) => format!("{:.1} ms p50, {:.1} ms p99", p50 * 1e3, p99 * 1e3),
            _ => "none yet".to_owned(),
        }
    }

    fn by_class(&self) -> BTreeMap<String, u64> {
        let mut classes = BTreeMap::new();
        for sample in self.aggregator.of("picket_aggregator_events_total") {
            let class = sample.label("class").unwrap_or("?").to_owned();
            let count = self.aggregator.count("picket_aggregator_events_total", &[("class", &class)]);
            classes.insert(class, count);
        }
        classes
    }

    fn in_a_line(&self) -> String {
        let (raw, wire) = self.bytes();
        let (records, delivered) = (self.records(), self.delivered());
        let events: u64 = self.by_class().values().sum();
        let (raw, wire, latency) = (kib(raw), kib(wire), self.latency());
        format!(
            "{records} records read, {events} events, {delivered} in the lake; {raw} raw, {wire} on the wire; ack {latency}"
        )
    }

    fn as_table(&self) -> String {
        let (raw, wire) = self.bytes();
        let ratio = if wire > 0.0 { format!(" ({:.1} : 1)", raw / wire) } else { String::new() };
        let mut rows = format!("  {:<28}{:>12}\n", "records read", self.records());
        for (class, count) in self.by_class() {
            rows += &format!("  {:<28}{count:>12}\n", format!("events: {class}"));
        }
        rows += &format!("  {:<28}{:>12}\n", "in the lake", self.delivered());
        rows += &format!("  {:<28}{:>12}\n  {:<28}{:>12}{ratio}\n", "raw", kib(raw), "on the wire", kib(wire));
        rows + &format!("  {:<28}  {}\n", "ack latency", self.latency())
    }

    /// Whether events of files, of packets and of host state reached the lake.
    fn verdict(&self) -> Result<()> {
        let none: Vec<&str> =
            NEEDED.iter().filter(|(source, _)| self.records_of(source) == 0).map(|(_, what)| *what).collect();
        if !none.is_empty() {
            let none = none.join(" and none of ");
            return Err(Failure::new(format!("there are no events of {none}; what stands above says why")));
        }
        if self.all_delivered() {
            return Ok(());
        }
        let (records, delivered, files) = (self.records(), self.delivered(), self.parquet_files);
        Err(Failure::new(format!(
            "not all events reached the lake: {records} records read, {delivered} events delivered, {files} Parquet files; \
             the logs above say why"
        )))
    }
}

/// Asks the machine's resolver for a name that nobody has (RFC 6761), so that a bare container shows some DNS too.
fn ask_for_a_name() {
    use std::net::ToSocketAddrs;
    loop {
        // That there is no such name is the answer.
        let _ = ("picket-demo.invalid", 80).to_socket_addrs();
        pause(Duration::from_secs(5));
    }
}

/// This machine's logs, the file that the demo writes, this machine's packets and its state.
fn fleet(own: &Path) -> String {
    let own = own.display();
    format!(
        "version: 1\ndefaults:\n  sources:\n    demo: {{ type: file, include: [\"{own}\"], lane: high }}\n    \
         {NETWORK}: {{ type: packet, interface: any, update_interval: 10s }}\n    {HOST}: {{ type: host, interval: 10s }}\n    machine:\n      type: file\n      include:\n        - /var/log/auth.log\n        - /var/log/secure\n        \
         - /var/log/syslog\n        - /var/log/messages\n        - /var/log/cron\n        - /var/log/maillog\n        \
         - \"/var/log/*.log\"\n        - \"/var/log/*/*.log\"\n        - \"/var/log/*/*_log\"\n"
    )
}

/// A query for the class with the most events.
fn query(lake: &Path, sight: &Sight) -> String {
    let class = sight.by_class().into_iter().max_by_key(|(_, count)| *count).map_or("*".to_owned(), |(class, _)| class);
    let files = lake.join(format!("class={class}/**/*.parquet"));
    format!("select time, raw_data from '{}' order by time desc limit 10", files.display())
}

/// Every finished file of a lake.
fn parquet_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(parquet_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
    found
}

fn kib(bytes: f64) -> String {
    if bytes < 1024.0 * 1024.0 {
        format!("{:.1} KiB", bytes / 1024.0)
    } else {
        format!("{:.1} MiB", bytes / (1024.0 * 1024.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(records: u64, delivered: u64) -> Sight {
        Sight {
            agent: Metrics::parse(&format!(
                "picket_agent_source_records_total{{source=\"demo\"}} {}\npicket_agent_source_records_total{{source=\"network\"}} 1\n\
                 picket_agent_source_records_total{{source=\"host\"}} 1\n",
                records - 2
            )),
            aggregator: Metrics::parse(&format!(
                "picket_aggregator_sink_delivered_events_total{{sink=\"lake\"}} {delivered}\n\
                 picket_aggregator_events_total{{class=\"authentication\"}} 7\npicket_aggregator_events_total{{class=\"base_event\"}} 2\n"
            )),
            parquet_files: 1,
            target: None,
        }
    }

    #[test]
    fn the_demo_succeeds_only_when_all_that_was_read_is_in_the_lake() {
        assert!(sight(5, 5).verdict().is_ok());
        assert!(sight(5, 4).verdict().is_err());
        for source in ["demo", "network", "host"] {
            let page = ["demo", "network", "host"]
                .map(|of| format!("picket_agent_source_records_total{{source=\"{of}\"}} {}\n", u8::from(of != source)));
            let without = Sight { agent: Metrics::parse(&page.concat()), ..sight(5, 5) };
            assert!(without.verdict().is_err(), "without {source}");
        }
        assert!(Sight { target: Some(4), ..sight(5, 4) }.verdict().is_ok(), "what came after the time was over");
        assert!(Sight { parquet_files: 0, ..sight(5, 5) }.verdict().is_err());
    }

    #[test]
    fn packets_are_counted_with_queries_and_without_permission_it_is_said_how() {
        let lake = Path::new("/l");
        assert!(sight(5, 5).packets(lake).contains("may not capture"));
        let page = "picket_agent_capture_open{source=\"network\"} 1\npicket_agent_capture_packets_total{source=\"network\"} 90\n\
                    picket_agent_source_records_total{source=\"network\"} 8\n";
        let classes = "picket_aggregator_events_total{class=\"dns_activity\"} 3\n";
        let sight = Sight { agent: Metrics::parse(page), aggregator: Metrics::parse(classes), ..sight(5, 5) };
        let text = sight.packets(lake);
        assert!(text.starts_with("packets:  90 captured, 8 records (3 dns_activity)\n"), "{text}");
        assert!(
            text.contains("query.hostname")
                && text.contains("/l/class=dns_activity/")
                && !text.contains("src_endpoint.port")
        );
    }

    #[test]
    fn the_query_asks_for_the_class_with_the_most_events() {
        assert!(query(Path::new("/l"), &sight(5, 5)).contains("'/l/class=authentication/**/*.parquet'"));
    }

    #[test]
    fn the_fleet_file_lists_the_own_log_first() {
        let fleet = fleet(Path::new("/t/demo.log"));
        assert!(
            fleet.contains(
                "\n    demo: { type: file, include: [\"/t/demo.log\"], lane: high }\n    network: { type: packet, interface: any, update_interval: 10s }\n    host: { type: host, interval: 10s }\n    machine:\n"
            ),
            "{fleet}"
        );
        assert!(fleet.contains("\n        - \"/var/log/*.log\"\n"), "{fleet}");
    }
}
