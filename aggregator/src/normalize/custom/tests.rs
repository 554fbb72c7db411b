//! What parsers in YAML come to, and what is said of wrong ones.

use std::path::Path;
use std::sync::Arc;

use super::{Parser, Parsers, file};
use crate::normalize::testing::{normalized_from, origin};
use crate::normalize::{Format, Origin};

const SHOP: &str = r"
patterns: { ORDER: '[A-Z]{2}-[0-9]+' }
parsers:
  - name: shop
    grok:
      - '^%{TIMESTAMP_ISO8601:at} %{LOGLEVEL:level} login %{WORD:how} user=%{USER:who}(?: from=%{IP:ip}:%{INT:port})?( order=%{ORDER:order})?$'
      - '^logout %{USER:user.name}$'
    class: authentication
    activity: Logon
    static: { service.name: shop, is_remote: true }
    fields:
      at: { path: time, type: timestamp, format: iso }
      level: severity_id
      who: user.name
      ip: src_endpoint.ip
      port: src_endpoint.port
      how: { path: status_id, values: { ok: 1, failed: 2 } }
    tests:
      - line: '2026-03-16T09:00:00Z WARN login failed user=bob from=192.0.2.7:40000 order=AB-7'
        expect: { user.name: bob, src_endpoint.ip: 192.0.2.7, status_id: 2, time: 2026-03-16T09:00:00Z, severity_id: 2, unmapped.order: AB-7 }
      - { line: anything else, matches: false }
";

fn parsers(text: &str) -> Result<Vec<Arc<Parser>>, String> {
    file(Path::new("p.yaml"), text.as_bytes()).map_err(|problems| problems.to_string())
}

fn event(parser: &Arc<Parser>, line: &str) -> serde_json::Value {
    let origin = Origin { format: Format::custom(Arc::clone(parser)), ..origin() };
    normalized_from(&origin, line.as_bytes(), None)
}

#[test]
fn captures_go_where_the_file_says_and_its_own_lines_agree() {
    let all = parsers(SHOP).unwrap();
    let mut known = Parsers::default();
    assert!(known.add(all.clone()).is_empty());
    assert_eq!(known.trials(), (Vec::new(), 2));
    let event = event(&all[0], "2026-03-16T09:00:00Z INFO login ok user=eve from=2001:db8::1:80");
    assert_eq!((&event["class_uid"], &event["activity_id"]), (&3002.into(), &1.into()));
    assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "2001:db8::1", "port": 80}));
    assert_eq!(event["service"]["name"], "shop");
    assert_eq!(event["metadata"]["log_format"], "shop");
    assert_eq!(known.format("shop").unwrap().name(), "shop");
    assert!(known.format("shp").unwrap_err().to_string().ends_with("plain, shop)"));
}

#[test]
fn a_capture_named_by_a_path_needs_no_line_in_fields() {
    let all = parsers(SHOP).unwrap();
    assert_eq!(event(&all[0], "logout bob")["user"]["name"], "bob");
}

#[test]
fn what_a_target_does_not_take_and_what_is_not_whole_is_kept_outside_ocsf() {
    let all = parsers(SHOP).unwrap();
    let event = event(&all[0], "2026-02-30T09:00:00Z INFO login odd user=eve from=192.0.2.1:70000");
    assert_eq!(event["unmapped"]["src_endpoint"]["port"], "70000", "{event}");
    assert_eq!(event["unmapped"]["status_id"], "odd");
    assert_eq!(event["unmapped"]["at"], "2026-02-30T09:00:00Z");
    let text = "parsers:\n  - { name: a, class: http_activity, regex: '(?<code>\\d+)?;(?<url>\\S+)?;(?<agent>\\S+)',\n      \
                fields: { code: http_response.code, url: http_request.url.url_string, agent: message } }\n";
    let all = parsers(text).unwrap();
    let whole = super::tests::event(&all[0], "200;;x");
    assert_eq!((&whole["class_uid"], &whole["http_response"]["code"]), (&4002.into(), &200.into()));
    let base = super::tests::event(&all[0], ";;x");
    assert_eq!((&base["class_uid"], &base["unmapped"]["class_uid"]), (&0.into(), &4002.into()));
    assert_eq!(base["message"], "x");
}

