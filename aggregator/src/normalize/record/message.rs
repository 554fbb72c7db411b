//! A line for people about a record of the network: who, with whom, what, how it ended.

use std::fmt::Write as _;

use crate::event::{Event, Value};
use crate::schema::{Attribute, Class};

/// Longest text of the wire in a line; the attribute has all of it.
const TEXT_BYTES_MAX: usize = 200;

/// The line.
pub(super) fn of(event: &Event<'_>) -> String {
    let mut line = Line { event, out: String::with_capacity(128) };
    line.protocol();
    line.ends();
    match event.class {
        Class::HttpActivity => line.http(),
        Class::DnsActivity => line.dns(),
        Class::DhcpActivity => {
            line.said("message_type");
            line.said("assigned_ip");
        }
        Class::SshActivity => {
            line.text(" ", Attribute::ProtocolVer);
            line.said("server_banner");
        }
        Class::NtpActivity => {
            line.text(" version ", Attribute::NtpVersion);
            line.text(", ", Attribute::NtpStratum);
        }
        _ => line.flow(),
    }
    line.out
}

struct Line<'e> {
    event: &'e Event<'e>,
    out: String,
}

impl Line<'_> {
    fn push(&mut self, text: &str) {
        self.out.push_str(clipped(text));
    }

    /// The text of an attribute, behind `before`; nothing where it has none.
    fn text(&mut self, before: &str, attribute: Attribute) {
        if let Some(text) = self.event.text(attribute).filter(|text| !text.is_empty()) {
            self.out.push_str(before);
            self.out.push_str(clipped(text));
        }
    }

    /// What has no attribute.
    fn said(&mut self, key: &str) {
        let said = self.event.unmapped.iter().find(|(name, _)| name == key);
        if let Some((_, Value::Text(text))) = said {
            self.out.push(' ');
            self.out.push_str(clipped(text));
        }
    }

    fn number(&self, attribute: Attribute) -> Option<i64> {
        match self.event.value(attribute) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        }
    }

    fn protocol(&mut self) {
        let named = match self.event.class {
            Class::HttpActivity => Some("http"),
            Class::DnsActivity => Some("dns"),
            Class::DhcpActivity => Some("dhcp"),
            Class::SshActivity => Some("ssh"),
            Class::NtpActivity => Some("ntp"),
            _ => self.event.text(Attribute::ConnectionProtocolName),
        };
        match (named, self.number(Attribute::ConnectionProtocolNum)) {
            (Some(name), _) => self.push(name),
            (None, Some(number)) => _ = write!(self.out, "protocol {number}"),
            (None, None) => self.push(self.event.text(Attribute::AppProtocolName).unwrap_or("network")),
        }
    }

    fn ends(&mut self) {
        self.out.push(' ');
        self.end(Attribute::SrcEndpointIp, Attribute::SrcEndpointHostname, Attribute::SrcEndpointPort);
        self.out.push_str(" -> ");
        self.end(Attribute::DstEndpointIp, Attribute::DstEndpointHostname, Attribute::DstEndpointPort);
    }

    fn end(&mut self, ip: Attribute, hostname: Attribute, port: Attribute) {
        let address = self.event.text(ip).or_else(|| self.event.text(hostname)).unwrap_or("?");
        match self.number(port) {
            Some(port) if address.contains(':') => _ = write!(self.out, "[{}]:{port}", clipped(address)),
            Some(port) => _ = write!(self.out, "{}:{port}", clipped(address)),
            None => self.push(address),
        }
    }

    fn flow(&mut self) {
        if self.event.value(Attribute::TlsVersion).is_some() {
            self.text(" tls ", Attribute::TlsVersion);
            self.text(" ", Attribute::TlsSni);
        } else if self.event.value(Attribute::ConnectionProtocolName).is_some() {
            self.text(" ", Attribute::AppProtocolName);
        }
        self.said("arp_operation");
        for (attribute, way) in [(Attribute::TrafficBytesOut, "out"), (Attribute::TrafficBytesIn, "in")] {
            if let Some(bytes) = self.number(attribute) {
                let _ = write!(self.out, ", {} {way}", Bytes(bytes));
            }
        }
        let ended = match self.event.activity_id {
            1 => "opened",
            2 => "closed",
            3 => "reset",
            4 => "failed",
            5 => "refused",
            _ => return,
        };
        let _ = write!(self.out, ", {ended}");
        self.text(": ", Attribute::StatusDetail);
    }

    fn dns(&mut self) {
        self.text(" ", Attribute::QueryType);
        self.text(" ", Attribute::QueryHostname);
        self.text(", ", Attribute::Rcode);
        let answers = self.event.fields.iter().filter(|field| field.attribute == Attribute::AnswersRdata).count();
        if answers > 0 {
            self.text(": ", Attribute::AnswersRdata);
        }
        if answers > 1 {
            let _ = write!(self.out, " and {} more", answers - 1);
        }
    }

    fn http(&mut self) {
        match self.event.text(Attribute::HttpRequestMethod) {
            Some(method) => _ = write!(self.out, " {method}"),
            None => self.text(" ", Attribute::ActivityName),
        }
        self.text(" ", Attribute::HttpRequestUrlHostname);
        self.text(" ", Attribute::HttpRequestUrlString);
        if let Some(code) = self.number(Attribute::HttpResponseCode) {
            let _ = write!(self.out, ", {code}");
        }
    }
}

/// The beginning of a text.
pub(super) fn clipped(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// A size for people: `812 B`, `12.3 KiB`.
struct Bytes(i64);

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let (mut whole, mut rest, mut unit) = (self.0, 0, "B");
        for larger in UNITS {
            if whole < 1024 {
                break;
            }
            (whole, rest, unit) = (whole / 1024, whole % 1024, larger);
        }
        if unit == "B" { write!(f, "{whole} B") } else { write!(f, "{whole}.{} {unit}", rest * 10 / 1024) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_decimal_and_any_number_is_one() {
        let shown = [0, 1023, 1024, 12_650, 1 << 20, i64::MAX, -5].map(|bytes| Bytes(bytes).to_string());
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "12.3 KiB", "1.0 MiB", "7.9 EiB", "-5 B"]);
        assert_eq!(clipped(&"\u{e9}".repeat(200)).len(), 200);
    }
}
