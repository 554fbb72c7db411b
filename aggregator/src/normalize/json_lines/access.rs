//! Access logs as JSON (4002): Caddy, Traefik, Envoy, nginx with its usual variable names, Fastly, Cloudflare, and whoever
//! else writes a method and a status.
//!
//! In: fields. Out: HTTP activity. Of the names that servers give to the same thing the first that stands there is taken.
//! Source: Caddy `http.log.access`, Traefik `accesslog`, Envoy `%REQ%` names of its defaults, nginx `log_format escape=json`.

use std::borrow::Cow;

use super::super::fields::{Fields, Leaf};
use super::super::{Context, endpoint, http_fields, json, logon_pairs, text};
use super::bare;
use crate::event::Event;
use crate::schema::{Attribute, Class};

const METHODS: [&str; 21] = [
    "request.method",
    "RequestMethod",
    "request_method",
    "http_method",
    "method",
    "ClientRequestMethod",
    "verb",
    "requestMethod",
    "httpRequest.requestMethod",
    "http.request.method",
    "req.method",
    "httpMethod",
    "http.method",
    "httpRequest.httpMethod",
    "cs-method",
    "http_verb",
    "Method",
    "HttpMethod",
    "request_verb",
    "Properties.RequestMethod",
    "properties.httpMethod",
];
const TARGETS: [&str; 33] = [
    "request.uri",
    "RequestPath",
    "request_uri",
    "uri",
    "path",
    "url",
    "x-envoy-origin-path",
    ":path",
    "http_path",
    "ClientRequestURI",
    "request_path",
    "request_url",
    "httpRequest.requestUrl",
    "request.url",
    "url.path",
    "req.url",
    "endpoint",
    "requestURI",
    "ClientRequestPath",
    "http_url",
    "http.url",
    "http.path",
    "resourcePath",
    "httpRequest.uri",
    "cs-uri-stem",
    "Path",
    "request.path",
    "req.path",
    "target",
    "requestPath",
    "Properties.RequestPath",
    "uri_path",
    "properties.requestUri",
];
const CODES: [&str; 29] = [
    "status",
    "DownstreamStatus",
    "response_code",
    "status_code",
    "response_status",
    "EdgeResponseStatus",
    "http_status",
    "httpStatus",
    "statusCode",
    "http.response.status_code",
    "httpRequest.status",
    "response.status",
    "res.statusCode",
    "code",
    "http.status_code",
    "http.status",
    "StatusCode",
    "responseCode",
    "http_code",
    "http_status_code",
    "httpStatusCode",
    "sc-status",
    "response.statusCode",
    "response.code",
    "res.status",
    "Properties.StatusCode",
    "response_status_code",
    "properties.httpStatus",
    "response.status_code",
];
const HOSTS: [&str; 21] = [
    "request.host",
    "RequestHost",
    "http_host",
    ":authority",
    "authority",
    "host",
    "ClientRequestHost",
    "server_name",
    "vhost",
    "request_host",
    "hostname",
    "requested_server_name",
    "http.host",
    "Host",
    "domainName",
    "req.headers.host",
    "request.headers.host",
    "x-host-header",
    "request_hostname",
    "properties.host",
    "properties.hostName",
];
const CLIENTS: [&str; 45] = [
    "request.client_ip",
    "request.remote_ip",
    "ClientHost",
    "client_ip",
    "clientIP",
    "ClientIP",
    "remote_addr",
    "remoteAddr",
    "remote_ip",
    "remoteIP",
    "client",
    "ip",
    "downstream_remote_address",
    "request.remote_addr",
    "visitor_ip",
    "source_ip",
    "src_ip",
    "clientip",
    "httpRequest.remoteIp",
    "remote_host",
    "req.remoteAddress",
    "remote_address",
    "remoteAddress",
    "RemoteAddr",
    "RemoteAddress",
    "client_addr",
    "clientAddr",
    "ClientAddr",
    "client_address",
    "network.client.ip",
    "http.client_ip",
    "req.remoteIp",
    "req.ip",
    "httpRequest.clientIp",
    "c-ip",
    "cip",
    "x_real_ip",
    "real_ip",
    "clientIp",
    "ipAddress",
    "source.ip",
    "fwd",
    "properties.clientIP",
    "properties.clientIp",
    "network.client_ip",
];
const AGENTS: [&str; 18] = [
    "http_user_agent",
    "request_User-Agent",
    "user_agent",
    "userAgent",
    "user-agent",
    "request_user_agent",
    "ClientRequestUserAgent",
    "httpRequest.userAgent",
    "agent",
    "http.user_agent",
    "http.useragent",
    "cs(User-Agent)",
    "UserAgent",
    "agent.original",
    "req.headers.user-agent",
    "request.headers.user-agent",
    "ua",
    "properties.userAgent",
];
const REFERRERS: [&str; 11] = [
    "http_referrer",
    "http_referer",
    "request_Referer",
    "referer",
    "referrer",
    "request_referer",
    "httpRequest.referer",
    "http.referer",
    "Referer",
    "req.headers.referer",
    "request.headers.referer",
];
const FORWARDED: [&str; 7] = [
    "x_forwarded_for",
    "http_x_forwarded_for",
    "x-forwarded-for",
    "x_forward_for",
    "X-Forwarded-For",
    "req.headers.x-forwarded-for",
    "http_x_forward_for",
];
const VERSIONS: [&str; 13] = [
    "request.proto",
    "RequestProtocol",
    "server_protocol",
    "protocol",
    "request_protocol",
    "proto",
    "http_version",
    "http.version",
    "httpRequest.protocol",
    "httpRequest.httpVersion",
    "request_proto",
    "httpVersion",
    "cs-version",
];
const SIZES: [&str; 19] = [
    "size",
    "DownstreamContentSize",
    "body_bytes_sent",
    "bytes_sent",
    "response_body_size",
    "EdgeResponseBytes",
    "responseSize",
    "bytes",
    "httpRequest.responseSize",
    "responseLength",
    "response_length",
    "response.size",
    "response_size",
    "http.response.body.bytes",
    "bytesSent",
    "content_length",
    "res.contentLength",
    "sc-bytes",
    "network.bytes_written",
];
/// Names before numbers: `user_id` is a name for Caddy alone.
const USERS: [&str; 12] = [
    "ClientUsername",
    "remote_user",
    "username",
    "user",
    "req.user",
    "auth_user",
    "http_user",
    "userName",
    "user_name",
    "usr.name",
    "cs-username",
    "user_id",
];
/// Latencies, and how many milliseconds their unit has.
const LATENCIES: [(&str, f64); 6] = [
    ("Duration", 1e-6),
    ("duration", 1e3),
    ("request_time", 1e3),
    ("duration_ms", 1.0),
    ("latency_ms", 1.0),
    ("responseTime", 1.0),
];

