//! Users and groups: `passwd(5)`, `shadow(5)`, `group(5)`. Pure. Of a password only whether there is one, whether it is
//! locked and how old it is: its hash is never looked at beyond its first character.
//!
//! Users of other sources (LDAP, systemd's dynamic ones) are not listed: nothing is asked that may answer late.

use std::collections::HashMap;

use shared::record::Value;
use shared::time::Timestamp;

use super::super::row::{Row, readable};
use super::super::table::SWITCH;

/// Lines of a file that are read.
const LINES_MAX: usize = 65_536;
const DAY_SECONDS: i64 = 86_400;

fn lines(bytes: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let lines = bytes.split(|byte| *byte == b'\n').take(LINES_MAX);
    let named = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#") && !line.starts_with(b"+"));
    named.map(|line| line.split(|byte| *byte == b':').collect())
}

fn number(field: Option<&&[u8]>) -> Option<u64> {
    std::str::from_utf8(field?).ok()?.parse().ok()
}

fn name(field: &[u8]) -> String {
    readable(field).0
}

/// What `shadow(5)` says of a user, without the hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Secret {
    locked: bool,
    state: &'static str,
    changed_day: Option<u64>,
    max_days: Option<u64>,
}

fn secrets(shadow: &[u8]) -> HashMap<&[u8], Secret> {
    let secret = |fields: Vec<&'_ [u8]>| {
        let hash = fields.get(1).copied().unwrap_or_default();
        let locked = hash.starts_with(b"!") || hash.starts_with(b"*");
        let state = match hash {
            b"" => "empty",
            _ if !locked => "set",
            // Behind the mark stands what would be the password again.
            _ if hash.len() > 2 => "locked",
            _ => "none",
        };
        Secret { locked, state, changed_day: number(fields.get(2)), max_days: number(fields.get(4)) }
    };
    let named = shadow.split(|byte| *byte == b'\n').take(LINES_MAX).filter(|line| !line.is_empty());
    named
        .filter_map(|line| {
            let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
            Some((*fields.first()?, secret(fields)))
        })
        .collect()
}

/// Users of a `passwd(5)`; `shadow` where it may be read.
pub fn users(passwd: &[u8], shadow: Option<&[u8]>, groups: &[u8], each: &mut dyn FnMut(Row)) {
    let secrets = shadow.map(secrets);
    let names = group_names(groups);
    let mut member_of: HashMap<&[u8], Vec<&str>> = HashMap::new();
    for fields in lines(groups) {
        let group = number(fields.get(2)).and_then(|gid| names.get(&gid));
        for member in fields.get(3).into_iter().flat_map(|members| members.split(|byte| *byte == b',')) {
            if let (Some(group), false) = (group, member.is_empty()) {
                member_of.entry(member).or_default().push(group);
            }
        }
    }
    for fields in lines(passwd) {
        let (Some(user), Some(uid)) = (fields.first().copied(), number(fields.get(2))) else { continue };
        if user.is_empty() || user.starts_with(b"-") {
            continue;
        }
        let mut row = Row::default().key(".name", user);
        row.text(".uid", uid.to_string());
        // OCSF: 2 admin, 3 system, 1 user.
        row.number(
            ".type_id",
            match uid {
                0 => 2,
                1..1000 => 3,
                _ => 1,
            },
        );
        row.text(
            ".full_name",
            fields.get(4).copied().unwrap_or_default().split(|byte| *byte == b',').next().unwrap_or_default(),
        );
        let gid = number(fields.get(3));
        let primary = gid.and_then(|gid| names.get(&gid)).map(String::as_str);
        let mut groups: Vec<&str> = member_of.get(user).into_iter().flatten().copied().chain(primary).collect();
        groups.sort_unstable();
        groups.dedup();
        let named = |group: &&str| Value::Map(vec![("name".to_owned(), Value::String((*group).to_owned()))]);
        row.put(".groups", Value::List(groups.iter().take(256).map(named).collect()));
        gid.into_iter().for_each(|gid| row.number("unmapped.gid", gid));
        row.text("unmapped.home", fields.get(5).copied().unwrap_or_default());
        row.text("unmapped.shell", fields.get(6).copied().unwrap_or_default());
        if let Some(secret) = secrets.as_ref().and_then(|secrets| secrets.get(user)) {
            put_secret(&mut row, *secret);
        }
        each(row);
    }
}

