//! Typed records: what an agent says about itself (health, losses), what it read off the network, the state
//! of its host and of its files, and loss frames.
//!
//! In: fields whose keys are OCSF attribute paths, or `unmapped.NAME`; a list of objects is one key. Out: an event of
//! the record's class, if that is one of [`CLASSES`], else a base event. Nothing is lost and nothing makes the event
//! invalid: a key that the class does not carry, a value that its attribute does not take, and an object without one of
//! its required parts stand in `unmapped` under their paths; a record whose class lacks what it requires is a base
//! event.
//!
//! Lists: the elements of `answers` stand in the list of that name. An element that lacks a required part is
//! `unmapped["answers[3]"]`, by its number in the record; what has no attribute in elements that are there is
//! `unmapped["answers[]"].NAME`, a JSON array with one entry an element.

mod host;
mod lists;
mod message;
mod packet;
mod place;
mod required;
mod takes;

pub(super) use required::{enforce, settle};
pub(super) use takes::{is_mac, takes};

use shared::identity::Lane;
use shared::record::Value as Recorded;
use shared::time::Timestamp;

use super::Origin;
use super::outcome::failure;
use crate::event::Event;
use crate::event::loss::RECORDS;
use crate::schema::{Attribute, Class};
use place::{Placer, whole};

/// The classes that typed records may have.
pub const CLASSES: [Class; 22] = [
    Class::BaseEvent,
    Class::EventLogActivity,
    Class::NetworkActivity,
    Class::HttpActivity,
    Class::DnsActivity,
    Class::DhcpActivity,
    Class::SshActivity,
    Class::NtpActivity,
    Class::FileActivity,
    Class::KernelExtensionActivity,
    Class::ScheduledJobActivity,
    Class::ProcessActivity,
    Class::AccountChange,
    Class::Authentication,
    Class::GroupManagement,
    Class::InventoryInfo,
    Class::UserInventory,
    Class::PatchState,
    Class::DeviceConfigStateChange,
    Class::SoftwareInfo,
    Class::EvidenceInfo,
    Class::ApplicationLifecycle,
];

/// `severity_id` 3, medium: records were lost.
const MEDIUM: u8 = 3;

/// Whether OCSF 1.8.0 knows this `activity_id` of the class; 99 needs its name beside it.
pub(super) const fn knows(class: Class, activity: u8) -> bool {
    match class {
        _ if activity == 99 => true,
        Class::EventLogActivity => activity <= 10,
        Class::NetworkActivity | Class::SshActivity | Class::NtpActivity => activity <= 7,
        Class::HttpActivity | Class::DhcpActivity => activity <= 9,
        Class::DnsActivity => matches!(activity, 0..=2 | 6),
        Class::FileActivity => activity <= 14,
        Class::KernelExtensionActivity
        | Class::InventoryInfo
        | Class::UserInventory
        | Class::PatchState
        | Class::DeviceConfigStateChange
        | Class::SoftwareInfo => activity <= 2,
        Class::ScheduledJobActivity => activity <= 6,
        Class::ProcessActivity => activity <= 5,
        Class::AccountChange => activity <= 12,
        Class::Authentication => activity <= 7,
        Class::GroupManagement | Class::ApplicationLifecycle => activity <= 8,
        Class::EvidenceInfo => activity <= 1,
        _ => activity == 0,
    }
}

