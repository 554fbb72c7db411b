//! Kubernetes audit log: each request to the API server is API activity (6003).
//!
//! In: fields of `kind: Event`, `apiVersion: audit.k8s.io/…`. Out: who did what to which object, and whether it was allowed.
//! Source: Kubernetes, `staging/src/k8s.io/apiserver/pkg/apis/audit/v1/types.go`.

use std::borrow::Cow;

use super::super::fields::{Fields, Leaf};
use super::super::remark::{life, report, spoken};
use super::super::{Context, json, outcome};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Whether it is an audit event.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    prefix(fields).is_some()
}

/// What stands before the keys: nothing, or where Elastic's integration puts them.
fn prefix(fields: &Fields<'_>) -> Option<&'static str> {
    if fields.has("auditID") && fields.has("verb") && fields.has("stage") {
        Some("")
    } else {
        fields.has("kubernetes.audit.auditID").then_some("kubernetes.audit.")
    }
}

/// Takes what the event says.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    let Some(prefix) = prefix(fields) else { return };
    let key = |name: &'static str| match prefix {
        "" => Cow::Borrowed(name),
        prefix => Cow::Owned(format!("{prefix}{name}")),
    };
    event.push(Attribute::MetadataLogProvider, "kube-apiserver");
    let times = ["stageTimestamp", "requestReceivedTimestamp", "timestamp"];
    let _ = times.into_iter().any(|name| fields.push_time(event, &key(name), context.reference));
    fields.push(event, Attribute::MetadataCorrelationUid, &key("auditID"));
    let source = match fields.leaf(&key("sourceIPs")) {
        Some(Leaf::Json(list)) => json::elements(list).next().and_then(Leaf::into_text),
        _ => None,
    };
    let about =
        ["requestURI", "objectRef.resource"].into_iter().find_map(|name| fields.peek(&key(name))).unwrap_or_default();
    let message = format!("{} {about}", fields.peek(&key("verb")).unwrap_or_default());
    event.push(Attribute::Message, message);
    // Without a user or a source the class lacks what it requires.
    if let (Some(source), true) =
        (source.filter(|ip| super::super::endpoint::ip(ip).is_some()), fields.has(&key("user.username")))
    {
        event.class = Class::ApiActivity;
        event.activity_id = match fields.peek(&key("verb")) {
            Some("create") => 1,
            Some("get" | "list" | "watch") => 2,
            Some("update" | "patch") => 3,
            Some("delete" | "deletecollection") => 4,
            _ => 0,
        };
        event.push(Attribute::SrcEndpointIp, source);
        event.push(Attribute::ApiServiceName, "kube-apiserver");
    }
    // What is listed or watched has no name of its own: the collection is what was asked for.
    if !fields.push(event, Attribute::ResourcesName, &key("objectRef.name"))
        && event.class == Class::ApiActivity
        && let Some(kind) = fields.peek(&key("objectRef.resource")).map(str::to_owned)
    {
        event.push(Attribute::ResourcesName, kind);
    }
    for (attribute, name) in [
        (Attribute::ActorUserName, "user.username"),
        (Attribute::ActorUserUid, "user.uid"),
        (Attribute::ApiOperation, "verb"),
        (Attribute::HttpRequestUserAgent, "userAgent"),
        (Attribute::ResourcesType, "objectRef.resource"),
        (Attribute::ResourcesNamespace, "objectRef.namespace"),
    ] {
        fields.push(event, attribute, &key(name));
    }
    let code = fields.leaf(&key("responseStatus.code")).and_then(Leaf::as_number);
    let Some(code) = code else { return };
    if event.class == Class::ApiActivity && i32::try_from(code).is_ok() {
        fields.take(&key("responseStatus.code"));
        event.push(Attribute::ApiResponseCode, code);
    }
    if code < 400 {
        outcome::success(event);
    } else {
        let reason = fields.text(&key("responseStatus.reason")).or_else(|| fields.text(&key("responseStatus.message")));
        outcome::failure(event, reason.unwrap_or_default());
    }
}

/// Whether it is an event that Kubernetes tells of an object, as its exporters print it.
pub(super) fn looks_event(fields: &Fields<'_>) -> bool {
    ["involvedObject.kind", "regarding.kind"].iter().any(|key| fields.has(key)) && fields.has("reason")
}

