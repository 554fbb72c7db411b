//! Event classes: uid, name, category and the attributes that our normalizers can emit for them.

use super::Attribute;

/// Classes as bits, so that a line of the attribute table can name the classes that carry it.
pub(super) mod set {
    /// `base_event`
    pub const BASE: u64 = 1;
    /// `scheduled_job_activity`
    pub const JOB: u64 = 1 << 1;
    /// `process_activity`
    pub const PROCESS: u64 = 1 << 2;
    /// `event_log_actvity`
    pub const LOG: u64 = 1 << 3;
    /// `account_change`
    pub const ACCOUNT: u64 = 1 << 4;
    /// `authentication`
    pub const AUTH: u64 = 1 << 5;
    /// `group_management`
    pub const GROUP: u64 = 1 << 6;
    /// `http_activity`
    pub const HTTP: u64 = 1 << 7;
    /// `ssh_activity`
    pub const SSH: u64 = 1 << 8;
    /// `application_error`
    pub const ERROR: u64 = 1 << 9;
    /// `network_activity`
    pub const NETWORK: u64 = 1 << 10;
    /// `dns_activity`
    pub const DNS: u64 = 1 << 11;
    /// `dhcp_activity`
    pub const DHCP: u64 = 1 << 12;
    /// `ntp_activity`
    pub const NTP: u64 = 1 << 13;
    /// `file_activity`
    pub const FILE: u64 = 1 << 14;
    /// `kernel_extension_activity`
    pub const MODULE: u64 = 1 << 15;
    /// `inventory_info`
    pub const INVENTORY: u64 = 1 << 16;
    /// `user_inventory`
    pub const USERS: u64 = 1 << 17;
    /// `patch_state`
    pub const PATCH: u64 = 1 << 18;
    /// `device_config_state_change`
    pub const CONFIG: u64 = 1 << 19;
    /// `software_info`
    pub const SOFTWARE: u64 = 1 << 20;
    /// `evidence_info`
    pub const EVIDENCE: u64 = 1 << 21;
    /// `application_lifecycle`
    pub const APP: u64 = 1 << 22;
    /// `kernel_activity`
    pub const KERNEL: u64 = 1 << 23;
    /// `peripheral_activity`
    pub const PERIPHERAL: u64 = 1 << 24;
    /// `detection_finding`
    pub const FINDING: u64 = 1 << 25;
    /// `rdp_activity`
    pub const RDP: u64 = 1 << 26;
    /// `smb_activity`
    pub const SMB: u64 = 1 << 27;
    /// `ftp_activity`
    pub const FTP: u64 = 1 << 28;
    /// `email_activity`
    pub const EMAIL: u64 = 1 << 29;
    /// `tunnel_activity`
    pub const TUNNEL: u64 = 1 << 30;
    /// `datastore_activity`
    pub const DATASTORE: u64 = 1 << 31;
    /// `api_activity`
    pub const API: u64 = 1 << 32;
    /// Every class of category 4 that is about a connection.
    pub const NET: u64 = NETWORK | HTTP | DNS | DHCP | SSH | NTP | RDP | SMB | FTP;
    /// Classes whose events can name two ends.
    pub const ENDS: u64 = NET | EMAIL | TUNNEL | DATASTORE | API;
    /// Classes of what the kernel's audit and mandatory access control report of a process.
    pub const AUDITED: u64 =
        FILE | KERNEL | MODULE | PROCESS | AUTH | ACCOUNT | GROUP | LOG | APP | NETWORK | SSH | FINDING | ERROR;
    /// Every class.
    pub const ALL: u64 = u64::MAX;
}

/// Most attributes that one class may carry: a Parquet writer holds a column chunk for each.
pub const CLASS_ATTRIBUTES_MAX: usize = 150;

/// How many attributes carry this bit.
const fn count(bit: u64) -> usize {
    let mut rest = Attribute::ALL;
    let mut found = 0;
    while let [first, tail @ ..] = rest {
        if first.classes() & bit != 0 {
            found += 1;
        }
        rest = tail;
    }
    found
}

/// The attributes that carry this bit, in table order.
#[expect(clippy::indexing_slicing, reason = "runs at compile time only, where a bad index is a build error")]
const fn select<const N: usize>(bit: u64) -> [Attribute; N] {
    let mut out = [Attribute::Message; N];
    let mut rest = Attribute::ALL;
    let mut at = 0;
    while let [first, tail @ ..] = rest {
        if first.classes() & bit != 0 {
            out[at] = *first;
            at += 1;
        }
        rest = tail;
    }
    out
}

