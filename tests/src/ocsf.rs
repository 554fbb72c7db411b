//! A validator for OCSF 1.8.0 events, against the schema compiled by the OCSF project's own compiler.
//!
//! In: an event as JSON. Out: every problem, each with the path where it stands. Checked: the class is known;
//! every attribute is known, of its type, within its enum, not deprecated; what is required is there;
//! constraints (`at_least_one`, `just_one`); the arithmetic of `type_uid` and `category_uid`; an id of 99 has
//! its word beside it. An attribute that belongs to profiles is required, and allowed, only where
//! `metadata.profiles` names one of them. `unmapped` may hold anything.

#![expect(clippy::indexing_slicing, reason = "only of JSON: a key that is not there reads as null")]

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use anyhow::Context;
use serde_json::{Map, Value};

/// The compiled schema.
pub struct Schema {
    json: Value,
    class_names: HashMap<u64, String>,
}

impl Schema {
    /// Reads the schema, `schema/ocsf/ocsf-1.8.0.compiled.json.zst` of the corpus.
    ///
    /// # Errors
    /// When the file cannot be read or is not what it says.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let packed = std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let mut text = String::new();
        zstd::Decoder::new(packed)?.read_to_string(&mut text).with_context(|| format!("reading {}", path.display()))?;
        let json: Value = serde_json::from_str(&text)?;
        let classes = json["classes"].as_object().context("the schema has no classes")?;
        let class_names =
            classes.iter().filter_map(|(name, class)| Some((class["uid"].as_u64()?, name.clone()))).collect();
        Ok(Self { json, class_names })
    }

    /// Whether events of a class have an attribute with this path, `[]` behind the lists in it.
    #[must_use]
    pub fn has(&self, class_uid: u64, path: &str) -> bool {
        let Some(name) = self.class_names.get(&class_uid) else { return false };
        let mut definition = &self.json["classes"][name.as_str()];
        let mut segments = path.split('.').peekable();
        while let Some(segment) = segments.next() {
            let attribute = &definition["attributes"][segment.trim_end_matches("[]")];
            if attribute.is_null() || attribute["is_array"].as_bool().unwrap_or(false) != segment.ends_with("[]") {
                return false;
            }
            if segments.peek().is_none() {
                return true;
            }
            definition = &self.json["objects"][attribute["object_type"].as_str().unwrap_or_default()];
        }
        false
    }

    /// Every problem of an event; none when it is valid.
    #[must_use]
    pub fn problems(&self, event: &Value) -> Vec<String> {
        let mut problems = Vec::new();
        let Some(fields) = event.as_object() else { return vec!["not an object".to_owned()] };
        let uid = event["class_uid"].as_u64();
        let Some(name) = uid.and_then(|uid| self.class_names.get(&uid)) else {
            return vec![format!("class_uid {}: no such class", event["class_uid"])];
        };
        let class = &self.json["classes"][name.as_str()];
        let (uid, activity) = (uid.unwrap_or_default(), event["activity_id"].as_u64().unwrap_or_default());
        if event["type_uid"].as_u64() != Some(uid * 100 + activity) {
            problems.push(format!("type_uid {} is not class × 100 + activity", event["type_uid"]));
        }
        if event["category_uid"].as_u64() != Some(class["category_uid"].as_u64().unwrap_or_default()) {
            problems.push(format!("category_uid {} is not the class's", event["category_uid"]));
        }
        let profiles = event["metadata"]["profiles"].as_array().map(Vec::as_slice).unwrap_or_default();
        let profiles = profiles.iter().filter_map(Value::as_str).collect();
        Check { schema: self, profiles, problems: &mut problems }.object(fields, class, name);
        problems
    }
}

struct Check<'s> {
    schema: &'s Schema,
    profiles: HashSet<&'s str>,
    problems: &'s mut Vec<String>,
}

impl<'s> Check<'s> {
    fn say(&mut self, path: &str, what: &str) {
        self.problems.push(format!("{path}: {what}"));
    }

    /// Whether an attribute stands outside profiles, or in one that the event names.
    fn applies(&self, attribute: &Value) -> bool {
        match attribute["profiles"].as_array() {
            Some(profiles) if !profiles.is_empty() => {
                profiles.iter().filter_map(Value::as_str).any(|profile| self.profiles.contains(profile))
            }
            _ => true,
        }
    }

    /// An object, or the event itself, against its definition.
    fn object(&mut self, fields: &Map<String, Value>, definition: &'s Value, path: &str) {
        let empty = Map::new();
        let attributes = definition["attributes"].as_object().unwrap_or(&empty);
        for (key, value) in fields {
            let path = format!("{path}.{key}");
            let Some(attribute) = definition["attributes"].get(key) else {
                self.say(&path, "unknown attribute");
                continue;
            };
            if !self.applies(attribute) {
                self.say(&path, &format!("needs a profile of {}", attribute["profiles"]));
            }
            if attribute.get("@deprecated").is_some() {
                self.say(&path, "deprecated");
            }
            match (attribute["is_array"].as_bool().unwrap_or(false), value) {
                (true, Value::Array(values)) => values.iter().for_each(|value| self.value(value, attribute, &path)),
                (true, _) => self.say(&path, "must be a list"),
                (false, value) => self.value(value, attribute, &path),
            }
            let sibling = attribute["sibling"].as_str();
            if let Some(sibling) = sibling.filter(|_| key != "type_uid" && value.as_i64() == Some(99))
                && !fields.contains_key(sibling)
            {
                self.say(&path, &format!("is 99 without {sibling}"));
            }
        }
        for (key, attribute) in attributes {
            let required = attribute["requirement"].as_str() == Some("required");
            if required && !fields.contains_key(key) && self.applies(attribute) {
                self.say(path, &format!("{key} is required"));
            }
        }
        self.constraints(fields, &definition["constraints"], path);
    }

