//! Audit events of every kind, as they come in.

use serde_json::{Value, json};

use crate::normalize::testing::normalized;

/// The event of records of one serial number, as the joiner hands them over.
fn joined(records: &[&str]) -> Value {
    let line = |record: &&str| match record.split_once(' ') {
        Some((kind, fields)) => format!("type={kind} msg=audit(1773653400.123:77): {fields}"),
        None => format!("type={record} msg=audit(1773653400.123:77): "),
    };
    normalized(&records.iter().map(line).collect::<Vec<_>>().join("\n"))
}

const CALLER: &str = "ppid=5 pid=9 auid=1000 uid=0 gid=0 euid=33 suid=0 fsuid=0 egid=34 sgid=0 fsgid=0 tty=pts0 ses=3 \
                      comm=\"x\" exe=\"/usr/bin/x\" subj=unconfined key=\"watched\"";

fn call(number: &str, result: &str) -> String {
    format!("SYSCALL arch=c000003e syscall={number} {result} a0=a a1=b a2=c a3=d items=1 {CALLER}")
}

#[test]
fn a_launched_process_has_its_arguments_parent_and_users() {
    let call = call("59", "success=yes exit=0");
    let event = joined(&[
        &call,
        "EXECVE argc=4 a0=\"x\" a1=2D6D2061 a2_len=8 a2[0]=\"abcd\" a2[1]=\"efgh\" a3=\"z\"",
        "CWD cwd=\"/root\"",
        "PATH item=0 name=\"/usr/bin/x\" inode=5 mode=0100755 ouid=0 ogid=0 nametype=NORMAL cap_fp=0",
        "PATH item=1 name=\"/lib64/ld-linux-x86-64.so.2\" inode=6 mode=0100755 ouid=0 ogid=0 nametype=NORMAL",
        "PROCTITLE proctitle=78002D6D2061",
    ]);
    assert_eq!(event["type_uid"], 100_701);
    assert_eq!(event["time"], 1_773_653_400_123_i64);
    assert_eq!(event["process"]["cmd_line"], "x -m a abcdefgh z");
    assert_eq!(event["process"]["working_directory"], "/root");
    assert_eq!(event["process"]["file"], json!({"name": "x", "path": "/usr/bin/x", "type_id": 8}));
    assert_eq!(event["process"]["pid"], 9);
    assert_eq!(event["process"]["session"], json!({"uid": "3", "terminal": "pts0"}));
    assert_eq!(event["process"]["user"]["uid"], "0");
    assert_eq!([&event["process"]["auid"], &event["process"]["euid"], &event["process"]["egid"]], [1000, 33, 34]);
    assert_eq!(event["actor"]["process"]["pid"], 5);
    assert_eq!(event["metadata"]["profiles"], json!(["host", "linux/linux_users"]));
    assert_eq!(event["metadata"]["event_code"], "EXECVE");
    assert_eq!(event["status_id"], 1);
    let said = &event["unmapped"];
    assert_eq!([&said["a0"], &said["a1"], &said["a2"], &said["a3"]], ["x", "-m a", "abcdefgh", "z"]);
    assert_eq!(
        [&said["SYSCALL"], &said["key"], &said["name"], &said["exe"]],
        ["execve", "watched", "/usr/bin/x", "/usr/bin/x"]
    );
    assert_eq!(said["type"], json!(["EXECVE", "SYSCALL", "CWD", "PATH", "PROCTITLE"]));
}

