//! HashiCorp's programs (Vault, Consul, Nomad, Boundary): `TIME [LEVEL]  PART: MESSAGE: key=value`.
//!
//! In: a time in ISO 8601, a level in capitals and brackets, and the part that speaks. Out: a warning or an error of the program
//! (6008), else a report (6002); inside syslog it is the program that syslog names. Source: hashicorp/go-hclog, `intlogger.go`.

use std::borrow::Cow;

use super::remark::spoken;
use super::text::{cut, level, unspaced, word};
use super::{Context, timestamp};
use crate::event::Event;
use crate::schema::Attribute;

const LEVELS: [&str; 5] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"];

/// The level, the part and the message behind a time.
fn split(rest: &str) -> Option<(&str, &str, &str)> {
    let (level, rest) = cut(rest.strip_prefix(" [")?, "]")?;
    let (part, message) = word(unspaced(rest));
    let part = part.strip_suffix(':').filter(|_| LEVELS.contains(&level) && rest.starts_with(' '))?;
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/');
    let is_name = part.bytes().next().is_some_and(|first| first.is_ascii_lowercase()) && part.bytes().all(named);
    is_name.then_some((level, part, message))
}

/// Whether a level in brackets stands behind the first word, which is a time.
pub(super) fn looks(text: &str) -> bool {
    if !text.as_bytes().first().is_some_and(u8::is_ascii_digit) {
        return false;
    }
    let (time, rest) = word(text);
    time.len() > "2026-03-16T10:00:00".len() && rest.starts_with('[')
}

/// Reads a line; false where no part stands behind the level.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((stamp, rest)) = timestamp::iso(text, context.reference) else { return false };
    let Some((severity, part, message)) = split(rest) else { return false };
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "hclog");
    event.push(Attribute::MetadataLogLevel, severity);
    event.severity_id = level(severity).unwrap_or(1);
    let program = event.text(Attribute::ActorProcessName).map(str::to_owned);
    spoken(Some(program.map_or(Cow::Borrowed(part), Cow::Owned)), None, event);
    event.push(Attribute::Message, message);
    event.unmap("module", part);
    true
}

#[cfg(test)]
mod tests {
    use super::super::testing::normalized;

    #[test]
    fn a_part_that_speaks_is_named() {
        for (line, kind) in [
            ("2026-03-16T10:00:00.123+0100 [INFO]  core.mount: mounted: path=x/", 600_299),
            ("2026-03-16T10:00:00.123+0100 [WARN]  agent: no node", 600_801),
            ("Mar 16 10:00:00 h consul[7]: 2026-03-16T10:00:00.123+0100 [ERROR] agent.server: no node", 600_801),
        ] {
            let event = normalized(line);
            assert_eq!((&event["type_uid"], &event["time"]), (&kind.into(), &1_773_651_600_123_i64.into()), "{line}");
            assert_eq!(event["metadata"]["log_format"], "hclog", "{line}");
        }
        let event = normalized("Mar 16 10:00:00 h vault[7]: 2026-03-16T10:00:00.123Z [INFO]  core: it is up");
        assert_eq!((&event["app"]["name"], &event["message"]), (&"vault".into(), &"it is up".into()));
        for line in
            ["2026-03-16T10:00:00.123Z [INFO]  It is up: yes", "2026-03-16T10:00:00.123Z [info] auth: ann is in"]
        {
            assert_ne!(normalized(line)["metadata"]["log_format"], "hclog", "{line}");
        }
    }
}
