//! Messages of the kernel, as Linux prints them.

use serde_json::{Value, json};

use crate::normalize::testing::normalized;

fn said(message: &str) -> Value {
    normalized(&format!("Mar 16 10:00:00 h kernel: [   12.345678] {message}"))
}

#[test]
fn packets_are_connections_and_prefixes_say_what_the_rule_did() {
    let fields = "IN=eth0 OUT= MAC=00:00:5e:00:53:01:00:00:5e:00:53:02:08:00 SRC=192.0.2.1 DST=198.51.100.2 LEN=60 TOS=0x00 \
                  TTL=64 ID=5 DF PROTO=TCP SPT=40000 DPT=22 WINDOW=9 RES=0x00 SYN URGP=0";
    for (prefix, activity, action, disposition, rule) in [
        ("[UFW BLOCK] ", 4, 2, 2, json!("UFW BLOCK")),
        ("[WAN_IN-default-D]", 4, 2, 6, json!("WAN_IN-default-D")),
        ("[LAN_IN-20-A]", 6, 1, 1, json!("LAN_IN-20-A")),
        ("\"filter_IN_public_REJECT: \"", 5, 2, 25, json!("filter_IN_public_REJECT")),
        ("[UFW ALLOW] ", 6, 1, 1, json!("UFW ALLOW")),
        ("[UFW AUDIT] ", 6, 3, 17, json!("UFW AUDIT")),
        ("FINAL_REJECT: ", 5, 2, 25, json!("FINAL_REJECT")),
        ("Shorewall:net-fw:DROP:", 4, 2, 6, json!("Shorewall:net-fw:DROP")),
        ("SFW2-INext-ACC-TCP ", 6, 3, 17, json!("SFW2-INext-ACC-TCP")),
        ("", 6, 3, 17, Value::Null),
    ] {
        let event = said(&format!("{prefix}{fields}"));
        assert_eq!(event["type_uid"], 400_100 + activity, "{prefix}");
        assert_eq!([&event["action_id"], &event["disposition_id"]], [action, disposition], "{prefix}");
        assert_eq!(event["firewall_rule"]["name"], rule, "{prefix}");
    }
    let event = said(fields);
    assert_eq!(
        event["src_endpoint"],
        json!({"ip": "192.0.2.1", "port": 40000, "interface_name": "eth0", "mac": "00:00:5e:00:53:02"})
    );
    assert_eq!(event["dst_endpoint"], json!({"ip": "198.51.100.2", "port": 22, "mac": "00:00:5e:00:53:01"}));
    let connection = &event["connection_info"];
    assert_eq!(connection["tcp_flags"], 2);
    assert_eq!([&connection["direction_id"], &connection["protocol_num"], &connection["protocol_ver_id"]], [1, 6, 4]);
    assert_eq!(event["traffic"]["bytes"], 60);
    assert_eq!(event["unmapped"]["uptime"], "12.345678");
    assert_eq!(event["metadata"]["profiles"], json!(["host", "security_control"]));
}