/// Whether there is a method, and a target or status.
pub(in super::super) fn looks(fields: &Fields<'_>) -> bool {
    let method = METHODS.iter().filter_map(|key| fields.peek(key)).next();
    let any = |keys: &[&str]| keys.iter().any(|key| fields.peek(key).is_some());
    match method {
        Some(method) => {
            http_fields::method(method).is_some()
                && (any(&TARGETS) || is_target(fields) || is_line(fields))
                && (any(&CODES) || any(&CLIENTS))
        }
        None => is_line(fields) && any(&CODES),
    }
}

/// Where a request line stands.
const LINES: [&str; 4] = ["request", "http_request", "request_line", "RequestLine"];

/// The key of a request line.
fn line(fields: &Fields<'_>) -> Option<&'static str> {
    LINES.into_iter().find(|key| fields.peek(key).is_some_and(|line| line.contains(" HTTP/")))
}

/// Whether a request line stands there.
fn is_line(fields: &Fields<'_>) -> bool {
    line(fields).is_some()
}

/// Whether `request` is a path alone, beside a method.
fn is_target(fields: &Fields<'_>) -> bool {
    fields.peek("request").is_some_and(|target| target.starts_with('/') && !target.contains(' '))
}

/// Takes the request, the response and both ends.
pub(in super::super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    if logon_pairs::parse(fields, event) {
        bare::parse(fields, context, event);
        return;
    }
    event.class = Class::HttpActivity;
    let times = [
        "StartUTC",
        "time_iso8601",
        "time_local",
        "EdgeStartTimestamp",
        "start_time",
        "msec",
        "requestTime",
        "started_at",
        "EdgeEndTimestamp",
    ];
    if !times.iter().any(|key| fields.push_time(event, key, context.reference)) {
        bare::push_time(fields, context, event);
    }
    bare::push_level(fields, event);
    // An access log's error level is the client's error, not the server's.
    event.severity_id = 1;
    client(fields, event);
    request(fields, event);
    response(fields, event);
    if event.value(Attribute::DstEndpointHostname).is_none() {
        let host = event.text(Attribute::HttpRequestUrlHostname).map(str::to_owned);
        match host.as_deref().and_then(endpoint::ip) {
            Some(_) => event.push(Attribute::DstEndpointIp, host.unwrap_or_default()),
            None => {
                if let Some(host) = host {
                    event.push(Attribute::DstEndpointHostname, host);
                }
            }
        }
    }
    bare::push_message(fields, event);
    if event.value(Attribute::Message).is_none() {
        let said = |attribute| event.text(attribute).unwrap_or_default();
        let message = format!("{} {}", said(Attribute::HttpRequestMethod), said(Attribute::HttpRequestUrlString));
        event.push(Attribute::Message, message);
    }
}

/// The client's address, with its port where both stand in one text.
fn client<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    for key in CLIENTS {
        let Some(said) = fields.peek(key) else { continue };
        // Of several addresses the first is the client's, each after it a proxy's.
        let first = said.split(',').next().unwrap_or(said).trim();
        let split = first.rsplit_once(':').and_then(|(host, port)| Some((endpoint::ip(host)?, text::port(port)?)));
        if let Some((host, port)) = split.filter(|_| endpoint::ip(first).is_none()) {
            let host = host.to_owned();
            fields.take(key);
            event.push(Attribute::SrcEndpointIp, host);
            event.push(Attribute::SrcEndpointPort, port);
            break;
        }
        let of_list = said.contains(',').then(|| endpoint::ip(first).map(str::to_owned)).flatten();
        if !fields.push_source(event, key, "") {
            let Some(address) = of_list else { continue };
            event.push(Attribute::SrcEndpointIp, address);
        }
        let ports = ["request.remote_port", "ClientPort", "remote_port", "client_port"];
        let same = key != "request.client_ip"
            || fields.peek("request.remote_ip").is_none_or(|peer| event.text(Attribute::SrcEndpointIp) == Some(peer));
        if let Some(port) = ports.into_iter().find(|port| same && fields.is_port(port)) {
            fields.push(event, Attribute::SrcEndpointPort, port);
        }
        break;
    }
    if let Some(user) = USERS.into_iter().find(|key| fields.peek(key).is_some_and(|user| user != "-")) {
        fields.push(event, Attribute::ActorUserName, user);
        if user != "user_id" {
            fields.push(event, Attribute::ActorUserUid, "user_id");
        }
    }
}

