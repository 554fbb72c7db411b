//! Audit trails of services: who did what from where, one object a record. Okta, Microsoft 365 and Entra ID, Azure, GitHub,
//! GitLab, Google Workspace, Slack, 1Password, Duo, Box, Zoom, OneLogin, Keycloak, Cloudflare, Snowflake, MinIO, Elasticsearch.
//!
//! In: fields with the keys of one of [`TRAILS`]. Out: a logon or its end (3002) where the operation is one, a call (6003) where
//! an actor and an address stand there, else a base event; each with its outcome where the record says one. Source: Okta,
//! "System Log API"; Microsoft, "Office 365 Management Activity API schema" and "Azure Monitor resource log schema"; GitHub,
//! "Audit log events"; Slack, "Audit Logs API"; Elasticsearch, "Audit event types"; the same of the others.

use std::sync::LazyLock;

use super::super::endpoint::Address;
use super::super::fields::{Fields, Leaf, signs};
use super::super::logon_pairs::is_failure;
use super::super::text::port;
use super::super::timestamp::Reference;
use super::super::{Context, contained, endpoint, json, outcome};
use super::cloud::{activity, base};
use super::trails::{TRAILS, Trail};
use super::{access, bare};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// The signs of the marks of each trail: nearly all are told by them not to be it.
static SIGNS: LazyLock<[u64; TRAILS.len()]> = LazyLock::new(|| TRAILS.each_ref().map(|trail| signs(trail.marks)));

fn found(fields: &Fields<'_>) -> Option<&'static Trail> {
    let mut likely = TRAILS.iter().zip(SIGNS.iter()).filter(|(_, signs)| fields.may_have(**signs));
    likely.find(|(trail, _)| trail.marks.iter().all(|key| fields.has(key))).map(|(trail, _)| trail)
}

/// Whether it is a record of one of them.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    !fields.has("event.category") && found(fields).is_some()
}

/// What a record is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Logon,
    Logoff,
    Call,
}

/// What an operation is by its name.
fn about(operation: &str) -> About {
    const OFF: [&str; 8] =
        ["logout", "logoff", "log_out", "signout", "sign_out", "session.end", "loggedoff", "sign out"];
    const ON: [&str; 14] = [
        "login",
        "logon",
        "logged_in",
        "loggedin",
        "signin",
        "sign_in",
        "sign-in",
        "sign in",
        "session.start",
        "user.authentication",
        "authentication_",
        "realm_authentication",
        "userauthenticated",
        "anonymous_access_denied",
    ];
    // Changes of what has to do with logons.
    const NOT: [&str; 16] = [
        "create", "update", "delete", "set-", "set_", "remove", "disable", "enable", "change", "profile", "setting",
        "policy", "link", "rotate", "grant", "revoke",
    ];
    let name = operation.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if any(&NOT) {
        About::Call
    } else if any(&OFF) {
        About::Logoff
    } else if any(&ON) {
        About::Logon
    } else {
        About::Call
    }
}

/// Whether a code says that it is a logon, and that it failed: Auth0's "Log Event Type Codes", OneLogin's "Event types".
fn coded(provider: &str, code: &str) -> Option<(About, bool)> {
    match code {
        "5" | "8" if provider == "onelogin" => Some((About::Logon, false)),
        "6" | "9" if provider == "onelogin" => Some((About::Logon, true)),
        "7" if provider == "onelogin" => Some((About::Logoff, false)),
        _ if provider != "auth0" => None,
        "s" | "ss" | "sepft" | "seacft" | "sercft" | "ssa" | "scoa" => Some((About::Logon, false)),
        "f" | "fp" | "fu" | "fc" | "fco" | "fcoa" | "fepft" | "feacft" | "fercft" | "fsa" | "limit_wc" | "limit_mu" => {
            Some((About::Logon, true))
        }
        "slo" => Some((About::Logoff, false)),
        "flo" => Some((About::Logoff, true)),
        _ => None,
    }
}

