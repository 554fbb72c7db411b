//! What a host is: operating system, processor, memory, disks, interfaces and their addresses, what it runs on.

use shared::record::Value;
use shared::time::Timestamp;

use super::super::place::Place;
use super::super::row::{ITEMS_MAX, Row};
use super::addresses;

const TEXT_BYTES_MAX: u64 = 64 << 10;
const CPUINFO_BYTES_MAX: u64 = 1 << 20;

/// A value of `NAME=value` lines (os-release(5)), without its quotes.
#[must_use]
pub fn assigned(text: &str, name: &str) -> String {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
}

/// Name and version of the operating system.
#[must_use]
pub fn system(place: &Place) -> (String, String) {
    let mut text = place.text("etc/os-release", TEXT_BYTES_MAX);
    if text.is_empty() {
        text = place.text("usr/lib/os-release", TEXT_BYTES_MAX);
    }
    let named = |name: &str| Some(assigned(&text, name)).filter(|value| !value.is_empty());
    // Distributions that roll have no number of a version: Arch has a BUILD_ID, Debian's unstable a codename.
    let version = ["VERSION_ID", "BUILD_ID", "VERSION", "VERSION_CODENAME"].into_iter().find_map(named);
    let release = || Some(place.text("etc/debian_version", 64)).filter(|text| !text.is_empty());
    let version = version.or_else(release).unwrap_or_else(|| "unknown".to_owned());
    (named("NAME").unwrap_or_else(|| "Linux".to_owned()), version)
}

/// A value of `name : value` lines, the first of that name.
fn listed<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then_some(value.trim())
    })
}

