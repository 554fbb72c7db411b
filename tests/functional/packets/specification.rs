//! The captures of the Community ID specification, and the ids that its reference implementation gives them.

use std::collections::BTreeSet;

use picket_tests::harness::corpus;

use super::{Agreement, records, text};

#[test]
fn community_ids_are_those_of_the_specification() {
    let Some(folder) = corpus("pcap/community-id-spec") else { return };
    let baseline = std::fs::read(folder.join("baseline/baseline_deflt.json")).unwrap();
    let baseline: Vec<serde_json::Value> = serde_json::from_slice(&baseline).unwrap();
    let mut known = BTreeSet::new();
    for entry in std::fs::read_dir(folder.join("pcaps")).unwrap() {
        let records = records(&entry.unwrap().path()).unwrap_or_default();
        known.extend(records.iter().map(|record| text(record, "connection_info.community_uid")));
    }
    let mut agreement = Agreement::default();
    for expected in &baseline {
        let id = expected["communityid"].as_str().unwrap();
        agreement.compare("community_id", &expected.to_string(), id, known.get(id).map_or("", String::as_str));
    }
    agreement.hold("specification", &[("community_id", 100.0)]);
}
