//! Installed packages: dpkg's and apk's databases, which are text, and what `rpm -qa` prints. Pure.
//!
//! rpm's database is Berkeley DB, ndb or SQLite, by age and distribution: three readers of foreign formats that are private
//! to rpm, for one list. `rpm` itself is asked instead, with a deadline, and only when a file of the database changed.

use super::super::row::Row;

/// What `rpm -qa --qf` is asked for.
pub const RPM_FORMAT: &str = "%{NAME}\\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\\t%{ARCH}\\t%{VENDOR}\\n";

/// Bytes of one package's paragraph that are looked at.
const PARAGRAPH_BYTES_MAX: usize = 256 << 10;

fn row(manager: &str, kind: &str, [name, version, architecture, vendor]: [&[u8]; 4]) -> Option<Row> {
    if name.is_empty() || version.is_empty() {
        return None;
    }
    let mut row = Row::default().key(".name", name).key("unmapped.architecture", architecture);
    row.text(".version", version);
    row.text(".vendor_name", vendor);
    row.text("unmapped.package_manager", manager);
    let [name, version, architecture] = [name, version, architecture].map(String::from_utf8_lossy);
    // https://github.com/package-url/purl-spec: what stands in a version otherwise is encoded.
    let version = version.replace('%', "%25").replace('+', "%2B").replace(':', "%3A");
    row.text("unmapped.purl", format!("pkg:{kind}/{}@{version}?arch={architecture}", name.replace('+', "%2B")));
    Some(row)
}

/// `Name: value` or `N:value` of a paragraph; lines that go on are passed over.
fn field<'a>(paragraph: &'a [u8], name: &[u8]) -> &'a [u8] {
    let lines = paragraph.split(|byte| *byte == b'\n');
    let value = lines.filter_map(|line| line.strip_prefix(name)).next().unwrap_or_default();
    value.trim_ascii()
}

fn paragraphs(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memmem::find(rest, b"\n\n").unwrap_or(rest.len());
        let (paragraph, more) = rest.split_at_checked(end)?;
        rest = more.get(2..).unwrap_or_default();
        Some(paragraph.get(..PARAGRAPH_BYTES_MAX).unwrap_or(paragraph))
    })
}

/// Packages of dpkg's `status` (deb822) that are installed, in whatever state.
pub fn dpkg(status: &[u8], each: &mut dyn FnMut(Row)) {
    for paragraph in paragraphs(status) {
        let state = field(paragraph, b"Status:").rsplit(|byte| *byte == b' ').next().unwrap_or_default();
        if matches!(state, b"" | b"not-installed" | b"config-files") {
            continue;
        }
        let parts = [b"Package:".as_slice(), b"Version:", b"Architecture:"].map(|name| field(paragraph, name));
        let [name, version, architecture] = parts;
        if let Some(mut row) = row("dpkg", "deb", [name, version, architecture, b""]) {
            if state != b"installed" {
                row.text("unmapped.status", state);
            }
            each(row);
        }
    }
}

/// Packages of apk's `installed`.
pub fn apk(installed: &[u8], each: &mut dyn FnMut(Row)) {
    for paragraph in paragraphs(installed) {
        let [name, version, architecture] = [b"P:".as_slice(), b"V:", b"A:"].map(|name| field(paragraph, name));
        row("apk", "apk", [name, version, architecture, b""]).into_iter().for_each(&mut *each);
    }
}

/// Packages as `rpm -qa` prints them with [`RPM_FORMAT`].
pub fn rpm(printed: &[u8], each: &mut dyn FnMut(Row)) {
    for line in printed.split(|byte| *byte == b'\n') {
        let mut words = line.split(|byte| *byte == b'\t');
        let mut word = || words.next().unwrap_or_default();
        let [name, version, architecture, vendor] = [word(), word(), word(), word()];
        let version = version.strip_prefix(b"0:").unwrap_or(version);
        let vendor = if vendor == b"(none)" { b"" } else { vendor };
        row("rpm", "rpm", [name, version, architecture, vendor]).into_iter().for_each(&mut *each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(read: fn(&[u8], &mut dyn FnMut(Row)), bytes: &[u8]) -> Vec<String> {
        let mut told = Vec::new();
        read(bytes, &mut |row| told.push(format!("{} {}", row.word("unmapped.purl"), row.word("unmapped.status"))));
        told
    }

    #[test]
    fn packages_of_three_managers_have_a_purl_each() {
        let status = b"Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2+x\nDescription: shell\n Version: 9\n\n\
            Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\n\
            Package: torn\nStatus: install ok half-configured\nArchitecture: all\nVersion: 1:2\n";
        assert_eq!(
            told(dpkg, status),
            ["pkg:deb/bash@5.2%2Bx?arch=amd64 ", "pkg:deb/torn@1%3A2?arch=all half-configured"]
        );
        assert_eq!(
            told(apk, b"C:Q1x=\nP:musl\nV:1.2.4-r2\nA:x86_64\nF:lib\n\nP:\nV:1\n"),
            ["pkg:apk/musl@1.2.4-r2?arch=x86_64 "]
        );
        assert_eq!(
            told(rpm, b"bash\t0:5.1-9.el9\tx86_64\tRed Hat\ngpg-pubkey\t0:1-2\t(none)\t(none)\n\nx"),
            ["pkg:rpm/bash@5.1-9.el9?arch=x86_64 ", "pkg:rpm/gpg-pubkey@1-2?arch=(none) "]
        );
    }
}