fn taken<'a>(fields: &mut Fields<'a>, keys: &[&str]) -> Option<Cow<'a, str>> {
    let key = keys.iter().find(|key| fields.peek(key).is_some_and(|text| text != "-"))?;
    fields.text(key)
}

fn request<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let host = taken(fields, &HOSTS);
    let line = match (line(fields).and_then(|key| fields.leaf(key)), fields.has("request.method")) {
        (Some(Leaf::Text(line)), false) => split(line),
        _ => None,
    };
    let method = taken(fields, &METHODS).or(line.as_ref().map(|(method, _, _)| method.clone()));
    let target = taken(fields, &TARGETS).or(line.as_ref().map(|(_, target, _)| target.clone()));
    let target = target.or_else(|| if is_target(fields) { fields.text("request") } else { None });
    let version = taken(fields, &VERSIONS).or(line.map(|(_, _, version)| version));
    if let Some(method) = method {
        http_fields::push_method(event, method);
    }
    match (target, host) {
        (Some(target), host) => http_fields::push_target(event, target, host),
        (None, Some(host)) => event.unmap("host", host),
        (None, None) => {}
    }
    if let Some(version) = version {
        let version = version.strip_prefix("HTTP/").map(str::to_owned).unwrap_or(version.into_owned());
        event.push(Attribute::HttpRequestVersion, version);
    }
    let headers = ["request.headers.User-Agent", "request.headers.Referer", "request.headers.X-Forwarded-For"];
    let [agent, referrer, forwarded] = headers.map(|key| match fields.leaf(key) {
        Some(Leaf::Json(list)) => json::elements(list).next().and_then(Leaf::into_text),
        _ => None,
    });
    for (attribute, header, keys) in [
        (Attribute::HttpRequestUserAgent, agent, AGENTS.as_slice()),
        (Attribute::HttpRequestReferrer, referrer, REFERRERS.as_slice()),
    ] {
        if let Some(text) = header.or_else(|| taken(fields, keys)) {
            event.push(attribute, text);
        }
    }
    if let Some(list) = forwarded.or_else(|| taken(fields, &FORWARDED)) {
        http_fields::push_forwarded(event, list);
    }
}

