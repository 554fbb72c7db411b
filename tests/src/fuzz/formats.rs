//! Every format by its name, and the joiner of audit records: any line becomes a valid event that holds the line, and no
//! record is lost on the way through the joiner.

use std::convert::Infallible;

use aggregator::event::Event;
use aggregator::normalize::join::{ENTRIES_MAX, GROUPS_MAX, Group, Joiner, Part};
use aggregator::normalize::{Format, Line, Origin};
use shared::identity::EventId;

use super::Input;
use super::frames::{AGENT, NOW, chain};
use super::lines::{assert_valid, normalize};

/// Lines of each format; the test that draws seeds from them fails for a format that has none.
const LINES: &[(&str, &str)] = &[
    ("auto", "Mar 16 10:00:00 h sshd[7]: Accepted password for bob from 192.0.2.7 port 4711 ssh2"),
    ("raw", "text"),
    (
        "audit",
        "type=SYSCALL msg=audit(1773653400.123:4): arch=c000003e syscall=59 success=yes exit=0 pid=7 comm=\"sh\" exe=\"/bin/sh\"\ntype=EXECVE msg=audit(1773653400.123:4): argc=2 a0=\"sh\" a1=2D63",
    ),
    (
        "audit",
        "type=USER_LOGIN msg=audit(1773653400.123:5): pid=7 uid=0 auid=1 ses=2 msg='op=login acct=\"bob\" exe=\"/bin/login\" hostname=h addr=192.0.2.7 terminal=tty1 res=failed'",
    ),
    ("audit", "type=SOCKADDR msg=audit(1773653400.123:6): saddr=02000016C00002070000000000000000"),
    (
        "laurel",
        r#"{"ID":"1773653400.123:4","SYSCALL":{"arch":"0xc000003e","syscall":59,"pid":7,"comm":"sh"},"EXECVE":{"ARGV":["sh","-c"]}}"#,
    ),
    (
        "journald",
        r#"{"__REALTIME_TIMESTAMP":"1773653400123456","MESSAGE":"Invalid user x from 192.0.2.7 port 9","SYSLOG_IDENTIFIER":"sshd","_PID":"7","PRIORITY":"6"}"#,
    ),
    (
        "json",
        r#"{"timestamp":"2026-03-16T10:00:00.000000+0000","event_type":"alert","src_ip":"192.0.2.7","src_port":1,"dest_ip":"192.0.2.8","dest_port":80,"proto":"TCP","alert":{"signature":"s","signature_id":1,"severity":1}}"#,
    ),
    (
        "json",
        r#"{"@timestamp":"2026-03-16T10:00:00Z","event":{"category":["authentication"],"outcome":"failure"},"user":{"name":"bob"},"source":{"ip":"192.0.2.7"}}"#,
    ),
    (
        "json",
        r#"{"class_uid":3002,"activity_id":1,"category_uid":3,"type_uid":300201,"severity_id":1,"time":1773653400000,"user":{"name":"bob"},"metadata":{"version":"1.8.0","product":{"name":"p"}}}"#,
    ),
    (
        "json",
        r#"{"EventTime":"2026-03-16 10:00:00","EventID":4625,"Channel":"Security","TargetUserName":"bob","IpAddress":"192.0.2.7","LogonType":"3"}"#,
    ),
    (
        "json",
        r#"{"rule":"r","priority":"Warning","output":"o","time":"2026-03-16T10:00:00Z","output_fields":{"proc.pid":7,"user.name":"bob"}}"#,
    ),
    (
        "json",
        r#"{"seconds":1773653400,"action":"allow","msg":"m","priority":2,"proto":"TCP","rule":"1:2013028:7","src_ap":"192.0.2.7:4711","dst_ap":"198.51.100.9:80","timestamp":"03/16-10:00:00.123456"}"#,
    ),
    (
        "zeek",
        "1773653400.123456\tCabc\t192.0.2.7\t4711\t198.51.100.2\t80\ttcp\thttp\t0.1\t1\t2\tSF\t-\t-\t0\tShADadFf\t1\t2\t3\t4\t-",
    ),
    (
        "windows_xml",
        "<Event xmlns='x'><System><Provider Name='P'/><EventID>4625</EventID><TimeCreated SystemTime='2026-03-16T09:00:00Z'/><Channel>Security</Channel></System><EventData><Data Name='TargetUserName'>bob&amp;</Data><Data Name='IpAddress'>192.0.2.7</Data></EventData></Event>",
    ),
    ("zeek", "#fields\tts\tuid\tid.orig_h"),
    ("hclog", "2026-03-16T10:00:00.123Z [WARN]  agent.server: no node: error=\"x\""),
    ("fluentd", "2026-03-16T10:00:00+01:00\tapp.web\t{\"level\":\"error\",\"msg\":\"x\"}"),
    ("coredns", "[INFO] 192.0.2.7:4711 - 9 \"A IN a.example.com. udp 39 false 512\" NOERROR qr,rd,ra 132 0.00021s"),
    ("cri", "2026-03-16T10:00:00.123456789+01:00 stdout F {\"level\":\"error\",\"msg\":\"x\"}"),
    ("combined", "192.0.2.7 - bob [16/Mar/2026:10:00:00 +0100] \"GET /a?b HTTP/1.1\" 200 5 \"-\" \"curl\""),
    (
        "combined",
        "[2026-03-16T10:00:00.123Z] \"GET /a HTTP/2\" 503 UF 1 2 3 - \"192.0.2.7\" \"curl\" \"id\" \"example.com\" \"198.51.100.2:80\"",
    ),
    (
        "panos",
        "1,2026/03/16 10:00:00,7,TRAFFIC,end,1,2026/03/16 10:00:00,192.0.2.7,198.51.100.2,,,rule,bob,,ssl,v,a,b,i,j,l,,7,1,4711,443,0,0,0,tcp,allow,3,1,2,4,,5",
    ),
    (
        "panos",
        "1,2026/03/16 10:00:00,7,SYSTEM,auth,1,2026/03/16 10:00:00,,auth-fail,,0,0,general,medium,\"failed authentication for user 'bob'. From: 192.0.2.7.\"",
    ),
    (
        "elb",
        "https 2026-03-16T10:00:00.1Z app/a/b 192.0.2.7:4711 10.0.0.1:80 0.1 0.1 0.1 200 200 1 2 \"GET https://example.com:443/ HTTP/2.0\" \"curl\" - -",
    ),
    (
        "elb",
        "2026-03-16T10:00:00.1Z 192.0.2.7 4711 443 TLSv1.2 A 4.036 \"CN=a\" NotBefore=x;NotAfter=y FEF2 Failed:ClientCertUntrusted TID_1",
    ),
    (
        "elb",
        "tls 2.0 2026-03-16T10:00:00 net/a/b l 192.0.2.7:4711 10.0.0.1:80 5 2 98 246 - arn:aws:acm:x - A tlsv12 - a.example.com h2 h2 - 2026-03-16T09:59:55",
    ),
    ("w3c", "2026-03-16 10:00:00 192.0.2.9 GET /a x=1 443 bob 192.0.2.7 Mozilla/5.0+(X) - 200 0 0 15"),
    ("w3c", "2026-03-16 10:00:00 192.0.2.7 4711 192.0.2.9 80 HTTP/1.1 GET /a 503 1 ConnLimit pool"),
    ("glog", "E0316 10:00:00.123456 7 a.go:12] \"Failed\" err=\"x\""),
    (
        "asterisk",
        "[2026-03-16 10:00:00] NOTICE[7]: chan_sip.c:1 handle: Registration from '\"1\" <sip:bob@198.51.100.2>' failed for '192.0.2.7:4711' - Wrong password",
    ),
    (
        "asterisk",
        "[Mar 16 10:00:00] SECURITY[7] res_security_log.c: SecurityEvent=\"InvalidPassword\",AccountID=\"bob\",LocalAddress=\"IPV4/UDP/198.51.100.2/5060\",RemoteAddress=\"IPV4/UDP/192.0.2.7/4711\"",
    ),
    (
        "syslog",
        "Mar 16 10:00:00 mx smtpd[7]: 5d2a1f0b12345678 smtp failed-command address=192.0.2.7 command=\"AUTH LOGIN\" result=\"535 no\"",
    ),
    (
        "syslog",
        "2026-03-16T10:00:00+01:00 gw filterlog 7 - [meta sequenceId=\"9\"] 5,,,1,em0,match,block,in,4,0x0,,64,1,0,none,6,tcp,60,192.0.2.7,198.51.100.2,4711,22,0,S,1,,1024,,mss",
    ),
    ("plain", "2026-03-16 10:00:00 [I] Failed authentication attempt for bob from [2001:db8::1]:4711: no such user"),
    (
        "plain",
        "2026-03-16T10:00:00+01:00 gw firewall,info drop input: in:e1 out:(unknown 0), src-mac 00:00:5e:00:53:01, proto TCP (SYN), 192.0.2.7:1->198.51.100.2:22, len 40",
    ),
    ("falco", "10:00:00.123456789: Warning Shell (user=root shell=bash)"),
    (
        "snort",
        "11/03/2026-10:00:00.123456  [**] [1:2013028:7] NAME [**] [Classification: c] [Priority: 2] {TCP} 192.0.2.1:5 -> 198.51.100.9:80",
    ),
    ("redis", "7:M 16 Mar 2026 10:00:00.123 - Accepted 192.0.2.7:4711"),
    (
        "mongodb",
        "2026-03-16T10:00:00.123+0100 I ACCESS [conn1] SCRAM-SHA-1 authentication failed for bob on admin from client 192.0.2.7:4711 ; UserNotFound",
    ),
    ("lighttpd", "2026-03-16 10:00:00: (mod_auth.c.875) password doesn't match for /a username: bob, IP: 192.0.2.7"),
    ("cef", r"CEF:0|a|b|1|c|d\||5|src=192.0.2.7 spt=4711 suser=bob act=blocked msg=a\=b end=1773653400000"),
    ("cef", "LEEF:2.0|a|b|1|c|^|src=192.0.2.7^usrName=bob^sev=5"),
    (
        "modsecurity",
        "[client 192.0.2.7] ModSecurity: Access denied with code 403 (phase 2). Matched \"x\" at ARGS. [file \"a\"] [line \"1\"] [id \"942100\"] [msg \"SQL\"] [severity \"CRITICAL\"] [uri \"/\"] [unique_id \"u\"]",
    ),
    ("postgresql", "2026-03-16 10:00:00.123 CET [7] bob@db FATAL:  password authentication failed for user \"bob\""),
    ("fail2ban", "2026-03-16 10:00:00,123 fail2ban.actions [7]: NOTICE [sshd] Ban 192.0.2.7"),
    ("dpkg", "2026-03-16 10:00:00 install curl:amd64 <none> 8.5.0-2"),
    ("apt", "Commandline: apt install curl"),
    ("apt", "Install: curl:amd64 (8.5.0-2), libcurl4:amd64 (8.5.0-2, automatic)"),
    ("yum", "Mar 16 10:00:00 Installed: curl-7.29.0-59.el7.x86_64"),
    ("dnf", "2026-03-16T10:00:00+0100 SUBDEBUG Installed: curl-8.5.0-2.fc39.x86_64"),
    ("pacman", "[2026-03-16T10:00:00+0100] [ALPM] upgraded curl (8.5.0-1 -> 8.5.0-2)"),
    ("zypper", "2026-03-16 10:00:00|install|curl|8.5.0-2|x86_64|root@h|repo|abc|"),
    (
        "cisco",
        "<166>Mar 16 2026 10:00:00 fw : %ASA-6-302013: Built inbound TCP connection 7 for outside:192.0.2.7/4711 (192.0.2.7/4711) to inside:10.0.0.1/80 (10.0.0.1/80)",
    ),
    (
        "cisco",
        "Mar 16 10:00:00.123: %SEC_LOGIN-4-LOGIN_FAILED: Login failed [user: bob] [Source: 192.0.2.7] [localport: 22] [Reason: x] at 10:00:00",
    ),
    (
        "bind",
        "16-Mar-2026 10:00:00.123 queries: info: client @0x7f 192.0.2.7#4711 (example.com): query: example.com IN A +E(0)K (10.0.0.1)",
    ),
    ("unbound", "[1773653400] unbound[7:0] info: 192.0.2.7 example.com. A IN"),
    (
        "kea",
        "2026-03-16 10:00:00.123 INFO  [kea-dhcp4.leases/7.1] DHCP4_LEASE_ALLOC [hwtype=1 00:00:5e:00:53:01], cid=[no info], tid=0x1: lease 192.0.2.7 has been allocated for 3600 seconds",
    ),
    (
        "fortigate",
        "device=\"SFW\" date=2026-03-16 time=10:00:00 timezone=\"+02\" device_name=\"XG\" device_id=S log_id=01 log_type=\"IDP\" log_subtype=\"Drop\" signature_id=7 signature_msg=\"A thing\" src_ip=192.0.2.7 dst_ip=198.51.100.2 src_port=4711",
    ),
    (
        "fortigate",
        "category=\"Event\" subcategory=\"Authentication\" typeid=20001 level=\"information\" user=\"bob\" nas=\"192.0.2.9\" action=\"Authentication\" status=\"Failed\" Remote user",
    ),
    (
        "fortigate",
        "date=2026-03-16 time=10:00:00 devname=\"fw\" devid=\"F\" logid=\"0000000013\" type=\"traffic\" subtype=\"forward\" level=\"notice\" srcip=192.0.2.7 srcport=4711 dstip=198.51.100.2 dstport=443 action=\"deny\" proto=6",
    ),
    (
        "squid",
        "1773653400.123    231 192.0.2.7 TCP_MISS/200 1536 GET http://example.com/a?b bob HIER_DIRECT/198.51.100.2 text/html",
    ),
    (
        "haproxy",
        "192.0.2.7:4711 [16/Mar/2026:10:00:00.123] f b/s 0/0/1/2/3 200 5 - - ---- 1/1/0/0/0 0/0 \"GET / HTTP/1.1\"",
    ),
    ("vsftpd", "Mon Mar 16 10:00:00 2026 [pid 7] [bob] FAIL LOGIN: Client \"192.0.2.7\""),
    ("openvpn", "2026-03-16 10:00:00 192.0.2.7:4711 TLS Error: TLS handshake failed"),
    (
        "mysql",
        "2026-03-16T10:00:00.123456Z 7 [Note] [MY-010926] [Server] Access denied for user 'bob'@'192.0.2.7' (using password: YES)",
    ),
    (
        "logfmt",
        "time=2026-03-16T10:00:00Z level=error msg=\"Invalid username or password\" uname=bob remote_addr=192.0.2.7",
    ),
    ("syslog", "<34>1 2026-03-16T10:00:00Z h app 7 ID [a@1 b=\"c\\\"\"] text"),
    (
        "syslog",
        r#"<134>1 2026-03-16T10:00:00Z fw CheckPoint 7 - [action:"Drop"; src:"192.0.2.7"; dst:"198.51.100.9"; s_port:"4711"; service:"22"; proto:"6"; rule_name:"a \"b\]\""]"#,
    ),
    (
        "syslog",
        r#"<14>1 2026-03-16T10:00:00Z fw RT_IDS - RT_SCREEN_TCP [junos@2636.1.1.1.2.35 attack-name="SYN flood!" source-address="192.0.2.7" source-port="4711" action="drop"]"#,
    ),
    ("exim", "2026-03-16 10:00:00 1tXXXX-000001-2b <= bob@example.com H=h [192.0.2.7]:4711 P=esmtp S=100"),
    (
        "dovecot",
        "2026-03-16 10:00:00 imap-login: Info: Login: user=<bob>, method=PLAIN, rip=192.0.2.7, lip=10.0.0.1, mpid=7, session=<a>",
    ),
    ("kernel", "[  11.123456] DROP IN=eth0 OUT= MAC= SRC=192.0.2.7 DST=10.0.0.1 LEN=60 PROTO=TCP SPT=4711 DPT=22 SYN"),
    (
        "web_error",
        "2026/03/16 10:00:00 [error] 7#7: *1 open() \"/a\" failed (2: No such file or directory), client: 192.0.2.7, server: _, request: \"GET /a HTTP/1.1\", host: \"h\"",
    ),
    ("plain", "2026-03-16 10:00:00,123 ERROR [main] x"),
    ("windows_dhcp", "10,03/16/26,10:00:00,Assign,192.0.2.7,host.example.com,001122334455,,123456,0,,,,,,,,,0"),
];

