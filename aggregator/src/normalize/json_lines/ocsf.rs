//! OCSF as input: what another producer has normalized already.
//!
//! In: fields with `class_uid` and `metadata.version`. Out: its class where it is one of ours, with the attributes that we
//! carry and whose values OCSF 1.8.0 takes; everything else stands in `unmapped` under its path. What says where an event
//! came from (`device`, `metadata.product`) is the agent's here: the producer's own stands in `unmapped`.

use super::super::endpoint::Address;
use super::super::fields::{Fields, Leaf};
use super::super::record::{CLASSES, enforce, knows, takes};
use super::super::{Context, json};
use crate::event::{Event, Value};
use crate::schema::{Attribute, Class, Kind};

/// Most elements of a list that are taken apart.
const LISTED_MAX: usize = 64;

/// A class that lines are of and typed records are not.
struct Also {
    class: Class,
    /// The last of its activities.
    activities: u8,
    /// What it requires: one of each group.
    needs: &'static [&'static [Attribute]],
}

const ACTOR: &[Attribute] =
    &[Attribute::ActorUserName, Attribute::ActorUserUid, Attribute::ActorAppName, Attribute::ActorProcessPid];
const SOURCE: &[Attribute] = &[Attribute::SrcEndpointIp, Attribute::SrcEndpointHostname];
const ENDS: &[Attribute] = &[
    Attribute::SrcEndpointIp,
    Attribute::SrcEndpointHostname,
    Attribute::DstEndpointIp,
    Attribute::DstEndpointHostname,
];

static ALSO: [Also; 9] = [
    // Of the activities the fourth, Trace, has been there since 1.0.
    Also { class: Class::EmailActivity, activities: 4, needs: &[&[Attribute::EmailDirectionId]] },
    Also { class: Class::ApiActivity, activities: 4, needs: &[&[Attribute::ApiOperation], ACTOR, SOURCE] },
    Also { class: Class::ApplicationError, activities: 2, needs: &[] },
    Also {
        class: Class::KernelActivity,
        activities: 4,
        needs: &[&[Attribute::KernelName], &[Attribute::KernelTypeId], ACTOR],
    },
    Also {
        class: Class::PeripheralActivity,
        activities: 2,
        needs: &[&[Attribute::PeripheralName], &[Attribute::PeripheralClass], ACTOR],
    },
    Also { class: Class::FtpActivity, activities: 6, needs: &[ENDS] },
    Also { class: Class::RdpActivity, activities: 7, needs: &[ENDS] },
    Also { class: Class::SmbActivity, activities: 9, needs: &[ENDS] },
    Also { class: Class::TunnelActivity, activities: 3, needs: &[ENDS, &[Attribute::TunnelTypeId]] },
];

impl Also {
    /// Whether the event has what the class requires, in values that OCSF takes.
    fn is_whole(&self, fields: &Fields<'_>) -> bool {
        let has = |attribute: &Attribute| self.class.carries(*attribute) && fitting(*attribute, fields).is_some();
        self.needs.iter().all(|any| any.iter().any(has))
    }
}

/// Whether it is an event of OCSF. Some leave out the version.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    (fields.has("class_uid") || fields.has("type_uid"))
        && (fields.has("metadata.version") || fields.has("category_uid"))
}

