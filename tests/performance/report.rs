//! Medians, a table for people and JSON for programs.

use std::path::Path;

use anyhow::Context;
use serde_json::{Map, Value};

/// The median; of an even count the mean of the middle two, of none nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some((values.get(low)? + values.get(high)?) / 2.0)
}

/// Figures in the order in which they are read.
#[derive(Default)]
pub struct Report {
    rows: Vec<(String, Option<f64>, &'static str)>,
}

impl Report {
    /// Adds a figure; one that could not be had stands as `-`.
    pub fn add(&mut self, name: impl Into<String>, value: Option<f64>, unit: &'static str) {
        self.rows.push((name.into(), value, unit));
    }

    /// Prints the table, and writes the JSON to `path` and stdout.
    pub fn print(&self, path: &Path) -> anyhow::Result<()> {
        let width = self.rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        for (name, value, unit) in &self.rows {
            let value = value.map_or("-".to_owned(), shown);
            println!("  {name:<width$}  {value:>10}  {unit}");
        }
        let figure = |(name, value, unit): &(String, Option<f64>, &'static str)| {
            let words = format!("{name} {unit}").to_lowercase();
            let words: Vec<&str> =
                words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
            (words.join("_"), value.map_or(Value::Null, Value::from))
        };
        let json = Value::Object(self.rows.iter().map(figure).collect::<Map<_, _>>()).to_string();
        std::fs::write(path, &json).with_context(|| format!("write {}", path.display()))?;
        println!("\n{json}");
        Ok(())
    }
}

/// Three significant digits or so.
fn shown(value: f64) -> String {
    if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}
