//! Names of audit record types by number, where a line has only the number: the kernel's own `audit: type=1400`, and
//! `type=UNKNOWN[1420]` of tools older than the kernel.
//!
//! Source: linux/audit.h and libaudit's audit-records.h.

/// Records in order of their numbers, in runs that begin at a number.
const RUNS: [(u16, &str); 35] = [
    (
        1000,
        "GET SET LIST ADD DEL USER LOGIN WATCH_INS WATCH_REM WATCH_LIST SIGNAL_INFO ADD_RULE DEL_RULE LIST_RULES TRIM",
    ),
    (1015, "MAKE_EQUIV TTY_GET TTY_SET SET_FEATURE GET_FEATURE"),
    (1100, "USER_AUTH USER_ACCT USER_MGMT CRED_ACQ CRED_DISP USER_START USER_END USER_AVC USER_CHAUTHTOK USER_ERR"),
    (
        1110,
        "CRED_REFR USYS_CONFIG USER_LOGIN USER_LOGOUT ADD_USER DEL_USER ADD_GROUP DEL_GROUP DAC_CHECK CHGRP_ID TEST",
    ),
    (1121, "TRUSTED_APP USER_SELINUX_ERR USER_CMD USER_TTY CHUSER_ID GRP_AUTH SYSTEM_BOOT SYSTEM_SHUTDOWN"),
    (1129, "SYSTEM_RUNLEVEL SERVICE_START SERVICE_STOP GRP_MGMT GRP_CHAUTHTOK MAC_CHECK ACCT_LOCK ACCT_UNLOCK"),
    (1137, "USER_DEVICE SOFTWARE_UPDATE"),
    (1200, "DAEMON_START DAEMON_END DAEMON_ABORT DAEMON_CONFIG DAEMON_RECONFIG DAEMON_ROTATE DAEMON_RESUME"),
    (1207, "DAEMON_ACCEPT DAEMON_CLOSE DAEMON_ERR"),
    (1300, "SYSCALL FS_WATCH PATH IPC SOCKETCALL CONFIG_CHANGE SOCKADDR CWD - EXECVE - IPC_SET_PERM MQ_OPEN"),
    (1313, "MQ_SENDRECV MQ_NOTIFY MQ_GETSETATTR KERNEL_OTHER FD_PAIR OBJ_PID TTY EOE BPRM_FCAPS CAPSET MMAP"),
    (1324, "NETFILTER_PKT NETFILTER_CFG SECCOMP PROCTITLE FEATURE_CHANGE REPLACE KERN_MODULE FANOTIFY TIME_INJOFFSET"),
    (1333, "TIME_ADJNTPVAL BPF EVENT_LISTENER URINGOP OPENAT2 DM_CTRL DM_EVENT"),
    (1400, "AVC SELINUX_ERR AVC_PATH MAC_POLICY_LOAD MAC_STATUS MAC_CONFIG_CHANGE MAC_UNLBL_ALLOW MAC_CIPSOV4_ADD"),
    (1408, "MAC_CIPSOV4_DEL MAC_MAP_ADD MAC_MAP_DEL MAC_IPSEC_ADDSA MAC_IPSEC_DELSA MAC_IPSEC_ADDSPD MAC_IPSEC_DELSPD"),
    (1415, "MAC_IPSEC_EVENT MAC_UNLBL_STCADD MAC_UNLBL_STCDEL MAC_CALIPSO_ADD MAC_CALIPSO_DEL IPE_ACCESS"),
    (1421, "IPE_CONFIG_CHANGE IPE_POLICY_LOAD LANDLOCK_ACCESS LANDLOCK_DOMAIN MAC_TASK_CONTEXTS MAC_OBJ_CONTEXTS"),
    (1500, "APPARMOR APPARMOR_AUDIT APPARMOR_ALLOWED APPARMOR_DENIED APPARMOR_HINT APPARMOR_STATUS APPARMOR_ERROR"),
    (1600, "KERNEL_TEST"),
    (1700, "ANOM_PROMISCUOUS ANOM_ABEND ANOM_LINK ANOM_CREAT"),
    (1800, "INTEGRITY_DATA INTEGRITY_METADATA INTEGRITY_STATUS INTEGRITY_HASH INTEGRITY_PCR INTEGRITY_RULE"),
    (1806, "INTEGRITY_EVM_XATTR INTEGRITY_POLICY_RULE INTEGRITY_USERSPACE"),
    (2000, "KERNEL"),
    (2100, "ANOM_LOGIN_FAILURES ANOM_LOGIN_TIME ANOM_LOGIN_SESSIONS ANOM_LOGIN_ACCT ANOM_LOGIN_LOCATION ANOM_MAX_DAC"),
    (2106, "ANOM_MAX_MAC ANOM_AMTU_FAIL ANOM_RBAC_FAIL ANOM_RBAC_INTEGRITY_FAIL ANOM_CRYPTO_FAIL ANOM_ACCESS_FS"),
    (2112, "ANOM_EXEC ANOM_MK_EXEC ANOM_ADD_ACCT ANOM_DEL_ACCT ANOM_MOD_ACCT ANOM_ROOT_TRANS ANOM_LOGIN_SERVICE"),
    (2200, "RESP_ANOMALY RESP_ALERT RESP_KILL_PROC RESP_TERM_ACCESS RESP_ACCT_REMOTE RESP_ACCT_LOCK_TIMED"),
    (2206, "RESP_ACCT_UNLOCK_TIMED RESP_ACCT_LOCK RESP_TERM_LOCK RESP_SEBOOL RESP_EXEC RESP_SINGLE RESP_HALT"),
    (2300, "USER_ROLE_CHANGE ROLE_ASSIGN ROLE_REMOVE LABEL_OVERRIDE LABEL_LEVEL_CHANGE USER_LABELED_EXPORT"),
    (2306, "USER_UNLABELED_EXPORT DEV_ALLOC DEV_DEALLOC FS_RELABEL USER_MAC_POLICY_LOAD ROLE_MODIFY"),
    (2312, "USER_MAC_CONFIG_CHANGE USER_MAC_STATUS"),
    (2400, "CRYPTO_TEST_USER CRYPTO_PARAM_CHANGE_USER CRYPTO_LOGIN CRYPTO_LOGOUT CRYPTO_KEY_USER CRYPTO_FAILURE_USER"),
    (2406, "CRYPTO_REPLAY_USER CRYPTO_SESSION CRYPTO_IKE_SA CRYPTO_IPSEC_SA"),
    (2500, "VIRT_CONTROL VIRT_RESOURCE VIRT_MACHINE_ID VIRT_INTEGRITY_CHECK VIRT_CREATE VIRT_DESTROY VIRT_MIGRATE_IN"),
    (2507, "VIRT_MIGRATE_OUT"),
];