#[test]
fn calls_have_the_class_of_what_they_are_about() {
    let file = "PATH item=0 name=\"a/b\" inode=5 mode=0100644 ouid=7 ogid=0 nametype=";
    for (number, result, more, type_uid, path, expected) in [
        ("257", "success=yes exit=3", vec![format!("{file}NORMAL")], 100_114, "/file/path", "/tmp/a/b"),
        ("257", "success=yes exit=3", vec![format!("{file}CREATE")], 100_101, "/file/owner/uid", "7"),
        ("257", "success=no exit=-13", vec![format!("{file}NORMAL")], 100_114, "/status_code", "EACCES"),
        ("87", "success=yes exit=0", vec![format!("{file}DELETE")], 100_104, "/file/name", "b"),
        ("90", "success=yes exit=0", vec![format!("{file}NORMAL")], 100_107, "/actor/process/name", "x"),
        (
            "82",
            "success=yes exit=0",
            vec![format!("{file}DELETE"), "PATH item=3 name=\"/c\" mode=0100644 nametype=CREATE".into()],
            100_105,
            "/file_result/path",
            "/c",
        ),
        (
            "42",
            "success=yes exit=0",
            vec!["SOCKADDR saddr=02000050C000020A0000000000000000".into()],
            400_101,
            "/dst_endpoint/ip",
            "192.0.2.10",
        ),
        (
            "42",
            "success=no exit=-111",
            vec!["SOCKADDR saddr=02000050C000020A0000000000000000".into()],
            400_104,
            "/status_code",
            "ECONNREFUSED",
        ),
        (
            "43",
            "success=yes exit=5",
            vec!["SOCKADDR saddr=02000050C000020A0000000000000000".into()],
            400_101,
            "/src_endpoint/ip",
            "192.0.2.10",
        ),
        (
            "42",
            "success=yes exit=0",
            vec!["SOCKADDR saddr=01002F72756E2F7800".into()],
            100_304,
            "/unmapped/socket",
            "/run/x",
        ),
        ("175", "success=yes exit=0", vec!["KERN_MODULE name=\"evil\"".into()], 100_201, "/driver/file/name", "evil"),
        ("176", "success=yes exit=0", vec!["KERN_MODULE name=\"evil\"".into()], 100_202, "/actor/user/uid", "0"),
        ("159", "success=yes exit=0", vec![], 100_304, "/kernel/system_call", "adjtimex"),
        ("57", "success=yes exit=12", vec![], 100_701, "/unmapped/SYSCALL", "fork"),
        ("105", "success=yes exit=0", vec![], 100_705, "/process/name", "x"),
        (
            "101",
            "success=yes exit=0",
            vec!["OBJ_PID opid=4 ouid=0 oses=1 ocomm=\"y\"".into()],
            100_704,
            "/process/name",
            "y",
        ),
        ("165", "success=yes exit=0", vec![format!("{file}NORMAL")], 100_112, "/file/path", "/tmp/a/b"),
    ] {
        let mut records = vec![call(number, result), "CWD cwd=\"/tmp\"".to_owned()];
        records.extend(more);
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        let event = joined(&records);
        assert_eq!(event["type_uid"], type_uid, "{number} {event}");
        assert_eq!(event.pointer(path), Some(&json!(expected)), "{number} {event}");
    }
}