#[test]
fn packets_of_every_protocol_and_way_are_read() {
    for (line, path, expected) in [
        (
            "IN= OUT=eth0 SRC=2001:db8::1 DST=2001:db8::2 LEN=72 TC=0 HOPLIMIT=255 FLOWLBL=0 PROTO=ICMPv6 TYPE=135 CODE=0",
            "/connection_info/direction_id",
            json!(2),
        ),
        (
            "IN= OUT=eth0 SRC=2001:db8::1 DST=2001:db8::2 LEN=72 TC=0 HOPLIMIT=255 FLOWLBL=0 PROTO=ICMPv6 TYPE=135 CODE=0",
            "/connection_info/protocol_num",
            json!(58),
        ),
        (
            "IN=a OUT=b SRC=192.0.2.1 DST=192.0.2.2 LEN=28 PROTO=ICMP TYPE=3 CODE=1 [SRC=192.0.2.9 DST=192.0.2.8 PROTO=UDP SPT=1 DPT=2 ]",
            "/connection_info/direction_id",
            json!(3),
        ),
        ("IN=lo OUT= SRC=127.0.0.1 DST=127.0.0.1 LEN=28 PROTO=2", "/connection_info/protocol_name", json!("igmp")),
        ("IPv4: martian source 192.0.2.9 from 198.51.100.3, on dev eth0", "/src_endpoint/ip", json!("198.51.100.3")),
        ("wireguard: wg0: Invalid handshake initiation from 192.0.2.1:51820", "/src_endpoint/port", json!(51820)),
        (
            "wireguard: wg0: Packet has unallowed src IP (192.0.2.8) from peer 2 (192.0.2.1:51820)",
            "/unmapped/unallowed_source",
            json!("192.0.2.8"),
        ),
    ] {
        let event = said(line);
        assert_eq!(event["class_uid"], 4001, "{line} {event}");
        assert_eq!(event.pointer(path), Some(&expected), "{line} {event}");
    }
    let event =
        said("IN=a OUT=b SRC=192.0.2.1 DST=192.0.2.2 PROTO=ICMP TYPE=3 CODE=1 [SRC=192.0.2.9 DST=192.0.2.8 SPT=1 ]");
    assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1");
    let line = "0 3 PVEFW-HOST-IN 16/Mar/2026:10:00:00 +0100 policy DROP: IN=vmbr0 SRC=192.0.2.1 DST=192.0.2.2 LEN=52 PROTO=UDP SPT=1 DPT=2";
    let event = normalized(line);
    assert_eq!((&event["type_uid"], &event["time"]), (&json!(400_104), &json!(1_773_651_600_000_i64)));
}

#[test]
fn faults_name_the_process() {
    for (message, type_uid, path, expected) in [
        (
            "su[9]: segfault at 10 ip 00007f1 sp 00007ff error 4 in ld.so[7f0+1000] likely on CPU 1",
            600_801,
            "/actor/process/pid",
            json!(9),
        ),
        (
            "su[9]: segfault at 10 ip 00007f1 sp 00007ff error 4 in ld.so[7f0+1000] likely on CPU 1",
            600_801,
            "/unmapped/address",
            json!("10"),
        ),
        (
            "traps: x y[9] general protection fault ip:7f1 sp:7ff error:0 in libc.so[7f0+1000]",
            600_801,
            "/actor/process/name",
            json!("x y"),
        ),
        (
            "traps: x[9] trap invalid opcode ip:7f1 sp:7ff error:0 in x[7f0+1000]",
            600_801,
            "/status_detail",
            json!("trap invalid opcode"),
        ),
        (
            "Out of memory: Killed process 9 (java) total-vm:5kB, anon-rss:4kB, UID:1000 oom_score_adj:0",
            100_399,
            "/actor/process/name",
            json!("java"),
        ),
        (
            "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),task=java,pid=9,uid=1000",
            100_399,
            "/unmapped/uid",
            json!("1000"),
        ),
        ("java invoked oom-killer: gfp_mask=0x1, order=0, oom_score_adj=0", 100_399, "/unmapped/order", json!("0")),
        (
            "Lockdown: insmod: unsigned module loading is restricted; see man kernel_lockdown.7",
            100_399,
            "/disposition_id",
            json!(2),
        ),
        ("ptrace attach of \"a b\"[9] was attempted by \"x\"[10]", 100_703, "/actor/process/pid", json!(10)),
        (
            "process 'x' launched '/bin/y' with NULL argv: empty string added",
            100_701,
            "/process/file/path",
            json!("/bin/y"),
        ),
        ("Sandbox: x(9) deny(1) file-read-data /a/b", 100_114, "/file/path", json!("/a/b")),
        ("Sandbox: x(9) deny mach-lookup com.example.y", 100_399, "/unmapped/target", json!("com.example.y")),
        ("cgroup: fork rejected by pids controller in /a.slice", 100_399, "/unmapped/cgroup", json!("/a.slice")),
        ("pid 9 (x), jid 0, uid 5: exited on signal 11 (core dumped)", 600_801, "/actor/user/uid", json!("5")),
        ("BTRFS error (device sda1): bdev /dev/sda1 errs: wr 0, rd 1", 600_801, "/unmapped/device", json!("sda1")),
        (
            "INFO: task jbd2/sda1-8:9 blocked for more than 120 seconds.",
            600_801,
            "/actor/process/name",
            json!("jbd2/sda1-8"),
        ),
        ("watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [x:9]", 600_801, "/actor/process/pid", json!(9)),
        ("Kernel panic - not syncing: VFS: Unable to mount root fs", 600_801, "/severity_id", json!(6)),
        ("mce: [Hardware Error]: Machine check events logged", 600_801, "/metadata/event_code", json!("machine check")),
        (
            "blk_update_request: I/O error, dev sda, sector 2048 op 0x0:(READ)",
            600_801,
            "/unmapped/device",
            json!("sda"),
        ),
        (
            "EXT4-fs error (device sda1): ext4_lookup:1: inode #2: comm ls: bad",
            600_801,
            "/unmapped/device",
            json!("sda1"),
        ),
    ] {
        let event = said(message);
        assert_eq!(event["type_uid"], type_uid, "{message} {event}");
        assert_eq!(event.pointer(path), Some(&expected), "{message} {event}");
    }
}