/// `GET / HTTP/1.1`.
fn split<'a>(line: &Cow<'a, str>) -> Option<(Cow<'a, str>, Cow<'a, str>, Cow<'a, str>)> {
    let parts = |line: &str| -> Option<(usize, usize)> {
        let first = line.find(' ')?;
        let last = line.rfind(" HTTP/").filter(|last| *last > first)?;
        Some((first, last))
    };
    let (first, last) = parts(line)?;
    match line {
        Cow::Borrowed(line) => {
            Some((line.get(..first)?.into(), line.get(first + 1..last)?.into(), line.get(last + 1..)?.into()))
        }
        Cow::Owned(line) => {
            let part = |range: Option<&str>| range.map(|part| Cow::Owned(part.to_owned()));
            Some((part(line.get(..first))?, part(line.get(first + 1..last))?, part(line.get(last + 1..))?))
        }
    }
}

fn response<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let code = CODES.into_iter().find_map(|key| Some((key, fields.leaf(key).and_then(Leaf::as_number)?)));
    let Some((key, code)) = code else { return };
    if !http_fields::push_status(event, code) {
        return;
    }
    fields.take(key);
    if let Some(size) = SIZES.into_iter().find(|key| fields.leaf(key).and_then(Leaf::as_number).is_some()) {
        fields.push(event, Attribute::HttpResponseBodyLength, size);
    }
    // Envoy's is whole milliseconds, and nobody else names its flags.
    let envoys = fields.has("response_flags");
    // Nor do others than Rails say beside it how long the view took, in milliseconds too.
    let rails = fields.has("view") && fields.has("db");
    let latency = LATENCIES.into_iter().find_map(|(key, unit)| {
        let unit = if (envoys || rails) && key == "duration" { 1.0 } else { unit };
        let count: f64 = fields.leaf(key)?.as_text()?.parse().ok()?;
        #[expect(clippy::cast_possible_truncation, reason = "bounded on the next line to what i32 holds")]
        let ms = (count * unit).round().clamp(0.0, 2e9) as i64;
        Some((key, ms))
    });
    if let Some((key, ms)) = latency {
        fields.take(key);
        event.push(Attribute::HttpResponseLatency, ms);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn caddys_request_is_http_activity() {
        let event = normalized(
            r#"{"level":"error","ts":1773651600.25,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"192.0.2.7","remote_port":"44790","client_ip":"192.0.2.7","proto":"HTTP/2.0","method":"GET","host":"www.example.com:8443","uri":"/a?b=c","headers":{"User-Agent":["curl/8"],"Referer":["http://r.example/"]}},"user_id":"ann","duration":0.0027,"size":12,"status":401,"resp_headers":{"Server":["Caddy"]}}"#,
        );
        assert_eq!(event["type_uid"], 400_203);
        assert_eq!(event["time"], 1_773_651_600_250_i64);
        assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "192.0.2.7", "port": 44790}));
        assert_eq!(event["actor"]["user"]["name"], "ann");
        assert_eq!(event["http_request"]["url"]["hostname"], "www.example.com");
        assert_eq!(event["http_request"]["url"]["query_string"], "b=c");
        assert_eq!(event["http_request"]["user_agent"], "curl/8");
        assert_eq!(event["http_response"], serde_json::json!({"code": 401, "latency": 3, "body_length": 12}));
        assert_eq!(event["status_id"], 2);
    }

    #[test]
    fn envoys_duration_is_in_milliseconds() {
        let event = normalized(
            r#"{"method":"GET","path":"/h","protocol":"HTTP/1.1","response_code":200,"response_flags":"-","duration":9,"authority":"a:8000","downstream_remote_address":"192.0.2.7:4652","start_time":"2026-03-16T09:00:01.123Z"}"#,
        );
        assert_eq!(event["http_response"]["latency"], 9);
    }

    #[test]
    fn rails_counts_milliseconds_and_names_its_user() {
        let event = normalized(
            r#"{"time":"2026-03-16T09:00:00.000Z","duration":12.4,"db":1.5,"view":10.9,"status":200,"method":"GET","path":"/x","remote_ip":"192.0.2.7","user_id":7,"username":"ann"}"#,
        );
        assert_eq!((&event["http_response"]["latency"], &event["actor"]["user"]["name"]), (&12.into(), &"ann".into()));
    }

    #[test]
    fn a_path_may_stand_where_the_request_line_would() {
        let event = normalized(
            r#"{"time":"[16/Mar/2026:10:00:00 +0100]","remoteIP":"192.0.2.7","host":"a.example","request":"/x","method":"GET","status":"200","userAgent":"curl"}"#,
        );
        assert_eq!((&event["type_uid"], &event["time"]), (&400_203.into(), &1_773_651_600_000_i64.into()));
        assert_eq!(
            (&event["http_request"]["url"]["path"], &event["src_endpoint"]["ip"]),
            (&"/x".into(), &"192.0.2.7".into())
        );
    }

    #[test]
    fn a_request_line_and_a_status_are_enough() {
        let event = normalized(
            r#"{"time_local":"2026-03-16T10:00:00+01:00","client":"192.0.2.7","method":"GET","request":"GET /x HTTP/1.1","status":"200"}"#,
        );
        assert_eq!((&event["type_uid"], &event["http_request"]["url"]["path"]), (&400_203.into(), &"/x".into()));
        let event = normalized(
            r#"{"time":"2026-03-16T10:00:00+01:00","client_ip":"192.0.2.7","client_port":"5","http_request":"GET /x HTTP/1.1","http_status_code":"200"}"#,
        );
        assert_eq!((&event["type_uid"], &event["src_endpoint"]["port"]), (&400_203.into(), &5.into()));
        let event = normalized(
            r#"{"time_iso8601":"2026-03-16T10:00:00+01:00","remote_addr":"2001:db8::7","request":"POST /x HTTP/1.1","status":"502","body_bytes_sent":"5"}"#,
        );
        assert_eq!(event["type_uid"], 400_206);
        assert_eq!(event["http_request"]["url"]["path"], "/x");
        assert_eq!(event["src_endpoint"]["ip"], "2001:db8::7");
        assert_eq!(event["http_response"]["code"], 502);
    }
}
