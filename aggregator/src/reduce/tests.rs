//! Equal output whatever the batching, balanced books, and no secret behind the stage.

use std::convert::Infallible;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use shared::identity::{AgentId, ChainId, Epoch, EventId, Lane};
use shared::redact::Detector;
use shared::time::Timestamp;

use super::*;
use crate::event::{Field, Value, json};
use crate::schema::{Attribute, Class};

fn event(record: u64, agent: u8, user: &str) -> Event<'static> {
    let chain = ChainId { agent: AgentId([agent; 16]), lane: Lane::High, epoch: Epoch(1) };
    let at = Timestamp::from_ms(1_000 + i64::try_from(record).unwrap());
    let mut event = Event::new(EventId { chain, record, part: 0 }, at, at);
    event.class = Class::Authentication;
    event.activity_id = 1;
    event.push(Attribute::UserName, user.to_owned());
    event.push(Attribute::Message, format!("line {record} of {user}"));
    event
}

fn merge(by: &[&str], keep: u64) -> Merge {
    let by = by.iter().map(|name| FieldRef::parse(name).unwrap()).collect();
    Merge { name: "repeats".to_owned(), predicate: None, by, keep }
}

type Shown = Vec<(serde_json::Value, u64)>;

/// Everything that comes out of blocks of events; predicate 0 holds for users whose name begins with `x`.
fn reduced(rules: &Rules, blocks: &[Vec<Event<'static>>]) -> (Shown, Counts) {
    let mut reducer = Reducer::new(rules.clone());
    let mut out = Vec::new();
    let mut emit = |event: &Event<'_>| {
        let mut text = String::new();
        json::write(event, &mut text);
        out.push((serde_json::from_str(&text).unwrap(), event.weight));
        Ok::<_, Infallible>(())
    };
    for block in blocks {
        for event in block {
            let mut event = event.clone();
            let holds = event.text(Attribute::UserName).is_some_and(|name| name.starts_with('x'));
            if !reducer.drops(|_| holds) {
                let Ok(_) = reducer.event(&mut event, |_| holds, &mut emit);
            }
        }
        let Ok(()) = reducer.cut(&mut emit);
    }
    (out, reducer.take_counts())
}

#[test]
fn repeats_of_a_block_and_a_host_become_one_event_with_their_count() {
    let rules = Rules { merges: vec![merge(&["class_uid", "user.name"], 0)], ..Rules::default() };
    let block =
        vec![event(1, 1, "bob"), event(2, 1, "eve"), event(3, 1, "bob"), event(4, 2, "bob"), event(5, 1, "bob")];
    let (out, counts) = reduced(&rules, &[block, vec![event(6, 1, "bob")]]);
    let shown: Vec<_> = out.iter().map(|(event, weight)| (event["message"].as_str().unwrap(), *weight)).collect();
    assert_eq!(shown, [("line 1 of bob", 3), ("line 2 of eve", 1), ("line 4 of bob", 1), ("line 6 of bob", 1)]);
    let (first, alone) = (&out[0].0, &out[1].0);
    assert_eq!((&first["count"], &first["start_time"], &first["end_time"]), (&3.into(), &1001.into(), &1005.into()));
    assert_eq!(first["unmapped"]["picket"]["merged"], "repeats");
    assert!(alone.get("count").is_none() && alone.get("unmapped").is_none());
    assert_eq!((counts.events_in, counts.events_out, counts.rules[0].reduced), (6, 4, 2));
}

#[test]
fn throttle_lets_some_of_a_kind_go_on_and_says_how_many_more() {
    let rules = Rules { merges: vec![merge(&["user.name"], 2)], ..Rules::default() };
    let block: Vec<_> = (1..=7).map(|record| event(record, 1, "bob")).collect();
    let (out, counts) = reduced(&rules, &[block]);
    let weights: Vec<_> = out.iter().map(|(_, weight)| *weight).collect();
    assert_eq!(weights, [1, 1, 5]);
    assert_eq!(out[2].0["count"], 5);
    assert_eq!(out[2].0["unmapped"]["picket"]["throttled"], "repeats");
    assert_eq!(counts.events_in, weights.iter().sum::<u64>());
}

#[test]
fn event_that_says_a_count_counts_as_many() {
    let rules = Rules { merges: vec![merge(&["user.name"], 0)], ..Rules::default() };
    let mut repeated = event(2, 1, "bob");
    repeated.push(Attribute::Count, 5);
    repeated.severity_id = 4;
    let (out, _) = reduced(&rules, &[vec![event(1, 1, "bob"), repeated]]);
    assert_eq!((&out[0].0["count"], &out[0].0["severity_id"], out[0].1), (&6.into(), &4.into(), 2));
}

