//! [`Json`]: an object as it is read from a file, as rules see it.
//!
//! An object with a number under `class_uid` is an OCSF event: fields are found by the taxonomy, its log sources by what
//! it says of itself. Any other object has its fields under their names or as dotted paths, lists on the way included, and is
//! of the log sources that its reader names.

use serde_json::{Map, Value};

use super::{Names, View};
use crate::matcher::scan::Collector;
use crate::matcher::sources::{LogSource, Traits, of, program};
use crate::matcher::taxonomy::Scalar;

/// A JSON object.
#[derive(Clone, Copy, Debug)]
pub struct Json<'j> {
    object: &'j Map<String, Value>,
    /// `class_uid`, of an OCSF event.
    class: Option<i64>,
    source: Option<&'j LogSource>,
}

impl<'j> Json<'j> {
    /// A view of the object; an event that is not OCSF is of `source`, or held against every rule if that is not known.
    #[must_use]
    pub fn new(object: &'j Map<String, Value>, source: Option<&'j LogSource>) -> Self {
        Self { object, class: object.get("class_uid").and_then(Value::as_i64), source }
    }

    fn text(&self, path: &[&str]) -> &'j str {
        self.leaf(path).and_then(Value::as_str).unwrap_or_default()
    }

    fn number(&self, path: &[&str]) -> i64 {
        self.leaf(path).and_then(Value::as_i64).unwrap_or_default()
    }

    fn leaf(&self, path: &[&str]) -> Option<&'j Value> {
        let (last, parents) = path.split_last()?;
        let mut object = self.object;
        for parent in parents {
            object = object.get(*parent)?.as_object()?;
        }
        object.get(*last)
    }
}

impl View for Json<'_> {
    fn sources(&self, mut take: impl FnMut([&str; 3])) -> bool {
        let Some(class) = self.class else {
            if let Some(source) = self.source {
                take(source.words());
            }
            return self.source.is_some();
        };
        let traits = Traits {
            class,
            activity: self.number(&["activity_id"]),
            provider: program(self.text(&["metadata", "log_provider"])),
            format: self.text(&["metadata", "log_format"]),
            source: self.text(&["metadata", "log_source"]),
            log_name: self.text(&["metadata", "log_name"]),
            vendor: self.text(&["metadata", "product", "vendor_name"]),
            os: self.number(&["device", "os", "type_id"]),
        };
        of(&traits).for_each(|words| take(*words));
        true
    }

    fn values(&self, names: &Names, out: &mut Collector<'_>) {
        let mut walk = Walk { names, ocsf: self.class.is_some(), path: out.take_path() };
        for (key, value) in self.object {
            let searched = self.class.is_none() || (super::searched(key) && !is_head(key));
            walk.path.clear();
            walk.path.push_str(key);
            walk.value(value, searched, out);
        }
        out.give_path(walk.path);
    }
}

/// What says of which kind an event is, and nothing of what happened.
fn is_head(key: &str) -> bool {
    matches!(
        key,
        "class_uid"
            | "class_name"
            | "category_uid"
            | "category_name"
            | "activity_id"
            | "type_uid"
            | "type_name"
            | "severity_id"
            | "time"
    )
}

struct Walk<'n> {
    names: &'n Names,
    ocsf: bool,
    path: String,
}

impl Walk<'_> {
    /// Puts a value, which stands at `path`, and what is below it.
    fn value(&mut self, value: &Value, searched: bool, out: &mut Collector<'_>) {
        let names = if self.ocsf { &self.names.paths } else { &self.names.flat };
        let targets = names.get(self.path.as_str()).map(Vec::as_slice).unwrap_or_default();
        match value {
            Value::Null => out.put(targets, Scalar::Null, false),
            Value::Bool(truth) => out.put(targets, Scalar::Bool(*truth), searched),
            Value::Number(number) => out.put(targets, Scalar::Number(number), searched),
            Value::String(text) => out.put(targets, Scalar::Text(text), searched),
            Value::Array(items) => {
                out.put(targets, Scalar::Structure, false);
                for item in items {
                    self.value(item, searched, out);
                }
            }
            Value::Object(object) => {
                out.put(targets, Scalar::Structure, false);
                let length = self.path.len();
                for (key, value) in object {
                    self.path.push('.');
                    self.path.push_str(key);
                    self.value(value, searched, out);
                    self.path.truncate(length);
                }
            }
        }
    }
}