/// The name of a record type that is written as its number, alone or as `UNKNOWN[number]`.
pub(super) fn name(kind: &str) -> Option<&'static str> {
    let number = kind.strip_prefix("UNKNOWN[").and_then(|rest| rest.strip_suffix(']')).unwrap_or(kind);
    let number = number.parse::<u16>().ok()?;
    let (first, names) = RUNS.iter().rev().find(|(first, _)| *first <= number)?;
    names.split(' ').nth(usize::from(number - first)).filter(|name| *name != "-")
}

/// Records that programs send by themselves: each is a whole audit event (libauparse takes them so too).
pub(super) fn stands_alone(kind: &str) -> bool {
    // Anomalies that the kernel itself reports come in the company of a system call.
    const BEGINNINGS: [&str; 17] = [
        "USER",
        "CRED_",
        "ADD_",
        "DEL_",
        "GRP_",
        "ACCT_",
        "SERVICE_",
        "SYSTEM_",
        "DAEMON_",
        "CRYPTO_",
        "VIRT_",
        "ROLE_",
        "LABEL_",
        "RESP_",
        "SOFTWARE_",
        "TRUSTED_APP",
        "TEST",
    ];
    BEGINNINGS.iter().any(|beginning| kind.starts_with(beginning))
        || matches!(kind, "KERNEL" | "DAC_CHECK" | "MAC_CHECK" | "CHGRP_ID" | "CHUSER_ID" | "USYS_CONFIG")
        || (kind.starts_with("ANOM_")
            && !matches!(kind, "ANOM_PROMISCUOUS" | "ANOM_ABEND" | "ANOM_LINK" | "ANOM_CREAT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_names() {
        for (number, expected) in [
            ("1100", "USER_AUTH"),
            ("1123", "USER_CMD"),
            ("1130", "SERVICE_START"),
            ("1138", "SOFTWARE_UPDATE"),
            ("1300", "SYSCALL"),
            ("1302", "PATH"),
            ("1309", "EXECVE"),
            ("1320", "EOE"),
            ("1325", "NETFILTER_CFG"),
            ("1326", "SECCOMP"),
            ("1327", "PROCTITLE"),
            ("1334", "BPF"),
            ("1400", "AVC"),
            ("1404", "MAC_STATUS"),
            ("UNKNOWN[1420]", "IPE_ACCESS"),
            ("1701", "ANOM_ABEND"),
            ("1804", "INTEGRITY_PCR"),
            ("2111", "ANOM_ACCESS_FS"),
            ("2313", "USER_MAC_STATUS"),
            ("2407", "CRYPTO_SESSION"),
        ] {
            assert_eq!(name(number), Some(expected), "{number}");
        }
        for unknown in ["1308", "1310", "999", "1139", "70000", "AVC", ""] {
            assert_eq!(name(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn what_programs_send_stands_alone_and_what_the_kernel_says_does_not() {
        for kind in ["USER_LOGIN", "SERVICE_STOP", "DAEMON_END", "ANOM_EXEC", "CRYPTO_SESSION"] {
            assert!(stands_alone(kind), "{kind}");
        }
        for kind in ["SYSCALL", "LOGIN", "AVC", "ANOM_ABEND", "CONFIG_CHANGE", "PROCTITLE"] {
            assert!(!stands_alone(kind), "{kind}");
        }
    }
}
