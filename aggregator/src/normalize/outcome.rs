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

/// What a control (firewall, scanner, mandatory access control) did with what it saw: `action_id` and `disposition_id` of
/// the profile `security_control`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Control {
    /// It let it pass.
    Allowed,
    /// It kept it from happening.
    Blocked,
    /// It threw it away without a word to the sender.
    Dropped,
    /// It refused and said so.
    Rejected,
    /// It ended a connection.
    Reset,
    /// It saw it and did nothing.
    Observed,
    /// It saw it and raised an alert.
    Alerted,
}

impl Control {
    /// Of a finding: what was seen and told of was alerted.
    pub(super) fn of_finding(self) -> Self {
        if self == Self::Observed { Self::Alerted } else { self }
    }
}

/// Says what a control did. Once an event: the profile is declared here.
pub(super) fn controlled(event: &mut Event<'_>, control: Control) {
    let (action, disposition) = match control {
        Control::Allowed => (1, 1),
        Control::Blocked => (2, 2),
        Control::Dropped => (2, 6),
        Control::Rejected => (2, 25),
        Control::Reset => (2, 21),
        Control::Observed => (3, 17),
        Control::Alerted => (3, 19),
    };
    event.profile("security_control");
    event.push(Attribute::ActionId, action);
    event.push(Attribute::DispositionId, disposition);
}
