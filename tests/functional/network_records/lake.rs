//! Promise: events of the network stand in the lake under their classes, with a column for each thing that is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use aggregator::event::Event;
use aggregator::normalize::record::record;
use aggregator::sink::Sink;
use aggregator::sink::parquet::Lake;
use parquet::file::reader::{FileReader, SerializedFileReader};
use picket_tests::harness::Place;
use picket_tests::harness::parquet_files;
use shared::identity::{AgentId, ChainId, Epoch, EventId, Lane};
use shared::record::Value;

use super::{Bench, READ_AT};

/// Columns of each class that have a value in the corpus: what is searched for.
const ASKED: &[(&str, &[&str])] = &[
    (
        "network_activity",
        &[
            "src_endpoint.ip",
            "src_endpoint.mac",
            "dst_endpoint.port",
            "connection_info.community_uid",
            "connection_info.flag_history",
            "traffic.bytes_out",
            "traffic.packets_in",
            "app_protocol_name",
            "duration",
            "tls.sni",
            "tls.client_ciphers.list.element",
            "tls.certificate.sans.list.element.name",
            "tls.certificate.fingerprints.list.element.value",
            "tls.tls_extension_list.list.element.type_id",
            "ja4_fingerprint_list.list.element.value",
            "status_id",
            "observables.list.element.value",
        ],
    ),
    ("dns_activity", &["query.hostname", "query.type", "answers.list.element.rdata", "rcode_id", "response_time"]),
    (
        "http_activity",
        &[
            "http_request.http_method",
            "http_request.url.hostname",
            "http_request.user_agent",
            "http_request.x_forwarded_for.list.element",
            "http_response.code",
            "http_response.latency",
        ],
    ),
    ("dhcp_activity", &["transaction_uid", "lease_dur", "src_endpoint.mac", "src_endpoint.hostname", "relay.ip"]),
    ("ssh_activity", &["client_hassh.fingerprint.value", "server_hassh.algorithm", "protocol_ver"]),
];

/// Puts records into a lake, and gives how many of each class there were.
fn fill(bench: &Bench, lake: &mut Lake, records: &[Vec<(String, Value)>], first: u64) -> BTreeMap<&'static str, u64> {
    let shared = bench.origin.fields();
    let chain = ChainId { agent: AgentId::default(), lane: Lane::Bulk, epoch: Epoch(1) };
    let mut counts = BTreeMap::new();
    for (number, said) in (first..).zip(records) {
        let mut event = Event::new(EventId { chain, record: number, part: 0 }, READ_AT, READ_AT);
        (event.shared, event.run) = (&shared, 1);
        record(said, READ_AT, READ_AT, &bench.origin, READ_AT, &mut event);
        lake.push(&event).unwrap();
        *counts.entry(event.class.name()).or_default() += 1;
    }
    counts
}

fn records(bench: &Bench) -> Vec<Vec<(String, Value)>> {
    let mut records = Vec::new();
    bench.records(|_, said| records.push(said));
    records
}

/// Rows of each class, and its columns that have values.
fn read(folder: &Path) -> BTreeMap<String, (u64, BTreeSet<String>)> {
    let mut classes = BTreeMap::<String, (u64, BTreeSet<String>)>::new();
    for path in parquet_files(folder).unwrap() {
        let class = path.iter().find_map(|part| part.to_str()?.strip_prefix("class=")).unwrap();
        let (rows, columns) = classes.entry(class.to_owned()).or_default();
        let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
        for group in reader.metadata().row_groups() {
            *rows += u64::try_from(group.num_rows()).unwrap();
            // Of a list, values count its elements, and rows without it.
            let full = group.columns().iter().filter(|column| {
                let nulls = column.statistics().and_then(|statistics| statistics.null_count_opt());
                nulls.is_none_or(|nulls| nulls < u64::try_from(column.num_values()).unwrap())
            });
            columns.extend(full.map(|column| column.column_path().string()));
        }
    }
    classes
}

#[test]
fn every_record_of_the_corpus_has_its_row_and_what_is_asked_for_its_column() {
    let Some(bench) = Bench::new() else { return };
    let place = Place::new("network-lake").unwrap();
    let records = records(&bench);
    let mut lake = Lake::open(place.path()).unwrap();
    let counts = fill(&bench, &mut lake, &records, 1);
    assert_eq!(lake.commit(1).unwrap().delivered, records.len() as u64);
    let classes = read(place.path());
    let rows: BTreeMap<&str, u64> = classes.iter().map(|(class, (rows, _))| (class.as_str(), *rows)).collect();
    assert_eq!(rows, counts);
    assert!(!classes["dns_activity"].1.contains("actor.process.uid"), "a column without values is one");
    for (class, asked) in ASKED {
        let (_, columns) = &classes[*class];
        for column in *asked {
            assert!(columns.contains(*column), "{class} has no value in {column}");
        }
    }
}

#[test]
#[ignore = "a measurement: cargo test --release -p picket-tests --test functional -- --ignored --nocapture cost_of_network"]
fn cost_of_network_records() {
    const ROUNDS: u64 = 64;
    let Some(bench) = Bench::new() else { return };
    let records = records(&bench);
    let per_round = records.len() as u64;
    let place = Place::new("network-cost").unwrap();
    let mut lake = Lake::open(place.path()).unwrap();
    println!("before: {}", resident());
    let began = Instant::now();
    for round in 0..ROUNDS {
        fill(&bench, &mut lake, &records, 1 + round * per_round);
        if round % 16 == 15 {
            lake.commit(round + 1).unwrap();
            println!("after {} records: {}", (round + 1) * per_round, resident());
        }
    }
    let took = began.elapsed();
    let files = parquet_files(place.path()).unwrap();
    let bytes: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
    let all = ROUNDS * per_round;
    println!(
        "{all} records: {} ns and {} bytes of lake each, {} files",
        took.as_nanos() / u128::from(all),
        bytes / all,
        files.len()
    );
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS")).collect::<Vec<_>>().join(" ")
}
