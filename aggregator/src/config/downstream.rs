//! What is done with events behind the journal: `reduce`, `routes`, `networks`.
//!
//! In: the keys of aggregator.yaml. Out: [`Downstream`]: every predicate of the file compiled together, and rules and routes
//! that name them by number.

use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};
use shared::printable::Excerpt;
use shared::redact::Detector;
use shared::yaml::{Fields, Place, Read, rule};

use crate::matcher::{Matcher, Predicate};
use crate::normalize::custom::Parsers;
use crate::normalize::networks::{Network, Networks};
use crate::reduce::{Drop, FieldRef, Merge, PredicateId, Redact, Rules, What};
use crate::route::Route;

/// Longest pattern of a redaction, in characters.
const PATTERN_CHARS_MAX: usize = 4_096;
/// Most memory of a compiled pattern.
const PATTERN_BYTES_MAX: usize = 4 << 20;
/// Longest name of a field in a rule, in characters.
const FIELD_CHARS_MAX: usize = 256;
/// Most events of a kind that a merge lets go on.
const KEEP_MAX: u64 = 1_000_000;

/// What is done with events behind the journal.
#[derive(Clone, Debug)]
pub struct Downstream {
    /// Every predicate of the file; rules and routes name them by number.
    pub matcher: Arc<Matcher>,
    /// What is dropped, redacted and merged.
    pub rules: Rules,
    /// Which events go where, in order of the file.
    pub routes: Vec<Route>,
    /// Names of networks.
    pub networks: Networks,
    /// The parsers that users wrote; none before [`Texts::of`](super::Texts::of) read their files.
    pub parsers: Arc<Parsers>,
}

/// Collects the predicates of a file.
#[derive(Default)]
struct Predicates {
    all: Vec<Predicate>,
    names: Vec<String>,
}

impl Predicates {
    /// Reads `where`; none where it is absent.
    fn read(&mut self, fields: &mut Fields<'_>) -> Read<Option<PredicateId>> {
        let Some(node) = fields.raw("where") else { return Ok(None) };
        match Predicate::parse(node) {
            Ok(predicate) => {
                for (place, name, nearest) in predicate.unknown_fields() {
                    let hint = nearest.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
                    let message = format!("'{}' is no OCSF path: it is looked for in unmapped{hint}", Excerpt(name));
                    fields.warn(place, message);
                }
                self.all.push(predicate);
                Ok(Some(self.all.len() - 1))
            }
            Err(wrong) => {
                let mut reported = None;
                for wrong in wrong {
                    reported = Some(fields.problem(wrong.place, format!("where: {}", wrong.message)));
                }
                Err(reported.unwrap_or_else(|| fields.problem_at("where", "cannot be read")))
            }
        }
    }

    /// Reads the name of a rule, which no other has.
    fn name(&mut self, fields: &mut Fields<'_>) -> Read<String> {
        let name = fields.required("name", rule::name)?;
        if self.names.contains(&name) {
            return Err(fields.problem_at("name", format_args!("another rule is named '{name}'")));
        }
        self.names.push(name.clone());
        Ok(name)
    }
}

/// Reads the keys; `sinks` are the valid targets of routes, absent when they could not be read themselves.
pub(super) fn downstream(fields: &mut Fields<'_>, sinks: Option<&[&str]>) -> Read<Downstream> {
    let mut predicates = Predicates::default();
    let rules = reduce(fields, &mut predicates);
    let routes = routes(fields, sinks, &mut predicates);
    let networks = networks(fields);
    let (rules, routes, networks) = (rules?, routes?, networks?);
    let matcher = Matcher::new(predicates.all).map_err(|error| fields.problem(fields.place(), error.to_string()))?;
    Ok(Downstream { matcher: Arc::new(matcher), rules, routes, networks, parsers: Arc::default() })
}

enum ReduceRule {
    Drop(Drop),
    Redact(Redact),
    Merge(Merge),
}

fn reduce(fields: &mut Fields<'_>, predicates: &mut Predicates) -> Read<Rules> {
    let read = fields.maps("reduce", |item| {
        let given = ["drop", "redact", "merge"].map(|key| item.raw(key).is_some());
        match given {
            [true, false, false] => item.map("drop", |fields| drop_rule(fields, predicates)).map(ReduceRule::Drop),
            [false, true, false] => {
                item.map("redact", |fields| redact_rule(fields, predicates)).map(ReduceRule::Redact)
            }
            [false, false, true] => item.map("merge", |fields| merge_rule(fields, predicates)).map(ReduceRule::Merge),
            _ => Err(item.problem(item.place(), "a rule is one of drop, redact, merge".to_owned())),
        }
    })?;
    let mut rules = Rules::default();
    for rule in read.unwrap_or_default() {
        match rule {
            ReduceRule::Drop(rule) => rules.drops.push(rule),
            ReduceRule::Redact(rule) => rules.redacts.push(rule),
            ReduceRule::Merge(rule) => rules.merges.push(rule),
        }
    }
    Ok(rules)
}