/// Bytes of a line of `meminfo`.
#[must_use]
pub fn memory(meminfo: &str, name: &str) -> Option<u64> {
    let kib: u64 = listed(meminfo, name)?.split_ascii_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

fn hardware(place: &Place, row: &mut Row) {
    let cpus = place.read("proc/cpuinfo", CPUINFO_BYTES_MAX).unwrap_or_default();
    let cpus = String::from_utf8_lossy(&cpus);
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    row.number(".hw_info.cpu_count", count as u64);
    listed(&cpus, "model name").into_iter().for_each(|name| row.text(".hw_info.cpu_type", name));
    let cores = listed(&cpus, "cpu cores").and_then(|cores| cores.parse().ok());
    cores.into_iter().for_each(|cores| row.number(".hw_info.cpu_cores", cores));
    let meminfo = place.text("proc/meminfo", TEXT_BYTES_MAX);
    // The kernel keeps a part for itself: in MiB it stays the same over reboots.
    let total = memory(&meminfo, "MemTotal").map(|bytes| bytes >> 20);
    total.into_iter().for_each(|mib| row.number(".hw_info.ram_size", mib));
    for (path, file) in [
        (".hw_info.bios_ver", "bios_version"),
        (".hw_info.bios_date", "bios_date"),
        (".hw_info.bios_manufacturer", "bios_vendor"),
        (".vendor_name", "sys_vendor"),
        (".model", "product_name"),
    ] {
        row.text(path, place.text(&format!("sys/class/dmi/id/{file}"), 256));
    }
    let is_guest = listed(&cpus, "flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    let (virtualization, hypervisor) = virtualization(place, is_guest);
    row.text("unmapped.virtualization", virtualization);
    row.text(".hypervisor", hypervisor);
}

/// What the host runs on: a container's name, or that of a hypervisor (`vm` for one that says none); nothing for bare
/// metal. And the hypervisor's alone, where it says its name.
fn virtualization(place: &Place, is_guest: bool) -> (String, String) {
    let hypervisor = hypervisor(place, is_guest);
    let named = Some(hypervisor.clone()).filter(|name| name != "vm").unwrap_or_default();
    let container = place.text("run/systemd/container", 64);
    if !container.is_empty() {
        return (container, named);
    }
    if place.at(".dockerenv").exists() {
        return ("docker".to_owned(), named);
    }
    (hypervisor, named)
}

fn hypervisor(place: &Place, is_guest: bool) -> String {
    let xen = place.text("sys/hypervisor/type", 64);
    if !xen.is_empty() {
        return xen;
    }
    let vendor = place.text("sys/class/dmi/id/sys_vendor", 256);
    let named = [
        ("QEMU", "kvm"),
        ("VMware", "vmware"),
        ("innotek", "virtualbox"),
        ("Microsoft", "hyperv"),
        ("Amazon EC2", "amazon"),
        ("Google", "google"),
        ("Xen", "xen"),
    ];
    let named = named.into_iter().find(|(name, _)| is_guest && vendor.starts_with(name)).map(|(_, name)| name);
    named.unwrap_or(if is_guest { "vm" } else { "" }).to_owned()
}

fn disks(place: &Place) -> Vec<Value> {
    let names = place.names("sys/block", ITEMS_MAX).into_iter();
    let real = names.filter(|name| !["loop", "ram", "zram"].iter().any(|kind| name.starts_with(kind)));
    let disk = |name: String| {
        let sectors: u64 = place.text(&format!("sys/block/{name}/size"), 64).parse().ok()?;
        let model = place.text(&format!("sys/block/{name}/device/model"), 256);
        let mut fields = vec![
            ("name".to_owned(), Value::String(name)),
            ("size".to_owned(), Value::U64(sectors.saturating_mul(512))),
        ];
        if !model.is_empty() {
            fields.push(("model".to_owned(), Value::String(model)));
        }
        Some(Value::Map(fields))
    };
    real.filter_map(disk).collect()
}

/// Interfaces as OCSF has them, and the longest packet of each, which it has not.
fn interfaces(place: &Place) -> (Vec<Value>, Vec<(String, Value)>) {
    let addresses = if place.is_host() { addresses::ask().unwrap_or_default() } else { Vec::new() };
    let (mut all, mut mtus) = (Vec::new(), Vec::new());
    for name in place.names("sys/class/net", ITEMS_MAX) {
        let text = |file: &str| place.text(&format!("sys/class/net/{name}/{file}"), 256);
        let number: u32 = text("ifindex").parse().unwrap_or(0);
        let (mac, mtu) = (text("address"), text("mtu"));
        let own: Vec<_> = addresses.iter().filter(|address| address.interface == number).collect();
        // An entry an address, as the class has room for one.
        for at in 0..own.len().max(1) {
            let mut fields = vec![("name".to_owned(), Value::String(name.clone()))];
            if !mac.is_empty() && mac != "00:00:00:00:00:00" {
                fields.push(("mac".to_owned(), Value::String(mac.clone())));
            }
            if let Some(address) = own.get(at) {
                fields.push(("ip".to_owned(), Value::Ip(address.ip)));
                fields.push(("subnet_prefix".to_owned(), Value::U64(address.prefix.into())));
            }
            if all.len() < ITEMS_MAX {
                all.push(Value::Map(fields));
            }
        }
        mtu.parse().into_iter().for_each(|mtu| mtus.push((name.clone(), Value::U64(mtu))));
    }
    (all, mtus)
}

/// `/etc/machine-id` (machine-id(5)) with the dashes of a UUID.
fn machine_uuid(id: &str) -> Option<String> {
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let part = |from: usize, to: usize| id.get(from..to).unwrap_or_default();
    let parts = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)];
    is_id.then(|| parts.join("-"))
}

/// Which system it is: `Linux` in all records of all hosts, the distribution as its edition.
fn put_system(place: &Place, row: &mut Row) {
    let (name, version) = system(place);
    row.text(".os.name", "Linux");
    // OCSF: 200, Linux.
    row.number(".os.type_id", 200);
    row.text(".os.edition", name);
    row.text(".os.version", version);
}

/// The one row.
#[must_use]
pub fn row(place: &Place, booted: Timestamp) -> Row {
    let mut row = Row::default().key("unmapped.facts", "host");
    let mut text = place.text("etc/os-release", TEXT_BYTES_MAX);
    if text.is_empty() {
        text = place.text("usr/lib/os-release", TEXT_BYTES_MAX);
    }
    put_system(place, &mut row);
    row.text(".os.build", assigned(&text, "BUILD_ID"));
    row.text(".os.kernel_release", place.text("proc/sys/kernel/osrelease", 256));
    row.text(".os.cpe_name", assigned(&text, "CPE_NAME"));
    row.text("unmapped.os_pretty_name", assigned(&text, "PRETTY_NAME"));
    row.text(".hostname", place.text("proc/sys/kernel/hostname", 256));
    row.text(
        ".domain",
        Some(place.text("proc/sys/kernel/domainname", 256)).filter(|name| name != "(none)").unwrap_or_default(),
    );
    row.text(".os_machine_uuid", machine_uuid(&place.text("etc/machine-id", 64)).unwrap_or_default());
    // It is reckoned back from now, and moves with the clock: a boot is told by its id.
    row.volatile(".boot_time", Value::Time(booted));
    row.text(".boot_uid", place.text("proc/sys/kernel/random/boot_id", 64));
    row.number(".type_id", 1);
    hardware(place, &mut row);
    let (interfaces, mtus) = interfaces(place);
    row.put(".network_interfaces", Value::List(interfaces));
    row.put("unmapped.mtu", Value::Map(mtus));
    row.put("unmapped.disks", Value::List(disks(place)));
    row
}