/// Takes what we carry.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    let number = |fields: &Fields<'a>, key: &str| fields.leaf(key).and_then(Leaf::as_number);
    let uid = number(fields, "class_uid").or_else(|| number(fields, "type_uid").map(|uid| uid / 100));
    let class = uid.and_then(|uid| u32::try_from(uid).ok()).and_then(Class::from_uid);
    // Security Finding (2001) of OCSF 1.0 became Detection Finding in 1.1: its `finding` is the other's `finding_info`.
    let (class, old) = match uid {
        Some(2001) if fields.peek("finding.uid").is_some() => (Some(Class::DetectionFinding), true),
        _ => (class, false),
    };
    let finding = old || (class == Some(Class::DetectionFinding) && fields.peek("finding_info.uid").is_some());
    let also = class.and_then(|class| ALSO.iter().find(|also| also.class == class && also.is_whole(fields)));
    fields.push_time(event, "time", context.reference);
    if let Some(severity @ 0..=6) = number(fields, "severity_id") {
        fields.take("severity_id");
        event.severity_id = u8::try_from(severity).unwrap_or(1);
    }
    let Some(class) = class.filter(|class| finding || also.is_some() || CLASSES.contains(class)) else {
        fields.push(event, Attribute::Message, "message");
        return;
    };
    event.class = class;
    let activity = number(fields, "activity_id").and_then(|id| u8::try_from(id).ok());
    let known = |id: &u8| knows(class, *id) || (finding && *id <= 3) || also.is_some_and(|also| *id <= also.activities);
    if let Some(activity) = activity.filter(known) {
        event.activity_id = activity;
        fields.take("activity_id");
    }
    for key in ["class_uid", "class_name", "category_uid", "category_name", "type_uid", "type_name", "metadata.version"]
    {
        fields.take(key);
    }
    for attribute in class.attributes() {
        if is_ours(*attribute) || attribute.path().contains("[]") {
            continue;
        }
        if let Some(value) = fitting(*attribute, fields) {
            fields.take(attribute.path());
            event.push(*attribute, value);
        }
    }
    if old {
        fields.push_new(
            event,
            &[
                (Attribute::FindingUid, "finding.uid"),
                (Attribute::FindingTitle, "finding.title"),
                (Attribute::FindingDesc, "finding.desc"),
            ],
        );
    }
    answers(fields, event);
    letter(fields, event);
    logon(fields, event);
    if finding {
        evidences(fields, event);
    }
    if event.value(Attribute::ActionId).is_some() || event.value(Attribute::DispositionId).is_some() {
        event.profile("security_control");
    }
    enforce(event);
    // Who did it is required of these, and a producer of an older version may not have said it.
    let by_somebody =
        matches!(event.class, Class::ProcessActivity | Class::FileActivity | Class::KernelExtensionActivity);
    if by_somebody && !event.fields.iter().any(|field| field.attribute.path().starts_with("actor.")) {
        event.push(Attribute::ActorAppName, "ocsf");
    }
    if event.activity_id == 99 && event.value(Attribute::ActivityName).is_none() {
        event.activity_id = 0;
    }
}

/// What the source and this stage say themselves.
fn is_ours(attribute: Attribute) -> bool {
    let path = attribute.path();
    let kept = matches!(
        attribute,
        Attribute::MetadataEventCode
            | Attribute::MetadataCorrelationUid
            | Attribute::MetadataLogProvider
            | Attribute::MetadataLogLevel
    );
    path.starts_with("device.")
        || (path.starts_with("metadata.") && !kept)
        || path.starts_with("raw_data")
        || matches!(attribute, Attribute::FirewallRuleName | Attribute::FirewallRuleUid | Attribute::PolicyName)
}

/// An end by its name, where it has no host name: `name`, or an address that is none.
fn named<'a>(attribute: Attribute, fields: &Fields<'a>) -> Option<Value<'a>> {
    let keys = match attribute {
        Attribute::SrcEndpointHostname => ["src_endpoint.name", "src_endpoint.ip"],
        Attribute::DstEndpointHostname => ["dst_endpoint.name", "dst_endpoint.ip"],
        _ => return None,
    };
    keys.into_iter().find_map(|key| match fields.leaf(key)? {
        Leaf::Text(text) => matches!(Address::parse(text), Some(Address::Name(_))).then(|| Value::Text(text.clone())),
        _ => None,
    })
}

fn fitting<'a>(attribute: Attribute, fields: &Fields<'a>) -> Option<Value<'a>> {
    as_said(attribute, fields).or_else(|| named(attribute, fields))
}