#[test]
fn devices_modules_mounts_and_the_system_are_read() {
    for (message, type_uid, path, expected) in [
        (
            "usb 1-1: New USB device found, idVendor=0930, idProduct=6544, bcdDevice= 1.00",
            101_001,
            "/peripheral_device/uid",
            json!("0930:6544"),
        ),
        (
            "usb 1-1: new high-speed USB device number 5 using xhci_hcd",
            101_001,
            "/unmapped/controller",
            json!("xhci_hcd"),
        ),
        ("usb 1-1: Manufacturer: Example", 101_099, "/peripheral_device/vendor_name", json!("Example")),
        ("usb 1-1: USB disconnect, device number 2", 101_002, "/unmapped/number", json!("2")),
        ("vbox: loading out-of-tree module taints kernel.", 100_201, "/driver/file/name", json!("vbox")),
        ("device eth0 entered promiscuous mode", 100_399, "/unmapped/interface", json!("eth0")),
        ("e1000 0000:00:03.0 eth0: left promiscuous mode", 100_399, "/unmapped/interface", json!("eth0")),
        ("e1000e: eth0 NIC Link is Up 1000 Mbps Full Duplex", 100_399, "/unmapped/speed", json!("1000 Mbps")),
        (
            "EXT4-fs (sda1): mounted filesystem with ordered data mode. Opts: (null)",
            100_112,
            "/file/path",
            json!("/dev/sda1"),
        ),
        ("XFS (dm-0): Unmounting Filesystem", 100_113, "/unmapped/filesystem", json!("XFS")),
        ("Linux version 6.1.0 (build@example.com) (gcc 12) #1 SMP", 600_203, "/app/version", json!("6.1.0")),
        ("reboot: Power down", 600_204, "/app/name", json!("Linux")),
        ("audit: audit_lost=5 audit_rate_limit=0 audit_backlog_limit=64", 100_899, "/unmapped/audit_lost", json!("5")),
        (
            "TCP: request_sock_TCP: Possible SYN flooding on port 192.0.2.1:80. Sending cookies.",
            200_401,
            "/evidences/0/dst_endpoint/port",
            json!(80),
        ),
        (
            "audit: type=1400 audit(1773653400.123:77): apparmor=\"DENIED\" operation=\"open\" profile=\"p\" name=\"/a\" pid=9 comm=\"x\"",
            100_114,
            "/time",
            json!(1_773_653_400_123_i64),
        ),
        ("ACPI: Added _OSI(Module Device)", 100_399, "/kernel/name", json!("ACPI")),
        ("random words that go on: so", 100_399, "/kernel/name", json!("kernel")),
    ] {
        let event = said(message);
        assert_eq!(event["type_uid"], type_uid, "{message} {event}");
        assert_eq!(event.pointer(path), Some(&expected), "{message} {event}");
    }
}

