//! Devices and modules: USB plugged in and out, links up and down, promiscuous interfaces, modules that taint the kernel.
//!
//! In: `usb 1-1: New USB device found, idVendor=0930, idProduct=6544` (drivers/usb/core/hub.c, generic.c), `usb 1-1:
//! Device is not authorized for usage`, `device eth0 entered
//! promiscuous mode` (net/core/dev.c), `e1000e: eth0 NIC Link is Up 1000 Mbps`, `x: loading out-of-tree module taints kernel.`
//! (kernel/module). Out: classes 1010, 1003, 1002.

use super::super::super::outcome::{Control, LOW, controlled, failure, success};
use super::super::super::text::{between, cut, word};
use super::activity;
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Reads such a message.
pub(super) fn parse<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    usb(message, event)
        || module(message, event)
        || promiscuous(message, event)
        || attached(message, event)
        || link(message, event)
        || clock(message, event)
}

const CONNECT: u8 = 1;
const DISCONNECT: u8 = 2;

fn peripheral<'a>(activity: u8, name: &'a str, class: &'a str, event: &mut Event<'a>) {
    event.class = Class::PeripheralActivity;
    event.activity_id = activity;
    event.push(Attribute::PeripheralName, name);
    event.push(Attribute::PeripheralClass, class);
    event.push(Attribute::ActorAppName, "kernel");
}

fn usb<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    if let Some((port, _)) = message.strip_prefix("usb-storage ").and_then(|rest| cut(rest, ": "))
        && message.contains("Mass Storage device detected")
    {
        peripheral(CONNECT, port, "USB mass storage", event);
        return true;
    }
    let Some((name, text)) = cut(message, ": ").filter(|(name, _)| name.starts_with("usb ")) else { return false };
    let name = name.get(4..).unwrap_or(name);
    if let Some(rest) = text.strip_prefix("New USB device found, ") {
        peripheral(CONNECT, name, "USB", event);
        let value = |key: &str| cut(rest, key).map(|(_, value)| value.trim_start().split(',').next().unwrap_or(value));
        if let (Some(vendor), Some(product)) = (value("idVendor="), value("idProduct=")) {
            event.push(Attribute::PeripheralUid, format!("{vendor}:{product}"));
            event.unmap("idVendor", vendor);
            event.unmap("idProduct", product);
        }
        if let Some(release) = value("bcdDevice=") {
            event.unmap("bcdDevice", release);
        }
        return true;
    }
    if text.starts_with("USB disconnect") {
        peripheral(DISCONNECT, name, "USB", event);
        event.unmap("number", text.rsplit(' ').next().unwrap_or_default());
        return true;
    }
    if text.starts_with("new ") && text.contains("USB device") {
        peripheral(CONNECT, name, "USB", event);
        let speed = text.strip_prefix("new ").map_or("", |rest| word(rest).0);
        event.unmap("speed", speed);
        if let Some((_, controller)) = cut(text, " using ") {
            event.unmap("controller", word(controller).0);
        }
        let number = cut(text, "number ").or_else(|| cut(text, "address ")).map(|(_, rest)| word(rest).0);
        event.unmap("number", number.unwrap_or_default());
        return true;
    }
    if text.starts_with("Device is not authorized") {
        peripheral(CONNECT, name, "USB", event);
        failure(event, text);
        controlled(event, Control::Blocked);
        return true;
    }
    let described = [
        ("Product: ", Attribute::PeripheralModel),
        ("Manufacturer: ", Attribute::PeripheralVendorName),
        ("SerialNumber: ", Attribute::PeripheralSerialNumber),
    ];
    for (label, attribute) in described {
        if let Some(value) = text.strip_prefix(label) {
            peripheral(99, name, "USB", event);
            event.push(Attribute::ActivityName, "Description");
            event.push(attribute, value.trim());
            return true;
        }
    }
    if text.starts_with("New USB device strings") {
        peripheral(99, name, "USB", event);
        event.push(Attribute::ActivityName, "Description");
        event.unmap("strings", cut(text, ": ").map_or("", |(_, strings)| strings));
        return true;
    }
    false
}