#[test]
fn dropped_events_are_gone_and_counted() {
    let rules = Rules { drops: vec![Drop { name: "noise".to_owned(), predicate: 0 }], ..Rules::default() };
    let (out, counts) = reduced(&rules, &[vec![event(1, 1, "xylo"), event(2, 1, "bob")]]);
    assert_eq!(out.len(), 1);
    assert_eq!((counts.rules[0].taken, counts.rules[0].reduced, counts.events_out), (1, 1, 1));
}

#[test]
fn secret_is_in_no_string_behind_the_stage_and_its_places_are_named() {
    let card = "4111 1111 1111 1111";
    let redact = |what| Redact { name: "badge".to_owned(), predicate: None, what, fields: None };
    let badge = regex::bytes::Regex::new(r"badge (?<secret>\d+)").unwrap();
    let rules = Rules {
        redacts: vec![redact(What::Detector(Detector::PaymentCard)), redact(What::Pattern(badge))],
        ..Rules::default()
    };
    let mut event = event(1, 1, "bob");
    event.push(Attribute::RawData, format!("pan {card} badge 77"));
    event.push(Attribute::ProcessCmdLine, card);
    event.is_observed = true;
    event.unmap("pan", card);
    event.unmap("raw_data_base64", BASE64.encode([b"\xff ".as_slice(), card.as_bytes()].concat()));
    let (out, counts) = reduced(&rules, &[vec![event]]);
    let text = out[0].0.to_string();
    assert!(!text.contains("1111") && !text.contains("badge 77"), "{text}");
    assert_eq!(out[0].0["raw_data"], "pan [redacted:payment_card] badge [redacted:badge]");
    let raw = BASE64.decode(out[0].0["unmapped"]["raw_data_base64"].as_str().unwrap()).unwrap();
    assert_eq!(raw, b"\xff [redacted:payment_card]");
    let observed = out[0].0["observables"].as_array().unwrap().iter().find(|one| one["name"] == "process.cmd_line");
    assert_eq!(observed.unwrap()["value"], "[redacted:payment_card]");
    let named = ["raw_data", "process.cmd_line", "unmapped.pan", "unmapped.raw_data_base64"];
    assert_eq!(out[0].0["unmapped"]["picket"]["redacted"], serde_json::json!(named));
    assert_eq!((counts.rules[0].reduced, counts.rules[1].reduced), (1, 1));
}

