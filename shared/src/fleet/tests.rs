//! The fleet file as its users know it: whole files in, configurations and sentences out.

use super::*;

/// The example of the interface document, with the sources that this version runs and those that it does not.
const FULL: &str = r#"version: 1
defaults:
  spool: { max_bytes: 1GiB, lanes: { bulk: { on_full: drop_oldest } } }
  limits: { memory: 64MiB, cpu_percent: 10, bandwidth: 10MiB/s }
  sources:
    system-logs: { type: file, include: [/var/log/auth.log, /var/log/syslog], format: syslog, lane: high }
    host:        { type: host, interval: 60s }
groups:
  - name: web
    match: { hostname: "web-*", labels: { role: web } }
    sources:
      nginx-access: { type: file, include: ["/var/log/nginx/*access*.log"], format: combined, lane: normal }
      app:          { type: file, include: ["/srv/app/logs/*.log"], multiline: { start: '^\{' }, max_line_bytes: 256KiB }
      net:          { type: packet, interface: any, filter: "not net 10.9.0.0/16", protocols: [flow, dns] }
      system-logs:  { enabled: false }
"#;

fn host(name: &str, labels: &[(&str, &str)]) -> HostFacts {
    let claimed = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    HostFacts { hostname: name.to_owned(), claimed, granted: BTreeMap::new() }
}

fn fleet(text: &str) -> Fleet {
    Fleet::parse("fleet.yaml", text.as_bytes()).unwrap_or_else(|problems| panic!("{problems}"))
}

fn refused(text: &str) -> String {
    Fleet::parse("fleet.yaml", text.as_bytes()).unwrap_err().to_string()
}

fn resolved(text: &str, host: &HostFacts) -> Loaded<AgentConfig> {
    fleet(text).resolve(host).unwrap_or_else(|problems| panic!("{problems}"))
}

fn names(config: &AgentConfig) -> Vec<&str> {
    config.sources.iter().map(|source| source.name.as_str()).collect()
}

fn file_of<'c>(config: &'c AgentConfig, name: &str) -> &'c FileSource {
    match &config.sources.iter().find(|source| source.name == name).unwrap().kind {
        SourceKind::File(file) => file,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_host_of_no_group_gets_the_defaults() {
    let loaded = resolved(FULL, &host("db-1", &[]));
    assert_eq!(names(&loaded.config), ["host", "system-logs"]);
    assert_eq!(loaded.config.groups, Vec::<String>::new());
    let file = file_of(&loaded.config, "system-logs");
    assert_eq!(file.include, ["/var/log/auth.log", "/var/log/syslog"]);
    assert_eq!((file.lane, file.format.as_str(), file.from), (Lane::High, "syslog", From::Beginning));
    assert_eq!(file.max_line_bytes, 256 << 10);
    assert_eq!(loaded.config.spool.max_bytes, 1 << 30);
    assert_eq!(loaded.config.spool.on_full, [OnFull::Block, OnFull::Block, OnFull::DropOldest]);
    assert_eq!(loaded.config.limits.bandwidth_bytes_per_second, Some(10 << 20));
}

#[test]
fn high_and_normal_block_and_bulk_drops_oldest_where_nothing_is_said() {
    let loaded = resolved("version: 1\ndefaults:\n  sources: {}\n", &host("db-1", &[]));
    assert_eq!(loaded.config.spool.on_full, [OnFull::Block, OnFull::Block, OnFull::DropOldest]);
}

#[test]
fn what_this_version_cannot_run_is_a_warning_with_a_line_and_stops_nothing() {
    let loaded = resolved(FULL, &host("WEB-7", &[("role", "Web")]));
    assert_eq!(loaded.config.groups, ["web"]);
    assert_eq!(names(&loaded.config), ["host", "net", "nginx-access"]);
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["fleet.yaml:13:69: source 'app' is not run: key 'multiline' is not available in this version"]
    );
    assert_eq!(loaded.config.unavailable.len(), 1);
    let of_the_file: Vec<String> = fleet(FULL).warnings().iter().map(ToString::to_string).collect();
    assert_eq!(of_the_file, warnings, "known without a host too");
}

#[test]
fn every_value_knows_its_line_through_a_merge() {
    let loaded = resolved(FULL, &host("web-1", &[("role", "web")]));
    let origin = |path: &str| loaded.settings.iter().find(|s| s.path == path).map(|s| s.origin.to_string());
    assert_eq!(origin("sources.system-logs.enabled").as_deref(), Some("fleet.yaml:15:32"));
    assert_eq!(origin("sources.system-logs.lane").as_deref(), Some("fleet.yaml:6:101"));
    assert_eq!(origin("sources.nginx-access.max_line_bytes").as_deref(), Some("default"));
    assert_eq!(origin("spool.lanes.high.on_full").as_deref(), Some("default"));
}