/// A warning is an error of the object (6008), anything else its life (6002).
pub(super) fn parse_event<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    event.push(Attribute::MetadataLogProvider, "kubernetes");
    let times = [
        "lastTimestamp",
        "eventTime",
        "deprecatedLastTimestamp",
        "firstTimestamp",
        "metadata.creationTimestamp",
        "@timestamp",
    ];
    let _ = times.iter().any(|key| fields.push_time(event, key, context.reference));
    let name = ["involvedObject.name", "regarding.name"].iter().find_map(|key| fields.text(key));
    let name = name.unwrap_or(Cow::Borrowed("kubernetes"));
    let reason = fields.text("reason").unwrap_or_default();
    if fields.is("type", "Warning") {
        event.severity_id = outcome::LOW;
        spoken(Some(name), Some(reason.clone()), event);
    } else {
        match reason.as_ref() {
            "Started" => life(name, 3, event),
            "Killing" | "Stopping" => life(name, 4, event),
            _ => report(name, event),
        };
    }
    let _ = ["message", "note"].iter().any(|key| fields.push(event, Attribute::Message, key));
    fields.push(event, Attribute::Count, "count");
    event.push(Attribute::MetadataEventCode, reason);
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn what_happens_to_an_object_is_its_life() {
        for (kind, reason, class) in
            [("Normal", "Killing", 600_204), ("Normal", "Pulled", 600_299), ("Warning", "BackOff", 600_801)]
        {
            let event = normalized(&format!(
                r#"{{"kind":"Event","apiVersion":"v1","metadata":{{"name":"p.1"}},"involvedObject":{{"kind":"Pod","name":"p"}},"reason":"{reason}","message":"m","lastTimestamp":"2026-03-16T09:00:00Z","count":2,"type":"{kind}"}}"#
            ));
            assert_eq!(
                (&event["type_uid"], &event["time"]),
                (&class.into(), &1_773_651_600_000_i64.into()),
                "{reason}"
            );
            assert_eq!((&event["message"], &event["count"]), (&"m".into(), &2.into()));
        }
    }

    #[test]
    fn a_request_to_the_api_server_is_api_activity() {
        let event = normalized(
            r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"57a7","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/foo/pods/p/exec","verb":"create","user":{"username":"ann","groups":["g"]},"sourceIPs":["192.0.2.7"],"userAgent":"kubectl","objectRef":{"resource":"pods","namespace":"foo","name":"p","subresource":"exec"},"responseStatus":{"code":403,"reason":"Forbidden"},"stageTimestamp":"2026-03-16T09:00:00.500000Z"}"#,
        );
        assert_eq!((event["type_uid"].as_u64(), event["status_id"].as_u64()), (Some(600_301), Some(2)));
        assert_eq!(event["actor"]["user"]["name"], "ann");
        assert_eq!(event["src_endpoint"]["ip"], "192.0.2.7");
        assert_eq!(event["resources"][0]["name"], "p");
        assert_eq!(event["time"], 1_773_651_600_500_i64);
        let event = normalized(
            r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"57a8","stage":"ResponseComplete","requestURI":"/api/v1/pods","verb":"list","user":{"username":"ann"},"sourceIPs":["192.0.2.7"],"objectRef":{"resource":"pods","namespace":"foo"},"responseStatus":{"code":200}}"#,
        );
        let nested = normalized(
            r#"{"@timestamp":"2026-03-16T09:00:00Z","ecs":{"version":"8.0.0"},"kubernetes":{"audit":{"auditID":"57a8","stage":"ResponseComplete","requestURI":"/api/v1/pods","verb":"list","user":{"username":"ann"},"sourceIPs":["192.0.2.7"],"objectRef":{"resource":"pods","namespace":"foo"},"responseStatus":{"code":200}}}}"#,
        );
        assert_eq!((&nested["type_uid"], &nested["resources"]), (&event["type_uid"], &event["resources"]));
        assert_eq!(event["resources"], serde_json::json!([{"name": "pods", "type": "pods", "namespace": "foo"}]));
    }
}
