//! Promise: what users' parsers make of lines is valid OCSF whatever they fill and capture; the grok patterns have the names
//! that users know; the example in docs/normalization.md works.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use aggregator::normalize::Format;
use aggregator::normalize::custom::{Parser, Parsers, file};
use aggregator::schema::{Attribute, Class, Kind};
use picket_tests::harness::corpus;

use super::case::Case;
use super::judge::Judge;
use super::page;

fn parsers(text: &str) -> Result<Vec<Arc<Parser>>, String> {
    file(Path::new("p.yaml"), text.as_bytes()).map_err(|problems| problems.to_string())
}

#[test]
fn the_pages_example_reads_its_own_lines() {
    let page = std::fs::read_to_string(page::path()).unwrap();
    let examples: Vec<&str> = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let examples: Vec<&&str> = examples.iter().filter(|text| text.contains("parsers:\n  - name")).collect();
    assert!(!examples.is_empty());
    for text in examples {
        let mut known = Parsers::default();
        known.add(parsers(text).unwrap());
        let (problems, lines) = known.trials();
        assert!(problems.is_empty() && lines > 0, "{problems:?}");
    }
}

/// The patterns of the reference that stand for words, numbers, addresses, paths and times: all but those of one product.
#[test]
fn grok_patterns_have_the_names_that_users_know() {
    let Some(reference) = corpus("logs/grok-patterns-core/patterns/grok-patterns") else { return };
    let reference = std::fs::read_to_string(reference).unwrap();
    let names = reference.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(' ').next());
    let mut unknown = Vec::new();
    for name in names.filter(|name| !name.is_empty()) {
        let text = format!("parsers: [{{ name: x, class: base_event, grok: '%{{{name}:it}}' }}]");
        unknown.extend(parsers(&text).err());
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// Lines of Logstash's own tests of its patterns for web servers, which the pattern of that name must take.
#[test]
fn lines_that_reference_patterns_are_tested_with_are_taken() {
    let Some(lines) = corpus("logs/grok-patterns-core/lines/httpd_spec.txt") else { return };
    let all = parsers("parsers: [{ name: x, class: base_event, grok: '%{COMBINEDAPACHELOG}' }]").unwrap();
    let judge = Judge::new(&corpus("").unwrap());
    let text = std::fs::read_to_string(lines).unwrap();
    let access: Vec<&str> = text.lines().filter(|line| line.contains("] \"") && line.ends_with('"')).collect();
    assert!(!access.is_empty());
    for line in access {
        let seen = judge.see(&Case::plain("x", 1, line), Format::custom(Arc::clone(&all[0])));
        assert!(seen.event["unmapped"]["clientip"].is_string(), "{line}\n{}", seen.event);
    }
}

/// One parser that fills one attribute from a capture beside what its class requires.
fn filling(class: Class, attribute: Attribute) -> String {
    let required = match class {
        Class::FileActivity => "file.name: f, file.type_id: 1, actor.user.name: u",
        Class::KernelExtensionActivity => "driver.file.name: f, driver.file.type_id: 1, actor.user.name: u",
        Class::KernelActivity => "kernel.name: k, kernel.type_id: 2, actor.user.name: u",
        Class::ProcessActivity => "process.pid: 7, actor.user.name: u",
        Class::PeripheralActivity => "peripheral_device.name: p, actor.user.name: u",
        Class::ScheduledJobActivity => "job.name: j",
        Class::EventLogActivity => "log_name: l",
        Class::DetectionFinding => "finding_info.uid: f, finding_info.title: t",
        Class::AccountChange => "user.name: u",
        Class::Authentication => "user.name: u, service.name: s",
        Class::GroupManagement => "group.name: g",
        Class::NtpActivity => "src_endpoint.ip: 192.0.2.1, version: '4'",
        Class::HttpActivity => "http_response.code: 200",
        Class::EmailActivity => "email.from: a@example.com, direction_id: 1",
        Class::TunnelActivity => "src_endpoint.ip: 192.0.2.1",
        Class::ApplicationLifecycle => "app.name: a",
        Class::ApiActivity => "api.operation: o, actor.user.name: u, src_endpoint.ip: 192.0.2.1",
        Class::DatastoreActivity => {
            "actor.user.name: u, src_endpoint.ip: 192.0.2.1, database.name: d, database.type_id: 1"
        }
        Class::NetworkActivity
        | Class::DnsActivity
        | Class::DhcpActivity
        | Class::RdpActivity
        | Class::SmbActivity
        | Class::SshActivity
        | Class::FtpActivity => "src_endpoint.ip: 192.0.2.1",
        _ => "",
    };
    let path = attribute.path();
    let required: Vec<&str> =
        required.split(", ").filter(|r| !r.is_empty() && !r.starts_with(&format!("{path}: "))).collect();
    let mut text = format!("parsers: [{{ name: x, class: {}, regex: '^(?<it>.*)$', static: {{ ", class.name());
    let _ = write!(text, "{} }}, fields: {{ it: '{path}' }} }}]", required.join(", "));
    text
}

#[test]
fn whatever_a_parser_fills_and_captures_its_events_are_valid() {
    let Some(folder) = corpus("") else { return };
    let judge = Judge::new(&folder);
    let (mut tried, mut problems) = (0, Vec::new());
    for class in Class::ALL {
        for attribute in class.attributes() {
            // A part alone is refused where it needs others beside it; what is not for parsers is refused always.
            let Ok(all) = parsers(&filling(class, *attribute)) else { continue };
            let values: &[&str] = match attribute.kind() {
                Kind::Text => &["some text", "192.0.2.7", "GET", "99", "-"],
                Kind::Integer | Kind::Long => &["1", "0", "99", "77", "70000", "-1", "4", "6", "9999999999", "x"],
                Kind::Bool => &["true", "maybe"],
                Kind::Float => &["1.5", "inf"],
            };
            for value in values {
                tried += 1;
                let seen = judge.see(&Case::plain("x", 1, *value), Format::custom(Arc::clone(&all[0])));
                if !seen.problems.is_empty() {
                    problems.push(format!("{} {} = {value}: {:?}", class.name(), attribute.path(), seen.problems));
                }
            }
        }
    }
    println!("{tried} events");
    assert!(tried > 3_000, "{tried}");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