#[test]
fn five_mistakes_are_five_problems() {
    let text = "version: 1\ndefaults:\n  spool: { max_bytes: 1MiB }\n  limits: { cpu_percent: 0 }\n  sources:\n    \
                system-logs:\n      inclde: [/var/log/syslog]\n      type: file\n      include: [var/log/x]\n      lane: hihg\n";
    assert_eq!(
        refused(text),
        "fleet.yaml:3:23: defaults.spool.max_bytes: '1MiB' is out of range; 32MiB to 16TiB is allowed\n\
         fleet.yaml:4:26: defaults.limits.cpu_percent: '0' is out of range; 1 to 102400 is allowed\n\
         fleet.yaml:7:7: unknown key 'inclde' in defaults.sources.system-logs; did you mean 'include'?\n\
         fleet.yaml:9:17: defaults.sources.system-logs.include: 'var/log/x' is not an absolute path; begin it with '/'\n\
         fleet.yaml:10:13: defaults.sources.system-logs.lane: 'hihg' is not known; did you mean 'high'?"
    );
}

#[test]
fn mistakes_at_the_top_and_below_are_reported_together() {
    let text = "version: 2\ngruops: []\ndefaults: { sources: { a: { type: fil } } }\n";
    assert_eq!(
        refused(text),
        "fleet.yaml:1:10: version: '2' is out of range; 1 to 1 is allowed\n\
         fleet.yaml:2:1: unknown key 'gruops'; did you mean 'groups'?\n\
         fleet.yaml:3:35: defaults.sources.a.type: 'fil' is not known; did you mean 'file'?"
    );
}

#[test]
fn a_group_needs_a_name_and_a_match() {
    let text = "version: 1\ngroups:\n  - { name: a }\n  - { match: { hostname: x } }\n  - { name: a, match: {} }\n  \
                - { name: b, match: { hostname: '[' } }\n  - { name: c, match: [] }\n";
    let all = refused(text);
    for expected in [
        "3:5: required key 'match' is missing in groups[0]",
        "4:5: required key 'name' is missing in groups[1]",
        "5:23: an empty match holds for every host",
        "5:13: groups[2].name: 'a' is the name of an earlier group too",
        "6:35: groups[3].match[0].hostname: error parsing glob",
        "7:23: groups[4].match: the list is empty",
    ] {
        assert!(all.contains(expected), "{expected}\n{all}");
    }
}

#[test]
fn a_mistake_in_a_group_is_found_without_a_host_that_matches() {
    let text = "version: 1\ngroups:\n  - name: web\n    match: { hostname: web-* }\n    sources: { a: { type: file } }\n    \
                spool: { max_byte: 1GiB }\n";
    let all = refused(text);
    assert!(all.contains("5:19: required key 'include' is missing in groups[0].sources.a"), "{all}");
    assert!(all.contains("6:14: unknown key 'max_byte' in groups[0].spool; did you mean 'max_bytes'?"), "{all}");
}

#[test]
fn a_mistake_in_the_defaults_is_not_said_again_of_each_group() {
    let text = "version: 1\ndefaults: { spool: { max_byte: 1 } }\ngroups:\n  - { name: a, match: { hostname: a } }\n  \
                - { name: b, match: { hostname: b }, limits: { cpu: 1 } }\n";
    assert_eq!(
        refused(text),
        "fleet.yaml:2:22: unknown key 'max_byte' in defaults.spool; did you mean 'max_bytes'?\n\
         fleet.yaml:5:50: unknown key 'cpu' in groups[1].limits; valid keys: memory, cpu_percent, bandwidth"
    );
}

const LAYERS: &str = r"version: 1
defaults:
  sources:
    a: { type: file, include: [/a, /b], exclude: [/c], lane: bulk }
    b: { type: file, include: [/b] }
    c: { type: file, include: [/c] }
groups:
  - { name: first, match: { labels: { x: '1' } }, sources: { a: { include: [/z], exclude: null }, b: null } }
  - { name: second, match: [ { hostname: [one, two] }, { labels: { x: '2' } } ], sources: { a: { lane: high }, c: { type: journald } } }
  - { name: granted, trusted: true, match: { labels: { zone: dmz } }, sources: { d: { type: file, include: [/d] } } }
";

