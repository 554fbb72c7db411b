//! Rows as records: typed, with OCSF attribute paths as keys. `unmapped.table` names the table, `unmapped.change` says
//! what the record is: `state` (a full inventory), `add`, `change`, `remove`.

use shared::record::Value;
use shared::time::Timestamp;

use super::known::Difference;
use super::row::{Fields, Row};
use super::table::{Kind, Table};

/// Packages that stand in one record.
pub const COMPONENTS_MAX: usize = 500;

fn text(value: impl Into<String>) -> Value {
    Value::String(value.into())
}

/// The head of a record of the host.
#[must_use]
pub fn head(kind: Kind, at: Timestamp, table: &str, change: &str) -> Fields {
    let mut fields = vec![
        ("picket.record".to_owned(), text("host")),
        ("class_uid".to_owned(), Value::U64(kind.class)),
        ("activity_id".to_owned(), Value::U64(kind.activity)),
        ("time".to_owned(), Value::Time(at)),
    ];
    fields.extend(kind.name.map(|name| ("activity_name".to_owned(), text(name))));
    fields.push(("unmapped.table".to_owned(), text(table)));
    fields.push(("unmapped.change".to_owned(), text(change)));
    fields
}

/// Puts the subject before paths that begin with a dot.
fn place(subject: &str, row: Row, fields: &mut Fields) {
    fields.extend(
        row.into_fields().into_iter().map(|(path, value)| {
            if path.starts_with('.') { (format!("{subject}{path}"), value) } else { (path, value) }
        }),
    );
}

/// Which process, service or file a record is about, where its class asks for more than the row says.
fn complete(table: Table, is_state: bool, fields: &mut Fields) {
    let mut put = |path: &str, value: Value| fields.push((path.to_owned(), value));
    match (table, is_state) {
        (Table::Modules, true) => {
            put("query_evidence.module.load_type_id", Value::U64(1));
            put("query_evidence.module.file.type_id", Value::U64(1));
        }
        (Table::Modules, false) => put("driver.file.type_id", Value::U64(1)),
        (Table::Mounts, true) => put("query_evidence.folder.type_id", Value::U64(2)),
        (Table::Mounts, false) => put("file.type_id", Value::U64(2)),
        (Table::Privileged, true) => put("query_evidence.file.type_id", Value::U64(1)),
        (Table::Privileged, false) => put("file.type_id", Value::U64(1)),
        _ => {}
    }
}

/// The last part of a path, for objects that ask for a name beside it.
fn name_of(subject: &str, fields: &mut Fields) {
    let (path, name) = (format!("{subject}.path"), format!("{subject}.name"));
    if fields.iter().any(|(key, _)| *key == name) {
        return;
    }
    if let Some((_, Value::String(found))) = fields.iter().find(|(key, _)| *key == path) {
        let last = found.rsplit('/').next().filter(|last| !last.is_empty()).unwrap_or("/").to_owned();
        fields.push((name, Value::String(last)));
    }
}

/// Where an answer (5040) has what an event has elsewhere: it is about one thing, and has no ends of a connection and no
/// service beside it; whose session it is, is who acts.
fn rehomed(key: String) -> String {
    if let Some(rest) = key.strip_prefix("user.") {
        return format!("actor.user.{rest}");
    }
    let has_no_home = ["src_endpoint.", "dst_endpoint.", "service."].iter().any(|object| key.starts_with(object));
    if has_no_home { format!("unmapped.{key}") } else { key }
}

fn finish(table: Table, is_state: bool, mut fields: Fields) -> Fields {
    let [state, change] = table.subject();
    complete(table, is_state, &mut fields);
    let is_logon = fields.iter().any(|(key, value)| key == "class_uid" && *value == Value::U64(3002));
    if is_logon && !fields.iter().any(|(key, _)| key == "service.name") {
        fields.push(("service.name".to_owned(), text("login")));
    }
    if is_state && table.query().is_some() {
        fields.iter_mut().for_each(|(key, _)| *key = rehomed(std::mem::take(key)));
    }
    if matches!(table, Table::Mounts | Table::Privileged | Table::Modules) {
        name_of(if is_state { state } else { change }, &mut fields);
    }
    fields
}

/// A difference.
#[must_use]
pub fn difference(table: Table, difference: Difference, at: Timestamp) -> Fields {
    let (kind, change, row) = match difference {
        Difference::Added(row) => (table.added(&row), "add", row),
        Difference::Changed(row, before) => (table.changed(&row, before), "change", row),
        Difference::Removed(row) => (table.removed(), "remove", row),
    };
    event(table, kind, change, row, at)
}

