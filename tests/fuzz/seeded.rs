//! Promise: no bytes from outside stop either program. Every fuzz target on its seeds and, for a moment, on seeded edits of
//! them; `PICKET_FUZZ_SECONDS` asks for more than one second each, `PICKET_SEED` for other edits.
//!
//! A body that panics leaves the bytes in a file and says how to run them again.

use std::time::{Duration, Instant};

use picket_tests::fuzz::mutate::mutated;
use picket_tests::fuzz::{TARGETS, Target, target_named};
use picket_tests::harness::Seeded;

/// Says where the bytes are, should they do harm.
struct Tried<'a> {
    target: &'a Target,
    bytes: &'a [u8],
}

impl Drop for Tried<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let path = std::env::temp_dir().join(format!("picket-fuzz-{}-{}", self.target.name, std::process::id()));
            match std::fs::write(&path, self.bytes) {
                Ok(()) => println!(
                    "cargo run -p picket-tests --bin picket-fuzz -- run {} {}",
                    self.target.name,
                    path.display()
                ),
                Err(error) => println!("{} {:?} ({error})", self.target.name, self.bytes),
            }
        }
    }
}

fn holds(name: &str) {
    let target = target_named(name).expect("the target is in the table");
    let mut seeded = Seeded::new(1);
    let run = |bytes: &[u8]| {
        let tried = Tried { target, bytes };
        (target.body)(tried.bytes);
    };
    let seeds = (target.seeds)();
    seeds.iter().for_each(|seed| run(seed));
    let seconds = std::env::var("PICKET_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (end, mut runs) = (Instant::now() + Duration::from_secs(seconds), 0);
    while Instant::now() < end {
        run(&mutated(target, &seeds, &mut seeded.random));
        runs += 1;
    }
    println!("{name}: {runs} runs");
}

#[test]
fn every_target_has_a_file_for_the_fuzzer_and_a_test_here() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz");
    let here = std::fs::read_to_string(format!("{folder}/seeded.rs")).unwrap();
    let manifest = std::fs::read_to_string(format!("{folder}/Cargo.toml")).unwrap();
    for Target { name, .. } in TARGETS {
        let file = std::fs::read_to_string(format!("{folder}/fuzz_targets/{name}.rs")).unwrap_or_default();
        assert!(file.contains(&format!("\"{name}\"")), "fuzz_targets/{name}.rs does not run {name}");
        assert!(here.contains(&format!("holds(\"{name}\")")), "no test runs {name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "the manifest does not name {name}");
    }
}

#[test]
fn a_frame_of_any_bytes_is_refused_or_is_these_bytes() {
    holds("frame");
}

#[test]
fn columns_of_any_bytes_are_refused_or_every_record_is_accounted_for() {
    holds("batch");
}

#[test]
fn a_record_of_any_values_becomes_a_valid_event() {
    holds("record");
}

#[test]
fn a_log_in_any_state_opens_and_gives_what_was_put_in_in_order() {
    holds("log");
}

#[test]
fn a_journal_of_any_payloads_opens_and_takes_records() {
    holds("journal");
}

#[test]
fn control_messages_read_the_same_however_they_are_cut() {
    holds("message");
}

#[test]
fn lanes_read_the_same_however_they_are_cut() {
    holds("lane");
}

#[test]
fn an_agent_sends_no_more_than_it_may_whatever_it_is_told() {
    holds("agent_session");
}

#[test]
fn an_aggregator_keeps_its_prefixes_whatever_it_is_told() {
    holds("ingest_session");
}

#[test]
fn any_line_becomes_a_valid_event() {
    holds("line_auto");
}

#[test]
fn any_line_read_as_json_becomes_a_valid_event() {
    holds("line_json");
}

#[test]
fn any_line_read_as_syslog_becomes_a_valid_event() {
    holds("line_syslog");
}

#[test]
fn any_line_read_as_combined_becomes_a_valid_event() {
    holds("line_combined");
}

#[test]
fn any_line_read_as_web_error_becomes_a_valid_event() {
    holds("line_web_error");
}

#[test]
fn any_line_read_as_plain_becomes_a_valid_event() {
    holds("line_plain");
}

#[test]
fn any_line_read_as_any_format_becomes_a_valid_event() {
    holds("line_format");
}

#[test]
fn any_records_are_joined_or_read_alone_and_none_is_lost() {
    holds("audit_joiner");
}

#[test]
fn a_fleet_file_of_any_bytes_is_one_or_says_what_is_wrong() {
    holds("fleet_yaml");
}

#[test]
fn an_agent_file_of_any_bytes_is_one_or_says_what_is_wrong() {
    holds("agent_yaml");
}

#[test]
fn an_aggregator_file_of_any_bytes_is_one_or_says_what_is_wrong() {
    holds("aggregator_yaml");
}

#[test]
fn a_rule_of_any_bytes_is_one_or_says_what_is_wrong() {
    holds("rule");
}

#[test]
fn an_event_of_any_values_is_held_against_rules() {
    holds("match_event");
}

#[test]
fn a_file_of_parsers_of_any_bytes_is_one_or_says_what_is_wrong() {
    holds("parsers_yaml");
}

#[test]
fn a_request_of_any_bytes_is_one_or_says_what_is_wrong() {
    holds("admin_request");
}

#[test]
fn a_commit_log_of_any_bytes_takes_nothing_outside_its_lake() {
    holds("commit_log");
}

#[test]
fn a_roster_of_any_bytes_accounts_for_every_line() {
    holds("roster");
}

#[test]
fn a_token_of_any_bytes_is_refused_or_survives_its_text() {
    holds("token");
}

#[test]
fn a_certificate_of_any_bytes_is_read_or_refused() {
    holds("certificate");
}

#[test]
fn a_frame_of_any_bytes_is_decoded_within_its_bounds() {
    holds("packet_frame");
}

#[test]
fn a_capture_file_of_any_bytes_is_read_or_refused() {
    holds("packet_file");
}

#[test]
fn a_table_of_flows_keeps_its_bounds_whatever_comes() {
    holds("packet_table");
}

#[test]
fn dns_of_any_bytes_holds_and_tells_within_bounds() {
    holds("packet_dns");
}

#[test]
fn tls_of_any_bytes_holds_and_tells_within_bounds() {
    holds("packet_tls");
}

#[test]
fn quic_of_any_bytes_holds_and_tells_within_bounds() {
    holds("packet_quic");
}

#[test]
fn http_of_any_bytes_holds_and_tells_within_bounds() {
    holds("packet_http");
}

#[test]
fn ssh_of_any_bytes_holds_and_tells_within_bounds() {
    holds("packet_ssh");
}

#[test]
fn dhcp_of_any_bytes_holds_and_tells_within_bounds() {
    holds("packet_dhcp");
}

#[test]
fn ntp_of_any_bytes_holds_and_tells_within_bounds() {
    holds("packet_ntp");
}

#[test]
fn any_first_words_have_a_name_or_none() {
    holds("packet_names");
}

#[test]
fn an_answer_about_sockets_of_any_bytes_is_read() {
    holds("packet_sockets");
}

#[test]
fn a_listing_of_any_bytes_is_read() {
    holds("packet_listings");
}

#[test]
fn events_of_processes_of_any_bytes_are_read_once() {
    holds("host_events");
}

#[test]
fn a_baseline_of_any_bytes_is_refused_or_is_in_order() {
    holds("baseline");
}
