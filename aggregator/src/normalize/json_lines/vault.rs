//! Vault and OpenBao: the audit log, one object for each request and response.
//!
//! In: `{"time":…,"type":"response","auth":{"display_name":…},"request":{"operation":"update","path":"auth/userpass/login/ann",
//! "remote_address":…},"error":…}`. Out: a logon (3002) where the path is one and the answer has come, else a call (6003).
//! Source: Vault documentation, "Audit Devices".

use super::super::fields::Fields;
use super::super::{Context, outcome};
use super::bare;
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Whether it is a request or response.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    (fields.is("type", "request") || fields.is("type", "response"))
        && fields.has("request.operation")
        && fields.has("request.path")
}

/// Takes what it says.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    bare::push_time(fields, context, event);
    event.push(Attribute::MetadataLogProvider, "vault");
    fields.push(event, Attribute::MetadataCorrelationUid, "request.id");
    let answered = fields.is("type", "response");
    let path = fields.text("request.path").unwrap_or_default();
    let operation = fields.text("request.operation").unwrap_or_default();
    // `auth/MOUNT/login[/NAME]`.
    let logon = path.strip_prefix("auth/").and_then(|rest| rest.split_once("/login"));
    let names = ["auth.metadata.username", "auth.display_name", "response.auth.display_name"];
    let name = names.iter().find_map(|key| fields.text(key)).filter(|name| !name.is_empty());
    if let Some((mount, rest)) = logon.filter(|_| answered) {
        event.class = Class::Authentication;
        event.activity_id = 1;
        let typed = rest.strip_prefix('/').unwrap_or_default().to_owned();
        event.push(Attribute::UserName, name.unwrap_or(typed.into()));
        event.push(Attribute::ServiceName, "vault");
        event.push(Attribute::IsRemote, true);
        event.unmap("auth_method", mount.to_owned());
    } else {
        event.class = Class::ApiActivity;
        event.activity_id = match operation.as_ref() {
            "create" => 1,
            "read" | "list" | "help" => 2,
            "update" | "patch" | "renew" => 3,
            "delete" | "revoke" => 4,
            _ => 0,
        };
        if let Some(name) = name {
            event.push(Attribute::ActorUserName, name);
        }
        event.push(Attribute::ApiServiceName, "vault");
    }
    let from = fields.push_source(event, "request.remote_address", "request.remote_port");
    // What Vault asks of itself comes from nobody, what it refuses to a stranger only from an address.
    if event.class == Class::ApiActivity && !(from && event.value(Attribute::ActorUserName).is_some()) {
        event.class = Class::BaseEvent;
        event.activity_id = 0;
        if let Some(address) = event.text(Attribute::SrcEndpointIp).map(str::to_owned) {
            event.unmap("src_ip", address);
        }
        event.fields.retain(|field| Class::BaseEvent.carries(field.attribute));
        event.unmap("operation", operation);
    } else if event.class == Class::ApiActivity {
        event.push(Attribute::ApiOperation, operation);
        event.push_at(Attribute::ResourcesName, 0, path.clone());
    }
    let error = fields.text("error").filter(|error| !error.is_empty());
    event.push(Attribute::Message, path);
    match error {
        Some(error) => outcome::failure(event, error),
        None => outcome::success(event),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn calls_and_logons_have_their_class() {
        let line = |kind: &str, operation: &str, path: &str, rest: &str| {
            normalized(&format!(
                r#"{{"time":"2026-03-16T09:00:00.5Z","type":"{kind}","auth":{{"display_name":"userpass-ann"}},"request":{{"id":"r1","operation":"{operation}","path":"{path}","remote_address":"192.0.2.7","remote_port":5000}}{rest}}}"#
            ))
        };
        let event = line("request", "read", "secret/data/x", "");
        assert_eq!((&event["type_uid"], &event["api"]["operation"]), (&json!(600_302), &json!("read")));
        assert_eq!((&event["src_endpoint"]["ip"], &event["src_endpoint"]["port"]), (&json!("192.0.2.7"), &json!(5000)));
        let event = line("response", "update", "auth/userpass/login/ann", r#","error":"invalid username or password""#);
        assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(300_201), &json!(2)));
        assert_eq!(event["user"]["name"], "userpass-ann");
        let event = normalized(
            r#"{"time":"2026-03-16T09:00:00.5Z","type":"request","auth":{"token_type":"default"},"request":{"id":"r1","operation":"read","path":"secret/x","remote_address":"192.0.2.7"},"error":"permission denied"}"#,
        );
        assert_eq!((&event["class_uid"], &event["status_id"]), (&json!(0), &json!(2)));
        assert_eq!(event["unmapped"]["src_ip"], "192.0.2.7");
    }
}
