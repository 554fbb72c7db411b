//! Hostile bytes for every decoder: the bodies of the fuzz targets, and bytes to begin with.
//!
//! In: any bytes. Out: nothing; a body panics where a promise does not hold, be it only that nothing panics. The same
//! bodies run under libFuzzer (`tests/fuzz`, `cargo xtask fuzz`) and, for a bounded time, in a stable test that mutates
//! their seeds (`tests/fuzz/seeded.rs`).
//!
//! A checksum keeps a fuzzer out: where bytes carry one, a body also tries them with checksums that are right.
//!
//! A target is a function here, a line in [`TARGETS`], and a file of three lines in `tests/fuzz/fuzz_targets`.

pub mod baselines;
pub mod configs;
pub mod formats;
pub mod frames;
mod input;
pub mod lines;
pub mod logs;
pub mod matching;
pub mod mutate;
pub mod packets;
pub mod sessions;
pub mod states;
pub mod texts;
pub mod typed;
pub mod wire;

use input::Input;

/// One fuzz target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, on the command line and as a file in `tests/fuzz/fuzz_targets`.
    pub name: &'static str,
    /// What is done with the bytes.
    pub body: fn(&[u8]),
    /// Bytes of which other bytes are made: good ones, and such as once did harm.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Pieces of the language, to be put in anywhere.
    pub words: &'static [&'static [u8]],
}

const fn target(name: &'static str, body: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, body, seeds, words: &[] }
}

const fn worded(target: Target, words: &'static [&'static [u8]]) -> Target {
    Target { words, ..target }
}

/// Every target.
pub static TARGETS: &[Target] = &[
    target("frame", frames::frame, frames::frame_seeds),
    worded(target("batch", frames::batch, frames::batch_seeds), texts::JSON_WORDS),
    target("record", typed::record, typed::seeds),
    target("log", logs::log, logs::log_seeds),
    target("journal", states::journal, states::journal_seeds),
    worded(target("message", wire::message, wire::message_seeds), texts::JSON_WORDS),
    target("lane", wire::lane, wire::lane_seeds),
    target("agent_session", sessions::agent, sessions::agent_seeds),
    target("ingest_session", sessions::ingest, sessions::ingest_seeds),
    worded(target("line_auto", lines::auto, lines::seeds), lines::WORDS),
    worded(target("line_json", lines::json, lines::seeds), lines::WORDS),
    worded(target("line_syslog", lines::syslog, lines::seeds), lines::WORDS),
    worded(target("line_combined", lines::combined, lines::seeds), lines::WORDS),
    worded(target("line_web_error", lines::web_error, lines::seeds), lines::WORDS),
    worded(target("line_plain", lines::plain, lines::seeds), lines::WORDS),
    worded(target("line_format", formats::format, formats::seeds), lines::WORDS),
    worded(target("audit_joiner", formats::joiner, formats::joiner_seeds), lines::WORDS),
    worded(target("fleet_yaml", configs::fleet, configs::fleet_seeds), configs::WORDS),
    worded(target("agent_yaml", configs::agent, configs::agent_seeds), configs::WORDS),
    worded(target("aggregator_yaml", configs::aggregator, configs::aggregator_seeds), configs::WORDS),
    worded(target("rule", matching::rule, matching::rule_seeds), matching::RULE_WORDS),
    worded(target("match_event", matching::event, matching::event_seeds), texts::JSON_WORDS),
    worded(target("parsers_yaml", configs::parsers, configs::parsers_seeds), configs::WORDS),
    worded(target("admin_request", texts::request, texts::request_seeds), texts::JSON_WORDS),
    worded(target("commit_log", states::commit_log, states::commit_log_seeds), texts::JSON_WORDS),
    worded(target("roster", states::roster, states::roster_seeds), texts::JSON_WORDS),
    target("token", texts::token, texts::token_seeds),
    target("baseline", baselines::baseline, baselines::seeds),
    target("certificate", texts::certificate, texts::certificate_seeds),
    target("packet_frame", packets::frame, packets::frame_seeds),
    target("packet_file", packets::capture, packets::capture_seeds),
    target("packet_table", packets::table, packets::table_seeds),
    target("packet_dns", packets::dns, packets::dns_seeds),
    target("packet_tls", packets::tls, packets::tls_seeds),
    target("packet_quic", packets::quic, packets::quic_seeds),
    target("packet_http", packets::http, packets::http_seeds),
    target("packet_ssh", packets::ssh, packets::ssh_seeds),
    target("packet_dhcp", packets::dhcp, packets::dhcp_seeds),
    target("packet_ntp", packets::ntp, packets::ntp_seeds),
    target("packet_names", packets::names, packets::names_seeds),
    target("packet_sockets", packets::sockets, packets::sockets_seeds),
    target("packet_listings", packets::listings, packets::listings_seeds),
    target("host_events", packets::events, packets::events_seeds),
];

/// The target of this name.
#[must_use]
pub fn target_named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
