//! What a loss is counted in.

/// The unit of most losses; every other one stands outside of the equations of records.
pub const RECORDS: &str = "records";

/// The unit that a loss record names; `units` where a later version names another.
#[must_use]
pub fn unit(said: Option<&str>) -> &'static str {
    match said {
        None | Some(RECORDS) => RECORDS,
        Some("packets") => "packets",
        Some("flows") => "flows",
        Some("events") => "events",
        Some("file_changes") => "file_changes",
        Some(_) => "units",
    }
}