/// The first byte chooses the format by which the rest is read.
pub fn format(bytes: &[u8]) {
    let mut input = Input(bytes);
    let at = input.below(Format::names().count());
    let name = Format::names().nth(at).unwrap_or("auto");
    normalize(name, input.0);
}

/// Each line by its format, and by `auto`.
///
/// # Panics
/// Where a format has no line here.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (at, name) in (0_u8..).zip(Format::names()) {
        let lines: Vec<_> =
            LINES.iter().filter(|(format, _)| *format == name).map(|(_, line)| line.as_bytes()).collect();
        assert!(!lines.is_empty(), "format {name} has a line to begin with");
        seeds.extend(lines.iter().flat_map(|line| [[&[at], *line].concat(), [&[0], *line].concat()]));
    }
    seeds
}

/// Lines of two sources go through the joiner: each is in one group or read on its own, and every group becomes a valid event.
pub fn joiner(bytes: &[u8]) {
    let origin = Origin { agent: AGENT, hostname: "web-1".to_owned(), ..Origin::default() };
    let fields = origin.fields();
    let mut joiner = Joiner::<bool>::default();
    let (mut offered, mut alone, mut joined) = (0, 0, 0);
    let mut emit = |group: &Group<bool>| -> Result<(), Infallible> {
        joined += group.lines();
        let mut event = Event::new(group.id, NOW, NOW);
        event.shared = &fields;
        let _ = group.read(&origin, NOW, &mut event);
        assert_valid(&event);
        Ok(())
    };
    for (record, raw) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let part = Part {
            id: EventId { chain: chain(), record, part: 0 },
            line: Line { raw, read_at: NOW, received_at: NOW, full_size: None },
            redacted: false,
        };
        offered += 1;
        let Ok(taken) = joiner.offer(&part, &(record % 8 == 0), &mut emit);
        alone += usize::from(!taken);
        assert!(joiner.waiting() <= GROUPS_MAX + ENTRIES_MAX, "no more wait than may");
    }
    let Ok(()) = joiner.flush(&mut emit);
    assert_eq!(alone + joined, offered, "every line is in one group or read on its own");
    assert_eq!(joiner.waiting(), 0);
}

