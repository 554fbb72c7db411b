//! Rules on OCSF events: through the tables of fields and log sources, and the same in the pipeline as in a file.

use aggregator::event::{Event, json};
use aggregator::matcher::{Level, Matcher, Placeholders, Rule, Scratch, rules};
use aggregator::normalize::{Line, Origin, line};
use aggregator::schema::{Attribute, Class};
use picket_tests::harness::sigma;
use serde_json::{Map, Value};
use shared::identity::{AgentId, ChainId, Epoch, EventId, Lane};
use shared::time::Timestamp;

use super::{hits, matcher, sigmahq, wanted};

const READ_AT: Timestamp = Timestamp::from_seconds(1_773_653_400);

fn empty() -> Event<'static> {
    let chain = ChainId { agent: AgentId::default(), lane: Lane::High, epoch: Epoch(1) };
    Event::new(EventId { chain, record: 1, part: 0 }, READ_AT, READ_AT)
}

/// The event as it is read from a file.
fn object(event: &Event<'_>) -> Map<String, Value> {
    let mut text = String::new();
    json::write(event, &mut text);
    serde_json::from_str(&text).unwrap()
}

/// Which predicates take the event; panics if they differ between the pipeline and a file.
fn taken(matcher: &Matcher, event: &Event<'_>) -> Vec<usize> {
    let (mut scratch, mut found) = (Scratch::default(), Vec::new());
    matcher.matches(event, &mut scratch, &mut found);
    let object = object(event);
    assert_eq!(found, hits(matcher, &object, None, &mut scratch), "{}", Value::Object(object));
    found
}

#[test]
fn a_where_finds_paths_lists_heads_and_unmapped_keys() {
    let mut event = empty();
    event.class = Class::DnsActivity;
    event.activity_id = 6;
    event.push(Attribute::QueryHostname, "Mail.Example.com");
    event.push(Attribute::SrcEndpointIp, "::ffff:192.0.2.5");
    event.push(Attribute::Message, "a query");
    event.unmap("zone", "dmz");
    event.unmap("picket.merged", "repeats");
    for (text, expected) in [
        ("query.hostname|endswith: .example.com", true),
        ("{ class_uid: 4003, activity_id: 6, type_uid: 400306, category_uid: 4 }", true),
        ("class_name: dns activity", true),
        ("src_endpoint.ip|cidr: 192.0.2.0/24", true),
        ("src_endpoint|exists: true", true),
        ("dst_endpoint|exists: true", false),
        ("unmapped.zone: DMZ", true),
        ("zone: dmz", true),
        ("unmapped.picket.merged: repeats", true),
        ("unmapped.picket|exists: true", true),
        ("unmapped.pick|exists: true", false),
        ("QueryName|startswith: mail.", true),
        ("- class_uid: 4001\n- severity_id|gte: 1", true),
        ("user.name: null", true),
        ("query.hostname: null", false),
        ("time|year: 2026", true),
        ("[query, nothing]", true),
        ("keywords: [dmz]\nfilter: { class_uid: 4003 }\ncondition: keywords and not filter", false),
    ] {
        let matcher = Matcher::new(vec![wanted(text)]).unwrap();
        assert_eq!(!taken(&matcher, &event).is_empty(), expected, "{text}");
    }
}

#[test]
fn a_name_that_is_no_path_is_said_with_the_nearest() {
    let unknown = wanted("{ user.nmae: x, user.name: y, unmapped.any: z, CommandLine: w }");
    let unknown = unknown.unknown_fields();
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    assert_eq!((unknown[0].1, unknown[0].2), ("user.nmae", Some("user.name")));
}

#[test]
fn a_rule_of_a_log_source_is_about_its_events_only() {
    let text = "title: t\nlevel: high\nlogsource: { product: linux, service: sshd }\n\
        detection:\n  keywords: ['invalid user']\n  condition: keywords\n";
    let rule = rules("t.yml", text.as_bytes(), &Placeholders::new()).remove(0).unwrap();
    assert_eq!(rule.level, Level::High);
    let matcher = matcher([&rule]);
    let origin = Origin { hostname: "web-1".to_owned(), ..Origin::default() };
    let shared = origin.fields();
    for (raw, expected) in [
        ("Dec 10 06:55:46 h sshd[24200]: Invalid user admin from 192.0.2.7 port 22", true),
        ("Dec 10 06:55:46 h app[24200]: invalid user admin", false),
        ("Dec 10 06:55:46 h sshd[24200]: Connection closed by 192.0.2.7", false),
    ] {
        let mut event = empty();
        event.shared = &shared;
        let input = Line { raw: raw.as_bytes(), read_at: READ_AT, received_at: READ_AT, full_size: None };
        line(&input, &origin, READ_AT, &mut event);
        assert_eq!(!taken(&matcher, &event).is_empty(), expected, "{raw}");
    }
}

#[test]
fn all_rules_answer_alike_in_the_pipeline_and_from_a_file() {
    let Some((loaded, _)) = sigmahq() else { return };
    let matcher = matcher(loaded);
    let origin = Origin { hostname: "web-1".to_owned(), ..Origin::default() };
    let shared = origin.fields();
    let (mut lines, mut fired) = (0, std::collections::BTreeSet::new());
    for golden in sigma::golden("real").unwrap() {
        let raw = golden.event.get("_raw").or_else(|| golden.event.get("message")).and_then(Value::as_str);
        let Some(raw) = raw else { continue };
        let mut event = empty();
        event.shared = &shared;
        let input = Line { raw: raw.as_bytes(), read_at: READ_AT, received_at: READ_AT, full_size: None };
        line(&input, &origin, READ_AT, &mut event);
        lines += 1;
        let title = |number: usize| -> &Rule { &loaded[number] };
        let found = taken(&matcher, &event);
        // What fires on a web server's line in SigmaHQ's names fires on the event that is made of it.
        if golden.source.category.as_deref() == Some("webserver") && event.class == Class::HttpActivity {
            let ids: Vec<&str> = found.iter().map(|number| title(*number).id.as_str()).collect();
            let known = |id: &&String| loaded.iter().any(|rule| rule.id == **id);
            for id in golden.expected.iter().filter(known) {
                assert!(ids.contains(&id.as_str()), "{}: {id} does not fire: {raw}", golden.place);
            }
        }
        fired.extend(found.into_iter().map(|number| title(number).title.as_str()));
    }
    println!("{lines} lines, rules that fire: {fired:?}");
    assert!(lines > 1_000);
}