fn put_secret(row: &mut Row, secret: Secret) {
    row.put("unmapped.locked", Value::Bool(secret.locked));
    row.text("unmapped.password", secret.state);
    if let Some(day) = secret.changed_day.filter(|day| *day > 0) {
        let seconds = i64::try_from(day).unwrap_or(0).saturating_mul(DAY_SECONDS);
        row.time("unmapped.password_changed", Timestamp::from_seconds(seconds));
        // Which day it is, in what is left of the level.
        row.level = u16::try_from(day % 16_384).unwrap_or(0) << 1;
    }
    secret
        .max_days
        .filter(|days| *days < 99_999)
        .into_iter()
        .for_each(|days| row.number("unmapped.password_max_days", days));
    row.level |= if secret.locked { SWITCH } else { 0 };
}

/// Groups of a `group(5)`.
pub fn groups(group: &[u8], each: &mut dyn FnMut(Row)) {
    for fields in lines(group) {
        let (Some(name_of), Some(gid)) = (fields.first().copied(), number(fields.get(2))) else { continue };
        if name_of.is_empty() || name_of.starts_with(b"-") {
            continue;
        }
        let mut row = Row::default().key(".name", name_of);
        row.text(".uid", gid.to_string());
        let members = fields.get(3).copied().unwrap_or_default().split(|byte| *byte == b',');
        let members: Vec<String> = members.filter(|member| !member.is_empty()).map(name).collect();
        row.level = u16::try_from(members.len()).unwrap_or(u16::MAX);
        row.list("unmapped.members", &members);
        each(row);
    }
}

/// Names by number; the first of a number counts.
fn group_names(group: &[u8]) -> HashMap<u64, String> {
    let mut names = HashMap::new();
    for fields in lines(group) {
        if let (Some(found), Some(gid)) = (fields.first(), number(fields.get(2))) {
            names.entry(gid).or_insert_with(|| name(found));
        }
    }
    names
}

/// Names of users by number, and their homes by name.
#[must_use]
pub fn people(passwd: &[u8]) -> (HashMap<u32, String>, Vec<(String, String)>) {
    let (mut names, mut homes) = (HashMap::new(), Vec::new());
    for fields in lines(passwd) {
        let uid = number(fields.get(2)).and_then(|uid| u32::try_from(uid).ok());
        if let (Some(user), Some(uid)) = (fields.first(), uid) {
            names.entry(uid).or_insert_with(|| name(user));
            if let Some(home) = fields.get(5).filter(|home| home.starts_with(b"/")) {
                homes.push((name(user), name(home)));
            }
        }
    }
    (names, homes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/bash\n# no\nbad\nwww:x:33:33:www,,:/var/www:/bin/false\nbob:x:1000:1000::/home/bob:/bin/sh\n";
    const SHADOW: &[u8] = b"root:!:19000:0:99999:7:::\nwww:*:19000:0:99999:7:::\nbob:$6$secret$hash:20000:0:90:7:::\n";
    const GROUP: &[u8] = b"root:x:0:\nwww:x:33:bob,root\nbob:x:1000:\n";

    fn all(passwd: &[u8], shadow: Option<&[u8]>, group: &[u8]) -> Vec<Row> {
        let mut rows = Vec::new();
        users(passwd, shadow, group, &mut |row| rows.push(row));
        rows
    }

    #[test]
    fn users_have_their_state_and_never_their_hash() {
        let rows = all(PASSWD, Some(SHADOW), GROUP);
        let words: Vec<(&str, &str)> =
            rows.iter().map(|row| (row.word(".name"), row.word("unmapped.password"))).collect();
        assert_eq!(words, [("root", "none"), ("www", "none"), ("bob", "set")]);
        assert_eq!(rows[0].value("unmapped.locked"), Some(&Value::Bool(true)));
        assert_eq!(rows[2].value("unmapped.password_max_days"), Some(&Value::U64(90)));
        assert!(!format!("{rows:?}").contains("secret"));
        assert!(format!("{:?}", rows[2].value(".groups")).contains("www"));
    }

    #[test]
    fn locking_and_a_new_password_are_told_apart_by_the_level() {
        let level = |shadow: &[u8]| all(b"bob:x:1:1::/:/x\n", Some(shadow), b"")[0].level;
        let (set, locked, newer) =
            (level(b"bob:$6$x:20000::::::"), level(b"bob:!$6$x:20000::::::"), level(b"bob:$6$y:20001::::::"));
        assert_eq!((set ^ locked, (set ^ newer) & SWITCH), (SWITCH, 0));
        assert_ne!(set, newer);
    }

    #[test]
    fn members_are_counted() {
        let mut rows = Vec::new();
        groups(GROUP, &mut |row| rows.push(row));
        assert_eq!(rows.iter().map(|row| row.level).collect::<Vec<_>>(), [0, 2, 0]);
    }
}
