//! The shapes of lines that servers write, with how often they come: the project's own wording of public formats.
//!
//! A name in braces is drawn anew for each line; [`Field`] says from what. Weights are relative and follow what an
//! internet-facing Linux server writes: sshd and web access lines lead, daemons and applications follow.

/// What a brace stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Field {
    /// `Jan  5 10:00:01`, RFC 3164.
    Stamp,
    /// `05/Jan/2026:10:00:01 +0000`, the access logs' own.
    AccessStamp,
    /// `2026-01-05T10:00:01.123Z`, RFC 3339.
    IsoStamp,
    /// The name of the one host that writes.
    Host,
    /// A process id that lives for some lines, as a daemon's child does.
    Pid,
    /// A long-lived daemon's process id.
    DaemonPid,
    /// An address from the internet: known peers and strangers.
    Peer,
    /// An address of the own network.
    Local,
    /// An unprivileged port.
    Port,
    /// A well-known port.
    Service,
    /// A user that exists.
    User,
    /// A name that somebody guesses.
    Guess,
    /// A command as a shell would show it.
    Command,
    /// A working directory.
    Directory,
    /// A terminal number.
    Terminal,
    /// A unit of the service manager.
    Unit,
    /// A page's path.
    Page,
    /// A browser or a robot.
    Browser,
    /// Where a request came from.
    Referrer,
    /// An HTTP method.
    Method,
    /// An HTTP status.
    Status,
    /// A count of bytes.
    Bytes,
    /// Milliseconds.
    Millis,
    /// Seconds since boot, as the kernel prints them.
    Uptime,
    /// A small count.
    Small,
    /// A mail queue id.
    Queue,
    /// A domain.
    Domain,
    /// A MAC address.
    Mac,
    /// Eight hex digits.
    Hex8,
    /// Sixteen hex digits.
    Hex16,
    /// A key's fingerprint, 43 characters of base64.
    Fingerprint,
    /// A session number that goes up.
    Session,
    /// What an application was doing.
    Action,
}

impl Field {
    /// The field of a brace's name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "stamp" => Self::Stamp,
            "clf" => Self::AccessStamp,
            "iso" => Self::IsoStamp,
            "host" => Self::Host,
            "pid" => Self::Pid,
            "daemon" => Self::DaemonPid,
            "peer" => Self::Peer,
            "local" => Self::Local,
            "port" => Self::Port,
            "service" => Self::Service,
            "user" => Self::User,
            "guess" => Self::Guess,
            "command" => Self::Command,
            "directory" => Self::Directory,
            "terminal" => Self::Terminal,
            "unit" => Self::Unit,
            "page" => Self::Page,
            "browser" => Self::Browser,
            "referrer" => Self::Referrer,
            "method" => Self::Method,
            "status" => Self::Status,
            "bytes" => Self::Bytes,
            "millis" => Self::Millis,
            "uptime" => Self::Uptime,
            "small" => Self::Small,
            "queue" => Self::Queue,
            "domain" => Self::Domain,
            "mac" => Self::Mac,
            "hex8" => Self::Hex8,
            "hex16" => Self::Hex16,
            "fingerprint" => Self::Fingerprint,
            "session" => Self::Session,
            "action" => Self::Action,
            _ => return None,
        })
    }
}

