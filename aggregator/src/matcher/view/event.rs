//! The pipeline's [`Event`] as rules see it.

use super::{Names, View};
use crate::event::{Event, Field, Value, observables};
use crate::matcher::scan::Collector;
use crate::matcher::sources::{Traits, of, program};
use crate::matcher::taxonomy::Scalar;
use crate::schema::Attribute;

impl View for Event<'_> {
    fn sources(&self, mut take: impl FnMut([&str; 3])) -> bool {
        let mut traits =
            Traits { class: i64::from(self.class.uid()), activity: i64::from(self.activity_id), ..Traits::default() };
        for field in self.shared.iter().chain(&self.fields) {
            match (field.attribute, &field.value) {
                (Attribute::MetadataLogProvider, Value::Text(text)) => traits.provider = program(text),
                (Attribute::MetadataLogFormat, Value::Text(text)) => traits.format = text,
                (Attribute::MetadataLogSource, Value::Text(text)) => traits.source = text,
                (Attribute::MetadataLogName, Value::Text(text)) => traits.log_name = text,
                (Attribute::MetadataProductVendorName, Value::Text(text)) => traits.vendor = text,
                (Attribute::DeviceOsTypeId, Value::Int(number)) => traits.os = *number,
                _ => {}
            }
        }
        of(&traits).for_each(|words| take(*words));
        true
    }

    fn values(&self, names: &Names, out: &mut Collector<'_>) {
        let [class_uid, class_name, category_uid, activity_id, type_uid, severity_id, time, uid] = &names.heads;
        out.put(class_uid, Scalar::Int(i64::from(self.class.uid())), false);
        out.put(class_name, Scalar::Text(self.class.caption()), false);
        out.put(category_uid, Scalar::Int(i64::from(self.class.category_uid())), false);
        out.put(activity_id, Scalar::Int(i64::from(self.activity_id)), false);
        out.put(type_uid, Scalar::Int(self.type_uid()), false);
        out.put(severity_id, Scalar::Int(i64::from(self.severity_id)), false);
        out.put(time, Scalar::Int(self.time.as_ms()), false);
        if !uid.is_empty() {
            out.put(uid, Scalar::Text(&self.id.to_string()), false);
        }
        let mut put = |field: &Field<'_>| {
            if let Some(attributed) = names.attributes.get(usize::from(field.attribute as u16)) {
                out.put(&attributed.targets, scalar(&field.value), attributed.searched);
            }
        };
        self.shared.iter().chain(&self.fields).for_each(&mut put);
        let asks = |part: &Attribute| {
            names.attributes.get(usize::from(*part as u16)).is_some_and(|attributed| !attributed.targets.is_empty())
        };
        if observables::PARTS.iter().any(asks) {
            observables::fields(self).for_each(|field| put(&field));
        }
        for (key, value) in &self.unmapped {
            let targets = names.unmapped.get(key.as_ref()).map(Vec::as_slice).unwrap_or_default();
            out.put(targets, scalar(value), true);
            // What its dots stand for is there too, as in JSON.
            let outer = key.match_indices('.').filter(|_| !names.unmapped.is_empty());
            for (at, _) in outer {
                if let Some(targets) = key.get(..at).and_then(|outer| names.unmapped.get(outer)) {
                    out.put(targets, Scalar::Structure, false);
                }
            }
        }
    }
}

fn scalar<'v>(value: &'v Value<'_>) -> Scalar<'v> {
    match value {
        Value::Text(text) => Scalar::Text(text),
        Value::Int(number) => Scalar::Int(*number),
        Value::Float(number) => Scalar::Float(*number),
        Value::Bool(truth) => Scalar::Bool(*truth),
    }
}
