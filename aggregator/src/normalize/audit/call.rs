//! System calls: what a SYSCALL record means, with the files and addresses that came with it.
//!
//! In: `arch=… syscall=… success=… exit=… a0=… pid=… comm=… exe=… key=…` and its PATH, CWD, SOCKADDR records. Out: a file
//! (1001), a connection (4001), a module (1002), else kernel activity (1003) named after the call. Processes are read in
//! `execution`.

use std::borrow::Cow;

use super::policy::{actor, system_call};
use super::record::Records;
use super::sockaddr::{self, SocketAddress};
use super::{Meaning, outcome, paths};
use crate::event::Event;
use crate::normalize::endpoint;
use crate::normalize::text::{cut, port};
use crate::schema::{Attribute, Class};

/// Reads what nothing else took: a system call, or a record that came without its call.
pub(super) fn read<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    match meaning.kind {
        "SYSCALL" => {}
        "PATH" if item(records, event) => return true,
        "SOCKADDR" if peer(records, event) => return true,
        "CWD" if folder(meaning, records, event) => return true,
        kind => return of_call(kind, event),
    }
    let name = system_call(meaning, records, event).unwrap_or_default();
    let address = socket(records);
    let classified = file(&name, meaning, records, event)
        || address.as_ref().is_some_and(|address| connection(&name, address, meaning, records, event))
        || module(&name, event);
    if !classified {
        kernel(name, meaning, records, event);
    }
    if let Some(address) = address {
        local(address, event);
    }
    outcome(meaning, records, event);
    actor(meaning, records, event);
    true
}

/// An address that is none of the network's.
fn local(address: SocketAddress, event: &mut Event<'_>) {
    match address {
        SocketAddress::Unix(path) if !path.is_empty() => event.unmap("socket", path),
        SocketAddress::Netlink(port) => event.unmap("netlink_port", port),
        SocketAddress::Other(family) => event.unmap("socket_family", family),
        SocketAddress::Unix(_) | SocketAddress::Inet(..) => {}
    }
}

fn kernel<'a>(name: Cow<'a, str>, meaning: &Meaning<'a>, records: &Records<'a>, event: &mut Event<'a>) {
    event.class = Class::KernelActivity;
    event.activity_id = 4;
    event.push(Attribute::KernelTypeId, 2);
    if name.is_empty() {
        let number = records.peek(meaning.main, "syscall").map(|field| field.value.clone());
        event.push(Attribute::KernelName, number.unwrap_or(Cow::Borrowed("system call")));
    } else {
        event.push(Attribute::KernelName, name.clone());
        event.push(Attribute::KernelSystemCall, name);
    }
}

/// Activity of File System Activity (1001) of a call.
fn file_activity(name: &str, created: bool) -> Option<u8> {
    Some(match name {
        "open" | "openat" | "openat2" | "creat" | "open_by_handle_at" if created => 1,
        "open" | "openat" | "openat2" | "open_by_handle_at" => 14,
        "creat" | "mknod" | "mknodat" | "mkdir" | "mkdirat" | "link" | "linkat" | "symlink" | "symlinkat" => 1,
        "unlink" | "unlinkat" | "rmdir" => 4,
        "rename" | "renameat" | "renameat2" => 5,
        "truncate" | "truncate64" | "ftruncate" | "ftruncate64" | "write" | "pwrite64" => 3,
        "chmod" | "fchmod" | "fchmodat" | "fchmodat2" | "chown" | "fchown" | "lchown" | "fchownat" | "chown32"
        | "fchown32" | "lchown32" => 7,
        "setxattr" | "lsetxattr" | "fsetxattr" | "removexattr" | "lremovexattr" | "fremovexattr" | "setxattrat"
        | "removexattrat" | "utime" | "utimes" | "utimensat" | "futimesat" | "file_setattr" => 6,
        "stat" | "lstat" | "stat64" | "lstat64" | "newfstatat" | "fstatat64" | "statx" | "access" | "faccessat"
        | "faccessat2" | "readlink" | "readlinkat" | "getxattr" | "lgetxattr" | "listxattr" => 8,
        "read" | "pread64" | "sendfile" => 2,
        "mount" | "fsmount" | "move_mount" => 12,
        "umount" | "umount2" => 13,
        _ => return None,
    })
}

fn file<'a>(name: &str, meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let Some(activity) = file_activity(name, paths::is_created(records)) else { return false };
    let Some(object) = paths::object(records) else { return false };
    let result = paths::renamed(records).filter(|result| activity == 5 && *result != object);
    if !paths::push(records, object, event) {
        return false;
    }
    event.class = Class::FileActivity;
    event.activity_id = activity;
    if let Some(result) = result {
        paths::push_result(records, result, event);
    }
    if let Some(cwd) = records.find("CWD").and_then(|cwd| records.take_text(cwd, "cwd")) {
        event.unmap("cwd", cwd);
    }
    let opened = records.peek(meaning.subject(), "exit").map(|exit| exit.value.clone());
    if let Some(exit) = opened.filter(|_| activity == 14) {
        event.unmap("descriptor", exit);
    }
    true
}

/// A PATH record alone: the file is known, what was done to it is not.
fn item<'a>(records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let Some(object) = paths::object(records) else { return false };
    let made = records.peek(object, "nametype").map(|field| field.value.clone()).unwrap_or_default();
    let first = records.records.iter().position(|record| record.kind == "PATH").unwrap_or(object);
    if !paths::push(records, first.max(object), event) {
        return false;
    }
    event.class = Class::FileActivity;
    event.activity_id = match &*made {
        "CREATE" => 1,
        "DELETE" => 4,
        _ => 0,
    };
    event.push(Attribute::ActorAppName, "kernel");
    true
}

