//! What is exported can be checked without this program, and read again with it.

use std::io::BufRead as _;
use std::process::{Command, Stdio};

use shared::frame::{Header, Opener};
use shared::protocol::{ChainState, Placing, place};

use super::*;
use crate::command::scratch::Scratch;
use crate::journal::offline::testing::{AGENT, AGGREGATOR, CHAIN, Maker};

const DOS: u8 = shared::batch::FLAG_CRLF;

fn journal(name: &str) -> (Scratch, Maker) {
    let scratch = Scratch::initialized(name);
    let mut maker = Maker::at(scratch.state());
    maker.raw_lines(&[(b"unix", 0), (b"dos", DOS), (b"\xff\x00", 0)]);
    maker.lose(2, 5);
    maker.lines(&["last"]);
    (scratch, maker)
}

fn read(scratch: &Scratch, name: &str) -> Vec<u8> {
    std::fs::read(scratch.dir.join("out").join(name)).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

/// Holds the list of hashes against the files, by our own hand and by `sha256sum -c` where there is one.
#[track_caller]
fn assert_sums(scratch: &Scratch, names: &[&str]) {
    let sums = String::from_utf8(read(scratch, "SHA256SUMS")).unwrap();
    let listed: Vec<(&str, &str)> = sums.lines().map(|line| line.split_once("  ").unwrap()).collect();
    assert_eq!(listed.iter().map(|(_, name)| *name).collect::<Vec<_>>(), names);
    for (sum, name) in listed {
        assert_eq!(sum, sha256(&read(scratch, name)), "{name}");
    }
    let check = Command::new("sha256sum")
        .args(["--quiet", "--strict", "-c", "SHA256SUMS"])
        .current_dir(scratch.dir.join("out"))
        .stderr(Stdio::null())
        .status();
    match check {
        Ok(status) => assert!(status.success()),
        Err(error) => println!("skipped: sha256sum: {error}"),
    }
}

#[test]
fn lines_come_byte_equal_with_a_manifest_that_names_every_file_and_chain() {
    let (scratch, mut maker) = journal("export-manifest");
    let (shown, result) = scratch.output(&format!("journal export --agent {AGENT} --since 2026-01-01 --out DIR/out"));
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(read(&scratch, "lines.raw"), b"unix\ndos\r\n\xff\x00\nlast\n");
    assert_sums(&scratch, &["lines.raw", "manifest.json"]);
    let manifest = read(&scratch, "manifest.json");
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains(&sha256(&manifest)) && shown.contains("out/manifest.json"), "{shown}");
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["made_by"], format!("{PROGRAM} {VERSION}"));
    assert_eq!(manifest["made_at"], scratch.now.to_string());
    assert_eq!(manifest["query"]["agent"], AGENT.to_string());
    assert_eq!(manifest["query"]["received_since"], "2026-01-01T00:00:00.000Z");
    assert_eq!((&manifest["query"]["form"], &manifest["query"]["uid"]), (&"lines".into(), &Value::Null));
    let lines = read(&scratch, "lines.raw");
    let file = json!({ "name": "lines.raw", "bytes": lines.len(), "sha256": sha256(&lines) });
    assert_eq!(manifest["files"], json!([file]));
    assert_eq!((&manifest["counts"]["lines"], &manifest["counts"]["frames"]), (&4.into(), &4.into()));
    let [chain] = &manifest["chains"].as_array().unwrap()[..] else { panic!("{manifest}") };
    let end = maker.journal().chains().books(CHAIN).unwrap().state;
    assert_eq!((&chain["lane"], &chain["epoch"]), (&"normal".into(), &CHAIN.epoch.to_string().into()));
    assert_eq!((&chain["first_sequence"], &chain["last_sequence"]), (&1.into(), &end.through.into()));
    assert_eq!((&chain["head"], &chain["unbroken"]), (&end.head.to_string().into(), &true.into()));
    let (first, last) = (chain["first_position"].as_u64().unwrap(), chain["last_position"].as_u64().unwrap());
    assert_eq!(last - first, 3);
}

