//! What the commands print and how they end, on a real journal.

use super::*;
use crate::command::scratch::Scratch;
use crate::journal::offline::testing::{Maker, flip};

fn journal(name: &str) -> (Scratch, Maker) {
    let scratch = Scratch::initialized(name);
    let mut maker = Maker::at(scratch.state());
    maker.lines(&["first"]);
    maker.fill_segments(2);
    maker.lines(&["last"]);
    (scratch, maker)
}

fn save_heads(scratch: &Scratch, form: &str) {
    let (out, result) = scratch.output(&format!("journal heads --output {form}"));
    result.unwrap();
    std::fs::write(scratch.dir.join("heads"), out).unwrap();
}

fn verdicts(rows: &[Value]) -> Vec<(&str, &str, &str)> {
    let anchored = rows.iter().filter(|row| row["check"] == "anchors" && !row["anchor"].is_null());
    anchored
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap_or_default();
            (text("anchor").split(' ').next().unwrap(), text("verdict"), text("outcome"))
        })
        .collect()
}

#[test]
fn heads_prints_every_seal_and_the_end_and_verify_holds_the_journal_against_them() {
    let (scratch, mut maker) = journal("heads");
    for form in ["json", "ndjson"] {
        save_heads(&scratch, form);
        assert!(scratch.output("journal verify --against DIR/heads").1.is_ok());
        let rows = scratch.rows("journal verify --against DIR/heads");
        let intact = |anchor| (anchor, "intact", "ok");
        assert_eq!(verdicts(&rows), [intact("seal"), intact("seal"), intact("end")], "{rows:?}");
        assert!(rows.iter().any(|row| row["check"] == "seals" && row["detail"] == "2 seals"));
    }
    let rows = scratch.rows("journal heads");
    let kinds: Vec<&str> = rows.iter().map(|row| row["anchor"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["journal", "seal", "seal", "end", "head", "head"]);
    assert_eq!((rows[1]["number"].as_u64(), rows[2]["previous"].as_str()), (Some(1), rows[1]["hash"].as_str()));
    assert_eq!(rows[3]["last_position"].as_u64(), Some(maker.journal().committed_numbers().0 - 1));
    let table = scratch.text("journal heads").unwrap();
    assert!(table.starts_with("ANCHOR") && table.contains(rows[1]["hash"].as_str().unwrap()), "{table}");
    // With the journal gone from under it.
    maker.close();
    flip(&maker.segments()[0], 100_000);
    assert_eq!(scratch.output("journal verify --against DIR/heads").1.unwrap_err().reason, Reason::Data);
    let rows = scratch.rows("journal verify --against DIR/heads");
    assert_eq!(verdicts(&rows)[0], ("seal", "altered", "fail"));
    let row = rows.iter().find(|row| row["anchor"] == "seal 1" && row["check"] == "anchors").unwrap();
    assert_eq!(row["since"], "the beginning");
    std::fs::remove_file(&maker.segments()[1]).unwrap();
    assert_eq!(verdicts(&scratch.rows("journal verify --against DIR/heads"))[1], ("seal", "removed", "fail"));
    std::fs::remove_file(&maker.segments()[1]).unwrap();
    assert_eq!(verdicts(&scratch.rows("journal verify --against DIR/heads"))[2], ("end", "cut", "fail"));
}

#[test]
fn authority_that_was_put_in_the_place_of_the_real_one_is_not_believed() {
    let (scratch, mut maker) = journal("heads-authority");
    maker.close();
    assert!(scratch.output("journal verify").1.is_ok());
    let other = Authority::generate(scratch.now).unwrap();
    let pem = shared::tls::to_pem("CERTIFICATE", other.certificate());
    std::fs::write(scratch.state().join("ca/ca.crt"), pem).unwrap();
    assert_eq!(scratch.output("journal verify").1.unwrap_err().reason, Reason::Data);
    // Without any the seals are held against the keys that they name.
    std::fs::remove_file(scratch.state().join("ca/ca.crt")).unwrap();
    assert!(scratch.output("journal verify").1.is_ok());
}

#[test]
fn file_of_anchors_that_is_none_is_65_and_one_that_is_not_there_74() {
    let (scratch, _maker) = journal("heads-file");
    scratch.file("table", &scratch.text("journal heads").unwrap());
    let exit = scratch.output("journal verify --against DIR/table").1.unwrap_err();
    assert_eq!(exit.reason, Reason::Data);
    assert!(exit.to_string().contains("journal heads --output json"), "{exit}");
    assert_eq!(scratch.output("journal verify --against DIR/none").1.unwrap_err().reason, Reason::Io);
}

#[test]
fn repair_says_what_it_did_and_is_refused_while_the_aggregator_has_the_lock() {
    let (scratch, mut maker) = journal("heads-repair");
    maker.close();
    let writer = Writer::for_owner_of(&scratch.state()).unwrap();
    let running = StateLock::take(&scratch.state(), &writer).unwrap();
    let exit = scratch.output("journal verify --repair").1.unwrap_err();
    assert_eq!(exit.reason, Reason::Unavailable);
    assert!(exit.to_string().contains("stop the aggregator before --repair"), "{exit}");
    drop(running);
    let rows = scratch.rows("journal verify --repair");
    assert!(rows[0]["check"] == "repair" && rows[0]["detail"].as_str().unwrap().contains("0 segments were sealed"));
    assert!(rows.iter().all(|row| row["outcome"] == "ok"), "{rows:?}");
    // Sealed up to its end, by the stop that follows every repair.
    assert!(rows.iter().any(|row| row["check"] == "seals" && row["detail"] == "3 seals"), "{rows:?}");
    std::fs::remove_dir_all(scratch.state().join("journal")).unwrap();
    assert_eq!(scratch.output("journal verify --repair").1.unwrap_err().reason, Reason::Config);
    assert!(!scratch.state().join("journal").exists());
}
