//! Somebody who can write the disk, and knows every format, is found out; who only let time pass is not accused.

use std::path::{Path, PathBuf};

use super::super::testing::{AGENT, AGGREGATOR, CHAIN, Maker, flip, rewrite};
use super::super::verify::{Trust, Verdict, verify};
use super::super::{JournalFiles, repair};
use super::*;
use crate::ca::signature::Signer;
use crate::journal::seal::Seal;

const FRAME: u8 = 1;
const SEAL: u8 = 5;

fn trust(against: Option<&Anchors>) -> Trust {
    Trust { keys: vec![Signer::of_tests().key_hash()], against: against.cloned() }
}

fn judged(maker: &Maker, against: Option<&Anchors>) -> Verdict {
    verify(&maker.dir.join("journal"), &trust(against)).unwrap()
}

fn anchors(maker: &Maker) -> Anchors {
    JournalFiles::open(&maker.dir.join("journal")).unwrap().anchors(maker.now()).unwrap()
}

/// Name, fate and `since` of every anchor, the heads' too.
fn fates(verdict: &Verdict) -> Vec<(String, &'static str, String)> {
    let named = verdict.findings.iter().filter(|finding| finding.check == "anchors");
    let name = |finding: &Finding| {
        let name = finding.anchor.clone().unwrap_or_default();
        if name.starts_with("end") { "end".to_owned() } else { name }
    };
    let fate = |finding: &Finding| finding.fate.unwrap().name();
    named.map(|found| (name(found), fate(found), found.since.clone().unwrap_or_default())).collect()
}

fn seals_found(verdict: &Verdict) -> Vec<(Fate, String)> {
    let found = verdict.findings.iter().filter(|finding| finding.check == "seals");
    found.map(|finding| (finding.fate.unwrap(), finding.anchor.clone().unwrap())).collect()
}

fn all_intact(verdict: &Verdict) -> bool {
    verdict.is_whole() && fates(verdict).iter().all(|(_, fate, _)| *fate == "intact")
}

/// A journal of four segments, the last of them not finished.
fn journal(name: &str) -> Maker {
    let mut maker = Maker::new(name);
    maker.lines(&["first"]);
    maker.fill_segments(3);
    maker.lines(&["last"]);
    maker
}

