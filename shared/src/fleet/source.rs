//! The sources of a fleet file: one reader per type.

use std::time::Duration;

use crate::identity::Lane;
use crate::limits::{LINE_BYTES_DEFAULT, LINE_BYTES_MAX};
use crate::printable::Excerpt;
use crate::redact::Detector;
use crate::yaml::{Fields, Place, Read, rule};

use super::{Strictness, UNTYPED};

/// The shortest `max_line_bytes`: below it nothing is left of a line but its header.
const LINE_BYTES_MIN: u64 = 256;
/// The longest path pattern, in characters: Linux's `PATH_MAX`.
const PATTERN_CHARS_MAX: usize = 4_096;

/// The longest packet filter, in characters.
const FILTER_CHARS_MAX: usize = 4_096;
/// The longest name of an interface: Linux's `IFNAMSIZ` with its zero.
const INTERFACE_BYTES_MAX: usize = 15;

/// Keys of a file source that a later version has.
pub(super) const FILE_KEYS_LATER: [&str; 5] = ["multiline", "encoding", "ignore_older", "drop", "rate_limit"];

/// The source types, and whether this version runs them.
pub(super) const TYPES: [(&str, Type); 6] = [
    ("file", Type::File),
    ("host", Type::Host),
    ("packet", Type::Packet),
    ("journald", Type::Later),
    ("syslog", Type::Later),
    ("integrity", Type::Integrity),
];

/// What is known of a type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Type {
    File,
    Host,
    Packet,
    Integrity,
    Later,
}

/// Something that is read on a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// Its name in the fleet file, in metrics and in events.
    pub name: String,
    /// Where it stands in the fleet file.
    pub place: Place,
    /// What it reads.
    pub kind: SourceKind,
}

/// What a source reads, by type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SourceKind {
    /// Lines of files.
    File(FileSource),
    /// The state of the host.
    Host(HostSource),
    /// Packets of an interface.
    Packet(PacketSource),
    /// Whether files are what they were.
    Integrity(IntegritySource),
}

/// A source of type `integrity`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IntegritySource {
    /// Absolute paths of files and folders without wildcards; a folder stands for all that is below it. At least one.
    pub paths: Vec<String>,
    /// Globs of absolute paths that are left out, folders with all that is below them.
    pub exclude: Vec<String>,
    /// Between two looks at everything; 1 min to 7 d; default 1 h.
    pub interval: Duration,
    /// Larger files are told by size and time only, bytes; 0 to 64 GiB; default 64 MiB.
    pub hash_bytes_max: u64,
    /// Most folders that the kernel watches; the others are only scanned; 0 to 1,048,576; default 8,192.
    pub watch_max: usize,
    /// Share of one core that looking may take; 1 to 100; default 10.
    pub cpu_percent: u32,
    /// The lane; default high.
    pub lane: Lane,
}

/// The tables of host state, by their words in `tables`.
pub const HOST_TABLES: [&str; 17] = [
    "facts",
    "processes",
    "sockets",
    "users",
    "groups",
    "sessions",
    "logins",
    "packages",
    "units",
    "timers",
    "cron",
    "modules",
    "mounts",
    "sysctls",
    "privileged_files",
    "authorized_keys",
    "reboot_required",
];

/// A source of type `host`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostSource {
    /// Between two looks; 5 s to 24 h; default 60 s.
    pub interval: Duration,
    /// Between two full inventories; 1 min to 31 days; default 24 h.
    pub full_inventory: Duration,
    /// What is looked at, of [`HOST_TABLES`]; default: all.
    pub tables: Vec<&'static str>,
    /// Whether the host's load is told at every interval; default true.
    pub metrics: bool,
    /// The lane of inventory and load; default bulk. Starts and ends of processes are on lane high.
    pub lane: Lane,
}

/// A source of type `packet`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PacketSource {
    /// Name of the interface, or `any` (default) for all of them.
    pub interface: String,
    /// A filter in pcap-filter(7)'s language; none: every packet. It is compiled where it is used.
    pub filter: Option<String>,
    /// Where the filter stands in the fleet file.
    pub filter_place: Place,
    /// Bytes of a packet that are looked at; 256 to 256 KiB; default 16 KiB.
    pub snap_length: usize,
    /// Size of the ring in which the kernel leaves packets, bytes; 512 KiB to 64 MiB; default 4 MiB.
    pub buffer_bytes: usize,
    /// Whether packets for others are looked at, where the interface gets any; default false.
    pub promiscuous: bool,
    /// What is told; default: all.
    pub protocols: Vec<Protocol>,
    /// Most flows that are remembered at a time; 1,024 to 1,048,576; default 32,768.
    pub flows_max: usize,
    /// A flow that lasts is told again after this; 10 s to 24 h; default 5 min.
    pub update_interval: Duration,
    /// The lane; default bulk.
    pub lane: Lane,
}

