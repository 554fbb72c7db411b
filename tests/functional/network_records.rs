//! Promise: whatever the packet source tells of becomes a valid event of its class, and nothing that it says is lost.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing on the spot"
)]

mod lake;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};

use agent::source::packet::file::CaptureFile;
use agent::source::packet::flow::Settings;
use agent::source::packet::meter::{Meter, fields};
use aggregator::event::{Event, json};
use aggregator::normalize::Origin;
use aggregator::normalize::record::record;
use aggregator::schema::Attribute;
use picket_tests::harness::{Random, corpus};
use picket_tests::ocsf::Schema;
use shared::identity::{AgentId, ChainId, Epoch, EventId, Lane};
use shared::record::Value;
use shared::time::Timestamp;

/// When every record of these tests is read: 2026-03-16T09:30:00Z.
const READ_AT: Timestamp = Timestamp::from_seconds(1_773_653_400);

/// What may stand in `unmapped` although OCSF has an attribute of that name: class, key, why.
const EXPECTED: &[(u64, &str, &str)] = &[
    (4002, "http_request.http_method", "none of the nine that OCSF takes; it is the activity's name"),
    (4002, "http_request.url.hostname", "a request without a target: OCSF requires `url_string` or `path`"),
    (4003, "answers[].flag_ids", "a list within a list has no column; `dns_flags` says the same"),
    (4003, "query.opcode_id", "a message without a question: OCSF requires `query.hostname`"),
    (4003, "query.packet_uid", "a message without a question: OCSF requires `query.hostname`"),
    (4004, "message", "what the server wrote (option 56), beside the line for people"),
    (0, "activity_id", "a message of ARP that cannot be read names no end, and OCSF requires one"),
    (0, "class_uid", "a message of ARP that cannot be read names no end, and OCSF requires one"),
];

pub(crate) struct Bench {
    pub(crate) schema: Schema,
    corpus: PathBuf,
    pub(crate) origin: Origin,
}

impl Bench {
    pub(crate) fn new() -> Option<Self> {
        let corpus = corpus("")?;
        let schema = Schema::load(&corpus.join("schema/ocsf/ocsf-1.8.0.compiled.json.zst")).unwrap();
        let origin = Origin {
            hostname: "web-1".to_owned(),
            source_name: "packets".to_owned(),
            source_type: "packet".to_owned(),
            ..Origin::default()
        };
        Some(Self { schema, corpus, origin })
    }

    /// The class of the valid event that a forged record becomes; every text that it says is in it.
    pub(crate) fn keeps_all(&self, said: &[(String, Value)], seed: u64) -> u32 {
        let (mut texts, mut class) = (Vec::new(), 0);
        said.iter().for_each(|(_, value)| told_apart(value, &mut texts));
        let json = self.event(said, |event| class = event.class.uid()).to_string();
        for text in texts {
            assert!(json.contains(&text), "seed {seed}: {text} of {said:?} is not in {json}");
        }
        class
    }

    /// The event of a record, as JSON; `seen` may look at it as it is.
    pub(crate) fn event(&self, said: &[(String, Value)], seen: impl FnOnce(&Event<'_>)) -> serde_json::Value {
        let shared = self.origin.fields();
        let chain = ChainId { agent: AgentId::default(), lane: Lane::Bulk, epoch: Epoch(1) };
        let mut event = Event::new(EventId { chain, record: 7, part: 0 }, READ_AT, READ_AT);
        event.shared = &shared;
        record(said, READ_AT, READ_AT, &self.origin, READ_AT, &mut event);
        let mut text = String::new();
        json::write(&event, &mut text);
        let json: serde_json::Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{said:?}\n{error}: {text}"));
        let problems = self.schema.problems(&json);
        assert!(problems.is_empty(), "{said:?}\n{}\n{text}", problems.join("\n"));
        let mut places: Vec<_> = event.shared.iter().chain(&event.fields).map(|f| (f.attribute, f.index)).collect();
        places.sort_unstable();
        assert!(places.windows(2).all(|pair| pair[0] != pair[1]), "said twice: {text}");
        for field in &event.fields {
            assert!(event.class.carries(field.attribute), "{} is no column: {text}", field.attribute.path());
        }
        seen(&event);
        json
    }

    /// Every record of every capture of the corpus.
    fn records(&self, mut each: impl FnMut(&Path, Vec<(String, Value)>)) {
        let mut folders = vec![self.corpus.join("pcap")];
        let mut captures = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { captures.push(path) }
            }
        }
        captures.sort();
        for path in captures {
            let Ok(mut file) = CaptureFile::open(File::open(&path).unwrap()) else { continue };
            let (mut meter, mut told) = (Meter::new(Settings::default()), Vec::new());
            while let Ok(Some(frame)) = file.next_frame() {
                meter.frame(frame.link, frame.at, frame.bytes, frame.wire_len, &mut |record| told.push(record));
            }
            meter.finish(&mut |record| told.push(record));
            told.into_iter().for_each(|record| each(&path, fields(record)));
        }
    }
}