#[test]
fn what_programs_report_of_logins_and_accounts_is_read() {
    let head = "pid=9 uid=0 auid=1000 ses=3 msg=";
    let tail = "exe=\"/usr/sbin/sshd\" hostname=? addr=192.0.2.1 terminal=ssh res=";
    for (kind, message, result, type_uid, user) in [
        ("USER_LOGIN", "op=login acct=28696E76616C6964207573657229", "failed", 300_201, "(invalid user)"),
        ("USER_AUTH", "op=pubkey acct=\"bob\"", "success", 300_201, "bob"),
        ("USER_START", "op=PAM:session_open acct=\"bob\"", "success", 300_201, "bob"),
        ("USER_END", "op=PAM:session_close acct=\"bob\"", "success", 300_202, "bob"),
        ("USER_ACCT", "op=PAM:accounting acct=\"bob\"", "success", 300_299, "bob"),
        ("ADD_USER", "op=add-user acct=\"bob\"", "success", 300_101, "bob"),
        ("DEL_USER", "op=delete-user acct=\"bob\"", "success", 300_106, "bob"),
        ("USER_CHAUTHTOK", "op=PAM:chauthtok acct=\"bob\"", "success", 300_103, "bob"),
        ("USER_MGMT", "op=lock-password acct=\"bob\"", "success", 300_109, "bob"),
        ("USER_MGMT", "op=add-user-to-group grp=\"wheel\" acct=\"bob\"", "success", 300_603, "bob"),
        ("ACCT_UNLOCK", "op=pam_faillock acct=\"bob\"", "success", 300_112, "bob"),
    ] {
        let event = joined(&[&format!("{kind} {head}'{message} {tail}{result}'")]);
        assert_eq!(event["type_uid"], type_uid, "{kind} {event}");
        assert_eq!(event["user"]["name"], user, "{kind}");
        assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1", "{kind}");
        assert_eq!(event["status_id"], if result == "success" { 1 } else { 2 }, "{kind}");
        assert_eq!(event["actor"]["process"]["pid"], 9, "{kind}");
    }
    let event =
        joined(&["ADD_GROUP pid=9 uid=0 msg='op=add-group acct=\"web\" exe=\"/usr/sbin/useradd\" res=success'"]);
    assert_eq!((&event["type_uid"], &event["group"]["name"]), (&json!(300_606), &json!("web")));
    let event =
        joined(&["USER_CMD pid=9 uid=1000 ses=3 msg='cwd=\"/\" cmd=6C73202D6C exe=\"/usr/bin/sudo\" res=success'"]);
    assert_eq!((&event["type_uid"], &event["process"]["cmd_line"]), (&json!(100_701), &json!("ls -l")));
    let event = joined(&[
        "LOGIN pid=9 uid=0 old-auid=4294967295 auid=42 old-ses=4294967295 ses=1 res=1",
        &call("1", "success=yes exit=2"),
    ]);
    assert_eq!((&event["type_uid"], &event["user"]["uid"]), (&json!(300_201), &json!("42")));
}

#[test]
fn services_and_the_log_itself_have_their_classes() {
    for (record, type_uid, path, expected) in [
        (
            "SERVICE_START pid=1 uid=0 msg='unit=cron comm=\"systemd\" exe=\"/lib/systemd/systemd\" res=success'",
            600_203,
            "/app/name",
            json!("cron"),
        ),
        ("SYSTEM_SHUTDOWN pid=1 uid=0 msg=' comm=\"systemd\" res=success'", 600_204, "/status_id", json!(1)),
        (
            "SOFTWARE_UPDATE pid=9 uid=0 msg='op=install sw=\"bash-5\" sw_type=rpm res=success'",
            600_201,
            "/app/name",
            json!("bash-5"),
        ),
        (
            "SOFTWARE_UPDATE pid=9 uid=0 msg='op=update sw=\"a-b-1.2-3.el7.x86_64\" sw_type=rpm res=success'",
            600_208,
            "/app",
            json!({"name": "a-b", "version": "1.2-3.el7"}),
        ),
        (
            "VIRT_CONTROL pid=9 uid=0 msg='reason=api op=create vm=? exe=\"/usr/bin/dockerd\" res=success'",
            600_299,
            "/app/name",
            json!("dockerd"),
        ),
        (
            "VIRT_CONTROL pid=9 uid=0 msg='virt=kvm op=stop vm=\"web\" uuid=u res=success'",
            600_204,
            "/app/uid",
            json!("u"),
        ),
        ("DAEMON_END auditd normal halt, sending auid=0 pid=1 subj= res=success", 100_807, "/log_name", json!("audit")),
        ("CONFIG_CHANGE audit_enabled=0 old=1 auid=0 ses=3 res=1", 100_810, "/actor/user/uid", json!("0")),
        ("CONFIG_CHANGE auid=0 ses=3 op=remove_rule key=\"k\" list=4 res=1", 100_899, "/unmapped/key", json!("k")),
    ] {
        let event = joined(&[record]);
        assert_eq!(event["type_uid"], type_uid, "{record} {event}");
        assert_eq!(event.pointer(path), Some(&expected), "{record} {event}");
    }
}