#[test]
fn groups_merge_in_file_order_lists_replace_and_null_deletes() {
    let config = resolved(LAYERS, &host("two", &[("x", "1")])).config;
    assert_eq!(config.groups, ["first", "second"]);
    assert_eq!(names(&config), ["a"]);
    let a = file_of(&config, "a");
    assert_eq!((&*a.include, a.exclude.is_empty(), a.lane), (&["/z".to_owned()][..], true, Lane::High));
    assert_eq!(
        config.unavailable.iter().map(|source| &*source.name).collect::<Vec<_>>(),
        ["c"],
        "another type replaces"
    );
}

#[test]
fn a_group_switches_off_what_it_inherits_and_a_later_one_on_again() {
    let text = "version: 1\ndefaults: { sources: { a: { type: file, include: [/a] }, b: { type: host } } }\ngroups:\n  \
                - { name: quiet, match: { labels: { tier: test } }, sources: { a: { enabled: false }, b: { enabled: false } } }\n  \
                - { name: loud, match: { hostname: web-1 }, sources: { a: { enabled: true } } }\n";
    assert_eq!(names(&resolved(text, &host("x", &[])).config), ["a", "b"]);
    assert!(resolved(text, &host("x", &[("tier", "test")])).config.sources.is_empty());
    let both = resolved(text, &host("web-1", &[("tier", "test")]));
    assert_eq!(names(&both.config), ["a"]);
    assert!(both.config.unavailable.is_empty() && both.warnings.is_empty(), "what is off is no trouble");
}

#[test]
fn a_list_of_maps_is_or_and_globs_are_anchored() {
    assert_eq!(resolved(LAYERS, &host("x", &[("x", "2")])).config.groups, ["second"]);
    assert_eq!(resolved(LAYERS, &host("twofold", &[])).config.groups, Vec::<String>::new());
}

#[test]
fn a_trusted_group_is_deaf_to_claimed_labels() {
    let mut facts = host("x", &[("zone", "dmz")]);
    assert_eq!(resolved(LAYERS, &facts).config.groups, Vec::<String>::new());
    facts.granted.insert("zone".into(), "DMZ".into());
    assert_eq!(resolved(LAYERS, &facts).config.groups, ["granted"]);
}

#[test]
fn a_granted_label_hides_a_claimed_one() {
    let mut facts = host("x", &[("x", "1")]);
    facts.granted.insert("x".into(), "9".into());
    assert_eq!(resolved(LAYERS, &facts).config.groups, Vec::<String>::new());
}

#[test]
fn an_override_of_a_source_that_the_host_lacks_is_harmless() {
    let text = "version: 1\ngroups:\n  - { name: a, match: { hostname: a* }, sources: { s: { type: file, include: [/x] } } }\n  \
                - { name: b, match: { hostname: '*b' }, sources: { s: { lane: high }, t: { enabled: false } } }\n";
    let alone = resolved(text, &host("b", &[]));
    assert!(alone.config.sources.is_empty());
    assert_eq!(alone.config.unavailable[0].reason, "no group that holds for this host gives it a type");
    let both = resolved(text, &host("ab", &[]));
    assert_eq!(file_of(&both.config, "s").lane, Lane::High);
    assert!(both.warnings.is_empty());
}

#[test]
fn a_source_to_which_no_layer_gives_a_type_is_a_mistake() {
    let text = "version: 1\ndefaults: { sources: { s: { include: [/x] } } }\n";
    assert_eq!(refused(text), "fleet.yaml:2:27: required key 'type' is missing in defaults.sources.s");
}