    fn constraints(&mut self, fields: &Map<String, Value>, constraints: &Value, path: &str) {
        let present = |names: &Value| {
            let names = names.as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str);
            names.filter(|name| fields.contains_key(name.split('.').next().unwrap_or(name))).count()
        };
        if let Some(names) = constraints.get("at_least_one").filter(|names| present(names) == 0) {
            self.say(path, &format!("needs at least one of {names}"));
        }
        if let Some(names) = constraints.get("just_one").filter(|names| present(names) != 1) {
            self.say(path, &format!("needs just one of {names}"));
        }
    }

    fn value(&mut self, value: &Value, attribute: &Value, path: &str) {
        let kind = attribute["type"].as_str().unwrap_or_default();
        if kind == "object_t" {
            let object = attribute["object_type"].as_str().unwrap_or_default();
            match value.as_object() {
                _ if object == "object" && value.is_object() => {}
                Some(fields) => self.object(fields, &self.schema.json["objects"][object], path),
                None => self.say(path, &format!("must be an object {object}")),
            }
            return;
        }
        if !self.fits(value, kind) {
            self.say(path, &format!("{value} is not a {kind}"));
        }
        if let Some(known) = attribute["enum"].as_object() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if !known.contains_key(&text) {
                self.say(path, &format!("{value} is not in its enum"));
            }
        }
    }

    /// Whether a plain value is of a type, and within its bounds.
    fn fits(&self, value: &Value, kind: &str) -> bool {
        let types = &self.schema.json["dictionary"]["types"]["attributes"];
        let bounds = &types[kind];
        if let (Some(text), Some(longest)) = (value.as_str(), bounds["max_len"].as_u64())
            && text.chars().count() as u64 > longest
        {
            return false;
        }
        if let (Some(number), Some(range)) = (value.as_i64(), bounds["range"].as_array())
            && !matches!(&**range, [least, most] if Some(number) >= least.as_i64() && Some(number) <= most.as_i64())
        {
            return false;
        }
        match kind {
            "boolean_t" => value.is_boolean(),
            "integer_t" | "long_t" | "timestamp_t" | "port_t" => value.is_i64() || value.is_u64(),
            "float_t" => value.is_number(),
            "json_t" => true,
            "ip_t" => value.as_str().is_some_and(is_ip),
            "mac_t" => value.as_str().is_some_and(is_mac),
            _ => value.is_string(),
        }
    }
}

fn is_ip(text: &str) -> bool {
    let unscoped = text.split_once('%').map_or(text, |(address, _)| address);
    text.parse::<Ipv4Addr>().is_ok() || unscoped.parse::<Ipv6Addr>().is_ok()
}

fn is_mac(text: &str) -> bool {
    let pairs: Vec<&str> = text.split([':', '-']).collect();
    pairs.len() == 6 && pairs.iter().all(|pair| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::corpus;

    /// The corpus's 38 sample events, one of each kind that Picket will produce, all valid.
    fn samples() -> Option<(Schema, Vec<Value>)> {
        let compiled = corpus("schema/ocsf/ocsf-1.8.0.compiled.json.zst")?;
        let samples = std::fs::read_to_string(corpus("schema/ocsf/tools/samples.jsonl")?).unwrap();
        let samples: Vec<Value> = samples.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Some((Schema::load(&compiled).unwrap(), samples.into_iter().map(|sample| sample["event"].clone()).collect()))
    }

    #[test]
    fn valid_events_have_no_problems() {
        let Some((schema, samples)) = samples() else { return };
        assert!(samples.len() >= 38);
        for sample in samples {
            assert_eq!(schema.problems(&sample), Vec::<String>::new(), "{sample}");
        }
    }

    #[test]
    fn each_kind_of_problem_is_found() {
        let Some((schema, samples)) = samples() else { return };
        let logon = samples.iter().find(|event| event["class_uid"] == 3002).unwrap();
        let broken = |change: &dyn Fn(&mut Value)| {
            let mut event = logon.clone();
            change(&mut event);
            schema.problems(&event).join("\n")
        };
        for (change, problem) in [
            (&(|e: &mut Value| e["class_uid"] = 9999.into()) as &dyn Fn(&mut Value), "no such class"),
            (&|e| e["type_uid"] = 1.into(), "type_uid"),
            (&|e| e["category_uid"] = 4.into(), "category_uid"),
            (&|e| e["shoe_size"] = 4.into(), "unknown attribute"),
            (&|e| e["is_remote"] = "yes".into(), "is not a boolean_t"),
            (&|e| e["severity_id"] = 7.into(), "not in its enum"),
            (&|e| e["src_endpoint"]["ip"] = "300.1.1.1".into(), "is not a ip_t"),
            (&|e| e["src_endpoint"]["port"] = 65_536.into(), "is not a port_t"),
            (&|e| e["user"] = Value::Object(Map::new()), "at least one of"),
            (&|e| _ = e.as_object_mut().unwrap().remove("user"), "user is required"),
            (&|e| e["observables"] = Value::Object(Map::new()), "must be a list"),
            (&|e| e["metadata"]["profiles"] = Value::Array(Vec::new()), "needs a profile"),
            (&|e| _ = e.as_object_mut().unwrap().remove("auth_protocol"), "99 without auth_protocol"),
            (&|e| e["user"]["credential_uid"] = "x".into(), "deprecated"),
        ] {
            assert!(broken(change).contains(problem), "{problem}: {}", broken(change));
        }
    }
}