/// Reads a typed record into `event`. The caller has set `event.id` and `event.shared`; `read_at` is when the
/// agent made the record, `now` becomes `metadata.processed_time`.
pub fn record<'a, K: AsRef<str>>(
    fields: &'a [(K, Recorded)],
    read_at: Timestamp,
    received_at: Timestamp,
    origin: &'a Origin,
    now: Timestamp,
    event: &mut Event<'a>,
) {
    event.reset(read_at, received_at);
    super::finish(read_at, now, event);
    let number = |key: &str| fields.iter().find(|(name, _)| name.as_ref() == key).and_then(|(_, value)| whole(value));
    let small = |key: &str| number(key).and_then(|number| u8::try_from(number).ok());
    let class = number("class_uid").and_then(|uid| u32::try_from(uid).ok()).and_then(Class::from_uid);
    let class = class.filter(|class| CLASSES.contains(class));
    event.class = class.unwrap_or(Class::BaseEvent);
    let activity = small("activity_id").filter(|id| knows(event.class, *id));
    let severity = small("severity_id").filter(|id| *id <= 6);
    event.activity_id = activity.unwrap_or(0);
    event.severity_id = severity.unwrap_or(1);

    let mut placer = Placer::of(event);
    let (mut class, mut activity, mut severity) = (class, activity, severity);
    let (mut time, mut is_host) = (None, false);
    for (key, value) in fields {
        // The first of each is the one that was taken; what is said twice is kept.
        let taken = match (key.as_ref(), value) {
            ("class_uid", _) => class.take().is_some(),
            ("activity_id", _) => activity.take().is_some(),
            ("severity_id", _) => severity.take().is_some(),
            ("time", Recorded::Time(at)) if time.is_none() => {
                time = Some(*at);
                true
            }
            ("picket.record", Recorded::String(kind)) if kind == "host" => !std::mem::replace(&mut is_host, true),
            ("picket.record", Recorded::String(kind)) => kind == "network" && event.class.category_uid() == 4,
            _ => false,
        };
        if !taken {
            placer.keep(key.as_ref(), value, event);
        }
    }
    event.time = time.unwrap_or(read_at);
    packet::rename(event);
    host::complete(event);
    enforce(event);
    name_the_activity(event);
    if event.class.category_uid() == 4 {
        packet::describe(event);
        event.is_observed = true;
    } else if is_host || event.class.category_uid() != 0 {
        host::describe(event);
        event.is_observed = true;
    }
    name_the_log(origin, event);
}

/// What will not come.
#[derive(Clone, Copy, Debug)]
pub struct Loss<'a> {
    /// Why, in the word of [`LossReason`](shared::record::LossReason), or of a later version's.
    pub reason: &'a str,
    /// What is counted: [`loss::RECORDS`](RECORDS), or `packets`, `flows`, … which no equation of records knows.
    pub unit: &'a str,
    /// How many; none where nobody can know.
    pub count: Option<u64>,
    /// Number of the first record, where it had a number.
    pub first_record: Option<u64>,
    /// The lane that they belonged to.
    pub lane: Lane,
    /// From when.
    pub first_at: Timestamp,
    /// To when.
    pub last_at: Timestamp,
}

/// Says a loss as an event: class 1008, activity `Lost`.
pub fn loss<'a>(loss: &Loss<'_>, received_at: Timestamp, origin: &'a Origin, now: Timestamp, event: &mut Event<'a>) {
    event.reset(loss.last_at, received_at);
    super::finish(loss.last_at, now, event);
    event.class = Class::EventLogActivity;
    event.activity_id = 99;
    event.severity_id = MEDIUM;
    event.push(Attribute::ActivityName, "Lost");
    let number = loss.count.map_or("an unknown number of".to_owned(), |count| count.to_string());
    let (unit, reason) = (loss.unit, loss.reason);
    event.push(
        Attribute::Message,
        match unit {
            RECORDS => format!("{number} records of lane {} lost: {reason}", loss.lane),
            _ => format!("{number} {unit} lost: {reason}"),
        },
    );
    event.push(Attribute::StartTime, loss.first_at.as_ms());
    event.push(Attribute::EndTime, loss.last_at.as_ms());
    if let Some(count) = loss.count {
        event.push(Attribute::Count, i64::from(i32::try_from(count).unwrap_or(i32::MAX)));
        event.unmap(unit.to_owned(), i64::try_from(count).unwrap_or(i64::MAX));
    }
    if let Some(first) = loss.first_record {
        event.unmap("first_record", i64::try_from(first).unwrap_or(i64::MAX));
    }
    event.unmap("lane", loss.lane.name());
    failure(event, reason.to_owned());
    name_the_log(origin, event);
}

/// Keeps what a loss record says besides what stands in [`Loss`].
pub fn besides<'a, K: AsRef<str>>(fields: &'a [(K, Recorded)], event: &mut Event<'a>) {
    let fields = fields.iter().map(|(key, value)| (key.as_ref(), value));
    for (key, value) in fields {
        if !matches!(key, "picket.record" | "reason" | "count" | "from" | "to") {
            place::unmap(key, value, event);
        }
    }
}

/// 99 says that `activity_name` has the word for it; without the word it says nothing.
fn name_the_activity(event: &mut Event<'_>) {
    if event.activity_id == 99 && event.value(Attribute::ActivityName).is_none() {
        event.activity_id = 0;
    }
}

/// Class 1008 names its log: as the source does, or the agent's own.
fn name_the_log<'a>(origin: &'a Origin, event: &mut Event<'a>) {
    if event.class != Class::EventLogActivity || event.value(Attribute::LogName).is_some() {
        return;
    }
    event.push(Attribute::LogName, origin.log_name.as_deref().unwrap_or("picket-agent"));
}

#[cfg(test)]
mod tests;