#[test]
fn random_edits_never_panic_and_every_problem_has_a_line() {
    for seed in 0..2_000_u64 {
        let mut random = crate::yaml::mutation::Random::new(seed);
        let text = crate::yaml::mutation::edited(if seed % 2 == 0 { FULL } else { LAYERS }.as_bytes(), &mut random);
        let outcome = std::panic::catch_unwind(|| {
            match Fleet::parse("fleet.yaml", &text).and_then(|fleet| fleet.resolve(&host("web-1", &[("role", "web")])))
            {
                Ok(_) => {}
                Err(problems) => {
                    assert!(!problems.listed().is_empty());
                    assert!(
                        problems.listed().iter().all(|problem| problem.place.line >= 1 && !problem.message.is_empty())
                    );
                }
            }
        });
        assert!(outcome.is_ok(), "seed {seed}: {}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn packet_source_has_defaults_and_says_where_its_filter_stands() {
    let loaded = resolved(FULL, &host("web-7", &[("role", "web")]));
    let SourceKind::Packet(net) = &loaded.config.sources[1].kind else { panic!("{:?}", loaded.config.sources) };
    assert_eq!((net.interface.as_str(), net.filter.as_deref()), ("any", Some("not net 10.9.0.0/16")));
    assert_eq!(net.filter_place, Place { line: 14, column: 61 });
    assert_eq!(net.protocols, [Protocol::Flow, Protocol::Dns]);
    assert_eq!((net.snap_length, net.buffer_bytes, net.promiscuous), (16 << 10, 4 << 20, false));
    assert_eq!((net.flows_max, net.update_interval.as_secs(), net.lane), (32_768, 300, Lane::Bulk));
    let all = resolved("version: 1\ndefaults: { sources: { net: { type: packet } } }\n", &host("h", &[]));
    let SourceKind::Packet(net) = &all.config.sources[0].kind else { panic!("{:?}", all.config.sources) };
    assert_eq!((net.protocols.len(), &net.filter), (Protocol::ALL.len(), &None));
}

#[test]
fn mistakes_of_a_packet_source_have_their_lines() {
    let text = "version: 1\ndefaults:\n  sources:\n    net:\n      type: packet\n      interface: a/b\n      protocols: [flow, dsn]\n      \
                snap_length: 1B\n      promiscuos: true\n";
    assert_eq!(
        refused(text),
        "fleet.yaml:6:18: defaults.sources.net.interface: 'a/b' is not the name of an interface, or any\n\
         fleet.yaml:7:25: defaults.sources.net.protocols: 'dsn' is not known; did you mean 'dns'?\n\
         fleet.yaml:8:20: defaults.sources.net.snap_length: '1B' is out of range; 256B to 256KiB is allowed\n\
         fleet.yaml:9:7: unknown key 'promiscuos' in defaults.sources.net; did you mean 'promiscuous'?"
    );
    let empty = "version: 1\ndefaults: { sources: { net: { type: packet, protocols: [] } } }\n";
    assert!(refused(empty).contains("nothing would be told"), "{}", refused(empty));
    let any = "version: 1\ndefaults: { sources: { net: { type: packet, promiscuous: true } } }\n";
    assert!(
        refused(any).contains("fleet.yaml:2:58: defaults.sources.net.promiscuous: all interfaces"),
        "{}",
        refused(any)
    );
}

#[test]
fn host_source_has_defaults_and_its_mistakes_have_their_lines() {
    let all = resolved("version: 1\ndefaults: { sources: { h: { type: host } } }\n", &host("h", &[]));
    let SourceKind::Host(found) = &all.config.sources[0].kind else { panic!("{:?}", all.config.sources) };
    assert_eq!((found.interval.as_secs(), found.full_inventory.as_secs()), (60, 86_400));
    assert_eq!((found.tables.len(), found.metrics, found.lane), (HOST_TABLES.len(), true, Lane::Bulk));
    let text =
        "version: 1\ndefaults:\n  sources:\n    h:\n      type: host\n      interval: 1s\n      tables: [procesess]\n";
    assert_eq!(
        refused(text),
        "fleet.yaml:6:17: defaults.sources.h.interval: '1s' is out of range; 5s to 1d is allowed\n\
         fleet.yaml:7:16: defaults.sources.h.tables: 'procesess' is not known; did you mean 'processes'?"
    );
}

#[test]
fn integrity_source_has_defaults_and_takes_plain_paths_only() {
    let of =
        |source: &str| format!("version: 1\ndefaults: {{ sources: {{ fim: {{ type: integrity, {source} }} }} }}\n");
    let loaded = resolved(&of("paths: [/etc, /usr/bin/], exclude: ['/etc/mtab']"), &host("h", &[]));
    let SourceKind::Integrity(fim) = &loaded.config.sources[0].kind else { panic!("{:?}", loaded.config.sources) };
    assert_eq!((fim.paths.len(), fim.exclude.len(), fim.interval.as_secs()), (2, 1, 3_600));
    assert_eq!((fim.hash_bytes_max, fim.watch_max, fim.cpu_percent, fim.lane), (64 << 20, 8_192, 10, Lane::High));
    for (source, problem) in [
        ("exclude: [/x]", "paths"),
        ("paths: [etc]", "'etc' is not an absolute path"),
        ("paths: [/]", "'/' is all of the host"),
        ("paths: ['/etc/*']", "'/etc/*' is not a plain path"),
        ("paths: [/etc/../usr]", "'/etc/../usr' is not a plain path"),
        ("paths: [/etc], interval: 1s", "out of range"),
    ] {
        assert!(refused(&of(source)).contains(problem), "{}", refused(&of(source)));
    }
}