#[test]
fn records_that_came_without_their_call_have_a_class() {
    for (record, type_uid, path, expected) in [
        (
            "SERVICE_START user pid=1 uid=0 msg=' comm=\"sshd\" exe=\"/usr/lib/systemd/systemd\" res=success'",
            600_203,
            "/app/name",
            json!("sshd"),
        ),
        ("PATH item=1 name=(null) inode=1 nametype=NORMAL", 100_304, "/kernel/name", json!("PATH")),
        ("CWD cwd=\"/home/bob\"", 100_100, "/file/path", json!("/home/bob")),
        ("ANOM_CREAT op=fifo auid=7 uid=0 comm=\"x\" res=0", 100_304, "/actor/user/uid", json!("0")),
        ("FD_PAIR fd0=3 fd1=4", 100_304, "/kernel/name", json!("FD_PAIR")),
        ("SOCKADDR saddr=01002F72756E2F7800", 100_304, "/unmapped/socket", json!("/run/x")),
        ("SOCKADDR saddr=inet host:192.0.2.1 serv:80", 400_106, "/dst_endpoint/port", json!(80)),
        (
            "NETFILTER_PKT action=1 saddr=192.0.2.1 daddr=198.51.100.2 proto=6 sport=5 dport=22",
            400_106,
            "/dst_endpoint/port",
            json!(22),
        ),
    ] {
        let event = joined(&[record]);
        assert_eq!(event["type_uid"], type_uid, "{record} {event}");
        assert_eq!(event.pointer(path), Some(&expected), "{record} {event}");
    }
}

#[test]
fn controls_anomalies_and_the_rest_have_their_classes() {
    for (record, type_uid, path, expected) in [
        (
            "AVC avc:  denied  { read } for  pid=9 comm=\"x\" path=\"/a/b\" dev=sda ino=5 scontext=a tcontext=b tclass=file permissive=0",
            100_102,
            "/action_id",
            json!(2),
        ),
        (
            "AVC avc:  denied  { name_connect } for  pid=9 comm=\"x\" dest=80 scontext=a tcontext=b tclass=tcp_socket permissive=1",
            100_304,
            "/disposition_id",
            json!(17),
        ),
        (
            "AVC apparmor=\"DENIED\" operation=\"open\" profile=\"/usr/bin/x\" name=\"/a/b\" pid=9 comm=\"x\" fsuid=33 ouid=0",
            100_114,
            "/policy/name",
            json!("/usr/bin/x"),
        ),
        (
            "AVC apparmor=\"DENIED\" operation=\"capable\" profile=\"p\" pid=9 comm=\"x\" capname=\"net_admin\"",
            100_304,
            "/unmapped/capname",
            json!("net_admin"),
        ),
        (
            "AVC apparmor=\"STATUS\" operation=\"profile_load\" name=\"p\" pid=9 comm=\"apparmor_parser\"",
            100_301,
            "/policy/name",
            json!("p"),
        ),
        (
            "SECCOMP auid=5 uid=22 gid=22 ses=2 pid=9 comm=\"x\" exe=\"/usr/bin/x\" sig=31 arch=c000003e syscall=41 compat=0 ip=0x7 code=0x0",
            100_304,
            "/kernel/system_call",
            json!("socket"),
        ),
        (
            "LANDLOCK_ACCESS domain=1 blockers=fs.read_file path=\"/a/b\" dev=sda ino=5",
            100_102,
            "/policy/name",
            json!("Landlock"),
        ),
        (
            "NETFILTER_CFG table=filter:5 family=2 entries=1 op=nft_register_rule pid=9 comm=\"nft\"",
            100_301,
            "/kernel/name",
            json!("netfilter"),
        ),
        ("BPF prog-id=5 op=UNLOAD", 100_303, "/unmapped/prog-id", json!("5")),
        (
            "ANOM_PROMISCUOUS dev=eth0 prom=256 old_prom=0 auid=0 uid=0 gid=0 ses=3",
            100_304,
            "/unmapped/dev",
            json!("eth0"),
        ),
        (
            "ANOM_ABEND auid=5 uid=5 gid=5 ses=3 pid=9 comm=\"x\" reason=\"memory violation\" sig=11",
            100_702,
            "/status_code",
            json!("SIGSEGV"),
        ),
        (
            "ANOM_LOGIN_FAILURES pid=9 uid=0 msg='acct=\"bob\" exe=\"/usr/sbin/sshd\" addr=192.0.2.1 res=success'",
            200_401,
            "/evidences/0/user/name",
            json!("bob"),
        ),
        (
            "INTEGRITY_DATA pid=9 uid=0 op=appraise_data cause=invalid-signature comm=\"x\" name=\"/a/b\" dev=sda ino=5 res=0",
            100_199,
            "/file/path",
            json!("/a/b"),
        ),
        ("MAC_STATUS enforcing=0 old_enforcing=1 auid=0 ses=3", 100_304, "/unmapped/enforcing", json!("0")),
        (
            "TTY tty pid=9 uid=0 auid=0 ses=3 major=136 minor=0 comm=\"bash\" data=6C730D",
            100_799,
            "/unmapped/data",
            json!("ls\r"),
        ),
        (
            "CRYPTO_SESSION pid=9 uid=0 msg='op=start rport=5 laddr=192.0.2.2 lport=22 exe=\"/usr/sbin/sshd\" addr=192.0.2.1 res=success'",
            400_701,
            "/dst_endpoint/port",
            json!(22),
        ),
        ("TEST pid=9 uid=0 msg='hello exe=\"/usr/sbin/auditctl\" res=success'", 100_799, "/process/pid", json!(9)),
        ("EXECVE argc=1 a0=\"id\"", 100_701, "/process/name", json!("id")),
        ("EOE", 0, "/metadata/event_code", json!("EOE")),
    ] {
        let event = joined(&[record]);
        assert_eq!(event["type_uid"], type_uid, "{record} {event}");
        assert_eq!(event.pointer(path), Some(&expected), "{record} {event}");
    }
}

