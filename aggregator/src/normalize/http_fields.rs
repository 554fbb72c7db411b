//! Method, target and status of a request that came apart already, as structured logs give them.
//!
//! In: the parts, in an event of class 4002. Out: its activity and the attributes of request, response and outcome.
//! `http_request.http_method` takes nine methods and no others: another names the activity.

use std::borrow::Cow;

use super::endpoint;
use super::outcome::LOW;
use super::text::cut;
use crate::event::Event;
use crate::schema::Attribute;

/// Methods with an activity of their own: their number.
pub(super) const METHODS: [(&str, u8); 9] = [
    ("GET", 3),
    ("POST", 6),
    ("HEAD", 4),
    ("PUT", 7),
    ("OPTIONS", 5),
    ("DELETE", 2),
    ("CONNECT", 1),
    ("PATCH", 9),
    ("TRACE", 8),
];

/// The method as OCSF writes it, where it is one of the nine.
pub(super) fn method(text: &str) -> Option<&'static str> {
    METHODS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(name, _)| *name)
}

/// Method and activity.
pub(super) fn push_method<'a>(event: &mut Event<'a>, method: Cow<'a, str>) {
    match METHODS.iter().find(|(name, _)| name.eq_ignore_ascii_case(&method)) {
        Some(&(name, activity)) => {
            event.activity_id = activity;
            event.push(Attribute::HttpRequestMethod, name);
        }
        None => {
            event.activity_id = 99;
            event.push(Attribute::ActivityName, method.clone());
            event.unmap("http_method", method);
        }
    }
}

/// The target as it was asked for, and its parts; `hostname` is taken where the target names none.
pub(super) fn push_target<'a>(event: &mut Event<'a>, target: Cow<'a, str>, host: Option<Cow<'a, str>>) {
    let (scheme, authority, path, query) = parts(&target);
    let end = |part: &str| part.as_ptr().addr() - target.as_ptr().addr();
    // Where each part stands, so that it can be cut out of a borrowed text without a copy.
    let spans = [scheme, authority, path, query].map(|part| part.map(|part| end(part)..end(part) + part.len()));
    let cut = |span: &Option<std::ops::Range<usize>>| -> Option<Cow<'a, str>> {
        let span = span.clone()?;
        match &target {
            Cow::Borrowed(text) => text.get(span).map(Cow::Borrowed),
            Cow::Owned(text) => text.get(span).map(|part| Cow::Owned(part.to_owned())),
        }
    };
    let [scheme, authority, path, query] = spans;
    let host = cut(&authority).or(host).map(without_port);
    let found = [
        (Attribute::HttpRequestUrlScheme, cut(&scheme)),
        (Attribute::HttpRequestUrlHostname, host),
        (Attribute::HttpRequestUrlPath, cut(&path)),
        (Attribute::HttpRequestUrlQueryString, cut(&query)),
    ];
    for (attribute, part) in found {
        if let Some(part) = part.filter(|part| !part.is_empty()) {
            event.push(attribute, part);
        }
    }
    event.push(Attribute::HttpRequestUrlString, target);
}

/// Most addresses of `X-Forwarded-For` that are taken.
const FORWARDED_MAX: usize = 16;

/// The addresses of `X-Forwarded-For`, the client's first; ports behind them and what is no address are left out.
pub(super) fn push_forwarded<'a>(event: &mut Event<'a>, list: Cow<'a, str>) {
    let mut index = 0;
    for part in list.split(',').take(FORWARDED_MAX) {
        let part = part.trim();
        let bare = endpoint::ip(part).or_else(|| endpoint::ip(part.rsplit_once(':')?.0));
        if let Some(address) = bare {
            event.push_at(Attribute::HttpRequestForwardedFor, index, address.to_owned());
            index += 1;
        }
    }
}

/// Scheme, authority, path and query.
fn parts(target: &str) -> (Option<&str>, Option<&str>, Option<&str>, Option<&str>) {
    let (scheme, authority, local) = match cut(target, "://") {
        Some((scheme, rest)) if !target.starts_with('/') => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, local) = rest.split_at_checked(end).unwrap_or((rest, ""));
            (Some(scheme), Some(authority), local)
        }
        _ => (None, None, target),
    };
    match local.split_once('?') {
        Some((path, query)) => (scheme, authority, Some(path), Some(query)),
        None => (scheme, authority, Some(local), None),
    }
}

/// A host name without the port behind it.
fn without_port(host: Cow<'_, str>) -> Cow<'_, str> {
    let named = match host.rsplit_once(':') {
        Some((name, digits))
            if digits.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name.len()
        }
        _ => host.len(),
    };
    match host {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..named).unwrap_or(text)),
        Cow::Owned(mut text) => {
            text.truncate(named);
            Cow::Owned(text)
        }
    }
}

/// The response's code and what it says of the outcome; what is no code of HTTP is none.
pub(super) fn push_status(event: &mut Event<'_>, code: i64) -> bool {
    if !(100..1000).contains(&code) {
        return false;
    }
    event.push(Attribute::HttpResponseCode, code);
    let failed = code >= 400;
    event.push(Attribute::StatusId, if failed { 2 } else { 1 });
    event.push(Attribute::Status, if failed { "Failure" } else { "Success" });
    if code >= 500 {
        event.severity_id = event.severity_id.max(LOW);
    }
    true
}
