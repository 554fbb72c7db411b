//! One thing with many attributes: a line each for people, one row for programs.

use std::io::{self, Write};

use serde_json::Value;
use shared::table::{Output, Table};

/// Prints one thing. As a table: a line per attribute, one per item of a list of things. As JSON or NDJSON: one
/// row, with the attributes as its keys.
pub(super) fn print<const N: usize>(
    out: impl Write,
    output: Output,
    names: &[&'static str; N],
    values: [Value; N],
) -> io::Result<()> {
    if output != Output::Table {
        let mut table = Table::new(out, output, names);
        table.row(values)?;
        return table.finish();
    }
    let mut table = Table::new(out, output, &["key", "value"]);
    for (name, value) in names.iter().zip(values) {
        match value {
            Value::Array(items) if items.iter().any(Value::is_object) => {
                for item in items {
                    table.row([(*name).into(), inline(&item).into()])?;
                }
            }
            value => table.row([(*name).into(), value])?,
        }
    }
    table.finish()
}

/// The attributes of an inner thing on one line.
fn inline(item: &Value) -> String {
    let Value::Object(fields) = item else { return item.to_string() };
    let shown = fields.iter().map(|(key, value)| match value {
        Value::String(text) => format!("{key} {text}"),
        Value::Null => format!("{key} -"),
        other => format!("{key} {other}"),
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn people_get_a_line_an_attribute_and_programs_one_row() {
        let printed = |output| {
            let mut out = Vec::new();
            let values = [json!(5), json!([{"name": "lake", "cursor": 7, "lag": null}])];
            print(&mut out, output, &["bytes", "sinks"], values).unwrap();
            String::from_utf8(out).unwrap()
        };
        let table = printed(Output::Table);
        assert_eq!(table.lines().count(), 3, "{table}");
        assert!(table.contains("cursor 7, lag -, name lake"), "{table}");
        let row: Value = serde_json::from_str(&printed(Output::Ndjson)).unwrap();
        assert_eq!(row["sinks"][0]["cursor"], 7);
    }
}