fn drop_rule(fields: &mut Fields<'_>, predicates: &mut Predicates) -> Read<Drop> {
    let name = predicates.name(fields);
    let predicate = predicates.read(fields);
    let (name, predicate) = (name?, predicate?);
    let Some(predicate) = predicate else {
        return Err(fields.problem(fields.place(), format!("rule '{name}' would drop every event: it needs a `where`")));
    };
    Ok(Drop { name, predicate })
}

fn redact_rule(fields: &mut Fields<'_>, predicates: &mut Predicates) -> Read<Redact> {
    let name = predicates.name(fields);
    let predicate = predicates.read(fields);
    let detector = fields.optional("detector", rule::word(&Detector::ALL.map(|detector| (detector.name(), detector))));
    let pattern = fields.optional("pattern", pattern);
    let named = field_list(fields, "fields");
    let what = match (detector?, pattern?) {
        (Some(detector), None) => What::Detector(detector),
        (None, Some(pattern)) => What::Pattern(pattern),
        _ => {
            let why = "what is redacted is said by `detector` or by `pattern`".to_owned();
            return Err(fields.problem(fields.place(), why));
        }
    };
    Ok(Redact { name: name?, predicate: predicate?, what, fields: named? })
}

fn merge_rule(fields: &mut Fields<'_>, predicates: &mut Predicates) -> Read<Merge> {
    let name = predicates.name(fields);
    let predicate = predicates.read(fields);
    let by = field_list(fields, "by");
    let keep = fields.or("keep", "0", rule::number(0..=KEEP_MAX));
    let Some(by) = by?.filter(|by| !by.is_empty()) else {
        return Err(fields.missing("by"));
    };
    Ok(Merge { name: name?, predicate: predicate?, by, keep: keep? })
}

fn field_list(fields: &mut Fields<'_>, key: &'static str) -> Read<Option<Vec<FieldRef>>> {
    fields.list(key, |text| {
        rule::text(FIELD_CHARS_MAX)(text)?;
        FieldRef::parse(text).map_err(|error| error.to_string())
    })
}

fn pattern(text: &str) -> Result<Regex, String> {
    rule::text(PATTERN_CHARS_MAX)(text)?;
    let pattern = RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build().map_err(|error| {
        let text = error.to_string();
        let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!(
            "'{}' is no regular expression that runs in linear time: {why}",
            Excerpt(text.lines().nth(1).unwrap_or(&text).trim())
        )
    })?;
    if pattern.is_match(b"") {
        return Err(format!("'{}' matches the empty text: it would say nothing of what it takes", Excerpt(text)));
    }
    Ok(pattern)
}

/// Reads the routes.
fn routes(fields: &mut Fields<'_>, sinks: Option<&[&str]>, predicates: &mut Predicates) -> Read<Vec<Route>> {
    let mut places: Vec<Place> = Vec::new();
    let routes = fields.maps("routes", |route| {
        places.push(route.place());
        let to = route.required("to", rule::name);
        let predicate = predicates.read(route);
        let is_final = route.or("final", "false", rule::truth);
        let to = to?;
        if let Some(sinks) = sinks
            && !sinks.contains(&to.as_str())
        {
            let why = if sinks.is_empty() {
                format!("there is no sink '{to}'; name one under sinks")
            } else {
                format!("sink {}", rule::unknown_word(&to, sinks.iter().copied()))
            };
            return Err(route.problem_at("to", why));
        }
        Ok(Route { to, predicate: predicate?, is_final: is_final? })
    })?;
    let routes = routes.unwrap_or_default();
    if let Some(all) = routes.iter().position(|route| route.is_final && route.predicate.is_none())
        && let Some(place) = places.get(all + 1)
    {
        fields.warn(*place, "no event comes here: the route before takes all and is final".to_owned());
    }
    for sink in sinks.unwrap_or_default() {
        if !routes.iter().any(|route| route.to == *sink) {
            fields.warn(fields.place(), format!("no route leads to sink '{sink}': it gets nothing"));
        }
    }
    if sinks.is_some_and(<[&str]>::is_empty) {
        fields.warn(fields.place(), "there are no sinks: events are journaled and go nowhere".to_owned());
    }
    Ok(routes)
}