#[test]
fn lines_of_dmesg_need_no_header() {
    let event = normalized("[   12.345678] [T1] usb 1-1: USB disconnect, device number 2");
    assert_eq!((&event["class_uid"], &event["metadata"]["log_format"]), (&json!(1010), &json!("kernel")));
    let event = normalized("[12.345678] something else");
    assert_eq!(event["unmapped"]["uptime"], "12.345678");
    for line in ["[12] x", "[a.b] x", "COUT= SRC=192.0.2.1", "IN= OUT= SRC="] {
        assert_ne!(normalized(line)["metadata"]["log_format"], "kernel", "{line}");
    }
}

#[test]
fn what_is_attached_is_a_device() {
    for (message, name) in [
        ("input: Example Keyboard as /devices/pci0000:00/usb1/1-2/input/input5", "Example Keyboard"),
        ("sd 6:0:0:0: [sdb] Attached SCSI removable disk", "sdb"),
    ] {
        let event = normalized(&format!("Mar 16 10:00:00 h kernel: [    5.100000] {message}"));
        assert_eq!(
            (&event["type_uid"], &event["peripheral_device"]["name"]),
            (&json!(101_001), &json!(name)),
            "{message}"
        );
    }
    let event = normalized("Mar 16 10:00:00 h kernel: [    5.100000] eth0: renamed from veth12");
    assert_eq!((&event["type_uid"], &event["unmapped"]["interface"]), (&json!(100_399), &json!("eth0")));
}

#[test]
fn file_systems_and_servers_in_trouble_are_errors() {
    for (message, device) in [
        ("XFS (sda1): Metadata corruption detected at xfs_x", Some("sda1")),
        ("EXT4-fs warning (device sda1): ext4_x: y", Some("sda1")),
        ("md/raid1:md0: Disk failure on sda1, disabling device.", Some("sda1")),
        ("nfs: server nas not responding, still trying", None),
    ] {
        let event = said(message);
        assert_eq!(event["class_uid"], 6008, "{message}");
        assert_eq!(event["unmapped"]["device"].as_str(), device, "{message}");
    }
}

#[test]
fn packets_need_no_word_that_the_kernel_speaks() {
    let fields = "IN=eth0 OUT= SRC=192.0.2.1 DST=198.51.100.2 LEN=60 PROTO=TCP SPT=40000 DPT=22";
    for (line, rule) in [
        (format!("Mar 16 10:00:00 DENY: {fields}"), json!("DENY")),
        (format!("Mar 16 10:00:00 gw [WAN_LOCAL-1234-A] {fields}"), json!("WAN_LOCAL-1234-A")),
    ] {
        let event = normalized(&line);
        assert_eq!((&event["class_uid"], &event["firewall_rule"]["name"]), (&json!(4001), &rule), "{line}");
        assert_eq!(event["dst_endpoint"]["port"], 22, "{line}");
    }
}

#[test]
fn faults_of_hardware_and_shares_weigh_as_others_do() {
    for (message, severity) in [
        ("general protection fault, probably for non-canonical address 0xbeef: 0000 [#1] SMP", 5),
        ("ata2.00: exception Emask 0x0 SAct 0x0 SErr 0x0 action 0x6 frozen", 4),
        ("pcieport 0000:00:1d.0: PCIe Bus Error: severity=Corrected, type=Data Link Layer, (Receiver ID)", 3),
        ("pcieport 0000:00:1d.0: PCIe Bus Error: severity=Uncorrected (Non-Fatal), type=Transaction Layer", 3),
        ("CIFS VFS: Send error in SessSetup = -13", 3),
        ("CIFS: VFS: cifs_mount failed w/return code = -2", 3),
    ] {
        let event = said(message);
        assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(600_801), &json!(2)), "{message}");
        assert_eq!(event["severity_id"], severity, "{message}");
    }
    assert_eq!(said("CIFS VFS: Send error in SessSetup = -13")["status_code"], "13");
    assert_eq!(said("ata2.00: exception Emask 0x0 SAct 0x0")["unmapped"]["device"], "ata2.00");
}

#[test]
fn a_device_that_may_not_be_used_is_blocked() {
    let event = said("usb 2-1: Device is not authorized for usage");
    assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(101_001), &json!(2)));
    assert_eq!((&event["action_id"], &event["peripheral_device"]["name"]), (&json!(2), &json!("2-1")));
}