/// `(weight, shape)`; weights add up to 1,000.
pub(super) const SHAPES: &[(u64, &str)] = &[
    // sshd
    (58, "{stamp} {host} sshd[{pid}]: Failed password for invalid user {guess} from {peer} port {port} ssh2"),
    (46, "{stamp} {host} sshd[{pid}]: Failed password for root from {peer} port {port} ssh2"),
    (40, "{stamp} {host} sshd[{pid}]: Invalid user {guess} from {peer} port {port}"),
    (34, "{stamp} {host} sshd[{pid}]: Received disconnect from {peer} port {port}:11: Bye Bye [preauth]"),
    (22, "{stamp} {host} sshd[{pid}]: Disconnected from invalid user {guess} {peer} port {port} [preauth]"),
    (14, "{stamp} {host} sshd[{pid}]: Connection closed by {peer} port {port} [preauth]"),
    (
        16,
        "{stamp} {host} sshd[{pid}]: Accepted publickey for {user} from {local} port {port} ssh2: ED25519 SHA256:{fingerprint}",
    ),
    (6, "{stamp} {host} sshd[{pid}]: Accepted password for {user} from {local} port {port} ssh2"),
    // PAM, sudo, su, logind
    (
        30,
        "{stamp} {host} sshd[{pid}]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={peer}",
    ),
    (16, "{stamp} {host} sshd[{pid}]: pam_unix(sshd:session): session opened for user {user}(uid={small}) by (uid=0)"),
    (16, "{stamp} {host} sshd[{pid}]: pam_unix(sshd:session): session closed for user {user}"),
    (28, "{stamp} {host} sudo[{pid}]:   {user} : TTY=pts/{terminal} ; PWD={directory} ; USER=root ; COMMAND={command}"),
    (
        14,
        "{stamp} {host} sudo[{pid}]: pam_unix(sudo:session): session opened for user root(uid=0) by {user}(uid={small})",
    ),
    (5, "{stamp} {host} su[{pid}]: (to root) {user} on pts/{terminal}"),
    (12, "{stamp} {host} systemd-logind[{daemon}]: New session {session} of user {user}."),
    (12, "{stamp} {host} systemd-logind[{daemon}]: Session {session} logged out. Waiting for processes to exit."),
    // cron
    (48, "{stamp} {host} CRON[{pid}]: ({user}) CMD ({command})"),
    (30, "{stamp} {host} CRON[{pid}]: pam_unix(cron:session): session opened for user {user}(uid={small}) by (uid=0)"),
    (30, "{stamp} {host} CRON[{pid}]: pam_unix(cron:session): session closed for user {user}"),
    // systemd, kernel
    (30, "{stamp} {host} systemd[1]: Started {unit}."),
    (22, "{stamp} {host} systemd[1]: {unit}: Deactivated successfully."),
    (14, "{stamp} {host} systemd[1]: {unit}: Consumed {millis}ms CPU time."),
    (
        62,
        "{stamp} {host} kernel: [{uptime}] [UFW BLOCK] IN=eth0 OUT= MAC={mac}:08:00 SRC={peer} DST={local} LEN=40 TOS=0x00 PREC=0x00 TTL={small} ID={port} PROTO=TCP SPT={port} DPT={service} WINDOW=1024 RES=0x00 SYN URGP=0",
    ),
    (
        6,
        "{stamp} {host} kernel: [{uptime}] {guess}[{pid}]: segfault at {hex8} ip 00007f{hex8} sp 00007ffd{hex8} error 4 in libc.so.6[7f{hex8}+195000]",
    ),
    // web
    (142, "{peer} - - [{clf}] \"{method} {page} HTTP/1.1\" {status} {bytes} \"{referrer}\" \"{browser}\""),
    (40, "{local} - {user} [{clf}] \"{method} {page} HTTP/1.1\" {status} {bytes} \"-\" \"{browser}\""),
    // mail
    (20, "{stamp} {host} postfix/smtpd[{pid}]: connect from unknown[{peer}]"),
    (
        16,
        "{stamp} {host} postfix/smtpd[{pid}]: NOQUEUE: reject: RCPT from unknown[{peer}]: 554 5.7.1 <{user}@{domain}>: Relay access denied; from=<{guess}@{domain}> to=<{user}@{domain}> proto=ESMTP helo=<{domain}>",
    ),
    (
        20,
        "{stamp} {host} postfix/qmgr[{daemon}]: {queue}: from=<{user}@{domain}>, size={bytes}, nrcpt=1 (queue active)",
    ),
    (
        16,
        "{stamp} {host} postfix/smtp[{pid}]: {queue}: to=<{guess}@{domain}>, relay={domain}[{peer}]:25, delay=0.{small}, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as {queue})",
    ),
    // name service, leases
    (
        26,
        "{stamp} {host} named[{daemon}]: client @0x{hex8} {local}#{port} ({domain}): query: {domain} IN A +E(0)K (10.0.0.53)",
    ),
    (14, "{stamp} {host} dhcpd[{daemon}]: DHCPREQUEST for {local} from {mac} via eth1"),
    (14, "{stamp} {host} dhcpd[{daemon}]: DHCPACK on {local} to {mac} via eth1"),
    // applications
    (
        52,
        "{\"time\":\"{iso}\",\"level\":\"info\",\"service\":\"checkout\",\"message\":\"{action}\",\"user\":\"{user}\",\"client_ip\":\"{peer}\",\"trace_id\":\"{hex16}{hex16}\",\"duration_ms\":{millis},\"status\":{status}}",
    ),
    (
        14,
        "{\"time\":\"{iso}\",\"level\":\"warn\",\"service\":\"inventory\",\"message\":\"{action} was slow\",\"attempt\":{small},\"duration_ms\":{millis},\"trace_id\":\"{hex16}{hex16}\"}",
    ),
    (15, "<{small}>1 {iso} {host} gateway {daemon} REQ{small} - {action} for {user} from {peer} took {millis} ms"),
];

