//! Modules (`/proc/modules`), mounts (`proc_pid_mountinfo(5)`) and the settings that guard a host (`/proc/sys`). Pure.

use shared::record::Value;

use super::super::row::Row;

/// Rows of a listing that are told.
const LINES_MAX: usize = 32_768;

/// Settings below `/proc/sys` whose value says how well a host is guarded (kernel.org `admin-guide/sysctl`, CIS).
pub const SYSCTLS: [&str; 32] = [
    "fs.protected_fifos",
    "fs.protected_hardlinks",
    "fs.protected_regular",
    "fs.protected_symlinks",
    "fs.suid_dumpable",
    "kernel.core_pattern",
    "kernel.dmesg_restrict",
    "kernel.kexec_load_disabled",
    "kernel.kptr_restrict",
    "kernel.modules_disabled",
    "kernel.perf_event_paranoid",
    "kernel.randomize_va_space",
    "kernel.sysrq",
    "kernel.tainted",
    "kernel.unprivileged_bpf_disabled",
    "kernel.unprivileged_userns_clone",
    "kernel.yama.ptrace_scope",
    "net.core.bpf_jit_harden",
    "net.ipv4.conf.all.accept_redirects",
    "net.ipv4.conf.all.accept_source_route",
    "net.ipv4.conf.all.log_martians",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.all.send_redirects",
    "net.ipv4.icmp_echo_ignore_broadcasts",
    "net.ipv4.ip_forward",
    "net.ipv4.tcp_syncookies",
    "net.ipv6.conf.all.accept_ra",
    "net.ipv6.conf.all.accept_redirects",
    "net.ipv6.conf.all.disable_ipv6",
    "net.ipv6.conf.all.forwarding",
    "user.max_user_namespaces",
    "vm.mmap_min_addr",
];

/// A setting.
#[must_use]
pub fn sysctl(name: &str, value: &[u8]) -> Row {
    let mut row = Row::default().key("unmapped.name", name);
    row.text("unmapped.value", value.trim_ascii());
    row
}

/// Modules that are loaded.
pub fn modules(text: &[u8], each: &mut dyn FnMut(Row)) {
    let text = String::from_utf8_lossy(text);
    for line in text.lines().take(LINES_MAX) {
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(size)) = (words.next(), words.next().and_then(|size| size.parse().ok())) else {
            continue;
        };
        let mut row = Row::default().key(".name", name);
        row.volatile("unmapped.size", Value::U64(size));
        row.volatile(
            "unmapped.references",
            words.next().and_then(|count| count.parse().ok()).map_or(Value::Null, Value::U64),
        );
        let state = words.nth(1).unwrap_or_default();
        row.volatile("unmapped.state", Value::String(state.chars().take(16).collect()));
        // `(OE)`: out of tree, unsigned.
        if let Some(taints) = words.nth(1).and_then(|word| word.strip_prefix('(')?.strip_suffix(')')) {
            row.text("unmapped.taints", taints);
        }
        each(row);
    }
}

/// A mount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    /// Where.
    pub point: Vec<u8>,
    /// Of which type.
    pub fstype: String,
    /// Of which device or share.
    pub source: Vec<u8>,
    /// Which folder of it.
    pub root: Vec<u8>,
    /// Its own options.
    pub options: String,
    /// Those of the file system.
    pub super_options: String,
    /// `major:minor`.
    pub device: String,
}

/// `\040` and its like are bytes again.
fn unescaped(word: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, more)) = rest.split_first() {
        let octal = more
            .first_chunk::<3>()
            .filter(|digits| *first == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        let value = octal.map(|digits| digits.iter().fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0')));
        match value.and_then(|value| u8::try_from(value).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = more.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    bytes
}

/// Mounts of a `mountinfo`.
#[must_use]
pub fn mountinfo(bytes: &[u8]) -> Vec<Mount> {
    let lines = bytes.split(|byte| *byte == b'\n').take(LINES_MAX);
    lines.filter_map(mount).collect()
}

fn mount(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|byte| *byte == b' ');
    let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
    let device = text(words.nth(2)?);
    let (root, point) = (unescaped(words.next()?), unescaped(words.next()?));
    let options = text(words.next()?);
    // Optional fields end with a dash.
    words.by_ref().find(|word| *word == b"-")?;
    let (fstype, source) = (text(words.next()?), unescaped(words.next()?));
    Some(Mount { point, fstype, source, root, options, super_options: text(words.next().unwrap_or_default()), device })
}

impl Mount {
    /// Its row.
    #[must_use]
    pub fn row(&self) -> Row {
        let mut row = Row::default()
            .key(".path", &self.point)
            .key("unmapped.source", &self.source)
            .key("unmapped.root", &self.root);
        row.text("unmapped.fstype", &self.fstype);
        row.text("unmapped.options", &self.options);
        row.text("unmapped.super_options", &self.super_options);
        row.text("unmapped.device", &self.device);
        row
    }

    /// Whether an option of the mount is set.
    #[must_use]
    pub fn has(&self, option: &str) -> bool {
        self.options.split(',').any(|set| set == option)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_and_their_taints_are_read() {
        let mut told = Vec::new();
        let text = b"ext4 1000 2 mbcache,jbd2, Live 0x0\nevil 1 0 - Live 0x0 (OE)\nnonsense\n";
        modules(text, &mut |row| told.push((row.word(".name").to_owned(), row.word("unmapped.taints").to_owned())));
        assert_eq!(told, [("ext4".into(), String::new()), ("evil".into(), "OE".into())]);
    }

    #[test]
    fn mounts_have_their_names_back() {
        let text = b"36 35 98:0 /mnt1 /mnt/with\\040space rw,nosuid master:1 - ext3 /dev/root rw,errors=continue\n1 2 3:4 / /\n";
        let mounts = mountinfo(text);
        assert_eq!(mounts.len(), 1);
        assert_eq!((mounts[0].point.as_slice(), mounts[0].fstype.as_str()), (b"/mnt/with space".as_slice(), "ext3"));
        assert!(mounts[0].has("nosuid") && !mounts[0].has("suid"));
        assert_eq!(unescaped(b"\\9\\777\\04"), b"\\9\\777\\04");
    }
}