fn copy_of(maker: &Maker, name: &str) -> PathBuf {
    let copy = maker.dir.join(name);
    let _ = std::fs::remove_dir_all(&copy);
    std::fs::create_dir(&copy).unwrap();
    for path in maker.segments() {
        std::fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    copy
}

fn restore(maker: &Maker, copy: &Path) {
    let dir = maker.dir.join("journal");
    std::fs::remove_dir_all(&dir).unwrap();
    std::fs::rename(copy, &dir).unwrap();
}

#[test]
fn journal_that_went_on_is_intact_at_every_anchor() {
    let mut maker = journal("against-intact");
    let taken = anchors(&maker);
    assert_eq!((taken.seals.len(), taken.ends.len(), taken.heads.len()), (3, 1, 2));
    assert_eq!(taken.aggregator, Some(AGGREGATOR));
    assert!(taken.seals.windows(2).all(|pair| pair[1].statement.previous == pair[0].hash()));
    for more in 0..3 {
        let verdict = judged(&maker, Some(&taken));
        assert!(all_intact(&verdict) && fates(&verdict).len() == 4, "after {more}: {verdict:?}");
        assert_eq!(verdict.anchors, Some((4, 2)));
        if more == 1 {
            maker.close();
        } else {
            maker.lines(&["more"]);
            maker.fill_segments(1);
        }
    }
    // A clean stop seals the end; what comes after it goes on in the same segment.
    maker.journal().seal_end().unwrap();
    let stopped = anchors(&maker);
    maker.close();
    maker.fill_segments(1);
    let verdict = judged(&maker, Some(&stopped));
    assert!(all_intact(&verdict) && stopped.seals.len() >= 6, "{verdict:?}");
    assert_eq!(seals_found(&verdict), []);
}

#[test]
fn rows_of_anchors_are_read_back_from_json_and_ndjson_and_from_several_of_them() {
    let mut maker = journal("against-rows");
    let taken = anchors(&maker);
    let rows: Vec<serde_json::Value> = taken.rows().iter().map(|row| serde_json::to_value(row).unwrap()).collect();
    let json = serde_json::to_vec(&rows).unwrap();
    let ndjson: Vec<u8> = rows.iter().flat_map(|row| [row.to_string().into_bytes(), b"\n".to_vec()].concat()).collect();
    assert_eq!(Anchors::parse(&json).unwrap(), taken);
    assert_eq!(Anchors::parse(&ndjson).unwrap(), taken);
    maker.fill_segments(1);
    let later: Vec<u8> = serde_json::to_vec(&anchors(&maker).rows()).unwrap();
    let both = Anchors::parse(&[ndjson.clone(), later].concat()).unwrap();
    assert_eq!((both.seals.len(), both.ends.len()), (4, 2));
    assert!(all_intact(&judged(&maker, Some(&both))));
    // A seal in the file that was changed is noticed, and so is what is none.
    let forged = String::from_utf8(json).unwrap().replacen(
        "\"signed\":\"cGlja2V0IHNlYWwAAQ",
        "\"signed\":\"cGlja2V0IHNlYWwAAf",
        1,
    );
    for (bytes, what) in [
        (forged.as_bytes(), "no anchor"),
        (b"[]", "no anchors"),
        (b"{\"anchor\":\"what\"}", "'what' is not a kind"),
        (b"ANCHOR  WHAT", "journal heads --output json"),
        (b"[{\"anchor\":\"end\",\"log\":\"00\"}]", "'log' is not 16 bytes"),
    ] {
        let error = Anchors::parse(bytes).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
    let mut seal = taken.seals[0].clone();
    seal.statement.number = 77;
    let row = serde_json::to_vec(&Anchors { seals: vec![seal], ..taken }.rows()).unwrap();
    assert!(Anchors::parse(&row).unwrap_err().to_string().contains("seal 77 does not hold"));
}

#[test]
fn bytes_that_were_rewritten_with_every_checksum_mended_are_altered() {
    let mut maker = journal("against-altered");
    let taken = anchors(&maker);
    maker.close();
    let path = maker.segments()[1].clone();
    let whole = std::fs::read(&path).unwrap();
    // Another peer for a frame: no checksum of the frame covers it.
    let other_peer = |path: &Path| {
        let mut left = 1;
        rewrite(path, &mut |_, kind, payload| {
            if kind == FRAME && left == 1 {
                payload[30] ^= 1;
                left = 0;
            }
        });
    };
    other_peer(&path);
    let verdict = judged(&maker, None);
    assert_eq!(verdict.findings.len(), 1, "checksums and chains find nothing: {verdict:?}");
    assert_eq!(seals_found(&verdict), [(Fate::Altered, "seal 2".to_owned())]);
    let verdict = judged(&maker, Some(&taken));
    let altered = ("seal 2".to_owned(), "altered", "seal 1".to_owned());
    assert_eq!(fates(&verdict)[1], altered);
    assert_eq!(fates(&verdict).iter().filter(|(_, fate, _)| *fate == "intact").count(), 3);
    // The digest in the seal mended too: the signature is not.
    let mut hash = None;
    rewrite(&path, &mut |offset, kind, payload| {
        if kind == SEAL {
            let first = u64::from_le_bytes(std::fs::read(&path).unwrap()[24..32].try_into().unwrap());
            let covered = usize::try_from(offset - first).unwrap();
            let sha256 = shared::tls::sha256(&std::fs::read(&path).unwrap()[64..64 + covered]);
            payload[98..130].copy_from_slice(&sha256);
            hash = Some(Seal::decode(payload).unwrap().0.statement.digest.sha256 == sha256);
        }
    });
    assert_eq!(hash, Some(true), "the digest stands where this test thinks");
    let verdict = judged(&maker, None);
    assert!(seals_found(&verdict).contains(&(Fate::Altered, "seal 2".to_owned())), "{verdict:?}");
    assert_eq!(fates(&judged(&maker, Some(&taken)))[1], altered);
    std::fs::write(&path, whole).unwrap();
    assert!(all_intact(&judged(&maker, Some(&taken))));
}

#[test]
fn seals_of_a_key_that_is_not_the_authoritys_are_no_seals() {
    let mut maker = journal("against-key");
    let taken = anchors(&maker);
    maker.close();
    let stranger = Trust { keys: vec![Signer::generate().key_hash()], against: None };
    let verdict = verify(&maker.dir.join("journal"), &stranger).unwrap();
    let altered = |number: u64| (Fate::Altered, seal_name(number));
    assert_eq!(seals_found(&verdict), [altered(1), altered(2), altered(3)]);
    assert!(verdict.findings[0].detail.contains("not this authority's"), "{verdict:?}");
    // The key of anchors that somebody kept is believed.
    let trust = Trust { against: Some(taken), ..stranger };
    assert!(all_intact(&verify(&maker.dir.join("journal"), &trust).unwrap()));
}

#[test]
fn segment_that_went_from_the_middle_or_the_beginning_is_removed() {
    let mut maker = journal("against-removed");
    let taken = anchors(&maker);
    maker.close();
    let copy = copy_of(&maker, "copy");
    for number in [0, 1, 2] {
        std::fs::remove_file(&maker.segments()[number]).unwrap();
        let verdict = judged(&maker, None);
        assert!(seals_found(&verdict).iter().any(|(fate, _)| *fate == Fate::Removed), "{number}: {verdict:?}");
        assert!(!seals_found(&verdict).iter().any(|(fate, _)| *fate == Fate::Unsealed), "{number}: {verdict:?}");
        let fates = fates(&judged(&maker, Some(&taken)));
        let since = if number == 0 { "the beginning".to_owned() } else { seal_name(number as u64) };
        assert_eq!(fates[number], (seal_name(number as u64 + 1), "removed", since));
        assert_eq!(fates.iter().filter(|(_, fate, _)| *fate == "intact").count(), 3, "{fates:?}");
        restore(&maker, &copy);
        copy_of(&maker, "copy");
    }
}

#[test]
fn journal_that_ends_early_is_cut_wherever_it_ends() {
    let mut maker = journal("against-cut");
    let old = copy_of(&maker, "old");
    maker.fill_segments(1);
    maker.lines(&["what the copy lacks"]);
    let taken = anchors(&maker);
    maker.close();
    let whole = copy_of(&maker, "whole");
    // The newest segment.
    let newest = maker.segments().pop().unwrap();
    std::fs::remove_file(&newest).unwrap();
    let verdict = judged(&maker, Some(&taken));
    assert!(judged(&maker, None).is_whole(), "nothing in it says that there was more");
    let end = |verdict: &Verdict| fates(verdict).into_iter().find(|(name, ..)| name == "end").unwrap();
    assert_eq!(end(&verdict), ("end".to_owned(), "cut", "seal 4".to_owned()));
    assert!(fates(&verdict).iter().any(|(name, fate, _)| name.starts_with("head") && *fate == "cut"), "{verdict:?}");
    restore(&maker, &whole);
    // Its last record.
    let bytes = std::fs::read(&newest).unwrap();
    let last = usize::try_from(taken.ends[0].digest.end - taken.ends[0].digest.first).unwrap() + 64 - 40;
    std::fs::write(&newest, [&bytes[..last], &vec![0; bytes.len() - last][..]].concat()).unwrap();
    let verdict = judged(&maker, Some(&taken));
    assert_eq!(end(&verdict).1, "cut");
    assert!(!verdict.is_whole());
    // An older copy of all of it, which goes on.
    restore(&maker, &old);
    let verdict = judged(&maker, Some(&taken));
    assert_eq!(end(&verdict), ("end".to_owned(), "cut", "seal 3".to_owned()), "{verdict:?}");
    assert_eq!(fates(&verdict)[3], ("seal 4".to_owned(), "cut", "seal 3".to_owned()));
}

#[test]
fn older_copy_that_went_on_is_altered_from_where_it_was_taken() {
    let mut maker = journal("against-copy");
    let old = copy_of(&maker, "old");
    maker.lines(&["said once"]);
    maker.fill_segments(1);
    let taken = anchors(&maker);
    maker.close();
    restore(&maker, &old);
    let mut again = Maker::at(maker.dir.clone());
    again.lines(&["said differently"]);
    again.fill_segments(2);
    again.close();
    let fates = fates(&judged(&maker, Some(&taken)));
    assert!(fates[..3].iter().all(|(_, fate, _)| *fate == "intact"), "{fates:?}");
    assert_eq!((fates[3].1, fates[3].2.as_str()), ("altered", "seal 3"));
}

#[test]
fn other_bytes_in_what_was_not_sealed_yet_are_altered() {
    let mut maker = journal("against-end");
    let taken = anchors(&maker);
    maker.close();
    let newest = maker.segments().pop().unwrap();
    rewrite(&newest, &mut |_, kind, payload| {
        if kind == FRAME {
            payload[30] ^= 1;
        }
    });
    assert!(judged(&maker, None).is_whole(), "nobody has signed it");
    let verdict = judged(&maker, Some(&taken));
    assert_eq!(fates(&verdict)[3], ("end".to_owned(), "altered", "seal 3".to_owned()));
    assert!(!verdict.is_whole());
}

#[test]
fn what_the_aggregator_let_go_is_retired_and_no_mark_of_it_can_be_forged() {
    let mut maker = journal("against-retired");
    let taken = anchors(&maker);
    let position = maker.journal().committed_numbers().0;
    let segments = maker.segments();
    let gone = std::fs::read(&segments[0]).unwrap();
    assert_eq!(maker.journal().trim(position, true).unwrap(), 1);
    maker.lines(&["after"]);
    for more in 0..2 {
        let verdict = judged(&maker, Some(&taken));
        assert_eq!(fates(&verdict)[0], (seal_name(1), "retired", "the beginning".to_owned()));
        assert!(verdict.is_whole() && seals_found(&verdict).is_empty(), "{more}: {verdict:?}");
        // The mark itself goes with its segment; the states after it have it too.
        maker.fill_segments(1);
    }
    maker.close();
    // A crash between mark and unlink leaves the segment, or part of it: it counts as gone.
    std::fs::write(&segments[0], &gone[..gone.len() / 2]).unwrap();
    assert!(judged(&maker, None).is_whole());
    maker.journal();
    assert!(!segments[0].exists(), "and the next start lets it go");
    // More than was let go.
    maker.close();
    std::fs::remove_file(&segments[1]).unwrap();
    let verdict = judged(&maker, Some(&taken));
    assert_eq!(fates(&verdict)[1].1, "removed");
    assert!(seals_found(&verdict).iter().any(|(fate, name)| *fate == Fate::Removed && name == "beginning"));
    // And a mark that says that it was.
    let state = 4;
    for path in &maker.segments() {
        rewrite(path, &mut |_, kind, payload| {
            if kind == state {
                // The retirement stands behind the seal.
                let seal = usize::from(u16::from_le_bytes(payload[51..53].try_into().unwrap()));
                let through = 53 + seal + 2 + 34;
                let end = std::fs::metadata(&segments[2]).map(|_| 1u64 << 40).unwrap();
                payload[through..through + 8].copy_from_slice(&end.to_le_bytes());
            }
        });
    }
    let verdict = judged(&maker, None);
    assert!(seals_found(&verdict).contains(&(Fate::Altered, "retirement".to_owned())), "{verdict:?}");
    assert!(!verdict.is_whole());
}

#[test]
fn what_another_aggregator_has_is_elsewhere() {
    let mut maker = Maker::new("against-elsewhere");
    maker.lines(&["at the other"]);
    let taken = Anchors { aggregator: Some(AGENT), ..anchors(&maker) };
    // As if these anchors were of the aggregator AGENT.
    let head = taken.heads.iter().find(|head| head.chain == CHAIN).copied().unwrap();
    let taken = Anchors { heads: vec![head], ..taken };
    maker.close();
    let other = AgentId([0x77; 16]);
    for (elsewhere, fate) in [(Some(other), "elsewhere"), (Some(AGGREGATOR), "removed"), (None, "removed")] {
        std::fs::remove_dir_all(maker.dir.join("journal")).unwrap();
        let mut here = Maker::at(maker.dir.clone());
        here.absent(head.through + 3, 40, elsewhere);
        here.close();
        let verdict =
            verify(&maker.dir.join("journal"), &trust(Some(&Anchors { aggregator: Some(other), ..taken.clone() })))
                .unwrap();
        let fates = fates(&verdict);
        assert_eq!(fates.iter().map(|(_, fate, _)| *fate).collect::<Vec<_>>(), [fate, fate], "{verdict:?}");
        assert_eq!(verdict.is_whole(), fate == "elsewhere");
    }
}

#[test]
fn finished_segment_without_a_seal_is_unsealed_and_gets_one_later() {
    for by_repair in [false, true] {
        let mut maker = journal(if by_repair { "against-repair" } else { "against-late" });
        let journal = maker.journal();
        // As a file that failed leaves it.
        let state = journal.committed.encode(&journal.evidence.ledger, &journal.chains);
        journal.log.roll(&state, 0).unwrap();
        maker.close();
        let verdict = judged(&maker, None);
        assert!(verdict.is_whole(), "{verdict:?}");
        assert!(matches!(&seals_found(&verdict)[..], [(Fate::Unsealed, _)]), "{verdict:?}");
        if by_repair {
            let done = repair(maker.config(), shared::time::Clock::System).unwrap();
            assert_eq!((done.sealed, done.unreadable), (1, 0));
        } else {
            maker.lines(&["more"]);
        }
        let verdict = judged(&maker, None);
        assert!(verdict.is_whole() && seals_found(&verdict).is_empty(), "{verdict:?}");
        let late = anchors(&maker).seals.into_iter().nth(3).unwrap();
        assert!(late.statement.reread, "{late:?}");
        assert!(all_intact(&judged(&maker, Some(&anchors(&maker)))));
    }
}

#[test]
fn seal_record_that_a_disk_damaged_is_damage_and_what_it_covered_is_still_vouched_for() {
    let mut maker = journal("against-rot");
    let taken = anchors(&maker);
    maker.close();
    let path = maker.segments()[1].clone();
    let at = taken.seals[1].statement.digest.end - taken.seals[1].statement.digest.first;
    flip(&path, usize::try_from(at).unwrap() + 64 + 20);
    let verdict = judged(&maker, Some(&taken));
    assert!(!verdict.is_whole());
    assert_eq!(seals_found(&verdict), [], "{verdict:?}");
    assert!(fates(&verdict).iter().all(|(_, fate, _)| *fate == "intact"), "{verdict:?}");
}
