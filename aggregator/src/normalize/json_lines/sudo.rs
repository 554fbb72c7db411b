//! sudo with `log_format = json`: what ran, what was refused, what went wrong.
//!
//! In: `{"sudo":{"accept":{…}}}`, also behind `@cee:`, or `{"accept":{…}}`; `reject`, `alert` and `exit` likewise. Out: a launched
//! process (1007), a failed account switch (3002), an application error (6008), the end of a process (1007). Source:
//! `lib/eventlog/eventlog.c` of sudo 1.9.

use std::borrow::Cow;

use shared::time::Timestamp;

use super::super::fields::{Fields, Leaf};
use super::super::outcome::{failure, success};
use super::super::text::base_name;
use super::super::{Context, json};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// What stands before the keys, the kind of the record, and the keys by which it is told.
struct Shape {
    wrapper: &'static str,
    kind: &'static str,
    /// When the server, and when the client, had it.
    seconds: [&'static str; 2],
    submitted_by: [&'static str; 2],
}

macro_rules! shape {
    ($wrapper:literal, $kind:literal) => {
        Shape {
            wrapper: $wrapper,
            kind: $kind,
            seconds: [
                concat!($wrapper, $kind, ".server_time.seconds"),
                concat!($wrapper, $kind, ".submit_time.seconds"),
            ],
            submitted_by: [concat!($wrapper, $kind, ".submituser"), concat!($wrapper, $kind, ".uuid")],
        }
    };
}

static SHAPES: [Shape; 8] = [
    shape!("sudo.", "accept"),
    shape!("", "accept"),
    shape!("sudo.", "reject"),
    shape!("", "reject"),
    shape!("sudo.", "alert"),
    shape!("", "alert"),
    shape!("sudo.", "exit"),
    shape!("", "exit"),
];

/// The longest command line that is put together of arguments.
const COMMAND_BYTES_MAX: usize = 8 << 10;

fn shape(fields: &Fields<'_>) -> Option<&'static Shape> {
    let has = |keys: &[&str; 2]| keys.iter().any(|key| fields.has(key));
    SHAPES.iter().find(|shape| has(&shape.seconds) && has(&shape.submitted_by))
}

/// Whether it is a record of sudo.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    shape(fields).is_some()
}

/// Takes what the record says.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    let Some(Shape { wrapper, kind, seconds, .. }) = shape(fields) else { return };
    let key = |name: &str| format!("{wrapper}{kind}.{name}");
    if let Some(seconds) = seconds.iter().find(|seconds| fields.has(seconds)) {
        time(fields, seconds, context, event);
    }
    event.push(Attribute::MetadataLogProvider, "sudo");
    event.push(Attribute::MetadataEventCode, *kind);
    fields.push(event, Attribute::MetadataCorrelationUid, &key("uuid"));
    fields.push(event, Attribute::ActorUserName, &key("submituser"));
    let command = command(fields, &key("command"), &key("runargv"));
    match *kind {
        "accept" => {
            event.class = Class::ProcessActivity;
            event.activity_id = 1;
            fields.push(event, Attribute::ActorSessionTerminal, &key("ttyname"));
            event.push(Attribute::ProcessUid, event.id.to_string());
            fields.push(event, Attribute::ProcessUserName, &key("runuser"));
            fields.push(event, Attribute::ProcessUserUid, &key("runuid"));
            let _ = ["runcwd", "submitcwd"]
                .into_iter()
                .any(|name| fields.push(event, Attribute::ProcessWorkingDirectory, &key(name)));
            if let Some(command) = &command {
                event.push(Attribute::ProcessName, base_name(command.split(' ').next().unwrap_or_default()).to_owned());
            }
            event.push(Attribute::ProcessCmdLine, command.unwrap_or_default());
            success(event);
        }
        "exit" => {
            event.class = Class::ProcessActivity;
            event.activity_id = 2;
            event.push(Attribute::ProcessUid, event.id.to_string());
            fields.push(event, Attribute::ExitCode, &key("exit_value"));
        }
        "reject" => {
            event.class = Class::Authentication;
            event.activity_id = 7;
            event.push(Attribute::AccountSwitchTypeId, 1);
            event.push(Attribute::ServiceName, "sudo");
            let user = fields.text(&key("runuser")).unwrap_or_default();
            event.push(Attribute::UserName, user);
            fields.push(event, Attribute::SessionTerminal, &key("ttyname"));
            failure(event, fields.text(&key("reason")).unwrap_or_default());
            if let Some(command) = command {
                event.unmap("command", command);
            }
        }
        _ => {
            event.class = Class::ApplicationError;
            event.activity_id = 1;
            failure(event, fields.text(&key("reason")).unwrap_or_default());
        }
    }
    let said = event.text(Attribute::ProcessCmdLine).or_else(|| event.text(Attribute::StatusDetail));
    let message = said.map_or_else(|| (*kind).to_owned(), |said| format!("{kind}: {said}"));
    event.set(Attribute::Message, message);
}

/// `"server_time":{"seconds":1773653400,"nanoseconds":5,"iso8601":"20260316093000Z","localtime":"Mar 16 10:30:00"}`, by the key
/// of its seconds.
fn time<'a>(fields: &mut Fields<'a>, seconds: &str, context: &Context<'a>, event: &mut Event<'a>) {
    let is_read = fields.push_time(event, seconds, context.reference);
    let part = |name: &str| seconds.replace(".seconds", name);
    let nanos = fields.number(&part(".nanoseconds")).filter(|nanos| is_read && (0..1_000_000_000).contains(nanos));
    event.time = Timestamp(event.time.0.saturating_add(nanos.unwrap_or(0)));
    for name in [".iso8601", ".localtime"] {
        fields.take(&part(name));
    }
}