/// What a packet source tells. All is understood whatever is told: a flow knows its protocol by what is said in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Protocol {
    /// Who spoke with whom, when, how much.
    Flow,
    /// Names that were asked for.
    Dns,
    /// Handshakes of TLS and QUIC.
    Tls,
    /// Requests and responses of HTTP/1.
    Http,
    /// Handshakes of SSH.
    Ssh,
    /// Leases of addresses.
    Dhcp,
    /// Which hardware address says to have which address.
    Arp,
}

impl Protocol {
    /// Each with its word, in the order of their documentation.
    pub const ALL: [(&'static str, Self); 7] = [
        ("flow", Self::Flow),
        ("dns", Self::Dns),
        ("tls", Self::Tls),
        ("http", Self::Http),
        ("ssh", Self::Ssh),
        ("dhcp", Self::Dhcp),
        ("arp", Self::Arp),
    ];
}

/// A source of type `file`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileSource {
    /// Globs of absolute paths; `*` does not cross a `/`, `**` does. At least one.
    pub include: Vec<String>,
    /// Globs of absolute paths that are not read although included.
    pub exclude: Vec<String>,
    /// Where a file never seen before is begun; default: its beginning.
    pub from: From,
    /// Name of the line format, `auto` to let the aggregator find out (default).
    pub format: String,
    /// The lane; default normal.
    pub lane: Lane,
    /// Longer lines are cut and flagged, bytes; 256 to [`LINE_BYTES_MAX`]; default 256 KiB.
    pub max_line_bytes: usize,
    /// Secrets of these kinds never leave the host, nor reach its spool; default none.
    pub redact: Vec<Detector>,
}

/// Where reading a new file begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// At its first byte.
    Beginning,
    /// At its last one: only what is appended from now on.
    End,
}