#[test]
fn secret_that_a_word_beside_it_gives_away_is_redacted_where_it_stands_alone_too() {
    let what = What::Detector(Detector::Password);
    let rule = Redact { name: "passwords".to_owned(), predicate: None, what, fields: None };
    let rules = Rules { redacts: vec![rule], ..Rules::default() };
    let mut event = event(1, 1, "hunter2-of-bob");
    event.push(Attribute::RawData, r#"{"password":"hunter2-of-bob","pin_secret":1234,"next":"x"}"#);
    event.unmap("login.password", "hunter2-of-bob");
    event.unmap("login.text", "it was hunter2-of-bob, not bob");
    event.unmap("pin_secret", 1234);
    event.unmap("env.PWD", "/srv");
    let (out, _) = reduced(&rules, &[vec![event]]);
    let event = &out[0].0;
    assert!(!event.to_string().contains("hunter2"), "{event}");
    assert_eq!(event["unmapped"]["login"]["text"], "it was [redacted:password], not bob");
    assert_eq!(event["unmapped"]["login"]["password"], "[redacted:password]");
    assert_eq!(event["unmapped"]["pin_secret"], "[redacted:password]");
    assert_eq!(event["unmapped"]["env"]["PWD"], "/srv");
    assert_eq!(event["user"]["name"], "[redacted:password]");
}

#[test]
fn secret_in_what_a_run_shares_in_keys_and_in_numbers_is_gone_and_a_run_without_one_stays_shared() {
    let card = "4111111111111111";
    let what = What::Detector(Detector::PaymentCard);
    let rule = Redact { name: "cards".to_owned(), predicate: None, what, fields: None };
    let rules = Rules { redacts: vec![rule], ..Rules::default() };
    let field = |attribute, value: &str| Field { attribute, index: 0, value: Value::from(value.to_owned()) };
    let runs = [
        [field(Attribute::DeviceHostname, "web-1"), field(Attribute::MetadataLogName, "/var/log/app.log")],
        [field(Attribute::DeviceHostname, "web-1"), field(Attribute::MetadataLogName, "/var/log/4111111111111111.log")],
    ];
    let mut reducer = Reducer::new(rules);
    for (record, run) in [(1, 0), (2, 1), (3, 0), (4, 1)] {
        let mut event = event(record, 1, "bob");
        (event.shared, event.run) = (&runs[run], 1 + run as u64);
        if record == 3 {
            event.unmap(format!("paid {card}"), 1);
            event.unmap("pan", 4_111_111_111_111_111_i64);
            event.push(Attribute::TrafficBytes, 4_111_111_111_111_111_i64);
        }
        let shared = std::cell::Cell::new(0);
        let Ok(_) = reducer.event(&mut event, |_| false, &mut |event| {
            let mut text = String::new();
            json::write(event, &mut text);
            assert!(!text.contains(card), "{text}");
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            let redacted = &json["unmapped"]["picket"]["redacted"];
            match (record, run) {
                (3, _) => {
                    let named = ["unmapped.paid [redacted:payment_card]", "unmapped.pan", "traffic.bytes"];
                    assert_eq!(*redacted, serde_json::json!(named));
                    assert_eq!(json["unmapped"]["traffic"]["bytes"], "[redacted:payment_card]");
                }
                (_, 0) => assert!(redacted.is_null(), "{text}"),
                _ => {
                    assert_eq!(*redacted, "metadata.log_name");
                    assert_eq!(json["metadata"]["log_name"], "/var/log/[redacted:payment_card].log");
                    assert_eq!(json["device"]["hostname"], "web-1");
                }
            }
            shared.set(event.shared.len());
            Ok::<_, Infallible>(())
        });
        assert_eq!(shared.get(), if run == 0 { 2 } else { 0 }, "record {record}");
    }
}

#[test]
fn password_of_the_line_is_found_in_the_path_of_its_log_too() {
    let what = What::Detector(Detector::Password);
    let rule = Redact { name: "passwords".to_owned(), predicate: None, what, fields: None };
    let shared = [Field { attribute: Attribute::MetadataLogName, index: 0, value: "/srv/hunter2-of-bob.log".into() }];
    let mut event = event(1, 1, "bob");
    (event.shared, event.run) = (&shared, 1);
    event.push(Attribute::RawData, "password=hunter2-of-bob");
    let Ok(_) =
        Reducer::new(Rules { redacts: vec![rule], ..Rules::default() }).event(&mut event, |_| false, &mut |event| {
            assert_eq!(event.text(Attribute::MetadataLogName), Some("/srv/[redacted:password].log"));
            Ok::<_, Infallible>(())
        });
}

#[test]
fn narrowed_rule_leaves_other_strings_but_no_copy_of_what_it_takes() {
    let fields = Some(vec![FieldRef::parse("user.name").unwrap()]);
    let what = What::Detector(Detector::PaymentCard);
    let rules =
        Rules { redacts: vec![Redact { name: "cards".to_owned(), predicate: None, what, fields }], ..Rules::default() };
    let mut event = event(1, 1, "4111111111111111");
    event.unmap("pan", "4111111111111111");
    let (out, _) = reduced(&rules, &[vec![event]]);
    assert_eq!(out[0].0["user"]["name"], "[redacted:payment_card]");
    assert_eq!(out[0].0["message"], "line 1 of [redacted:payment_card]");
    assert_eq!(out[0].0["unmapped"]["pan"], "4111111111111111");
}

#[test]
fn kinds_of_a_block_are_bounded_and_what_is_beyond_goes_on() {
    let rules = Rules { merges: vec![merge(&["user.name"], 0)], ..Rules::default() };
    let mut reducer = Reducer::new(rules);
    let (mut out, count) = (0_u64, KEYS_MAX as u64 + 10);
    let mut emit = |event: &Event<'_>| {
        out += event.weight;
        Ok::<_, Infallible>(())
    };
    for record in 1..=count {
        let Ok(_) = reducer.event(&mut event(record, 1, &record.to_string()), |_| false, &mut emit);
    }
    let Ok(()) = reducer.cut(&mut emit);
    assert_eq!(out, count);
    assert!(reducer.take_counts().rules[0].overflowed >= 10);
}

#[test]
fn fields_are_named_as_rules_name_them() {
    assert_eq!(FieldRef::parse("answers.rdata"), Ok(FieldRef::Attribute(Attribute::AnswersRdata)));
    assert_eq!(FieldRef::parse("unmapped.a.b"), Ok(FieldRef::Unmapped("a.b".to_owned())));
    let error = FieldRef::parse("user.nam").unwrap_err().to_string();
    assert!(error.contains("'user.name'"), "{error}");
    let keys = |values: &[&str]| {
        let mut event = event(1, 1, "");
        for value in values {
            event.unmap("k", Value::from((*value).to_owned()));
        }
        let mut key = Vec::new();
        FieldRef::parse("unmapped.k").unwrap().key(&event, &mut key);
        key
    };
    assert_ne!(keys(&["ab", "c"]), keys(&["a", "bc"]));
    assert_ne!(keys(&[]), keys(&[""]));
}