/// The arguments joined by spaces, the path of the program in front.
fn command(fields: &mut Fields<'_>, path: &str, arguments: &str) -> Option<String> {
    let path = fields.text(path).map(Cow::into_owned);
    let list: Vec<Cow<'_, str>> = match fields.take(arguments) {
        Some(Leaf::Json(list)) => json::elements(list).filter_map(Leaf::into_text).collect(),
        _ => Vec::new(),
    };
    let rest = list.iter().skip(1).map(Cow::as_ref);
    let mut line = path.or_else(|| list.first().map(ToString::to_string))?;
    for argument in rest {
        if line.len() + argument.len() > COMMAND_BYTES_MAX {
            break;
        }
        line.push(' ');
        line.push_str(argument);
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    const TIME: &str = r#""server_time":{"seconds":1773653400,"nanoseconds":1,"iso8601":"20260316093000Z","localtime":"Mar 16 10:30:00"}"#;

    #[test]
    fn what_ran_is_a_launch_and_what_was_refused_a_failed_switch() {
        let accept = format!(
            r#"{{"sudo":{{"accept":{{"uuid":"a1",{TIME},"submituser":"bob","command":"/usr/bin/id","runuser":"root","submitcwd":"/srv","ttyname":"/dev/pts/0","runuid":0,"runargv":["id","-u"]}}}}}}"#
        );
        for line in [accept.clone(), format!("Mar 16 10:00:00 h sudo: @cee: {accept}")] {
            let event = normalized(&line);
            assert_eq!(event["type_uid"], 100_701, "{line}");
            assert_eq!(event["process"]["cmd_line"], "/usr/bin/id -u");
            assert_eq!(event["process"]["user"], json!({"name": "root", "uid": "0"}));
            assert_eq!(event["actor"]["user"]["name"], "bob");
            assert_eq!(event["time"], 1_773_653_400_000_i64);
        }
        let event = normalized(&format!(
            r#"{{"reject":{{"uuid":"a1","reason":"command not allowed",{TIME},"submituser":"bob","command":"/bin/sh","runuser":"root","runargv":["sh"]}}}}"#
        ));
        assert_eq!((&event["type_uid"], &event["status_detail"]), (&json!(300_207), &json!("command not allowed")));
        assert_eq!((&event["user"]["name"], &event["unmapped"]["command"]), (&json!("root"), &json!("/bin/sh")));
        let submitted = TIME.replace("server", "submit").replace(":1,", ":500000000,");
        let event =
            normalized(&format!(r#"{{"accept":{{"uuid":"a1",{submitted},"submituser":"bob","command":"/bin/x"}}}}"#));
        assert_eq!((&event["type_uid"], &event["time"]), (&json!(100_701), &json!(1_773_653_400_500_i64)));
        let event = normalized(&format!(r#"{{"sudo":{{"exit":{{"uuid":"a1",{TIME},"exit_value":1}}}}}}"#));
        assert_eq!((&event["type_uid"], &event["exit_code"]), (&json!(100_702), &json!(1)));
    }
}