impl From {
    /// Each with its word.
    pub const WORDS: [(&'static str, Self); 2] = [("beginning", Self::Beginning), ("end", Self::End)];
}

/// A source that this version cannot run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unavailable {
    /// Its name in the fleet file.
    pub name: String,
    /// Where it, or the key that is in the way, stands in the fleet file.
    pub place: Place,
    /// Why it is not run: `type packet is not available in this version`.
    pub reason: String,
}

/// What a source of the file comes to on a host.
pub(super) enum Outcome {
    Run(Source),
    Unavailable(Unavailable),
    /// Switched off, or an override of something that the host does not have.
    Off,
}

/// Reads one source. `declared` is the type that some layer of the file gives this name.
pub(super) fn read(
    name: &str,
    fields: &mut Fields<'_>,
    declared: Option<&str>,
    strictness: Strictness,
) -> Read<Outcome> {
    let enabled = fields.or("enabled", "true", rule::truth);
    let own = fields.optional("type", rule::word(&TYPES.map(|(name, kind)| (name, (name, kind)))));
    let place = fields.place();
    let unavailable = |place, reason| Outcome::Unavailable(Unavailable { name: name.to_owned(), place, reason });
    let Ok(own) = own else {
        fields.allow_any_key();
        return own.map(|_| Outcome::Off);
    };
    let inherited = || TYPES.into_iter().find(|(type_name, _)| declared == Some(*type_name));
    let Some((type_name, kind)) = own.or_else(inherited) else {
        fields.allow_any_key();
        return match enabled? {
            false => Ok(Outcome::Off),
            true if declared.is_some() => Ok(Outcome::Off),
            true => Err(fields.missing("type")),
        };
    };
    match kind {
        Type::Later => {
            fields.allow_any_key();
            let reason = format!("type {type_name} is not available in this version");
            Ok(if enabled? { unavailable(place, reason) } else { Outcome::Off })
        }
        Type::Host => {
            let host = host(fields)?;
            Ok(match (enabled?, own) {
                (false, _) => Outcome::Off,
                (true, None) => untyped(name, place, strictness),
                (true, Some(_)) => Outcome::Run(Source { name: name.to_owned(), place, kind: SourceKind::Host(host) }),
            })
        }
        Type::Packet => {
            let packet = packet(fields)?;
            Ok(match (enabled?, own) {
                (false, _) => Outcome::Off,
                (true, None) => untyped(name, place, strictness),
                (true, Some(_)) => {
                    Outcome::Run(Source { name: name.to_owned(), place, kind: SourceKind::Packet(packet) })
                }
            })
        }
        Type::Integrity => {
            let whole = own.is_some() && enabled == Ok(true);
            let integrity = integrity(fields, whole)?;
            Ok(match (enabled?, own) {
                (false, _) => Outcome::Off,
                (true, None) => untyped(name, place, strictness),
                (true, Some(_)) => {
                    Outcome::Run(Source { name: name.to_owned(), place, kind: SourceKind::Integrity(integrity) })
                }
            })
        }
        Type::File => {
            let later = FILE_KEYS_LATER.map(|key| (key, fields.later(key)));
            let whole = own.is_some() && enabled == Ok(true);
            let file = file(fields, whole)?;
            if !enabled? {
                return Ok(Outcome::Off);
            }
            if own.is_none() {
                return Ok(untyped(name, place, strictness));
            }
            if let Some((key, place)) = later.into_iter().find_map(|(key, place)| Some((key, place?))) {
                return Ok(unavailable(place, format!("key '{key}' is not available in this version")));
            }
            Ok(Outcome::Run(Source { name: name.to_owned(), place, kind: SourceKind::File(file) }))
        }
    }
}

/// What a source comes to that only another group gives a type.
fn untyped(name: &str, place: Place, strictness: Strictness) -> Outcome {
    let reason = UNTYPED.to_owned();
    match strictness {
        Strictness::Host => Outcome::Unavailable(Unavailable { name: name.to_owned(), place, reason }),
        Strictness::Layer => Outcome::Off,
    }
}

/// Reads the keys of a host source.
fn host(fields: &mut Fields<'_>) -> Read<HostSource> {
    let (seconds, days) = (Duration::from_secs, |days: u64| Duration::from_secs(days * 86_400));
    let interval = fields.or("interval", "60s", rule::duration(seconds(5)..=days(1)));
    let full_inventory = fields.or("full_inventory", "24h", rule::duration(seconds(60)..=days(31)));
    let tables = fields.list("tables", rule::word(&HOST_TABLES.map(|name| (name, name))));
    let metrics = fields.or("metrics", "true", rule::truth);
    let lane = fields.or("lane", "bulk", rule::word(&Lane::ALL.map(|lane| (lane.name(), lane))));
    let tables = tables?;
    if tables.as_ref().is_some_and(Vec::is_empty) {
        return Err(
            fields.problem_at("tables", "nothing would be told; name some, or switch it off with `enabled: false`")
        );
    }
    Ok(HostSource {
        interval: interval?,
        full_inventory: full_inventory?,
        tables: tables.unwrap_or_else(|| HOST_TABLES.to_vec()),
        metrics: metrics?,
        lane: lane?,
    })
}

/// Reads the keys of a packet source.
fn packet(fields: &mut Fields<'_>) -> Read<PacketSource> {
    const INTERFACE: &str = "any";
    let interface = fields.or("interface", INTERFACE, interface);
    let filter = fields.optional("filter", rule::text(FILTER_CHARS_MAX));
    let filter_place = fields.place_of("filter");
    let snap_length = fields.or("snap_length", "16KiB", rule::size(256..=256 << 10));
    let buffer_bytes = fields.or("buffer_bytes", "4MiB", rule::size(512 << 10..=64 << 20));
    let promiscuous = fields.or("promiscuous", "false", rule::truth);
    let protocols = fields.list("protocols", rule::word(&Protocol::ALL));
    let flows_max = fields.or("flows_max", "32768", rule::number(1_024..=1 << 20));
    let day = Duration::from_secs(86_400);
    let update_interval = fields.or("update_interval", "5m", rule::duration(Duration::from_secs(10)..=day));
    let lane = fields.or("lane", "bulk", rule::word(&Lane::ALL.map(|lane| (lane.name(), lane))));
    let within = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let protocols = protocols?;
    if protocols.as_ref().is_some_and(Vec::is_empty) {
        return Err(
            fields.problem_at("protocols", "nothing would be told; name some, or switch it off with `enabled: false`")
        );
    }
    let (interface, promiscuous) = (interface?, promiscuous?);
    if promiscuous && interface == INTERFACE {
        return Err(fields.problem_at("promiscuous", "all interfaces at once cannot be; name one in `interface`"));
    }
    Ok(PacketSource {
        interface,
        filter: filter?,
        filter_place,
        snap_length: within(snap_length?),
        buffer_bytes: within(buffer_bytes?),
        promiscuous,
        protocols: protocols.unwrap_or_else(|| Protocol::ALL.map(|(_, protocol)| protocol).to_vec()),
        flows_max: within(flows_max?),
        update_interval: update_interval?,
        lane: lane?,
    })
}

/// The name of an interface: 1 to 15 bytes, no slash, no white space (Linux's `dev_valid_name`).
fn interface(text: &str) -> Result<String, String> {
    let valid = (1..=INTERFACE_BYTES_MAX).contains(&text.len())
        && !matches!(text, "." | "..")
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':'));
    if valid {
        Ok(text.to_owned())
    } else {
        Err(format!("'{}' is not the name of an interface, or any", Excerpt(text)))
    }
}

