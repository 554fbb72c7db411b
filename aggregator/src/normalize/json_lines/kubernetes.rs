//! Kubernetes audit log: each request to the API server is API activity (6003).
//!
//! In: fields of `kind: Event`, `apiVersion: audit.k8s.io/…`. Out: who did what to which object, and whether it was allowed.
//! Source: Kubernetes, `staging/src/k8s.io/apiserver/pkg/apis/audit/v1/types.go`.

use super::super::fields::{Fields, Leaf};
use super::super::{Context, json, outcome};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Whether it is an audit event.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    fields.has("auditID") && fields.has("verb") && fields.has("stage")
}

/// Takes what the event says.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    event.push(Attribute::MetadataLogProvider, "kube-apiserver");
    let times = ["stageTimestamp", "requestReceivedTimestamp", "timestamp"];
    let _ = times.into_iter().any(|key| fields.push_time(event, key, context.reference));
    fields.push(event, Attribute::MetadataCorrelationUid, "auditID");
    let source = match fields.leaf("sourceIPs") {
        Some(Leaf::Json(list)) => json::elements(list).next().and_then(Leaf::into_text),
        _ => None,
    };
    let about = ["requestURI", "objectRef.resource"].into_iter().find_map(|key| fields.peek(key)).unwrap_or_default();
    let message = format!("{} {about}", fields.peek("verb").unwrap_or_default());
    event.push(Attribute::Message, message);
    // Without a user or a source the class lacks what it requires.
    if let (Some(source), true) =
        (source.filter(|ip| super::super::endpoint::ip(ip).is_some()), fields.has("user.username"))
    {
        event.class = Class::ApiActivity;
        event.activity_id = match fields.peek("verb") {
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
    if !fields.push(event, Attribute::ResourcesName, "objectRef.name")
        && event.class == Class::ApiActivity
        && let Some(kind) = fields.peek("objectRef.resource").map(str::to_owned)
    {
        event.push(Attribute::ResourcesName, kind);
    }
    fields.push_all(
        event,
        &[
            (Attribute::ActorUserName, "user.username"),
            (Attribute::ActorUserUid, "user.uid"),
            (Attribute::ApiOperation, "verb"),
            (Attribute::HttpRequestUserAgent, "userAgent"),
            (Attribute::ResourcesType, "objectRef.resource"),
            (Attribute::ResourcesNamespace, "objectRef.namespace"),
        ],
    );
    let code = fields.leaf("responseStatus.code").and_then(Leaf::as_number);
    let Some(code) = code else { return };
    if event.class == Class::ApiActivity && i32::try_from(code).is_ok() {
        fields.take("responseStatus.code");
        event.push(Attribute::ApiResponseCode, code);
    }
    if code < 400 {
        outcome::success(event);
    } else {
        let reason = fields.text("responseStatus.reason").or_else(|| fields.text("responseStatus.message"));
        outcome::failure(event, reason.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

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
        assert_eq!(event["resources"], serde_json::json!([{"name": "pods", "type": "pods", "namespace": "foo"}]));
    }
}