/// Something that happened to a row.
#[must_use]
pub fn event(table: Table, kind: Kind, change: &str, mut row: Row, at: Timestamp) -> Fields {
    let mut fields = head(kind, at, table.name(), change);
    // What happened in the past has its own time.
    if let (true, Some(Value::Time(then))) = (table.is_history(), row.value("unmapped.at")) {
        let then = *then;
        row.take("unmapped.at");
        fields.iter_mut().filter(|(key, _)| key == "time").for_each(|(_, value)| *value = Value::Time(then));
    }
    place(table.subject()[1], row, &mut fields);
    finish(table, false, fields)
}

/// Makes the records of a full inventory: one a row, of packages one for many.
pub struct States {
    table: Table,
    at: Timestamp,
    components: Vec<Value>,
    system: (String, String),
}

impl States {
    /// For a table; `system` is the name and version of the operating system.
    #[must_use]
    pub fn new(table: Table, at: Timestamp, system: (String, String)) -> Self {
        Self { table, at, components: Vec::new(), system }
    }

    /// Takes a row.
    pub fn row(&mut self, row: Row, each: &mut dyn FnMut(Fields)) {
        let (table, at) = (self.table, self.at);
        if table.is_history() {
            let mut fields = difference(table, Difference::Added(row), at);
            fields.iter_mut().filter(|(key, _)| key == "unmapped.change").for_each(|(_, value)| *value = text("state"));
            return each(fields);
        }
        if table == Table::Packages {
            self.components.push(component(&row));
            if self.components.len() >= COMPONENTS_MAX {
                self.finish(each);
            }
            return;
        }
        let mut fields = head(table.state(), at, table.name(), "state");
        if let Some((id, name)) = table.query() {
            fields.push(("query_result_id".to_owned(), Value::U64(1)));
            fields.push(("query_evidence.query_type_id".to_owned(), Value::U64(id)));
            fields.push(("query_evidence.query_type".to_owned(), text(name)));
        }
        let is_tcp = row.word(".protocol_name") == "tcp";
        if table == Table::Sockets && is_tcp && row.level != 0 {
            fields.push(("query_evidence.tcp_state_id".to_owned(), Value::U64(row.level.into())));
        }
        place(table.subject()[0], row, &mut fields);
        each(finish(table, true, fields));
    }

    /// Tells what waits for company.
    pub fn finish(&mut self, each: &mut dyn FnMut(Fields)) {
        if self.components.is_empty() {
            return;
        }
        let mut fields = head(self.table.state(), self.at, self.table.name(), "state");
        fields.push(("sbom.package.name".to_owned(), text(self.system.0.as_str())));
        fields.push(("sbom.package.version".to_owned(), text(self.system.1.as_str())));
        fields.push(("sbom.package.type_id".to_owned(), Value::U64(2)));
        fields.push(("sbom.software_components".to_owned(), Value::List(std::mem::take(&mut self.components))));
        each(fields);
    }
}

fn component(row: &Row) -> Value {
    let field = |name: &str, path: &str| (name.to_owned(), text(row.word(path)));
    Value::Map(vec![field("name", ".name"), field("version", ".version"), field("purl", "unmapped.purl")])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<'a>(fields: &'a Fields, path: &str) -> Option<&'a Value> {
        fields.iter().find(|(key, _)| key == path).map(|(_, value)| value)
    }

    #[test]
    fn the_same_row_is_evidence_in_an_inventory_and_an_event_as_a_difference() {
        let row = Row::default().key_number(".pid", 7).key(".uid", "b-7-1");
        let mut states = Vec::new();
        States::new(Table::Processes, Timestamp(5), Default::default())
            .row(row.clone(), &mut |fields| states.push(fields));
        assert_eq!(value(&states[0], "class_uid"), Some(&Value::U64(5040)));
        assert_eq!(value(&states[0], "query_evidence.process.pid"), Some(&Value::U64(7)));
        let gone = difference(Table::Processes, Difference::Removed(row), Timestamp(5));
        assert_eq!(
            (value(&gone, "class_uid"), value(&gone, "activity_id")),
            (Some(&Value::U64(1007)), Some(&Value::U64(2)))
        );
        assert_eq!(value(&gone, "process.pid"), Some(&Value::U64(7)));
    }

    #[test]
    fn packages_share_records() {
        let mut told = Vec::new();
        let mut states = States::new(Table::Packages, Timestamp(5), ("Debian".into(), "13".into()));
        for number in 0..COMPONENTS_MAX + 1 {
            let mut row = Row::default().key(".name", format!("p{number}"));
            row.text(".version", "1");
            states.row(row, &mut |fields| told.push(fields));
        }
        states.finish(&mut |fields| told.push(fields));
        let lengths: Vec<usize> = told
            .iter()
            .filter_map(|fields| match value(fields, "sbom.software_components") {
                Some(Value::List(items)) => Some(items.len()),
                _ => None,
            })
            .collect();
        assert_eq!(lengths, [COMPONENTS_MAX, 1]);
    }
}