/// Whether the host waits for a reboot: the mark that Debian's packages leave, or a kernel that runs and is not installed
/// any more.
#[must_use]
pub fn reboot(place: &Place) -> Row {
    let mut row = Row::default().key("unmapped.reboot", "host");
    put_system(place, &mut row);
    let mut reasons = Vec::new();
    if place.at("run/reboot-required").exists() || place.at("var/run/reboot-required").exists() {
        reasons.push("marked".to_owned());
        let text = place.text("run/reboot-required.pkgs", TEXT_BYTES_MAX);
        reasons.extend(text.lines().map(|package| format!("package {package}")));
    }
    let kernels = place.names("lib/modules", ITEMS_MAX);
    let release = place.text("proc/sys/kernel/osrelease", 256);
    if !kernels.is_empty() && !release.is_empty() && !kernels.contains(&release) {
        reasons.push("kernel_not_installed".to_owned());
    }
    row.put("unmapped.reboot_required", Value::Bool(!reasons.is_empty()));
    row.list("unmapped.reasons", &reasons);
    row
}

#[cfg(test)]
mod tests {
    use super::super::super::super::scratch::Folder;
    use super::*;

    #[test]
    fn facts_of_a_tree_are_its_own() {
        let folder = Folder::new();
        let write = |path: &str, text: &str| {
            std::fs::create_dir_all(folder.path(path).parent().unwrap()).unwrap();
            std::fs::write(folder.path(path), text).unwrap();
        };
        write("etc/os-release", "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"13\"\n");
        write("proc/cpuinfo", "processor : 0\nmodel name : X\nflags : fpu hypervisor\nprocessor : 1\n");
        write("proc/meminfo", "MemTotal:  2048 kB\n");
        write("proc/sys/kernel/osrelease", "6.1.0\n");
        write("sys/class/net/eth0/address", "02:00:00:00:00:01\n");
        write("sys/block/vda/size", "2048\n");
        write("sys/class/dmi/id/sys_vendor", "QEMU\n");
        write("run/reboot-required", "");
        write("lib/modules/6.2.0/x", "");
        let place = Place::new(folder.as_ref());
        let row = row(&place, Timestamp(0));
        assert_eq!((row.word(".os.edition"), row.word(".os.version")), ("Debian GNU/Linux", "13"));
        assert_eq!(
            (row.value(".hw_info.cpu_count"), row.value(".hw_info.ram_size")),
            (Some(&Value::U64(2)), Some(&Value::U64(2)))
        );
        assert_eq!((row.word("unmapped.virtualization"), row.word(".hypervisor")), ("kvm", "kvm"));
        assert!(format!("{:?}", row.value("unmapped.disks")).contains("1048576"));
        assert_eq!(
            format!("{:?}", reboot(&place).value("unmapped.reasons")),
            "Some(List([String(\"marked\"), String(\"kernel_not_installed\")]))"
        );
    }

    #[test]
    fn a_system_without_a_number_of_its_version_has_one_nevertheless() {
        let folder = Folder::new();
        std::fs::create_dir_all(folder.path("etc")).unwrap();
        let version = |release: &str| {
            std::fs::write(folder.path("etc/os-release"), release).unwrap();
            reboot(&Place::new(folder.as_ref())).word(".os.version").to_owned()
        };
        assert_eq!(version("NAME=\"Arch Linux\"\nBUILD_ID=rolling\n"), "rolling");
        assert_eq!(version("NAME=x\nVERSION_ID=\n"), "unknown");
        std::fs::write(folder.path("etc/debian_version"), "forky/sid\n").unwrap();
        assert_eq!(version("NAME=\"Debian GNU/Linux\"\n"), "forky/sid");
    }

    #[test]
    fn machine_ids_are_uuids_or_nothing() {
        let uuid = machine_uuid("0123456789abcdef0123456789abcdef");
        assert_eq!(uuid.as_deref(), Some("01234567-89ab-cdef-0123-456789abcdef"));
        assert_eq!([machine_uuid("uninitialized"), machine_uuid("\u{e9}")], [None, None]);
    }
}