fn first<'k>(fields: &Fields<'_>, keys: &[&'k str]) -> Option<&'k str> {
    keys.iter().copied().find(|key| fields.peek(key).is_some_and(|text| !matches!(text, "-" | "null" | "Unknown")))
}

/// Takes who did what, from where, and how it ended.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    let Some(trail) = found(fields) else { return };
    // Azure wraps what its Kubernetes writes.
    if let Some(Leaf::Text(log)) = fields.take("properties.log") {
        if contained(log.clone(), context, event) {
            return;
        }
        fields.put_back("properties.log", Leaf::Text(log));
    }
    if access::looks(fields) {
        return access::parse(fields, context, event);
    }
    event.push(Attribute::MetadataLogProvider, trail.provider);
    // Microsoft writes UTC and does not say so.
    let reference = match trail.provider {
        "microsoft-365" => Reference { utc_offset_minutes: 0, ..context.reference },
        _ => context.reference,
    };
    if !trail.times.iter().any(|key| fields.push_time(event, key, reference)) {
        bare::push_time(fields, context, event);
    }
    let operation = first(fields, trail.operation).and_then(|key| fields.peek(key)).map(str::to_owned);
    let operation = operation.or_else(|| listed(fields)).unwrap_or_default();
    let coded = coded(trail.provider, &operation);
    let about = match coded {
        Some((about, _)) => about,
        None if trail.is_logon => About::Logon,
        None => about(&operation),
    };
    let user = first(fields, trail.users);
    event.class = if about == About::Call { Class::ApiActivity } else { Class::Authentication };
    let placed = place(trail, fields, event);
    match about {
        About::Logon | About::Logoff => {
            event.activity_id = if about == About::Logoff { 2 } else { 1 };
            match user {
                Some(user) => {
                    fields.push(event, Attribute::UserName, user);
                }
                None => event.push(Attribute::UserName, "unknown"),
            }
            event.push(Attribute::ServiceName, trail.provider);
            event.push(Attribute::IsRemote, true);
        }
        About::Call => match user {
            Some(user) if placed && !operation.is_empty() => {
                event.activity_id = activity(&operation);
                fields.push(event, Attribute::ActorUserName, user);
                event.push(Attribute::ApiOperation, operation.clone());
                event.push(Attribute::ApiServiceName, trail.provider);
            }
            _ => {
                let address = event.text(Attribute::SrcEndpointIp).map(str::to_owned);
                base(event);
                if let Some(address) = address {
                    event.unmap("src_ip", address);
                }
                if let Some(user) = user {
                    fields.push(event, Attribute::ActorUserName, user);
                }
            }
        },
    }
    let agents = ["client.userAgent.rawUserAgent", "userAgent", "user_agent", "context.ua", "properties.userAgent"];
    let _ = agents.into_iter().any(|key| fields.push(event, Attribute::HttpRequestUserAgent, key));
    let ids = ["uuid", "transaction.id", "correlationId", "Id", "request.id", "requestID", "_document_id", "log_id"];
    let _ = ids.into_iter().any(|key| fields.push(event, Attribute::MetadataCorrelationUid, key));
    let failed = coded.map(|(_, failed)| failed).or_else(|| failed(trail, fields, &operation, about));
    match failed {
        Some(true) => {
            let reason = first(fields, trail.reasons).and_then(|key| fields.text(key));
            outcome::failure(event, reason.unwrap_or_default());
        }
        Some(false) => outcome::success(event),
        None => {}
    }
    for key in ["displayMessage", "resultDescription", "description", "message.content"] {
        if event.value(Attribute::Message).is_none() {
            fields.push(event, Attribute::Message, key);
        }
    }
    if event.value(Attribute::Message).is_none() {
        event.push(Attribute::Message, operation.clone());
    }
    event.push(Attribute::MetadataEventCode, operation);
}

/// The name of the first of the events that a record of Google lists.
fn listed(fields: &Fields<'_>) -> Option<String> {
    let Leaf::Json(list) = fields.leaf("events")? else { return None };
    let Leaf::Json(first) = json::elements(list).next()? else { return None };
    json::read(first)?.peek("name").map(str::to_owned)
}