/// Reads the keys of a file source; `whole`: it is to be run, so what is required must be there.
fn file(fields: &mut Fields<'_>, whole: bool) -> Read<FileSource> {
    let include = fields.list("include", pattern);
    let exclude = fields.list("exclude", pattern);
    let from = fields.or("from", "beginning", rule::word(&From::WORDS));
    let format = fields.or("format", "auto", rule::name);
    let lane = fields.or("lane", "normal", rule::word(&Lane::ALL.map(|lane| (lane.name(), lane))));
    let default = rule::show_size(LINE_BYTES_DEFAULT as u64);
    let max_line_bytes = fields.or("max_line_bytes", &default, rule::size(LINE_BYTES_MIN..=LINE_BYTES_MAX as u64));
    let redact = fields.list("redact", rule::word(&Detector::ALL.map(|detector| (detector.name(), detector))));
    let include = include?.unwrap_or_default();
    if whole && include.is_empty() {
        return Err(fields.missing("include"));
    }
    Ok(FileSource {
        redact: redact?.unwrap_or_default(),
        include,
        exclude: exclude?.unwrap_or_default(),
        from: from?,
        format: format?,
        lane: lane?,
        max_line_bytes: usize::try_from(max_line_bytes?).unwrap_or(LINE_BYTES_MAX),
    })
}

/// Reads the keys of an integrity source; `whole`: it is to be run, so what is required must be there.
fn integrity(fields: &mut Fields<'_>, whole: bool) -> Read<IntegritySource> {
    let paths = fields.list("paths", tree);
    let exclude = fields.list("exclude", pattern);
    let week = Duration::from_secs(7 * 86_400);
    let interval = fields.or("interval", "1h", rule::duration(Duration::from_secs(60)..=week));
    let hash_bytes_max = fields.or("hash_bytes_max", "64MiB", rule::size(0..=64 << 30));
    let watch_max = fields.or("watch_max", "8192", rule::number(0..=1 << 20));
    let cpu_percent = fields.or("cpu_percent", "10", rule::number(1..=100));
    let lane = fields.or("lane", "high", rule::word(&Lane::ALL.map(|lane| (lane.name(), lane))));
    let paths = paths?.unwrap_or_default();
    if whole && paths.is_empty() {
        return Err(fields.missing("paths"));
    }
    Ok(IntegritySource {
        paths,
        exclude: exclude?.unwrap_or_default(),
        interval: interval?,
        hash_bytes_max: hash_bytes_max?,
        watch_max: usize::try_from(watch_max?).unwrap_or(usize::MAX),
        cpu_percent: u32::try_from(cpu_percent?).unwrap_or(100),
        lane: lane?,
    })
}

/// An absolute path that means itself: no wildcards, nothing that leads back, and not all of the host.
fn tree(text: &str) -> Result<String, String> {
    let text = rule::text(PATTERN_CHARS_MAX)(text)?;
    let shown = Excerpt(&text);
    let mut names = text.split('/').skip(1).filter(|name| !name.is_empty());
    if !text.starts_with('/') {
        return Err(format!("'{shown}' is not an absolute path; begin it with '/'"));
    }
    if names.clone().next().is_none() {
        return Err("'/' is all of the host; name the folders that should not change, e.g. /etc and /usr".to_owned());
    }
    if names.any(|name| matches!(name, "." | "..") || name.contains(['*', '?', '['])) || text.contains("//") {
        return Err(format!("'{shown}' is not a plain path; wildcards stand in `exclude` only"));
    }
    Ok(text)
}

/// A glob of absolute paths.
fn pattern(text: &str) -> Result<String, String> {
    let text = rule::text(PATTERN_CHARS_MAX)(text)?;
    if !text.starts_with('/') {
        return Err(format!("'{text}' is not an absolute path; begin it with '/'"));
    }
    match globset::GlobBuilder::new(&text).literal_separator(true).build() {
        Ok(_) => Ok(text),
        Err(error) => Err(error.to_string()),
    }
}