#[test]
fn records_in_syslog_keep_their_own_process() {
    let record =
        "type=USER_END msg=audit(1773653400.123:77): pid=9 uid=0 msg='acct=\"bob\" exe=\"/usr/sbin/cron\" res=success'";
    let event = normalized(&format!("Mar 16 10:00:00 h audispd[44]: node=h {record}"));
    assert_eq!(event["actor"]["process"]["pid"], 9);
    assert_eq!(event["user"]["name"], "bob");
    assert_eq!(event["metadata"]["log_format"], "audit");
    let event =
        normalized("Mar 16 10:00:00 h audisp-syslog[44]: type=EXECVE msg=audit(1773653400.123:77): argc=1 a0=\"id\"");
    assert!(event["actor"]["process"].get("pid").is_none(), "{event}");
}

#[test]
fn laurel_says_the_same_in_json() {
    let event = normalized(
        r#"{"ID":"1773653400.123:77","NODE":"h","SYSCALL":{"arch":"0xc000003e","syscall":59,"success":"yes","exit":0,"ppid":5,
"pid":9,"auid":1000,"uid":0,"comm":"id","exe":"/usr/bin/id","key":null,"ARGV":["0x1","0x2"],"UID":"root"},
"EXECVE":{"argc":2,"ARGV":["id","-u \""]},"CWD":{"cwd":"/root"},"PATH":[{"item":0,"name":"/usr/bin/id","nametype":"NORMAL"}]}"#,
    );
    assert_eq!(event["type_uid"], 100_701);
    assert_eq!(event["process"]["cmd_line"], "id -u \"");
    assert_eq!(event["process"]["user"], json!({"name": "root", "uid": "0"}));
    assert_eq!(event["metadata"]["log_format"], "laurel");
    assert_eq!(event["unmapped"]["a1"], "-u \"");
    for other in ["{\"ID\":\"5\"}", "{\"ID\":\"1.000:2\"}", "{\"ID\":\"1.000:2\",\"SYSCALL\":5"] {
        assert_ne!(normalized(other)["metadata"]["log_format"], "laurel", "{other}");
    }
}

