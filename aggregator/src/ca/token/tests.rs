//! Tokens: claims side by side, crashes, repeats, refusals.

use std::cell::Cell;
use std::collections::HashSet;

use super::*;
use crate::ca::new_id;
use crate::ca::tests::{NOW, folder};

const OURS: KeyHash = KeyHash([7; 32]);

fn tokens(name: &str) -> (PathBuf, Tokens) {
    let dir = folder(name);
    let writer = Writer::for_owner_of(&dir).unwrap();
    let tokens = Tokens::open(&dir, OURS, writer).unwrap();
    (dir, tokens)
}

fn spec(uses: u32) -> TokenSpec {
    TokenSpec { facts: Facts::of_group("web"), ttl: Duration::from_secs(3_600), uses }
}

fn key(n: u8) -> KeyHash {
    KeyHash([n; 32])
}

#[test]
fn concurrent_claims_never_exceed_the_uses_and_keep_one_id_per_key() {
    let (dir, tokens) = tokens("concurrent");
    let token = tokens.create(&spec(5), NOW).unwrap();
    let results: Vec<_> = std::thread::scope(|scope| {
        let claim = |n: u8| {
            let (tokens, token) = (&tokens, &token);
            scope.spawn(move || (n, tokens.claim(token, key(n), new_id(NOW).unwrap(), NOW)))
        };
        // Eight keys, each from two threads at once.
        let threads: Vec<_> = (0..16).map(|n| claim(n / 2)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let won: HashSet<_> = results.iter().filter_map(|(n, r)| r.as_ref().ok().map(|c| (*n, c.agent))).collect();
    assert_eq!(won.len(), 5, "five keys, one id each: {results:?}");
    for (_, result) in &results {
        assert!(matches!(result, Ok(_) | Err(ClaimError::UsedUp { uses: 5, .. })), "{result:?}");
    }
    assert_eq!(tokens.list(NOW).unwrap().0[0].used, 5);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn lost_reply_is_repeated_with_the_same_id_although_used_up_or_just_expired() {
    let (dir, tokens) = tokens("repeat");
    let token = tokens.create(&spec(1), NOW).unwrap();
    let agent = new_id(NOW).unwrap();
    let first = tokens.claim(&token, key(1), agent, NOW.plus(Duration::from_secs(3_500))).unwrap();
    assert_eq!(first, Claim { agent, facts: Facts::of_group("web"), repeated: false });
    let later = NOW.plus(Duration::from_secs(4_000));
    let again = tokens.claim(&token, key(1), new_id(NOW).unwrap(), later).unwrap();
    assert_eq!(again, Claim { agent, facts: Facts::of_group("web"), repeated: true });
    let another = tokens.claim(&token, key(2), new_id(NOW).unwrap(), NOW).unwrap_err();
    assert!(another.to_string().contains("used up (1 of 1)"), "{another}");
    let too_late = NOW.plus(Duration::from_secs(9_000));
    assert!(tokens.claim(&token, key(1), agent, too_late).is_err());
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn every_refusal_says_which_and_what_to_do() {
    let (dir, tokens) = tokens("refusals");
    let token = tokens.create(&spec(1), NOW).unwrap();
    let agent = new_id(NOW).unwrap();
    let refused = |token: &Token, now| {
        let text = tokens.claim(token, key(1), agent, now).unwrap_err().to_string();
        assert!(text.contains("token create") || text.contains("made on this aggregator"), "{text}");
        text
    };
    let expired = refused(&token, NOW.plus(Duration::from_secs(3_600)));
    assert!(expired.starts_with(&format!("token {} expired at 2026-", token.id)), "{expired}");
    let invented = Token::new(OURS, TokenId([9; 8]), [0; 16]);
    assert!(refused(&invented, NOW).contains("not known here"));
    let guessed = Token::new(OURS, token.id, [0; 16]);
    assert!(refused(&guessed, NOW).contains("not known here"));
    let elsewhere = Token::new(key(9), token.id, [0; 16]);
    assert!(refused(&elsewhere, NOW).contains(&OURS.to_string()));
    tokens.revoke(token.id, NOW).unwrap();
    assert!(refused(&token, NOW).contains("was revoked"));
    assert!(matches!(tokens.revoke(TokenId([1; 8]), NOW), Err(TokenError::Unknown(_))));
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn secret_is_not_on_disk_and_files_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, tokens) = tokens("secret");
    let token = tokens.create(&spec(1), NOW).unwrap();
    let path = tokens.path(token.id);
    let text = std::fs::read_to_string(&path).unwrap();
    let secret = token.reveal().split_off(8 + 64);
    assert!(!text.contains(&secret) && !text.contains("picket1."));
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::remove_dir_all(dir).unwrap();
}

thread_local! { static STEPS_LEFT: Cell<u32> = const { Cell::new(0) }; }

fn crash_when_counted_down(_: &'static str) {
    let left = STEPS_LEFT.get();
    STEPS_LEFT.set(left.saturating_sub(1));
    assert_ne!(left, 1, "crash");
}

#[test]
fn crash_during_a_claim_takes_the_use_of_that_key_or_none() {
    let (dir, tokens) = tokens("crash");
    for step in 1..=3 {
        let token = tokens.create(&spec(1), NOW).unwrap();
        let crashing = Tokens { writer: tokens.writer.with_fault(crash_when_counted_down), ..tokens.clone() };
        STEPS_LEFT.set(step);
        let agent = new_id(NOW).unwrap();
        assert!(std::panic::catch_unwind(|| crashing.claim(&token, key(1), agent, NOW)).is_err());
        let other = new_id(NOW).unwrap();
        let again = tokens.claim(&token, key(1), other, NOW).unwrap();
        assert_eq!(again.agent, if again.repeated { agent } else { other });
        assert_eq!(again.repeated, step == 3);
        assert!(matches!(tokens.claim(&token, key(2), other, NOW), Err(ClaimError::UsedUp { .. })));
    }
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn file_cut_anywhere_is_an_error_and_never_a_use() {
    let (dir, tokens) = tokens("cut");
    let token = tokens.create(&spec(2), NOW).unwrap();
    tokens.claim(&token, key(1), new_id(NOW).unwrap(), NOW).unwrap();
    let path = tokens.path(token.id);
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let claim = tokens.claim(&token, key(2), new_id(NOW).unwrap(), NOW);
        assert!(matches!(claim, Err(ClaimError::Store(TokenError::Damaged { .. }))), "{length}");
        let (listed, damaged) = tokens.list(NOW).unwrap();
        assert_eq!((listed.len(), damaged.len()), (0, 1));
    }
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn tokens_out_of_bounds_are_refused_and_those_long_ended_removed() {
    let (dir, tokens) = tokens("bounds");
    let with = |change: fn(&mut TokenSpec)| {
        let mut spec = spec(1);
        change(&mut spec);
        tokens.create(&spec, NOW)
    };
    assert!(matches!(with(|s| s.uses = 0), Err(TokenError::Uses(0))));
    assert!(matches!(with(|s| s.uses = USES_MAX + 1), Err(TokenError::Uses(_))));
    assert!(matches!(with(|s| s.ttl = Duration::ZERO), Err(TokenError::Ttl(_))));
    assert!(matches!(with(|s| s.facts.group = Some("a\nb".to_owned())), Err(TokenError::Group)));
    let old = with(|_| {}).unwrap();
    tokens.create(&spec(1), NOW.plus(KEPT_AFTER_END * 2)).unwrap();
    let (left, _) = tokens.list(NOW).unwrap();
    assert!(left.len() == 1 && left[0].id != old.id);
    std::fs::remove_dir_all(dir).unwrap();
}