#[test]
fn a_file_of_frames_is_read_again_and_its_chain_ends_at_the_head_of_the_manifest() {
    let (scratch, _maker) = journal("export-frames");
    assert!(scratch.output(&format!("journal export --frames --agent {AGENT} --out DIR/out")).1.is_ok());
    assert_sums(&scratch, &["frames.bin", "frames.ndjson", "manifest.json"]);
    let (bytes, index) = (read(&scratch, "frames.bin"), read(&scratch, "frames.ndjson"));
    let manifest: Value = serde_json::from_slice(&read(&scratch, "manifest.json")).unwrap();
    let rows: Vec<Value> = index.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    let (mut at, mut state, mut opener) = (0, ChainState::EMPTY, Opener::default());
    for row in &rows {
        assert_eq!(row["offset"], at);
        let len = Header::parse(&bytes[at..]).unwrap().frame_len();
        let frame = Frame::parse(bytes[at..at + len].to_vec()).unwrap();
        assert_eq!(
            (&row["hash"], &row["sequence"]),
            (&frame.hash().to_string().into(), &frame.header().sequence.into())
        );
        assert_eq!((&row["peer"], &row["certificate_serial"]), (&"192.0.2.7:5000".into(), &"07".repeat(16).into()));
        let Placing::Next(after) = place(&state, &frame, &mut opener) else { panic!("{frame:?} on {state:?}") };
        (at, state) = (at + len, after);
    }
    assert_eq!((at, rows.len()), (bytes.len(), 4));
    let chain = &manifest["chains"][0];
    assert_eq!((&chain["head"], &chain["last_sequence"]), (&state.head.to_string().into(), &state.through.into()));
    assert_eq!(chain["next_record"], state.next_record);
}

#[test]
fn one_event_is_its_raw_line_with_a_manifest_of_its_own_and_one_that_is_not_there_leaves_nothing() {
    let (scratch, _maker) = journal("export-event");
    let uid = |record: u64| format!("{AGENT}-{}-normal-{record}", CHAIN.epoch);
    assert!(scratch.output(&format!("journal export --uid {} --out DIR/out", uid(2))).1.is_ok());
    assert_eq!(read(&scratch, "lines.raw"), b"dos\r\n");
    let manifest: Value = serde_json::from_slice(&read(&scratch, "manifest.json")).unwrap();
    assert_eq!((&manifest["query"]["uid"], &manifest["chains"][0]["frames"]), (&uid(2).into(), &1.into()));
    let (shown, result) = scratch.output(&format!("journal export --uid {} --out DIR/none", uid(5)));
    assert_eq!((shown.len(), result.unwrap_err().reason), (0, Reason::Data));
    assert!(!scratch.dir.join("none").exists());
}

#[test]
fn an_export_that_breaks_off_leaves_no_manifest_and_one_into_a_full_folder_changes_nothing() {
    let (scratch, _maker) = journal("export-broken");
    let files = JournalFiles::open(&scratch.state().join("journal")).unwrap();
    let selection = Selection { agent: Some(AGENT), ..Selection::default() };
    let dir = scratch.dir.join("out");
    let mut parcel = Parcel::create(&dir).unwrap();
    let mut part = parcel.begin("lines.raw").unwrap();
    let mut lines = 0;
    let broken = files.export(&selection, &mut |line| {
        lines += 1;
        part.write_all(line.line.bytes)?;
        if lines == 2 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    });
    assert!(matches!(broken, Err(ExportError::Write(_))) && dir.join("lines.raw").exists());
    drop(parcel);
    assert!(!dir.exists());
    scratch.file("aggregator.yaml.bak", "mine");
    let exit = scratch.output("journal export --out DIR").1.unwrap_err();
    assert_eq!(exit.reason, Reason::CannotCreate);
    assert!(exit.to_string().contains("not empty") && !scratch.dir.join("manifest.json").exists(), "{exit}");
    let exit = scratch.output("journal export --since 03:00 --until 02:00 --out DIR/out").1.unwrap_err();
    assert_eq!((exit.reason, dir.exists()), (Reason::Usage, false));
}

#[test]
fn rows_and_what_the_aggregator_says_itself_come_into_a_folder_too() {
    let (scratch, _maker) = journal("export-rows");
    let (shown, result) = scratch.output("journal export --out DIR/out --output ndjson");
    assert!(result.is_ok(), "{result:?}");
    let card: Value = serde_json::from_slice(&shown).unwrap();
    assert_eq!(card["sha256"], sha256(&read(&scratch, "manifest.json")));
    assert_sums(&scratch, &["lines.ndjson", "manifest.json"]);
    let rows: Vec<Value> =
        read(&scratch, "lines.ndjson").lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert_eq!((rows.len(), &rows[0]["raw"]), (4, &"unix".into()));
    let manifest: Value = serde_json::from_slice(&read(&scratch, "manifest.json")).unwrap();
    let agents: Vec<_> = manifest["chains"].as_array().unwrap().iter().map(|chain| chain["agent"].clone()).collect();
    assert_eq!(agents, [Value::from(AGGREGATOR.to_string()), AGENT.to_string().into()]);
}
