//! The JSON log of PostgreSQL 15 and later: the keys are those that its text and CSV logs are brought to.

use super::super::Context;
use super::super::database::postgresql;
use super::super::fields::Fields;
use crate::event::Event;

/// Whether it is a record of the server.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    fields.has("error_severity") && (fields.has("backend_type") || fields.has("dbname") || fields.has("session_id"))
}

/// Takes what the record says.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    postgresql::push_time(fields, context.reference, event);
    postgresql::apply(fields, event);
}