#[test]
fn a_test_that_fails_is_named_with_its_line() {
    let mut known = Parsers::default();
    known.add(
        parsers(&SHOP.replace("user.name: bob", "user.name: eve").replace("anything else", "logout eve")).unwrap(),
    );
    let (problems, tried) = known.trials();
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(tried, 2);
    assert_eq!(
        problems,
        [
            "p.yaml:20:30: parser shop: user.name is bob, not eve",
            "p.yaml:21:9: parser shop: a pattern matches it: logout eve"
        ]
    );
}

#[test]
fn mistakes_are_named_with_file_line_key_and_what_was_meant() {
    let with = |from: &str, to: &str| parsers(&SHOP.replace(from, to)).unwrap_err();
    for (from, to, sentence) in [
        ("%{USER:who}", "%{USR:who}", "p.yaml:6:9: parsers[0].grok: pattern 'USR' is not known; did you mean 'USER'?"),
        ("^logout ", "(?=x)", "p.yaml:7:9: parsers[0].grok: '(?=x)"),
        (
            "class: authentication",
            "class: authentcation",
            "p.yaml:8:12: parsers[0].class: class 'authentcation' is not known; did you mean 'authentication'?",
        ),
        (
            "activity: Logon",
            "activity: Login",
            "p.yaml:9:15: parsers[0].activity: activity 'Login' is not known; did you mean 'Logon'?",
        ),
        (
            "who: user.name",
            "who: user.nam",
            "p.yaml:14:12: parsers[0].fields.who: class authentication has no attribute 'user.nam' here; did you mean 'user.name'?",
        ),
        (
            "      who:",
            "      wo:",
            "p.yaml:14:11: parsers[0].fields.wo: there is no capture 'wo'; did you mean 'who'?",
        ),
        (
            "format: iso",
            "format: isso",
            "p.yaml:12:50: parsers[0].fields.at.format: the form 'isso' is not known; did you mean 'iso'?",
        ),
        (
            "type: timestamp, format: iso",
            "type: bool",
            "p.yaml:12:31: parsers[0].fields.at.type: time does not take values of this type",
        ),
        ("failed: 2", "failed: 7", "p.yaml:17:56: values.failed: status_id does not take '7'"),
        ("service.name: shop, ", "", "class authentication needs one of service, dst_endpoint"),
        ("is_remote: true", "is_remote: maybe", "p.yaml:10:46: static.is_remote: 'maybe' is not true or false"),
        (
            "name: shop\n    grok",
            "name: json\n    grok",
            "p.yaml:4:11: parsers[0].name: 'json' is a format of Picket's own",
        ),
        ("    static:", "    statics:", "unknown key 'statics' in parsers[0]; did you mean 'static'?"),
        ("expect:", "expct:", "did you mean 'expect'?"),
    ] {
        assert!(with(from, to).contains(sentence), "{from} -> {to}:\n{}", with(from, to));
    }
    assert!(parsers("patterns: {}\n").unwrap_err().contains("required key 'parsers' is missing"));
}

#[test]
fn any_one_byte_changed_or_the_end_cut_off_is_read_or_refused_with_a_line() {
    for at in 0..SHOP.len() {
        let mut texts = vec![SHOP.as_bytes()[..at].to_vec()];
        texts.extend(b"\0\n '%&*(){}?\\\xff".map(|byte| {
            let mut edited = SHOP.as_bytes().to_vec();
            edited[at] = byte;
            edited
        }));
        for text in texts.iter().skip(at % 14).step_by(14) {
            if let Err(problems) = file(Path::new("p.yaml"), text) {
                assert!(problems.listed().iter().all(|problem| problem.place.line >= 1));
            }
        }
    }
}