/// A CWD record alone: where some process was.
fn folder<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    const FOLDER: i64 = 2;
    let Some(path) = records.take_text(meaning.main, "cwd").filter(|path| path.starts_with('/')) else { return false };
    event.unmap("cwd", path.clone());
    paths::push_file(path, (Attribute::FileName, Attribute::FilePath), event);
    event.push(Attribute::FileTypeId, FOLDER);
    event.class = Class::FileActivity;
    event.push(Attribute::ActorAppName, "kernel");
    true
}

/// Any other record that tells more of a system call and came without it; the end of an event alone says nothing.
fn of_call<'a>(kind: &'a str, event: &mut Event<'a>) -> bool {
    if !super::accompanies(kind) || kind == "EOE" {
        return false;
    }
    event.class = Class::KernelActivity;
    event.activity_id = 4;
    event.push(Attribute::KernelName, kind);
    event.push(Attribute::KernelTypeId, 2);
    event.push(Attribute::ActorAppName, "kernel");
    true
}

/// A SOCKADDR record that came without its call: an address of the network that some process named.
fn peer(records: &mut Records<'_>, event: &mut Event<'_>) -> bool {
    let (address, port) = match socket(records) {
        Some(SocketAddress::Inet(address, port)) => (address, port),
        Some(other) => {
            local(other, event);
            return false;
        }
        None => return false,
    };
    event.class = Class::NetworkActivity;
    event.activity_id = 6;
    event.push(Attribute::DstEndpointIp, address);
    event.push(Attribute::DstEndpointPort, i64::from(port));
    true
}

/// The address of the first SOCKADDR record: its bytes, else its enriched half.
fn socket(records: &mut Records<'_>) -> Option<SocketAddress> {
    let record = records.find("SOCKADDR")?;
    if let Some(address) = records.peek(record, "saddr").and_then(|saddr| sockaddr::parse(&saddr.value)) {
        records.take(record, "saddr");
        for key in ["saddr_fam", "fam", "laddr", "lport"] {
            records.take(record, key);
        }
        return Some(address);
    }
    if let Some(address) = records.records.get(record).and_then(|record| interpreted(record.body)) {
        records.take(record, "saddr");
        return Some(address);
    }
    let ip = records.peek(record, "laddr").and_then(|field| endpoint::ip(&field.value).map(str::to_owned))?;
    records.take(record, "laddr");
    let port = records.take(record, "lport").and_then(|text| port(&text)).and_then(|port| u16::try_from(port).ok());
    Some(SocketAddress::Inet(ip, port.unwrap_or(0)))
}

/// As `ausearch --interpret` showed it before audit 2.8: `saddr=inet host:192.0.2.1 serv:80`, `saddr=local /run/x`.
fn interpreted(body: &str) -> Option<SocketAddress> {
    let (family, rest) = cut(body, "saddr=")?.1.trim_end().split_once(' ')?;
    match family {
        "inet" | "inet6" => {
            let (host, port) = rest.strip_prefix("host:")?.split_once(" serv:")?;
            Some(SocketAddress::Inet(endpoint::ip(host)?.to_owned(), port.trim().parse().ok()?))
        }
        "local" => Some(SocketAddress::Unix(rest.to_owned())),
        _ => None,
    }
}

/// Which end an address is, and the activity of Network Activity (4001).
enum End {
    Source(u8),
    Destination(u8),
}

fn connection<'a>(
    name: &str,
    address: &SocketAddress,
    meaning: &Meaning<'a>,
    records: &Records<'a>,
    event: &mut Event<'a>,
) -> bool {
    let SocketAddress::Inet(ip, port) = address else { return false };
    let succeeded = records.peek(meaning.subject(), "success").is_none_or(|said| said.value == "yes");
    // A connect that does not wait says so (EINPROGRESS).
    let waits = records.peek(meaning.subject(), "exit").is_some_and(|exit| matches!(&*exit.value, "-115" | "-4"));
    let failed = !succeeded && !waits;
    let (end, direction) = match name {
        "connect" | "socketcall" => (End::Destination(if failed { 4 } else { 1 }), 2),
        "accept" | "accept4" => (End::Source(if failed { 4 } else { 1 }), 1),
        "bind" | "listen" => (End::Source(if failed { 4 } else { 7 }), 0),
        "recvfrom" | "recvmsg" | "recvmmsg" => (End::Source(6), 1),
        _ => (End::Destination(if failed { 4 } else { 6 }), 2),
    };
    let (activity, ip_attribute, port_attribute) = match end {
        End::Source(activity) => (activity, Attribute::SrcEndpointIp, Attribute::SrcEndpointPort),
        End::Destination(activity) => (activity, Attribute::DstEndpointIp, Attribute::DstEndpointPort),
    };
    event.class = Class::NetworkActivity;
    event.activity_id = activity;
    event.push(ip_attribute, ip.clone());
    event.push(port_attribute, i64::from(*port));
    event.push(Attribute::ConnectionDirectionId, direction);
    event.push(Attribute::ConnectionProtocolVerId, if ip.contains(':') { 6 } else { 4 });
    true
}

/// Modules by calls alone: which one, says only the KERN_MODULE record.
fn module(name: &str, event: &mut Event<'_>) -> bool {
    let activity = match name {
        "init_module" | "finit_module" | "create_module" => 1,
        "delete_module" => 2,
        _ => return false,
    };
    event.class = Class::KernelExtensionActivity;
    event.activity_id = activity;
    event.push(Attribute::DriverFileName, "unknown");
    event.push(Attribute::DriverFileTypeId, 0);
    true
}