/// A key without the numbers of elements.
fn numberless(key: &str) -> String {
    let mut out = String::new();
    for (at, piece) in key.split('[').enumerate() {
        let rest = if at == 0 { piece } else { piece.trim_start_matches(|c: char| c.is_ascii_digit()) };
        let _ = write!(out, "{}{rest}", if at == 0 { "" } else { "[" });
    }
    out
}

#[test]
fn every_record_of_every_capture_is_a_valid_event_and_nothing_with_an_attribute_is_unmapped() {
    let Some(bench) = Bench::new() else { return };
    let (mut classes, mut unmapped) = (BTreeMap::<_, usize>::new(), BTreeMap::<_, usize>::new());
    let mut wrong = Vec::new();
    bench.records(|path, said| {
        bench.event(&said, |event| {
            let uid = u64::from(event.class.uid());
            *classes.entry((uid, event.activity_id)).or_default() += 1;
            assert_ne!(event.text(Attribute::Message), None, "{}", path.display());
            for (key, _) in &event.unmapped {
                let key = numberless(key);
                let is_new = !unmapped.contains_key(&(uid, key.clone()));
                let known = EXPECTED.iter().any(|(class, name, _)| (*class, *name) == (uid, key.as_str()));
                // A list that stands in unmapped is one value there.
                let has = bench.schema.has(uid, &key) || bench.schema.has(uid, &format!("{key}[]"));
                if has && !known && is_new {
                    wrong.push(format!("{}: {uid} {key}: {:?}", path.display(), event.unmapped));
                }
                *unmapped.entry((uid, key)).or_default() += 1;
            }
        });
    });
    for ((class, activity), count) in &classes {
        println!("class {class} activity {activity}: {count}");
    }
    for ((class, key), count) in &unmapped {
        println!("unmapped {class} {key}: {count}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let of = |uid: u64| classes.iter().filter(|((class, _), _)| *class == uid).map(|(_, count)| count).sum::<usize>();
    let least = [(4001, 3_000), (4002, 400), (4003, 700), (4004, 100), (4007, 80)];
    least.into_iter().for_each(|(uid, least)| assert!(of(uid) >= least, "class {uid}: {}", of(uid)));
    assert!(of(0) < 10, "{} records are of no class", of(0));
}

/// What is made up.
pub(crate) struct Forger {
    pub(crate) random: Random,
    /// Texts that were made: each is told apart.
    pub(crate) texts: u64,
}

impl Forger {
    fn next(&mut self) -> u64 {
        self.random.bits()
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound.max(1) as u64)).unwrap()
    }

    pub(crate) fn one_of<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }

    pub(crate) fn key(&mut self) -> String {
        let path = self.one_of(Attribute::ALL).path();
        match self.below(12) {
            0 => format!("unmapped.{path}"),
            1 => path.to_owned(),
            2 => (*self.one_of(&[
                "class_uid",
                "activity_id",
                "severity_id",
                "time",
                "picket.record",
                "unmapped",
                "",
                ".",
            ]))
            .to_owned(),
            3 => path.split('.').next().unwrap().trim_end_matches("[]").to_owned(),
            _ => path.split("[]").next().unwrap().to_owned(),
        }
    }

    pub(crate) fn value(&mut self, depth: usize) -> Value {
        self.texts += 1;
        match self.below(if depth > 0 { 15 } else { 11 }) {
            0 => Value::Null,
            1 => Value::Bool(true),
            2 => Value::I64(self.next().cast_signed()),
            3 => Value::U64(self.next()),
            4 | 5 => Value::U64(self.next() % 30),
            6 => Value::U64(99),
            7 => Value::F64(f64::from_bits(self.next())),
            8 => Value::String(format!("\u{e9}\"\0<<{}>>", self.texts)),
            9 => {
                Value::String((*self.one_of(&["192.0.2.1", "::1", "02:00:00:00:00:09", "GET", "", "host"])).to_owned())
            }
            10 if self.below(2) == 0 => Value::Time(Timestamp(self.next().cast_signed())),
            10 => Value::Bytes(vec![255, 0]),
            11 => Value::List((0..self.below(4)).map(|_| self.value(depth - 1)).collect()),
            12 => Value::List((0..self.below(4)).map(|_| self.element(depth - 1)).collect()),
            _ => self.element(depth - 1),
        }
    }

    fn element(&mut self, depth: usize) -> Value {
        let names = ["rdata", "type", "type_id", "value", "algorithm", "algorithm_id", "name", "ttl", "flag_ids", "x"];
        let mut entries: Vec<(String, Value)> = Vec::new();
        for _ in 0..self.below(6) {
            entries.push(((*self.one_of(&names)).to_owned(), self.value(depth)));
        }
        Value::Map(entries)
    }

    /// A record with some fields gone, some changed, some added.
    pub(crate) fn forged(&mut self, record: &mut Vec<(String, Value)>) {
        for _ in 0..=self.below(5) {
            let at = self.below(record.len());
            match self.below(5) {
                0 | 1 if !record.is_empty() => _ = record.swap_remove(at),
                2 if !record.is_empty() => record[at].1 = self.value(3),
                3 if !record.is_empty() => {
                    let class = self.one_of(&[0, 1008, 3002, 4001, 4002, 4003, 4004, 4007, 4013, 9999]);
                    record.insert(0, ("class_uid".to_owned(), Value::U64(*class)));
                }
                _ => record.insert(at, (self.key(), self.value(3))),
            }
        }
    }
}