#[test]
fn what_ausearch_shows_is_read_in_the_hosts_time() {
    let line = "type=USER_LOGIN msg=audit(03/16/2026 10:00:00.123:8) : pid=77 uid=root auid=bob ses=2 msg='op=login id=bob exe=/usr/sbin/sshd hostname=192.0.2.7 addr=192.0.2.7 terminal=/dev/pts/0 res=success' ";
    let event = normalized(line);
    assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(300_201), &json!(1)));
    assert_eq!((&event["time"], &event["timezone_offset"]), (&json!(1_773_651_600_123_i64), &json!(60)));
    assert_eq!(event["src_endpoint"]["ip"], "192.0.2.7");
}

#[test]
fn what_ausearch_interprets_is_read_as_what_the_kernel_wrote() {
    let head = "msg=audit(03/16/2026 10:00:00.123:8) :";
    let event = normalized(&format!(
        "type=SYSCALL {head} arch=x86_64 syscall=execve success=yes exit=0 a0=0x55 ppid=5 pid=9 auid=bob uid=root gid=root \
         euid=root tty=pts0 ses=3 comm=cat exe=/usr/bin/cat key=exec"
    ));
    assert_eq!((&event["type_uid"], &event["process"]["user"]["name"]), (&json!(100_701), &json!("root")));
    assert_eq!(event["unmapped"]["SYSCALL"], "execve");
    let event = normalized(&format!("type=PROCTITLE {head} proctitle=cat /etc/shadow"));
    assert_eq!(event["process"]["cmd_line"], "cat /etc/shadow");
    let event = normalized(&format!("type=SOCKADDR {head} saddr={{ saddr_fam=inet laddr=192.0.2.7 lport=443 }}"));
    assert_eq!(event["dst_endpoint"], json!({"ip": "192.0.2.7", "port": 443}));
    assert!(event["unmapped"].get("saddr").is_none());
}

#[test]
fn a_command_of_nobody_is_valid_too() {
    let event = normalized("type=USER_CMD msg=audit(1773651600.123:8): msg='cwd=\"/\" cmd=6C73 res=success'");
    assert_eq!((&event["type_uid"], &event["actor"]["app_name"]), (&json!(100_701), &json!("audit")));
}

#[test]
fn who_is_locked_is_read_and_a_policy_that_is_switched_off_weighs() {
    let locked = "type=RESP_ACCT_LOCK msg=audit(1773651600.123:8): pid=1 uid=0 auid=4294967295 ses=4294967295 \
                  msg='pam_faillock uid=1000  exe=\"/usr/sbin/sshd\" hostname=192.0.2.7 addr=192.0.2.7 terminal=ssh res=success'";
    let event = normalized(locked);
    assert_eq!((&event["type_uid"], &event["user"]["uid"]), (&json!(300_109), &json!("1000")));
    assert_eq!(event["src_endpoint"]["ip"], "192.0.2.7");
    for (enforcing, severity) in [("0", 3), ("1", 2)] {
        let event = normalized(&format!(
            "type=MAC_STATUS msg=audit(1773651600.123:8): enforcing={enforcing} old_enforcing=1 auid=1000 ses=3 enabled=1 res=1"
        ));
        assert_eq!(event["severity_id"], severity, "{enforcing}");
    }
}

#[test]
fn what_auditd_says_of_itself_needs_no_colon() {
    for (record, type_uid, status) in [
        ("DAEMON_CONFIG msg=audit(1773653400.123:77) config changed, auid=0 pid=9 res=success", 100_899, 1),
        ("DAEMON_ROTATE msg=audit(1773653400.123:77) auditd rotating logs, auid=0 pid=9 res=failed", 100_805, 2),
    ] {
        let event = normalized(&format!("type={record}"));
        assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(type_uid), &json!(status)), "{record}");
        assert_eq!(event["time"], 1_773_653_400_123_i64, "{record}");
        assert_eq!(event["metadata"]["event_code"], record.split(' ').next().unwrap(), "{record}");
    }
}

