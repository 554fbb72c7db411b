//! How it ended: `status_id`, its caption, its reason, and the severity of a failure.

use std::borrow::Cow;

use crate::event::Event;
use crate::schema::Attribute;

/// `severity_id` 2, low: a failure, or a change of accounts, weighs at least this.
pub(super) const LOW: u8 = 2;

/// `status_id` 1.
pub(super) fn success(event: &mut Event<'_>) {
    event.push(Attribute::Status, "Success");
    event.push(Attribute::StatusId, 1);
}

/// `status_id` 2, with the reason as the program gave it.
pub(super) fn failure<'a>(event: &mut Event<'a>, detail: impl Into<Cow<'a, str>>) {
    event.push(Attribute::Status, "Failure");
    event.push(Attribute::StatusId, 2);
    let detail = detail.into();
    if !detail.is_empty() {
        event.push(Attribute::StatusDetail, detail);
    }
    event.severity_id = event.severity_id.max(LOW);
}