fn as_said<'a>(attribute: Attribute, fields: &Fields<'a>) -> Option<Value<'a>> {
    let value = match (attribute.kind(), fields.leaf(attribute.path())?) {
        (Kind::Text, Leaf::Text(text)) if !text.is_empty() => Value::Text(text.clone()),
        (Kind::Bool, Leaf::Bool(truth)) => Value::Bool(*truth),
        (Kind::Integer, leaf @ Leaf::Number(_)) => Value::Int(leaf.as_number().filter(|n| i32::try_from(*n).is_ok())?),
        (Kind::Long, leaf @ Leaf::Number(_)) => Value::Int(leaf.as_number()?),
        (Kind::Float, Leaf::Number(number)) => Value::Float(number.parse().ok()?),
        _ => return None,
    };
    let id = matches!(attribute, Attribute::ActionId | Attribute::DispositionId);
    let bounded = !id || matches!(value, Value::Int(number) if (0..=27).contains(&number));
    (bounded && takes(attribute, &value)).then_some(value)
}

fn answers<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let Some(Leaf::Json(list)) = fields.leaf("answers").filter(|_| event.class == Class::DnsActivity) else { return };
    let mut index = 0;
    for answer in json::elements(list).take(LISTED_MAX) {
        let Leaf::Json(answer) = answer else { continue };
        let Some(mut answer) = json::read(answer) else { continue };
        if answer.push_at(event, Attribute::AnswersRdata, index, "rdata") {
            answer.push_at(event, Attribute::AnswersType, index, "type");
            answer.push_at(event, Attribute::AnswersTtl, index, "ttl");
            index += 1;
        }
    }
    if index > 0 {
        fields.take("answers");
    }
}

/// Sender and recipients of a message, by the names of the envelope where the letter's are not there.
fn letter<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    if event.class != Class::EmailActivity {
        return;
    }
    fields.push_new(event, &[(Attribute::EmailFrom, "email.smtp_from")]);
    let list = ["email.to", "email.smtp_to"].into_iter().find_map(|key| match fields.leaf(key)? {
        Leaf::Json(list) => Some(*list),
        _ => None,
    });
    let recipients = json::elements(list.unwrap_or_default()).take(LISTED_MAX).filter_map(Leaf::into_text);
    for (index, recipient) in (0..).zip(recipients) {
        event.push_at(Attribute::EmailTo, index, recipient);
    }
}

/// The service of a logon, and its user's name, where a producer of an older version puts them elsewhere.
fn logon<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    if event.class != Class::Authentication {
        return;
    }
    let placed = [Attribute::ServiceName, Attribute::DstEndpointIp, Attribute::DstEndpointHostname];
    if placed.into_iter().all(|attribute| event.value(attribute).is_none()) {
        let keys = ["api.service.name", "dst_endpoint.svc_name", "metadata.product.name"];
        let _ = keys.into_iter().any(|key| fields.push(event, Attribute::ServiceName, key));
    }
    let is_actor = event.text(Attribute::UserUid).is_none_or(|uid| event.text(Attribute::ActorUserUid) == Some(uid));
    if event.value(Attribute::UserName).is_none()
        && is_actor
        && let Some(name) = event.value(Attribute::ActorUserName).cloned()
    {
        event.push(Attribute::UserName, name);
    }
    if event.value(Attribute::UserName).is_none()
        && event.value(Attribute::UserUid).is_none()
        && let Some(uid) = event.value(Attribute::ActorUserUid).cloned()
    {
        event.push(Attribute::UserUid, uid);
    }
}