/// The address of whoever did it, also with a port behind it.
fn place<'a>(trail: &Trail, fields: &mut Fields<'a>, event: &mut Event<'a>) -> bool {
    let Some(key) = first(fields, trail.hosts) else {
        // What Microsoft's services do themselves, they do from a server: `EXAMPLE1 (15.20.7)`.
        let server = fields.peek("OriginatingServer").and_then(|text| text.split(' ').next()).map(str::to_owned);
        let named = server.filter(|server| matches!(Address::parse(server), Some(Address::Name(_))));
        return named.is_some_and(|server| {
            event.push(Attribute::SrcEndpointHostname, server);
            true
        });
    };
    let said = fields.peek(key).unwrap_or_default();
    if endpoint::ip(said).is_none()
        && let Some((host, number)) = said.rsplit_once(':')
        && let (Some(host), Some(number)) = (endpoint::ip(host).map(str::to_owned), port(number))
    {
        fields.take(key);
        event.push(Attribute::SrcEndpointIp, host);
        event.push(Attribute::SrcEndpointPort, number);
        return true;
    }
    endpoint::ip(said).is_some() && fields.push_source(event, key, "")
}

/// Whether it failed: as the record says, else as its operation's name does.
fn failed(trail: &Trail, fields: &Fields<'_>, operation: &str, about: About) -> Option<bool> {
    let said = trail.outcomes.iter().find_map(|key| match fields.leaf(key)? {
        Leaf::Bool(passed) => Some(!passed),
        leaf => {
            let word = leaf.as_text()?;
            // The codes of Entra ID: anything but 0 is why a logon failed.
            is_failure(word).or_else(|| word.parse::<i64>().ok().map(|code| code != 0))
        }
    });
    if said.is_some() {
        return said;
    }
    let name = operation.to_ascii_lowercase();
    let action = fields.peek("event.action").unwrap_or_default();
    let bad = ["fail", "error", "denied", "tampered"].iter().any(|word| name.contains(word) || action.contains(word));
    let is_error = trail.provider == "keycloak" && fields.peek("error").is_some();
    if bad || is_error {
        return Some(true);
    }
    (about != About::Call || action.contains("granted")).then_some(false)
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn logons_have_user_address_and_outcome() {
        for (line, status) in [
            (
                r#"{"actor":{"alternateId":"ann","id":"7","type":"User"},"client":{"ipAddress":"192.0.2.7"},"eventType":"user.session.start","outcome":{"reason":"INVALID_CREDENTIALS","result":"FAILURE"},"published":"2026-03-16T09:00:00.000Z","displayMessage":"User login to Okta"}"#,
                2,
            ),
            (
                r#"{"CreationTime":"2026-03-16T09:00:00","Operation":"UserLoggedIn","Workload":"AzureActiveDirectory","ResultStatus":"Success","UserId":"ann","ClientIP":"192.0.2.7:4711"}"#,
                1,
            ),
            (
                r#"{"CreationTime":"2026-03-16T09:00:00","Operation":"UserLoginFailed","Workload":"AzureActiveDirectory","UserId":"ann","ActorIpAddress":"192.0.2.7"}"#,
                2,
            ),
            (
                r#"{"time":"2026-03-16T09:00:00Z","category":"SignInLogs","operationName":"Sign-in activity","resultType":"50126","resultDescription":"Invalid password","callerIpAddress":"192.0.2.7","properties":{"userPrincipalName":"ann","ipAddress":"192.0.2.7","createdDateTime":"2026-03-16T09:00:00Z"}}"#,
                2,
            ),
            (
                r#"{"createdDateTime":"2026-03-16T09:00:00Z","userPrincipalName":"ann","appDisplayName":"a","ipAddress":"192.0.2.7","status":{"errorCode":0}}"#,
                1,
            ),
            (
                r#"{"id":{"applicationName":"login","time":"2026-03-16T09:00:00.000Z"},"actor":{"email":"ann"},"ipAddress":"192.0.2.7","events":[{"type":"login","name":"login_failure"}]}"#,
                2,
            ),
            (
                r#"{"action":"user_login","date_create":1773651600,"actor":{"user":{"name":"ann"}},"context":{"ip_address":"192.0.2.7"}}"#,
                1,
            ),
            (
                r#"{"type":"LOGIN_ERROR","realmId":"r","ipAddress":"192.0.2.7","error":"invalid_user_credentials","details":{"username":"ann"},"time":1773651600000}"#,
                2,
            ),
            (
                r#"{"type":"audit","timestamp":"2026-03-16T10:00:00,000+0100","event.type":"rest","event.action":"authentication_failed","user.name":"ann","origin.type":"rest","origin.address":"192.0.2.7:4711","url.path":"/"}"#,
                2,
            ),
            (
                r#"{"type":"events","attributes":{"time":"2026-03-16T09:00:00.000Z","action":"user_login_failed","actor":{"id":"7","email":"ann"},"location":{"ip":"192.0.2.7"}},"message":{"content":"m"}}"#,
                2,
            ),
            (
                r#"{"date":"2026-03-16T09:00:00.000Z","type":"fp","description":"Wrong password","ip":"192.0.2.7","user_name":"ann","log_id":"9"}"#,
                2,
            ),
            (
                r#"{"event_type":"authentication","factor":"duo_push","result":"denied","reason":"user_cancelled","user":{"name":"ann"},"access_device":{"ip":"192.0.2.7"},"timestamp":1773651600}"#,
                2,
            ),
        ] {
            let event = normalized(line);
            assert_eq!((&event["type_uid"], &event["status_id"]), (&300_201.into(), &status.into()), "{line}");
            assert_eq!((&event["user"]["name"], &event["src_endpoint"]["ip"]), (&"ann".into(), &"192.0.2.7".into()));
            assert_eq!(event["time"], 1_773_651_600_000_i64, "{line}");
        }
    }

    #[test]
    fn what_else_was_done_is_a_call() {
        for (line, kind) in [
            (
                r#"{"actor":{"alternateId":"ann"},"client":{"ipAddress":"192.0.2.7"},"eventType":"user.session.end","outcome":{"result":"SUCCESS"},"published":"2026-03-16T09:00:00Z"}"#,
                300_202,
            ),
            (
                r#"{"actor":{"alternateId":"ann"},"client":{"ipAddress":"192.0.2.7"},"eventType":"policy.rule.update","outcome":{"result":"SUCCESS"},"published":"2026-03-16T09:00:00Z"}"#,
                600_303,
            ),
            (
                r#"{"CreationTime":"2026-03-16T09:00:00","Operation":"Set-Plan","Workload":"Exchange","ResultStatus":"True","UserId":"ann","OriginatingServer":"SRV1 (15.20.7)"}"#,
                600_303,
            ),
            (
                r#"{"action":"repo.create","actor":"ann","actor_ip":"192.0.2.7","created_at":1773651600000,"_document_id":"d"}"#,
                600_301,
            ),
            (
                r#"{"timestamp":"2026-03-16T09:00:00Z","resourceId":"/s","operationName":"ApplicationGatewayAccess","category":"ApplicationGatewayAccessLog","properties":{"clientIP":"192.0.2.7","httpMethod":"GET","requestUri":"/x","httpStatus":404}}"#,
                400_203,
            ),
            (r#"{"action":"repo.create","actor":"ann","created_at":1773651600000,"_document_id":"d"}"#, 0),
            (
                r#"{"time":"2026-03-16T09:00:00Z","resourceId":"/s","operationName":"MICROSOFT.COMPUTE/VIRTUALMACHINES/DELETE","category":"Administrative","resultType":"Success","callerIpAddress":"192.0.2.7","identity":{"claims":{"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn":"ann"}}}"#,
                600_304,
            ),
        ] {
            let event = normalized(line);
            assert_eq!(event["type_uid"], kind, "{line}");
            assert_eq!(event["time"], 1_773_651_600_000_i64, "{line}");
            if !matches!(kind, 300_202 | 400_203) {
                assert_eq!(event["actor"]["user"]["name"], "ann", "{line}");
            }
        }
    }
}
