//! What stands before the time of an access log's line: `[VHOST[:PORT]|A ]CLIENT IDENT USER`.
//!
//! The client may be a list of proxies (`A, B, C`), stand behind one in quotes, be a socket of the host's own (`unix:`), or be
//! left out. Source: Apache HTTP Server, mod_log_config; nginx, ngx_http_log_module; Azure Front Door.

use super::super::endpoint::{self, Address};
use super::super::text::{cut, cut_at, last, near, port};

/// `192.0.2.7:50123`, as Azure's front ends write a client.
pub(super) fn ported(client: Address<'_>) -> (Option<Address<'_>>, Option<i64>) {
    let split = match client {
        Address::Name(name) => name.rsplit_once(':').and_then(|(ip, text)| Some((endpoint::ip(ip)?, port(text)?))),
        Address::Ip(_) => None,
    };
    match split {
        Some((ip, port)) => (Some(Address::Ip(ip)), Some(port)),
        None => (Some(client), None),
    }
}

/// Virtual host, client, `IDENT USER`, and the list of proxies or nothing.
pub(super) type Head<'a> = (Option<&'a str>, Option<Address<'a>>, &'a str, &'a str);

/// `[VHOST ]A, B, C IDENT USER` and `[VHOST ]"A, B" CLIENT IDENT USER`: virtual host, client, `IDENT USER`, and the list. Where the
/// list stands for the client it is the first public address of it, else the first.
pub(super) fn forwarded(head: &str) -> Option<Head<'_>> {
    let quoted = near(b'"', head.as_bytes()).filter(|at| *at == 0 || head.as_bytes().get(at - 1) == Some(&b' '));
    if let Some(at) = quoted {
        let (before, rest) = head.split_at_checked(at)?;
        let (list, rest) = rest.strip_prefix('"')?.split_once('"')?;
        let (client, who) = rest.trim_start().split_once(' ')?;
        let vhost = Some(before.trim_end()).filter(|vhost| !vhost.is_empty());
        return Some((vhost, Address::parse(client), who, list));
    }
    let last = last(head, ", ")?;
    let (end, who) = head.get(last + 2..)?.split_once(' ').map(|(word, who)| (last + 2 + word.len(), who))?;
    let (first, _) = cut(head, ", ")?;
    let start = first.rfind(' ').map_or(0, |space| space + 1);
    let list = head.get(start..end)?;
    let client = list.split(", ").find(|entry| public(entry)).or_else(|| list.split(", ").next())?;
    let client = Some(Address::parse(client)?);
    Some((head.get(..start).map(str::trim_end).filter(|vhost| !vhost.is_empty()), client, who, list))
}

/// Whether an address is of the open internet, as far as ranges for private use tell.
fn public(text: &str) -> bool {
    match text.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(ip)) => !(ip.is_private() || ip.is_loopback() || ip.is_link_local()),
        Ok(std::net::IpAddr::V6(ip)) => !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()),
        Err(_) => false,
    }
}

/// `[VHOST|A ]CLIENT IDENT USER`.
pub(super) fn client(head: &str) -> Option<Head<'_>> {
    const OWN: Address<'static> = Address::Name("localhost");
    let Some((first, rest)) = cut_at(b' ', head) else {
        return endpoint::ip(head).map(|ip| (None, Some(Address::Ip(ip)), "- -", ""));
    };
    let second = || {
        let (second, who) = rest.split_once(' ').filter(|(_, who)| who.contains(' '))?;
        Some((Address::Ip(endpoint::ip(second)?), who))
    };
    let named = match Address::parse(first) {
        Some(address @ Address::Ip(_)) if rest.starts_with("- ") => return Some((None, Some(address), rest, "")),
        Some(address @ Address::Ip(_)) if !rest.starts_with("unix: ") => {
            return Some(match second() {
                Some((client, who)) => (None, Some(client), who, first),
                None => (None, Some(address), rest, ""),
            });
        }
        named => named,
    };
    if let Some((client, who)) = second() {
        return Some((Some(first).filter(|first| *first != "-"), Some(client), who, ""));
    }
    match rest.split_once(' ') {
        // A socket of the host's own stands for a client.
        _ if first == "unix:" => Some((None, Some(OWN), rest, "")),
        Some(("unix:", rest)) => Some((Some(first), Some(OWN), rest, "")),
        // A name is only taken for a client where exactly two words follow it.
        _ if rest.split(' ').count() == 2 && (named.is_some() || first == "-") => Some((None, named, rest, "")),
        _ => None,
    }
}
