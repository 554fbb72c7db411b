//! Keys and values of CEF and LEEF made alike before they are read: labels, vendors' own names, users that are nobody.

use std::borrow::Cow;

use super::super::fields::{Fields, Leaf};

/// `cs1=x cs1Label=Rule`: the value stands under its label.
pub(super) fn label(fields: &mut Fields<'_>) {
    const KINDS: [(&str, u8); 7] =
        [("cs", 6), ("cn", 3), ("cfp", 4), ("c6a", 4), ("deviceCustomDate", 2), ("flexString", 2), ("flexNumber", 2)];
    for (kind, most) in KINDS {
        for number in 1..=most {
            let key = format!("{kind}{number}");
            let Some(Leaf::Text(label)) = fields.leaf(&format!("{key}Label")) else { continue };
            if kind == "c6a" && label.ends_with("IPv6 Address") {
                // An end in version 6: read by its key.
                fields.take(&format!("{key}Label"));
                continue;
            }
            let label: String = label.split_whitespace().collect::<Vec<_>>().join("_");
            if label.is_empty() || fields.has(&label) {
                continue;
            }
            fields.take(&format!("{key}Label"));
            if let Some(value) = fields.take(&key) {
                fields.add(None, label, value);
            }
        }
    }
}

/// Users that are nobody or stand in quotes, and what products call a request's parts.
pub(super) fn settled(fields: &mut Fields<'_>) {
    for key in ["suser", "duser", "usrName"] {
        let Some(user) = fields.peek(key) else { continue };
        let bare = user.trim_matches('"');
        if matches!(bare, "-" | "N/A" | "n/a" | "(no user)") {
            fields.take(key);
        } else if bare.len() < user.len() {
            let bare = Leaf::Text(Cow::Owned(bare.to_owned()));
            fields.add(None, key, bare);
        }
    }
    for (key, other) in [("requestMethod", "method"), ("request", "url")] {
        if !fields.has(key)
            && let Some(value) = fields.take(other)
        {
            fields.add(None, key, value);
        }
    }
}

/// Imperva's cloud calls the server's end `sip` and `spt`, the client's port `cpt`.
pub(super) fn renamed(fields: &mut Fields<'_>) {
    let [server, server_port, client_port] = ["sip", "spt", "cpt"].map(|key| fields.take(key));
    for (key, value) in [("dst", server), ("dpt", server_port), ("spt", client_port)] {
        if let Some(value) = value {
            fields.add(None, key, value);
        }
    }
}