/// Reads `networks`: a list of `{ name, cidr }`.
fn networks(fields: &mut Fields<'_>) -> Read<Networks> {
    let read = fields.maps("networks", |network| {
        let name = network.required("name", rule::name);
        let cidr = network.list("cidr", |text| text.parse::<Network>().map_err(|error| error.to_string()));
        let Some(cidr) = cidr?.filter(|cidr| !cidr.is_empty()) else { return Err(network.missing("cidr")) };
        Ok((name?, cidr))
    })?;
    let pairs =
        read.unwrap_or_default().into_iter().flat_map(|(name, all)| all.into_iter().map(move |n| (n, name.clone())));
    Ok(Networks::new(pairs))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::reduce::Stage;

    fn parsed(reduce: &str) -> Result<(Downstream, Vec<String>), String> {
        let text =
            format!("version: 1\nsinks: {{ lake: {{ type: parquet }}, siem: {{ type: ndjson, path: x }} }}\n{reduce}");
        let loaded =
            crate::config::parse(Path::new("a.yaml"), text.as_bytes()).map_err(|problems| problems.to_string())?;
        let warnings =
            loaded.warnings.iter().map(|warning| format!("{}: {}", warning.place, warning.message)).collect();
        Ok((loaded.config.downstream, warnings))
    }

    const FULL: &str = "reduce:\n\
        - drop: { name: health-checks, where: { class_uid: 4002, http_request.user_agent|startswith: kube-probe } }\n\
        - redact: { name: cards, detector: payment_card }\n\
        - redact: { name: badges, pattern: 'badge (?<secret>\\d+)', fields: [message], where: [{ class_uid: 0 }] }\n\
        - merge: { name: repeats, by: [class_uid, user.name, src_endpoint.ip] }\n\
        - merge: { name: chatty, where: { metadata.log_name: debug.log }, by: [message], keep: 10 }\n\
        routes:\n- { to: siem, where: { severity_id|gte: 3 }, final: true }\n- { to: lake }\n\
        networks:\n- { name: office, cidr: [192.0.2.0/24, \"2001:db8::/32\"] }\n";

    #[test]
    fn rules_routes_and_networks_are_read_and_name_their_predicates() {
        let (read, warnings) = parsed(FULL).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        let rules = &read.rules;
        assert_eq!((rules.drops.len(), rules.redacts.len(), rules.merges.len()), (1, 2, 2));
        assert_eq!(
            (rules.drops[0].predicate, rules.redacts[1].predicate, rules.merges[1].predicate),
            (0, Some(1), Some(2))
        );
        assert_eq!((rules.merges[1].keep, rules.merges[0].by.len()), (10, 3));
        let routes: Vec<_> = read.routes.iter().map(|r| (r.to.as_str(), r.predicate, r.is_final)).collect();
        assert_eq!(routes, [("siem", Some(3), true), ("lake", None, false)]);
        assert_eq!((read.matcher.len(), read.networks.name_of("192.0.2.9")), (4, Some("office")));
        assert_eq!(Stage::Drop.name(), "drop");
    }

    #[test]
    fn every_mistake_is_a_problem_with_its_place() {
        let text = "reduce:\n\
            - drop: { name: all }\n\
            - drop: { name: x, where: { a|contans: b } }\n\
            - redact: { name: x, detector: payment_cards }\n\
            - redact: { name: y, pattern: '(?=a)b' }\n\
            - merge: { name: z }\n\
            - merge: { name: w, by: [user.nam] }\n\
            - { drop: {}, merge: {} }\n\
            routes:\n- { to: lak }\n\
            networks:\n- { name: n, cidr: 192.0.2.0/33 }\n";
        let error = parsed(text).unwrap_err();
        let lines: Vec<&str> = error.lines().collect();
        assert!(lines.len() >= 9, "{error}");
        for part in [
            "a.yaml:4:",
            "would drop every event",
            "contains",
            "payment_card",
            "linear time",
            "'by'",
            "user.name",
            "one of drop",
            "'lake'",
            "/33",
        ] {
            assert!(error.contains(part), "{part} in\n{error}");
        }
    }

    #[test]
    fn name_that_is_no_path_is_a_warning() {
        let (_, warnings) = parsed("routes: [{ to: lake, where: { user.nam: x } }, { to: siem }]\n").unwrap();
        assert!(warnings[0].contains("user.nam") && warnings[0].contains("user.name"), "{warnings:?}");
    }
}