#[test]
fn a_password_that_another_sets_is_a_reset() {
    for (uid, message, activity) in [
        (0, "op=PAM:chauthtok acct=\"bob\" exe=\"/usr/bin/passwd\"", 4),
        (0, "op=PAM:chauthtok acct=\"root\" exe=\"/usr/bin/passwd\"", 3),
        (1001, "op=PAM:chauthtok acct=\"bob\" exe=\"/usr/bin/passwd\"", 3),
        (0, "op=change password id=1001 exe=\"/usr/bin/passwd\"", 4),
        (1001, "op=change password id=1001 exe=\"/usr/bin/passwd\"", 3),
    ] {
        let event = joined(&[&format!("USER_CHAUTHTOK pid=9 uid={uid} auid=1000 ses=3 msg='{message} res=success'")]);
        assert_eq!(event["type_uid"], 300_100 + activity, "{uid} {message}");
    }
}

#[test]
fn users_and_ports_inside_messages_are_read() {
    let tail = "exe=\"/usr/sbin/sshd\" hostname=? addr=192.0.2.1 terminal=ssh res=success'";
    for (record, type_uid, path, expected) in [
        (
            "USER_AUTH pid=9 uid=0 msg='op=pubkey_auth rport=40001 acct=\"bob\"",
            300_201,
            "/src_endpoint/port",
            json!(40001),
        ),
        ("USER_ACCT pid=9 uid=0 auid=1000 msg='pam_tally2 uid=1001 reset=0", 300_299, "/user/uid", json!("1001")),
        ("RESP_ACCT_LOCK pid=9 uid=0 msg='op=pam_faillock suid=1001", 300_109, "/user/uid", json!("1001")),
        ("ANOM_LOGIN_FAILURES pid=9 uid=0 msg='op=pam_faillock suid=1001", 200_401, "/actor/user/uid", json!("1001")),
    ] {
        let event = joined(&[&format!("{record} {tail}")]);
        assert_eq!(event["type_uid"], type_uid, "{record} {event}");
        assert_eq!(event.pointer(path), Some(&expected), "{record} {event}");
    }
}

#[test]
fn records_that_journald_hands_to_syslog_are_audit_events() {
    let event = normalized(
        r#"Mar 16 10:00:00 h audit[9]: USER_LOGIN pid=9 uid=0 auid=1000 ses=3 msg='op=login id=1000 exe="/usr/sbin/sshd" hostname=? addr=192.0.2.1 terminal=ssh res=success'"#,
    );
    assert_eq!((&event["type_uid"], &event["metadata"]["log_format"]), (&json!(300_201), &json!("audit")));
    assert_eq!((&event["src_endpoint"]["ip"], &event["actor"]["process"]["pid"]), (&json!("192.0.2.1"), &json!(9)));
    assert_eq!(event["time"], 1_773_651_600_000_i64);
    assert_eq!(event["metadata"]["correlation_uid"], json!(null));
    assert_eq!(normalized("Mar 16 10:00:00 h audit[9]: hello world=1")["class_uid"], 0);
}

#[test]
fn a_number_that_two_kernels_use_differently_is_told_by_its_fields() {
    let call = "SYSCALL arch=c000003e syscall=44 success=yes exit=1 items=0 ppid=1 pid=9 auid=1000 uid=0 comm=\"a\" exe=\"/bin/a\"";
    let contexts = joined(&[call, "UNKNOWN[1420] subj_selinux=a_t subj_apparmor=unconfined"]);
    assert_eq!((&contexts["policy"], &contexts["action_id"]), (&json!(null), &json!(null)), "{contexts}");
    let refused = joined(&[call, "UNKNOWN[1420] ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 path=\"/tmp/a\""]);
    assert_eq!((&refused["policy"]["name"], &refused["action_id"]), (&json!("IPE"), &json!(2)), "{refused}");
}