/// The ends of the first evidence; the list stays as it is.
fn evidences<'a>(fields: &Fields<'a>, event: &mut Event<'a>) {
    let Some(Leaf::Json(list)) = fields.leaf("evidences") else { return };
    let Some(Leaf::Json(first)) = json::elements(list).next() else { return };
    let Some(mut first) = json::read(first) else { return };
    let ends = [
        ("src_endpoint", Attribute::EvidencesSrcEndpointIp, Attribute::EvidencesSrcEndpointPort),
        ("dst_endpoint", Attribute::EvidencesDstEndpointIp, Attribute::EvidencesDstEndpointPort),
    ];
    for (end, ip, port) in ends {
        let key = format!("{end}.ip");
        if first.peek(&key).is_some_and(|text| super::super::endpoint::ip(text).is_some()) {
            first.push(event, ip, &key);
            let key = format!("{end}.port");
            if first.is_port(&key) {
                first.push(event, port, &key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn attributes_are_taken_as_they_are_where_they_are_valid() {
        let event = normalized(
            r#"{"class_uid":3002,"category_uid":3,"activity_id":1,"type_uid":300201,"severity_id":2,"time":1773651600500,"metadata":{"version":"1.3.0","product":{"name":"x"}},"user":{"name":"ann"},"service":{"name":"sshd"},"src_endpoint":{"ip":"192.0.2.7","port":70000},"status_id":2,"status":"Failure","shoe":{"size":5}}"#,
        );
        assert_eq!(event["type_uid"], 300_201);
        assert_eq!(event["time"], 1_773_651_600_500_i64);
        assert_eq!(event["user"]["name"], "ann");
        assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "192.0.2.7"}));
        assert_eq!(event["unmapped"]["src_endpoint"]["port"], 70000);
        assert_eq!(event["unmapped"]["shoe"]["size"], 5);
        assert_eq!(event["metadata"]["product"]["name"], "Picket");
    }

    #[test]
    fn a_process_that_nobody_started_has_an_actor_all_the_same() {
        let event =
            normalized(r#"{"class_uid":1007,"activity_id":1,"metadata":{"version":"1.0.0"},"process":{"pid":12}}"#);
        assert_eq!((&event["type_uid"], &event["actor"]["app_name"]), (&100_701.into(), &"ocsf".into()));
    }

    #[test]
    fn classes_of_lines_are_taken_where_they_are_whole() {
        let call =
            r#""api":{"operation":"GetObject"},"actor":{"user":{"name":"bob"}},"src_endpoint":{"ip":"192.0.2.7"}"#;
        let head = r#""activity_id":2,"time":1773651600500,"metadata":{"version":"1.1.0"}"#;
        let event = normalized(&format!(r#"{{"class_uid":6003,{head},{call}}}"#));
        assert_eq!((&event["type_uid"], &event["api"]["operation"]), (&600_302.into(), &"GetObject".into()));
        assert_eq!(event["actor"]["user"]["name"], "bob");
        let event = normalized(&format!(r#"{{"class_uid":6003,{head},"api":{{"operation":"GetObject"}}}}"#));
        assert_eq!(event["class_uid"], 0);
        let event = normalized(&format!(r#"{{"class_uid":2001,{head},"finding":{{"uid":"7","title":"t"}}}}"#));
        assert_eq!((&event["type_uid"], &event["finding_info"]["title"]), (&200_402.into(), &"t".into()));
    }

    #[test]
    fn producers_of_older_versions_are_understood() {
        let event = normalized(
            r#"{"class_uid":3002,"activity_id":1,"category_uid":3,"time":1773651600500,"metadata":{"version":"1.1.0"},"api":{"service":{"name":"signin.example.com"}},"actor":{"user":{"name":"ann","uid":"u7"}},"user":{"uid":"u7"},"src_endpoint":{"name":"pc-1"},"dst_endpoint":{"svc_name":"x"},"status_id":1}"#,
        );
        assert_eq!((&event["type_uid"], &event["service"]["name"]), (&300_201.into(), &"signin.example.com".into()));
        assert_eq!((&event["user"]["name"], &event["src_endpoint"]["hostname"]), (&"ann".into(), &"pc-1".into()));
        let event = normalized(
            r#"{"class_uid":4009,"activity_id":4,"category_uid":4,"direction_id":0,"time":1773651600500,"metadata":{"version":"1.0.0"},"email":{"smtp_from":"a@example.com","smtp_to":["b@example.com"],"subject":"s"}}"#,
        );
        assert_eq!((&event["type_uid"], &event["email"]["from"]), (&400_904.into(), &"a@example.com".into()));
        assert_eq!(event["email"]["to"], serde_json::json!(["b@example.com"]));
    }

    #[test]
    fn what_lacks_what_its_class_requires_is_a_base_event() {
        let event = normalized(r#"{"class_uid":3002,"activity_id":1,"metadata":{"version":"1.3.0"},"message":"m"}"#);
        assert_eq!((event["class_uid"].as_u64(), event["message"].as_str()), (Some(0), Some("m")));
        assert_eq!(normalized(r#"{"class_uid":9999,"metadata":{"version":"1.3.0"}}"#)["class_uid"], 0);
    }
}
