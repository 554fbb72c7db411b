//! Audit logs of clouds and of access gateways: AWS CloudTrail, Google Cloud audit, Teleport.
//!
//! In: fields. Out: API activity (6003) where the record names an actor and a source, a logon (3002) where it is one, else a
//! base event. Source: AWS CloudTrail "Record contents"; Google Cloud `AuditLog` and `LogEntry`; Teleport, "Audit events".

use std::borrow::Cow;

use super::super::fields::{Fields, Leaf};
use super::super::text::port;
use super::super::{Context, endpoint, outcome};
use super::bare;
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Whether it is a record of CloudTrail, alone or as EventBridge hands it on.
pub(super) fn looks_cloudtrail(fields: &Fields<'_>) -> bool {
    ["eventVersion", "eventSource", "eventName"].iter().all(|key| fields.has(key))
        || ["detail.eventVersion", "detail.eventSource", "detail.eventName"].iter().all(|key| fields.has(key))
}

/// The activity that the beginning of an operation's name says: create, read, update, delete.
pub(super) fn activity(operation: &str) -> u8 {
    // Azure ends what is none of the usual operations with a word that says nothing: `…/listKeys/action`.
    let mut parts = operation.rsplit(['.', '/']).filter(|part| !part.eq_ignore_ascii_case("action"));
    let name = parts.next().unwrap_or(operation).to_ascii_lowercase();
    let begins = |words: &[&str]| words.iter().any(|word| name.starts_with(word));
    if begins(&["create", "put", "run", "add", "insert", "attach", "import", "register"]) {
        1
    } else if begins(&["get", "list", "describe", "head", "lookup", "search", "query", "read", "watch", "assume"]) {
        2
    } else if begins(&["update", "modify", "set", "patch", "enable", "disable", "start", "stop", "change"]) {
        3
    } else if begins(&["delete", "remove", "terminate", "detach", "deregister", "revoke"]) {
        4
    } else {
        0
    }
}

/// Takes who called what, from where, and how it ended.
pub(super) fn parse_cloudtrail<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    event.push(Attribute::MetadataLogProvider, "cloudtrail");
    let prefix = if fields.has("detail.eventVersion") { "detail." } else { "" };
    let key = |name: &'static str| match prefix {
        "" => Cow::Borrowed(name),
        prefix => Cow::Owned(format!("{prefix}{name}")),
    };
    fields.push_time(event, &key("eventTime"), context.reference);
    let operation = fields.text(&key("eventName")).unwrap_or_default();
    let users = [
        "userIdentity.userName",
        "userIdentity.sessionContext.sessionIssuer.userName",
        "userIdentity.arn",
        "userIdentity.principalId",
        "userIdentity.invokedBy",
        "userIdentity.type",
    ];
    let user = users.into_iter().map(&key).find(|key| fields.peek(key).is_some());
    event.class = if operation == "ConsoleLogin" { Class::Authentication } else { Class::ApiActivity };
    let placed = fields.push_source(event, &key("sourceIPAddress"), "");
    match (user.as_deref(), placed, event.class) {
        (Some(user), _, Class::Authentication) => {
            event.activity_id = 1;
            fields.push(event, Attribute::UserName, user);
            fields.push(event, Attribute::ServiceName, &key("eventSource"));
            event.push(Attribute::IsRemote, true);
        }
        (Some(user), true, _) => {
            event.activity_id = activity(&operation);
            fields.push(event, Attribute::ActorUserName, user);
            event.push(Attribute::ApiOperation, operation.clone());
            for (attribute, name) in [
                (Attribute::ActorUserUid, "userIdentity.principalId"),
                (Attribute::ApiServiceName, "eventSource"),
                (Attribute::ApiRequestUid, "requestID"),
                (Attribute::ApiResponseError, "errorCode"),
            ] {
                fields.push(event, attribute, &key(name));
            }
        }
        _ => base(event),
    }
    fields.push(event, Attribute::HttpRequestUserAgent, &key("userAgent"));
    fields.push(event, Attribute::MetadataCorrelationUid, &key("eventID"));
    let failed = fields.is(&key("responseElements.ConsoleLogin"), "Failure")
        || fields.has(&key("errorMessage"))
        || event.value(Attribute::ApiResponseError).is_some()
        || fields.peek(&key("errorCode")).is_some();
    if failed {
        outcome::failure(event, fields.text(&key("errorMessage")).unwrap_or_default());
    } else {
        outcome::success(event);
    }
    event.push(Attribute::Message, operation.clone());
    event.push(Attribute::MetadataEventCode, operation);
}

/// What lacks a part that its class requires.
pub(super) fn base(event: &mut Event<'_>) {
    event.class = Class::BaseEvent;
    event.activity_id = 0;
    event.fields.retain(|field| Class::BaseEvent.carries(field.attribute));
}

/// Whether it is an audit entry of Google Cloud.
pub(super) fn looks_gcp(fields: &Fields<'_>) -> bool {
    fields.has("protoPayload.methodName") || fields.has("gcp.protoPayload.methodName")
}

