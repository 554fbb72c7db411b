//! File systems: mounted, unmounted, made read-only.
//!
//! In: `EXT4-fs (sda1): mounted filesystem with ordered data mode. Opts: (null)` (fs/ext4/super.c), `XFS (dm-0): Ending clean
//! mount` (fs/xfs), `BTRFS info (device sda): …`. Out: class 1001, Mount or Unmount, of the device.

use super::super::super::outcome::{LOW, failure, success};
use super::super::super::text::cut;
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Activities of File System Activity (1001).
const MOUNT: u8 = 12;
const UNMOUNT: u8 = 13;
/// `file.type_id` of a block device.
const BLOCK_DEVICE: i64 = 4;

/// Reads such a message.
pub(super) fn parse<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((system, rest)) = cut(message, " (") else { return false };
    let Some((device, text)) = cut(rest, "): ") else { return false };
    const SYSTEMS: [&str; 11] = [
        "EXT4-fs",
        "EXT3-fs",
        "EXT2-fs",
        "XFS",
        "BTRFS",
        "BTRFS info",
        "FAT-fs",
        "F2FS-fs",
        "JFS",
        "NILFS",
        "exFAT-fs",
    ];
    if let Some(weight) = ["BTRFS warning", "BTRFS error", "BTRFS critical"].iter().position(|kind| *kind == system) {
        event.class = Class::ApplicationError;
        event.activity_id = 1;
        event.unmap("device", device.strip_prefix("device ").unwrap_or(device));
        failure(event, message);
        event.severity_id = event.severity_id.max(if weight == 0 { 3 } else { 4 });
        return true;
    }
    if !SYSTEMS.contains(&system) {
        return false;
    }
    let device = device.strip_prefix("device ").unwrap_or(device);
    let read_only = text.contains("read-only") && text.starts_with("Remounting");
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let activity = if has(&["unmounting filesystem", "Unmounting Filesystem", "last unmount of filesystem"]) {
        UNMOUNT
    } else if read_only
        || has(&[
            "mounted filesystem",
            "re-mounted",
            "Mounting V",
            "Ending clean mount",
            "Ending recovery",
            "first mount of filesystem",
        ])
    {
        MOUNT
    } else {
        return false;
    };
    event.class = Class::FileActivity;
    event.activity_id = activity;
    event.push(Attribute::FileName, device);
    event.push(Attribute::FilePath, format!("/dev/{device}"));
    event.push(Attribute::FileTypeId, BLOCK_DEVICE);
    event.push(Attribute::ActorAppName, "kernel");
    event.unmap("filesystem", system.trim_end_matches("-fs").trim_end_matches(" info"));
    if let Some((_, options)) = cut(text, "Opts: ") {
        event.unmap("options", options.trim_end_matches('.'));
    }
    if read_only {
        event.severity_id = event.severity_id.max(4);
        event.push(Attribute::StatusDetail, "remounted read-only");
    } else {
        success(event);
        event.severity_id = event.severity_id.min(LOW);
    }
    true
}
