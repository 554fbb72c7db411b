//! MongoDB 4.4 and later: its log as JSON.
//!
//! In: fields `t.$date`, `s`, `c`, `id`, `ctx`, `msg`, `attr`. Out: logons (3002) that succeeded or failed, connections
//! accepted and ended (4001), starts, stops and reports (6002), warnings and errors (6008). Source: MongoDB manual, "Log
//! messages"; `src/mongo/logv2`, `db/auth`, `transport/session_workflow.cpp`.

use std::borrow::Cow;

use super::super::fields::Fields;
use super::super::remark::spoken;
use super::super::text::port;
use super::super::{Context, endpoint, outcome};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Whether it is a line of the server.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    fields.has("t.$date") && fields.has("s") && fields.has("c") && fields.has("msg")
}

/// Takes what the line says.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    event.push(Attribute::MetadataLogProvider, "mongod");
    fields.push_time(event, "t.$date", context.reference);
    event.severity_id = match fields.peek("s") {
        Some("F") => 6,
        Some("E") => 3,
        Some("W") => 2,
        _ => 1,
    };
    fields.push(event, Attribute::MetadataLogLevel, "s");
    fields.push(event, Attribute::MetadataEventCode, "id");
    let message = fields.text("msg").unwrap_or_default();
    match message.as_ref() {
        "Authentication failed"
        | "Failed to authenticate"
        | "Successfully authenticated"
        | "Authentication succeeded" => {
            logon(fields, &message, event);
        }
        "Connection accepted" | "Connection ended" => {
            event.class = Class::NetworkActivity;
            event.activity_id = if message == "Connection accepted" { 1 } else { 2 };
            if remote(fields, event) {
                event.push(Attribute::ConnectionDirectionId, 1);
                event.push(Attribute::AppProtocolName, "mongodb");
            } else {
                event.class = Class::BaseEvent;
                event.activity_id = 0;
            }
        }
        "MongoDB starting" | "Waiting for connections" | "Shutting down" | "Now exiting" => {
            event.class = Class::ApplicationLifecycle;
            event.activity_id = if message.contains("ing down") || message.contains("exiting") { 4 } else { 3 };
            event.push(Attribute::AppName, "mongod");
        }
        _ => spoken(Some(Cow::Borrowed("mongod")), fields.text("attr.error"), event),
    }
    event.push(Attribute::Message, message);
}

fn logon<'a>(fields: &mut Fields<'a>, message: &str, event: &mut Event<'a>) {
    let user = fields.text("attr.principalName").or_else(|| fields.text("attr.user"));
    let Some(user) = user else { return };
    event.class = Class::Authentication;
    event.activity_id = 1;
    event.push(Attribute::UserName, user);
    event.push(Attribute::ServiceName, "mongodb");
    remote(fields, event);
    if fields.push(event, Attribute::AuthProtocol, "attr.mechanism") {
        event.push(Attribute::AuthProtocolId, 99);
    }
    if message.contains("ailed") {
        outcome::failure(event, fields.text("attr.error").unwrap_or(Cow::Borrowed("")));
    } else {
        outcome::success(event);
    }
}

/// `192.0.2.7:4444`, `[2001:db8::1]:4444`.
fn remote<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) -> bool {
    let key = if fields.has("attr.remote") { "attr.remote" } else { "attr.client" };
    let Some((host, number)) = fields.peek(key).and_then(|text| text.rsplit_once(':')) else { return false };
    let (Some(host), Some(number)) = (endpoint::ip(host).map(str::to_owned), port(number)) else { return false };
    fields.take(key);
    event.push(Attribute::SrcEndpointIp, host);
    event.push(Attribute::SrcEndpointPort, number);
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn logons_and_connections_have_their_class() {
        let event = normalized(
            r#"{"t":{"$date":"2026-03-16T10:00:00.903+01:00"},"s":"I","c":"ACCESS","id":20249,"ctx":"conn1","msg":"Authentication failed","attr":{"mechanism":"SCRAM-SHA-256","principalName":"ann","authenticationDatabase":"admin","remote":"[2001:db8::1]:4071","error":"AuthenticationFailed: x"}}"#,
        );
        assert_eq!((event["type_uid"].as_u64(), event["status_id"].as_u64()), (Some(300_201), Some(2)));
        assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "2001:db8::1", "port": 4071}));
        assert_eq!(event["user"]["name"], "ann");
        assert_eq!(event["time"], 1_773_651_600_903_i64);
        let event = normalized(
            r#"{"t":{"$date":"2026-03-16T10:00:00.903+01:00"},"s":"I","c":"NETWORK","id":22943,"ctx":"listener","msg":"Connection accepted","attr":{"remote":"192.0.2.7:4071"}}"#,
        );
        assert_eq!(event["type_uid"], 400_101);
        for (severity, kind) in [("I", 600_299), ("W", 600_801), ("E", 600_801)] {
            let event = normalized(&format!(
                r#"{{"t":{{"$date":"2026-03-16T10:00:00.903+01:00"}},"s":"{severity}","c":"STORAGE","id":7,"ctx":"main","msg":"Opening"}}"#
            ));
            assert_eq!(event["type_uid"], kind, "{severity}");
        }
    }
}