/// Takes who called what, from where, and how it ended.
pub(super) fn parse_gcp<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    let prefix = if fields.has("gcp.protoPayload") { "gcp." } else { "" };
    let top = |name: &str| format!("{prefix}{name}");
    let key = |name: &str| format!("{prefix}protoPayload.{name}");
    event.push(Attribute::MetadataLogProvider, "google-cloud-audit");
    let _ =
        [top("timestamp"), top("receiveTimestamp")].iter().any(|key| fields.push_time(event, key, context.reference));
    bare::push_level(fields, event);
    let operation = fields.text(&key("methodName")).unwrap_or_default();
    let user = key("authenticationInfo.principalEmail");
    event.class = Class::ApiActivity;
    let placed = fields.push_source(event, &key("requestMetadata.callerIp"), "");
    if placed && fields.peek(&user).is_some() {
        event.activity_id = activity(&operation);
        fields.push(event, Attribute::ActorUserName, &user);
        event.push(Attribute::ApiOperation, operation.clone());
        fields.push(event, Attribute::ApiServiceName, &key("serviceName"));
        fields.push(event, Attribute::HttpRequestUserAgent, &key("requestMetadata.callerSuppliedUserAgent"));
        fields.push(event, Attribute::ResourcesName, &key("resourceName"));
        fields.push(event, Attribute::ResourcesType, &top("resource.type"));
    } else {
        base(event);
    }
    fields.push(event, Attribute::MetadataCorrelationUid, &top("insertId"));
    match fields.leaf(&key("status.code")).and_then(Leaf::as_number) {
        None | Some(0) => outcome::success(event),
        Some(_) => outcome::failure(event, fields.text(&key("status.message")).unwrap_or_default()),
    }
    event.push(Attribute::Message, operation.clone());
    event.push(Attribute::MetadataEventCode, operation);
}

/// Whether it is an audit event of Teleport: before version 5 it does not name the cluster, and is told by its code (`T1000W`).
pub(super) fn looks_teleport(fields: &Fields<'_>) -> bool {
    let is_code = |code: &str| {
        let digits = code.strip_prefix('T').and_then(|rest| rest.strip_suffix(['I', 'W', 'E']));
        digits.is_some_and(|rest| rest.len() >= 4 && rest.ends_with(|byte: char| byte.is_ascii_digit()))
    };
    let is_its = || {
        fields.has("cluster_name")
            || ((fields.has("uid") || fields.has("sid")) && fields.peek("code").is_some_and(is_code))
    };
    fields.has("event") && fields.has("code") && fields.has("time") && is_its()
}

/// Takes logons and sessions (3002), changes of users (3001), and every other event that names a user and an address as a
/// call (6003).
pub(super) fn parse_teleport<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    event.push(Attribute::MetadataLogProvider, "teleport");
    fields.push_time(event, "time", context.reference);
    fields.push(event, Attribute::MetadataCorrelationUid, "uid");
    let kind = fields.text("event").unwrap_or_default();
    let user = ["user", "identity.user"].into_iter().find(|key| fields.peek(key).is_some());
    let account = match kind.as_ref() {
        "user.create" => 1,
        "user.delete" => 6,
        "user.password_change" => 3,
        _ => 0,
    };
    let logon = match kind.as_ref() {
        "user.login" | "session.start" | "session.join" | "auth" => 1,
        "session.end" | "session.leave" => 2,
        _ => 0,
    };
    event.class = match user {
        Some(_) if account > 0 => Class::AccountChange,
        Some(_) if logon > 0 => Class::Authentication,
        _ => Class::ApiActivity,
    };
    let placed = peer(fields, event) || fields.push_source(event, "identity.client_ip", "");
    match (event.class, user) {
        (Class::Authentication, Some(user)) => {
            event.activity_id = logon;
            fields.push(event, Attribute::UserName, user);
            event.push(Attribute::ServiceName, "teleport");
            fields.push(event, Attribute::SessionUid, "sid");
            fields.push(event, Attribute::AuthProtocol, "method");
            if event.value(Attribute::AuthProtocol).is_some() {
                event.push(Attribute::AuthProtocolId, 99);
            }
        }
        (Class::AccountChange, Some(user)) => {
            event.activity_id = account;
            let named = if fields.peek("name").is_some() { "name" } else { user };
            fields.push(event, Attribute::UserName, named);
            fields.push(event, Attribute::ActorUserName, user);
        }
        (_, Some(user)) if placed => {
            event.activity_id = activity(&kind);
            fields.push(event, Attribute::ActorUserName, user);
            event.push(Attribute::ApiOperation, kind.clone());
            event.push(Attribute::ApiServiceName, "teleport");
        }
        _ => {
            base(event);
            if let Some(user) = user {
                fields.push(event, Attribute::ActorUserName, user);
            }
        }
    }
    fields.push(event, Attribute::HttpRequestUserAgent, "user_agent");
    match fields.leaf("success") {
        Some(Leaf::Bool(false)) => outcome::failure(event, fields.text("error").unwrap_or_default()),
        Some(Leaf::Bool(true)) => outcome::success(event),
        _ if event.class != Class::BaseEvent => outcome::success(event),
        _ => {}
    }
    event.push(Attribute::Message, kind);
    fields.push(event, Attribute::MetadataEventCode, "code");
}

