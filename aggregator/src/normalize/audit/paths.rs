//! Files that a system call was about: its PATH and CWD records.
//!
//! In: `item=0 name="x" inode=… mode=… ouid=… nametype=CREATE` and `cwd="/"`. Out: `file.*`, and `file_result.*` where a
//! file got another name; the other items stay in `unmapped` as `PATH.<item>.<key>`.

use std::borrow::Cow;

use super::record::Records;
use crate::event::Event;
use crate::normalize::text::base_name;
use crate::schema::Attribute;

/// What an item was to the call: `nametype=`, before Linux 3.10 `objtype=`.
fn role_of<'r>(records: &'r Records<'_>, record: usize) -> &'r str {
    let field = records.peek(record, "nametype").or_else(|| records.peek(record, "objtype"));
    field.map_or("NORMAL", |field| &field.value)
}

/// The items with a name, in order of their records.
fn items(records: &Records<'_>) -> impl Iterator<Item = usize> {
    let paths = records.records.iter().enumerate().filter(|(_, record)| record.kind == "PATH");
    paths.map(|(at, _)| at).filter(|at| records.peek(*at, "name").is_some())
}

/// The item that a call was about: not the folder around it.
pub(super) fn object(records: &Records<'_>) -> Option<usize> {
    let of = |role: &str| items(records).find(|item| role_of(records, *item) == role);
    let first = || {
        let lowest = |item: &usize| records.peek(*item, "item").and_then(|field| field.value.parse::<u32>().ok());
        items(records).filter(|item| role_of(records, *item) == "NORMAL").min_by_key(lowest)
    };
    of("DELETE").or_else(|| of("CREATE")).or_else(first).or_else(|| items(records).last())
}

/// Whether the call made the object.
pub(super) fn is_created(records: &Records<'_>) -> bool {
    items(records).any(|item| role_of(records, item) == "CREATE")
}

/// The item with the new name of a file that had another.
pub(super) fn renamed(records: &Records<'_>) -> Option<usize> {
    items(records).find(|item| role_of(records, *item) == "CREATE")
}

/// `file.type_id` of a mode (octal, `S_IFMT`).
fn type_id(mode: &str) -> i64 {
    let digits = mode.strip_prefix("0o").unwrap_or(mode);
    match u32::from_str_radix(digits, 8).unwrap_or(0) & 0o170_000 {
        0o100_000 => 1,
        0o040_000 => 2,
        0o020_000 => 3,
        0o060_000 => 4,
        0o140_000 => 5,
        0o010_000 => 6,
        0o120_000 => 7,
        _ => 0,
    }
}

/// The path of an item, from the root where the working directory is known.
pub(super) fn path<'a>(records: &mut Records<'a>, item: usize) -> Option<Cow<'a, str>> {
    let name = records.take_text(item, "name")?;
    if name.starts_with('/') || name.starts_with("anon_inode:") {
        return Some(name);
    }
    let cwd = records.find("CWD").and_then(|cwd| {
        let field = records.peek(cwd, "cwd")?;
        Some(if field.is_text { field.value.clone() } else { super::record::decoded(field.value.clone()) })
    });
    let Some(cwd) = cwd else { return Some(name) };
    let name = name.strip_prefix("./").unwrap_or(&name);
    Some(Cow::Owned(match (name, cwd.ends_with('/')) {
        ("." | "", _) => cwd.into_owned(),
        (name, true) => format!("{cwd}{name}"),
        (name, false) => format!("{cwd}/{name}"),
    }))
}

/// Sets `file` from the object; false where there is none with a name.
pub(super) fn push<'a>(records: &mut Records<'a>, item: usize, event: &mut Event<'a>) -> bool {
    if let Some(field) = records.peek(item, "name") {
        let name = field.value.clone();
        event.unmap("name", if field.is_text { name } else { super::record::decoded(name) });
    }
    let Some(path) = path(records, item) else { return false };
    if !push_file(path, (Attribute::FileName, Attribute::FilePath), event) {
        return false;
    }
    let mode = records.peek(item, "mode").map(|field| type_id(&field.value));
    event.push(Attribute::FileTypeId, mode.unwrap_or(0));
    if let Some(owner) = records.take(item, "ouid") {
        event.push(Attribute::FileOwnerUid, owner);
        if let Some(name) = records.take_text(item, "OUID") {
            event.push(Attribute::FileOwnerName, name);
        }
    }
    true
}

/// Sets the name that a file got.
pub(super) fn push_result<'a>(records: &mut Records<'a>, item: usize, event: &mut Event<'a>) {
    let mode = records.peek(item, "mode").map(|field| type_id(&field.value));
    let Some(path) = path(records, item) else { return };
    if push_file(path, (Attribute::FileResultName, Attribute::FileResultPath), event) {
        event.push(Attribute::FileResultTypeId, mode.unwrap_or(0));
    }
}

/// Sets the name and path of a file; a path that ends with `/` is a folder's.
pub(super) fn push_file<'a>(path: Cow<'a, str>, (name, full): (Attribute, Attribute), event: &mut Event<'a>) -> bool {
    if path.is_empty() {
        return false;
    }
    let last = |path: &str| -> usize { path.trim_end_matches('/').len() };
    let base = match &path {
        Cow::Borrowed(path) => Cow::Borrowed(base_name(path.get(..last(path)).unwrap_or(path))),
        Cow::Owned(path) => Cow::Owned(base_name(path.get(..last(path)).unwrap_or(path)).to_owned()),
    };
    event.push(name, if base.is_empty() { Cow::Borrowed("/") } else { base });
    event.push(full, path);
    true
}