/// The texts that are told apart, wherever they stand.
fn told_apart(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            out.extend(text.find("<<").map(|at| text[at..].to_owned()).filter(|_| text.ends_with(">>")))
        }
        Value::List(values) => values.iter().for_each(|value| told_apart(value, out)),
        Value::Map(entries) => entries.iter().for_each(|(_, value)| told_apart(value, out)),
        _ => {}
    }
}

#[test]
fn forged_records_are_valid_events_and_lose_no_text() {
    let Some(bench) = Bench::new() else { return };
    let seed = std::env::var("PICKET_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("PICKET_SEED={seed}");
    let mut random = Forger { random: Random::new(seed), texts: 0 };
    let mut records = Vec::new();
    bench.records(|_, said| records.push(said));
    assert!(records.len() > 5_000);
    let mut classes = BTreeMap::<u32, usize>::new();
    for round in 0..20_000 {
        let mut said = if round % 3 == 0 {
            let mut said =
                vec![("class_uid".to_owned(), Value::U64(*random.one_of(&[0, 1008, 4001, 4002, 4003, 4004])))];
            said.extend((0..random.below(40)).map(|_| (random.key(), random.value(3))));
            said
        } else {
            records[random.below(records.len())].clone()
        };
        random.forged(&mut said);
        *classes.entry(bench.keeps_all(&said, seed)).or_default() += 1;
    }
    println!("{classes:?}");
    assert!(classes.len() >= 7, "{classes:?}");
}