/// `input: NAME as /devices/…` (drivers/input/input.c), `sd 6:0:0:0: [sdb] Attached SCSI removable disk` (drivers/scsi/sd.c).
fn attached<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    if let Some((name, path)) = message.strip_prefix("input: ").and_then(|rest| rest.rsplit_once(" as /devices/")) {
        peripheral(CONNECT, name, "Input device", event);
        event.unmap("path", path);
        return true;
    }
    let Some((address, rest)) = message.strip_prefix("sd ").and_then(|rest| cut(rest, ": [")) else { return false };
    let Some((disk, kind)) = cut(rest, "] Attached ") else { return false };
    peripheral(CONNECT, disk, "Disk", event);
    event.push(Attribute::PeripheralModel, kind);
    event.unmap("address", address);
    true
}

fn module<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let (name, text) = cut(message, ": ").unwrap_or(("", message));
    let refused = text.contains("is rejected") && text.starts_with("Loading of ");
    if !refused && !text.contains("taints kernel") && !text.contains("tainting kernel") {
        return false;
    }
    event.class = Class::KernelExtensionActivity;
    event.activity_id = 1;
    event.severity_id = event.severity_id.max(if refused { 3 } else { LOW });
    event.push(Attribute::DriverFileName, if name.is_empty() { "unknown" } else { name });
    event.push(Attribute::DriverFileTypeId, 1);
    event.push(Attribute::ActorAppName, "kernel");
    let license = between(text, "license '", "'").map(|(license, _)| license);
    if let Some(license) = license {
        event.unmap("license", license);
    }
    if refused {
        failure(event, text);
    } else {
        success(event);
        event.push(Attribute::StatusDetail, text);
    }
    true
}

fn promiscuous<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let entered = message.trim_end_matches('.').ends_with("entered promiscuous mode");
    if !entered && !message.trim_end_matches('.').ends_with("left promiscuous mode") {
        return false;
    }
    let text = message.strip_prefix("device ").unwrap_or(message);
    // A driver and a bus address may stand before the interface: `e1000 0000:00:03.0 eth0: entered …`.
    let before = text.split(if entered { " entered" } else { " left" }).next().unwrap_or(text);
    let interface = before.trim_end_matches(':').rsplit(' ').next().unwrap_or(before);
    activity("promiscuous mode", if entered { "Enter Promiscuous Mode" } else { "Leave Promiscuous Mode" }, event);
    event.severity_id = event.severity_id.max(LOW);
    event.unmap("interface", interface);
    success(event);
    true
}

/// Links of interfaces and ports of bridges.
fn link<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let lower =
        |word: &str| message.as_bytes().windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes()));
    let doing = if lower("link is up") || lower("link up") || message.ends_with("link becomes ready") {
        "Link Up"
    } else if lower("link is down") || lower("link down") || message.ends_with("link is not ready") {
        "Link Down"
    } else if message.contains(": renamed from ") {
        "Rename"
    } else if message.contains(" entered ") && message.ends_with(" state") && message.contains("port ") {
        "Port State"
    } else {
        return false;
    };
    let interface = message.split([' ', ':', '(', ')']).find(|word| {
        const KINDS: [&str; 12] =
            ["eth", "en", "wl", "bond", "br", "veth", "team", "docker", "virbr", "vmbr", "tap", "ib"];
        word.len() <= 15 && word.bytes().any(|b| b.is_ascii_digit()) && KINDS.iter().any(|kind| word.starts_with(kind))
    });
    let Some(interface) = interface else { return false };
    activity("network link", doing, event);
    event.unmap("interface", interface);
    if doing == "Port State"
        && let Some((state, _)) =
            cut(message, " entered ").and_then(|(_, rest)| cut(rest, " state").or(Some((rest, ""))))
    {
        event.unmap("state", state);
    }
    if let Some(speed) = message
        .split(' ')
        .zip(message.split(' ').skip(1))
        .find(|(_, unit)| unit.starts_with("Mbps") || unit.starts_with("Gbps"))
    {
        event.unmap("speed", format!("{} {}", speed.0, speed.1.trim_end_matches(',')));
    }
    true
}

/// The clock jumped, or got a leap second (kernel/time).
fn clock<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let jumped = message.contains("Marking clocksource")
        || message.starts_with("Clock: inserting leap second")
        || message.starts_with("Clock: deleting leap second")
        || message.contains("Time went backwards")
        || message.starts_with("clocksource: timekeeping watchdog");
    if !jumped {
        return false;
    }
    activity("clock", "Clock Change", event);
    event.severity_id = event.severity_id.max(LOW);
    event.push(Attribute::StatusDetail, message);
    if let Some((source, _)) = between(message, "clocksource '", "'") {
        event.unmap("clocksource", source);
    }
    true
}