/// The address and port of the client.
fn peer<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) -> bool {
    let peer = fields.peek("addr.remote").and_then(|text| text.rsplit_once(':'));
    let Some((host, number)) = peer.and_then(|(host, number)| Some((endpoint::ip(host)?.to_owned(), port(number)?)))
    else {
        return false;
    };
    fields.take("addr.remote");
    event.push(Attribute::SrcEndpointIp, host);
    event.push(Attribute::SrcEndpointPort, number);
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn calls_and_logons_have_their_class() {
        let line = |name: &str, rest: &str| {
            normalized(&format!(
                r#"{{"eventVersion":"1.08","userIdentity":{{"type":"IAMUser","userName":"ann"}},"eventTime":"2026-03-16T09:00:00Z","eventSource":"x.amazonaws.com","eventName":"{name}","sourceIPAddress":"192.0.2.7","userAgent":"aws-cli",{rest}"eventID":"e1"}}"#
            ))
        };
        let event = line(
            "ConsoleLogin",
            r#""errorMessage":"Failed authentication","responseElements":{"ConsoleLogin":"Failure"},"#,
        );
        assert_eq!((event["type_uid"].as_u64(), event["status_id"].as_u64()), (Some(300_201), Some(2)));
        assert_eq!(event["user"]["name"], "ann");
        let event = line("DeleteTrail", "");
        assert_eq!(event["type_uid"], 600_304);
        let bridged = normalized(
            r#"{"version":"0","detail-type":"AWS API Call via CloudTrail","time":"2026-03-16T09:00:07Z","detail":{"eventVersion":"1.08","userIdentity":{"userName":"ann"},"eventTime":"2026-03-16T09:00:00Z","eventSource":"x.amazonaws.com","eventName":"DeleteTrail","sourceIPAddress":"192.0.2.7"}}"#,
        );
        assert_eq!((&bridged["type_uid"], &bridged["time"]), (&event["type_uid"], &event["time"]));
        assert_eq!(bridged["actor"]["user"]["name"], "ann");
        assert_eq!(event["api"]["service"]["name"], "x.amazonaws.com");
        assert_eq!(event["time"], 1_773_651_600_000_i64);
        let event = normalized(
            r#"{"insertId":"i","protoPayload":{"authenticationInfo":{"principalEmail":"ann@example.com"},"methodName":"beta.compute.networks.insert","requestMetadata":{"callerIp":"192.0.2.7"},"serviceName":"compute.googleapis.com"},"severity":"NOTICE","timestamp":"2026-03-16T09:00:00.5Z"}"#,
        );
        assert_eq!(event["type_uid"], 600_301);
        let event = normalized(
            r#"{"ei":0,"event":"user.login","uid":"a4","code":"T1000W","time":"2026-03-16T09:00:00.133Z","cluster_name":"c","user":"ann","success":false,"error":"invalid","method":"local","addr.remote":"192.0.2.7:34204"}"#,
        );
        assert_eq!((event["type_uid"].as_u64(), event["status_id"].as_u64()), (Some(300_201), Some(2)));
        assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "192.0.2.7", "port": 34204}));
        let event = normalized(
            r#"{"code":"T1000I","event":"user.login","method":"local","success":true,"time":"2026-03-16T09:00:00Z","uid":"a5","user":"ann"}"#,
        );
        assert_eq!((event["type_uid"].as_u64(), event["status_id"].as_u64()), (Some(300_201), Some(1)));
        for (kind, rest, class) in [
            ("session.start", r#""user":"ann","sid":"s""#, 300_201),
            ("session.leave", r#""user":"ann","sid":"s""#, 300_202),
            ("user.create", r#""user":"bob","name":"ann","addr.remote":"192.0.2.7:5""#, 300_101),
            ("cert.create", r#""identity":{"user":"ann","client_ip":"192.0.2.7"}"#, 600_301),
            ("session.upload", r#""sid":"s""#, 0),
        ] {
            let event = normalized(&format!(
                r#"{{"event":"{kind}","code":"T2000I","time":"2026-03-16T09:00:00Z","cluster_name":"c","uid":"u",{rest}}}"#
            ));
            assert_eq!(event["type_uid"], class, "{kind}");
            if (300_000..400_000).contains(&class) {
                assert_eq!(event["user"]["name"], "ann", "{kind}");
            }
        }
        let event = normalized(
            r#"{"code":"T1009W","event":"recovery_code.used","success":false,"error":"no match","time":"2026-03-16T09:00:00Z","uid":"a6","user":"ann"}"#,
        );
        assert_eq!((&event["status_id"], &event["status_detail"]), (&2.into(), &"no match".into()));
    }
}