/// The records of the lines above, and of two events in between each other.
#[must_use]
pub fn joiner_seeds() -> Vec<Vec<u8>> {
    let audit: Vec<&str> = LINES.iter().filter(|(format, _)| *format == "audit").map(|(_, line)| *line).collect();
    let other = audit.join("\n").replace(":4)", ":7)");
    let ended = "type=EOE msg=audit(1773653400.123:4): ";
    let titled = "type=PROCTITLE msg=audit(1773653400.123:7): proctitle=7368002D63";
    let mixed: Vec<&str> =
        audit.iter().flat_map(|line| line.lines()).zip(other.lines()).flat_map(|(one, two)| [one, two]).collect();
    vec![
        audit.join("\n").into_bytes(),
        [mixed.join("\n").as_str(), ended, titled, ended].join("\n").into_bytes(),
        ENTRIES.as_bytes().to_vec(),
    ]
}

/// Entries whose lines follow one another.
const ENTRIES: &str = "--6b253045-A--
[16/Mar/2026:10:00:00 +0100] YVW7 192.0.2.7 4444 198.51.100.9 80
--6b253045-B--
GET /x HTTP/1.1
Host: www.example.com

--6b253045-H--
Message: Warning. Matched. [id \"1\"] [msg \"m\"]
--6b253045-Z--

# Time: 2026-03-16T09:00:00.123456Z
# User@Host: app[app] @ web [192.0.2.7]  Id:    42
# Query_time: 3.5  Lock_time: 0.1 Rows_sent: 1  Rows_examined: 9
SET timestamp=1773651600;
SELECT *
FROM t;
2026-03-16 10:00:00.123 UTC [7] app@shop LOG:  statement: SELECT *
\tFROM t
2026-03-16 10:00:00.123 UTC,\"app\",\"shop\",7,\"192.0.2.7:5\",x,1,\"SELECT\",,,,LOG,00000,\"statement: SELECT
1\",,,,,,,,,";