macro_rules! classes {
    ($($(#[$doc:meta])* $class:ident $bit:ident $uid:literal $name:literal $caption:literal;)*) => {
        /// An OCSF 1.8.0 event class.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Class { $($(#[$doc])* $class,)* }

        impl Class {
            /// Every class that can be emitted.
            pub const ALL: [Self; [$(Self::$class,)*].len()] = [$(Self::$class,)*];

            /// `class_uid`.
            #[must_use]
            pub const fn uid(self) -> u32 {
                match self { $(Self::$class => $uid,)* }
            }

            /// The class's name in the schema, and the value of `class=` in the lake.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$class => $name,)* }
            }

            /// `class_name`: the class's caption in the schema.
            #[must_use]
            pub const fn caption(self) -> &'static str {
                match self { $(Self::$class => $caption,)* }
            }

            /// The attributes that events of this class can carry, in column order (`time`, `class_uid`, … of
            /// [`Event`](crate::event::Event) itself come before them, `unmapped` after).
            #[must_use]
            pub fn attributes(self) -> &'static [Attribute] {
                match self {
                    $(Self::$class => {
                        const COLUMNS: [Attribute; count(set::$bit)] = select(set::$bit);
                        const { assert!(COLUMNS.len() <= CLASS_ATTRIBUTES_MAX) };
                        &COLUMNS
                    })*
                }
            }

            /// Whether events of this class can carry the attribute.
            #[must_use]
            pub const fn carries(self, attribute: Attribute) -> bool {
                let bit = match self { $(Self::$class => set::$bit,)* };
                attribute.classes() & bit != 0
            }
        }
    };
}

classes! {
    /// 0: anything that has no class of its own.
    BaseEvent BASE 0 "base_event" "Base Event";
    /// 1001
    FileActivity FILE 1001 "file_activity" "File System Activity";
    /// 1002
    KernelExtensionActivity MODULE 1002 "kernel_extension_activity" "Kernel Extension Activity";
    /// 1003
    KernelActivity KERNEL 1003 "kernel_activity" "Kernel Activity";
    /// 1006
    ScheduledJobActivity JOB 1006 "scheduled_job_activity" "Scheduled Job Activity";
    /// 1007
    ProcessActivity PROCESS 1007 "process_activity" "Process Activity";
    /// 1008 (the schema spells its name `event_log_actvity`)
    EventLogActivity LOG 1008 "event_log_actvity" "Event Log Activity";
    /// 1010
    PeripheralActivity PERIPHERAL 1010 "peripheral_activity" "Peripheral Activity";
    /// 2004
    DetectionFinding FINDING 2004 "detection_finding" "Detection Finding";
    /// 3001
    AccountChange ACCOUNT 3001 "account_change" "Account Change";
    /// 3002
    Authentication AUTH 3002 "authentication" "Authentication";
    /// 3006
    GroupManagement GROUP 3006 "group_management" "Group Management";
    /// 4001
    NetworkActivity NETWORK 4001 "network_activity" "Network Activity";
    /// 4002
    HttpActivity HTTP 4002 "http_activity" "HTTP Activity";
    /// 4003
    DnsActivity DNS 4003 "dns_activity" "DNS Activity";
    /// 4004
    DhcpActivity DHCP 4004 "dhcp_activity" "DHCP Activity";
    /// 4005
    RdpActivity RDP 4005 "rdp_activity" "RDP Activity";
    /// 4006
    SmbActivity SMB 4006 "smb_activity" "SMB Activity";
    /// 4007
    SshActivity SSH 4007 "ssh_activity" "SSH Activity";
    /// 4008
    FtpActivity FTP 4008 "ftp_activity" "FTP Activity";
    /// 4009
    EmailActivity EMAIL 4009 "email_activity" "Email Activity";
    /// 4013
    NtpActivity NTP 4013 "ntp_activity" "NTP Activity";
    /// 4014
    TunnelActivity TUNNEL 4014 "tunnel_activity" "Tunnel Activity";
    /// 5001
    InventoryInfo INVENTORY 5001 "inventory_info" "Device Inventory Info";
    /// 5003
    UserInventory USERS 5003 "user_inventory" "User Inventory Info";
    /// 5004
    PatchState PATCH 5004 "patch_state" "Operating System Patch State";
    /// 5019
    DeviceConfigStateChange CONFIG 5019 "device_config_state_change" "Device Config State Change";
    /// 5020
    SoftwareInfo SOFTWARE 5020 "software_info" "Software Inventory Info";
    /// 5040
    EvidenceInfo EVIDENCE 5040 "evidence_info" "Live Evidence Info";
    /// 6002
    ApplicationLifecycle APP 6002 "application_lifecycle" "Application Lifecycle";
    /// 6003
    ApiActivity API 6003 "api_activity" "API Activity";
    /// 6005
    DatastoreActivity DATASTORE 6005 "datastore_activity" "Datastore Activity";
    /// 6008
    ApplicationError ERROR 6008 "application_error" "Application Error";
}

impl Class {
    /// The class with this `class_uid`.
    #[must_use]
    pub fn from_uid(uid: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.uid() == uid)
    }

    /// `category_uid`: the thousands of the class.
    #[must_use]
    pub const fn category_uid(self) -> u32 {
        self.uid() / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_carries_what_its_events_need_and_nothing_else() {
        assert!(Class::Authentication.attributes().contains(&Attribute::UserName));
        assert!(!Class::BaseEvent.attributes().contains(&Attribute::UserName));
        for class in Class::ALL {
            assert!(class.attributes().is_sorted(), "{}: columns in table order", class.name());
            assert!(class.carries(Attribute::RawData));
            assert_eq!(Class::from_uid(class.uid()), Some(class));
        }
    }
}