/// Users that exist on the host.
pub(super) const USERS: &[&str] = &[
    "root",
    "deploy",
    "www-data",
    "postgres",
    "backup",
    "alice",
    "bob",
    "carol",
    "dmitri",
    "elena",
    "farid",
    "grace",
    "hana",
    "ivan",
    "jenkins",
    "kenji",
    "lucia",
    "maria",
    "nadia",
    "oscar",
    "prometheus",
    "ansible",
    "quentin",
    "rosa",
];

/// Names that scanners guess.
pub(super) const GUESSES: &[&str] = &[
    "admin",
    "test",
    "user",
    "oracle",
    "ubuntu",
    "guest",
    "ftpuser",
    "mysql",
    "pi",
    "git",
    "support",
    "nagios",
    "hadoop",
    "tomcat",
    "minecraft",
    "steam",
    "zabbix",
    "odoo",
    "vagrant",
    "centos",
    "debian",
    "ec2-user",
    "sysadmin",
    "teamspeak",
    "weblogic",
    "es",
    "ts3",
    "dspace",
    "redis",
    "student",
    "operator",
    "service",
    "web",
    "demo",
    "jira",
    "ansible",
    "kafka",
    "docker",
    "samba",
    "elastic",
];

/// Commands of people and of crontabs.
pub(super) const COMMANDS: &[&str] = &[
    "/usr/bin/apt-get update",
    "/usr/bin/systemctl restart nginx.service",
    "/usr/bin/journalctl -u checkout --since today",
    "/usr/sbin/logrotate /etc/logrotate.conf",
    "/usr/local/bin/backup --incremental /srv",
    "cd / && run-parts --report /etc/cron.hourly",
    "/usr/lib/sa/sa1 1 1",
    "test -x /usr/sbin/anacron || run-parts --report /etc/cron.daily",
    "/usr/bin/php /var/www/app/artisan schedule:run",
    "/usr/bin/tail -n 200 /var/log/syslog",
    "/opt/inventory/bin/sync --all --quiet",
    "/usr/bin/find /tmp -xdev -mtime +7 -delete",
];

/// Working directories.
pub(super) const DIRECTORIES: &[&str] =
    &["/root", "/home/alice", "/home/deploy", "/srv/app", "/etc/nginx", "/var/log", "/opt/inventory", "/tmp"];

/// Units of the service manager.
pub(super) const UNITS: &[&str] = &[
    "apt-daily.service",
    "logrotate.service",
    "nginx.service",
    "checkout.service",
    "inventory-sync.service",
    "fstrim.service",
    "phpsessionclean.service",
    "systemd-tmpfiles-clean.service",
    "postgresql@15-main.service",
    "certbot.service",
    "user@1000.service",
    "docker.service",
];

/// Pages, those of scanners among them; `#` is drawn as a number.
pub(super) const PAGES: &[&str] = &[
    "/",
    "/index.html",
    "/product/#",
    "/product/#?ref=mail",
    "/cart",
    "/api/v2/items/#",
    "/api/v2/orders?page=#",
    "/static/app.#.js",
    "/static/site.css",
    "/images/#.webp",
    "/login",
    "/wp-login.php",
    "/.env",
    "/phpmyadmin/index.php",
    "/search?q=#",
    "/favicon.ico",
    "/robots.txt",
    "/healthz",
];

/// Browsers and robots.
pub(super) const BROWSERS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (compatible; Searchbot/2.1; +http://search.example/bot.html)",
    "curl/8.5.0",
    "python-requests/2.31.0",
    "Go-http-client/1.1",
];

/// Referrers.
pub(super) const REFERRERS: &[&str] = &[
    "-",
    "-",
    "https://shop.example/",
    "https://shop.example/cart",
    "https://search.example/",
    "https://news.example/today",
];

/// Methods, by how often they come.
pub(super) const METHODS: &[&str] = &["GET", "GET", "GET", "GET", "GET", "GET", "POST", "POST", "HEAD", "PUT"];

/// Statuses, by how often they come.
pub(super) const STATUSES: &[&str] =
    &["200", "200", "200", "200", "200", "200", "200", "304", "301", "302", "403", "404", "404", "500", "502"];

/// Ports that scanners try.
pub(super) const SERVICES: &[&str] =
    &["22", "23", "80", "443", "445", "1433", "3306", "3389", "5060", "5432", "6379", "8080", "8443", "9200"];

/// Domains; RFC 2606 names only.
pub(super) const DOMAINS: &[&str] = &[
    "example.com",
    "mail.example.com",
    "example.net",
    "mx1.example.net",
    "example.org",
    "shop.example",
    "cdn.shop.example",
    "api.partner.example",
];

/// What applications do.
pub(super) const ACTIONS: &[&str] = &[
    "payment authorized",
    "cart updated",
    "order placed",
    "stock level read",
    "session refreshed",
    "coupon rejected",
    "price list reloaded",
    "address verified",
    "webhook delivered",
    "cache miss for product",
];
